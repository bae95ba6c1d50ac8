/*
 * health.c
 *	  The health documents: the guide's response, and its detailed superset.
 *
 * Written as JSON text from what a session sees, so that other ways out than SQL can use the same
 * code.
 */
#include "postgres.h"

#include <math.h>

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "canary.h"
#include "health.h"
#include "health_past.h"
#include "json.h"
#include "operation.h"
#include "readiness.h"
#include "settings.h"
#include "shared.h"

PG_FUNCTION_INFO_V1(pooldiag_health);
PG_FUNCTION_INFO_V1(pooldiag_health_detailed);

/* Is a breaker other than closed, and meant to be heeded? One that was disabled is not, nor one of metrics only. */
static bool
is_heeded(const PoolDiagWatched *watched)
{
	return pooldiag_breaker_is_open(&watched->breaker) &&
		   watched->mode != POOLDIAG_BREAKER_MODE_METRICS_ONLY;
}

static bool
any_breaker_is_heeded(const PoolDiagSample *sample)
{
	const PoolDiagPools *pools = &sample->pools;

	for (int kind = 0; kind < POOLDIAG_SERVER_BREAKERS; kind++)
		if (is_heeded(&sample->breakers[kind]))
			return true;
	for (int i = pools->first_declared; i >= 0; i = pools->rows[i].next)
		if (is_heeded(&pools->rows[i].watched))
			return true;
	return false;
}

/* Is it taken for broken that work in a database can be done? What is forced open counts as open. */
static bool
operations_are_broken(const PoolDiagSample *sample)
{
	return is_heeded(&sample->breakers[POOLDIAG_BREAKER_OPERATIONS]);
}

/*
 * starting: the server lets nobody in, for it starts up or shuts down; unhealthy: the breaker of operations is open, no slot is left, or no sampler; degraded: another breaker is not closed, or
 * a recommendation of warning or above; else healthy.
 */
const char *
pooldiag_health_status(const PoolDiagLive *live, const List *advice)
{
	ListCell *cell;

	if (pooldiag_control != NULL && !pooldiag_readiness_accepts())
		return "starting";
	if (live->sample->server.connections >= pooldiag_backends_usable() ||
		pooldiag_live_sampler_is_silent(live) || operations_are_broken(live->sample))
		return "unhealthy";
	if (any_breaker_is_heeded(live->sample))
		return "degraded";
	foreach (cell, advice)
		if (((const PoolDiagAdvice *) lfirst(cell))->severity >= POOLDIAG_WARNING)
			return "degraded";
	return "healthy";
}

/* Is the server fit to be used, as HTTP has it: 200, or else 503? */
bool
pooldiag_health_is_fit(const char *status)
{
	return strcmp(status, "healthy") == 0 || strcmp(status, "degraded") == 0;
}

/*
 * Why a client could not connect and work now, in a sentence that names nobody; NULL if it could. role is what it is
 * looking for, "primary" or "standby"; NULL: either.
 */
const char *
pooldiag_health_obstacle(const PoolDiagLive *live, const char *role)
{
	bool is_standby = RecoveryInProgress();

	if (!pooldiag_readiness_accepts())
		return "the server accepts no connections: it starts up, recovers or shuts down";
	if (role != NULL && strcmp(role, is_standby ? "standby" : "primary") != 0)
		return is_standby ? "this server is a standby" : "this server is a primary";
	if (live->sample->server.connections >= pooldiag_backends_usable())
		return "no connection slot is left";
	if (!pooldiag_canary_is_well())
		return "the last try to work in a database has failed";
	return NULL;
}

static void
write_pool_of_slots(StringInfo json, const PoolDiagLive *live, bool states)
{
	const PoolDiagTally *server = &live->sample->server;
	int usable = pooldiag_backends_usable();

	pooldiag_json_begin(json, "connection_pool", '{');
	pooldiag_json_int(json, "size", usable);
	pooldiag_json_int(json, "checked_out", server->connections);
	pooldiag_json_int(json, "overflow", pooldiag_sample_reserved_used(server->connections));
	pooldiag_json_number(json, "utilization_percent", 100.0 * server->connections / usable, 1);
	if (states)
	{
		pooldiag_json_begin(json, "states", '{');
		for (int state = 0; state < POOLDIAG_STATES; state++)
			pooldiag_json_int(json, pooldiag_state_name(state), server->by_state[state]);
		pooldiag_json_end(json, '}');
		pooldiag_json_int(json, "waiting_for_locks", server->waiting);
		pooldiag_json_int(json, "leak_suspects", server->leaks);
		pooldiag_json_int(json, "slow_statements", server->slow);
		if (live->sampled)
			pooldiag_json_int(json, "peak_connections",
							  Max(live->sample->connections_peak.value, server->connections));
		else
			pooldiag_json_null(json, "peak_connections");
	}
	pooldiag_json_end(json, '}');
}

