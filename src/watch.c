/*
 * watch.c
 *	  The breakers in the sampler: what they see, when they are evaluated, and who is told.
 *
 * With each tick the breakers observe the sample. They are evaluated once a second, by the monotonic clock: with the first
 * tick of each second, however many there are in it; between two ticks that are further apart than that, by what the last
 * one has seen, and by the connections that were refused meanwhile; and with a tick that somebody has asked for.
 *
 * The breaker of operations alone is evaluated with each try of the canary that has ended, or should have; and it says
 * whether there is to be one.
 *
 * The states of breakers are part of the sample (those of pools, of their rows), and outlive the sampler, not the server,
 * with it. What they have done is told when that sample has been published: by alerts.
 *
 * All else is the sampler's own memory.
 */
#include "postgres.h"

#include <math.h>

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "alerts.h"
#include "canary.h"
#include "capture.h"
#include "clock.h"
#include "flows.h"
#include "json.h"
#include "operation.h"
#include "orders.h"
#include "refusals.h"
#include "settings.h"
#include "shared.h"
#include "watch.h"

/* As many tries of the canary as are looked back at. */
#define CANARY_TRIES 32

/* Bytes that the number of an incident takes in the evidence, with the end of that. */
#define INCIDENT_MEMBER 40

/* What a breaker has done that is to be told. */
typedef struct News
{
	PoolDiagBreakerKind kind;
	int pool; /* its row, for that kind */
	PoolDiagBreakerEvent event;
	TimestampTz at;
	bool is_late; /* it has been so for some time, and nobody was told */
	bool opens;	  /* it has opened, which is an incident, whoever is told */
} News;

/*
 * Of incidents the newest few are kept: when many pools open at once, what is told of the server comes after them, and last
 * what is gravest.
 */
static const PoolDiagBreakerKind server_breakers[POOLDIAG_SERVER_BREAKERS] = {
	POOLDIAG_BREAKER_REFUSALS,	 POOLDIAG_BREAKER_SLOW_QUERIES, POOLDIAG_BREAKER_LEAKS,
	POOLDIAG_BREAKER_LOCK_WAITS, POOLDIAG_BREAKER_ERRORS,		POOLDIAG_BREAKER_SLOTS,
	POOLDIAG_BREAKER_OPERATIONS};

/* Of this tick. */
static double now_ms = 0;
static PoolDiagAged aged;

/* Since the last evaluation. */
static uint64 refused = 0;
static uint64 refused_by_reason[POOLDIAG_REASONS]; /* of them, those that are known one by one */
static int64 finished = 0;
static int64 failed = 0;
static bool is_counted = false; /* a tick has added to them */
static double next_evaluation = 0;
static uint32 canary_tries = 0; /* up to the one that was judged last */

/* What the evidence of the last evaluation is made of. */
static uint64 refused_now[POOLDIAG_REASONS];

static News *news =
	NULL; /* room for one a breaker, and for so many of one as there may be tries of the canary */
static int news_count = 0;
static MemoryContext context = NULL;

/* In a new sampler. */
void
pooldiag_watch_start(const PoolDiagSample *sample)
{
	news = MemoryContextAlloc(
		TopMemoryContext,
		sizeof(News) * (POOLDIAG_SERVER_BREAKERS + sample->pools.capacity + CANARY_TRIES));
	context = AllocSetContextCreate(TopMemoryContext, "pooldiag alerts", 0, 1024, 8192);
	next_evaluation = pooldiag_clock_ms();
	canary_tries = pooldiag_operation_outcomes(POOLDIAG_OPERATION_CANARY).count;
}

/* Puts the settings that this process has read in force; the states of breakers stay. */
void
pooldiag_watch_configure(PoolDiagSample *sample)
{
	PoolDiagBreakerDefaults defaults = pooldiag_settings_breaker_defaults();
	PoolDiagPools *pools = &sample->pools;
	int count;
	PoolDiagBreakerDef *defs = pooldiag_settings_breaker_defs(&count);

	for (int kind = 0; kind < POOLDIAG_SERVER_BREAKERS; kind++)
		pooldiag_breakers_configure(&sample->breakers[kind], (PoolDiagBreakerKind) kind, NULL, defs,
									count, &defaults);
	for (int i = pools->first_declared; i >= 0; i = pools->rows[i].next)
		pooldiag_breakers_configure(&pools->rows[i].watched, POOLDIAG_BREAKER_POOL,
									pools->rows[i].def.name, defs, count, &defaults);
	pfree(defs);
	/* A shorter interval takes effect at once. */
	next_evaluation = Min(next_evaluation, pooldiag_clock_ms() + pooldiag_evaluation_interval);
}

