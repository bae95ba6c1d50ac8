/*
 * link: hitters.c
 *
 * Heavy hitters against an exact count of the same events: sums, bounds, who has to be in the table, and
 * the table's own order, after every event.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hitters.h"

#define SOURCES 400
#define EVENTS 4000

static uint64_t seed;

static uint32_t
random_below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t) ((seed >> 16) % n);
}

/* The n-th source; some differ in one part only. */
static PoolDiagSource
make_source(int n)
{
	PoolDiagSource source;

	memset(&source, 0, sizeof(source));
	source.reason = n % 3;
	source.user[0] = (char) ('a' + n / 3 % 5);
	source.database[0] = (char) ('a' + n / 15 % 3);
	source.application_name[POOLDIAG_NAME_LEN - 2] = (char) ('a' + n / 45 % 3);
	source.client[0] = (char) (1 + n / 135);
	return source;
}

static int
source_number(const PoolDiagSource *source)
{
	for (int n = 0; n < SOURCES; n++)
	{
		PoolDiagSource candidate = make_source(n);

		if (memcmp(&candidate, source, sizeof(candidate)) == 0)
			return n;
	}
	fail_msg("a source that was never there");
	return -1;
}

static PoolDiagHitters *
new_hitters(int capacity)
{
	PoolDiagHitters *hitters = malloc(pooldiag_hitters_size(capacity));

	assert_non_null(hitters);
	memset(hitters, 0x55, pooldiag_hitters_size(capacity));
	pooldiag_hitters_init(hitters, capacity);
	return hitters;
}

/* What the table is, of events that were counted exactly. */
static void
check(const PoolDiagHitters *hitters, const uint64_t *exact, uint64_t events)
{
	uint64_t sum = 0;
	uint64_t before = 0;
	int distinct = 0;
	int seen[SOURCES] = {0};

	for (int n = 0; n < SOURCES; n++)
		distinct += exact[n] > 0;
	assert_int_equal(hitters->used, distinct < hitters->capacity ? distinct : hitters->capacity);
	for (int i = 0; i < hitters->used; i++)
	{
		const PoolDiagHitter *row = &hitters->rows[i];
		int n = source_number(&row->source);

		assert_int_equal(seen[n]++, 0);
		assert_true(row->count - row->at_most_over <= exact[n]);
		assert_true(exact[n] <= row->count);
		assert_int_equal(hitters->rows[row->rank].at_rank, i);
		sum += row->count;
	}
	assert_int_equal(sum, events);
	for (int rank = 0; rank < hitters->used; rank++)
	{
		uint64_t count = hitters->rows[hitters->rows[rank].at_rank].count;

		assert_true(count >= before);
		before = count;
	}
	/* No row's error, and nobody who has no row, is beyond the lowest count. */
	if (hitters->used > 0)
		before = hitters->rows[hitters->rows[0].at_rank].count;
	for (int n = 0; n < SOURCES; n++)
	{
		if (exact[n] * (uint64_t) hitters->capacity > events)
			assert_int_equal(seen[n], 1);
		if (!seen[n])
			assert_true(exact[n] <= before);
	}
	for (int i = 0; i < hitters->used; i++)
		assert_true(hitters->rows[i].at_most_over <= before);
}

/* A stream in which some sources are more frequent than others: the higher the skew, the more. */
static void
stream(int capacity, int sources, int skew)
{
	PoolDiagHitters *hitters = new_hitters(capacity);
	uint64_t exact[SOURCES] = {0};

	for (int i = 1; i <= EVENTS; i++)
	{
		int n = (int) random_below((uint32_t) sources);
		PoolDiagSource source;

		for (int k = 0; k < skew; k++)
			n = (int) random_below((uint32_t) n + 1);
		source = make_source(n);
		pooldiag_hitters_add(hitters, &source, i);
		exact[n]++;
		if (i % 97 == 0 || i == EVENTS)
			check(hitters, exact, (uint64_t) i);
	}
	free(hitters);
}

static void
bounds_hold_for_random_streams(void **state)
{
	static const int capacities[] = {1, 2, 3, 7, 64, 256};

	(void) state;
	seed = 88172645463325252ULL;
	for (size_t c = 0; c < sizeof(capacities) / sizeof(capacities[0]); c++)
		for (int skew = 0; skew < 4; skew++)
			stream(capacities[c], SOURCES, skew);
}

static void
a_table_with_room_is_exact(void **state)
{
	PoolDiagHitters *hitters = new_hitters(5);

	(void) state;
	for (int i = 0; i < 100; i++)
	{
		PoolDiagSource source = make_source(i % 4);

		pooldiag_hitters_add(hitters, &source, 1000 + i);
	}
	assert_int_equal(hitters->used, 4);
	assert_int_equal(hitters->replaced, 0);
	for (int i = 0; i < 4; i++)
	{
		assert_int_equal(hitters->rows[i].count, 25);
		assert_int_equal(hitters->rows[i].at_most_over, 0);
		assert_int_equal(hitters->rows[i].last_at, 1096 + source_number(&hitters->rows[i].source));
	}
	free(hitters);
}

static void
a_heavy_source_survives_a_flood_of_new_ones(void **state)
{
	PoolDiagHitters *hitters = new_hitters(16);
	PoolDiagSource heavy = make_source(0);

	(void) state;
	for (int i = 0; i < 20000; i++)
	{
		PoolDiagSource stranger = make_source(1);

		memcpy(stranger.database, &i, sizeof(i));
		pooldiag_hitters_add(hitters, i % 10 == 0 ? &heavy : &stranger, i);
	}
	assert_int_equal(hitters->used, 16);
	for (int i = 0; i < 16; i++)
		if (memcmp(&hitters->rows[i].source, &heavy, sizeof(heavy)) == 0)
		{
			assert_true(hitters->rows[i].count >= 2000);
			assert_true(hitters->rows[i].count - hitters->rows[i].at_most_over <= 2000);
			free(hitters);
			return;
		}
	fail_msg("it has no row");
}

static void
the_same_events_make_the_same_table(void **state)
{
	PoolDiagHitters *tables[2];

	(void) state;
	for (int t = 0; t < 2; t++)
	{
		tables[t] = new_hitters(20);
		seed = 1234567;
		for (int i = 0; i < EVENTS; i++)
		{
			PoolDiagSource source = make_source((int) random_below(60));

			pooldiag_hitters_add(tables[t], &source, i);
		}
	}
	assert_memory_equal(tables[0], tables[1], pooldiag_hitters_size(20));
	free(tables[0]);
	free(tables[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounds_hold_for_random_streams),
		cmocka_unit_test(a_table_with_room_is_exact),
		cmocka_unit_test(a_heavy_source_survives_a_flood_of_new_ones),
		cmocka_unit_test(the_same_events_make_the_same_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
