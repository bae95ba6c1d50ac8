/*
 * exposition.c
 *	  What monitoring systems collect: all metrics, as text.
 *
 * Written from what its caller sees and from shared memory, without a catalog, a transaction, or a lock that a
 * session can hold while it waits: a worker may write it as well as a session. Families whose figures only the sampler,
 * or a server that was started with pooldiag, has are left out without it.
 *
 * Units are base units: seconds, bytes. Labels have what the views show: names of pools, of which there is a bounded
 * number, reasons, states, wait events. No text of a statement is in it.
 */
#include "postgres.h"

#include <math.h>

#include "access/xlog.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advisor.h"
#include "alerts.h"
#include "canary.h"
#include "clock.h"
#include "compat.h"
#include "exposition.h"
#include "exposition_pools.h"
#include "health.h"
#include "layout.h"
#include "openmetrics.h"
#include "operation.h"
#include "refusals.h"
#include "shared.h"
#include "traffic.h"
#include "version.h"
#include "wait_names.h"

PG_FUNCTION_INFO_V1(pooldiag_metrics);

/* About how many bytes there are, and of each pool: so that what has been written need not be copied to a larger place. */
#define FIXED_BYTES 32768
#define POOL_BYTES 12288

static const char *const statuses[] = {"starting", "healthy", "degraded", "unhealthy"};

static void
put_bytes(void *to, const char *bytes, size_t length)
{
	appendBinaryStringInfo(to, bytes, (int) length);
}

static void
gauge(PoolDiagMetrics *metrics, const char *name, int64 value, const char *help)
{
	pooldiag_metrics_family(metrics, name, POOLDIAG_METRIC_GAUGE, NULL, help);
	pooldiag_metrics_int(metrics, NULL, value);
}

static void
counter(PoolDiagMetrics *metrics, const char *name, int64 value, const char *help)
{
	pooldiag_metrics_family(metrics, name, POOLDIAG_METRIC_COUNTER, NULL, help);
	pooldiag_metrics_int(metrics, NULL, value);
}

static void
seconds(PoolDiagMetrics *metrics, const char *name, PoolDiagMetricType type, int64 us,
		const char *help)
{
	pooldiag_metrics_family(metrics, name, type, "seconds", help);
	pooldiag_metrics_seconds(metrics, NULL, us);
}

/* ---------------------------------------------------------------- the server --------------------- */

static void
write_health(PoolDiagMetrics *metrics, const PoolDiagLive *live, const List *advice)
{
	const char *status = pooldiag_health_status(live, advice);
	PoolDiagLabels labels = {0};
	int current = 0;

	while (strcmp(statuses[current], status) != 0)
		current++;
	pooldiag_metrics_family(metrics, "pooldiag_build", POOLDIAG_METRIC_INFO, NULL,
							"Versions of pooldiag and of the server.");
	pooldiag_labels_add(&labels, "version", POOLDIAG_VERSION);
	pooldiag_labels_add(&labels, "server_version", PG_VERSION);
	pooldiag_metrics_info(metrics, &labels);
	seconds(metrics, "pooldiag_server_start_time_seconds", POOLDIAG_METRIC_GAUGE,
			PgStartTime + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY,
			"When the server was started, since 1970-01-01 UTC.");
	gauge(metrics, "pooldiag_server_in_recovery", RecoveryInProgress(),
		  "1 on a standby and during recovery, else 0.");
	pooldiag_metrics_family(metrics, "pooldiag_health_status", POOLDIAG_METRIC_STATESET, NULL,
							"The status that health() has.");
	pooldiag_metrics_stateset(metrics, NULL, statuses, lengthof(statuses), current);
	gauge(metrics, "pooldiag_database_connected",
		  pooldiag_control == NULL || pooldiag_canary_is_well(),
		  "1 if the last try of the canary succeeded in time, else 0.");
}

static void
write_connections(PoolDiagMetrics *metrics, const PoolDiagLive *live)
{
	PoolDiagLabels labels = {0};

	pooldiag_metrics_family(
		metrics, "pooldiag_server_connections", POOLDIAG_METRIC_GAUGE, NULL,
		"Connections by state; masked: those that the caller may not look into.");
	for (int state = 0; state < POOLDIAG_STATES; state++)
	{
		labels.length = 0;
		pooldiag_labels_add(&labels, "state", pooldiag_state_name((PoolDiagState) state));
		pooldiag_metrics_int(metrics, &labels, live->sample->server.by_state[state]);
	}
	if (live->masked == 0)
		return;
	labels.length = 0;
	pooldiag_labels_add(&labels, "state", "masked");
	pooldiag_metrics_int(metrics, &labels, live->masked);
}

