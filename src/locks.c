/*
 * locks.c
 *	  Who waits for whom: heavyweight locks, as one session that asks sees them.
 *
 * Runs in the asking session only. GetLockStatusData gives one moment of the lock manager, holding
 * its partitions' LWLocks as pg_locks does; who blocks a waiter, queue order included, is core's
 * pg_blocking_pids, one call a waiter, so the edges of a wait that has just ended may be missing,
 * and a circle that the deadlock detector has not broken yet may be seen.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"

#include "locks.h"

static int
compare_pids(const void *left, const void *right)
{
	int a = *(const int *) left;
	int b = *(const int *) right;

	return (a > b) - (a < b);
}

static int
compare_waiters(const void *left, const void *right)
{
	return compare_pids(&((const PoolDiagWaiter *) left)->pid,
						&((const PoolDiagWaiter *) right)->pid);
}

/* The sessions that keep this one waiting: pids, sorted, each once. */
void
pooldiag_locks_blockers(int pid, int **blockers, int *count)
{
	ArrayType *array =
		DatumGetArrayTypeP(DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(pid)));
	Datum *elements;
	int n;
	int *pids;
	int unique = 0;

	deconstruct_array(array, INT4OID, sizeof(int32), true, TYPALIGN_INT, &elements, NULL, &n);
	pids = palloc(sizeof(int) * Max(n, 1));
	for (int i = 0; i < n; i++)
		pids[i] = DatumGetInt32(elements[i]);
	qsort(pids, n, sizeof(int), compare_pids);
	for (int i = 0; i < n; i++)
		if (unique == 0 || pids[unique - 1] != pids[i])
			pids[unique++] = pids[i];
	*blockers = pids;
	*count = unique;
}

static PoolDiagWaiter *
find_waiter(const PoolDiagLocks *locks, int pid)
{
	PoolDiagWaiter key = {.pid = pid};

	return bsearch(&key, locks->waiters, locks->count, sizeof(PoolDiagWaiter), compare_waiters);
}

/* Which relation, or a row of which, does it wait for? A wait for a transaction says so by its
 * tuple lock. */
static void
find_relation(const LockData *data, const LockInstanceData *wait, PoolDiagWaiter *waiter)
{
	switch ((LockTagType) wait->locktag.locktag_type)
	{
		case LOCKTAG_RELATION:
		case LOCKTAG_RELATION_EXTEND:
		case LOCKTAG_PAGE:
		case LOCKTAG_TUPLE:
			waiter->databaseid = wait->locktag.locktag_field1;
			waiter->relationid = wait->locktag.locktag_field2;
			break;
		case LOCKTAG_TRANSACTION:
			for (int i = 0; i < data->nelements; i++)
				if (data->locks[i].pid == wait->pid && data->locks[i].holdMask != 0 &&
					data->locks[i].locktag.locktag_type == LOCKTAG_TUPLE)
				{
					waiter->databaseid = data->locks[i].locktag.locktag_field1;
					waiter->relationid = data->locks[i].locktag.locktag_field2;
				}
			break;
		default:
			break;
	}
}

/*
 * Gives each waiter the root at the end of its shortest way: those that wait for a session that
 * doesn't wait come first, then those that wait for them, and so on. What is left over waits in a
 * circle.
 */
static void
find_roots(PoolDiagLocks *locks)
{
	bool found = true;

	for (int depth = 1; found; depth++)
	{
		found = false;
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < locks->count; i++)
		{
			PoolDiagWaiter *waiter = &locks->waiters[i];

			for (int b = 0; b < waiter->blocker_count && waiter->depth == 0; b++)
			{
				PoolDiagWaiter *next = find_waiter(locks, waiter->blockers[b]);

				/* Whoever nobody blocks any more has its lock by now, and waits no longer. */
				if (next != NULL && next->blocker_count > 0 &&
					(next->depth == 0 || next->depth >= depth))
					continue;
				waiter->root =
					next == NULL || next->blocker_count == 0 ? waiter->blockers[b] : next->root;
				waiter->depth = depth;
				found = true;
			}
		}
	}
}

/* Keeps of each session the wait that began first: the processes of a parallel query may all wait.
 */
static void
unite_waiters(PoolDiagLocks *locks)
{
	int kept = 0;

	for (int i = 0; i < locks->count; i++)
	{
		PoolDiagWaiter *waiter = &locks->waiters[i];

		if (kept > 0 && locks->waiters[kept - 1].pid == waiter->pid)
		{
			if (waiter->since == 0 || (locks->waiters[kept - 1].since != 0 &&
									   locks->waiters[kept - 1].since <= waiter->since))
				continue;
			kept--;
		}
		locks->waiters[kept++] = *waiter;
	}
	locks->count = kept;
}

/* Puts waiters into the order of their pids, in which they are looked for. */
void
pooldiag_locks_sort(PoolDiagLocks *locks)
{
	qsort(locks->waiters, locks->count, sizeof(PoolDiagWaiter), compare_waiters);
}

/* Reads all waits, with their blockers and roots, in the order of their pids. */
PoolDiagLocks *
pooldiag_locks_read(void)
{
	PoolDiagLocks *locks = palloc0(sizeof(PoolDiagLocks));
	LockData *data = GetLockStatusData();

	locks->data = data;
	locks->waiters = palloc0(sizeof(PoolDiagWaiter) * Max(data->nelements, 1));
	for (int i = 0; i < data->nelements; i++)
	{
		LockInstanceData *wait = &data->locks[i];
		PoolDiagWaiter *waiter;

		if (wait->waitLockMode == NoLock)
			continue;
		waiter = &locks->waiters[locks->count++];
		waiter->pid = wait->leaderPid;
		waiter->since = wait->waitStart;
		waiter->tag = wait->locktag;
		waiter->mode = wait->waitLockMode;
		waiter->root = POOLDIAG_NO_ROOT;
		find_relation(data, wait, waiter);
	}
	pooldiag_locks_sort(locks);
	unite_waiters(locks);
	for (int i = 0; i < locks->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		pooldiag_locks_blockers(locks->waiters[i].pid, &locks->waiters[i].blockers,
								&locks->waiters[i].blocker_count);
	}
	find_roots(locks);
	return locks;
}

/* How many locks that session holds, counted as pg_locks shows them: one for each object and mode.
 */
int
pooldiag_locks_held(const PoolDiagLocks *locks, int pid)
{
	int held = 0;

	for (int i = 0; i < locks->data->nelements; i++)
		if (locks->data->locks[i].pid == pid)
			for (LOCKMASK mask = locks->data->locks[i].holdMask; mask != 0; mask &= mask - 1)
				held++;
	return held;
}

static bool
is_listed(int pid, const int *pids, int npids)
{
	for (int i = 0; i < npids; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* How many sessions wait for one of those, directly or behind others that do; each counts once. */
int
pooldiag_locks_waiting_behind(const PoolDiagLocks *locks, const int *pids, int npids)
{
	bool *behind = palloc0(sizeof(bool) * Max(locks->count, 1));
	int count = 0;
	bool grew = true;

	while (grew)
	{
		grew = false;
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < locks->count; i++)
		{
			const PoolDiagWaiter *waiter = &locks->waiters[i];

			for (int b = 0; b < waiter->blocker_count && !behind[i]; b++)
			{
				PoolDiagWaiter *blocker = find_waiter(locks, waiter->blockers[b]);

				if (is_listed(waiter->blockers[b], pids, npids) ||
					(blocker != NULL && behind[blocker - locks->waiters]))
				{
					behind[i] = true;
					count++;
					grew = true;
				}
			}
		}
	}
	pfree(behind);
	return count;
}
