/*
 * reports_pools.c
 *	  The views utilization and pools: how full everything is that has a limit.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "funcapi.h"
#include "replication/walsender.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/rel.h"

#include "compat.h"
#include "documents.h"
#include "reports_counters.h"
#include "series.h"

PG_FUNCTION_INFO_V1(pooldiag_utilization);
PG_FUNCTION_INFO_V1(pooldiag_pools);

/* A database or a role, with its connections and its limit. */
typedef struct Holder
{
	Oid oid;
	int limit; /* -1: none */
	int masked;
	PoolDiagTally tally;
} Holder;

static HTAB *
create_holders(const char *name)
{
	HASHCTL control = {0};

	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(Holder);
	control.hcxt = CurrentMemoryContext;
	return hash_create(name, 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static Holder *
find_holder(HTAB *holders, Oid oid)
{
	bool found;
	Holder *holder = hash_search(holders, &oid, HASH_ENTER, &found);

	if (!found)
	{
		memset(holder, 0, sizeof(*holder));
		holder->oid = oid;
		holder->limit = -1;
	}
	return holder;
}

static void
count_holder(HTAB *holders, Oid oid, const PoolDiagConnection *connection, TimestampTz now)
{
	PoolDiagCounted counted = pooldiag_sample_counted(&connection->backend);
	Holder *holder;

	if (!OidIsValid(oid))
		return;
	holder = find_holder(holders, oid);
	if (!connection->visible)
		holder->masked++;
	pooldiag_tally_add(&holder->tally, &counted, NULL, now);
}

/* Adds what has a limit but no connection now, and what is remembered of former ones. */
static void
add_limits(HTAB *databases, HTAB *roles, const PoolDiagSample *sample)
{
	Relation relation;
	SysScanDesc scan;
	HeapTuple tuple;

	for (int i = 0; i < sample->databases.used; i++)
		find_holder(databases, sample->databases.rows[i].oid);
	for (int i = 0; i < sample->roles.used; i++)
		find_holder(roles, sample->roles.rows[i].oid);

	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		if (database->datconnlimit >= 0)
			find_holder(databases, database->oid)->limit = database->datconnlimit;
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);

	relation = table_open(AuthIdRelationId, AccessShareLock);
	scan = systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_authid role = (Form_pg_authid) GETSTRUCT(tuple);

		if (role->rolcanlogin && role->rolconnlimit >= 0)
			find_holder(roles, role->oid)->limit = role->rolconnlimit;
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
}

static void
put_peak(PoolDiagRow *row, const PoolDiagLive *live, const PoolDiagPeak *peak, int connections)
{
	if (peak == NULL || !live->sampled)
	{
		pooldiag_row_null(row);
		pooldiag_row_null(row);
	}
	else
	{
		/* A connection younger than the last tick may be the one that makes a new peak. */
		pooldiag_row_int(row, Max(peak->value, connections));
		pooldiag_row_timestamp(row, connections > peak->value ? live->now : peak->at);
	}
}

/* A row of a scope in which a connection is what is used up, so that checked out is connections. */
static void
put_slots(ReturnSetInfo *result, const char *scope, int connections, int capacity,
		  const PoolDiagLive *live, const PoolDiagPeak *peak)
{
	PoolDiagRow row = {0};

	pooldiag_row_text(&row, scope);
	pooldiag_row_null(&row);
	pooldiag_row_int(&row, connections);
	pooldiag_row_int(&row, connections);
	pooldiag_row_int(&row, capacity);
	pooldiag_row_percent(&row, connections, capacity);
	put_peak(&row, live, peak, connections);
	pooldiag_row_put(&row, result);
}

static int
compare_holders(const ListCell *left, const ListCell *right)
{
	const Holder *a = lfirst(left);
	const Holder *b = lfirst(right);

	if (a->tally.connections != b->tally.connections)
		return a->tally.connections > b->tally.connections ? -1 : 1;
	return a->oid < b->oid ? -1 : a->oid > b->oid;
}

/* The rows of a scope, those with the most connections first. */
static void
put_holders(ReturnSetInfo *result, const char *scope, HTAB *holders, const PoolDiagLive *live,
			const PoolDiagPeakTable *peaks, const char *(*name_of)(Oid))
{
	HASH_SEQ_STATUS status;
	Holder *holder;
	List *sorted = NIL;
	ListCell *cell;

	hash_seq_init(&status, holders);
	while ((holder = hash_seq_search(&status)) != NULL)
		sorted = lappend(sorted, holder);
	list_sort(sorted, compare_holders);
	foreach (cell, sorted)
	{
		const char *name;
		PoolDiagRow row = {0};

		holder = lfirst(cell);
		name = name_of(holder->oid);
		/* Dropped since the sampler saw it; a role may have sessions all the same. */
		if (name == NULL && holder->tally.connections == 0)
			continue;
		pooldiag_row_text(&row, scope);
		pooldiag_row_text(&row, name);
		pooldiag_row_int(&row, holder->tally.connections);
		pooldiag_row_int_or_null(&row, holder->masked == 0,
								 pooldiag_tally_checked_out(&holder->tally));
		pooldiag_row_int_or_null(&row, holder->limit >= 0, holder->limit);
		pooldiag_row_percent(&row, holder->tally.connections, holder->limit);
		put_peak(&row, live, live->sees_all ? pooldiag_peaks_find(peaks, holder->oid) : NULL,
				 holder->tally.connections);
		pooldiag_row_put(&row, result);
	}
}

static int64
pool_connections(const PoolDiagPool *pool)
{
	return (int64) pool->limits.size * pool->limits.instances;
}

static void
put_pool_utilization(ReturnSetInfo *result, const PoolDiagLive *live, int index)
{
	const PoolDiagPool *pool = &live->sample->pools.rows[index];
	int checked_out = pooldiag_tally_checked_out(&pool->tally);
	PoolDiagRow row = {0};

	pooldiag_row_text(&row, "pool");
	pooldiag_row_text(&row, pooldiag_live_pool_name(live, index));
	pooldiag_row_int(&row, pool->tally.connections);
	pooldiag_row_int(&row, checked_out);
	pooldiag_row_int_or_null(&row, pool->declared, pool->limits.capacity);
	pooldiag_row_percent(&row, checked_out, pool->declared ? pool_connections(pool) : 0);
	put_peak(&row, live, live->sees_all ? &pool->connections_peak : NULL, pool->tally.connections);
	pooldiag_row_put(&row, result);
}

/*
 * setof utilization: the server, its reserved slots, each database and role that has connections or
 * a limit or had connections, each pool, walsenders, background workers.
 */
Datum
pooldiag_utilization(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagLive *live;
	PoolDiagSample *sample;
	HTAB *databases;
	HTAB *roles;
	int connections;

	InitMaterializedSRF(fcinfo, 0);
	live = pooldiag_live_read(0);
	sample = live->sample;
	connections = sample->server.connections;
	put_slots(result, "server", connections, pooldiag_backends_usable(), live,
			  &sample->connections_peak);
	put_slots(result, "reserved slots", pooldiag_sample_reserved_used(connections),
			  pooldiag_backends_reserved(), live, &sample->reserved_peak);

	databases = create_holders("pooldiag databases");
	roles = create_holders("pooldiag roles");
	for (int i = 0; i < live->count; i++)
	{
		const PoolDiagConnection *connection = &live->connections[i];

		count_holder(databases, connection->backend.databaseid, connection, live->now);
		count_holder(roles, connection->backend.userid, connection, live->now);
	}
	add_limits(databases, roles, sample);
	put_holders(result, "database", databases, live, &sample->databases, pooldiag_live_database);
	put_holders(result, "role", roles, live, &sample->roles, pooldiag_live_user);

	for (int i = 0; i <= sample->pools.capacity; i++)
		if (pooldiag_live_reports(live, i, NULL))
			put_pool_utilization(result, live, i);

	put_slots(result, "walsenders", pooldiag_backends_occupied(POOLDIAG_SLOTS_WALSENDERS),
			  max_wal_senders, live, &sample->walsenders_peak);
	put_slots(result, "workers", pooldiag_backends_occupied(POOLDIAG_SLOTS_WORKERS),
			  max_worker_processes, live, &sample->workers_peak);
	return (Datum) 0;
}

/* The columns that need preloading; totals is NULL without it, or for who may not see all. */
static void
add_totals(PoolDiagRow *row, const PoolDiagLive *live, int index, const PoolDiagTotals *totals)
{
	const PoolDiagPool *pool = &live->sample->pools.rows[index];
	const uint64 *hold;
	double rates[POOLDIAG_COUNTERS];

	if (totals == NULL)
	{
		for (int i = 0; i < 11; i++)
			pooldiag_row_null(row);
		return;
	}
	totals = &totals[index];
	pooldiag_series_rates(&live->sample->pools, index, live->now, rates);
	hold = totals->histogram[POOLDIAG_KIND_TRANSACTION];
	pooldiag_row_int64(row, (int64) totals->sums[POOLDIAG_XACTS]);
	pooldiag_row_rate(row, rates[POOLDIAG_COUNTER_XACTS]);
	pooldiag_row_quantile(row, hold, 0.5);
	pooldiag_row_quantile(row, hold, 0.95);
	pooldiag_row_quantile(row, hold, 0.99);
	if (totals->sums[POOLDIAG_HOLD_US] == 0)
		pooldiag_row_null(row);
	else
		pooldiag_row_float(row, 100.0 - 100.0 * (double) totals->sums[POOLDIAG_HOLD_IDLE_US] /
											(double) totals->sums[POOLDIAG_HOLD_US]);
	pooldiag_row_int64(row, (int64) totals->sums[POOLDIAG_STATEMENTS]);
	pooldiag_row_quantile(row, totals->histogram[POOLDIAG_KIND_STATEMENT], 0.95);
	pooldiag_row_int64(row, (int64) totals->sums[POOLDIAG_OPENED]);
	pooldiag_row_int64(row, (int64) totals->sums[POOLDIAG_REFUSED]);
	pooldiag_row_text(row, live->sampled && pool->declared
							   ? pooldiag_breaker_state_name(pool->watched.breaker.state)
							   : NULL);
}

/* The view's columns, for documents. */
static const char *const pool_columns[] = {
	"pool",
	"declared",
	"instances",
	"size",
	"max_overflow",
	"capacity",
	"connections",
	"checked_out",
	"idle",
	"overflow",
	"utilization_percent",
	"saturation_percent",
	"peak_checked_out",
	"over_recycle",
	"leaks",
	"xacts",
	"xact_rate",
	"hold_p50_ms",
	"hold_p95_ms",
	"hold_p99_ms",
	"hold_efficiency_percent",
	"statements",
	"statement_p95_ms",
	"sessions_opened",
	"refused",
	"breaker_state",
};

static void
fill_pool(PoolDiagRow *row, const PoolDiagLive *live, int index, const PoolDiagTotals *totals)
{
	const PoolDiagPool *pool = &live->sample->pools.rows[index];
	const PoolDiagPoolLimits *limits = &pool->limits;
	int connections = pool->tally.connections;
	int checked_out = pooldiag_tally_checked_out(&pool->tally);
	bool declared = pool->declared;

	pooldiag_row_text(row, pooldiag_live_pool_name(live, index));
	pooldiag_row_bool(row, declared);
	pooldiag_row_int_or_null(row, declared, limits->instances);
	pooldiag_row_int_or_null(row, declared, limits->size);
	pooldiag_row_int_or_null(row, declared, limits->max_overflow);
	pooldiag_row_int_or_null(row, declared, limits->capacity);
	pooldiag_row_int(row, connections);
	pooldiag_row_int(row, checked_out);
	pooldiag_row_int(row, pool->tally.by_state[POOLDIAG_IDLE]);
	pooldiag_row_int_or_null(row, declared, Max(0, connections - pool_connections(pool)));
	pooldiag_row_percent(row, checked_out, declared ? pool_connections(pool) : 0);
	pooldiag_row_percent(row, connections, declared ? limits->capacity : 0);
	pooldiag_row_int_or_null(row, live->sampled && live->sees_all,
							 Max(pool->checked_out_peak.value, checked_out));
	pooldiag_row_int(row, pool->tally.over_recycle);
	pooldiag_row_int(row, pool->tally.leaks);
	add_totals(row, live, index, totals);
}

/* What is masked of a caller, in one row: their number, and nothing else. */
static void
put_masked(ReturnSetInfo *result, const PoolDiagLive *live)
{
	PoolDiagRow row = {0};

	for (int column = 0; column < result->setDesc->natts; column++)
		if (strcmp(NameStr(TupleDescAttr(result->setDesc, column)->attname), "connections") == 0)
			pooldiag_row_int(&row, live->masked);
		else
			pooldiag_row_null(&row);
	pooldiag_row_put(&row, result);
}

/* Calls put for each pool: declared ones in the order of the setting, then discovered ones, then (other). */
static void
each_pool(const PoolDiagLive *live,
		  void (*put)(void *to, const PoolDiagLive *live, int index, const PoolDiagTotals *totals),
		  void *to)
{
	const PoolDiagPools *pools = &live->sample->pools;
	const PoolDiagTotals *totals = pooldiag_live_totals(live);

	for (int i = pools->first_declared; i >= 0; i = pools->rows[i].next)
		put(to, live, i, totals);
	for (int i = 0; i <= pools->capacity; i++)
		if (!pools->rows[i].declared && pooldiag_live_reports(live, i, totals))
			put(to, live, i, totals);
}

static void
put_pool(void *result, const PoolDiagLive *live, int index, const PoolDiagTotals *totals)
{
	PoolDiagRow row = {0};

	fill_pool(&row, live, index, totals);
	pooldiag_row_put(&row, result);
}

static void
write_pool(void *json, const PoolDiagLive *live, int index, const PoolDiagTotals *totals)
{
	PoolDiagRow row;

	pooldiag_row_begin_json(&row, json, pool_columns);
	fill_pool(&row, live, index, totals);
	pooldiag_row_end_json(&row);
}

/* The view's rows as the elements of an array. */
void
pooldiag_documents_pools(StringInfo json, const PoolDiagLive *live)
{
	each_pool(live, write_pool, json);
}

/* setof pools. */
Datum
pooldiag_pools(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagLive *live;

	InitMaterializedSRF(fcinfo, 0);
	live = pooldiag_live_read(0);
	each_pool(live, put_pool, result);
	if (live->masked > 0)
		put_masked(result, live);
	return (Datum) 0;
}
