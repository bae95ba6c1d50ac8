/*
 * reports_connections.c
 *	  The views connection_states, connections and connection_groups.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "live.h"
#include "rows.h"

PG_FUNCTION_INFO_V1(pooldiag_connection_states);
PG_FUNCTION_INFO_V1(pooldiag_connections);
PG_FUNCTION_INFO_V1(pooldiag_connection_groups);

typedef struct StateCount
{
	int connections;
	TimestampTz oldest; /* state_change of the one longest in the state, 0: not known */
} StateCount;

static void
count_state(StateCount *count, const PoolDiagBackend *backend)
{
	count->connections++;
	if (backend->state_change != 0 && (count->oldest == 0 || backend->state_change < count->oldest))
		count->oldest = backend->state_change;
}

static void
put_state(ReturnSetInfo *result, const char *name, const StateCount *count, TimestampTz now)
{
	PoolDiagRow row = {0};

	pooldiag_row_text(&row, name);
	pooldiag_row_int(&row, count->connections);
	pooldiag_row_percent(&row, count->connections, pooldiag_backends_usable());
	pooldiag_row_age(&row, now, count->oldest);
	pooldiag_row_put(&row, result);
}

/*
 * setof (state text, connections int, slots_percent float8, oldest interval): a row for each state,
 * and one with a NULL state where there are connections that the caller may not look into.
 *
 * The hot report: one pass over the slots that copies neither names nor text nor addresses.
 */
Datum
pooldiag_connection_states(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	StateCount counts[POOLDIAG_STATES] = {0};
	StateCount masked = {0};
	PoolDiagBackend backend = {0};
	bool sees_all = pooldiag_live_may_see(InvalidOid);
	TimestampTz now = GetCurrentTimestamp();

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	for (int procno = 0; procno < MaxConnections; procno++)
	{
		if (pooldiag_backends_read(procno, 0, 0, &backend) == POOLDIAG_SLOT_FREE)
			continue;
		if (sees_all || pooldiag_live_may_see(backend.userid))
			count_state(&counts[backend.state], &backend);
		else
			masked.connections++;
	}
	for (int state = 0; state < POOLDIAG_STATES; state++)
		put_state(result, pooldiag_state_name(state), &counts[state], now);
	if (masked.connections > 0)
		put_state(result, NULL, &masked, now);
	return (Datum) 0;
}

/* setof connections: one row for each, in the order of their slots. */
Datum
pooldiag_connections(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagLive *live;

	InitMaterializedSRF(fcinfo, 0);
	live = pooldiag_live_read(POOLDIAG_READ_WAIT | POOLDIAG_READ_QUERY);
	for (int i = 0; i < live->count; i++)
	{
		PoolDiagConnection *connection = &live->connections[i];
		PoolDiagBackend *backend = &connection->backend;
		PoolDiagRow row = {0};

		pooldiag_row_int(&row, backend->pid);
		pooldiag_row_text(&row, pooldiag_live_pool_name(live, connection->pool));
		pooldiag_row_text(&row, pooldiag_live_database(backend->databaseid));
		pooldiag_row_text(&row, pooldiag_live_user(backend->userid));
		pooldiag_row_text(&row,
						  pooldiag_backends_is_known(backend) ? backend->application_name : NULL);
		if (connection->visible)
		{
			pooldiag_row_address(&row, &backend->client);
			pooldiag_row_timestamp(&row, backend->backend_start);
			pooldiag_row_text(&row, pooldiag_state_name(backend->state));
			pooldiag_row_timestamp(&row, backend->state_change);
			pooldiag_row_age(&row, live->now, backend->state_change);
			pooldiag_row_timestamp(&row, backend->xact_start);
			pooldiag_row_age(&row, live->now, backend->xact_start);
			pooldiag_row_text(&row, pgstat_get_wait_event_type(backend->wait_event_info));
			pooldiag_row_text(&row, pgstat_get_wait_event(backend->wait_event_info));
			if (backend->query_id != 0)
				pooldiag_row_int64(&row, (int64) backend->query_id);
			else
				pooldiag_row_null(&row);
		}
		else
			for (int column = 0; column < 10; column++)
				pooldiag_row_null(&row);
		pooldiag_row_text(&row, pooldiag_live_text(connection));
		pooldiag_row_put(&row, result);
	}
	return (Datum) 0;
}

