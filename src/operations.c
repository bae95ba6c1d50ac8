/*
 * operations.c
 *	  The background worker that has alerts told, and sees to what may hang.
 *
 * Attached to shared memory only, started with the postmaster, on a standby too. It writes to no file, so that a disk that
 * hangs silences nobody: an alert is logged when it is in the journal, or a moment later if the keeper hangs. It judges
 * which operations have timed out, from the moments at which they began. What needs a database it has others do
 * (errands.c).
 */
#include "postgres.h"

#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "alerts.h"
#include "clock.h"
#include "compat.h"
#include "errands.h"
#include "operation.h"
#include "operations.h"
#include "settings.h"
#include "worker.h"

/* How long an alert waits to be in the journal before it is logged; after that none does until one is. */
#define JOURNAL_PATIENCE_MS 100
#define JUDGE_INTERVAL_MS 1000
/* When the server stops, how long to wait for what the sampler may still raise. */
#define SAMPLER_TIMEOUT_MS 500

static void
log_alert(const PoolDiagAlert *alert, MemoryContext context)
{
	MemoryContext before = MemoryContextSwitchTo(context);
	StringInfoData json;

	initStringInfo(&json);
	pooldiag_alerts_write(&json, alert);
	ereport(LOG, (errmsg("pooldiag alert: %s", json.data)));
	MemoryContextSwitchTo(before);
	MemoryContextReset(context);
}

/* Says so, once, when alerts were overwritten before they could be logged. */
static void
log_lost(void)
{
	static uint64 known = 0;
	uint64 lost = pooldiag_alerts_use().lost[POOLDIAG_FOLLOWER_OPERATIONS];

	if (lost > known)
		ereport(LOG,
				(errmsg(UINT64_FORMAT " pooldiag alerts are not in this log", lost - known),
				 errdetail("They were overwritten in pooldiag.alerts before they were logged."),
				 errhint("Raise \"pooldiag.alert_log_size\", and restart the server.")));
	known = lost;
}

/*
 * Logs the alerts that wait, those that are not in the journal yet after a moment's patience, of which there is none when
 * the server stops or the log of alerts fills up. Returns when to look again though nobody calls, in milliseconds of the
 * monotonic clock; 0: there is no need to.
 */
static double
log_alerts(MemoryContext context, bool is_patient)
{
	static double patient_until = 0;
	PoolDiagAlert alert;

	while (pooldiag_alerts_peek(POOLDIAG_FOLLOWER_OPERATIONS, &alert))
	{
		double now = pooldiag_clock_ms();

		if (pooldiag_alerts_is_journaled())
			patient_until = 0;
		else if (patient_until == 0)
			patient_until = now + JOURNAL_PATIENCE_MS;
		if (is_patient && now < patient_until &&
			pooldiag_alerts_use().waiting[POOLDIAG_FOLLOWER_OPERATIONS] <
				pooldiag_alerts_capacity() / 2)
			return patient_until;
		log_alert(&alert, context);
		pooldiag_alerts_pass(POOLDIAG_FOLLOWER_OPERATIONS);
	}
	log_lost();
	return 0;
}

static void
wait_for_sampler(uint32 wait_event)
{
	double until = pooldiag_clock_ms() + SAMPLER_TIMEOUT_MS;

	while (pooldiag_workers[POOLDIAG_SAMPLER].pid != 0 && pooldiag_clock_ms() < until)
		pooldiag_worker_wait(pooldiag_clock_ms() + 5, wait_event);
}

/* The worker's main function. */
void
pooldiag_operations_main(Datum main_arg)
{
	MemoryContext context;
	uint32 wait_event;

	pooldiag_worker_begin();
	pooldiag_worker_publish(POOLDIAG_OPERATIONS_WORKER);
	context = AllocSetContextCreate(TopMemoryContext, "pooldiag operations", 0, 8192, 65536);
	wait_event = WaitEventExtensionNew("PoolDiagOperationsMain");
	pooldiag_settings_complain();
	pooldiag_errands_start();
	while (!ShutdownRequestPending)
	{
		double next;
		double due;
		double judged;

		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			pooldiag_settings_complain();
			pooldiag_errands_configured();
		}
		pooldiag_operation_judge(pooldiag_operation_timeout);
		next = log_alerts(context, true);
		due = pooldiag_errands_attend();
		if (next != 0)
			due = Min(due, next);
		judged = pooldiag_clock_ms() + JUDGE_INTERVAL_MS;
		pooldiag_worker_wait(Min(due, judged), wait_event);
	}
	wait_for_sampler(wait_event);
	(void) log_alerts(context, false);
	proc_exit(1);
}
