/*
 * advice_slots.c
 *	  Rules on the server's connection slots, and on who was turned away.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "replication/walsender.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "advice_pools.h"
#include "advice_slots.h"
#include "compat.h"
#include "quotas.h"
#include "refusals.h"
#include "text.h"
#include "thresholds.h"

/* ---------------------------------------------------------------- slots_nearly_full -------------- */

bool
pooldiag_advice_slots_are_nearly_full(const PoolDiagSample *sample, int pool)
{
	return (int64) sample->server.connections * 100 >=
		   (int64) pooldiag_backends_usable() * POOLDIAG_SLOTS_WARNING_PERCENT;
}

/* A remedy that ends those that were named. A caller that may not see them gets to see who it is that holds slots. */
static void
free_slots(PoolDiagAdvice *added, const PoolDiagNamed *named, StringInfo json,
		   const char *condition)
{
	pooldiag_named_put(named, json);
	added->remedy = pooldiag_named_end(named, "pg_terminate_backend", condition);
	if (added->remedy == NULL)
		added->remedy = "SELECT datname, usename, application_name, connections, idle, "
						"idle_in_transaction\n"
						"FROM pooldiag.connection_groups ORDER BY connections DESC;";
}

void
pooldiag_advice_slots_nearly_full(PoolDiagCase *c, int pool)
{
	const PoolDiagTally *server = &c->live->sample->server;
	int usable = pooldiag_backends_usable();
	int idle = server->by_state[POOLDIAG_IDLE];
	int held = server->by_state[POOLDIAG_IDLE_IN_TRANSACTION] +
			   server->by_state[POOLDIAG_IDLE_IN_TRANSACTION_ABORTED];
	double percent = 100.0 * server->connections / usable;
	/* So many fewer, and the rule doesn't fire. */
	int surplus = server->connections - (usable * POOLDIAG_SLOTS_WARNING_PERCENT - 1) / 100;
	PoolDiagNamed named;
	StringInfoData json;
	PoolDiagAdvice *added = pooldiag_advice_on(
		c, percent >= POOLDIAG_SLOTS_CRITICAL_PERCENT ? POOLDIAG_CRITICAL : POOLDIAG_WARNING, pool,
		&json);

	added->title = psprintf("%d of %d usable connection slots are taken (%.1f %%)",
							server->connections, usable, percent);
	pooldiag_json_int(&json, "connections", server->connections);
	pooldiag_json_int(&json, "usable_slots", usable);
	pooldiag_json_number(&json, "slots_percent", percent, 1);
	pooldiag_json_begin(&json, "states", '{');
	for (int state = 0; state < POOLDIAG_STATES; state++)
		pooldiag_json_int(&json, pooldiag_state_name(state), server->by_state[state]);
	pooldiag_json_end(&json, '}');
	if (held * 4 >= server->connections)
	{
		pooldiag_named_idle(&named, c, POOLDIAG_SUBJECT_SERVER, true, surplus);
		added->advice = psprintf(
			"%d connections are idle in transaction: the application holds them without "
			"using them. This ends those that have been for longest, as many as it takes, "
			"unless they go on; then mend the code that neither commits nor rolls back "
			"before it does something else. pooldiag.leaks has the last statement of those "
			"that are suspects.",
			held);
		free_slots(added, &named, &json, "state LIKE 'idle in transaction%'");
	}
	else if (idle * 2 >= server->connections)
	{
		pooldiag_named_idle(&named, c, POOLDIAG_SUBJECT_SERVER, false, surplus);
		added->advice =
			psprintf("%d connections are idle: the pools keep more than they use. Lower their size "
					 "(see pooldiag.pools and pooldiag.connection_groups) or share them through a "
					 "pooler in transaction mode; that goes further than a larger "
					 "max_connections. This ends those that have been idle for longest, as many as "
					 "it takes for now; pools open new ones when they need them.",
					 idle);
		free_slots(added, &named, &json, "state = 'idle'");
	}
	else
	{
		added->advice = "Most connections are at work: see pooldiag.slow_queries and "
						"pooldiag.blocking for what holds them, before you raise max_connections.";
		added->remedy = psprintf("ALTER SYSTEM SET max_connections = %d; -- takes effect when the "
								 "server is restarted",
								 MaxConnections + Max(MaxConnections / 4, 10));
	}
	pooldiag_advice_done(added, &json);
}

