/*
 * incidents.c
 *	  What led to the opening of breakers, in shared memory: the newest incidents one by one.
 *
 * A ring (ring.c) that the sampler alone writes, and sessions read. The keeper follows it, and writes each incident into
 * the journal; how far it is stands here, as it may be started again. What the ring has overwritten before it got there
 * is counted.
 *
 * When the server starts, the postmaster puts into the ring what the journal has. Ids go on from there.
 *
 * A reset moves the id from which incidents are shown; the keeper follows with a record of its own in the journal, and
 * writes none any more that are forgotten.
 */
#include "postgres.h"

#include "incidents.h"
#include "worker.h"

typedef struct Shared
{
	pg_atomic_uint64 last;		/* the sampler's: the newest id */
	pg_atomic_uint64 first;		/* the least id to be shown: the next one at the last reset */
	pg_atomic_uint64 forgotten; /* the keeper's: the same, as the journal has it */
	pg_atomic_uint64 next;		/* the keeper's: number of the first one that it has not passed */
	pg_atomic_uint64 lost;		/* the same: those that were overwritten before */
} Shared;

static Shared *shared = NULL;
static PoolDiagRing *ring = NULL;

Size
pooldiag_incidents_size(void)
{
	return add_size(MAXALIGN(sizeof(Shared)),
					pooldiag_ring_size(POOLDIAG_INCIDENT_ROOM, sizeof(PoolDiagIncident)));
}

void
pooldiag_incidents_attach(char *at, bool made)
{
	StaticAssertStmt(sizeof(PoolDiagIncident) == POOLDIAG_INCIDENT_SIZE &&
						 POOLDIAG_INCIDENT_SIZE % sizeof(uint64) == 0,
					 "a ring's entries are words");
	shared = (Shared *) at;
	ring = (PoolDiagRing *) (at + MAXALIGN(sizeof(Shared)));
	if (!made)
		return;
	pg_atomic_init_u64(&shared->last, 0);
	pg_atomic_init_u64(&shared->first, 1);
	pg_atomic_init_u64(&shared->forgotten, 1);
	pg_atomic_init_u64(&shared->next, 0);
	pg_atomic_init_u64(&shared->lost, 0);
	pooldiag_ring_init(ring, POOLDIAG_INCIDENT_ROOM, sizeof(PoolDiagIncident));
}

/* Adds an incident, whose id it sets, and wakes the keeper. Waits for nothing. */
void
pooldiag_incidents_add(PoolDiagIncident *incident)
{
	incident->id = (int64) pg_atomic_add_fetch_u64(&shared->last, 1);
	(void) pooldiag_ring_write(ring, incident);
	pooldiag_worker_wake(POOLDIAG_KEEPER);
}

