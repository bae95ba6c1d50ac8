/*
 * errand.h
 *	  Short-lived workers with a connection to a database, each started for one try of one operation.
 */
#ifndef POOLDIAG_ERRAND_H
#define POOLDIAG_ERRAND_H

#include "fmgr.h"
#include "port/atomics.h"

#include "operation.h"

/* How far an errand is. */
typedef enum PoolDiagErrandPhase
{
	POOLDIAG_ERRAND_NONE,
	POOLDIAG_ERRAND_CALLED, /* the server was asked for a process */
	POOLDIAG_ERRAND_RUNNING,
	POOLDIAG_ERRAND_ENDED
} PoolDiagErrandPhase;

/* What became of one that has ended. */
typedef struct PoolDiagErrandEnd
{
	bool succeeded;
	char error[POOLDIAG_ERROR_LEN]; /* if it has not */
} PoolDiagErrandEnd;

extern Size pooldiag_errand_size(void);
extern void pooldiag_errand_attach(char *at, bool made);
extern PGDLLEXPORT void pooldiag_errand_main(Datum main_arg);

/* In operations. */
extern uint32 pooldiag_errand_call(PoolDiagOperationKind kind);
extern bool pooldiag_errand_withdraw(PoolDiagOperationKind kind);
extern PoolDiagErrandPhase pooldiag_errand_phase(PoolDiagOperationKind kind);
extern void pooldiag_errand_signal(PoolDiagOperationKind kind, int signal);
extern void pooldiag_errand_take_end(PoolDiagOperationKind kind, PoolDiagErrandEnd *end);

#endif /* POOLDIAG_ERRAND_H */