/* ---------------------------------------------------------------- refused_connections ------------ */

/* For want of room, rather than for who they are or when they came. */
static const PoolDiagReason want_of_room[] = {
	POOLDIAG_REFUSED_NO_SLOT, POOLDIAG_REFUSED_RESERVED_SLOTS, POOLDIAG_REFUSED_ROLE_LIMIT,
	POOLDIAG_REFUSED_DATABASE_LIMIT, POOLDIAG_REFUSED_WALSENDER_LIMIT};

static int64
refused_for_room(const PoolDiagSample *sample)
{
	int64 refused = 0;

	for (int i = 0; i < (int) lengthof(want_of_room); i++)
		refused += sample->refused_lately[want_of_room[i]];
	return refused;
}

bool
pooldiag_advice_were_refused(const PoolDiagSample *sample, int pool)
{
	return refused_for_room(sample) >= POOLDIAG_REFUSED_LEAST;
}

void
pooldiag_advice_refused_connections(PoolDiagCase *c, int pool)
{
	const PoolDiagSample *sample = c->live->sample;
	int64 refused = refused_for_room(sample);
	int64 by_slots = sample->refused_lately[POOLDIAG_REFUSED_NO_SLOT] +
					 sample->refused_lately[POOLDIAG_REFUSED_RESERVED_SLOTS];
	int64 by_limits = sample->refused_lately[POOLDIAG_REFUSED_ROLE_LIMIT] +
					  sample->refused_lately[POOLDIAG_REFUSED_DATABASE_LIMIT];
	StringInfoData json;
	PoolDiagAdvice *added = pooldiag_advice_on(
		c, refused >= POOLDIAG_REFUSED_CRITICAL ? POOLDIAG_CRITICAL : POOLDIAG_WARNING, pool,
		&json);

	added->title = psprintf(INT64_FORMAT " connection%s refused in the last %.0f s for want of "
										 "room",
							refused, refused == 1 ? " was" : "s were", sample->trend.seconds);
	pooldiag_json_int(&json, "refused", refused);
	pooldiag_json_number(&json, "window_seconds", sample->trend.seconds, 1);
	pooldiag_json_begin(&json, "reasons", '{');
	for (int i = 0; i < (int) lengthof(want_of_room); i++)
		if (sample->refused_lately[want_of_room[i]] > 0)
			pooldiag_json_int(&json, pooldiag_refusals_reason(want_of_room[i]),
							  sample->refused_lately[want_of_room[i]]);
	pooldiag_json_end(&json, '}');
	pooldiag_advice_done(added, &json);
	if (by_slots > 0 && by_slots >= by_limits)
	{
		added->advice =
			"All slots were taken. See pooldiag.refusal_sources for who was turned away, "
			"and pooldiag.pools for who held the slots: leaks and idle connections "
			"first. If all of them are needed, give the server more slots.";
		added->remedy = psprintf("ALTER SYSTEM SET max_connections = %d; -- takes effect when the "
								 "server is restarted",
								 MaxConnections + Max(MaxConnections / 4, 10));
	}
	else if (by_limits > 0)
	{
		added->advice = "A role, or a database, has reached its CONNECTION LIMIT. This shows the "
						"limits beside what is connected; ALTER ROLE or ALTER DATABASE ... "
						"CONNECTION LIMIT raises one. The pools that connect there must fit into "
						"it, all instances together.";
		added->remedy = "SELECT scope, name, connections, capacity, peak_connections\n"
						"FROM pooldiag.utilization WHERE scope IN ('role', 'database') AND "
						"capacity IS NOT NULL\n"
						"ORDER BY utilization_percent DESC;";
	}
	else
	{
		added->advice = "More standbys, backups or logical subscribers want to connect than "
						"max_wal_senders allows.";
		added->remedy = psprintf("ALTER SYSTEM SET max_wal_senders = %d; -- takes effect when the "
								 "server is restarted",
								 max_wal_senders + Max(max_wal_senders / 2, 5));
	}
}

/* ---------------------------------------------------------------- authentication_failures -------- */

bool
pooldiag_advice_failed_authentication(const PoolDiagSample *sample, int pool)
{
	return sample->refused_lately[POOLDIAG_REFUSED_AUTHENTICATION] >= POOLDIAG_AUTHENTICATION_LEAST;
}

