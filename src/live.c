/*
 * live.c
 *	  What a session that asks sees of the server, at that moment and under its own privileges.
 *
 * Runs in the asking session only, allocates in its memory, and takes no lock beyond those of
 * catalog look-ups. Where a sampler has published its directory of pools, that is what connections
 * are matched to, so that all come to the same answer; else the session's own settings are.
 *
 * The http worker asks as well. It has no database, so that it has no catalog to look into, and no role: it sees all, and
 * what it shows to whom is its own affair (endpoints.c). It waits for no session: an entry that its owner is writing
 * each time is a connection of which nothing else is known.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "live.h"
#include "outlook.h"
#include "sessions.h"
#include "settings.h"
#include "shared.h"

/* How often the http worker tries an entry whose owner is writing: microseconds, where a write takes less than one. */
#define READ_TRIES 1000

/* The rule of HAS_PGSTAT_PERMISSIONS in core. */
bool
pooldiag_live_may_see(Oid userid)
{
	if (!OidIsValid(MyDatabaseId))
		return true;
	return has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
		   (OidIsValid(userid) && has_privs_of_role(GetUserId(), userid));
}

/* The role's name as the catalog has it now, or NULL; where there is no catalog, NULL. */
const char *
pooldiag_live_user(Oid userid)
{
	return OidIsValid(MyDatabaseId) && OidIsValid(userid) ? GetUserNameFromId(userid, true) : NULL;
}

/* The same of a database. */
const char *
pooldiag_live_database(Oid databaseid)
{
	return OidIsValid(MyDatabaseId) && OidIsValid(databaseid) ? get_database_name(databaseid)
															  : NULL;
}

/* A sampler that has been silent for that many intervals is held to be gone. */
#define SILENT_INTERVALS 10

/* Has the server a sampler that does not sample? One that never did is measured from the server's start. */
bool
pooldiag_live_sampler_is_silent(const PoolDiagLive *live)
{
	TimestampTz since;
	int interval_ms;

	if (pooldiag_control == NULL)
		return false;
	since = live->sampled ? live->sampled_at : pooldiag_control->started_at;
	interval_ms = live->sampled ? live->sample->interval_ms : pooldiag_sample_interval;
	return live->now - since > (int64) interval_ms * 1000 * SILENT_INTERVALS;
}

/* A sample without counts: the sampler's directory and peaks, or a directory of this session's own. */
static PoolDiagSample *
begin_sample(PoolDiagLive *live)
{
	PoolDiagSample *sample = pooldiag_shared_read();

	live->sampled = sample != NULL;
	if (sample == NULL)
	{
		int count;
		PoolDiagPoolDef *defs = pooldiag_settings_pool_defs(&count);
		int capacity = Max(1, MaxConnections + count);
		PoolDiagPoolDefaults defaults = pooldiag_settings_pool_defaults();

		sample = MemoryContextAllocHuge(CurrentMemoryContext, pooldiag_sample_size(capacity));
		pooldiag_sample_init(sample, capacity);
		pooldiag_pools_configure(&sample->pools, defs, count, &defaults);
		pfree(defs);
	}
	if (!live->sampled)
		sample->settings = pooldiag_outlook_settings();
	live->sampled_at = sample->at;
	pooldiag_sample_clear_counts(sample);
	return sample;
}

static int
find_pool(PoolDiagLive *live, const PoolDiagBackend *backend)
{
	char login_user[NAMEDATALEN];
	char login_database[NAMEDATALEN];
	const char *user = login_user;
	const char *database = login_database;

	if (backend->state == POOLDIAG_STARTING)
		return POOLDIAG_NO_POOL;
	if (!pooldiag_sessions_identity(backend->procno, backend->pid, login_user, login_database))
	{
		user = pooldiag_live_user(backend->userid);
		database = pooldiag_live_database(backend->databaseid);
		if (user == NULL || database == NULL)
			return POOLDIAG_NO_POOL;
	}
	return pooldiag_pools_assign(&live->sample->pools, user, database, backend->application_name);
}

/*
 * Reads all connections and counts them. what is a set of POOLDIAG_READ_*; the application name,
 * without which no pool is found, is always read.
 */
