/*
 * blockers.c
 *	  Who waits for whom, as workers see it: without waiting for a lock, and so perhaps not all of it.
 *
 * A session that asks takes all of the lock manager's partitions (locks.c), and may wait for them. A worker must not:
 * it takes the partition of the one lock that a process waits for, if that is free, for as long as it takes to walk
 * through those who hold it, and counts what it could not read. PGPROC's waitLock is first read without any lock; a LOCK
 * lies in shared memory that never goes away, so that its tag can be read, whatever it has become. It is trusted only
 * when its partition is held and the process still waits for it: both change under that lock alone.
 *
 * Races that are accepted: two waits are not of the same moment, so that a root may have ended, or a circle may seem to
 * be there.
 */
#include "postgres.h"

#include "access/twophase.h"
#include "storage/lock.h"
#include "storage/lwlock.h"
#include "storage/proc.h"

#include "blockers.h"
#include "compat.h"

/* As many of those that hold up one session are kept; its way to a root goes over one of them. */
#define MAX_HOLDERS 8

typedef struct Waiter
{
	int procno; /* of its group's leader, if it is part of a parallel query */
	LOCK *lock;
	LOCKTAG tag;
	LOCKMODE mode;
	LOCKMASK conflicts;
	TimestampTz since; /* 0: it has only just begun */
	int holders[MAX_HOLDERS];
	int holder_count;
	int root; /* number of a PGPROC, or -1 */
	int depth;
} Waiter;

/* What a wait came to. */
typedef enum Wait
{
	WAIT_READ,
	WAIT_OVER,
	WAIT_NOT_READ
} Wait;

static int
number_of(const PGPROC *proc)
{
	return (int) (proc - ProcGlobal->allProcs);
}

/* Those that hold the lock in a mode that stands against the waiter's. Its partition is held. */
static void
read_holders(Waiter *waiter, const PGPROC *group)
{
	PROCLOCK *held;

	POOLDIAG_EACH_PROCLOCK(held, waiter->lock)
	{
		if (held->groupLeader == group || (held->holdMask & waiter->conflicts) == 0)
			continue;
		if (waiter->holder_count == MAX_HOLDERS)
			break;
		waiter->holders[waiter->holder_count++] = number_of(held->groupLeader);
	}
}

static Wait
read_wait(PGPROC *proc, Waiter *waiter)
{
	LOCK *lock = *(LOCK *volatile *) &proc->waitLock;
	LWLock *partition;
	Wait wait = WAIT_OVER;

	if (lock == NULL)
		return WAIT_OVER;
	memset(waiter, 0, sizeof(*waiter));
	memcpy(&waiter->tag, &lock->tag, sizeof(LOCKTAG));
	partition = LockHashPartitionLock(LockTagHashCode(&waiter->tag));
	if (!LWLockConditionalAcquire(partition, LW_SHARED))
		return WAIT_NOT_READ;
	if (proc->waitLock == lock && proc->waitProcLock != NULL)
	{
		/* Its tag may have been another's when it was read; then the wrong partition is held. */
		if (memcmp(&lock->tag, &waiter->tag, sizeof(LOCKTAG)) != 0)
			wait = WAIT_NOT_READ;
		else
		{
			PGPROC *group = proc->waitProcLock->groupLeader;

			waiter->procno = number_of(group);
			waiter->lock = lock;
			waiter->mode = proc->waitLockMode;
			waiter->conflicts = GetLocksMethodTable(lock)->conflictTab[waiter->mode];
			waiter->since = (TimestampTz) pg_atomic_read_u64(&proc->waitStart);
			waiter->root = -1;
			read_holders(waiter, group);
			wait = WAIT_READ;
		}
	}
	LWLockRelease(partition);
	return wait;
}

/* Who waits in a queue with nobody in its way that holds the lock, waits for those that came before. */
static void
read_queues(Waiter *waiters, int count)
{
	for (int i = 0; i < count; i++)
	{
		Waiter *waiter = &waiters[i];

		if (waiter->holder_count > 0)
			continue;
		for (int b = 0; b < count && waiter->holder_count < MAX_HOLDERS; b++)
		{
			const Waiter *before = &waiters[b];

			if (before->procno != waiter->procno && before->lock == waiter->lock &&
				memcmp(&before->tag, &waiter->tag, sizeof(LOCKTAG)) == 0 &&
				(LOCKBIT_ON(before->mode) & waiter->conflicts) != 0 && before->since != 0 &&
				(waiter->since == 0 || before->since < waiter->since))
				waiter->holders[waiter->holder_count++] = before->procno;
		}
	}
}

/* As in locks.c: each waiter gets the root at the end of its shortest way. */
static void
find_roots(Waiter *waiters, int count, const int *waiter_of)
{
	bool found = true;

	for (int depth = 1; found; depth++)
	{
		found = false;
		for (int i = 0; i < count; i++)
		{
			Waiter *waiter = &waiters[i];

			for (int b = 0; b < waiter->holder_count && waiter->depth == 0; b++)
			{
				int holder = waiter->holders[b];
				const Waiter *next = waiter_of[holder] < 0 ? NULL : &waiters[waiter_of[holder]];

				if (next != NULL && (next->depth == 0 || next->depth >= depth))
					continue;
				waiter->root = next == NULL ? holder : next->root;
				waiter->depth = depth;
				found = true;
			}
		}
	}
}