/* Titles; without names, what each rule has to say in general, once. */
static void
write_recommendations(StringInfo json, const List *advice, bool with_names)
{
	List *told = NIL;
	ListCell *cell;

	pooldiag_json_begin(json, "recommendations", '[');
	foreach (cell, advice)
	{
		const PoolDiagAdvice *one = lfirst(cell);
		const char *text = with_names ? one->title : one->plain;

		if (list_member_ptr(told, text))
			continue;
		pooldiag_json_string(json, NULL, text);
		told = lappend(told, unconstify(char *, text));
	}
	pooldiag_json_end(json, ']');
}

static void
write_int_if(StringInfo json, const char *key, bool known, int64 value)
{
	if (known)
		pooldiag_json_int(json, key, value);
	else
		pooldiag_json_null(json, key);
}

static void
write_pools(StringInfo json, const PoolDiagLive *live, bool with_names)
{
	const PoolDiagPools *pools = &live->sample->pools;

	pooldiag_json_begin(json, "pools", '[');
	for (int i = 0; i <= pools->capacity; i++)
	{
		const PoolDiagPool *pool = &pools->rows[i];
		const PoolDiagPoolLimits *limits = &pool->limits;
		int64 size = (int64) limits->size * limits->instances;
		int checked_out = pooldiag_tally_checked_out(&pool->tally);

		if (!pool->used || (!pool->declared && pool->tally.connections == 0))
			continue;
		pooldiag_json_begin(json, NULL, '{');
		if (with_names)
			pooldiag_json_string(json, "pool", pooldiag_live_pool_name(live, i));
		pooldiag_json_bool(json, "declared", pool->declared);
		write_int_if(json, "instances", pool->declared, limits->instances);
		write_int_if(json, "size", pool->declared, limits->size);
		write_int_if(json, "max_overflow", pool->declared, limits->max_overflow);
		write_int_if(json, "capacity", pool->declared, limits->capacity);
		pooldiag_json_int(json, "connections", pool->tally.connections);
		pooldiag_json_int(json, "checked_out", checked_out);
		pooldiag_json_int(json, "idle", pool->tally.by_state[POOLDIAG_IDLE]);
		write_int_if(json, "overflow", pool->declared, Max(0, pool->tally.connections - size));
		if (pool->declared)
		{
			pooldiag_json_number(json, "utilization_percent", 100.0 * checked_out / size, 1);
			pooldiag_json_number(json, "saturation_percent",
								 100.0 * pool->tally.connections / limits->capacity, 1);
		}
		else
		{
			pooldiag_json_null(json, "utilization_percent");
			pooldiag_json_null(json, "saturation_percent");
		}
		pooldiag_json_int(json, "leaks", pool->tally.leaks);
		pooldiag_json_end(json, '}');
	}
	pooldiag_json_end(json, ']');
}

static void
write_server(StringInfo json)
{
	bool recovering = RecoveryInProgress();

	pooldiag_json_begin(json, "server", '{');
	pooldiag_json_string(json, "version", PG_VERSION);
	pooldiag_json_string(json, "role", recovering ? "standby" : "primary");
	pooldiag_json_bool(json, "in_recovery", recovering);
	pooldiag_json_number(json, "uptime_seconds", (GetCurrentTimestamp() - PgStartTime) / 1e6, 1);
	pooldiag_json_int(json, "max_connections", MaxConnections);
	pooldiag_json_int(json, "reserved_slots", pooldiag_backends_reserved());
	pooldiag_json_end(json, '}');
}

static void
write_self(StringInfo json, const PoolDiagLive *live)
{
	const PoolDiagSelf *self = &live->sample->self;

	pooldiag_json_begin(json, "self", '{');
	pooldiag_json_bool(json, "preloaded", pooldiag_control != NULL);
	if (pooldiag_control != NULL)
		pooldiag_json_bool(json, "sampler_silent", pooldiag_live_sampler_is_silent(live));
	if (live->sampled)
	{
		pooldiag_json_number(json, "last_sample_age_seconds",
							 Max(0, live->now - live->sampled_at) / 1e6, 3);
		pooldiag_json_int(json, "ticks", self->ticks);
		pooldiag_json_int(json, "ticks_missed", self->missed_ticks);
		pooldiag_json_number(json, "tick_cpu_mean_microseconds",
							 self->tick_total_us / Max(self->ticks - 1, 1), 1);
	}
	pooldiag_json_end(json, '}');
}