typedef struct ClientGroupKey
{
	Oid databaseid;
	Oid userid;
	char application_name[NAMEDATALEN];
	char client[64]; /* numeric address; empty: none, or masked */
	bool visible;
	bool known;
} ClientGroupKey;

typedef struct ClientGroup
{
	ClientGroupKey key;
	PoolDiagTally tally;
	TimestampTz oldest_xact;
	TimestampTz oldest_connection;
} ClientGroup;

static TimestampTz
older(TimestampTz left, TimestampTz right)
{
	if (left == 0 || right == 0)
		return left == 0 ? right : left;
	return Min(left, right);
}

static HTAB *
group_connections(const PoolDiagLive *live)
{
	HASHCTL control = {0};
	HTAB *groups;

	control.keysize = sizeof(ClientGroupKey);
	control.entrysize = sizeof(ClientGroup);
	control.hcxt = CurrentMemoryContext;
	groups = hash_create("pooldiag connection groups", Max(live->count, 16), &control,
						 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	for (int i = 0; i < live->count; i++)
	{
		const PoolDiagConnection *connection = &live->connections[i];
		const PoolDiagBackend *backend = &connection->backend;
		PoolDiagCounted counted = pooldiag_sample_counted(backend);
		ClientGroupKey key;
		ClientGroup *group;
		bool found;
		char *client = connection->visible ? pooldiag_address_text(&backend->client) : NULL;

		memset(&key, 0, sizeof(key));
		key.databaseid = backend->databaseid;
		key.userid = backend->userid;
		strlcpy(key.application_name, backend->application_name, NAMEDATALEN);
		strlcpy(key.client, client == NULL ? "" : client, sizeof(key.client));
		key.visible = connection->visible;
		key.known = pooldiag_backends_is_known(backend);
		group = hash_search(groups, &key, HASH_ENTER, &found);
		if (!found)
			memset((char *) group + sizeof(ClientGroupKey), 0,
				   sizeof(ClientGroup) - sizeof(ClientGroupKey));
		pooldiag_tally_add(&group->tally, &counted, NULL, live->now);
		group->oldest_xact = older(group->oldest_xact, backend->xact_start);
		group->oldest_connection = older(group->oldest_connection, backend->backend_start);
	}
	return groups;
}

/*
 * setof connection_groups: connections of the same database, user, application name and client
 * address. What is masked of a session is NULL in its group.
 */
Datum
pooldiag_connection_groups(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagLive *live;
	HASH_SEQ_STATUS status;
	ClientGroup *group;

	InitMaterializedSRF(fcinfo, 0);
	live = pooldiag_live_read(0);
	hash_seq_init(&status, group_connections(live));
	while ((group = hash_seq_search(&status)) != NULL)
	{
		const PoolDiagTally *tally = &group->tally;
		PoolDiagRow row = {0};

		pooldiag_row_text(&row, pooldiag_live_database(group->key.databaseid));
		pooldiag_row_text(&row, pooldiag_live_user(group->key.userid));
		pooldiag_row_text(&row, group->key.known ? group->key.application_name : NULL);
		if (group->key.client[0] != '\0')
			pooldiag_row_datum(&row,
							   DirectFunctionCall1(inet_in, CStringGetDatum(group->key.client)));
		else
			pooldiag_row_null(&row);
		pooldiag_row_int(&row, tally->connections);
		pooldiag_row_int_or_null(&row, group->key.visible, tally->by_state[POOLDIAG_ACTIVE]);
		pooldiag_row_int_or_null(&row, group->key.visible, tally->by_state[POOLDIAG_IDLE]);
		pooldiag_row_int_or_null(&row, group->key.visible,
								 tally->by_state[POOLDIAG_IDLE_IN_TRANSACTION] +
									 tally->by_state[POOLDIAG_IDLE_IN_TRANSACTION_ABORTED]);
		pooldiag_row_int_or_null(&row, group->key.visible, tally->waiting);
		pooldiag_row_age(&row, live->now, group->key.visible ? group->oldest_xact : 0);
		pooldiag_row_age(&row, live->now, group->key.visible ? group->oldest_connection : 0);
		pooldiag_row_put(&row, result);
	}
	return (Datum) 0;
}
