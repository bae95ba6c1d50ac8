/*
 * link: past.c history.c points.c histogram.c
 *
 * What rules make of history: the highest values of days, and growth over an hour, by table.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <math.h>

#include <cmocka.h>

#include "past.h"

#define SPANS POOLDIAG_GROWTH_SPANS
#define SECOND INT64_C(1000000)
/* Where spans of all tiers end. */
#define END INT64_C(699999300)

/* Twelve spans of each: connections, active ones, transactions a second. */
typedef struct Case
{
	const char *what;
	double connections[SPANS];
	double active[SPANS];
	double xacts[SPANS];
	bool grows;
} Case;

#define SAME(x)                            \
	{                                      \
		x, x, x, x, x, x, x, x, x, x, x, x \
	}

static const Case cases[] = {
	{"rises, and does nothing more",
	 {4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	 SAME(1),
	 SAME(3),
	 true},
	{"stays", SAME(20), SAME(1), SAME(3), false},
	{"rises by four", {10, 10, 11, 11, 12, 12, 12, 13, 13, 13, 14, 14}, SAME(1), SAME(3), false},
	{"rises by five of ten",
	 {10, 10, 11, 11, 12, 12, 13, 13, 13, 14, 14, 15},
	 SAME(1),
	 SAME(3),
	 true},
	{"rises by less than a quarter",
	 {40, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 49.5},
	 SAME(1),
	 SAME(3),
	 false},
	{"dips", {4, 5, 6, 7, 8, 7.4, 10, 11, 12, 13, 14, 15}, SAME(1), SAME(3), false},
	{"dips by half a connection",
	 {4, 5, 6, 7, 8, 7.5, 10, 11, 12, 13, 14, 15},
	 SAME(1),
	 SAME(3),
	 true},
	{"does more as well",
	 {4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	 SAME(1),
	 {3, 3, 3, 3, 4, 5, 6, 7, 8, 9, 9, 9},
	 false},
	{"does a tenth more",
	 {4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	 SAME(1),
	 {10, 10, 10, 10, 10, 10, 10, 10, 11, 11, 11, 11},
	 true},
	{"more are active",
	 {4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	 {1, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9},
	 SAME(3),
	 false},
	{"does nothing at all", {4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, SAME(0), SAME(0), true},
	{"a gap", {4, 5, 6, 7, 8, -1, 10, 11, 12, 13, 14, 15}, SAME(1), SAME(3), false},
	{"no beginning", {-1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, SAME(1), SAME(3), false},
	{"transactions not known",
	 {4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	 SAME(1),
	 SAME(-1),
	 false},
	{"falls", {15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4}, SAME(1), SAME(3), false},
};

static void
growth_by_table(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		PoolDiagSpan spans[SPANS];
		PoolDiagGrowth growth;

		for (int s = 0; s < SPANS; s++)
		{
			spans[s].connections = cases[i].connections[s];
			spans[s].active = cases[i].active[s];
			spans[s].xacts = cases[i].xacts[s];
		}
		growth = pooldiag_past_growth(spans);
		if (growth.grows != cases[i].grows)
			fail_msg("%s: %d", cases[i].what, growth.grows);
	}
}

static PoolDiagSeries *
series_of(const PoolDiagTier *tiers)
{
	PoolDiagSeries *series = calloc(1, pooldiag_history_size(tiers));

	assert_non_null(series);
	return series;
}

static void
feed(PoolDiagSeries *series, const PoolDiagTier *tiers, int64_t second, double connections,
	 double active, double utilization, int64_t xacts, int64_t step)
{
	PoolDiagMoment moment;

	pooldiag_history_moment(&moment, second * SECOND);
	moment.gauges[POOLDIAG_GAUGE_CONNECTIONS] = connections;
	moment.gauges[POOLDIAG_GAUGE_ACTIVE] = active;
	moment.gauges[POOLDIAG_GAUGE_UTILIZATION] = utilization;
	moment.counted_seconds = (double) step;
	moment.counters[POOLDIAG_COUNTER_XACTS] = xacts;
	pooldiag_history_add(series, tiers, &moment);
}

/* A day of a pool, a moment each five seconds; two hours before its end a spike of one moment. */
static void
days_of_a_pool(void **state)
{
	const PoolDiagTier *tiers = pooldiag_history_pool_tiers;
	PoolDiagSeries *series = series_of(tiers);
	int64_t end = END;
	int64_t spike = end - 7200;
	PoolDiagPast past;

	for (int64_t at = end - 86400; at < end; at += 5)
		feed(series, tiers, at, at == spike ? 31 : 4, at == spike ? 9 : 1, at == spike ? 45 : 10,
			 15, 5);
	pooldiag_past_read(series, tiers, end * SECOND, &past);
	assert_int_equal((int) past.most_connections, 31);
	assert_int_equal((int) past.most_active, 9);
	assert_int_equal((int) past.most_utilization, 45);
	/* A moment each five seconds: a fifth of them is known. The quarter of an hour that is open isn't in. */
	assert_in_range((int) past.known_seconds, (86400 - 900) / 5, 86400 / 5);
	assert_false(past.growth.grows);
	assert_true(past.growth.xacts_to > 2.99 && past.growth.xacts_to < 3.01);
	/* A week later nothing of it counts. */
	pooldiag_past_read(series, tiers, (end + INT64_C(8) * 86400) * SECOND, &past);
	assert_int_equal((int) past.known_seconds, 0);
	assert_int_equal((int) past.most_connections, 0);
	assert_true(past.most_utilization < 0);
	free(series);
}

/* One connection more each five minutes, of a pool and of the server, whose tiers are others. */
static void
growth_from_history(void **state)
{
	const PoolDiagTier *all[] = {pooldiag_history_pool_tiers, pooldiag_history_server_tiers};

	for (int i = 0; i < 2; i++)
	{
		PoolDiagSeries *series = series_of(all[i]);
		int64_t end = END;
		PoolDiagPast past;

		for (int64_t at = end - 3600; at <= end; at++)
			feed(series, all[i], at, 4 + floor((double) (at - (end - 3600)) / 300), 1, 10, 3, 1);
		pooldiag_past_read(series, all[i], end * SECOND, &past);
		assert_true(past.growth.grows);
		assert_int_equal((int) past.growth.connections_from, 4);
		assert_int_equal((int) past.growth.connections_to, 15);
		/* Not before the hour is over. */
		pooldiag_past_read(series, all[i], (end - 600) * SECOND, &past);
		assert_false(past.growth.grows);
		free(series);
	}
}

static void
nothing_known(void **state)
{
	PoolDiagSeries *series = series_of(pooldiag_history_pool_tiers);
	PoolDiagPast past;

	pooldiag_past_read(series, pooldiag_history_pool_tiers, 0, &past);
	assert_int_equal((int) past.known_seconds, 0);
	assert_false(past.growth.grows);
	free(series);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(growth_by_table),
		cmocka_unit_test(days_of_a_pool),
		cmocka_unit_test(growth_from_history),
		cmocka_unit_test(nothing_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
