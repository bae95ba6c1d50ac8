/*
 * ledger.c
 *	  The refused connections, in shared memory: counted by reason, the newest one by one, and by source.
 *
 * Three things, none of them under a lock:
 *
 * counters
 *	  One for each reason, raised by the process that refuses. They are exact, whatever becomes of the rest.
 * log
 *	  A ring, written by the process that refuses, read by the sampler and by sessions that ask.
 * sources
 *	  What the log has held, by source. The sampler is their only writer: it follows the log with a copy of
 *	  its own and publishes that, into the older of two buffers. A session copies the newer one, and copies
 *	  again if another was published meanwhile; then it follows the log itself from there, with the same code,
 *	  and so is up to date.
 *
 * Of the entries since the last reset each is in exactly one place: a source's count, unattributed, torn, or
 * still in the log. So all of these together are the sum of the counters, but for refusals that are under way:
 * they are counted first, and in the log a moment later. One that is under way during a reset may have been
 * counted before it and logged after.
 *
 * A reset moves the entry from which all begins, and zeroes the counters. Whoever has sources notices by that
 * number that they are of a time before it, and begins again.
 */
#include "postgres.h"

#include "ledger.h"

/* The bytes of sources, in shared memory and in copies. */
Size
pooldiag_ledger_sources_size(void)
{
	return MAXALIGN(offsetof(PoolDiagRefusalSources, hitters) +
					pooldiag_hitters_size(POOLDIAG_REFUSAL_SOURCES_ROOM));
}

static Size
log_size(void)
{
	return MAXALIGN(pooldiag_ring_size(POOLDIAG_REFUSAL_LOG_ROOM, sizeof(PoolDiagRefusal)));
}

Size
pooldiag_ledger_size(void)
{
	return MAXALIGN(sizeof(PoolDiagLedger)) + log_size() + 2 * pooldiag_ledger_sources_size();
}

/* The newest refused connections: entries are PoolDiagRefusal. */
PoolDiagRing *
pooldiag_ledger_log(PoolDiagLedger *ledger)
{
	return (PoolDiagRing *) ((char *) ledger + MAXALIGN(sizeof(PoolDiagLedger)));
}

static char *
buffer(PoolDiagLedger *ledger, uint64 number)
{
	return (char *) pooldiag_ledger_log(ledger) + log_size() +
		   (number % 2) * pooldiag_ledger_sources_size();
}

/* Makes an empty ledger of zeroed memory. */
void
pooldiag_ledger_init(PoolDiagLedger *ledger, TimestampTz now)
{
	for (int i = 0; i < POOLDIAG_REASONS; i++)
	{
		pg_atomic_init_u64(&ledger->counters[i].refused, 0);
		pg_atomic_init_u64(&ledger->counters[i].first_at, 0);
		pg_atomic_init_u64(&ledger->counters[i].last_at, 0);
	}
	pg_atomic_init_u64(&ledger->counted_since, (uint64) now);
	pg_atomic_init_u64(&ledger->since, 0);
	pg_atomic_init_u64(&ledger->published, 0);
	pg_atomic_init_u64(&ledger->drained, 0);
	pooldiag_ring_init(pooldiag_ledger_log(ledger), POOLDIAG_REFUSAL_LOG_ROOM,
					   sizeof(PoolDiagRefusal));
}

/* Raises a figure that only grows. */
static void
raise_to(pg_atomic_uint64 *figure, uint64 value)
{
	uint64 seen = pg_atomic_read_u64(figure);

	while (seen < value && !pg_atomic_compare_exchange_u64(figure, &seen, value))
		;
}

/*
 * Counts and logs a refused connection; returns its number in the log. Atomics and stores only, since this
 * runs in the log hook of a process that may have no PGPROC: see refusals.c. What the refusal's strings don't
 * use is zero.
 */
