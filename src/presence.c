/*
 * presence.c
 *	  Who is connected, at every moment: sessions tell when they come, change their name, and go.
 *
 * A sample sees the moments in which it is taken. So that a spike between two of them is in the peaks too, each
 * session leaves a word in a ring when it has finished its start-up, when its application name has changed, and
 * when it ends: an atomic addition and a copy of some 200 bytes, without a lock, a wait or a choice to make. The
 * order of the words is the order of what happened. The sampler takes them up in that order, finds the pool of
 * each as it does for what it samples, and so has the connections of each pool, database and role at every
 * moment: pools that live for
 * a moment only, a full directory and new definitions need no case of their own.
 *
 * Owned by the sampler, in shared memory so that the next sampler goes on from there: of each slot, which
 * process it knows there and in which counts that is. A row's count of connected sessions is at all times
 * the number of slots that say so.
 *
 * What the sampler sees when it samples, mends what was told: a session whose pool has become another one by new
 * definitions, by room that there was none before, or by a name that it has taken in the middle of a
 * transaction, moves then; and should words be lost, the counts are right again after the next tick. Words are
 * lost when the sampler does not get to run while ROOM of them come, or when a writer is stopped in the middle
 * of one for PATIENCE. Then a peak may be missed; how many were lost is counted.
 *
 * A slot of which a word has come since the scan began is left alone: what was told is newer.
 */
#include "postgres.h"

#include "presence.h"

/* What the sampler knows of a slot. */
typedef struct Slot
{
	int pid;		   /* 0: nobody is there */
	int left;		   /* the process that has told last that it ends */
	uint64 heard;	   /* what follows the last word of it */
	PoolDiagSeat seat; /* in whose counts it is */
} Slot;

static const PoolDiagSeat nowhere = {POOLDIAG_NO_POOL, -1, -1};

static Slot *
slots_of(PoolDiagPresence *presence)
{
	return (Slot *) ((char *) presence + MAXALIGN(sizeof(PoolDiagPresence)));
}

static PoolDiagRing *
ring_of(PoolDiagPresence *presence)
{
	return (PoolDiagRing *) (slots_of(presence) + presence->slots);
}

/* The bytes that it takes for that many slots. */
Size
pooldiag_presence_size(int slots)
{
	return MAXALIGN(sizeof(PoolDiagPresence)) + sizeof(Slot) * slots +
		   pooldiag_ring_size(POOLDIAG_PRESENCE_ROOM, sizeof(PoolDiagWord));
}

/* Makes one of zeroed memory, with nobody in it. */
void
pooldiag_presence_init(PoolDiagPresence *presence, int slots)
{
	StaticAssertStmt(sizeof(PoolDiagWord) % sizeof(uint64) == 0, "a ring's entries are words");
	presence->slots = slots;
	pg_atomic_init_u64(&presence->heard, 0);
	pg_atomic_init_u64(&presence->lost, 0);
	pg_atomic_init_u64(&presence->mended, 0);
	for (int i = 0; i < slots; i++)
		slots_of(presence)[i].seat = nowhere;
	pooldiag_ring_init(ring_of(presence), POOLDIAG_PRESENCE_ROOM, sizeof(PoolDiagWord));
}

/* Leaves a word, and returns its number. Atomics and stores only. */
uint64
pooldiag_presence_tell(PoolDiagPresence *presence, const PoolDiagWord *word)
{
	return pooldiag_ring_write(ring_of(presence), word);
}

/* The number of the next word that a session will leave. */
uint64
pooldiag_presence_next(PoolDiagPresence *presence)
{
	return pooldiag_ring_next(ring_of(presence));
}

/* How many words have not been taken up. */
uint64
pooldiag_presence_waiting(PoolDiagPresence *presence)
{
	return pooldiag_presence_next(presence) - pg_atomic_read_u64(&presence->heard);
}

/* From this instant on a session is in that pool's count, or with POOLDIAG_NO_POOL in none. */
static void
seat_in_pool(PoolDiagSeat *seat, PoolDiagPools *pools, int pool, TimestampTz at)
{
	if (seat->pool == pool)
		return;
	if (seat->pool != POOLDIAG_NO_POOL)
	{
		PoolDiagPool *row = &pools->rows[seat->pool];

		if (--row->connected == 0)
			row->empty_since = at;
	}
	seat->pool = pool;
	if (pool != POOLDIAG_NO_POOL)
	{
		PoolDiagPool *row = &pools->rows[pool];

		row->connected++;
		row->empty_since = 0;
		row->most_connected = Max(row->most_connected, row->connected);
		pooldiag_peak_raise(&row->connections_peak, row->connected, at);
	}
}

/* The same for its database, or its role: from row *seat of the table to another. */
static void
seat_in_table(int *seat, PoolDiagPeakTable *table, int row, TimestampTz at)
{
	if (*seat == row)
		return;
	if (*seat >= 0)
		table->rows[*seat].connected--;
	*seat = row;
	if (row >= 0)
	{
		table->rows[row].connected++;
		pooldiag_peak_raise(&table->rows[row].peak, table->rows[row].connected, at);
	}
}

static void
seat(Slot *slot, const PoolDiagAudience *audience, const PoolDiagSeat *to, TimestampTz at)
{
	seat_in_pool(&slot->seat, audience->pools, to->pool, at);
	seat_in_table(&slot->seat.database, audience->databases, to->database, at);
	seat_in_table(&slot->seat.role, audience->roles, to->role, at);
}

