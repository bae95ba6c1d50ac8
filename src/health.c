/*
 * health.c
 *	  The health documents: the guide's response, and its detailed superset.
 *
 * Written as JSON text from what a session sees, so that other ways out than SQL can use the same
 * code.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "health.h"
#include "health_past.h"
#include "json.h"
#include "settings.h"
#include "shared.h"

PG_FUNCTION_INFO_V1(pooldiag_health);
PG_FUNCTION_INFO_V1(pooldiag_health_detailed);

/* unhealthy: no slot left or no sampler; degraded: a recommendation of warning or above; else
 * healthy. */
const char *
pooldiag_health_status(const PoolDiagLive *live, const List *advice)
{
	ListCell *cell;

	if (live->sample->server.connections >= pooldiag_backends_usable() ||
		pooldiag_live_sampler_is_silent(live))
		return "unhealthy";
	foreach (cell, advice)
		if (((const PoolDiagAdvice *) lfirst(cell))->severity >= POOLDIAG_WARNING)
			return "degraded";
	return "healthy";
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

static void
write_recommendations(StringInfo json, const List *advice)
{
	ListCell *cell;

	pooldiag_json_begin(json, "recommendations", '[');
	foreach (cell, advice)
		pooldiag_json_string(json, NULL, ((const PoolDiagAdvice *) lfirst(cell))->title);
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
write_pools(StringInfo json, const PoolDiagLive *live)
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

/* Writes the document; the keys that the guide has are the same in both. */
void
pooldiag_health_write(StringInfo json, const PoolDiagLive *live, const List *advice, bool detailed)
{
	pooldiag_json_begin(json, NULL, '{');
	pooldiag_json_string(json, "status", pooldiag_health_status(live, advice));
	pooldiag_json_bool(json, "database_connected", true);
	write_pool_of_slots(json, live, false);
	/* Nothing runs asynchronously in this version: no failures, and no breaker that could open. */
	pooldiag_json_begin(json, "async_operations", '{');
	pooldiag_json_bool(json, "circuit_breaker_open", false);
	pooldiag_json_int(json, "failure_count", 0);
	pooldiag_json_number(json, "operation_timeout", pooldiag_operation_timeout / 1e3, 1);
	pooldiag_json_end(json, '}');
	write_recommendations(json, advice);
	if (detailed)
	{
		pooldiag_json_begin(json, "metrics", '{');
		write_pool_of_slots(json, live, true);
		pooldiag_health_past_write(json, live);
		pooldiag_json_end(json, '}');
		write_pools(json, live);
		write_server(json);
		write_self(json, live);
	}
	pooldiag_json_end(json, '}');
}

static Datum
health_document(bool detailed)
{
	PoolDiagLive *live = pooldiag_live_read(0);
	List *advice = pooldiag_advisor_advise(live);
	StringInfoData json;

	initStringInfo(&json);
	pooldiag_health_write(&json, live, advice, detailed);
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

/* jsonb: exactly the guide's keys. */
Datum
pooldiag_health(PG_FUNCTION_ARGS)
{
	return health_document(false);
}

/* jsonb: the same keys, and metrics, pools, server, self. */
Datum
pooldiag_health_detailed(PG_FUNCTION_ARGS)
{
	return health_document(true);
}
