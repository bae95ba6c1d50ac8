/*
 * counters.c
 *	  What sessions have done: one slot a session, totals a pool, and how the one gets into the other.
 *
 * A session counts in its own slot, which nobody else writes: plain stores, no lock, no atomic operation. Which
 * pool these counts belong to (the slot's owner) is for the sampler to find, which writes it beside them, in
 * assigned; the session takes it over at the end of its next transaction. Where owner or application name
 * change, and at its end, a session adds what it has counted to its pool's totals, with atomic additions, and
 * goes on from zero. A pool's figures are its totals and the slots that it owns.
 *
 * A session that ends, or changes its name, before the sampler has seen it looks for its pool in the newest sample.
 * Where nobody has seen such names yet, it leaves its counts among the departed, one entry for each (user, database,
 * application name), which the sampler gives to pools at its next tick. This is the only place with a lock: who
 * leaves something waits for it, the sampler takes it only if it is free. Where all entries are taken, the counts
 * go to the pool (other), and that is counted.
 *
 * reset() raises a number, and sets totals to zero. A slot that has not taken that number over counts for
 * nothing; its session does so at the end of its next transaction, and begins from zero.
 *
 * Races that are accepted: a reader that comes while a session's counts are moved reads again, a hundred times
 * at the most, and may then have them twice or not at all; a session that adds to the totals of a pool in the
 * microsecond in which the pool leaves the directory may add to those of the next one in that row; what is
 * counted in the microsecond of a reset may be lost, or stay. SIGKILL of any process makes the server begin anew.
 */
#include "postgres.h"

#include "port/pg_bitutils.h"
#include "storage/lwlock.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "common/hashfn.h"

#include "compat.h"
#include "counters.h"
#include "settings.h"
#include "shared.h"
#include "worker.h"

#define TRANCHE "pooldiag"
#define DEPARTED_ENTRIES 128
#define READ_TRIES 100

/* What sessions that no pool was found for have left. */
typedef struct Departed
{
	bool used;
	char user[NAMEDATALEN];
	char database[NAMEDATALEN];
	char application_name[NAMEDATALEN];
	PoolDiagTotals totals;
} Departed;

typedef struct Shared
{
	LWLock *lock; /* protects departed */
	/* Raised before, and after, counts are moved. */
	pg_atomic_uint64 moves_begun;
	pg_atomic_uint64 moves_done;
	pg_atomic_uint32 resets;
	pg_atomic_uint64 reset_at;
	/* Sessions that are connected, and the most there were since the sampler asked last. */
	pg_atomic_uint32 connected;
	pg_atomic_uint32 most_connected;
	pg_atomic_uint64 slow_us; /* the sampler's: of sessions without a pool; 0: not known */
	pg_atomic_uint64 dropped; /* sessions whose counts went to (other) for want of an entry */
	pg_atomic_uint32 departed_used;
	Departed departed[DEPARTED_ENTRIES];
} Shared;

static Shared *shared = NULL;
static PoolDiagSlot *slots = NULL;
static PoolDiagPoolTotals *totals_of = NULL; /* of each row of the directory, (other) the last */

PoolDiagSlot *pooldiag_my_slot = NULL;
pg_atomic_uint32 *pooldiag_counters_reset_number = NULL;
static uint32 my_key = 0; /* of this process and the name in its slot */
static bool is_connected = false;

Size
pooldiag_counters_size(void)
{
	Size size = CACHELINEALIGN(sizeof(Shared));

	size = add_size(size, mul_size(sizeof(PoolDiagPoolTotals), pooldiag_max_pools + 1));
	return add_size(CACHELINEALIGN(size), mul_size(sizeof(PoolDiagSlot), MaxConnections));
}

/* To be called where shared memory is requested. */
void
pooldiag_counters_request(void)
{
	RequestNamedLWLockTranche(TRANCHE, 1);
}

