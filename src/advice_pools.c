/*
 * advice_pools.c
 *	  Rules on the size of pools, and on what becomes of their connections.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"

#include "advice_pools.h"
#include "compat.h"
#include "thresholds.h"

static const PoolDiagPool *
row_of(const PoolDiagSample *sample, int pool)
{
	return &sample->pools.rows[pool];
}

/* ---------------------------------------------------------------- pool_exceeds_server ------------ */

/* What all declared pools may open. */
int64
pooldiag_advice_declared_capacity(const PoolDiagPools *pools)
{
	int64 capacity = 0;

	for (int i = pools->first_declared; i >= 0; i = pools->rows[i].next)
		capacity += pools->rows[i].limits.capacity;
	return capacity;
}

bool
pooldiag_advice_pools_exceed_server(const PoolDiagSample *sample, int pool)
{
	return pooldiag_advice_declared_capacity(&sample->pools) > pooldiag_backends_usable();
}

void
pooldiag_advice_pool_exceeds_server(PoolDiagCase *c, int pool)
{
	const PoolDiagPools *pools = &c->live->sample->pools;
	int64 capacity = pooldiag_advice_declared_capacity(pools);
	int usable = pooldiag_backends_usable();
	StringInfoData json;
	PoolDiagAdvice *added = pooldiag_advice_on(c, POOLDIAG_WARNING, pool, &json);

	added->title = psprintf("The declared pools may open " INT64_FORMAT
							" connections; the server has %d usable slots",
							capacity, usable);
	pooldiag_json_int(&json, "capacity", capacity);
	pooldiag_json_int(&json, "usable_slots", usable);
	pooldiag_json_begin(&json, "pools", '{');
	for (int i = pools->first_declared; i >= 0; i = pools->rows[i].next)
		pooldiag_json_int(&json, pools->rows[i].def.name, pools->rows[i].limits.capacity);
	pooldiag_json_end(&json, '}');
	pooldiag_advice_done(added, &json);
	added->advice = "When all of them fill up at once, some clients are turned away, and it need "
					"not be those of the pool that is at fault. Lower sizes or overflows until the "
					"capacities (instances * (size + max_overflow)) fit, or give the server more "
					"slots.";
	/* No server has as many slots as that; then the sizes have to come down. */
	if (capacity > MAX_BACKENDS / 2)
		added->remedy = "SELECT pool, instances, size, max_overflow, capacity "
						"FROM pooldiag.pools WHERE declared ORDER BY capacity DESC;";
	else
		added->remedy = psprintf("ALTER SYSTEM SET max_connections = " INT64_FORMAT
								 "; -- takes effect when the server is restarted",
								 capacity + pooldiag_backends_reserved());
}

/* ---------------------------------------------------------------- pool_saturated ----------------- */

static int64
saturated_ms(const PoolDiagSample *sample, int pool)
{
	TimestampTz since = row_of(sample, pool)->saturated_since;

	return since == 0 ? -1 : (sample->at - since) / 1000;
}

bool
pooldiag_advice_pool_is_saturated(const PoolDiagSample *sample, int pool)
{
	const PoolDiagPool *row = row_of(sample, pool);

	return row->declared && pooldiag_tally_checked_out(&row->tally) >= row->limits.capacity &&
		   saturated_ms(sample, pool) >= Min(POOLDIAG_SATURATED_MS, row->limits.timeout_ms);
}

