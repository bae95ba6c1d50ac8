/*
 * slowlog.c
 *	  Slow statements that have ended, in shared memory: the newest one by one, and added up.
 *
 * log
 *	  A ring (ring.c). The session writes an entry where its statement ends: in the callback of a commit or an
 *	  abort, or in an executor hook. It waits for nothing.
 * stats
 *	  What the log has held, by statement and database (slowstats.c), under a lock. Whoever has the lock takes up
 *	  all that is in the log and not in the stats yet, whoever wrote it: a session that has written an entry, if
 *	  the lock is free; else it leaves that to the one that has it, which looks again when it has let go. The
 *	  sampler, if it is free, at each tick; a session that asks waits for it. So an entry is lost to the stats
 *	  only where as many as the ring has room for come while nobody gets to it, and that is counted.
 *
 * An entry whose writer ended, or is stopped, in the middle is waited for for a second, then counted as lost.
 *
 * A reset moves the entry from which the log begins, and empties the stats. What a statement that is under way has
 * taken belongs to the time after it, as does what its transaction has held.
 *
 * There are no pointers in here, so that the stats may be copied as they are.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "parser/scansup.h"
#include "storage/lwlock.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "counters.h"
#include "holds.h"
#include "settings.h"
#include "shared.h"
#include "slowlog.h"

#define TRANCHE "pooldiag_slow_queries"

/* So many entries the ring has at the least: those of a burst, while somebody reads the stats. */
#define RING_LEAST 256

#define PATIENCE_US (1000 * INT64CONST(1000))

/* A hash covers that much of a text, and its length. */
#define HASHED_LENGTH 65536

typedef struct Shared
{
	pg_atomic_uint64
		since; /* number of the first entry that counts: the next one at the last reset */
	pg_atomic_uint64 drained; /* number of the first entry that is not in the stats */

	/* Under the lock. */
	uint64 lost;
	uint64 unfinished; /* number of an entry that is waited for */
	TimestampTz patient_until;
	TimestampTz reset_at;
	PoolDiagSlowStats stats;
} Shared;

static Shared *shared = NULL;
static PoolDiagRing *ring = NULL;
static LWLock *lock = NULL;

/* In a session: the entry that is made, and the text that was taken for one that may be. */
static PoolDiagSlowStatement entry;
static PoolDiagSlowText taken_text;
static uint64 taken_hash;

static uint32
ring_room(void)
{
	return (uint32) Max(pooldiag_slow_query_log_size, RING_LEAST);
}

Size
pooldiag_slowlog_size(void)
{
	return add_size(MAXALIGN(sizeof(Shared)),
					pooldiag_ring_size(ring_room(), sizeof(PoolDiagSlowStatement)));
}

/* To be called where shared memory is requested. */
void
pooldiag_slowlog_request(void)
{
	RequestNamedLWLockTranche(TRANCHE, 1);
}

void
pooldiag_slowlog_attach(char *at, bool made)
{
	StaticAssertStmt(sizeof(PoolDiagSlowStatement) % sizeof(uint64) == 0,
					 "a ring's entries are words");
	shared = (Shared *) at;
	ring = (PoolDiagRing *) (at + MAXALIGN(sizeof(Shared)));
	lock = &GetNamedLWLockTranche(TRANCHE)->lock;
	if (!made)
		return;
	pg_atomic_init_u64(&shared->since, 0);
	pg_atomic_init_u64(&shared->drained, 0);
	shared->reset_at = GetCurrentTimestamp();
	pooldiag_slowstats_init(&shared->stats);
	pooldiag_ring_init(ring, ring_room(), sizeof(PoolDiagSlowStatement));
}

/* Makes it a text that isn't known; no byte of another one stays in it. */
static void
hide(PoolDiagSlowText *text)
{
	memset(text, 0, sizeof(*text));
	text->encoding = POOLDIAG_NO_TEXT;
}

/* Takes as much of a text as there is room for, in whole characters; returns a hash of all of it. */
static uint64
take(PoolDiagSlowText *to, const char *text, int location, int length)
{
	uint64 hash;

	if (text == NULL)
		text = "";
	else if (location > 0)
		text += location;
	length = length > 0 ? (int) strnlen(text, length) : (int) strlen(text);
	for (; length > 0 && scanner_isspace(text[0]); length--)
		text++;
	while (length > 0 && scanner_isspace(text[length - 1]))
		length--;
	hash = hash_bytes_extended((const unsigned char *) text, Min(length, HASHED_LENGTH),
							   (uint64) length);

	/* With track_activities off the session isn't known to be at anything. */
	hide(to);
	if (!pooldiag_track_query_text || length == 0)
		return hash;
	to->cut = length > POOLDIAG_SLOW_TEXT_ROOM;
	to->encoding = GetDatabaseEncoding();
	/* The whole of it too: what the server has cut may end in half a character. */
	to->length = pg_mbcliplen(text, length, POOLDIAG_SLOW_TEXT_ROOM);
	memcpy(to->bytes, text, to->length);
	return hash;
}