static void
init_totals(PoolDiagPoolTotals *totals)
{
	pg_atomic_init_u32(&totals->life, 0);
	for (int i = 0; i < POOLDIAG_COUNTS; i++)
		pg_atomic_init_u64(&totals->sums[i], 0);
	for (int kind = 0; kind < POOLDIAG_KINDS; kind++)
		for (int i = 0; i < POOLDIAG_BUCKETS; i++)
			pg_atomic_init_u64(&totals->histogram[kind][i], 0);
}

void
pooldiag_counters_attach(char *at, bool made)
{
	shared = (Shared *) at;
	pooldiag_counters_reset_number = &shared->resets;
	totals_of = (PoolDiagPoolTotals *) (at + CACHELINEALIGN(sizeof(Shared)));
	slots = (PoolDiagSlot *) (at + CACHELINEALIGN(CACHELINEALIGN(sizeof(Shared)) +
												  sizeof(PoolDiagPoolTotals) *
													  (pooldiag_max_pools + 1)));
	if (!made)
		return;
	shared->lock = &GetNamedLWLockTranche(TRANCHE)->lock;
	pg_atomic_init_u64(&shared->moves_begun, 0);
	pg_atomic_init_u64(&shared->moves_done, 0);
	pg_atomic_init_u32(&shared->resets, 0);
	pg_atomic_init_u64(&shared->reset_at, (uint64) GetCurrentTimestamp());
	pg_atomic_init_u32(&shared->connected, 0);
	pg_atomic_init_u32(&shared->most_connected, 0);
	pg_atomic_init_u64(&shared->slow_us, 0);
	pg_atomic_init_u64(&shared->dropped, 0);
	pg_atomic_init_u32(&shared->departed_used, 0);
	for (int i = 0; i <= pooldiag_max_pools; i++)
		init_totals(&totals_of[i]);
	for (int i = 0; i < MaxConnections; i++)
	{
		pg_atomic_init_u64(&slots[i].assigned, 0);
		pg_atomic_init_u64(&slots[i].slow_us, 0);
	}
}

/* What a kind of duration is called. */
const char *
pooldiag_kind_name(PoolDiagKind kind)
{
	static const char *const names[POOLDIAG_KINDS] = {"statement", "transaction", "connect",
													  "lifetime"};

	return names[kind];
}

static uint32
key_of(int pid, const char *application_name)
{
	return hash_combine(
		hash_bytes_uint32((uint32) pid),
		hash_bytes((const unsigned char *) application_name, (int) strlen(application_name)));
}

static void
add(pg_atomic_uint64 *to, uint64 count)
{
	if (count != 0)
		(void) pg_atomic_fetch_add_u64(to, (int64) count);
}

static void
add_all(PoolDiagPoolTotals *to, const PoolDiagTotals *from)
{
	for (int i = 0; i < POOLDIAG_COUNTS; i++)
		add(&to->sums[i], from->sums[i]);
	for (int kind = 0; kind < POOLDIAG_KINDS; kind++)
		for (int i = 0; i < POOLDIAG_BUCKETS; i++)
			add(&to->histogram[kind][i], from->histogram[kind][i]);
}

/* The same where nobody else writes. */
static void
add_totals(PoolDiagTotals *to, const PoolDiagTotals *from)
{
	for (int i = 0; i < POOLDIAG_COUNTS; i++)
		to->sums[i] += from->sums[i];
	for (int kind = 0; kind < POOLDIAG_KINDS; kind++)
		for (int i = 0; i < POOLDIAG_BUCKETS; i++)
			to->histogram[kind][i] += from->histogram[kind][i];
}

/* The totals of an owner; of one that has gone, those of (other). */
static PoolDiagPoolTotals *
totals_of_owner(uint32 owner)
{
	PoolDiagPoolTotals *totals = &totals_of[owner & 0xFFFF];

	if (pg_atomic_read_u32(&totals->life) != owner >> 16)
		return &totals_of[pooldiag_max_pools];
	return totals;
}

