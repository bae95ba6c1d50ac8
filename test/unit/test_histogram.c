/*
 * link: histogram.c
 *
 * Histograms: buckets that follow one another without a gap, and quantiles against sorted values.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "histogram.h"

#define VALUES 2001
#define HOUR_US INT64_C(3600000000)

static void
buckets_follow_one_another(void **state)
{
	(void) state;
	assert_int_equal(pooldiag_histogram_lower_us(0), 0);
	for (int i = 0; i < POOLDIAG_BUCKETS; i++)
	{
		int64_t lower = pooldiag_histogram_lower_us(i);

		assert_int_equal(pooldiag_histogram_bucket(lower), i);
		if (i > 0)
			assert_int_equal(pooldiag_histogram_bucket(lower - 1), i - 1);
	}
}

static void
ends_are_open(void **state)
{
	(void) state;
	assert_int_equal(pooldiag_histogram_bucket(-1), 0);
	assert_int_equal(pooldiag_histogram_bucket(INT64_MIN), 0);
	assert_int_equal(pooldiag_histogram_bucket(INT64_MAX), POOLDIAG_BUCKETS - 1);
	assert_int_equal(pooldiag_histogram_bucket(9 * HOUR_US), POOLDIAG_BUCKETS - 1);
	assert_true(pooldiag_histogram_bucket(8 * HOUR_US) < POOLDIAG_BUCKETS - 1);
}

static void
what_is_read_back_is_near(void **state)
{
	(void) state;
	for (double v = 1; v < 8.0 * HOUR_US; v = v * 1.0007 + 1)
	{
		int64_t us = (int64_t) v;
		double back = pooldiag_histogram_value_us(pooldiag_histogram_bucket(us));

		assert_true(back > 0.93 * us && back < 1.07 * us);
	}
}

static int
ascending(const void *a, const void *b)
{
	int64_t x = *(const int64_t *) a;
	int64_t y = *(const int64_t *) b;

	return x < y ? -1 : x > y;
}

static void
quantiles_are_near_those_of_sorted_values(void **state)
{
	static const double ps[] = {0.001, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1};
	unsigned long long random = 88172645463325252ULL;

	(void) state;
	for (int round = 0; round < 200; round++)
	{
		int64_t values[VALUES];
		uint64_t counts[POOLDIAG_BUCKETS] = {0};
		int n = 1 + (int) (random % VALUES);

		for (int i = 0; i < n; i++)
		{
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			/* As many in each power of two, from 1 us to hours. */
			values[i] = (int64_t) (1 + (random >> 16) % (UINT64_C(1) << (random % 34)));
			counts[pooldiag_histogram_bucket(values[i])]++;
		}
		qsort(values, n, sizeof(values[0]), ascending);
		assert_int_equal(pooldiag_histogram_count(counts), n);
		for (size_t k = 0; k < sizeof(ps) / sizeof(ps[0]); k++)
		{
			int rank = 1;
			double got = pooldiag_histogram_quantile_us(counts, ps[k]);

			while (rank < ps[k] * n)
				rank++;
			assert_true(got > 0.93 * values[rank - 1] && got < 1.07 * values[rank - 1]);
		}
	}
}

/* What is below the beginning of each bucket, against the durations one by one. */
static void
below_a_bucket_are_those_before_it(void **state)
{
	static int64_t values[VALUES];
	uint64_t counts[POOLDIAG_BUCKETS] = {0};

	(void) state;
	for (int i = 0; i < VALUES; i++)
	{
		values[i] = (int64_t) (random() >> i % 31) * (i % 7 == 0 ? 64 : 1);
		counts[pooldiag_histogram_bucket(values[i])]++;
	}
	for (int step = 1; step < POOLDIAG_BUCKETS; step += 9)
	{
		int64_t bounds[POOLDIAG_BUCKETS];
		uint64_t below[POOLDIAG_BUCKETS];
		int count = 0;

		for (int bucket = step % 3; bucket < POOLDIAG_BUCKETS; bucket += step)
			bounds[count++] = pooldiag_histogram_lower_us(bucket);
		pooldiag_histogram_below(counts, bounds, count, below);
		for (int b = 0; b < count; b++)
		{
			uint64_t expected = 0;

			for (int i = 0; i < VALUES; i++)
				expected += values[i] < bounds[b];
			assert_int_equal(below[b], expected);
		}
	}
}

static void
nothing_has_no_quantile(void **state)
{
	uint64_t counts[POOLDIAG_BUCKETS] = {0};

	(void) state;
	assert_true(pooldiag_histogram_quantile_us(counts, 0.5) == -1);
	assert_int_equal(pooldiag_histogram_count(counts), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_follow_one_another),
		cmocka_unit_test(ends_are_open),
		cmocka_unit_test(what_is_read_back_is_near),
		cmocka_unit_test(quantiles_are_near_those_of_sorted_values),
		cmocka_unit_test(below_a_bucket_are_those_before_it),
		cmocka_unit_test(nothing_has_no_quantile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
