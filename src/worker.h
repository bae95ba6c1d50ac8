/*
 * worker.h
 *	  What pooldiag's background workers have in common.
 */
#ifndef POOLDIAG_WORKER_H
#define POOLDIAG_WORKER_H

#include "datatype/timestamp.h"
#include "utils/palloc.h"

/* A worker, in shared memory. The worker alone writes it. */
typedef struct PoolDiagWorker
{
	int pid; /* zeroed when it ends in order */
	int procno;
	TimestampTz started_at;
} PoolDiagWorker;

extern void pooldiag_worker_register(const char *name);
extern void pooldiag_worker_start(PoolDiagWorker *worker);
extern void pooldiag_worker_wake(const PoolDiagWorker *worker);
extern void pooldiag_worker_wait(double until_ms, uint32 wait_event);

#endif /* POOLDIAG_WORKER_H */