/* Adds what a slot has to totals that nobody else writes. */
static void
add_slot(PoolDiagTotals *to, const PoolDiagSlot *slot)
{
	StaticAssertStmt(POOLDIAG_BUCKETS / 8 <= 64, "eight buckets have a bit");
	for (int i = 0; i < POOLDIAG_COUNTS; i++)
		to->sums[i] += slot->sums[i];
	for (int kind = 0; kind < POOLDIAG_COUNTED_KINDS; kind++)
		for (uint64 left = slot->touched[kind]; left != 0; left &= left - 1)
		{
			int first = 8 * pg_rightmost_one_pos64(left);

			for (int i = first; i < first + 8; i++)
				to->histogram[kind][i] += slot->durations[kind][i];
		}
	if (slot->connect_bucket >= 0)
		to->histogram[POOLDIAG_KIND_CONNECT][slot->connect_bucket]++;
}

/* The entry of this session's names among the departed, or NULL if there is no room. Under the lock. */
static Departed *
find_departed(const PoolDiagIdentity *identity, const char *application_name)
{
	Departed *unused = NULL;

	for (int i = 0; i < DEPARTED_ENTRIES; i++)
	{
		Departed *entry = &shared->departed[i];

		if (!entry->used)
			unused = unused ? unused : entry;
		else if (strcmp(entry->application_name, application_name) == 0 &&
				 strcmp(entry->user, identity->user) == 0 &&
				 strcmp(entry->database, identity->database) == 0)
			return entry;
	}
	if (unused != NULL)
	{
		memset(unused, 0, sizeof(*unused));
		strlcpy(unused->user, identity->user, NAMEDATALEN);
		strlcpy(unused->database, identity->database, NAMEDATALEN);
		strlcpy(unused->application_name, application_name, NAMEDATALEN);
		unused->used = true;
		pg_atomic_fetch_add_u32(&shared->departed_used, 1);
	}
	return unused;
}

/* Moves what this session has counted to where it belongs; its lifetime too if that is not negative. */
static void
move_counts(int64 lifetime_us)
{
	static PoolDiagTotals moved; /* too large for the stack of whoever is interrupted */
	const PoolDiagIdentity *identity = pooldiag_shared_identity(MyProcNumber);
	PoolDiagSlot *slot = pooldiag_my_slot;
	uint32 owner = slot->owner;
	uint16 life;
	int index;

	memset(&moved, 0, sizeof(moved));
	add_slot(&moved, slot);
	if (lifetime_us >= 0)
	{
		moved.sums[POOLDIAG_CLOSED]++;
		moved.sums[POOLDIAG_LIFETIME_US] += lifetime_us;
		moved.histogram[POOLDIAG_KIND_LIFETIME][pooldiag_histogram_bucket(lifetime_us)]++;
	}

	/* A pool that there is need not be found by the sampler. */
	if (owner == POOLDIAG_NO_OWNER &&
		pooldiag_shared_find_pool(identity->user, identity->database, slot->application_name,
								  &index, &life))
		owner = POOLDIAG_OWNER(index, life);
	pg_atomic_fetch_add_u64(&shared->moves_begun, 1);
	if (owner != POOLDIAG_NO_OWNER)
		add_all(totals_of_owner(owner), &moved);
	else
	{
		Departed *entry;

		LWLockAcquire(shared->lock, LW_EXCLUSIVE);
		entry = find_departed(identity, slot->application_name);
		if (entry != NULL)
			add_totals(&entry->totals, &moved);
		LWLockRelease(shared->lock);
		if (entry == NULL)
		{
			add_all(&totals_of[pooldiag_max_pools], &moved);
			pg_atomic_fetch_add_u64(&shared->dropped, 1);
		}
	}
	pooldiag_counters_begin_from_zero();
	pg_atomic_fetch_add_u64(&shared->moves_done, 1);
}

/* This session has counted nothing, since the last reset. */
void
pooldiag_counters_begin_from_zero(void)
{
	PoolDiagSlot *slot = pooldiag_my_slot;

	slot->resets = pg_atomic_read_u32(&shared->resets);
	memset(slot->sums, 0, sizeof(slot->sums));
	memset(slot->touched, 0, sizeof(slot->touched));
	memset(slot->durations, 0, sizeof(slot->durations));
	slot->connect_bucket = -1;
}