void
pooldiag_advice_pool_saturated(PoolDiagCase *c, int pool)
{
	const PoolDiagPool *row = row_of(c->live->sample, pool);
	const PoolDiagPoolLimits *limits = &row->limits;
	int checked_out = pooldiag_tally_checked_out(&row->tally);
	int held = row->tally.by_state[POOLDIAG_IDLE_IN_TRANSACTION] +
			   row->tally.by_state[POOLDIAG_IDLE_IN_TRANSACTION_ABORTED];
	int64 ms = saturated_ms(c->live->sample, pool);
	bool past_timeout = ms >= limits->timeout_ms;
	PoolDiagNamed named;
	StringInfoData json;
	PoolDiagAdvice *added =
		pooldiag_advice_on(c, past_timeout ? POOLDIAG_CRITICAL : POOLDIAG_WARNING, pool, &json);

	added->title = psprintf("All " INT64_FORMAT " connections of pool %s have been checked out for "
							"%.0f s%s",
							limits->capacity, added->subject, ms / 1e3,
							past_timeout ? ", longer than its clients wait for one" : "");
	pooldiag_json_int(&json, "checked_out", checked_out);
	pooldiag_json_int(&json, "capacity", limits->capacity);
	pooldiag_json_number(&json, "saturated_seconds", ms / 1e3, 1);
	pooldiag_json_number(&json, "timeout_seconds", limits->timeout_ms / 1e3, 3);
	pooldiag_json_int(&json, "idle_in_transaction", held);
	if (held * 2 >= checked_out)
	{
		pooldiag_named_idle(&named, c, pool, true, -1);
		pooldiag_named_put(&named, &json);
		added->advice = "Most of them are idle in transaction: the application holds them and does "
						"something else. A larger pool would be held in the same way. End the "
						"transactions that nobody works in, and commit before anything slow that "
						"is not the database.";
		added->remedy =
			pooldiag_named_end(&named, "pg_terminate_backend", "state LIKE 'idle in transaction%'");
	}
	else
	{
		added->advice =
			psprintf("They are at work, and who asks the pool for another one waits, up to its "
					 "timeout of %.0f s. See pooldiag.slow_queries and pooldiag.blocking for what "
					 "keeps them; if they are all needed, set a larger size in the application "
					 "(DB_POOL_SIZE), and tell pooldiag of it with this.",
					 limits->timeout_ms / 1e3);
		added->remedy = pooldiag_advice_set_pool(
			c, pool, psprintf("size => %d", limits->size + Max(limits->size / 2, 1)));
	}
	pooldiag_advice_done(added, &json);
}

/* ---------------------------------------------------------------- pool_oversized ----------------- */

static double
most_checked_out(const PoolDiagPool *row)
{
	double size = (double) row->limits.size * row->limits.instances;
	double most = Max(row->past.most_utilization, 0) * size / 100;

	return ceil(Max(most, pooldiag_tally_checked_out(&row->tally)) - 0.01);
}

bool
pooldiag_advice_pool_is_oversized(const PoolDiagSample *sample, int pool)
{
	const PoolDiagPool *row = row_of(sample, pool);
	int64 size = (int64) row->limits.size * row->limits.instances;

	return row->declared && size >= POOLDIAG_OVERSIZED_POOL_LEAST &&
		   row->past.known_seconds >= POOLDIAG_OVERSIZED_HOURS * 3600.0 &&
		   most_checked_out(row) * 100 <= (double) size * POOLDIAG_OVERSIZED_PERCENT;
}

void
pooldiag_advice_pool_oversized(PoolDiagCase *c, int pool)
{
	const PoolDiagPool *row = row_of(c->live->sample, pool);
	int64 size = (int64) row->limits.size * row->limits.instances;
	double most = most_checked_out(row);
	int enough = (int) ceil(most * POOLDIAG_OVERSIZED_ROOM_PERCENT / 100 / row->limits.instances);
	StringInfoData json;
	PoolDiagAdvice *added = pooldiag_advice_on(c, POOLDIAG_INFO, pool, &json);

	enough = Min(Max(enough, POOLDIAG_OVERSIZED_POOL_FLOOR), row->limits.size);
	added->title = psprintf("Pool %s keeps " INT64_FORMAT
							" connections, and used at most %.0f at once in %.1f days",
							added->subject, size, most, row->past.known_seconds / 86400);
	pooldiag_json_int(&json, "size", row->limits.size);
	pooldiag_json_int(&json, "instances", row->limits.instances);
	pooldiag_json_number(&json, "most_checked_out", most, 0);
	pooldiag_json_number(&json, "known_seconds", row->past.known_seconds, 0);
	pooldiag_advice_done(added, &json);
	added->advice = psprintf("Idle connections hold slots that others may need, and memory. Set a "
							 "size of %d in the application (DB_POOL_SIZE), of each of its "
							 "instances, which leaves as much room again as was ever used; then "
							 "tell pooldiag of it with this.",
							 enough);
	added->remedy = pooldiag_advice_set_pool(c, pool, psprintf("size => %d", enough));
}

