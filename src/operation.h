/*
 * operation.h
 *	  What became of operations: things that pooldiag does and that may wait, or hang.
 */
#ifndef POOLDIAG_OPERATION_H
#define POOLDIAG_OPERATION_H

#include "datatype/timestamp.h"
#include "port/atomics.h"

typedef enum PoolDiagOperationKind
{
	POOLDIAG_OPERATION_STATE_FILE,
	POOLDIAG_OPERATION_JOURNAL,
	POOLDIAG_OPERATION_CANARY,
	POOLDIAG_OPERATION_NOTIFY,
	POOLDIAG_OPERATION_LIMITS,
	POOLDIAG_OPERATIONS
} PoolDiagOperationKind;

/* From here on each try is an errand (errand.c): it has a process of its own, connected to a database. */
#define POOLDIAG_FIRST_ERRAND POOLDIAG_OPERATION_CANARY
#define POOLDIAG_ERRANDS (POOLDIAG_OPERATIONS - POOLDIAG_FIRST_ERRAND)

#define POOLDIAG_ERROR_LEN 256

/* As a reader gets it. */
typedef struct PoolDiagOperationFigures
{
	bool running;
	bool overdue;			 /* it is, and was judged to have timed out */
	double started_ms;		 /* its last try, of the monotonic clock; 0: there was none */
	TimestampTz started_at;	 /* its last try, 0: there was none */
	TimestampTz finished_at; /* the last one that ended */
	double last_ms;			 /* how long that took */
	int64 succeeded;
	int64 failed;
	int64 timed_out;
	int64 consecutive_failures;			 /* those that timed out included */
	char last_error[POOLDIAG_ERROR_LEN]; /* of the last one that failed; empty: none has */
} PoolDiagOperationFigures;

extern Size pooldiag_operation_size(void);
extern void pooldiag_operation_attach(char *at, bool made);
extern const char *pooldiag_operation_name(PoolDiagOperationKind kind);

/* In the process that does it. */
extern void pooldiag_operation_begin(PoolDiagOperationKind kind);
extern void pooldiag_operation_succeeded(PoolDiagOperationKind kind);
extern void pooldiag_operation_failed(PoolDiagOperationKind kind, const char *error,
									  const char *detail, const char *hint);

/* How the last tries went, those that timed out, and those that could not even begin, included. */
typedef struct PoolDiagOutcomes
{
	uint32 count; /* of all since the server's start, up to 2^32 - 1 and from 0 again */
	uint32
		failed; /* of the last 32 of them, one bit each, the latest the lowest: 1 if it has failed */
} PoolDiagOutcomes;

/* In operations. */
extern void pooldiag_operation_missed(PoolDiagOperationKind kind, const char *error);
extern void pooldiag_operation_judge(int64 timeout_ms);

/* Anywhere. */
extern PoolDiagOutcomes pooldiag_operation_outcomes(PoolDiagOperationKind kind);
extern void pooldiag_operation_read(PoolDiagOperationKind kind, PoolDiagOperationFigures *figures);

#endif /* POOLDIAG_OPERATION_H */