/* A session that has authenticated makes its slot its own. */
void
pooldiag_counters_login(void)
{
	PoolDiagSlot *slot = &slots[MyProcNumber];

	slot->pid = 0;
	pg_write_barrier();
	pooldiag_my_slot = slot;
	pooldiag_counters_begin_from_zero();
	slot->owner = POOLDIAG_NO_OWNER;
	slot->application_name[0] = '\0';
	pg_atomic_write_u64(&slot->slow_us, pg_atomic_read_u64(&shared->slow_us));
	pg_write_barrier();
	slot->pid = MyProcPid;
}

/* This session goes by this name from now on, and the sampler has found no pool for that yet. */
static void
take_name(PoolDiagSlot *slot)
{
	slot->owner = POOLDIAG_NO_OWNER;
	strlcpy(slot->application_name, application_name, NAMEDATALEN);
	my_key = key_of(MyProcPid, slot->application_name);
}

/* Tells that this session is there under its name, or that it ends; whoever makes a pile wakes the sampler. */
static void
tell(const PoolDiagSlot *slot, bool leaves)
{
	const PoolDiagIdentity *identity = pooldiag_shared_identity(MyProcNumber);
	PoolDiagWord word;

	memset(&word, 0, sizeof(word));
	word.at = GetCurrentTimestamp();
	word.procno = MyProcNumber;
	word.pid = MyProcPid;
	word.databaseid = MyProc->databaseId;
	word.roleid = MyProc->roleId;
	word.leaves = leaves;
	strlcpy(word.user, identity->user, NAMEDATALEN);
	strlcpy(word.database, identity->database, NAMEDATALEN);
	strlcpy(word.application_name, slot->application_name, NAMEDATALEN);
	if ((pooldiag_presence_tell(pooldiag_presence, &word) + 1) % POOLDIAG_PRESENCE_PILE == 0)
		pooldiag_worker_wake(POOLDIAG_SAMPLER);
}

/* Its start-up is over, and took that long; the settings that came with it are in force. */
void
pooldiag_counters_connected(int64 connect_us)
{
	uint32 connected = pg_atomic_add_fetch_u32(&shared->connected, 1);
	uint32 most = pg_atomic_read_u32(&shared->most_connected);

	is_connected = true;
	take_name(pooldiag_my_slot);
	tell(pooldiag_my_slot, false);
	while (connected > most &&
		   !pg_atomic_compare_exchange_u32(&shared->most_connected, &most, connected))
		;
	pooldiag_my_slot->sums[POOLDIAG_OPENED] = 1;
	pooldiag_my_slot->sums[POOLDIAG_CONNECT_US] = Max(connect_us, 0);
	pooldiag_my_slot->connect_bucket = pooldiag_histogram_bucket(connect_us);
}

/* What pooldiag_counters_settle() does where there is something to settle. */
void
pooldiag_counters_settle_changes(void)
{
	PoolDiagSlot *slot = pooldiag_my_slot;
	uint64 assigned;

	pooldiag_counters_follow_reset();
	if (strcmp(slot->application_name, application_name) != 0)
	{
		move_counts(-1);
		take_name(slot);
		tell(slot, false);
	}
	assigned = pg_atomic_read_u64(&slot->assigned);
	if ((uint32) assigned != slot->owner && (uint32) (assigned >> 32) == my_key)
	{
		/* What nobody owned yet is the new owner's. */
		if (slot->owner != POOLDIAG_NO_OWNER)
			move_counts(-1);
		slot->owner = (uint32) assigned;
	}
}

/* The session ends. */
void
pooldiag_counters_logout(int64 lifetime_us)
{
	if (is_connected)
	{
		pooldiag_counters_settle_changes();
		move_counts(lifetime_us);
		pg_atomic_fetch_sub_u32(&shared->connected, 1);
		tell(pooldiag_my_slot, true);
	}
	pooldiag_my_slot->pid = 0;
	pooldiag_my_slot = NULL;
}