/* A tick begins. */
void
pooldiag_watch_begin(void)
{
	now_ms = pooldiag_clock_ms();
	memset(&aged, 0, sizeof(aged));
}

/* A connection of a pool with these limits; age is what was seen of its slot. */
void
pooldiag_watch_connection(PoolDiagAge *age, const PoolDiagBackend *backend,
						  const PoolDiagPoolLimits *limits)
{
	PoolDiagCounted counted = pooldiag_sample_counted(backend);

	pooldiag_ages_add(&aged, age, backend->pid, &counted, limits, (int64) now_ms);
}

static void
observe(PoolDiagSample *sample)
{
	PoolDiagWatched *breakers = sample->breakers;
	PoolDiagPools *pools = &sample->pools;

	pooldiag_breakers_observe_share(&breakers[POOLDIAG_BREAKER_SLOTS], sample->server.connections,
									pooldiag_backends_usable());
	pooldiag_breakers_observe(&breakers[POOLDIAG_BREAKER_SLOW_QUERIES], aged.slow);
	pooldiag_breakers_observe(&breakers[POOLDIAG_BREAKER_LEAKS], aged.leaks);
	pooldiag_breakers_observe(&breakers[POOLDIAG_BREAKER_LOCK_WAITS], sample->server.waiting);
	for (int i = pools->first_declared; i >= 0; i = pools->rows[i].next)
		pooldiag_breakers_observe_share(&pools->rows[i].watched, pools->rows[i].tally.connections,
										(double) pools->rows[i].limits.capacity);
}

/* So many connections were refused. */
void
pooldiag_watch_refused(uint64 count)
{
	refused += count;
}

/* One of them was refused for that reason. */
void
pooldiag_watch_refused_for(PoolDiagReason reason)
{
	refused_by_reason[reason]++;
}

static void
forget_counted(PoolDiagBreakerKind kind)
{
	if (kind == POOLDIAG_BREAKER_REFUSALS)
	{
		refused = 0;
		memset(refused_by_reason, 0, sizeof(refused_by_reason));
	}
	else if (kind == POOLDIAG_BREAKER_ERRORS)
	{
		finished = failed = 0;
		is_counted = false;
	}
}

/* Both are counted from one evaluation to the next, rather than seen in a sample. */
static void
observe_refused(PoolDiagSample *sample)
{
	memcpy(refused_now, refused_by_reason, sizeof(refused_now));
	pooldiag_breakers_observe(&sample->breakers[POOLDIAG_BREAKER_REFUSALS], (double) refused);
	forget_counted(POOLDIAG_BREAKER_REFUSALS);
}

static void
observe_errors(PoolDiagSample *sample)
{
	if (finished < POOLDIAG_ERRORS_LEAST)
		pooldiag_breakers_observe(&sample->breakers[POOLDIAG_BREAKER_ERRORS], NAN);
	else
		pooldiag_breakers_observe_share(&sample->breakers[POOLDIAG_BREAKER_ERRORS], (double) failed,
										(double) finished);
	forget_counted(POOLDIAG_BREAKER_ERRORS);
}

static void
add_news(PoolDiagWatched *watched, PoolDiagBreakerKind kind, int pool, PoolDiagBreakerEvent event,
		 const PoolDiagClocks *clocks)
{
	News *added = &news[news_count];

	added->event = pooldiag_breakers_tell(watched, event, clocks);
	added->kind = kind;
	added->pool = pool;
	added->at = clocks->now;
	added->is_late = added->event == POOLDIAG_BREAKER_OPENED && event != added->event;
	added->opens =
		event == POOLDIAG_BREAKER_OPENED && watched->mode != POOLDIAG_BREAKER_MODE_METRICS_ONLY;
	if (added->event != POOLDIAG_BREAKER_NOTHING || added->opens)
		news_count++;
}

