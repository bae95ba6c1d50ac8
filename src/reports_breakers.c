/*
 * reports_breakers.c
 *	  The views breakers and alerts, and the functions that tell a breaker what to do.
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "alerts.h"
#include "clock.h"
#include "documents.h"
#include "grammar.h"
#include "orders.h"
#include "rows.h"
#include "sampler.h"
#include "shared.h"
#include "text.h"

PG_FUNCTION_INFO_V1(pooldiag_breakers);
PG_FUNCTION_INFO_V1(pooldiag_alerts);
PG_FUNCTION_INFO_V1(pooldiag_breaker_reset);
PG_FUNCTION_INFO_V1(pooldiag_breaker_force_open);
PG_FUNCTION_INFO_V1(pooldiag_breaker_disable);
PG_FUNCTION_INFO_V1(pooldiag_breaker_silence);

static void
put_breaker(ReturnSetInfo *result, const PoolDiagWatched *watched, PoolDiagBreakerKind kind,
			const char *pool, const PoolDiagClocks *clocks)
{
	const PoolDiagBreaker *breaker = &watched->breaker;
	char name[POOLDIAG_BREAKER_NAME_LEN];
	PoolDiagRow row = {0};

	pooldiag_breakers_name(kind, pool, name);
	pooldiag_row_text(&row, pooldiag_text_clean(name));
	pooldiag_row_text(&row, pooldiag_alerts_scope(kind));
	pooldiag_row_text(&row, pooldiag_breaker_state_name(breaker->state));
	pooldiag_row_text(&row, watched->mode == POOLDIAG_BREAKER_MODE_METRICS_ONLY ? "metrics_only"
																				: "normal");
	pooldiag_row_timestamp(&row, pooldiag_breakers_silenced_until(watched, clocks));
	if (watched->evaluated && !isnan(watched->value))
		pooldiag_row_float(&row, watched->value);
	else
		pooldiag_row_null(&row);
	pooldiag_row_float(&row, watched->limit);
	pooldiag_row_int(&row, breaker->consecutive_failures);
	pooldiag_row_int(&row, watched->rules.failure_threshold);
	pooldiag_row_timestamp(&row, pooldiag_breaker_is_open(breaker) ? watched->opened_at : 0);
	pooldiag_row_timestamp(&row, pooldiag_breakers_retry_at(watched, clocks));
	pooldiag_row_int64(&row, (int64) breaker->trips);
	pooldiag_row_timestamp(&row, watched->last_change);
	pooldiag_row_put(&row, result);
}

static void
put_breakers_of_pools(ReturnSetInfo *result, const PoolDiagPools *pools,
					  const PoolDiagClocks *clocks)
{
	for (int i = pools->first_declared; i >= 0; i = pools->rows[i].next)
		put_breaker(result, &pools->rows[i].watched, POOLDIAG_BREAKER_POOL, pools->rows[i].def.name,
					clocks);
}

/*
 * setof (breaker, scope, state, mode, silenced_until, value, limit_value, consecutive_failures, failure_threshold,
 * opened_at, retry_at, trips, last_change): the breakers as they were at the last tick; none before the first one.
 */
Datum
pooldiag_breakers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const PoolDiagSample *sample;
	PoolDiagClocks clocks = {(int64) pooldiag_clock_ms(), GetCurrentTimestamp()};

	pooldiag_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	sample = pooldiag_shared_read();
	if (sample == NULL)
		return (Datum) 0;
	for (int kind = 0; kind < POOLDIAG_SERVER_BREAKERS; kind++)
	{
		put_breaker(result, &sample->breakers[kind], (PoolDiagBreakerKind) kind, NULL, &clocks);
		if (kind == POOLDIAG_BREAKER_SLOTS)
			put_breakers_of_pools(result, &sample->pools, &clocks);
	}
	return (Datum) 0;
}

/* The columns of the view alerts, for documents. */
static const char *const alert_columns[] = {
	"id",		"at",	 "breaker",		"scope",   "event",
	"severity", "value", "limit_value", "message", "evidence",
};

static void
fill_alert(PoolDiagRow *row, const PoolDiagAlert *alert)
{
	pooldiag_row_int64(row, alert->id);
	pooldiag_row_timestamp(row, alert->at);
	pooldiag_row_text(row, pooldiag_text_clean(alert->breaker));
	pooldiag_row_text(row, pooldiag_alerts_scope((PoolDiagBreakerKind) alert->kind));
	pooldiag_row_text(row, pooldiag_breaker_event_name((PoolDiagBreakerEvent) alert->event));
	pooldiag_row_text(row, pooldiag_severity_name((PoolDiagSeverity) alert->severity));
	if (alert->has_value)
		pooldiag_row_float(row, alert->value);
	else
		pooldiag_row_null(row);
	pooldiag_row_float(row, alert->limit);
	pooldiag_row_text(row, pooldiag_text_clean(alert->message));
	pooldiag_row_jsonb(row, pooldiag_text_clean(alert->evidence));
}

/* Where a walk through the log is: from the newest alert on, backwards. */
typedef struct Walk
{
	PoolDiagRing *log;
	int64 first;   /* the least id to be shown */
	uint64 number; /* of the alert that was taken last */
} Walk;

static Walk
begin_walk(void)
{
	Walk walk;

	walk.log = pooldiag_alerts_ring(&walk.first);
	walk.number = pooldiag_ring_next(walk.log);
	return walk;
}