/* Moves what a row's former pool had to (other), if the row has another one now, or none. */
static void
follow_row(PoolDiagPools *pools, int index)
{
	PoolDiagPoolTotals *totals = &totals_of[index];
	PoolDiagPoolTotals *other = &totals_of[pools->capacity];

	if (pools->rows[index].used && pools->rows[index].life == 0)
	{
		if (++pools->lives == 0)
			pools->lives++;
		pools->rows[index].life = pools->lives;
	}
	if (pg_atomic_read_u32(&totals->life) == pools->rows[index].life)
		return;
	if (totals == other)
	{
		pg_atomic_write_u32(&totals->life, pools->rows[index].life);
		return;
	}
	pg_atomic_fetch_add_u64(&shared->moves_begun, 1);
	pg_atomic_write_u32(&totals->life, pools->rows[index].life);
	for (int i = 0; i < POOLDIAG_COUNTS; i++)
		add(&other->sums[i], pg_atomic_exchange_u64(&totals->sums[i], 0));
	for (int kind = 0; kind < POOLDIAG_KINDS; kind++)
		for (int i = 0; i < POOLDIAG_BUCKETS; i++)
			add(&other->histogram[kind][i], pg_atomic_exchange_u64(&totals->histogram[kind][i], 0));
	pg_atomic_fetch_add_u64(&shared->moves_done, 1);
}

/*
 * Copies the name of this session's pool, empty if that is a discovered one; NAMEDATALEN bytes. False if the sampler
 * has found no pool yet for the name that the session has now.
 */
bool
pooldiag_counters_pool_name(char *name)
{
	PoolDiagSlot *slot = pooldiag_my_slot;
	uint64 assigned = pg_atomic_read_u64(&slot->assigned);

	pg_read_barrier();
	memcpy(name, slot->pool, NAMEDATALEN);
	pg_read_barrier();
	if (pg_atomic_read_u64(&slot->assigned) == assigned &&
		(uint32) (assigned >> 32) == key_of(MyProcPid, application_name))
		return true;
	memset(name, 0, NAMEDATALEN);
	return false;
}

/* From how many microseconds on a statement is slow, of sessions that no pool was found for. The sampler's. */
void
pooldiag_counters_set_slow(int64 us)
{
	pg_atomic_write_u64(&shared->slow_us, (uint64) us);
}

/*
 * Tells the session in that slot, which went by that name, that its pool is this row of the directory. Another
 * session may have the slot since: that one is told what is its own at the next tick.
 */
void
pooldiag_counters_assign(int procno, int pid, const char *application_name, PoolDiagPools *pools,
						 int index)
{
	PoolDiagSlot *slot = &slots[procno];
	uint64 assigned;

	follow_row(pools, index);
	assigned = (uint64) key_of(pid, application_name) << 32 |
			   POOLDIAG_OWNER(index, pools->rows[index].life);
	pg_atomic_write_u64(&slot->slow_us, (uint64) pools->rows[index].limits.slow_ms * 1000);
	if (pg_atomic_read_u64(&slot->assigned) == assigned)
		return;
	/* Nobody's, while the name is not whole. */
	pg_atomic_write_u64(&slot->assigned, 0);
	pg_write_barrier();
	memset(slot->pool, 0, NAMEDATALEN);
	if (index == pools->capacity || pools->rows[index].declared)
	{
		char name[POOLDIAG_POOL_NAME_LEN];

		(void) pooldiag_pools_name(pools, index, name);
		strlcpy(slot->pool, name, NAMEDATALEN);
	}
	pg_write_barrier();
	pg_atomic_write_u64(&slot->assigned, assigned);
}

/*
 * Brings totals in line with the directory, and gives what the departed have left to their pools. To be called
 * by the sampler at each tick, for rows that nobody was assigned to.
 */