static void
write_server(PoolDiagMetrics *metrics, const PoolDiagLive *live)
{
	const PoolDiagTally *server = &live->sample->server;

	gauge(metrics, "pooldiag_server_max_connections", MaxConnections,
		  "Connection slots, reserved ones included.");
	gauge(metrics, "pooldiag_server_usable_slots", pooldiag_backends_usable(),
		  "Connection slots that an ordinary role can get.");
	gauge(metrics, "pooldiag_server_reserved_slots", pooldiag_backends_reserved(),
		  "Connection slots that are reserved.");
	write_connections(metrics, live);
	gauge(metrics, "pooldiag_server_overflow_connections",
		  pooldiag_sample_reserved_used(server->connections),
		  "Connections beyond the usable slots.");
	gauge(metrics, "pooldiag_server_waiting_connections", server->waiting,
		  "Connections that wait for a heavyweight lock.");
	gauge(metrics, "pooldiag_server_leak_suspects", server->leaks,
		  "Connections idle in transaction for longer than their pool's leak.");
	gauge(metrics, "pooldiag_server_slow_statements", server->slow,
		  "Statements that have run for longer than their pool's slow.");
	gauge(metrics, "pooldiag_server_walsenders",
		  pooldiag_backends_occupied(POOLDIAG_SLOTS_WALSENDERS), "Walsenders.");
	gauge(metrics, "pooldiag_server_workers", pooldiag_backends_occupied(POOLDIAG_SLOTS_WORKERS),
		  "Background workers.");
	if (live->sampled)
		gauge(metrics, "pooldiag_server_peak_connections",
			  Max(live->sample->connections_peak.value, server->connections),
			  "The most connections that there were at once.");
}

/* ---------------------------------------------------------------- breakers ----------------------- */

/* A breaker, and what it is called. */
typedef struct Named
{
	const PoolDiagWatched *watched;
	PoolDiagLabels labels;
} Named;

/* Those that are there: none before the first sample. Names of pools as the metrics of pools have them. */
static Named *
find_breakers(const PoolDiagLive *live, const PoolDiagExposedPools *pools, int *count)
{
	Named *breakers = palloc0(sizeof(Named) * (POOLDIAG_SERVER_BREAKERS + pools->declared));
	char name[POOLDIAG_BREAKER_NAME_LEN];

	*count = 0;
	if (!live->sampled)
		return breakers;
	for (int kind = 0; kind < POOLDIAG_SERVER_BREAKERS; kind++)
	{
		Named *breaker = &breakers[(*count)++];

		pooldiag_breakers_name((PoolDiagBreakerKind) kind, NULL, name);
		breaker->watched = &live->sample->breakers[kind];
		pooldiag_labels_add(&breaker->labels, "breaker", name);
	}
	for (int i = 0; i < pools->declared; i++)
	{
		Named *breaker = &breakers[(*count)++];

		breaker->watched = &pools->pools[i].pool->watched;
		pooldiag_labels_add(&breaker->labels, "breaker", psprintf("pool:%s", pools->pools[i].name));
	}
	return breakers;
}

