/*
 * errands.c
 *	  Which operations are due that need a connection to a database, and what becomes of those that run.
 *
 * In operations alone. Each try runs in a process of its own (errand.c), of each kind one at a time. One that takes longer
 * than pooldiag.operation_timeout has timed out (operation.c) and is told to stop: by SIGINT, a little later by
 * SIGTERM, and never by SIGKILL, which would restart the whole server. It may not heed either, in a write that hangs or
 * because it was stopped; then what is due from an interval later on has failed without being tried.
 *
 * The canary is tried each pooldiag.operation_interval, unless the breaker of operations is open. Others have a
 * patience of their own when they fail, that grows up to the time after which an open breaker is tried again.
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "postmaster/bgworker.h"

#include "canary.h"
#include "clock.h"
#include "errand.h"
#include "errands.h"
#include "notifier.h"
#include "readiness.h"
#include "settings.h"

/* From SIGINT to SIGTERM. */
#define INSIST_MS 5000
#define LIMITS_INTERVAL_MS 60000
/* So many notifications as come in that time share a process. */
#define NOTIFY_INTERVAL_MS 200
/* Of a process that runs, or was called, how often to look whether it should be told to stop. */
#define WATCH_INTERVAL_MS 500

typedef struct Errand
{
	BackgroundWorkerHandle *handle; /* NULL: of none, or one that somebody before us has called */
	double next_ms;					/* when it is due, of the monotonic clock */
	double told_ms;					/* when the process was told to stop; 0: it was not */
	bool told_twice;
} Errand;

static Errand errands[POOLDIAG_ERRANDS];

static Errand *
of(PoolDiagOperationKind kind)
{
	return &errands[kind - POOLDIAG_FIRST_ERRAND];
}

/* How long after a try the next one is due. */
static double
interval_of(PoolDiagOperationKind kind)
{
	PoolDiagOperationFigures figures;
	double interval = kind == POOLDIAG_OPERATION_NOTIFY	  ? NOTIFY_INTERVAL_MS
					  : kind == POOLDIAG_OPERATION_LIMITS ? LIMITS_INTERVAL_MS
														  : pooldiag_operation_interval;
	double longest = (double) pooldiag_settings_breaker_defaults().reset_ms;

	if (kind == POOLDIAG_OPERATION_CANARY)
		return interval;
	pooldiag_operation_read(kind, &figures);
	for (int64 i = 0; i < figures.consecutive_failures && interval < longest; i++)
		interval *= 2;
	return figures.consecutive_failures > 0 ? Min(interval, Max(longest, LIMITS_INTERVAL_MS))
											: interval;
}

/* In a new operations worker. A process that one before it has called finds nobody who expects it. */
void
pooldiag_errands_start(void)
{
	for (int i = 0; i < POOLDIAG_ERRANDS; i++)
	{
		PoolDiagOperationKind kind = (PoolDiagOperationKind) (POOLDIAG_FIRST_ERRAND + i);

		errands[i].next_ms = pooldiag_clock_ms();
		if (pooldiag_errand_withdraw(kind))
			pooldiag_operation_failed(kind, "the operations worker ended before its process began",
									  NULL, NULL);
	}
}

/* Settings have changed: where there is less to wait for, that holds at once. */
void
pooldiag_errands_configured(void)
{
	double now = pooldiag_clock_ms();

	for (int i = 0; i < POOLDIAG_ERRANDS; i++)
		errands[i].next_ms =
			Min(errands[i].next_ms,
				now + interval_of((PoolDiagOperationKind) (POOLDIAG_FIRST_ERRAND + i)));
}

static bool
is_wanted(PoolDiagOperationKind kind)
{
	switch (kind)
	{
		case POOLDIAG_OPERATION_CANARY:
			return !pooldiag_canary_is_held();
		case POOLDIAG_OPERATION_NOTIFY:
			return pooldiag_notifier_has_work();
		default:
			return true;
	}
}

static void
start(PoolDiagOperationKind kind)
{
	Errand *errand = of(kind);
	BackgroundWorker worker;
	uint32 number = pooldiag_errand_call(kind);

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = Int32GetDatum(kind);
	memcpy(worker.bgw_extra, &number, sizeof(number));
	strlcpy(worker.bgw_library_name, "pooldiag", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "pooldiag_errand_main", BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "pooldiag %s", pooldiag_operation_name(kind));
	snprintf(worker.bgw_type, BGW_MAXLEN, "pooldiag %s", pooldiag_operation_name(kind));
	errand->told_ms = 0;
	errand->told_twice = false;
	pooldiag_operation_begin(kind);
	if (RegisterDynamicBackgroundWorker(&worker, &errand->handle))
		return;
	(void) pooldiag_errand_withdraw(kind);
	errand->handle = NULL;
	pooldiag_operation_failed(kind,
							  "no free worker slot: all of \"max_worker_processes\" are taken",
							  NULL, "Raise \"max_worker_processes\", and restart the server.");
}

