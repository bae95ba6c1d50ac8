/*
 * ring.c
 *	  The newest entries of a log in shared memory, for many writers and readers, without a lock.
 *
 * An entry's number is taken by an atomic addition, and its place is that number modulo the capacity. A
 * place has a stamp: 2n + 1 while the entry with number n is being written, 2n + 2 once it is there. A
 * writer that is interrupted for good leaves an odd stamp behind, which costs nobody anything: whoever has
 * the place next round takes it over.
 *
 * A writer that is stopped for a whole round, and goes on when its place has another owner, finds that out
 * before it begins; in the middle of it, it spoils what the other has written. The entry's checksum, over
 * its number too, tells readers. So a reader gets an entry as it was written, or learns that there is none.
 */
#include "postgres.h"

#include "ring.h"

typedef struct Place
{
	pg_atomic_uint64 stamp;
	uint64 checksum;
	char payload[FLEXIBLE_ARRAY_MEMBER];
} Place;

static Size
place_size(uint32 payload)
{
	return offsetof(Place, payload) + payload;
}

static Place *
place_of(PoolDiagRing *ring, uint64 number)
{
	return (Place *) ((char *) ring + MAXALIGN(sizeof(PoolDiagRing)) +
					  place_size(ring->payload) * (number % ring->capacity));
}

static uint64
checksum(uint64 number, const char *payload, uint32 length)
{
	uint64 sum = (number + 1) * UINT64CONST(0x9E3779B97F4A7C15);

	for (uint32 i = 0; i < length; i += sizeof(uint64))
	{
		uint64 word;

		memcpy(&word, payload + i, sizeof(word));
		sum = (sum ^ word) * UINT64CONST(0x9E3779B97F4A7C15);
		sum ^= sum >> 32;
	}
	return sum;
}

/* The bytes of a ring; payload is a multiple of 8. */
Size
pooldiag_ring_size(uint32 capacity, uint32 payload)
{
	return MAXALIGN(sizeof(PoolDiagRing)) + place_size(payload) * capacity;
}

/* Makes an empty ring of zeroed memory. */
void
pooldiag_ring_init(PoolDiagRing *ring, uint32 capacity, uint32 payload)
{
	Assert(payload % sizeof(uint64) == 0);
	ring->capacity = capacity;
	ring->payload = payload;
	pg_atomic_init_u64(&ring->next, 0);
	for (uint32 i = 0; i < capacity; i++)
		pg_atomic_init_u64(&place_of(ring, i)->stamp, 0);
}

/*
 * Adds an entry, and returns its number. Neither waits nor allocates nor takes a lock, so that it may be
 * called wherever shared memory is there, and be interrupted for good anywhere.
 */
uint64
pooldiag_ring_write(PoolDiagRing *ring, const void *payload)
{
	uint64 number = pg_atomic_fetch_add_u64(&ring->next, 1);
	uint64 writing = 2 * number + 1;
	Place *place = place_of(ring, number);
	uint64 stamp = pg_atomic_read_u64(&place->stamp);

	do
	{
		/* Stopped for a whole round: the place is a later entry's. */
		if (stamp > writing)
			return number;
	} while (!pg_atomic_compare_exchange_u64(&place->stamp, &stamp, writing));
	memcpy(place->payload, payload, ring->payload);
	place->checksum = checksum(number, payload, ring->payload);
	/* A full barrier, as the one before. */
	(void) pg_atomic_compare_exchange_u64(&place->stamp, &writing, 2 * number + 2);
	return number;
}

/* The number that the next entry will get. */
uint64
pooldiag_ring_next(PoolDiagRing *ring)
{
	return pg_atomic_read_u64(&ring->next);
}

/* The number of the oldest entry that may still be there. */
uint64
pooldiag_ring_oldest(PoolDiagRing *ring)
{
	uint64 next = pooldiag_ring_next(ring);

	return next > ring->capacity ? next - ring->capacity : 0;
}

/* Reads the entry with that number, which has been taken. What payload holds is of use if it is whole. */
PoolDiagRingEntry
pooldiag_ring_read(PoolDiagRing *ring, uint64 number, void *payload)
{
	Place *place = place_of(ring, number);
	uint64 written = 2 * number + 2;
	uint64 stamp = pg_atomic_read_u64(&place->stamp);
	uint64 sum;

	if (stamp < written)
		return POOLDIAG_RING_UNFINISHED;
	pg_read_barrier();
	memcpy(payload, place->payload, ring->payload);
	sum = place->checksum;
	pg_read_barrier();
	if (pg_atomic_read_u64(&place->stamp) != written)
		return POOLDIAG_RING_GONE;
	return sum == checksum(number, payload, ring->payload) ? POOLDIAG_RING_WHOLE
														   : POOLDIAG_RING_TORN;
}

/*
 * Copies a ring, for it to be put in its place when the server starts again. No entry of the copy has a number that
 * the copy would give to another.
 */
void
pooldiag_ring_copy(PoolDiagRing *ring, PoolDiagRing *copy)
{
	memcpy(copy, ring, pooldiag_ring_size(ring->capacity, ring->payload));
	pg_read_barrier();
	pg_atomic_write_u64(&copy->next, pooldiag_ring_next(ring));
}
