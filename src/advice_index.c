/*
 * advice_index.c
 *	  The rule on indexes that slow statements lack.
 *
 * Slow statements have noted which tables they read from end to end, and which columns they compared (scans.c). Here, in
 * a session of that database, this is held against the catalog as it is now: the table is there and large, what was wanted
 * is a small part of it, the operators are ones that a btree index serves, and no index begins with such a column.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "advice_index.h"
#include "scans.h"
#include "thresholds.h"

/* What an index would be on. */
typedef struct Wanted
{
	const char *schema;
	const char *table;
	double pages;
	double tuples;
	int columns;
	AttrNumber numbers[POOLDIAG_SCAN_COLUMNS];
	List *names; /* as many, of char * */
} Wanted;

/* Which strategy of a btree index on that column the operator opno is; 0: none. */
static int
strategy_of(Oid relation, AttrNumber column, Oid opno)
{
	Oid type = get_atttype(relation, column);
	Oid opclass = OidIsValid(type) ? GetDefaultOpClass(type, BTREE_AM_OID) : InvalidOid;

	return OidIsValid(opclass) ? get_op_opfamily_strategy(opno, get_opclass_family(opclass)) : 0;
}

static void
take_column(Wanted *wanted, Oid relation, AttrNumber column)
{
	char *name = get_attname(relation, column, true);

	if (name == NULL)
		return;
	wanted->numbers[wanted->columns++] = column;
	wanted->names = lappend(wanted->names, name);
}

/* Equal ones first; of ranges one, and last, since an index can't use more. */
static void
take_columns(Wanted *wanted, const PoolDiagScan *scan)
{
	AttrNumber range = InvalidAttrNumber;

	for (int i = 0; i < POOLDIAG_SCAN_COLUMNS && scan->columns[i] != 0; i++)
	{
		int strategy = strategy_of(scan->relation, scan->columns[i], scan->operators[i]);

		if (strategy == BTEqualStrategyNumber)
			take_column(wanted, scan->relation, scan->columns[i]);
		else if (strategy != 0 && range == InvalidAttrNumber)
			range = scan->columns[i];
	}
	if (range != InvalidAttrNumber)
		take_column(wanted, scan->relation, range);
}

/* Is there a valid index that begins with one of those columns, of all rows? */
static bool
has_index(Oid relid, const Wanted *wanted)
{
	Relation relation = try_relation_open(relid, AccessShareLock);
	List *indexes;
	ListCell *cell;
	bool found = false;

	if (relation == NULL)
		return true;
	indexes = RelationGetIndexList(relation);
	foreach (cell, indexes)
	{
		HeapTuple tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(cell)));
		Form_pg_index index;

		if (!HeapTupleIsValid(tuple))
			continue;
		index = (Form_pg_index) GETSTRUCT(tuple);
		if (index->indisvalid && heap_attisnull(tuple, Anum_pg_index_indpred, NULL))
			for (int i = 0; i < wanted->columns; i++)
				if (index->indkey.values[0] == wanted->numbers[i])
					found = true;
		ReleaseSysCache(tuple);
	}
	list_free(indexes);
	relation_close(relation, AccessShareLock);
	return found;
}

/* What the catalog says of the table; false where there is nothing to gain. */
static bool
look_up(const PoolDiagScan *scan, Wanted *wanted)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(scan->relation));
	Form_pg_class class;

	memset(wanted, 0, sizeof(*wanted));
	if (!HeapTupleIsValid(tuple))
		return false;
	class = (Form_pg_class) GETSTRUCT(tuple);
	if (class->relkind == RELKIND_RELATION || class->relkind == RELKIND_MATVIEW)
	{
		wanted->schema = get_namespace_name(class->relnamespace);
		wanted->table = pstrdup(NameStr(class->relname));
		wanted->pages = class->relpages;
		wanted->tuples = class->reltuples;
	}
	ReleaseSysCache(tuple);
	/* A table that was never analyzed has no figures. */
	if (wanted->schema == NULL || wanted->pages < POOLDIAG_INDEX_LEAST_PAGES ||
		scan->rows * 100 > wanted->tuples * POOLDIAG_INDEX_MOST_PERCENT)
		return false;
	take_columns(wanted, scan);
	return wanted->columns > 0 && !has_index(scan->relation, wanted);
}

static void
say(PoolDiagCase *c, const PoolDiagScan *scan, const Wanted *wanted)
{
	const char *table = quote_qualified_identifier(wanted->schema, wanted->table);
	StringInfoData columns;
	StringInfoData json;
	PoolDiagAdvice *added;
	ListCell *cell;

	initStringInfo(&columns);
	initStringInfo(&json);
	pooldiag_json_begin(&json, NULL, '{');
	foreach (cell, wanted->names)
		appendStringInfo(&columns, "%s%s", columns.len > 0 ? ", " : "",
						 quote_identifier(lfirst(cell)));
	added = pooldiag_advice_add(c, POOLDIAG_INFO, psprintf("%s (%s)", table, columns.data),
								(uint64) scan->relation << 32 |
									(uint32) pooldiag_advice_key(columns.data));
	added->finding.database = MyDatabaseId;
	added->title = psprintf("Slow statements read all of %s, and look for few of its rows", table);
	pooldiag_json_int(&json, "slow_statements", scan->calls);
	pooldiag_json_number(&json, "total_seconds", scan->total_us / 1e6, 3);
	pooldiag_json_time(&json, "last_at", scan->last_at);
	pooldiag_json_number(&json, "table_pages", wanted->pages, 0);
	pooldiag_json_number(&json, "table_rows", wanted->tuples, 0);
	pooldiag_json_number(&json, "rows_planned", scan->rows, 0);
	pooldiag_json_begin(&json, "columns", '[');
	foreach (cell, wanted->names)
		pooldiag_json_string(&json, NULL, lfirst(cell));
	pooldiag_json_end(&json, ']');
	pooldiag_advice_done(added, &json);
	added->advice =
		"They were slow, and their plans scanned the table from end to end to filter most "
		"of it away; no index begins with one of these columns. CONCURRENTLY lets "
		"others write meanwhile; it can't run inside a transaction block, and what a "
		"failed attempt leaves has to be dropped. Look at the plans afterwards: each "
		"index costs every write.";
	added->remedy = psprintf("CREATE INDEX CONCURRENTLY ON %s (%s);", table, columns.data);
}

void
pooldiag_advice_missing_index(PoolDiagCase *c, int pool)
{
	PoolDiagScan *scans;
	int count;

	/* Which statements others run, only they and pg_read_all_stats may know. */
	if (!c->live->sees_all)
		return;
	scans = palloc(sizeof(PoolDiagScan) * POOLDIAG_SCANS_ROOM);
	count = pooldiag_scans_read(MyDatabaseId, scans);
	for (int i = 0; i < count; i++)
	{
		Wanted wanted;

		if (scans[i].calls >= POOLDIAG_INDEX_LEAST_CALLS && look_up(&scans[i], &wanted))
			say(c, &scans[i], &wanted);
	}
	pfree(scans);
}
