/*
 * worker.c
 *	  What pooldiag's background workers have in common.
 *
 * They are attached to shared memory only, so that they hold no connection and start with the postmaster, before
 * recovery. They leave with exit code 1, as a worker that leaves with 0 is never started again, and are back after a
 * second.
 */
#include "postgres.h"

#include <math.h>

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

/* To be called from _PG_init, while libraries are preloaded: a worker whose main function is pooldiag_NAME_main. */
void
pooldiag_worker_register(const char *name)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
	worker.bgw_start_time = BgWorkerStart_PostmasterStart;
	worker.bgw_restart_time = 1;
	strlcpy(worker.bgw_library_name, "pooldiag", BGW_MAXLEN);
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "pooldiag_%s_main", name);
	snprintf(worker.bgw_name, BGW_MAXLEN, "pooldiag %s", name);
	snprintf(worker.bgw_type, BGW_MAXLEN, "pooldiag %s", name);
	RegisterBackgroundWorker(&worker);
}

static void
forget_worker(int code, Datum worker)
{
	((PoolDiagWorker *) DatumGetPointer(worker))->pid = 0;
}

/* To be called first by a main function; publishes the worker. */
void
pooldiag_worker_start(PoolDiagWorker *worker)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	worker->started_at = GetCurrentTimestamp();
	worker->procno = MyProcNumber;
	pg_write_barrier();
	worker->pid = MyProcPid;
	before_shmem_exit(forget_worker, PointerGetDatum(worker));
}

/*
 * Has a worker look at what there is to do. Stores and a signal only: may be called wherever shared memory is there. One
 * that has just ended may have left its PGPROC to another process, whom this wakes for nothing.
 */
void
pooldiag_worker_wake(const PoolDiagWorker *worker)
{
	if (worker->pid != 0)
	{
		pg_read_barrier();
		SetLatch(&GetPGProcByNumber(worker->procno)->procLatch);
	}
}

/* Waits to be called, or until that moment of the monotonic clock. */
void
pooldiag_worker_wait(double until_ms, uint32 wait_event)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 (long) Max(0, ceil(until_ms - pooldiag_clock_ms())), wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