static int
compare_roots(const void *left, const void *right)
{
	const PoolDiagRoot *a = left;
	const PoolDiagRoot *b = right;

	if (a->waiting != b->waiting)
		return a->waiting > b->waiting ? -1 : 1;
	return (a->procno > b->procno) - (a->procno < b->procno);
}

/* 0: a prepared transaction, which has no process. */
static int
pid_of(int procno)
{
	return GetPGProcByNumber(procno)->pid;
}

static void
count_root(PoolDiagBlockers *blockers, const Waiter *waiter)
{
	int i = 0;

	if (waiter->root < 0)
	{
		blockers->rootless++;
		return;
	}
	while (i < blockers->count && blockers->roots[i].procno != waiter->root)
		i++;
	if (i == blockers->count)
	{
		blockers->roots[i].procno = waiter->root;
		blockers->roots[i].pid = pid_of(waiter->root);
		blockers->roots[i].waiting = 0;
		blockers->count++;
	}
	blockers->roots[i].waiting++;
	blockers->root_of[waiter->procno] = blockers->roots[i].pid;
}

/* What was read of all waits, each session's once, with the roots of those. */
typedef struct Waits
{
	int procs;
	int count;
	int not_read;
	Waiter *waiters;
	int *waiter_of; /* by the number of a PGPROC: its place among the waiters, or -1 */
} Waits;

static void
read_waits(Waits *waits)
{
	waits->procs = (int) ProcGlobal->allProcCount + max_prepared_xacts;
	waits->count = 0;
	waits->not_read = 0;
	waits->waiters = palloc_extended(sizeof(Waiter) * Max(MaxBackends, 1), MCXT_ALLOC_HUGE);
	waits->waiter_of = palloc(sizeof(int) * waits->procs);
	for (int i = 0; i < waits->procs; i++)
		waits->waiter_of[i] = -1;
	for (int procno = 0; procno < MaxBackends; procno++)
	{
		Waiter *waiter = &waits->waiters[waits->count];

		switch (read_wait(GetPGProcByNumber(procno), waiter))
		{
			case WAIT_READ:
				if (waits->waiter_of[waiter->procno] < 0)
					waits->waiter_of[waiter->procno] = waits->count++;
				break;
			case WAIT_OVER:
				break;
			case WAIT_NOT_READ:
				waits->not_read++;
				break;
		}
	}
	read_queues(waits->waiters, waits->count);
	find_roots(waits->waiters, waits->count, waits->waiter_of);
}

/* Reads all waits, and who is at their roots. */
PoolDiagBlockers *
pooldiag_blockers_read(void)
{
	PoolDiagBlockers *blockers = palloc0(sizeof(PoolDiagBlockers));
	Waits waits;

	read_waits(&waits);
	blockers->waiters = waits.count;
	blockers->not_read = waits.not_read;
	blockers->root_of = palloc(sizeof(int) * waits.procs);
	for (int i = 0; i < waits.procs; i++)
		blockers->root_of[i] = POOLDIAG_NO_ROOT;
	blockers->roots = palloc(sizeof(PoolDiagRoot) * Max(waits.count, 1));
	for (int i = 0; i < waits.count; i++)
		count_root(blockers, &waits.waiters[i]);
	qsort(blockers->roots, blockers->count, sizeof(PoolDiagRoot), compare_roots);
	pfree(waits.waiters);
	pfree(waits.waiter_of);
	return blockers;
}

/*
 * Is it the startup process, which holds on a standby what transactions of the primary hold there? Of processes without a
 * slot in the status array's first part, no other takes heavyweight locks.
 */
bool
pooldiag_blockers_is_replay(const PoolDiagRoot *root)
{
	return root->pid != POOLDIAG_PREPARED_TRANSACTION && root->procno >= MaxBackends;
}

/* The same as a session that asks has it, of which it lacks what could not be read, and who holds what. */
PoolDiagLocks *
pooldiag_blockers_locks(void)
{
	PoolDiagLocks *locks = palloc0(sizeof(PoolDiagLocks));
	Waits waits;

	read_waits(&waits);
	locks->data = palloc0(sizeof(LockData));
	locks->count = waits.count;
	locks->waiters = palloc0(sizeof(PoolDiagWaiter) * Max(waits.count, 1));
	for (int i = 0; i < waits.count; i++)
	{
		const Waiter *from = &waits.waiters[i];
		PoolDiagWaiter *waiter = &locks->waiters[i];

		waiter->pid = pid_of(from->procno);
		waiter->since = from->since;
		waiter->tag = from->tag;
		waiter->mode = from->mode;
		waiter->blockers = palloc(sizeof(int) * MAX_HOLDERS);
		waiter->blocker_count = from->holder_count;
		for (int b = 0; b < from->holder_count; b++)
			waiter->blockers[b] = pid_of(from->holders[b]);
		waiter->root = from->root < 0 ? POOLDIAG_NO_ROOT : pid_of(from->root);
		waiter->depth = from->depth;
	}
	pooldiag_locks_sort(locks);
	pfree(waits.waiters);
	pfree(waits.waiter_of);
	return locks;
}
