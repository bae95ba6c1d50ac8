/*
 * operations.h
 *	  The background worker for what may wait for a disk.
 */
#ifndef POOLDIAG_OPERATIONS_H
#define POOLDIAG_OPERATIONS_H

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "port/atomics.h"

/* What the worker has done since the server's start. The worker alone writes it. */
typedef struct PoolDiagOperations
{
	int pid; /* zeroed when it ends in order */
	int procno;
	pg_atomic_uint32 saves_requested; /* raised by sessions */
	TimestampTz started_at;
	TimestampTz
		restored_from;	  /* when the state file was written that the server began with; 0: none */
	TimestampTz saved_at; /* when it was written last; 0: not yet */
	int64 saved_size;
	double saved_ms; /* how long that took */
	int64 saves;
	int64 save_failures;
	int64 save_failures_in_a_row;
} PoolDiagOperations;

/* NULL where pooldiag was not preloaded. */
extern PoolDiagOperations *pooldiag_operations;

extern Size pooldiag_operations_size(void);
extern void pooldiag_operations_attach(char *at, bool made);
extern void pooldiag_operations_wake(void);
extern void pooldiag_operations_save_soon(void);
extern void pooldiag_operations_register(void);
extern PGDLLEXPORT void pooldiag_operations_main(Datum main_arg);

#endif /* POOLDIAG_OPERATIONS_H */