static void
write_breakers(PoolDiagMetrics *metrics, const PoolDiagLive *live,
			   const PoolDiagExposedPools *pools)
{
	const char *states[POOLDIAG_BREAKER_STATES];
	PoolDiagClocks clocks = {(int64) pooldiag_clock_ms(), live->now};
	int count;
	Named *breakers = find_breakers(live, pools, &count);

	for (int state = 0; state < POOLDIAG_BREAKER_STATES; state++)
		states[state] = pooldiag_breaker_state_name((PoolDiagBreakerState) state);
	pooldiag_metrics_family(metrics, "pooldiag_breaker_state", POOLDIAG_METRIC_STATESET, NULL,
							"The state of each circuit breaker.");
	for (int i = 0; i < count; i++)
		pooldiag_metrics_stateset(metrics, &breakers[i].labels, states, POOLDIAG_BREAKER_STATES,
								  (int) breakers[i].watched->breaker.state);
	pooldiag_metrics_family(
		metrics, "pooldiag_breaker_value", POOLDIAG_METRIC_GAUGE, NULL,
		"What a breaker saw last: percent or a number, as the view breakers has "
		"it; not there while it is not known.");
	for (int i = 0; i < count; i++)
		if (breakers[i].watched->evaluated && !isnan(breakers[i].watched->value))
			pooldiag_metrics_float(metrics, &breakers[i].labels, breakers[i].watched->value);
	pooldiag_metrics_family(metrics, "pooldiag_breaker_limit", POOLDIAG_METRIC_GAUGE, NULL,
							"From which value on an evaluation fails.");
	for (int i = 0; i < count; i++)
		pooldiag_metrics_float(metrics, &breakers[i].labels, breakers[i].watched->limit);
	pooldiag_metrics_family(metrics, "pooldiag_breaker_consecutive_failures", POOLDIAG_METRIC_GAUGE,
							NULL, "Evaluations in a row, up to the last one, that failed.");
	for (int i = 0; i < count; i++)
		pooldiag_metrics_int(metrics, &breakers[i].labels,
							 breakers[i].watched->breaker.consecutive_failures);
	pooldiag_metrics_family(
		metrics, "pooldiag_breaker_alerting", POOLDIAG_METRIC_GAUGE, NULL,
		"1 if a breaker raises alerts; 0 if it is of mode metrics_only, or silenced.");
	for (int i = 0; i < count; i++)
		pooldiag_metrics_int(metrics, &breakers[i].labels,
							 breakers[i].watched->mode != POOLDIAG_BREAKER_MODE_METRICS_ONLY &&
								 pooldiag_breakers_silenced_until(breakers[i].watched, &clocks) ==
									 0);
	pooldiag_metrics_family(metrics, "pooldiag_breaker_trips", POOLDIAG_METRIC_COUNTER, NULL,
							"How often a breaker went from closed to open.");
	for (int i = 0; i < count; i++)
		pooldiag_metrics_int(metrics, &breakers[i].labels,
							 (int64) breakers[i].watched->breaker.trips);
}

/* ---------------------------------------------------------------- what has happened -------------- */

static void
write_refusals(PoolDiagMetrics *metrics)
{
	pooldiag_metrics_family(metrics, "pooldiag_refused_connections", POOLDIAG_METRIC_COUNTER, NULL,
							"Connections that were turned away, by reason; sqlstate is empty where "
							"there are several for a reason.");
	for (int i = 0; i < POOLDIAG_REASONS; i++)
	{
		PoolDiagReason reason = (PoolDiagReason) i;
		int sqlstate = pooldiag_refusals_sqlstate(reason);
		PoolDiagLabels labels = {0};

		pooldiag_labels_add(&labels, "reason", pooldiag_refusals_reason(reason));
		pooldiag_labels_add(&labels, "sqlstate", sqlstate == 0 ? "" : unpack_sql_state(sqlstate));
		pooldiag_metrics_int(metrics, &labels,
							 (int64) pg_atomic_read_u64(&pooldiag_ledger->counters[i].refused));
	}
}

/* What connections were seen waiting for, by what that is called. */
typedef struct Wait
{
	const char *type;
	const char *event;
	uint64 samples;
} Wait;

static int
compare_waits(const void *left, const void *right)
{
	const Wait *a = left;
	const Wait *b = right;
	int order = strcmp(a->type, b->type);

	return order != 0 ? order : strcmp(a->event, b->event);
}

static void
write_waits(PoolDiagMetrics *metrics, const PoolDiagSample *sample)
{
	const PoolDiagWaits *waits = &sample->waits;
	Wait *found = palloc(sizeof(Wait) * POOLDIAG_WAIT_ROWS);
	int count = 0;

	/* A reset that the sampler has not come to yet leaves nothing to show. */
	for (int i = 0; sample->waits_resets == pooldiag_counters_resets() && i < POOLDIAG_WAIT_ROWS;
		 i++)
	{
		const PoolDiagWaitRow *row = &waits->rows[i];
		const char *type = pgstat_get_wait_event_type(row->event);
		const char *event = pooldiag_wait_name(row->event);

		if (!row->used)
			continue;
		if (type == NULL)
			type = event = "CPU";
		found[count++] = (Wait){type, event == NULL ? type : event, row->samples};
	}
	qsort(found, count, sizeof(Wait), compare_waits);
	pooldiag_metrics_family(metrics, "pooldiag_wait_samples", POOLDIAG_METRIC_COUNTER, NULL,
							"How often an active connection was seen waiting for that at a tick of "
							"the sampler; CPU: for nothing. What extensions have named goes by "
							"its type.");
	for (int i = 0; i < count; i++)
	{
		PoolDiagLabels labels = {0};
		uint64 samples = found[i].samples;

		/* Different events may have the same name. */
		for (; i + 1 < count && compare_waits(&found[i], &found[i + 1]) == 0; i++)
			samples += found[i + 1].samples;
		pooldiag_labels_add(&labels, "wait_event_type", found[i].type);
		pooldiag_labels_add(&labels, "wait_event", found[i].event);
		pooldiag_metrics_int(metrics, &labels, (int64) samples);
	}
}

