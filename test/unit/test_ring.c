/*
 * link: ring.c
 *
 * The ring: what is read is what was written, whoever writes at the same time, and whoever of them is
 * interrupted.
 */
#include "server.h"

#include <pthread.h>

#include "ring.h"

#define CAPACITY UINT64CONST(8)
#define WRITERS 4
#define ENTRIES 200000

/* Every word is the same, so that an entry of two halves shows. */
typedef struct Payload
{
	uint64 words[32];
} Payload;

/* The places' stamps, where a test does what an interrupted writer leaves behind. */
typedef struct Place
{
	pg_atomic_uint64 stamp;
	uint64 checksum;
	Payload payload;
} Place;

static PoolDiagRing *
new_ring(uint32 capacity)
{
	PoolDiagRing *ring = calloc(1, pooldiag_ring_size(capacity, sizeof(Payload)));

	assert_non_null(ring);
	pooldiag_ring_init(ring, capacity, sizeof(Payload));
	return ring;
}

static Place *
place(PoolDiagRing *ring, int n)
{
	return (Place *) ((char *) ring + MAXALIGN(sizeof(PoolDiagRing))) + n;
}

static Payload
payload_of(uint64 value)
{
	Payload payload;

	for (int i = 0; i < (int) lengthof(payload.words); i++)
		payload.words[i] = value;
	return payload;
}

static uint64
write_value(PoolDiagRing *ring, uint64 value)
{
	Payload payload = payload_of(value);

	return pooldiag_ring_write(ring, &payload);
}

static void
assert_value(PoolDiagRing *ring, uint64 number, uint64 value)
{
	Payload payload;

	assert_int_equal(pooldiag_ring_read(ring, number, &payload), POOLDIAG_RING_WHOLE);
	for (int i = 0; i < (int) lengthof(payload.words); i++)
		assert_int_equal(payload.words[i], value);
}

static void
the_newest_are_there(void **state)
{
	PoolDiagRing *ring = new_ring((uint32) CAPACITY);
	Payload payload;

	(void) state;
	assert_int_equal(pooldiag_ring_next(ring), 0);
	assert_int_equal(pooldiag_ring_oldest(ring), 0);
	for (uint64 n = 0; n < 5 * CAPACITY + 3; n++)
	{
		assert_int_equal(write_value(ring, 1000 + n), n);
		assert_int_equal(pooldiag_ring_next(ring), n + 1);
		assert_int_equal(pooldiag_ring_oldest(ring), n < CAPACITY ? 0 : n + 1 - CAPACITY);
		for (uint64 k = pooldiag_ring_oldest(ring); k <= n; k++)
			assert_value(ring, k, 1000 + k);
		if (n >= CAPACITY)
			assert_int_equal(pooldiag_ring_read(ring, n - CAPACITY, &payload), POOLDIAG_RING_GONE);
	}
	free(ring);
}

static void
an_interrupted_writer_is_no_obstacle(void **state)
{
	PoolDiagRing *ring = new_ring((uint32) CAPACITY);
	Payload payload;

	(void) state;
	/* One that took a number and nothing else, one that ended while it wrote. */
	pg_atomic_fetch_add_u64(&ring->next, 2);
	pg_atomic_write_u64(&place(ring, 1)->stamp, 2 * 1 + 1);
	assert_int_equal(pooldiag_ring_read(ring, 0, &payload), POOLDIAG_RING_UNFINISHED);
	assert_int_equal(pooldiag_ring_read(ring, 1, &payload), POOLDIAG_RING_UNFINISHED);
	for (uint64 n = 2; n < CAPACITY + 2; n++)
		assert_int_equal(write_value(ring, n), n);
	for (uint64 n = 2; n < CAPACITY + 2; n++)
		assert_value(ring, n, n);
	assert_int_equal(pooldiag_ring_read(ring, 0, &payload), POOLDIAG_RING_GONE);
	free(ring);
}

static void
a_writer_that_is_a_round_late_does_no_harm(void **state)
{
	PoolDiagRing *ring = new_ring((uint32) CAPACITY);
	Payload payload;

	(void) state;
	for (uint64 n = 0; n < 2 * CAPACITY; n++)
		write_value(ring, n);
	/* It begins now, with the number 3. */
	pg_atomic_write_u64(&ring->next, 3);
	assert_int_equal(write_value(ring, 4711), 3);
	pg_atomic_write_u64(&ring->next, 2 * CAPACITY);
	assert_value(ring, CAPACITY + 3, CAPACITY + 3);

	/* It was in the middle: the entry is spoilt, and known to be. */
	place(ring, 4)->payload.words[7] = 4711;
	assert_int_equal(pooldiag_ring_read(ring, CAPACITY + 4, &payload), POOLDIAG_RING_TORN);
	assert_value(ring, CAPACITY + 5, CAPACITY + 5);
	/* All of an older one is spoilt too. */
	place(ring, 5)->payload = payload_of(5);
	place(ring, 5)->checksum = place(ring, 6)->checksum;
	assert_int_equal(pooldiag_ring_read(ring, CAPACITY + 5, &payload), POOLDIAG_RING_TORN);
	free(ring);
}

static void *
write_many(void *ring)
{
	for (uint64 i = 0; i < ENTRIES; i++)
		write_value(ring, i * UINT64CONST(0x9E3779B97F4A7C15));
	return NULL;
}

static void
readers_beside_writers_get_whole_entries(void **state)
{
	PoolDiagRing *ring = new_ring((uint32) CAPACITY);
	pthread_t writers[WRITERS];
	uint64 whole = 0;
	uint64 at = 0;

	(void) state;
	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&writers[i], NULL, write_many, ring), 0);
	while (at < (uint64) WRITERS * ENTRIES)
	{
		Payload payload;

		at = Max(at, pooldiag_ring_oldest(ring));
		if (at == pooldiag_ring_next(ring))
			continue;
		if (pooldiag_ring_read(ring, at, &payload) == POOLDIAG_RING_WHOLE)
		{
			whole++;
			for (int i = 1; i < (int) lengthof(payload.words); i++)
				if (payload.words[i] != payload.words[0])
					fail_msg("entry " UINT64_FORMAT " has two halves", at);
		}
		at++;
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	assert_int_equal(pooldiag_ring_next(ring), (uint64) WRITERS * ENTRIES);
	assert_true(whole > 0);
	free(ring);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_newest_are_there),
		cmocka_unit_test(an_interrupted_writer_is_no_obstacle),
		cmocka_unit_test(a_writer_that_is_a_round_late_does_no_harm),
		cmocka_unit_test(readers_beside_writers_get_whole_entries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