/* ---------------------------------------------------------------- leak_growth -------------------- */

bool
pooldiag_advice_pool_grows(const PoolDiagSample *sample, int pool)
{
	const PoolDiagPool *row = row_of(sample, pool);
	const PoolDiagGrowth *growth = &row->past.growth;

	/* They may have been dealt with since. */
	return growth->grows &&
		   row->tally.connections >= growth->connections_from + POOLDIAG_GROWTH_LEAST_CONNECTIONS;
}

void
pooldiag_advice_leak_growth(PoolDiagCase *c, int pool)
{
	const PoolDiagPool *row = row_of(c->live->sample, pool);
	const PoolDiagGrowth *growth = &row->past.growth;
	int surplus = row->tally.connections - (int) growth->connections_from;
	PoolDiagNamed named;
	StringInfoData json;
	PoolDiagAdvice *added = pooldiag_advice_on(c, POOLDIAG_WARNING, pool, &json);

	pooldiag_named_idle(&named, c, pool, false, surplus);
	added->title = psprintf("Connections of pool %s have risen from %.0f to %d in an hour, and "
							"what they do has not",
							added->subject, growth->connections_from, row->tally.connections);
	pooldiag_json_number(&json, "connections_an_hour_ago", growth->connections_from, 1);
	pooldiag_json_int(&json, "connections", row->tally.connections);
	pooldiag_json_number(&json, "xact_rate_an_hour_ago", growth->xacts_from, 3);
	pooldiag_json_number(&json, "xact_rate", growth->xacts_to, 3);
	pooldiag_named_put(&named, &json);
	pooldiag_advice_done(added, &json);
	added->advice =
		"Each took a connection that never came back to the pool: a code path, often of "
		"an error, that doesn't close its session, or processes that are started and "
		"never end. See which of them idle in pooldiag.connections, and since when. "
		"This ends those that have idled longest, which wins time; the code has to be "
		"found.";
	added->remedy = pooldiag_named_end(&named, "pg_terminate_backend", "state = 'idle'");
	if (added->remedy == NULL)
		added->remedy = psprintf("SELECT pid, state, state_age, query FROM pooldiag.connections\n"
								 "WHERE pool = %s ORDER BY state_age DESC;",
								 pooldiag_advice_pool_literal(c, pool));
}

/* ---------------------------------------------------------------- connection_storm --------------- */

/* What is open on average, and what comes: the one divided by the other is how long it lives. */
static double
lifetime_seconds(const PoolDiagTrend *trend)
{
	double opened = (double) trend->flows[POOLDIAG_FLOW_OPENED];

	if (trend->ticks == 0 || opened <= 0)
		return 0;
	return (double) trend->connections / (double) trend->ticks * trend->seconds / opened;
}

bool
pooldiag_advice_pool_storms(const PoolDiagSample *sample, int pool)
{
	const PoolDiagTrend *trend = &row_of(sample, pool)->trend;
	int64 opened = trend->flows[POOLDIAG_FLOW_OPENED];
	double window = Max(trend->seconds, sample->settings.window_ms / 1e3);

	return opened >= POOLDIAG_STORM_LEAST && (double) opened >= POOLDIAG_STORM_RATE * window &&
		   lifetime_seconds(trend) <= POOLDIAG_STORM_LIFETIME_SECONDS;
}

