/*
 * worker.c
 *	  What pooldiag's background workers have in common.
 *
 * They are attached to shared memory only, so that they hold no connection and start with the postmaster, before
 * recovery. They leave with exit code 1, as a worker that leaves with 0 is never started again, and are back after a
 * second.
 */
#include "postgres.h"

#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "compat.h"
#include "worker.h"

/* How often a worker tries to take a lock, and how long it rests in between. */
#define LOCK_TRIES 20
#define LOCK_PAUSE_US 50

static const char *const names[POOLDIAG_WORKERS] = {
	[POOLDIAG_SAMPLER] = "sampler",
	[POOLDIAG_HTTP_WORKER] = "http",
	[POOLDIAG_OPERATIONS_WORKER] = "operations",
	[POOLDIAG_KEEPER] = "keeper",
};

PoolDiagWorker *pooldiag_workers = NULL;

Size
pooldiag_worker_size(void)
{
	return sizeof(PoolDiagWorker) * POOLDIAG_WORKERS;
}

void
pooldiag_worker_attach(char *at, bool made)
{
	pooldiag_workers = (PoolDiagWorker *) at;
}

const char *
pooldiag_worker_name(PoolDiagWorkerKind kind)
{
	return names[kind];
}

/* To be called from _PG_init, while libraries are preloaded. The main function is pooldiag_NAME_main. */
void
pooldiag_worker_register_all(void)
{
	for (int kind = 0; kind < POOLDIAG_WORKERS; kind++)
	{
		BackgroundWorker worker;

		memset(&worker, 0, sizeof(worker));
		worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
		worker.bgw_start_time = BgWorkerStart_PostmasterStart;
		worker.bgw_restart_time = 1;
		strlcpy(worker.bgw_library_name, "pooldiag", BGW_MAXLEN);
		snprintf(worker.bgw_function_name, BGW_MAXLEN, "pooldiag_%s_main", names[kind]);
		snprintf(worker.bgw_name, BGW_MAXLEN, "pooldiag %s", names[kind]);
		snprintf(worker.bgw_type, BGW_MAXLEN, "pooldiag %s", names[kind]);
		RegisterBackgroundWorker(&worker);
	}
}

/* To be called first by a main function. */
void
pooldiag_worker_begin(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
}

static void
forget_worker(int code, Datum kind)
{
	pooldiag_workers[DatumGetInt32(kind)].pid = 0;
}

/* Tells everybody that this process is that worker, until it ends. */
void
pooldiag_worker_publish(PoolDiagWorkerKind kind)
{
	PoolDiagWorker *worker = &pooldiag_workers[kind];

	worker->started_at = GetCurrentTimestamp();
	worker->procno = MyProcNumber;
	pg_write_barrier();
	worker->pid = MyProcPid;
	before_shmem_exit(forget_worker, Int32GetDatum(kind));
}

/*
 * Has a worker look at what there is to do. Stores and a signal only: may be called wherever shared memory is there. One
 * that has just ended may have left its PGPROC to another process, whom this wakes for nothing.
 */
void
pooldiag_worker_wake(PoolDiagWorkerKind kind)
{
	if (pooldiag_workers[kind].pid != 0)
	{
		pg_read_barrier();
		SetLatch(&GetPGProcByNumber(pooldiag_workers[kind].procno)->procLatch);
	}
}

/* Waits to be called, or until that moment of the monotonic clock. */
void
pooldiag_worker_wait(double until_ms, uint32 wait_event)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 pooldiag_clock_left(until_ms), wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * Takes a lock that sessions hold for moments. A session that asks waits for it; a worker, which must not wait for a
 * session, tries for as long as such a moment may last. False if it could not be had.
 */
bool
pooldiag_worker_lock(LWLock *lock, LWLockMode mode)
{
	if (OidIsValid(MyDatabaseId))
	{
		LWLockAcquire(lock, mode);
		return true;
	}
	for (int try = 0; try < LOCK_TRIES; try++)
	{
		if (LWLockConditionalAcquire(lock, mode))
			return true;
		pg_usleep(LOCK_PAUSE_US);
	}
	return false;
}

/*
 * May this process call what takes that lock? A worker may if it is free; the moment from now until it is taken in which
 * somebody else may take it is accepted.
 */
bool
pooldiag_worker_may_take(LWLock *lock)
{
	if (OidIsValid(MyDatabaseId))
		return true;
	if (!pooldiag_worker_lock(lock, LW_SHARED))
		return false;
	LWLockRelease(lock);
	return true;
}