static void
write_operations(StringInfo json, const PoolDiagSample *sample)
{
	PoolDiagOperationFigures canary = {0};

	if (pooldiag_control != NULL)
		pooldiag_operation_read(POOLDIAG_OPERATION_CANARY, &canary);
	pooldiag_json_begin(json, "async_operations", '{');
	pooldiag_json_bool(
		json, "circuit_breaker_open",
		pooldiag_breaker_is_open(&sample->breakers[POOLDIAG_BREAKER_OPERATIONS].breaker));
	pooldiag_json_int(json, "failure_count", canary.consecutive_failures);
	pooldiag_json_number(json, "operation_timeout", pooldiag_operation_timeout / 1e3, 1);
	pooldiag_json_end(json, '}');
}

static void
write_breaker(StringInfo json, const PoolDiagWatched *watched, PoolDiagBreakerKind kind,
			  const char *pool)
{
	char name[POOLDIAG_BREAKER_NAME_LEN];

	pooldiag_breakers_name(kind, pool, name);
	pooldiag_json_begin(json, NULL, '{');
	pooldiag_json_string(json, "breaker", name);
	pooldiag_json_string(json, "state", pooldiag_breaker_state_name(watched->breaker.state));
	pooldiag_json_string(json, "mode",
						 watched->mode == POOLDIAG_BREAKER_MODE_METRICS_ONLY ? "metrics_only"
																			 : "normal");
	if (watched->evaluated && !isnan(watched->value))
		pooldiag_json_number(json, "value", watched->value, 2);
	else
		pooldiag_json_null(json, "value");
	pooldiag_json_number(json, "limit_value", watched->limit, 2);
	pooldiag_json_int(json, "consecutive_failures", watched->breaker.consecutive_failures);
	pooldiag_json_int(json, "failure_threshold", watched->rules.failure_threshold);
	pooldiag_json_int(json, "trips", (int64) watched->breaker.trips);
	pooldiag_json_end(json, '}');
}

/* As they were at the last sample; none without one. */
static void
write_breakers(StringInfo json, const PoolDiagLive *live, bool with_names)
{
	const PoolDiagPools *pools = &live->sample->pools;

	pooldiag_json_begin(json, "breakers", '[');
	for (int kind = 0; live->sampled && kind < POOLDIAG_SERVER_BREAKERS; kind++)
		write_breaker(json, &live->sample->breakers[kind], (PoolDiagBreakerKind) kind, NULL);
	for (int i = pools->first_declared; live->sampled && i >= 0; i = pools->rows[i].next)
		write_breaker(json, &pools->rows[i].watched, POOLDIAG_BREAKER_POOL,
					  with_names ? pools->rows[i].def.name : "*");
	pooldiag_json_end(json, ']');
}

/*
 * Writes the document; the keys that the guide has are the same in both. Without names it has none of a pool, a role, a
 * database or a client: rows of pools lack theirs, and their breakers are all called pool:*.
 */
void
pooldiag_health_write(StringInfo json, const PoolDiagLive *live, const List *advice, bool detailed,
					  bool with_names)
{
	pooldiag_json_begin(json, NULL, '{');
	pooldiag_json_string(json, "status", pooldiag_health_status(live, advice));
	pooldiag_json_bool(json, "database_connected",
					   pooldiag_control == NULL || pooldiag_canary_is_well());
	write_pool_of_slots(json, live, false);
	write_operations(json, live->sample);
	write_recommendations(json, advice, with_names);
	if (detailed)
	{
		pooldiag_json_begin(json, "metrics", '{');
		write_pool_of_slots(json, live, true);
		pooldiag_health_past_write(json, live);
		pooldiag_json_end(json, '}');
		write_pools(json, live, with_names);
		write_breakers(json, live, with_names);
		write_server(json);
		write_self(json, live);
	}
	pooldiag_json_end(json, '}');
}

static Datum
health_document(bool detailed)
{
	PoolDiagLive *live = pooldiag_live_read(POOLDIAG_READ_XMIN);
	List *advice = pooldiag_advisor_advise(live);
	StringInfoData json;

	initStringInfo(&json);
	pooldiag_health_write(&json, live, advice, detailed, true);
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

/* jsonb: exactly the guide's keys. */
Datum
pooldiag_health(PG_FUNCTION_ARGS)
{
	return health_document(false);
}

/* jsonb: the same keys, and metrics, pools, breakers, server, self. */
Datum
pooldiag_health_detailed(PG_FUNCTION_ARGS)
{
	return health_document(true);
}