static void
write_outcome(PoolDiagMetrics *metrics, const char *operation, const char *outcome, int64 runs)
{
	PoolDiagLabels labels = {0};

	pooldiag_labels_add(&labels, "operation", operation);
	pooldiag_labels_add(&labels, "outcome", outcome);
	pooldiag_metrics_int(metrics, &labels, runs);
}

static void
write_operations(PoolDiagMetrics *metrics)
{
	PoolDiagOperationFigures figures[POOLDIAG_OPERATIONS];
	PoolDiagLabels labels[POOLDIAG_OPERATIONS] = {0};

	pooldiag_metrics_family(
		metrics, "pooldiag_operation_runs", POOLDIAG_METRIC_COUNTER, NULL,
		"Tries of what pooldiag does that may wait or hang, by how they ended.");
	for (int i = 0; i < POOLDIAG_OPERATIONS; i++)
	{
		const char *name = pooldiag_operation_name((PoolDiagOperationKind) i);

		pooldiag_operation_read((PoolDiagOperationKind) i, &figures[i]);
		pooldiag_labels_add(&labels[i], "operation", name);
		write_outcome(metrics, name, "succeeded", figures[i].succeeded);
		write_outcome(metrics, name, "failed", figures[i].failed);
		write_outcome(metrics, name, "timed_out", figures[i].timed_out);
	}
	pooldiag_metrics_family(metrics, "pooldiag_operation_consecutive_failures",
							POOLDIAG_METRIC_GAUGE, NULL,
							"Tries in a row, up to the last one, that failed or timed out.");
	for (int i = 0; i < POOLDIAG_OPERATIONS; i++)
		pooldiag_metrics_int(metrics, &labels[i], figures[i].consecutive_failures);
	pooldiag_metrics_family(metrics, "pooldiag_operation_last_duration_seconds",
							POOLDIAG_METRIC_GAUGE, "seconds",
							"How long the last try took that has ended.");
	for (int i = 0; i < POOLDIAG_OPERATIONS; i++)
		if (figures[i].finished_at != 0)
			pooldiag_metrics_float(metrics, &labels[i], figures[i].last_ms / 1e3);
}

/* ---------------------------------------------------------------- advice and alerts -------------- */

static bool
is_same_finding(const PoolDiagAdvice *a, const PoolDiagAdvice *b)
{
	return a->severity == b->severity && strcmp(a->rule, b->rule) == 0;
}

static void
write_recommendations(PoolDiagMetrics *metrics, const List *advice)
{
	int count = list_length(advice);

	pooldiag_metrics_family(
		metrics, "pooldiag_recommendations", POOLDIAG_METRIC_GAUGE, NULL,
		"For how many subjects a rule of the view recommendations fires; one that "
		"fires for none is not there.");
	for (int i = 0; i < count; i++)
	{
		const PoolDiagAdvice *this = list_nth(advice, i);
		PoolDiagLabels labels = {0};
		bool counted = false;
		int subjects = 0;

		for (int other = 0; other < i && !counted; other++)
			counted = is_same_finding(this, list_nth(advice, other));
		if (counted || strcmp(this->rule, "all_clear") == 0)
			continue;
		for (int other = i; other < count; other++)
			subjects += is_same_finding(this, list_nth(advice, other));
		pooldiag_labels_add(&labels, "rule", this->rule);
		pooldiag_labels_add(&labels, "severity", pooldiag_severity_name(this->severity));
		pooldiag_metrics_int(metrics, &labels, subjects);
	}
}

/* ---------------------------------------------------------------- self --------------------------- */