uint64
pooldiag_ledger_record(PoolDiagLedger *ledger, const PoolDiagRefusal *refusal)
{
	PoolDiagRefusalCounter *counter = &ledger->counters[refusal->source.reason];
	uint64 never = 0;

	StaticAssertStmt(sizeof(PoolDiagRefusal) % sizeof(uint64) == 0, "a ring's entries are words");
	pg_atomic_fetch_add_u64(&counter->refused, 1);
	(void) pg_atomic_compare_exchange_u64(&counter->first_at, &never, (uint64) refusal->at);
	raise_to(&counter->last_at, (uint64) refusal->at);
	return pooldiag_ring_write(pooldiag_ledger_log(ledger), refusal);
}

/* Begins anew: counters, log and sources. */
void
pooldiag_ledger_reset(PoolDiagLedger *ledger, TimestampTz now)
{
	for (int i = 0; i < POOLDIAG_REASONS; i++)
	{
		pg_atomic_write_u64(&ledger->counters[i].refused, 0);
		pg_atomic_write_u64(&ledger->counters[i].first_at, 0);
		pg_atomic_write_u64(&ledger->counters[i].last_at, 0);
	}
	pg_memory_barrier();
	raise_to(&ledger->since, pooldiag_ring_next(pooldiag_ledger_log(ledger)));
	pg_atomic_write_u64(&ledger->counted_since, (uint64) now);
}

/* Sources that begin with the first entry that there ever was. */
void
pooldiag_ledger_begin(PoolDiagRefusalSources *sources)
{
	memset(sources, 0, pooldiag_ledger_sources_size());
	pooldiag_hitters_init(&sources->hitters, POOLDIAG_REFUSAL_SOURCES_ROOM);
}

/*
 * Copies the sources that were published last, or begins some where none were. False if others were published
 * meanwhile: then the copy is of no use, and the caller tries again.
 */
bool
pooldiag_ledger_read(PoolDiagLedger *ledger, PoolDiagRefusalSources *sources)
{
	uint64 number = pg_atomic_read_u64(&ledger->published);

	if (number == 0)
	{
		pooldiag_ledger_begin(sources);
		return true;
	}
	pg_read_barrier();
	memcpy(sources, buffer(ledger, number), pooldiag_ledger_sources_size());
	pg_read_barrier();
	return number == pg_atomic_read_u64(&ledger->published);
}

/*
 * A copy of all of it, that can be put in its place when the server starts again; it has pooldiag_ledger_size() bytes.
 * False if it was of no use, and the caller tries again.
 */
bool
pooldiag_ledger_copy(PoolDiagLedger *ledger, PoolDiagLedger *copy)
{
	uint64 number = pg_atomic_read_u64(&ledger->published);

	pg_read_barrier();
	memcpy(copy, ledger, MAXALIGN(sizeof(PoolDiagLedger)));
	pg_atomic_write_u64(&copy->published, number);
	memcpy(buffer(copy, 0), buffer(ledger, 0), 2 * pooldiag_ledger_sources_size());
	pg_read_barrier();
	pooldiag_ring_copy(pooldiag_ledger_log(ledger), pooldiag_ledger_log(copy));
	return number == pg_atomic_read_u64(&ledger->published);
}

/* How many refused connections are in no sources that were published. */
uint64
pooldiag_ledger_waiting(PoolDiagLedger *ledger)
{
	uint64 drained = pg_atomic_read_u64(&ledger->drained);

	return pooldiag_ring_next(pooldiag_ledger_log(ledger)) - drained;
}