void
pooldiag_advice_connection_storm(PoolDiagCase *c, int pool)
{
	const PoolDiagTrend *trend = &row_of(c->live->sample, pool)->trend;
	int64 opened = trend->flows[POOLDIAG_FLOW_OPENED];
	double rate = (double) opened / trend->seconds;
	StringInfoData json;
	PoolDiagAdvice *added = pooldiag_advice_on(c, POOLDIAG_WARNING, pool, &json);

	added->title = psprintf("Pool %s opens %.1f connections a second, each for %.1f s",
							added->subject, rate, lifetime_seconds(trend));
	pooldiag_json_int(&json, "opened", opened);
	pooldiag_json_int(&json, "closed", trend->flows[POOLDIAG_FLOW_CLOSED]);
	pooldiag_json_number(&json, "window_seconds", trend->seconds, 1);
	pooldiag_json_number(&json, "open_rate", rate, 3);
	pooldiag_json_number(&json, "lifetime_seconds", lifetime_seconds(trend), 3);
	pooldiag_json_number(&json, "xacts_per_session",
						 (double) trend->flows[POOLDIAG_FLOW_XACTS] / (double) opened, 1);
	pooldiag_advice_done(added, &json);
	added->advice = "Each connection costs a process, an authentication and cold caches before its "
					"first statement. Have the application keep its connections (a pool that "
					"outlives the request, no overflow that opens and closes all the time, no "
					"NullPool), or put a pooler in transaction mode in front. This shows how long "
					"it takes to connect, and what the sessions do then.";
	added->remedy =
		psprintf("SELECT pool, open_rate, lifetime_p50_ms, connect_p50_ms, connect_p95_ms,\n"
				 "  xacts_per_session FROM pooldiag.churn WHERE pool = %s;",
				 pooldiag_advice_pool_literal(c, pool));
}

/* ---------------------------------------------------------------- not_recycled ------------------- */

bool
pooldiag_advice_pool_is_unrecycled(const PoolDiagSample *sample, int pool)
{
	const PoolDiagPool *row = row_of(sample, pool);

	return row->declared && row->tally.unrecycled > 0;
}

void
pooldiag_advice_not_recycled(PoolDiagCase *c, int pool)
{
	const PoolDiagLive *live = c->live;
	const PoolDiagPool *row = row_of(live->sample, pool);
	int unrecycled = row->tally.unrecycled;
	TimestampTz oldest = live->now;
	PoolDiagNamed named;
	StringInfoData json;
	PoolDiagAdvice *added = pooldiag_advice_on(c, POOLDIAG_INFO, pool, &json);

	pooldiag_named_begin(&named, POOLDIAG_BY_START);
	for (int i = 0; i < live->count; i++)
	{
		const PoolDiagBackend *backend = &live->connections[i].backend;
		PoolDiagCounted counted = pooldiag_sample_counted(backend);

		if (live->connections[i].pool != pool || !pooldiag_is_unrecycled(&counted, &row->limits))
			continue;
		oldest = Min(oldest, backend->backend_start);
		pooldiag_named_add(&named, backend,
						   pooldiag_seconds_since(backend->backend_start, live->now));
	}
	added->title = psprintf("%d connection%s of pool %s %s used when %s older than its recycle of "
							"%.0f s",
							unrecycled, pooldiag_plural(unrecycled), added->subject,
							unrecycled == 1 ? "was" : "were",
							unrecycled == 1 ? "it was" : "they were", row->limits.recycle_ms / 1e3);
	pooldiag_json_int(&json, "connections", unrecycled);
	pooldiag_json_number(&json, "recycle_seconds", row->limits.recycle_ms / 1e3, 3);
	pooldiag_json_number(&json, "oldest_seconds", pooldiag_seconds_since(oldest, live->now), 1);
	pooldiag_named_put(&named, &json);
	pooldiag_advice_done(added, &json);
	added->advice = "The application should have replaced them: its pool_recycle is not what "
					"pooldiag.pools says, or the pool doesn't know the setting. Old connections "
					"keep the memory of everything that they ever cached, and stay on a server "
					"that others have left after a failover. This ends those that are idle; a pool "
					"with pool_pre_ping opens new ones unnoticed.";
	added->remedy = pooldiag_named_end(&named, "pg_terminate_backend", "state = 'idle'");
}