/* Takes the text of a statement that is slow, and will have ended when that text has gone. */
void
pooldiag_slowlog_take_text(PoolDiagQuery *query)
{
	taken_hash = take(&taken_text, query->text, query->location, query->length);
	query->source = POOLDIAG_TEXT_TAKEN;
}

/* Finds the text of the entry's statement; returns its hash. */
static uint64
find_text(const PoolDiagQuery *query)
{
	const char *message;
	uint64 hash;

	switch (query->source)
	{
		case POOLDIAG_TEXT_TAKEN:
			entry.text = taken_text;
			return taken_hash;
		case POOLDIAG_TEXT_AT_HAND:
			return take(&entry.text, query->text, query->location, query->length);
		case POOLDIAG_TEXT_MESSAGE:
			message = MyBEEntry->st_activity_raw;
			hash = take(&entry.text, message, -1, 0);
			if (strlen(message) >= (size_t) pgstat_track_activity_query_size - 1)
				entry.text.cut = entry.text.encoding != POOLDIAG_NO_TEXT;
			return hash;
		default:
			hide(&entry.text);
			return 0;
	}
}

static void
add_to_stats(const PoolDiagSlowStatement *statement)
{
	PoolDiagSlowCall call;

	call.key = statement->key;
	call.us = (uint64) statement->us;
	call.failed = statement->outcome != POOLDIAG_COMPLETED;
	call.finished_at = statement->finished_at;
	call.database = statement->database;
	call.text = &statement->text;
	pooldiag_slowstats_add(&shared->stats, &call);
}

/* Is that entry, which is being written, to be waited for? */
static bool
be_patient(uint64 number)
{
	TimestampTz now = GetCurrentTimestamp();

	if (shared->patient_until == 0 || shared->unfinished != number)
	{
		shared->unfinished = number;
		shared->patient_until = now + PATIENCE_US;
	}
	return now <= shared->patient_until;
}

/* Takes up what is in the log. Under the lock. */
static void
drain(void)
{
	static PoolDiagSlowStatement statement;
	uint64 oldest = pooldiag_ring_oldest(ring);
	uint64 number = pg_atomic_read_u64(&shared->drained);

	if (number < oldest)
	{
		shared->lost += oldest - number;
		number = oldest;
	}
	for (; number < pooldiag_ring_next(ring); number++)
	{
		PoolDiagRingEntry state = pooldiag_ring_read(ring, number, &statement);

		if (state == POOLDIAG_RING_UNFINISHED && be_patient(number))
			break;
		if (state == POOLDIAG_RING_WHOLE)
			add_to_stats(&statement);
		else
			shared->lost++;
	}
	pg_atomic_write_u64(&shared->drained, number);
}

/* Takes up what is in the log, if nobody else is at it. */
void
pooldiag_slowlog_drain(void)
{
	uint64 before;
	uint64 drained = pg_atomic_read_u64(&shared->drained);

	do
	{
		before = drained;
		if (pooldiag_ring_next(ring) == before || !LWLockConditionalAcquire(lock, LW_EXCLUSIVE))
			return;
		drain();
		LWLockRelease(lock);
		/* Who came meanwhile has gone again. */
		drained = pg_atomic_read_u64(&shared->drained);
	} while (drained != before);
}

/*
 * Records a slow statement of this session. May be called in the callback of a commit or an abort, and in the log
 * hook: it neither waits nor allocates nor throws.
 */
void
pooldiag_slowlog_record(const PoolDiagSlowEnd *end)
{
	const PoolDiagIdentity *identity = pooldiag_shared_identity(MyProcNumber);
	uint64 hash;

	entry.finished_at = end->at;
	entry.us = end->us;
	entry.rows = end->rows;
	entry.outcome = (int32) end->outcome;
	entry.sqlstate = end->sqlstate;
	entry.pid = MyProcPid;
	entry.userid = MyBEEntry->st_userid;
	entry.client = MyBEEntry->st_clientaddr;
	memcpy(entry.user, identity->user, NAMEDATALEN);
	memcpy(entry.database, identity->database, NAMEDATALEN);
	strlcpy(entry.application_name, application_name, NAMEDATALEN);
	entry.pool_is_known = pooldiag_counters_pool_name(entry.pool);
	hash = find_text(end->query);
	entry.key.has_id = end->query->id != 0;
	entry.key.statement = entry.key.has_id ? end->query->id : hash;
	entry.key.database = MyDatabaseId;

	(void) pooldiag_ring_write(ring, &entry);
	pooldiag_slowlog_drain();
}

/* The log, and the number of the oldest entry that it shows. */
PoolDiagRing *
pooldiag_slowlog_ring(uint64 *oldest)
{
	uint64 next = pooldiag_ring_next(ring);
	uint64 room = (uint64) pooldiag_slow_query_log_size;

	*oldest = Max(pg_atomic_read_u64(&shared->since), next > room ? next - room : 0);
	return ring;
}