/* Has the canary tried, or not, as its breaker stands, and says whether it should be: not where nobody could be let in. */
static void
steer_canary(const PoolDiagSample *sample)
{
	const PoolDiagWatched *watched = &sample->breakers[POOLDIAG_BREAKER_OPERATIONS];
	bool may_try =
		pooldiag_breaker_may_try(&watched->breaker, &watched->rules, (int64) pooldiag_clock_ms());

	pooldiag_canary_hold(!may_try);
	pooldiag_canary_expect(may_try && (!RecoveryInProgress() || HotStandbyActive()));
}

/*
 * The breaker of operations judges the tries of the canary that have ended since it was here last. True if there is
 * something to tell.
 */
bool
pooldiag_watch_canary(PoolDiagSample *sample, TimestampTz now)
{
	PoolDiagClocks clocks = {(int64) pooldiag_clock_ms(), now};
	PoolDiagOutcomes outcomes = pooldiag_operation_outcomes(POOLDIAG_OPERATION_CANARY);
	uint32 tries = Min(outcomes.count - canary_tries, CANARY_TRIES);
	PoolDiagWatched *watched = &sample->breakers[POOLDIAG_BREAKER_OPERATIONS];

	if (tries == 0)
		return false;
	canary_tries = outcomes.count;
	news_count = 0;
	while (tries-- > 0)
	{
		pooldiag_breakers_observe(watched, (outcomes.failed >> tries) & 1);
		add_news(watched, POOLDIAG_BREAKER_OPERATIONS, POOLDIAG_NO_POOL,
				 pooldiag_breakers_evaluate(watched, &clocks), &clocks);
	}
	steer_canary(sample);
	return news_count > 0;
}

static bool
is_due(bool asked)
{
	double interval = Min(pooldiag_sample_interval, pooldiag_evaluation_interval);

	if (now_ms + interval / 2 < next_evaluation)
		return asked;
	next_evaluation = Max(next_evaluation + pooldiag_evaluation_interval,
						  now_ms + pooldiag_evaluation_interval / 2.0);
	return true;
}

static bool
evaluate(PoolDiagSample *sample, TimestampTz now)
{
	PoolDiagClocks clocks = {(int64) now_ms, now};
	PoolDiagPools *pools = &sample->pools;

	for (int i = pools->first_declared; i >= 0; i = pools->rows[i].next)
	{
		PoolDiagWatched *watched = &pools->rows[i].watched;

		add_news(watched, POOLDIAG_BREAKER_POOL, i, pooldiag_breakers_evaluate(watched, &clocks),
				 &clocks);
	}
	for (int i = 0; i < POOLDIAG_SERVER_BREAKERS; i++)
	{
		PoolDiagBreakerKind kind = server_breakers[i];
		PoolDiagWatched *watched = &sample->breakers[kind];

		add_news(watched, kind, POOLDIAG_NO_POOL, pooldiag_breakers_evaluate(watched, &clocks),
				 &clocks);
	}
	steer_canary(sample);
	return news_count > 0;
}

/*
 * A tick has counted: the breakers see it, and are evaluated if that is due, or was asked for. True if there is something
 * to tell.
 */
bool
pooldiag_watch_evaluate(PoolDiagSample *sample, bool asked, TimestampTz now)
{
	int64 finished_in_tick;
	int64 failed_in_tick;

	pooldiag_flows_statements(&finished_in_tick, &failed_in_tick);
	finished += finished_in_tick;
	failed += failed_in_tick;
	is_counted = true;
	observe(sample);
	news_count = 0;
	if (!is_due(asked))
		return false;
	observe_refused(sample);
	observe_errors(sample);
	return evaluate(sample, now);
}

/* When the breakers are to be evaluated though there is no tick: a moment of the monotonic clock, in milliseconds. */
double
pooldiag_watch_due(void)
{
	return pooldiag_sample_interval > pooldiag_evaluation_interval ? next_evaluation : INFINITY;
}

