/*
 * timeouts.c
 *	  Which sessions no timeout would end, as roles and databases are set.
 *
 * Reads pg_db_role_setting in the asking session. What a session has set for itself, or its client
 * has asked for when it connected, is in that session's memory only.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_db_role_setting.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "timeouts.h"

/* A value that ALTER ROLE or ALTER DATABASE has given the setting; an OID of 0 stands for all. */
typedef struct Override
{
	Oid database;
	Oid role;
	int ms;
} Override;

static bool
find_value(ArrayType *config, const char *setting, int *ms)
{
	size_t length = strlen(setting);
	Datum *items;
	int count;

	deconstruct_array(config, TEXTOID, -1, false, TYPALIGN_INT, &items, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		char *item = TextDatumGetCString(items[i]);

		if (strncmp(item, setting, length) == 0 && item[length] == '=')
			return parse_int(item + length + 1, ms, GUC_UNIT_MS, NULL);
	}
	return false;
}

static List *
read_overrides(const char *setting)
{
	List *overrides = NIL;
	Relation relation = table_open(DbRoleSettingRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(relation, InvalidOid, false, NULL, 0, NULL);
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_db_role_setting row = (Form_pg_db_role_setting) GETSTRUCT(tuple);
		bool isnull;
		Datum config = heap_getattr(tuple, Anum_pg_db_role_setting_setconfig,
									RelationGetDescr(relation), &isnull);
		int ms;

		if (!isnull && find_value(DatumGetArrayTypeP(config), setting, &ms))
		{
			Override *override = palloc(sizeof(Override));

			override->database = row->setdatabase;
			override->role = row->setrole;
			override->ms = ms;
			overrides = lappend(overrides, override);
		}
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return overrides;
}

/* How specific an override is; the highest wins, as in process_settings. */
#define RANK_SERVER (-1)
#define RANK_ROLE_IN_DATABASE 3

/* What a new session of that role in that database has, in milliseconds, and how specific that is.
 */
static int
effective_ms(List *overrides, Oid database, Oid role, int server_ms, int *rank_found)
{
	int ms = server_ms;
	int best = RANK_SERVER;
	ListCell *cell;

	foreach (cell, overrides)
	{
		const Override *override = lfirst(cell);
		int rank = (OidIsValid(override->role) ? 2 : 0) + (OidIsValid(override->database) ? 1 : 0);

		if ((!OidIsValid(override->role) || override->role == role) &&
			(!OidIsValid(override->database) || override->database == database) && rank > best)
		{
			best = rank;
			ms = override->ms;
		}
	}
	*rank_found = best;
	return ms;
}

/*
 * The server's value of the setting, in milliseconds, as far as this session can tell: what it would reset it
 * to. Where its own role or database overrides the setting, that hides the server's, and the result is
 * POOLDIAG_TIMEOUT_UNKNOWN.
 */
int
pooldiag_timeouts_own(const char *setting)
{
	int ms = 0;
	int rank;

	(void) effective_ms(read_overrides(setting), MyDatabaseId, GetSessionUserId(), 0, &rank);
	if (rank != RANK_SERVER)
		return POOLDIAG_TIMEOUT_UNKNOWN;
	(void) parse_int(GetConfigOptionResetString(setting), &ms, GUC_UNIT_MS, NULL);
	return ms;
}

static void
add_role(PoolDiagUntimed *untimed, Oid userid, Oid databaseid)
{
	PoolDiagUntimedRole *added;
	ListCell *cell;

	foreach (cell, untimed->roles)
	{
		const PoolDiagUntimedRole *known = lfirst(cell);

		if (known->userid == userid && known->databaseid == databaseid)
			return;
	}
	added = palloc(sizeof(*added));
	added->userid = userid;
	added->databaseid = databaseid;
	added->role = pooldiag_live_user(userid);
	added->database = pooldiag_live_database(databaseid);
	/* Dropped meanwhile. */
	if (added->role == NULL || (OidIsValid(databaseid) && added->database == NULL))
		return;
	untimed->roles = lappend(untimed->roles, added);
}

/*
 * The connections that this caller may look into, its own apart, for which the setting, a timeout
 * in milliseconds, is 0. server_ms is what the configuration files say.
 */
PoolDiagUntimed
pooldiag_timeouts_missing(const PoolDiagLive *live, const char *setting, int server_ms)
{
	PoolDiagUntimed untimed = {0, NIL};
	List *overrides = read_overrides(setting);

	for (int i = 0; i < live->count; i++)
	{
		const PoolDiagBackend *backend = &live->connections[i].backend;
		int rank;

		if (!live->connections[i].visible || backend->state == POOLDIAG_STARTING ||
			backend->pid == MyProcPid ||
			effective_ms(overrides, backend->databaseid, backend->userid, server_ms, &rank) != 0)
			continue;
		untimed.connections++;
		add_role(&untimed, backend->userid,
				 rank == RANK_ROLE_IN_DATABASE ? backend->databaseid : InvalidOid);
	}
	return untimed;
}