void
pooldiag_advice_authentication_failures(PoolDiagCase *c, int pool)
{
	const PoolDiagSample *sample = c->live->sample;
	int64 refused = sample->refused_lately[POOLDIAG_REFUSED_AUTHENTICATION];
	StringInfoData json;
	PoolDiagAdvice *added = pooldiag_advice_on(c, POOLDIAG_WARNING, pool, &json);

	added->title = psprintf(INT64_FORMAT " connections failed to authenticate in the last %.0f s",
							refused, sample->trend.seconds);
	pooldiag_json_int(&json, "refused", refused);
	pooldiag_json_number(&json, "window_seconds", sample->trend.seconds, 1);
	pooldiag_advice_done(added, &json);
	added->advice = "An application has a password that is out of date, or somebody is guessing. "
					"This shows who tries, and from where; the server's log says why each failed. "
					"A pool that tries again without a pause takes a slot each time: stop it, or "
					"shut it out in pg_hba.conf.";
	added->remedy = "SELECT usename, datname, application_name, client, refused, last_at\n"
					"FROM pooldiag.refusal_sources WHERE reason = 'authentication' ORDER BY "
					"refused DESC;";
}

/* ---------------------------------------------------------------- no_reserved_slots -------------- */

bool
pooldiag_advice_has_no_reserve(const PoolDiagSample *sample, int pool)
{
	return SuperuserReservedConnections == 0 &&
		   (int64) sample->connections_peak.value * 100 >=
			   (int64) MaxConnections * POOLDIAG_RESERVE_INFO_PERCENT;
}

void
pooldiag_advice_no_reserved_slots(PoolDiagCase *c, int pool)
{
	int peak = c->live->sample->connections_peak.value;
	double percent = 100.0 * peak / MaxConnections;
	StringInfoData json;
	PoolDiagAdvice *added = pooldiag_advice_on(
		c, percent >= POOLDIAG_RESERVE_WARNING_PERCENT ? POOLDIAG_WARNING : POOLDIAG_INFO, pool,
		&json);

	added->title = psprintf("No slot is reserved for superusers, and %d of %d have been taken at "
							"once",
							peak, MaxConnections);
	pooldiag_json_int(&json, "superuser_reserved_connections", SuperuserReservedConnections);
	pooldiag_json_int(&json, "max_connections", MaxConnections);
	pooldiag_json_int(&json, "peak_connections", peak);
	pooldiag_json_number(&json, "peak_percent", percent, 1);
	pooldiag_advice_done(added, &json);
	added->advice = "When the slots are full, nobody can connect to find out why, or to end what "
					"holds them. Three reserved ones are the server's default.";
	added->remedy = "ALTER SYSTEM SET superuser_reserved_connections = 3; -- takes effect when the "
					"server is restarted";
}

/* ---------------------------------------------------------------- max_connections_oversized ------ */

static int
connections_needed(const PoolDiagSample *sample)
{
	return (int) Max(sample->past.most_connections, sample->connections_peak.value);
}

/* What to come down to: room for as many again, and for all that the declared pools may open. */
static int64
connections_enough(const PoolDiagSample *sample)
{
	int64 enough = (int64) connections_needed(sample) * POOLDIAG_OVERSIZED_ROOM_PERCENT / 100;
	int64 declared =
		pooldiag_advice_declared_capacity(&sample->pools) + pooldiag_backends_reserved();

	return Max(Max(enough, declared), POOLDIAG_OVERSIZED_SERVER_FLOOR);
}

bool
pooldiag_advice_has_too_many_slots(const PoolDiagSample *sample, int pool)
{
	return MaxConnections >= POOLDIAG_OVERSIZED_SERVER_LEAST &&
		   connections_enough(sample) < MaxConnections &&
		   sample->past.known_seconds >= POOLDIAG_OVERSIZED_HOURS * 3600.0 &&
		   (int64) connections_needed(sample) * 100 <=
			   (int64) pooldiag_backends_usable() * POOLDIAG_OVERSIZED_PERCENT;
}