void
pooldiag_counters_follow(PoolDiagPools *pools)
{
	for (int i = 0; i <= pools->capacity; i++)
		follow_row(pools, i);
	if (pg_atomic_read_u32(&shared->departed_used) == 0 ||
		!LWLockConditionalAcquire(shared->lock, LW_EXCLUSIVE))
		return;
	pg_atomic_fetch_add_u64(&shared->moves_begun, 1);
	for (int i = 0; i < DEPARTED_ENTRIES; i++)
	{
		Departed *entry = &shared->departed[i];
		int index;

		if (!entry->used)
			continue;
		index = pooldiag_pools_assign(pools, entry->user, entry->database, entry->application_name);
		follow_row(pools, index);
		add_all(&totals_of[index], &entry->totals);
		/* It had a connection, though no sample has seen it. */
		pooldiag_peak_raise(&pools->rows[index].connections_peak, 1, GetCurrentTimestamp());
		entry->used = false;
	}
	pg_atomic_write_u32(&shared->departed_used, 0);
	pg_atomic_fetch_add_u64(&shared->moves_done, 1);
	LWLockRelease(shared->lock);
}

/* Counts connections to a row of the directory that were refused. */
void
pooldiag_counters_refused(PoolDiagPools *pools, int index, uint64 count)
{
	follow_row(pools, index);
	add(&totals_of[index].sums[POOLDIAG_REFUSED], count);
}

/* The most sessions that were connected at once since the last call. */
int
pooldiag_counters_take_peak(void)
{
	return (int) pg_atomic_exchange_u32(&shared->most_connected,
										pg_atomic_read_u32(&shared->connected));
}

/* Whose a slot's counts are: what nobody owns yet is the pool's that the sampler has found since. */
static uint32
owner_of(PoolDiagSlot *slot)
{
	uint64 assigned = pg_atomic_read_u64(&slot->assigned);

	if (slot->owner == POOLDIAG_NO_OWNER &&
		(uint32) (assigned >> 32) == key_of(slot->pid, slot->application_name))
		return (uint32) assigned;
	return slot->owner;
}

/*
 * The slot of that number, and whose its counts are (or POOLDIAG_NO_OWNER); NULL where nothing in it counts. It may
 * change while it is read.
 */
const PoolDiagSlot *
pooldiag_counters_slot(int procno, uint32 *owner)
{
	PoolDiagSlot *slot = &slots[procno];

	*owner = POOLDIAG_NO_OWNER;
	if (slot->pid == 0 || slot->resets != pg_atomic_read_u32(&shared->resets))
		return NULL;
	*owner = owner_of(slot);
	return slot;
}

/* The totals of a row of the directory; (other) is the last. */
PoolDiagPoolTotals *
pooldiag_counters_totals(int index)
{
	return &totals_of[index];
}

/*
 * The row of a directory that has what belongs to that row and life. The directory may be older than the totals, or
 * have rows that its reader has given away: what it knows no pool of is (other)'s, so that sums are right.
 */
static int
row_of(const PoolDiagPools *pools, int index, uint32 life)
{
	return index < pools->capacity && life != 0 && pools->rows[index].life == life
			   ? index
			   : pools->capacity;
}

static void
read_once(const PoolDiagPools *pools, PoolDiagTotals *totals)
{
	for (int index = 0; index <= pools->capacity; index++)
		if (pools->rows[index].used)
			memset(&totals[index], 0, sizeof(PoolDiagTotals));
	for (int index = 0; index <= pooldiag_max_pools; index++)
	{
		PoolDiagPoolTotals *from = &totals_of[index];
		uint32 life = index == pooldiag_max_pools ? 0 : pg_atomic_read_u32(&from->life);
		PoolDiagTotals *to = &totals[row_of(pools, index, life)];

		/* Nobody's, and nothing in it. */
		if (life == 0 && index < pooldiag_max_pools)
			continue;
		for (int i = 0; i < POOLDIAG_COUNTS; i++)
			to->sums[i] += pg_atomic_read_u64(&from->sums[i]);
		for (int kind = 0; kind < POOLDIAG_KINDS; kind++)
			for (int i = 0; i < POOLDIAG_BUCKETS; i++)
				to->histogram[kind][i] += pg_atomic_read_u64(&from->histogram[kind][i]);
	}
	for (int procno = 0; procno < MaxConnections; procno++)
	{
		uint32 owner;
		const PoolDiagSlot *slot = pooldiag_counters_slot(procno, &owner);

		if (owner != POOLDIAG_NO_OWNER)
			add_slot(&totals[row_of(pools, (int) (owner & 0xFFFF), owner >> 16)], slot);
	}
}