/*
 * The same between two ticks. What no tick has seen since is as it was; refused connections are known without one. A share
 * of the statements that have ended says nothing of those that have ended since.
 */
bool
pooldiag_watch_evaluate_again(PoolDiagSample *sample, TimestampTz now)
{
	PoolDiagPools *pools = &sample->pools;

	now_ms = pooldiag_clock_ms();
	next_evaluation = now_ms + pooldiag_evaluation_interval;
	news_count = 0;
	for (int kind = 0; kind < POOLDIAG_SERVER_BREAKERS; kind++)
		if (kind != POOLDIAG_BREAKER_OPERATIONS && kind != POOLDIAG_BREAKER_REFUSALS &&
			kind != POOLDIAG_BREAKER_ERRORS)
			pooldiag_breakers_observe_again(&sample->breakers[kind]);
	for (int i = pools->first_declared; i >= 0; i = pools->rows[i].next)
		pooldiag_breakers_observe_again(&pools->rows[i].watched);
	observe_refused(sample);
	if (is_counted)
		observe_errors(sample);
	return evaluate(sample, now);
}

static PoolDiagWatched *
find(PoolDiagSample *sample, const char *breaker, PoolDiagBreakerKind *kind, int *pool)
{
	PoolDiagPools *pools = &sample->pools;
	char name[POOLDIAG_BREAKER_NAME_LEN];

	*pool = POOLDIAG_NO_POOL;
	for (int k = 0; k < POOLDIAG_SERVER_BREAKERS; k++)
	{
		*kind = (PoolDiagBreakerKind) k;
		pooldiag_breakers_name(*kind, NULL, name);
		if (strcmp(name, breaker) == 0)
			return &sample->breakers[k];
	}
	*kind = POOLDIAG_BREAKER_POOL;
	for (*pool = pools->first_declared; *pool >= 0; *pool = pools->rows[*pool].next)
	{
		pooldiag_breakers_name(*kind, pools->rows[*pool].def.name, name);
		if (strcmp(name, breaker) == 0)
			return &pools->rows[*pool].watched;
	}
	return NULL;
}

/*
 * Does what a session has ordered, if one has. True if so: then the sample is to be published, and that to be told
 * (pooldiag_watch_tell), before the session is.
 */
bool
pooldiag_watch_obey(PoolDiagSample *sample, TimestampTz now)
{
	PoolDiagClocks clocks = {(int64) pooldiag_clock_ms(), now};
	PoolDiagOrdered ordered;
	PoolDiagWatched *watched;
	PoolDiagBreakerKind kind;
	int pool;

	news_count = 0;
	if (!pooldiag_orders_take(&ordered))
		return false;
	watched = find(sample, ordered.breaker, &kind, &pool);
	if (watched == NULL)
	{
		pooldiag_orders_done(POOLDIAG_OBEYED_NO_BREAKER);
		return false;
	}
	if (ordered.order != POOLDIAG_ORDER_SILENCE)
		forget_counted(kind);
	add_news(watched, kind, pool,
			 pooldiag_breakers_obey(watched, ordered.order, ordered.duration_ms, &clocks), &clocks);
	steer_canary(sample);
	return true;
}

static bool
is_among(const char *name, const PoolDiagPoolDef *defs, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(defs[i].name, name) == 0)
			return true;
	return false;
}

/* Declared pools are about to be these. Of breakers that leave, and were told to be open, it is told that they are no more. */
void
pooldiag_watch_redeclare(const PoolDiagSample *sample, const PoolDiagPoolDef *defs, int count)
{
	const PoolDiagPools *pools = &sample->pools;

	for (int i = pools->first_declared; i >= 0; i = pools->rows[i].next)
	{
		const PoolDiagPool *pool = &pools->rows[i];
		PoolDiagAlert alert;

		if (pool->watched.told != POOLDIAG_TOLD_OPEN || is_among(pool->def.name, defs, count))
			continue;
		memset(&alert, 0, sizeof(alert));
		alert.at = GetCurrentTimestamp();
		alert.kind = POOLDIAG_BREAKER_POOL;
		alert.event = POOLDIAG_BREAKER_RESETS;
		alert.severity = POOLDIAG_INFO;
		alert.limit = pool->watched.limit;
		pooldiag_breakers_name(POOLDIAG_BREAKER_POOL, pool->def.name, alert.breaker);
		snprintf(alert.message, sizeof(alert.message),
				 "%s is no more: its pool is not declared any longer", alert.breaker);
		strlcpy(alert.evidence, "{}", sizeof(alert.evidence));
		pooldiag_alerts_raise(&alert);
	}
}