static bool
is_text(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool
is_usable(const PoolDiagIncident *incident)
{
	return incident->kind >= 0 && incident->kind <= POOLDIAG_BREAKER_POOL &&
		   is_text(incident->breaker, sizeof(incident->breaker)) &&
		   is_text(incident->verdict, sizeof(incident->verdict)) &&
		   is_text(incident->remedy, sizeof(incident->remedy)) &&
		   is_text(incident->report, sizeof(incident->report)) && incident->report[0] == '{' &&
		   incident->report[strlen(incident->report) - 1] == '}';
}

/* Takes a record of the journal, in their order; see PoolDiagRecordTaker. */
bool
pooldiag_incidents_restore(PoolDiagRecordKind kind, const void *data, uint32 length)
{
	uint64 last = pg_atomic_read_u64(&shared->last);

	if (kind == POOLDIAG_RECORD_INCIDENT && length == sizeof(PoolDiagIncident))
	{
		static PoolDiagIncident incident;

		memcpy(&incident, data, sizeof(incident));
		/* No id comes twice. */
		if (!is_usable(&incident) || incident.id <= (int64) last)
			return false;
		(void) pooldiag_ring_write(ring, &incident);
		pg_atomic_write_u64(&shared->last, (uint64) incident.id);
		pg_atomic_write_u64(&shared->next, pooldiag_ring_next(ring));
		return true;
	}
	if (kind == POOLDIAG_RECORD_INCIDENTS_RESET && length == sizeof(int64))
	{
		int64 first;

		memcpy(&first, data, sizeof(first));
		if (first < 1)
			return false;
		pg_atomic_write_u64(&shared->first, (uint64) first);
		pg_atomic_write_u64(&shared->forgotten, (uint64) first);
		/* Those before it may not be in the journal any more, or never were. */
		if (last + 1 < (uint64) first)
			pg_atomic_write_u64(&shared->last, (uint64) first - 1);
		return true;
	}
	return false;
}

/* Moves the keeper on, past incidents that it can't have any more. */
static void
lose(uint64 from, uint64 to)
{
	pg_atomic_fetch_add_u64(&shared->lost, (int64) (to - from));
	pg_atomic_write_u64(&shared->next, to);
}

/* Where the keeper is. */
uint64
pooldiag_incidents_position(void)
{
	return pg_atomic_read_u64(&shared->next);
}

/* What it has passed since it was there it has to do again. */
void
pooldiag_incidents_go_back(uint64 position)
{
	pg_atomic_write_u64(&shared->next, position);
}

/* The next incident that the keeper has not passed, and that is not forgotten; false if there is none. */
bool
pooldiag_incidents_peek(PoolDiagIncident *incident)
{
	for (;;)
	{
		uint64 number = pg_atomic_read_u64(&shared->next);
		uint64 oldest = pooldiag_ring_oldest(ring);

		if (number < oldest)
			lose(number, oldest);
		else if (number >= pooldiag_ring_next(ring))
			return false;
		else
			switch (pooldiag_ring_read(ring, number, incident))
			{
				case POOLDIAG_RING_WHOLE:
					if (incident->id >= (int64) pg_atomic_read_u64(&shared->first))
						return true;
					pooldiag_incidents_pass();
					break;
				case POOLDIAG_RING_UNFINISHED:
					/* The sampler wakes us when it is there. */
					return false;
				case POOLDIAG_RING_GONE:
				case POOLDIAG_RING_TORN:
					lose(number, number + 1);
					break;
			}
	}
}

/* The keeper is done with the incident that it has peeked at. */
void
pooldiag_incidents_pass(void)
{
	pg_atomic_fetch_add_u64(&shared->next, 1);
}

/* Was there a reset of which the journal has no record? Then, in first, the least id that it has left. */
bool
pooldiag_incidents_forgotten(int64 *first)
{
	*first = (int64) pg_atomic_read_u64(&shared->first);
	return *first != (int64) pg_atomic_read_u64(&shared->forgotten);
}

/* The journal has a record of the reset that has left incidents from that id on. */
void
pooldiag_incidents_forgot(int64 first)
{
	pg_atomic_write_u64(&shared->forgotten, (uint64) first);
}

/* The log, and the least id in it that may be shown. */
PoolDiagRing *
pooldiag_incidents_ring(int64 *first)
{
	*first = (int64) pg_atomic_read_u64(&shared->first);
	return ring;
}

PoolDiagIncidentsUse
pooldiag_incidents_use(void)
{
	uint64 taken = pg_atomic_read_u64(&shared->last) + 1 - pg_atomic_read_u64(&shared->first);
	PoolDiagIncidentsUse use;

	use.used = Min(taken, POOLDIAG_INCIDENT_ROOM);
	use.lost = pg_atomic_read_u64(&shared->lost);
	return use;
}

/* Incidents up to now are shown no more. */
void
pooldiag_incidents_reset(void)
{
	pg_atomic_write_u64(&shared->first, pg_atomic_read_u64(&shared->last) + 1);
	pooldiag_worker_wake(POOLDIAG_KEEPER);
}