/* What the sessions of each row of the directory that is used have done; capacity + 1 of them, (other) the last. */
void
pooldiag_counters_read(const PoolDiagPools *pools, PoolDiagTotals *totals)
{
	for (int try = 0; try < READ_TRIES; try++)
	{
		uint64 done = pg_atomic_read_u64(&shared->moves_done);
		bool quiet;

		pg_read_barrier();
		quiet = pg_atomic_read_u64(&shared->moves_begun) == done;
		if (!quiet && try < READ_TRIES - 1)
			continue;
		read_once(pools, totals);
		pg_read_barrier();
		if (pg_atomic_read_u64(&shared->moves_begun) == done)
			return;
	}
}

/*
 * Adds what nobody has given to a pool yet to such figures, for who won't see them again. It waits for the lock: not
 * for the sampler.
 */
void
pooldiag_counters_add_departed(const PoolDiagPools *pools, PoolDiagTotals *totals)
{
	LWLockAcquire(shared->lock, LW_SHARED);
	for (int i = 0; i < DEPARTED_ENTRIES; i++)
	{
		const Departed *entry = &shared->departed[i];
		int index;

		if (!entry->used)
			continue;
		index = pooldiag_pools_find(pools, entry->user, entry->database, entry->application_name);
		add_totals(&totals[index == POOLDIAG_NO_POOL ? pools->capacity : index], &entry->totals);
	}
	LWLockRelease(shared->lock);
}

/* While the server starts: gives a row what its pool had counted before. */
void
pooldiag_counters_restore(PoolDiagPools *pools, int index, const PoolDiagTotals *totals)
{
	follow_row(pools, index);
	add_all(&totals_of[index], totals);
}

/* Then: since when that was counted. */
void
pooldiag_counters_restore_reset_at(TimestampTz reset_at)
{
	pg_atomic_write_u64(&shared->reset_at, (uint64) reset_at);
}

/* How many sessions there are past their start-up. */
int
pooldiag_counters_sessions(void)
{
	return (int) pg_atomic_read_u32(&shared->connected);
}

/* Since when all this is counted. */
TimestampTz
pooldiag_counters_reset_at(void)
{
	return (TimestampTz) pg_atomic_read_u64(&shared->reset_at);
}

/* The number of the last reset, for who keeps counts of its own. */
uint32
pooldiag_counters_resets(void)
{
	return pg_atomic_read_u32(&shared->resets);
}

/* How many sessions' counts went to (other) because too many names had come and gone between two ticks. */
uint64
pooldiag_counters_dropped(void)
{
	return pg_atomic_read_u64(&shared->dropped);
}

/* Counts from zero. */
void
pooldiag_counters_reset(void)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	pg_atomic_fetch_add_u64(&shared->moves_begun, 1);
	pg_atomic_fetch_add_u32(&shared->resets, 1);
	for (int i = 0; i < DEPARTED_ENTRIES; i++)
		shared->departed[i].used = false;
	pg_atomic_write_u32(&shared->departed_used, 0);
	for (int index = 0; index <= pooldiag_max_pools; index++)
	{
		for (int i = 0; i < POOLDIAG_COUNTS; i++)
			pg_atomic_write_u64(&totals_of[index].sums[i], 0);
		for (int kind = 0; kind < POOLDIAG_KINDS; kind++)
			for (int i = 0; i < POOLDIAG_BUCKETS; i++)
				pg_atomic_write_u64(&totals_of[index].histogram[kind][i], 0);
	}
	pg_atomic_write_u64(&shared->dropped, 0);
	pg_atomic_write_u64(&shared->reset_at, (uint64) GetCurrentTimestamp());
	pg_atomic_fetch_add_u64(&shared->moves_done, 1);
	LWLockRelease(shared->lock);
}

/* The same for refused connections alone. */
void
pooldiag_counters_reset_refused(void)
{
	for (int index = 0; index <= pooldiag_max_pools; index++)
		pg_atomic_write_u64(&totals_of[index].sums[POOLDIAG_REFUSED], 0);
}
