/*
 * worker.h
 *	  What pooldiag's background workers have in common.
 */
#ifndef POOLDIAG_WORKER_H
#define POOLDIAG_WORKER_H

#include "datatype/timestamp.h"
#include "storage/lwlock.h"

typedef enum PoolDiagWorkerKind
{
	/* In the order in which they get slots of max_worker_processes. */
	POOLDIAG_SAMPLER,
	POOLDIAG_HTTP_WORKER,
	POOLDIAG_OPERATIONS_WORKER,
	POOLDIAG_KEEPER,
	POOLDIAG_WORKERS
} PoolDiagWorkerKind;

/* A worker, in shared memory. The worker alone writes it. */
typedef struct PoolDiagWorker
{
	int pid; /* zeroed when it ends in order */
	int procno;
	TimestampTz started_at;
} PoolDiagWorker;

/* One of each kind; NULL where pooldiag was not preloaded. */
extern PoolDiagWorker *pooldiag_workers;

extern Size pooldiag_worker_size(void);
extern void pooldiag_worker_attach(char *at, bool made);
extern void pooldiag_worker_register_all(void);
extern const char *pooldiag_worker_name(PoolDiagWorkerKind kind);

/* In a worker. */
extern void pooldiag_worker_begin(void);
extern void pooldiag_worker_publish(PoolDiagWorkerKind kind);
extern void pooldiag_worker_wait(double until_ms, uint32 wait_event);

/* Anywhere. */
extern void pooldiag_worker_wake(PoolDiagWorkerKind kind);
extern bool pooldiag_worker_lock(LWLock *lock, LWLockMode mode);
extern bool pooldiag_worker_may_take(LWLock *lock);

#endif /* POOLDIAG_WORKER_H */