static void
take_up(PoolDiagPresence *presence, const PoolDiagAudience *audience, const PoolDiagWord *word,
		uint64 number)
{
	Slot *slot = &slots_of(presence)[word->procno];
	PoolDiagSeat to;

	slot->heard = number + 1;
	/* Another process there has ended, and its last word was lost. */
	if (slot->pid != word->pid || word->leaves)
		seat(slot, audience, &nowhere, word->at);
	slot->pid = word->leaves ? 0 : word->pid;
	slot->left = word->leaves ? word->pid : 0;
	if (word->leaves)
		return;
	to.pool =
		pooldiag_pools_assign(audience->pools, word->user, word->database, word->application_name);
	to.database = pooldiag_peaks_row(audience->databases, word->databaseid);
	to.role = pooldiag_peaks_row(audience->roles, word->roleid);
	seat(slot, audience, &to, word->at);
}

/* Is there hope that the writer of this word goes on? */
static bool
is_waited_for(PoolDiagPresence *presence, uint64 number, int64 now_ms)
{
	if (presence->patient_until == 0 || presence->unfinished != number)
	{
		presence->unfinished = number;
		presence->patient_until = now_ms + POOLDIAG_PRESENCE_PATIENCE;
	}
	return now_ms <= presence->patient_until;
}

/*
 * Takes up what sessions have told until now, and raises the peaks of who has them. False if it stopped at a word
 * that is being written: that is waited for, over calls, as those after it mean something else without it.
 */
bool
pooldiag_presence_hear(PoolDiagPresence *presence, const PoolDiagAudience *audience, int64 now_ms)
{
	PoolDiagRing *ring = ring_of(presence);
	uint64 end = pooldiag_ring_next(ring);
	uint64 heard = pg_atomic_read_u64(&presence->heard);
	uint64 oldest = Min(pooldiag_ring_oldest(ring), end);
	uint64 lost = 0;
	bool all;

	if (heard < oldest)
	{
		lost = oldest - heard;
		heard = oldest;
	}
	for (; heard < end; heard++)
	{
		PoolDiagWord word;
		PoolDiagRingEntry entry = pooldiag_ring_read(ring, heard, &word);

		if (entry == POOLDIAG_RING_UNFINISHED && is_waited_for(presence, heard, now_ms))
			break;
		if (entry == POOLDIAG_RING_WHOLE)
			take_up(presence, audience, &word, heard);
		else
			lost++;
	}
	all = heard == end;
	if (all)
		presence->patient_until = 0;
	pg_atomic_write_u64(&presence->heard, heard);
	if (lost > 0)
		pg_atomic_fetch_add_u64(&presence->lost, (int64) lost);
	return all;
}

/*
 * The sampler has seen process pid (0: nobody) in that slot, in a scan that began when word number since was the
 * next one, and has found those rows for it, or no pool as it is starting or ending. To be called after the
 * scan, when all words are taken up.
 */
void
pooldiag_presence_compare(PoolDiagPresence *presence, const PoolDiagAudience *audience, int procno,
						  int pid, const PoolDiagSeat *seen, uint64 since, TimestampTz now)
{
	Slot *slot = &slots_of(presence)[procno];

	if (slot->heard > since)
		return;
	if (slot->pid != pid && slot->pid != 0)
	{
		/* It has gone without a word. */
		seat(slot, audience, &nowhere, now);
		slot->pid = 0;
		pg_atomic_fetch_add_u64(&presence->mended, 1);
	}
	/* Who has told that it ends may be seen for a moment still. */
	if (pid == 0 || seen->pool == POOLDIAG_NO_POOL || pid == slot->left)
		return;
	if (slot->pid == 0)
	{
		slot->pid = pid;
		pg_atomic_fetch_add_u64(&presence->mended, 1);
	}
	seat(slot, audience, seen, now);
}

/* Counts a session of a former sampler's in a table, if that has its row. */
static void
recount_in_table(int *seat, PoolDiagPeakTable *table)
{
	if (*seat >= 0 && *seat < table->used)
		table->rows[*seat].connected++;
	else
		*seat = -1;
}

/* A new sampler has what a former one left: makes its counts what the slots say. */
void
pooldiag_presence_recount(PoolDiagPresence *presence, const PoolDiagAudience *audience)
{
	PoolDiagPools *pools = audience->pools;

	for (int i = 0; i <= pools->capacity; i++)
		pools->rows[i].connected = 0;
	for (int i = 0; i < audience->databases->used; i++)
		audience->databases->rows[i].connected = 0;
	for (int i = 0; i < audience->roles->used; i++)
		audience->roles->rows[i].connected = 0;
	for (int i = 0; i < presence->slots; i++)
	{
		PoolDiagSeat *seat = &slots_of(presence)[i].seat;

		if (seat->pool != POOLDIAG_NO_POOL && pools->rows[seat->pool].used)
			pools->rows[seat->pool].connected++;
		else
			seat->pool = POOLDIAG_NO_POOL;
		recount_in_table(&seat->database, audience->databases);
		recount_in_table(&seat->role, audience->roles);
	}
}

/*
 * New definitions are in force: sessions whose pools have left the directory are in nobody's count until they
 * are seen. A pool that has one of them has a count, so that a row without is another pool's, or nobody's.
 */
void
pooldiag_presence_release(PoolDiagPresence *presence, const PoolDiagPools *pools)
{
	for (int i = 0; i < presence->slots; i++)
	{
		PoolDiagSeat *seat = &slots_of(presence)[i].seat;

		if (seat->pool != POOLDIAG_NO_POOL && pools->rows[seat->pool].connected == 0)
			seat->pool = POOLDIAG_NO_POOL;
	}
}