void
pooldiag_advice_max_connections_oversized(PoolDiagCase *c, int pool)
{
	const PoolDiagSample *sample = c->live->sample;
	int most = connections_needed(sample);
	StringInfoData json;
	PoolDiagAdvice *added = pooldiag_advice_on(c, POOLDIAG_INFO, pool, &json);

	added->title = psprintf("max_connections is %d, and at most %d were connected at once in %.1f "
							"days",
							MaxConnections, most, sample->past.known_seconds / 86400);
	pooldiag_json_int(&json, "max_connections", MaxConnections);
	pooldiag_json_int(&json, "peak_connections", most);
	pooldiag_json_number(&json, "known_seconds", sample->past.known_seconds, 0);
	pooldiag_advice_done(added, &json);
	added->advice =
		"Each slot costs shared memory, and lets more in at once than the machine can "
		"serve when something goes wrong: a limit that is never tested protects "
		"nothing. Come down to what is needed, with room for a bad day and for all that "
		"declared pools may open; on a standby the setting must not be below the primary's, so "
		"change the primary first.";
	added->remedy = psprintf("ALTER SYSTEM SET max_connections = " INT64_FORMAT
							 "; -- takes effect when the server is restarted",
							 connections_enough(sample));
}

/* ---------------------------------------------------------------- role_or_database_limit --------- */

/* How many of the connections that this caller sees are of that role, or of that database. */
static int
count_connections(const PoolDiagLive *live, Oid role, Oid database)
{
	int count = 0;

	for (int i = 0; i < live->count; i++)
		if (live->connections[i].visible &&
			(!OidIsValid(role) || live->connections[i].backend.userid == role) &&
			(!OidIsValid(database) || live->connections[i].backend.databaseid == database))
			count++;
	return count;
}

static void
judge_limit(PoolDiagCase *c, const char *what, const char *name, int limit, int connections)
{
	char *subject = psprintf("%s %s", what, name);
	int enough = limit + Max(limit / 2, 5);
	StringInfoData json;
	PoolDiagAdvice *added;

	if (limit < 0 || connections == 0 ||
		(int64) connections * 100 < (int64) limit * POOLDIAG_LIMIT_PERCENT)
		return;
	added = pooldiag_advice_add(c, connections >= limit ? POOLDIAG_CRITICAL : POOLDIAG_WARNING,
								subject, pooldiag_advice_key(subject));
	added->title =
		psprintf("%s has %d of the %d connections that it may have", subject, connections, limit);
	initStringInfo(&json);
	pooldiag_json_begin(&json, NULL, '{');
	pooldiag_json_int(&json, "connections", connections);
	pooldiag_json_int(&json, "connection_limit", limit);
	pooldiag_advice_done(added, &json);
	added->advice = "At its CONNECTION LIMIT, further clients are turned away, however many slots "
					"are free. If the limit is meant, the pools that connect there must fit into "
					"it, all instances together; else raise it.";
	/* What this database's encoding can't say may be the name of another in it. */
	if (pooldiag_text_is_clean(name))
		added->remedy = psprintf("ALTER %s %s CONNECTION LIMIT %d;",
								 strcmp(what, "role") == 0 ? "ROLE" : "DATABASE",
								 quote_identifier(name), enough);
}

/* Where there is no catalog, the limits are those that a process with one has left. */
static void
judge_quotas(PoolDiagCase *c)
{
	PoolDiagQuotas *quotas = palloc(sizeof(PoolDiagQuotas));

	if (!pooldiag_quotas_read(quotas))
		return;
	for (int i = 0; i < quotas->count; i++)
	{
		const PoolDiagQuota *quota = &quotas->limits[i];

		judge_limit(c, quota->is_role ? "role" : "database", quota->name, quota->limit,
					count_connections(c->live, quota->is_role ? quota->oid : InvalidOid,
									  quota->is_role ? InvalidOid : quota->oid));
	}
}

static void
judge_catalog(PoolDiagCase *c)
{
	Relation relation = table_open(AuthIdRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_authid role = (Form_pg_authid) GETSTRUCT(tuple);

		/* Superusers have none. */
		if (role->rolconnlimit >= 0 && !role->rolsuper)
			judge_limit(c, "role", pstrdup(NameStr(role->rolname)), role->rolconnlimit,
						count_connections(c->live, role->oid, InvalidOid));
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);

	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		if (database->datconnlimit >= 0)
			judge_limit(c, "database", pstrdup(NameStr(database->datname)), database->datconnlimit,
						count_connections(c->live, InvalidOid, database->oid));
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
}

void
pooldiag_advice_role_or_database_limit(PoolDiagCase *c, int pool)
{
	if (OidIsValid(MyDatabaseId))
		judge_catalog(c);
	else
		judge_quotas(c);
}