static PoolDiagSeverity
severity_of(const News *of)
{
	switch (of->event)
	{
		case POOLDIAG_BREAKER_OPENED:
		case POOLDIAG_BREAKER_REOPENED:
			return of->kind == POOLDIAG_BREAKER_SLOTS || of->kind == POOLDIAG_BREAKER_REFUSALS ||
						   of->kind == POOLDIAG_BREAKER_OPERATIONS
					   ? POOLDIAG_CRITICAL
					   : POOLDIAG_WARNING;
		case POOLDIAG_BREAKER_FORCED:
			return POOLDIAG_WARNING;
		default:
			return POOLDIAG_INFO;
	}
}

static const char *
plural(int64 count)
{
	return count == 1 ? "" : "s";
}

/* What the breaker saw when it was evaluated last: in words, and as the members of a JSON object. */
static void
describe(const News *of, const PoolDiagWatched *watched, StringInfo words, StringInfo json)
{
	double value = watched->value;
	double limit = watched->limit;
	PoolDiagOperationFigures canary;
	int64 count;
	int64 part = (int64) watched->part;
	int64 whole = (int64) watched->whole;

	if (!watched->evaluated || isnan(value))
		return;
	count = (int64) value; /* of those that count */
	switch (of->kind)
	{
		case POOLDIAG_BREAKER_SLOTS:
			appendStringInfo(words,
							 INT64_FORMAT " of " INT64_FORMAT
										  " usable slots are taken (%.1f %%, limit %g %%)",
							 part, whole, value, limit);
			pooldiag_json_int(json, "connections", part);
			pooldiag_json_int(json, "usable_slots", whole);
			break;
		case POOLDIAG_BREAKER_POOL:
			appendStringInfo(words,
							 INT64_FORMAT " connection%s of a capacity of " INT64_FORMAT
										  " (%.1f %%, limit %g %%)",
							 part, plural(part), whole, value, limit);
			pooldiag_json_int(json, "connections", part);
			pooldiag_json_int(json, "capacity", whole);
			break;
		case POOLDIAG_BREAKER_REFUSALS:
			appendStringInfo(words,
							 INT64_FORMAT " connection%s refused since the evaluation before "
										  "(limit %g)",
							 count, count == 1 ? " was" : "s were", limit);
			pooldiag_json_int(json, "refused", count);
			pooldiag_json_begin(json, "by_reason", '{');
			for (int reason = 0; reason < POOLDIAG_REASONS; reason++)
				if (refused_now[reason] > 0)
					pooldiag_json_int(json, pooldiag_refusals_reason(reason),
									  (int64) refused_now[reason]);
			pooldiag_json_end(json, '}');
			break;
		case POOLDIAG_BREAKER_SLOW_QUERIES:
			appendStringInfo(words,
							 INT64_FORMAT " statement%s running past the threshold (limit %g)",
							 count, count == 1 ? " is" : "s are", limit);
			pooldiag_json_int(json, "statements", count);
			pooldiag_json_number(json, "longest_seconds", (double) aged.slowest_ms / 1e3, 1);
			break;
		case POOLDIAG_BREAKER_LEAKS:
			appendStringInfo(words,
							 INT64_FORMAT " connection%s idle in transaction past the threshold "
										  "(limit %g)",
							 count, count == 1 ? " is" : "s are", limit);
			pooldiag_json_int(json, "connections", count);
			pooldiag_json_number(json, "longest_seconds", (double) aged.oldest_leak_ms / 1e3, 1);
			break;
		case POOLDIAG_BREAKER_LOCK_WAITS:
			appendStringInfo(words, INT64_FORMAT " session%s for locks (limit %g)", count,
							 count == 1 ? " waits" : "s wait", limit);
			pooldiag_json_int(json, "sessions", count);
			break;
		case POOLDIAG_BREAKER_ERRORS:
			appendStringInfo(words,
							 INT64_FORMAT " of " INT64_FORMAT
										  " statements have failed (%.1f %%, limit %g %%)",
							 part, whole, value, limit);
			pooldiag_json_int(json, "failed", part);
			pooldiag_json_int(json, "finished", whole);
			break;
		case POOLDIAG_BREAKER_OPERATIONS:
			pooldiag_operation_read(POOLDIAG_OPERATION_CANARY, &canary);
			appendStringInfo(words, "the canary's last try has %s",
							 count > 0 ? "failed" : "succeeded");
			if (count > 0)
				appendStringInfo(words, ": %.150s", canary.last_error);
			pooldiag_json_int(json, "consecutive_failures", watched->breaker.consecutive_failures);
			pooldiag_json_number(json, "last_ms", canary.last_ms, 1);
			break;
	}
}

