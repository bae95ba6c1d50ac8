/*
 * scans.c
 *	  Tables that slow statements have read from end to end, to filter most of it away.
 *
 * When a statement has run that was slow, its session looks through the plan, which is still there, for sequential
 * scans that compare columns with what was known before they began, and notes which. Nothing is planned or run again,
 * and no statement's text is looked at: that may be somebody else's, and planning it would run its functions.
 *
 * A table of fixed size in shared memory, under a lock that a session takes only if it is free; else that is counted.
 * When the table is full, the scan that took the least time makes way.
 */
#include "postgres.h"

#include "access/transam.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "scans.h"

#define TRANCHE "pooldiag_scans"

typedef struct Shared
{
	pg_atomic_uint64 missed;

	/* Under the lock. */
	int used;
	uint64 replaced;
	PoolDiagScan scans[POOLDIAG_SCANS_ROOM];
} Shared;

static Shared *shared = NULL;
static LWLock *lock = NULL;

Size
pooldiag_scans_size(void)
{
	return sizeof(Shared);
}

/* To be called where shared memory is requested. */
void
pooldiag_scans_request(void)
{
	RequestNamedLWLockTranche(TRANCHE, 1);
}

void
pooldiag_scans_attach(char *at, bool made)
{
	shared = (Shared *) at;
	lock = &GetNamedLWLockTranche(TRANCHE)->lock;
	if (made)
		pg_atomic_init_u64(&shared->missed, 0);
}

/* Adds a scan to the one that is the same. Under the lock. */
static void
add(const PoolDiagScan *scan)
{
	PoolDiagScan *least = NULL;

	for (int i = 0; i < shared->used; i++)
	{
		PoolDiagScan *known = &shared->scans[i];

		if (known->database == scan->database && known->relation == scan->relation &&
			memcmp(known->columns, scan->columns, sizeof(scan->columns)) == 0 &&
			memcmp(known->operators, scan->operators, sizeof(scan->operators)) == 0)
		{
			known->calls++;
			known->total_us += scan->total_us;
			known->rows = scan->rows;
			known->last_at = scan->last_at;
			return;
		}
		if (least == NULL || known->total_us < least->total_us)
			least = known;
	}
	if (shared->used < POOLDIAG_SCANS_ROOM)
		least = &shared->scans[shared->used++];
	else
		shared->replaced++;
	*least = *scan;
}

static Node *
strip(Node *node)
{
	while (node != NULL && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/* Takes the column, if this side is one of the relation's, and the other side is known before the scan begins. */
static void
take_column(PoolDiagScan *scan, Index relid, Node *column, Node *other, Oid opno)
{
	const Var *var = (const Var *) column;

	if (column == NULL || !IsA(column, Var) || !OidIsValid(opno) || var->varno != (int) relid ||
		var->varattno <= 0 || contain_var_clause(other))
		return;
	for (int i = 0; i < POOLDIAG_SCAN_COLUMNS; i++)
	{
		if (scan->columns[i] == var->varattno)
			return;
		if (scan->columns[i] != 0)
			continue;
		scan->columns[i] = var->varattno;
		scan->operators[i] = opno;
		return;
	}
}

static void
take_condition(PoolDiagScan *scan, Index relid, Node *condition)
{
	List *arguments = NIL;
	Oid opno = InvalidOid;
	bool is_array = false;
	Node *left;
	Node *right;

	if (IsA(condition, OpExpr))
	{
		arguments = ((OpExpr *) condition)->args;
		opno = ((OpExpr *) condition)->opno;
	}
	else if (IsA(condition, ScalarArrayOpExpr) && ((ScalarArrayOpExpr *) condition)->useOr)
	{
		arguments = ((ScalarArrayOpExpr *) condition)->args;
		opno = ((ScalarArrayOpExpr *) condition)->opno;
		is_array = true;
	}
	if (list_length(arguments) != 2)
		return;
	left = strip(linitial(arguments));
	right = strip(lsecond(arguments));
	take_column(scan, relid, left, right, opno);
	if (!is_array && right != NULL && IsA(right, Var))
		take_column(scan, relid, right, left, get_commutator(opno));
}

typedef struct Walk
{
	int64 us;
	TimestampTz now;
} Walk;

static bool
walk(PlanState *state, void *context)
{
	const Walk *of = context;

	if (IsA(state, SeqScanState) && ((ScanState *) state)->ss_currentRelation != NULL)
	{
		Relation relation = ((ScanState *) state)->ss_currentRelation;
		PoolDiagScan scan;
		ListCell *cell;

		memset(&scan, 0, sizeof(scan));
		if (RelationGetRelid(relation) >= FirstNormalObjectId &&
			!RelationUsesLocalBuffers(relation))
			foreach (cell, state->plan->qual)
				take_condition(&scan, ((Scan *) state->plan)->scanrelid, lfirst(cell));
		if (scan.columns[0] != 0)
		{
			scan.database = MyDatabaseId;
			scan.relation = RelationGetRelid(relation);
			scan.calls = 1;
			scan.total_us = (uint64) of->us;
			scan.rows = state->plan->plan_rows;
			scan.last_at = of->now;
			if (LWLockConditionalAcquire(lock, LW_EXCLUSIVE))
			{
				add(&scan);
				LWLockRelease(lock);
			}
			else
				pg_atomic_fetch_add_u64(&shared->missed, 1);
		}
	}
	return planstate_tree_walker(state, walk, context);
}

/* A slow statement of this session has run, and took that long; its plan is still there. */
void
pooldiag_scans_note(const QueryDesc *query, int64 us)
{
	Walk of = {us, GetCurrentTimestamp()};

	if (query->planstate != NULL)
		(void) walk(query->planstate, &of);
}

/* Copies the scans of a database into POOLDIAG_SCANS_ROOM rows; returns how many there are. */
int
pooldiag_scans_read(Oid database, PoolDiagScan *scans)
{
	int count = 0;

	if (shared == NULL)
		return 0;
	LWLockAcquire(lock, LW_SHARED);
	for (int i = 0; i < shared->used; i++)
		if (shared->scans[i].database == database)
			scans[count++] = shared->scans[i];
	LWLockRelease(lock);
	return count;
}

/* Forgets all of them. */
void
pooldiag_scans_reset(void)
{
	LWLockAcquire(lock, LW_EXCLUSIVE);
	shared->used = 0;
	shared->replaced = 0;
	pg_atomic_write_u64(&shared->missed, 0);
	LWLockRelease(lock);
}

/* How full the table is. */
PoolDiagScansUse
pooldiag_scans_use(void)
{
	PoolDiagScansUse use;

	LWLockAcquire(lock, LW_SHARED);
	use.used = shared->used;
	use.replaced = shared->replaced;
	LWLockRelease(lock);
	use.missed = pg_atomic_read_u64(&shared->missed);
	return use;
}