static void
forget_process(Errand *errand)
{
	if (errand->handle != NULL)
		pfree(errand->handle);
	errand->handle = NULL;
}

/* The server was asked for a process, which is not there yet. */
static void
attend_call(PoolDiagOperationKind kind, bool is_overdue)
{
	Errand *errand = of(kind);
	bool is_hopeless;
	pid_t pid;

	is_hopeless =
		errand->handle == NULL || GetBackgroundWorkerPid(errand->handle, &pid) == BGWH_STOPPED;
	if ((!is_hopeless && !is_overdue) || !pooldiag_errand_withdraw(kind))
		return;
	if (errand->handle != NULL)
		TerminateBackgroundWorker(errand->handle);
	forget_process(errand);
	pooldiag_operation_failed(kind, "the server did not start a process for it", NULL,
							  "See the server's log.");
}

/* A process runs for longer than it may. */
static void
stop(PoolDiagOperationKind kind)
{
	Errand *errand = of(kind);
	double now = pooldiag_clock_ms();

	if (errand->told_ms == 0)
	{
		errand->told_ms = now;
		/* That it has timed out is one failure: the next one is that an interval later there still can be no other. */
		errand->next_ms = now + interval_of(kind);
		pooldiag_errand_signal(kind, SIGINT);
	}
	else if (!errand->told_twice && now >= errand->told_ms + INSIST_MS)
	{
		errand->told_twice = true;
		pooldiag_errand_signal(kind, SIGTERM);
	}
}

static void
take_end(PoolDiagOperationKind kind)
{
	PoolDiagErrandEnd end;

	pooldiag_errand_take_end(kind, &end);
	forget_process(of(kind));
	if (end.succeeded)
		pooldiag_operation_succeeded(kind);
	else
		pooldiag_operation_failed(kind, end.error, NULL, NULL);
}

static void
attend(PoolDiagOperationKind kind)
{
	Errand *errand = of(kind);
	PoolDiagOperationFigures figures;
	PoolDiagErrandPhase phase = pooldiag_errand_phase(kind);
	double now = pooldiag_clock_ms();

	pooldiag_operation_read(kind, &figures);
	switch (phase)
	{
		case POOLDIAG_ERRAND_CALLED:
			attend_call(kind, figures.overdue);
			break;
		case POOLDIAG_ERRAND_RUNNING:
			if (figures.overdue)
				stop(kind);
			break;
		case POOLDIAG_ERRAND_ENDED:
			take_end(kind);
			break;
		case POOLDIAG_ERRAND_NONE:
			break;
	}
	phase = pooldiag_errand_phase(kind);
	if (now < errand->next_ms || !is_wanted(kind) || !pooldiag_readiness_accepts())
		return;
	if (phase == POOLDIAG_ERRAND_NONE)
		start(kind);
	else if (phase == POOLDIAG_ERRAND_RUNNING && errand->told_ms != 0 &&
			 kind == POOLDIAG_OPERATION_CANARY)
		pooldiag_operation_missed(kind, "not tried: the try before it has not ended yet");
	errand->next_ms = now + interval_of(kind);
}

/* Sees to all of them. Returns when to look again though nobody calls, in milliseconds of the monotonic clock. */
double
pooldiag_errands_attend(void)
{
	double now = pooldiag_clock_ms();
	double next = now + LIMITS_INTERVAL_MS;

	pooldiag_notifier_skip();
	for (int i = 0; i < POOLDIAG_ERRANDS; i++)
	{
		PoolDiagOperationKind kind = (PoolDiagOperationKind) (POOLDIAG_FIRST_ERRAND + i);

		attend(kind);
		/* What is due, and not to be done, is looked at when somebody calls. */
		if (errands[i].next_ms > now)
			next = Min(next, errands[i].next_ms);
		if (pooldiag_errand_phase(kind) != POOLDIAG_ERRAND_NONE)
			next = Min(next, now + WATCH_INTERVAL_MS);
	}
	return next;
}