static void
describe_for(const News *of, const PoolDiagWatched *watched, StringInfo words, StringInfo json)
{
	/* What it sees now is not what opened it. */
	if (of->is_late)
	{
		appendStringInfoString(words, "while it was silenced, and has not closed since");
		pooldiag_json_time(json, "opened_at", watched->opened_at);
	}
	else
		describe(of, watched, words, json);
}

/* Takes an incident, and raises an alert, for each of the news, from a sample that has been published. */
void
pooldiag_watch_tell(const PoolDiagSample *sample)
{
	static const char *const phrases[POOLDIAG_BREAKER_EVENTS] = {
		[POOLDIAG_BREAKER_OPENED] = "opened",
		[POOLDIAG_BREAKER_HALF_OPENED] = "is half open: it is tried again",
		[POOLDIAG_BREAKER_CLOSES] = "closed",
		[POOLDIAG_BREAKER_REOPENED] = "opened again",
		[POOLDIAG_BREAKER_FORCED] = "was forced open",
		[POOLDIAG_BREAKER_DISABLES] = "was disabled",
		[POOLDIAG_BREAKER_RESETS] = "was reset",
	};
	MemoryContext before = MemoryContextSwitchTo(context);

	for (int i = 0; i < news_count; i++)
	{
		const News *of = &news[i];
		const PoolDiagWatched *watched = of->pool == POOLDIAG_NO_POOL
											 ? &sample->breakers[of->kind]
											 : &sample->pools.rows[of->pool].watched;
		const char *pool =
			of->pool == POOLDIAG_NO_POOL ? "" : sample->pools.rows[of->pool].def.name;
		PoolDiagAlert alert;
		StringInfoData words;
		StringInfoData json;
		int64 incident = 0;

		if (of->opens)
			incident = pooldiag_capture_take(sample, of->kind, of->pool, refused_now, of->at);
		if (of->event == POOLDIAG_BREAKER_NOTHING)
			continue;
		memset(&alert, 0, sizeof(alert));
		alert.at = of->at;
		alert.kind = of->kind;
		alert.event = of->event;
		alert.severity = severity_of(of);
		alert.has_value = watched->evaluated && !isnan(watched->value);
		alert.value = alert.has_value ? watched->value : 0;
		alert.limit = watched->limit;
		pooldiag_breakers_name(of->kind, pool, alert.breaker);
		initStringInfo(&words);
		initStringInfo(&json);
		pooldiag_json_begin(&json, NULL, '{');
		describe_for(of, watched, &words, &json);
		if (incident != 0 && json.len + INCIDENT_MEMBER < (int) sizeof(alert.evidence))
			pooldiag_json_int(&json, "incident", incident);
		pooldiag_json_end(&json, '}');
		snprintf(alert.message, sizeof(alert.message), "%s %s%s%s", alert.breaker,
				 phrases[of->event], words.len > 0 ? ": " : "", words.data);
		strlcpy(alert.evidence, json.data, sizeof(alert.evidence));
		pooldiag_alerts_raise(&alert);
	}
	news_count = 0;
	MemoryContextSwitchTo(before);
	MemoryContextReset(context);
}