PoolDiagLive *
pooldiag_live_read(int what)
{
	PoolDiagLive *live = palloc0(sizeof(PoolDiagLive));
	char *query = (what & POOLDIAG_READ_QUERY) ? palloc(pgstat_track_activity_query_size) : NULL;
	int tries = OidIsValid(MyDatabaseId) ? 0 : READ_TRIES;

	live->sees_all = pooldiag_live_may_see(InvalidOid);
	live->sample = begin_sample(live);
	live->connections = MemoryContextAllocHuge(
		CurrentMemoryContext, mul_size(sizeof(PoolDiagConnection), MaxConnections));
	live->now = GetCurrentTimestamp();
	for (int procno = 0; procno < MaxConnections; procno++)
	{
		PoolDiagConnection *connection = &live->connections[live->count];
		PoolDiagBackend *backend = &connection->backend;

		CHECK_FOR_INTERRUPTS();
		memset(connection, 0, sizeof(*connection));
		backend->query = query;
		if (pooldiag_backends_read(procno, what | POOLDIAG_READ_CLIENT, tries, backend) ==
			POOLDIAG_SLOT_FREE)
			continue;
		backend->query = query == NULL ? NULL : pstrdup(query);
		live->count++;
		connection->visible = live->sees_all || pooldiag_live_may_see(backend->userid);
		connection->pool = POOLDIAG_NO_POOL;
		if (connection->visible)
		{
			connection->pool = find_pool(live, backend);
			pooldiag_sample_add(live->sample, backend, connection->pool, live->now);
		}
		else
		{
			live->masked++;
			live->sample->server.connections++;
		}
	}
	return live;
}

/*
 * Reads the text of a connection's query where it was read without. False if the session has moved
 * on: what was read of it is then renewed, and the caller looks at it again.
 */
bool
pooldiag_live_query(PoolDiagConnection *connection)
{
	PoolDiagBackend *backend = &connection->backend;
	int pid = backend->pid;
	int changecount = backend->changecount;
	char *scratch = palloc(pgstat_track_activity_query_size);
	PoolDiagRead result;

	if (backend->query != NULL)
		pfree(backend->query);
	backend->query = scratch;
	scratch[0] = '\0';
	result = pooldiag_backends_read(backend->procno, POOLDIAG_READ_ALL, 0, backend);
	/* A text is short as a rule, and the setting may be a megabyte. */
	backend->query = pstrdup(scratch);
	pfree(scratch);
	return result != POOLDIAG_SLOT_FREE && backend->pid == pid &&
		   backend->changecount == changecount;
}

/* The text of its query for a reader: cut at a character, or masked, or NULL under track_query_text
 * = off. */
char *
pooldiag_live_text(const PoolDiagConnection *connection)
{
	if (!connection->visible)
		return "<insufficient privilege>";
	if (!pooldiag_track_query_text || connection->backend.state == POOLDIAG_STARTING)
		return NULL;
	return pgstat_clip_activity(connection->backend.query);
}

/* The name of a pool, in the database's encoding, or NULL for POOLDIAG_NO_POOL. */
char *
pooldiag_live_pool_name(const PoolDiagLive *live, int pool)
{
	char name[POOLDIAG_POOL_NAME_LEN];

	if (pool == POOLDIAG_NO_POOL)
		return NULL;
	pooldiag_pools_name(&live->sample->pools, pool, name);
	return pstrdup(name);
}

/* The limits of its pool; NULL where it has none. */
const PoolDiagPoolLimits *
pooldiag_live_limits(const PoolDiagLive *live, const PoolDiagConnection *connection)
{
	if (connection->pool == POOLDIAG_NO_POOL)
		return NULL;
	return &live->sample->pools.rows[connection->pool].limits;
}

/* The connection of that process, or NULL. */
PoolDiagConnection *
pooldiag_live_find(const PoolDiagLive *live, int pid)
{
	for (int i = 0; i < live->count; i++)
		if (live->connections[i].backend.pid == pid)
			return &live->connections[i];
	return NULL;
}