/* ---------------------------------------------------------------- held_while_idle ---------------- */

/* Connections held idle on average in the window. */
static double
held_connections(const PoolDiagTrend *trend)
{
	if (trend->seconds <= 0)
		return 0;
	return (double) trend->flows[POOLDIAG_FLOW_HOLD_IDLE_US] / 1e6 / trend->seconds;
}

bool
pooldiag_advice_pool_holds_idle(const PoolDiagSample *sample, int pool)
{
	const PoolDiagTrend *trend = &row_of(sample, pool)->trend;

	return trend->flows[POOLDIAG_FLOW_XACTS] >= POOLDIAG_HELD_LEAST_XACTS &&
		   held_connections(trend) >= POOLDIAG_HELD_LEAST_CONNECTIONS &&
		   trend->flows[POOLDIAG_FLOW_HOLD_IDLE_US] * 100 >=
			   trend->flows[POOLDIAG_FLOW_HOLD_US] * POOLDIAG_HELD_IDLE_PERCENT;
}

void
pooldiag_advice_held_while_idle(PoolDiagCase *c, int pool)
{
	const PoolDiagPool *row = row_of(c->live->sample, pool);
	const PoolDiagTrend *trend = &row->trend;
	double hold_us = (double) trend->flows[POOLDIAG_FLOW_HOLD_US];
	double idle_us = (double) trend->flows[POOLDIAG_FLOW_HOLD_IDLE_US];
	double xacts = (double) trend->flows[POOLDIAG_FLOW_XACTS];
	double of = row->declared ? (double) row->limits.size * row->limits.instances
							  : pooldiag_backends_usable();
	bool much = held_connections(trend) * 100 >= of * POOLDIAG_HELD_WARNING_PERCENT;
	StringInfoData json;
	PoolDiagAdvice *added =
		pooldiag_advice_on(c, much ? POOLDIAG_WARNING : POOLDIAG_INFO, pool, &json);

	added->title = psprintf("Pool %s holds its connections idle in transaction for %.0f %% of the "
							"time that they are checked out",
							added->subject, 100 * idle_us / hold_us);
	pooldiag_json_int(&json, "xacts", trend->flows[POOLDIAG_FLOW_XACTS]);
	pooldiag_json_number(&json, "window_seconds", trend->seconds, 1);
	pooldiag_json_number(&json, "hold_mean_ms", hold_us / xacts / 1e3, 3);
	pooldiag_json_number(&json, "hold_idle_mean_ms", idle_us / xacts / 1e3, 3);
	pooldiag_json_number(&json, "hold_efficiency_percent", 100 - 100 * idle_us / hold_us, 1);
	pooldiag_json_number(&json, "held_idle_connections", held_connections(trend), 2);
	pooldiag_advice_done(added, &json);
	added->advice = "The application does other work inside its transactions: it calls a service, "
					"renders, or streams an answer, while a connection waits for it. Commit before "
					"that and write afterwards, off the request's path (in a task of its own); or "
					"read everything first. What is held less is needed less: the pool serves more "
					"with the same size. This shows after which statements it does so, at this "
					"moment.";
	added->remedy = psprintf("SELECT pid, state_age, xact_age, query FROM pooldiag.connections\n"
							 "WHERE pool = %s AND state = 'idle in transaction' ORDER BY state_age "
							 "DESC;",
							 pooldiag_advice_pool_literal(c, pool));
}