/* Copies the stats up to now; returns since when they are counted. */
TimestampTz
pooldiag_slowlog_read_stats(PoolDiagSlowStats *stats)
{
	TimestampTz reset_at;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	drain();
	memcpy(stats, &shared->stats, sizeof(*stats));
	reset_at = shared->reset_at;
	LWLockRelease(lock);
	pooldiag_slowlog_drain();
	return reset_at;
}

/* How full all this is. */
PoolDiagSlowSelf
pooldiag_slowlog_self(void)
{
	PoolDiagSlowSelf self;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	drain();
	self.logged = pooldiag_ring_next(ring) - pg_atomic_read_u64(&shared->since);
	self.lost = shared->lost;
	self.stats_used = shared->stats.used;
	self.stats_replaced = shared->stats.replaced;
	LWLockRelease(lock);
	pooldiag_slowlog_drain();
	return self;
}

/* Forgets all slow statements, and what the sessions of databases have held until now. */
void
pooldiag_slowlog_reset(void)
{
	uint64 next;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	next = pooldiag_ring_next(ring);
	pg_atomic_write_u64(&shared->since, next);
	pg_atomic_write_u64(&shared->drained, next);
	shared->lost = 0;
	shared->patient_until = 0;
	shared->reset_at = GetCurrentTimestamp();
	pooldiag_slowstats_init(&shared->stats);
	pooldiag_holds_reset();
	LWLockRelease(lock);
	pooldiag_slowlog_drain();
}

/* What the saved form begins with. */
typedef struct Saved
{
	uint32 ring_room;
	uint32 entry_size;
	uint32 stats_size;
	uint32 holds;
	uint64 since;
	uint64 drained;
	uint64 lost;
	TimestampTz reset_at;
} Saved;

/* Puts log, stats and holds into the state file. */
void
pooldiag_slowlog_save(PoolDiagStateWriter *writer)
{
	PoolDiagRing *log = palloc(pooldiag_ring_size(ring_room(), sizeof(PoolDiagSlowStatement)));
	PoolDiagSlowStats *stats = palloc(sizeof(PoolDiagSlowStats));
	PoolDiagHeld *held = palloc0(sizeof(PoolDiagHeld) * POOLDIAG_HOLD_ROWS);
	Saved saved;

	memset(&saved, 0, sizeof(saved));
	saved.ring_room = ring_room();
	saved.entry_size = sizeof(PoolDiagSlowStatement);
	saved.stats_size = sizeof(PoolDiagSlowStats);
	saved.holds = POOLDIAG_HOLD_ROWS;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	drain();
	memcpy(stats, &shared->stats, sizeof(*stats));
	saved.since = pg_atomic_read_u64(&shared->since);
	saved.drained = pg_atomic_read_u64(&shared->drained);
	saved.lost = shared->lost;
	saved.reset_at = shared->reset_at;
	LWLockRelease(lock);
	pooldiag_slowlog_drain();
	pooldiag_ring_copy(ring, log);
	/* Afterwards, so that no statement is in the one that is not in the other. */
	pooldiag_holds_read(held);

	pooldiag_state_put(writer, &saved, sizeof(saved));
	pooldiag_state_put(writer, stats, sizeof(*stats));
	pooldiag_state_put(writer, held, sizeof(PoolDiagHeld) * POOLDIAG_HOLD_ROWS);
	pooldiag_state_put(writer, log, pooldiag_ring_size(saved.ring_room, saved.entry_size));
}

/* Gets them back, while the server starts. With another size the log begins anew, and the stats go on. */
bool
pooldiag_slowlog_load(PoolDiagStateReader *reader)
{
	static PoolDiagHeld held[POOLDIAG_HOLD_ROWS];
	Saved saved;

	if (!pooldiag_state_get(reader, &saved, sizeof(saved)) ||
		saved.entry_size != sizeof(PoolDiagSlowStatement) ||
		saved.stats_size != sizeof(PoolDiagSlowStats) || saved.holds != POOLDIAG_HOLD_ROWS ||
		!pooldiag_state_get(reader, &shared->stats, sizeof(shared->stats)) ||
		!pooldiag_state_get(reader, held, sizeof(held)))
		return false;
	pooldiag_holds_restore(held);
	shared->lost = saved.lost;
	shared->reset_at = saved.reset_at;
	if (saved.ring_room != ring_room())
	{
		ereport(LOG, (errmsg("the log of slow queries begins anew, as "
							 "pooldiag.slow_query_log_size has changed")));
		return true;
	}
	if (!pooldiag_state_get(reader, ring, pooldiag_ring_size(ring_room(), saved.entry_size)))
		return false;
	pg_atomic_write_u64(&shared->since, saved.since);
	pg_atomic_write_u64(&shared->drained, saved.drained);
	return true;
}