/* The next older alert that is whole; false if there is none. */
static bool
next_alert(Walk *walk, PoolDiagAlert *alert)
{
	while (walk->number > pooldiag_ring_oldest(walk->log))
	{
		CHECK_FOR_INTERRUPTS();
		walk->number--;
		if (pooldiag_ring_read(walk->log, walk->number, alert) == POOLDIAG_RING_WHOLE)
			return alert->id >= walk->first;
	}
	return false;
}

/* The newest rows of the view alerts as the elements of an array; limit at the most. */
void
pooldiag_documents_alerts(StringInfo json, int limit)
{
	Walk walk = begin_walk();
	PoolDiagAlert alert;

	while (limit-- > 0 && next_alert(&walk, &alert))
	{
		PoolDiagRow row;

		pooldiag_row_begin_json(&row, json, alert_columns);
		fill_alert(&row, &alert);
		pooldiag_row_end_json(&row);
	}
}

/*
 * setof (id, at, breaker, scope, event, severity, value, limit_value, message, evidence): the newest alerts, the
 * newest first.
 */
Datum
pooldiag_alerts(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagAlert alert;
	Walk walk;

	pooldiag_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	walk = begin_walk();
	while (next_alert(&walk, &alert))
	{
		PoolDiagRow row = {0};

		fill_alert(&row, &alert);
		pooldiag_row_put(&row, result);
	}
	return (Datum) 0;
}

/* Fails, and says which breakers there are. */
static void
refuse_breaker(const char *breaker)
{
	const PoolDiagSample *sample = pooldiag_shared_read();
	StringInfoData names;
	char name[POOLDIAG_BREAKER_NAME_LEN];

	initStringInfo(&names);
	for (int kind = 0; kind < POOLDIAG_SERVER_BREAKERS; kind++)
	{
		pooldiag_breakers_name((PoolDiagBreakerKind) kind, NULL, name);
		appendStringInfo(&names, "%s%s", kind > 0 ? ", " : "", name);
	}
	if (sample != NULL)
		for (int i = sample->pools.first_declared; i >= 0; i = sample->pools.rows[i].next)
			appendStringInfo(&names, ", pool:%s",
							 pooldiag_text_clean(sample->pools.rows[i].def.name));
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("there is no breaker called \"%s\"", breaker),
					errhint("There are: %s.", names.data)));
}

static void
order(FunctionCallInfo fcinfo, PoolDiagOrder what, int64 duration_ms)
{
	PoolDiagOrdered ordered;
	char *breaker;

	pooldiag_shared_require();
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("\"breaker\" must not be null"),
				 errhint("The view pooldiag.breakers shows which there are.")));
	breaker = text_to_cstring(PG_GETARG_TEXT_PP(0));
	memset(&ordered, 0, sizeof(ordered));
	if (strlcpy(ordered.breaker, breaker, sizeof(ordered.breaker)) >= sizeof(ordered.breaker))
		refuse_breaker(breaker);
	ordered.order = what;
	ordered.duration_ms = duration_ms;
	switch (pooldiag_orders_give(&ordered, POOLDIAG_TICK_TIMEOUT_MS))
	{
		case POOLDIAG_OBEYED:
			return;
		case POOLDIAG_OBEYED_NO_BREAKER:
			refuse_breaker(breaker);
			return;
		case POOLDIAG_OBEYED_NOT_YET:
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the sampler did not answer within %d seconds",
							POOLDIAG_TICK_TIMEOUT_MS / 1000),
					 errdetail("What was asked for may still be done, when it goes on."),
					 errhint("See the server's log for why the \"pooldiag sampler\" worker does "
							 "not run; it needs a free slot of \"max_worker_processes\".")));
	}
}

/* Closes a breaker, whatever its state, and begins to count its failures anew. */
Datum
pooldiag_breaker_reset(PG_FUNCTION_ARGS)
{
	order(fcinfo, POOLDIAG_ORDER_RESET, 0);
	PG_RETURN_VOID();
}

/* Opens a breaker until it is reset: a drill, a drain. */
Datum
pooldiag_breaker_force_open(PG_FUNCTION_ARGS)
{
	order(fcinfo, POOLDIAG_ORDER_FORCE_OPEN, 0);
	PG_RETURN_VOID();
}

/* Has a breaker do nothing until it is reset. */
Datum
pooldiag_breaker_disable(PG_FUNCTION_ARGS)
{
	order(fcinfo, POOLDIAG_ORDER_DISABLE, 0);
	PG_RETURN_VOID();
}

/* Milliseconds of an interval of up to 365 days, rounded up; a month has 30 days here. */
static int64
milliseconds(const Interval *interval)
{
	int64 days = interval->day + (int64) DAYS_PER_MONTH * interval->month;
	int64 us;

	/* Parts may be negative as long as the whole is not; what is added up below can't overflow then. */
	if (days < -366 || days > 366 || interval->time < -366 * USECS_PER_DAY ||
		interval->time > 366 * USECS_PER_DAY)
		return -1;
	us = interval->time + days * USECS_PER_DAY;
	if (us < 0 || us > 365 * USECS_PER_DAY)
		return -1;
	return (us + 999) / 1000;
}

/* Has a breaker raise no alert for so long. It goes on being evaluated and shown. */
Datum
pooldiag_breaker_silence(PG_FUNCTION_ARGS)
{
	int64 duration_ms = PG_ARGISNULL(1) ? -1 : milliseconds(PG_GETARG_INTERVAL_P(1));

	if (duration_ms < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"duration\" must be between 0 and 365 days"),
				 errhint("An interval of 0 ends a silence; to have a breaker never raise an alert, "
						 "state mode=metrics_only in pooldiag.breakers.")));
	order(fcinfo, POOLDIAG_ORDER_SILENCE, duration_ms);
	PG_RETURN_VOID();
}
