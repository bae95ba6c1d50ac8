/*
 * findings.c
 *	  Since when each rule of the advisor has fired, for each subject.
 *
 * A table of fixed size in shared memory, under a lock. What the sampler judges it confirms here, once a second; what
 * needs locks or a catalog is noted by sessions that ask, as far as they see everything. What fires no more leaves:
 * at the sampler's next confirmation, or when a session asks again. What was noted, and that nobody has seen again for
 * pooldiag.advice_window, is forgotten: whether it has fired without a break nobody knows, and in a database that is gone
 * nobody will ask.
 *
 * The sampler takes the lock only if it is free, and confirms a second later otherwise; other workers that ask don't wait for
 * it either (worker.c). Sessions hold it for as long as it takes to go through the table.
 */
#include "postgres.h"

#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "findings.h"
#include "settings.h"
#include "worker.h"

#define TRANCHE "pooldiag_findings"

typedef struct Entry
{
	PoolDiagFinding finding;
	bool used;
	bool sampled; /* the sampler's to confirm */
	bool seen;	  /* while it is gone through */
	TimestampTz first_seen;
	TimestampTz last_seen;
	int window_s; /* for how long one that the sampler doesn't confirm is remembered from then on */
} Entry;

typedef struct Shared
{
	int used; /* entries beyond that are unused; among them may be some that are, too */
	uint64 dropped;
	Entry entries[POOLDIAG_FINDINGS_ROOM];
} Shared;

static Shared *shared = NULL;
static LWLock *lock = NULL;

Size
pooldiag_findings_size(void)
{
	return sizeof(Shared);
}

/* To be called where shared memory is requested. */
void
pooldiag_findings_request(void)
{
	RequestNamedLWLockTranche(TRANCHE, 1);
}

void
pooldiag_findings_attach(char *at, bool made)
{
	shared = (Shared *) at;
	lock = &GetNamedLWLockTranche(TRANCHE)->lock;
}

static bool
is_same(const PoolDiagFinding *a, const PoolDiagFinding *b)
{
	return a->rule == b->rule && a->subject == b->subject && a->database == b->database;
}

/* Has nobody seen it for so long that it counts as forgotten? */
static bool
is_expired(const Entry *entry, TimestampTz now)
{
	return !entry->sampled && now - entry->last_seen > entry->window_s * USECS_PER_SEC;
}

/* Those that are forgotten leave. Under the lock. */
static void
forget_expired(TimestampTz now)
{
	for (int i = 0; i < shared->used; i++)
		if (shared->entries[i].used && is_expired(&shared->entries[i], now))
			shared->entries[i].used = false;
}

/* The entry of that finding, or NULL. Under the lock. */
static Entry *
find(const PoolDiagFinding *finding)
{
	for (int i = 0; i < shared->used; i++)
		if (shared->entries[i].used && is_same(&shared->entries[i].finding, finding))
			return &shared->entries[i];
	return NULL;
}

static void
see(const PoolDiagFinding *finding, bool sampled, TimestampTz now)
{
	Entry *entry = find(finding);
	int place = 0;

	if (entry == NULL)
	{
		while (place < shared->used && shared->entries[place].used)
			place++;
		if (place == POOLDIAG_FINDINGS_ROOM)
		{
			shared->dropped++;
			return;
		}
		entry = &shared->entries[place];
		shared->used = Max(shared->used, place + 1);
		entry->finding = *finding;
		entry->first_seen = now;
		entry->sampled = sampled;
		entry->used = true;
	}
	entry->seen = true;
	entry->last_seen = now;
	entry->window_s = pooldiag_advice_window;
}

/* Of the entries for which this is whose turn it is, those that were not seen leave. Under the lock. */
static void
forget_unseen(bool sampled, int rule, Oid database)
{
	for (int i = 0; i < shared->used; i++)
	{
		Entry *entry = &shared->entries[i];

		if (entry->sampled == sampled && !entry->seen &&
			(sampled || (entry->finding.rule == rule && entry->finding.database == database)))
			entry->used = false;
		entry->seen = false;
	}
	while (shared->used > 0 && !shared->entries[shared->used - 1].used)
		shared->used--;
}

/* All that the sampler has found, of all its rules; where the lock is taken, that is for the next time. */
void
pooldiag_findings_confirm(const PoolDiagFinding *found, int count, TimestampTz now)
{
	if ((count == 0 && shared->used == 0) || !LWLockConditionalAcquire(lock, LW_EXCLUSIVE))
		return;
	forget_expired(now);
	for (int i = 0; i < count; i++)
		see(&found[i], true, now);
	forget_unseen(true, 0, InvalidOid);
	LWLockRelease(lock);
}

/* All that a session that sees everything has found of one rule, in a database if it is of one. */
void
pooldiag_findings_note(int rule, Oid database, const PoolDiagFinding *found, int count,
					   TimestampTz now)
{
	if (shared == NULL || !pooldiag_worker_lock(lock, LW_EXCLUSIVE))
		return;
	forget_expired(now);
	for (int i = 0; i < count; i++)
		see(&found[i], false, now);
	forget_unseen(false, rule, database);
	LWLockRelease(lock);
}

/* Since when that has fired, as is known at that moment; 0: not known. */
TimestampTz
pooldiag_findings_since(const PoolDiagFinding *finding, TimestampTz now)
{
	TimestampTz since = 0;
	const Entry *entry;

	if (shared == NULL || !pooldiag_worker_lock(lock, LW_SHARED))
		return 0;
	entry = find(finding);
	if (entry != NULL && !is_expired(entry, now))
		since = entry->first_seen;
	LWLockRelease(lock);
	return since;
}

/* How full the table is. */
PoolDiagFindingsUse
pooldiag_findings_use(void)
{
	PoolDiagFindingsUse use = {0};

	LWLockAcquire(lock, LW_SHARED);
	for (int i = 0; i < shared->used; i++)
		use.used += shared->entries[i].used;
	use.dropped = shared->dropped;
	LWLockRelease(lock);
	return use;
}