/* Takes up the entries before that number. False if it stopped at one that is not finished. */
static bool
follow(PoolDiagLedger *ledger, PoolDiagRefusalSources *sources, uint64 end, uint64 patient_from,
	   bool forgotten, PoolDiagRefusalCallback each, void *context)
{
	PoolDiagRing *log = pooldiag_ledger_log(ledger);
	uint64 oldest = Min(pooldiag_ring_oldest(log), end);

	if (sources->drained < oldest)
	{
		sources->unattributed += oldest - sources->drained;
		sources->drained = oldest;
	}
	for (; sources->drained < end; sources->drained++)
	{
		PoolDiagRefusal refusal;

		switch (pooldiag_ring_read(log, sources->drained, &refusal))
		{
			case POOLDIAG_RING_WHOLE:
				pooldiag_hitters_add(&sources->hitters, &refusal.source, refusal.at);
				sources->last[refusal.source.reason] = refusal;
				if (each != NULL && sources->drained >= sources->handed_out)
					each(&refusal, forgotten, context);
				break;
			case POOLDIAG_RING_UNFINISHED:
				if (sources->drained >= patient_from)
					return false;
				sources->torn++;
				break;
			case POOLDIAG_RING_TORN:
				sources->torn++;
				break;
			case POOLDIAG_RING_GONE:
				sources->unattributed++;
				break;
		}
		sources->handed_out = Max(sources->handed_out, sources->drained + 1);
	}
	return true;
}

/*
 * Takes up what has come into the log since. each, if there is one, is called once for each entry, those before
 * a reset included. False if it stopped at an entry that is not finished; those with numbers below patient_from
 * it doesn't wait for, and counts as torn.
 */
static bool
catch_up(PoolDiagLedger *ledger, PoolDiagRefusalSources *sources, uint64 patient_from,
		 PoolDiagRefusalCallback each, void *context)
{
	uint64 since = pg_atomic_read_u64(&ledger->since);

	if (since != sources->since)
	{
		uint64 handed_out;

		(void) follow(ledger, sources, since, since, true, each, context);
		handed_out = Max(sources->handed_out, since);
		pooldiag_ledger_begin(sources);
		sources->since = sources->drained = since;
		sources->handed_out = handed_out;
	}
	return follow(ledger, sources, pooldiag_ring_next(pooldiag_ledger_log(ledger)), patient_from,
				  false, each, context);
}

/*
 * A session's: takes up what has come into the log since these sources were published. Of an entry that is being
 * written it knows no more than that there is one: it counts as torn.
 */
void
pooldiag_ledger_catch_up(PoolDiagLedger *ledger, PoolDiagRefusalSources *sources)
{
	(void) catch_up(ledger, sources, PG_UINT64_MAX, NULL, NULL);
}

/* Makes these sources the ones that readers get. */
static void
publish(PoolDiagLedger *ledger, const PoolDiagRefusalSources *sources)
{
	uint64 next = pg_atomic_read_u64(&ledger->published) + 1;

	/* Readers of the buffer that is overwritten must have seen that the other one is the newest. */
	pg_memory_barrier();
	memcpy(buffer(ledger, next), sources, pooldiag_ledger_sources_size());
	pg_write_barrier();
	pg_atomic_write_u64(&ledger->published, next);
	pg_atomic_write_u64(&ledger->drained, sources->drained);
}

/*
 * The sampler's: takes up what has come into the log since, and publishes it. each, if there is one, is called
 * once for each entry that was read. One that is being written is waited for, over calls; one that stays like
 * that had a writer that ended there.
 */
void
pooldiag_ledger_drain(PoolDiagLedger *ledger, PoolDiagRefusalSources *sources, int64 now_ms,
					  PoolDiagRefusalCallback each, void *context)
{
	uint64 since = sources->since;
	uint64 drained = sources->drained;

	if (catch_up(ledger, sources, 0, each, context))
		sources->patient_until = 0;
	else if (sources->patient_until == 0 || sources->unfinished != sources->drained)
	{
		sources->unfinished = sources->drained;
		sources->patient_until = now_ms + POOLDIAG_REFUSAL_PATIENCE;
	}
	else if (now_ms > sources->patient_until)
		(void) catch_up(ledger, sources, sources->unfinished + 1, each, context);
	if (since != sources->since || drained != sources->drained)
		publish(ledger, sources);
}