static void
write_self(PoolDiagMetrics *metrics, const PoolDiagLive *live)
{
	const PoolDiagSelf *self = &live->sample->self;
	const PoolDiagPart *part;
	Size memory = 0;

	for (int i = 0; (part = pooldiag_layout_part(i)) != NULL; i++)
		memory += CACHELINEALIGN(part->size());
	pooldiag_metrics_family(metrics, "pooldiag_self_shared_memory_bytes", POOLDIAG_METRIC_GAUGE,
							"bytes", "Shared memory that pooldiag has.");
	pooldiag_metrics_int(metrics, NULL, (int64) memory);
	gauge(metrics, "pooldiag_self_sampler_silent", pooldiag_live_sampler_is_silent(live),
		  "1 if the sampler has been silent for ten intervals, else 0.");
	if (!live->sampled)
		return;
	counter(metrics, "pooldiag_self_ticks", (int64) self->ticks,
			"Ticks since the sampler's start.");
	counter(metrics, "pooldiag_self_ticks_missed", (int64) self->missed_ticks,
			"Ticks since the sampler's start that were due while something else ran.");
	seconds(metrics, "pooldiag_self_tick_cpu_seconds", POOLDIAG_METRIC_COUNTER,
			(int64) self->tick_total_us, "CPU time that ticks took, since the sampler's start.");
	seconds(metrics, "pooldiag_self_sampler_cpu_seconds", POOLDIAG_METRIC_COUNTER,
			(int64) (self->cpu_seconds * 1e6), "CPU time of the sampler's process.");
	seconds(metrics, "pooldiag_self_last_sample_age_seconds", POOLDIAG_METRIC_GAUGE,
			Max(0, live->now - live->sampled_at), "How long ago the last sample was taken.");
}

static void
write_http(PoolDiagMetrics *metrics)
{
	PoolDiagTraffic traffic;

	pooldiag_traffic_read(&traffic);
	pooldiag_metrics_family(
		metrics, "pooldiag_http_requests", POOLDIAG_METRIC_COUNTER, NULL,
		"Requests over HTTP, by path and status; other: paths at which there is "
		"nothing.");
	for (int path = 0; path < POOLDIAG_PATHS; path++)
		for (int which = 0; which < POOLDIAG_HTTP_STATUSES; which++)
		{
			int status;
			uint64 answers = pooldiag_traffic_answers((PoolDiagPath) path, which, &status);
			PoolDiagLabels labels = {0};

			if (answers == 0)
				continue;
			pooldiag_labels_add(&labels, "path", pooldiag_traffic_path((PoolDiagPath) path));
			pooldiag_labels_add(&labels, "code", psprintf("%d", status));
			pooldiag_metrics_int(metrics, &labels, (int64) answers);
		}
	gauge(metrics, "pooldiag_http_connections", traffic.connections,
		  "Connections of HTTP clients that are open.");
	counter(metrics, "pooldiag_http_connections_accepted", (int64) traffic.accepted,
			"Connections of HTTP clients that were accepted.");
	counter(metrics, "pooldiag_http_connections_dropped", (int64) traffic.dropped,
			"Connections of HTTP clients that took too long, or had to make way for others.");
}

/* Writes all metrics of what live and advice have, in one of the two formats. */
void
pooldiag_exposition_write(StringInfo out, PoolDiagLive *live, const List *advice, bool openmetrics)
{
	PoolDiagExposedPools pools = pooldiag_exposition_find_pools(live);
	PoolDiagMetrics metrics;
	char buffer[16384];

	enlargeStringInfo(out, FIXED_BYTES + pools.count * POOL_BYTES);
	pooldiag_metrics_begin(&metrics, openmetrics, buffer, sizeof(buffer), put_bytes, out);
	write_health(&metrics, live, advice);
	write_server(&metrics, live);
	pooldiag_exposition_write_pools(&metrics, live, &pools);
	write_breakers(&metrics, live, &pools);
	write_recommendations(&metrics, advice);
	if (pooldiag_control != NULL)
	{
		write_refusals(&metrics);
		if (live->sees_all)
			write_waits(&metrics, live->sample);
		write_operations(&metrics);
		counter(&metrics, "pooldiag_alerts", (int64) pooldiag_alerts_use().newest,
				"Alerts that were raised: the id of the newest one.");
		write_self(&metrics, live);
		write_http(&metrics);
	}
	pooldiag_metrics_end(&metrics);
}

/* text: the exposition, in the format openmetrics or prometheus. */
Datum
pooldiag_metrics(PG_FUNCTION_ARGS)
{
	char *format = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	bool openmetrics = format != NULL && strcmp(format, "openmetrics") == 0;
	PoolDiagLive *live;
	StringInfoData out;

	if (!openmetrics && (format == NULL || strcmp(format, "prometheus") != 0))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						format == NULL ? errmsg("\"format\" must not be null")
									   : errmsg("there is no format called \"%s\"", format),
						errhint("Formats are: openmetrics, prometheus.")));
	live = pooldiag_live_read(POOLDIAG_READ_XMIN);
	initStringInfo(&out);
	pooldiag_exposition_write(&out, live, pooldiag_advisor_advise(live), openmetrics);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
