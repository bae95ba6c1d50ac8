/*
 * reports_waits.c
 *	  The views slow_queries, leaks and blocking: who holds connections up.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/namespace.h"
#include "commands/dbcommands.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "live.h"
#include "locks.h"
#include "rows.h"

PG_FUNCTION_INFO_V1(pooldiag_slow_queries);
PG_FUNCTION_INFO_V1(pooldiag_leaks);
PG_FUNCTION_INFO_V1(pooldiag_blocking);

typedef bool (*Predicate)(const PoolDiagCounted *counted, const PoolDiagPoolLimits *limits,
						  int64_t now);

/*
 * Is the predicate true of this connection, and still after its query's text has been read? The
 * text is read for those that are reported only, and then the rest of the row is of the same moment
 * as the text.
 */
static bool
selects(Predicate predicate, const PoolDiagLive *live, PoolDiagConnection *connection)
{
	const PoolDiagPoolLimits *limits = pooldiag_live_limits(live, connection);
	PoolDiagCounted counted = pooldiag_sample_counted(&connection->backend);
	int pid = connection->backend.pid;

	if (limits == NULL || !predicate(&counted, limits, live->now))
		return false;
	while (!pooldiag_live_query(connection))
	{
		counted = pooldiag_sample_counted(&connection->backend);
		if (connection->backend.pid != pid || !predicate(&counted, limits, live->now))
			return false;
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

static void
put_who(PoolDiagRow *row, const PoolDiagLive *live, const PoolDiagConnection *connection)
{
	const PoolDiagBackend *backend = &connection->backend;

	pooldiag_row_int(row, backend->pid);
	pooldiag_row_text(row, pooldiag_live_pool_name(live, connection->pool));
	pooldiag_row_text(row, pooldiag_live_database(backend->databaseid));
	pooldiag_row_text(row, pooldiag_live_user(backend->userid));
	pooldiag_row_text(row, backend->application_name);
	pooldiag_row_address(row, &backend->client);
	pooldiag_row_text(row, pooldiag_state_name(backend->state));
}

/* How long its statement has run, or, in transaction, how long its last one ran. */
static void
put_duration(PoolDiagRow *row, const PoolDiagLive *live, const PoolDiagBackend *backend)
{
	bool over = pooldiag_state_in_transaction_idle(backend->state);

	pooldiag_row_age(row, over ? backend->state_change : live->now, backend->query_start);
}

/*
 * setof slow_queries: connections that are not idle and whose statement started longer ago than
 * their pool's threshold. Only sessions that the caller may look into can be known to be slow.
 */
Datum
pooldiag_slow_queries(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagLive *live;

	InitMaterializedSRF(fcinfo, 0);
	live = pooldiag_live_read(POOLDIAG_READ_WAIT);
	for (int i = 0; i < live->count; i++)
	{
		PoolDiagConnection *connection = &live->connections[i];
		PoolDiagBackend *backend = &connection->backend;
		int *blockers = NULL;
		int blocker_count = 0;
		PoolDiagRow row = {0};

		if (!selects(pooldiag_is_slow, live, connection))
			continue;
		if (pooldiag_backends_waits_for_lock(backend))
			pooldiag_locks_blockers(backend->pid, &blockers, &blocker_count);
		put_who(&row, live, connection);
		pooldiag_row_timestamp(&row, backend->query_start);
		put_duration(&row, live, backend);
		pooldiag_row_text(&row, pgstat_get_wait_event_type(backend->wait_event_info));
		pooldiag_row_text(&row, pgstat_get_wait_event(backend->wait_event_info));
		pooldiag_row_int_array(&row, blockers, blocker_count);
		if (backend->query_id != 0)
			pooldiag_row_int64(&row, (int64) backend->query_id);
		else
			pooldiag_row_null(&row);
		pooldiag_row_text(&row, pooldiag_live_text(connection));
		pooldiag_row_put(&row, result);
	}
	return (Datum) 0;
}

static bool
holds_oldest_xmin(const PoolDiagBackend *backend)
{
	TransactionId own = pooldiag_backends_horizon(backend->xid, backend->xmin);
	TransactionId oldest = pooldiag_backends_oldest_xmin(backend->databaseid);

	return TransactionIdIsValid(own) &&
		   (!TransactionIdIsValid(oldest) || TransactionIdPrecedesOrEquals(own, oldest));
}

/*
 * setof leaks: connections that have been idle in transaction, aborted ones included, for longer
 * than their pool's threshold; the longest first is for the view to say.
 */
Datum
pooldiag_leaks(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagLive *live;
	PoolDiagLocks *locks = NULL;

	InitMaterializedSRF(fcinfo, 0);
	live = pooldiag_live_read(0);
	for (int i = 0; i < live->count; i++)
	{
		PoolDiagConnection *connection = &live->connections[i];
		PoolDiagBackend *backend = &connection->backend;
		PoolDiagRow row = {0};

		if (!selects(pooldiag_is_leak, live, connection))
			continue;
		if (locks == NULL)
			locks = pooldiag_locks_read();
		put_who(&row, live, connection);
		pooldiag_row_age(&row, live->now, backend->state_change);
		pooldiag_row_age(&row, live->now, backend->xact_start);
		pooldiag_row_int(&row, pooldiag_locks_held(locks, backend->pid));
		pooldiag_row_int(&row, pooldiag_locks_waiting_behind(locks, &backend->pid, 1));
		pooldiag_row_bool(&row, holds_oldest_xmin(backend));
		pooldiag_row_text(&row, pooldiag_live_text(connection));
		pooldiag_row_put(&row, result);
	}
	return (Datum) 0;
}

/*
 * The relation that is waited for, as regclass would show it; of another database, whose names this
 * session can't look up, the database and the relation's OID.
 */
static char *
relation_name(const PoolDiagWaiter *waiter)
{
	const char *database;
	char *name;

	if (!OidIsValid(waiter->relationid))
		return NULL;
	if (waiter->databaseid != MyDatabaseId && OidIsValid(waiter->databaseid))
	{
		database = pooldiag_live_database(waiter->databaseid);
		return psprintf("%s: %u", database == NULL ? "?" : database, waiter->relationid);
	}
	name = get_rel_name(waiter->relationid);
	if (name == NULL)
		return psprintf("%u", waiter->relationid);
	return quote_qualified_identifier(
		RelationIsVisible(waiter->relationid)
			? NULL
			: get_namespace_name(get_rel_namespace(waiter->relationid)),
		name);
}

/*
 * That process, with its query: a connection, or else a worker, autovacuum's among them; NULL where it has
 * gone. Texts are read of those in the way only.
 */
static const PoolDiagConnection *
find_process(const PoolDiagLive *live, int pid)
{
	PoolDiagConnection *process = pooldiag_live_find(live, pid);

	if (process == NULL)
	{
		process = palloc0(sizeof(PoolDiagConnection));
		process->pool = POOLDIAG_NO_POOL;
		process->backend.procno = pooldiag_backends_slot_of(pid);
		if (process->backend.procno < 0)
			return NULL;
	}
	(void) pooldiag_live_query(process);
	if (process->backend.pid != pid)
		return NULL;
	process->visible = live->sees_all || pooldiag_live_may_see(process->backend.userid);
	return process;
}

/* The columns root_state, root_idle_for and root_query. */
static void
put_root(PoolDiagRow *row, const PoolDiagLive *live, int root)
{
	const PoolDiagConnection *connection = root > 0 ? find_process(live, root) : NULL;

	if (connection == NULL)
	{
		pooldiag_row_text(row,
						  root == POOLDIAG_PREPARED_TRANSACTION ? "prepared transaction" : NULL);
		pooldiag_row_null(row);
		pooldiag_row_null(row);
		return;
	}
	if (connection->visible)
	{
		const PoolDiagBackend *backend = &connection->backend;
		bool idle =
			backend->state == POOLDIAG_IDLE || pooldiag_state_in_transaction_idle(backend->state);

		pooldiag_row_text(row, pooldiag_state_name(backend->state));
		pooldiag_row_age(row, live->now, idle ? backend->state_change : 0);
	}
	else
	{
		pooldiag_row_null(row);
		pooldiag_row_null(row);
	}
	pooldiag_row_text(row, pooldiag_live_text(connection));
}

/* setof blocking: sessions that wait for a heavyweight lock, with who is in their way and who is at
 * its root. */
Datum
pooldiag_blocking(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagLocks *locks;
	PoolDiagLive *live;

	InitMaterializedSRF(fcinfo, 0);
	locks = pooldiag_locks_read();
	if (locks->count == 0)
		return (Datum) 0;
	live = pooldiag_live_read(0);
	for (int i = 0; i < locks->count; i++)
	{
		const PoolDiagWaiter *waiter = &locks->waiters[i];
		const PoolDiagConnection *connection;
		PoolDiagRow row = {0};

		/* Has got its lock since the waits were read. */
		if (waiter->blocker_count == 0)
			continue;
		connection = find_process(live, waiter->pid);
		pooldiag_row_int(&row, waiter->pid);
		pooldiag_row_age(&row, live->now, waiter->since);
		pooldiag_row_text(&row, waiter->tag.locktag_type <= LOCKTAG_LAST_TYPE
									? LockTagTypeNames[waiter->tag.locktag_type]
									: NULL);
		pooldiag_row_text(&row, GetLockmodeName(waiter->tag.locktag_lockmethodid, waiter->mode));
		pooldiag_row_text(&row, relation_name(waiter));
		pooldiag_row_int_array(&row, waiter->blockers, waiter->blocker_count);
		pooldiag_row_int_or_null(&row, waiter->root != POOLDIAG_NO_ROOT, waiter->root);
		put_root(&row, live, waiter->root);
		pooldiag_row_int_or_null(&row, waiter->root != POOLDIAG_NO_ROOT, waiter->depth);
		pooldiag_row_text(&row, connection == NULL ? NULL : pooldiag_live_text(connection));
		pooldiag_row_put(&row, result);
	}
	return (Datum) 0;
}
