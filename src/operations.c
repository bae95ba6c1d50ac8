/*
 * operations.c
 *	  The background worker for what may wait for a disk: it writes the state file.
 *
 * Attached to shared memory only, started with the postmaster, like the sampler, on a standby too. It writes the
 * state file each minute and when it is told to end, from copies, so that neither the sampler nor a session ever
 * waits for it. When the server is stopped, it waits for sessions and
 * the sampler to end, but not for long. A disk that hangs keeps this worker alone waiting. What fails is said in the log
 * when it begins and when it is over, and counted.
 */
#include "postgres.h"

#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "alerts.h"
#include "clock.h"
#include "compat.h"
#include "counters.h"
#include "operations.h"
#include "saved.h"
#include "settings.h"
#include "shared.h"

/* As much as is lost in a crash. */
#define SAVE_INTERVAL_MS 60000
#define OTHERS_TIMEOUT_MS 500

PoolDiagOperations *pooldiag_operations = NULL;

Size
pooldiag_operations_size(void)
{
	return sizeof(PoolDiagOperations);
}

void
pooldiag_operations_attach(char *at, bool made)
{
	pooldiag_operations = (PoolDiagOperations *) at;
	if (made)
		pg_atomic_init_u32(&pooldiag_operations->saves_requested, 0);
}

/* Has the worker look at what there is to do. Stores and a signal only. */
void
pooldiag_operations_wake(void)
{
	if (pooldiag_operations->pid != 0)
	{
		pg_read_barrier();
		SetLatch(&GetPGProcByNumber(pooldiag_operations->procno)->procLatch);
	}
}

/* Has the state file written now rather than within a minute. */
void
pooldiag_operations_save_soon(void)
{
	pg_atomic_fetch_add_u32(&pooldiag_operations->saves_requested, 1);
	pooldiag_operations_wake();
}

static void
note_success(const PoolDiagStateWritten *written, double ms)
{
	PoolDiagOperations *self = pooldiag_operations;

	self->saves++;
	self->saved_size = (int64) written->size;
	self->saved_ms = ms;
	self->saved_at = GetCurrentTimestamp();
	if (self->save_failures_in_a_row > 0)
		ereport(LOG,
				(errmsg("pooldiag's state file is written again, after " INT64_FORMAT " failures",
						self->save_failures_in_a_row)));
	self->save_failures_in_a_row = 0;
}

static void
note_failure(const PoolDiagStateWritten *written)
{
	PoolDiagOperations *self = pooldiag_operations;

	self->save_failures++;
	if (self->save_failures_in_a_row++ > 0)
		return;
	errno = written->error;
	ereport(LOG,
			(errmsg("Failed to write pooldiag's state file asynchronously: could not %s: %m",
					written->failed_to),
			 errdetail(
				 "What was written before stays. It is tried again each minute, and said here when "
				 "it works again; pooldiag.self counts the failures."),
			 errhint("See to space and permissions of the directory \"%s\" in the data directory.",
					 PGSTAT_STAT_PERMANENT_DIRECTORY)));
}

static void
save(MemoryContext context)
{
	MemoryContext before = MemoryContextSwitchTo(context);
	double started = pooldiag_clock_ms();
	PoolDiagStateWritten written = pooldiag_saved_write();

	if (written.done)
		note_success(&written, pooldiag_clock_ms() - started);
	else
		note_failure(&written);
	MemoryContextSwitchTo(before);
	MemoryContextReset(context);
}

/* Has each new alert logged, in one line. */
static void
log_alerts(MemoryContext context)
{
	MemoryContext before = MemoryContextSwitchTo(context);
	PoolDiagAlert alert;

	while (pooldiag_alerts_take(&alert))
	{
		StringInfoData json;

		initStringInfo(&json);
		pooldiag_alerts_write(&json, &alert);
		ereport(LOG, (errmsg("pooldiag alert: %s", json.data)));
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(before);
}

/*
 * When the server stops, sessions and the sampler are told so at the same moment: what they count at their end should
 * be in the file. Those that take their time are not waited for.
 */
static void
wait_for_others(uint32 wait_event)
{
	double until = pooldiag_clock_ms() + OTHERS_TIMEOUT_MS;

	while ((pooldiag_counters_sessions() > 0 || pooldiag_control->sampler_pid != 0) &&
		   pooldiag_clock_ms() < until)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 5, wait_event);
		ResetLatch(MyLatch);
	}
}

static void
forget_pid(int code, Datum arg)
{
	pooldiag_operations->pid = 0;
}

/* The worker's main function. It leaves with 1, as a worker that leaves with 0 is never started again. */
void
pooldiag_operations_main(Datum main_arg)
{
	MemoryContext context;
	uint32 wait_event;
	double next = pooldiag_clock_ms() + SAVE_INTERVAL_MS;
	uint32 saves_requested = 0;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	context = AllocSetContextCreate(TopMemoryContext, "pooldiag operations", 0, 8192, 8388608);
	wait_event = WaitEventExtensionNew("PoolDiagOperationsMain");
	pooldiag_operations->started_at = GetCurrentTimestamp();
	pooldiag_operations->procno = MyProcNumber;
	pg_write_barrier();
	pooldiag_operations->pid = MyProcPid;
	before_shmem_exit(forget_pid, (Datum) 0);
	pooldiag_settings_complain();

	while (!ShutdownRequestPending)
	{
		double left = next - pooldiag_clock_ms();

		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			pooldiag_settings_complain();
		}
		log_alerts(context);
		if (left <= 0 ||
			pg_atomic_read_u32(&pooldiag_operations->saves_requested) != saves_requested)
		{
			saves_requested = pg_atomic_read_u32(&pooldiag_operations->saves_requested);
			save(context);
			next = pooldiag_clock_ms() + SAVE_INTERVAL_MS;
			continue;
		}
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, (long) left + 1,
						 wait_event);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	wait_for_others(wait_event);
	log_alerts(context);
	save(context);
	proc_exit(1);
}

/* To be called from _PG_init, while libraries are preloaded. */
void
pooldiag_operations_register(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
	worker.bgw_start_time = BgWorkerStart_PostmasterStart;
	worker.bgw_restart_time = 1;
	strlcpy(worker.bgw_library_name, "pooldiag", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "pooldiag_operations_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "pooldiag operations", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "pooldiag operations", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}
