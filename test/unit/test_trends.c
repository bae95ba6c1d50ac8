/*
 * link: trends.c
 *
 * The window: what is in it, what leaves it, and whose it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trends.h"

#define ROWS 3
#define WINDOW 60.0

static PoolDiagTrends *
trends_of(void)
{
	PoolDiagTrends *trends = malloc(pooldiag_trends_size(ROWS));

	assert_non_null(trends);
	pooldiag_trends_init(trends, ROWS);
	return trends;
}

/* A tick a second, in which a row does one transaction with two connections. */
static void
tick(PoolDiagTrends *trends, double now, int row, uint16_t life)
{
	int64_t flows[POOLDIAG_FLOWS] = {[POOLDIAG_FLOW_XACTS] = 1};

	pooldiag_trends_begin(trends, now, WINDOW);
	pooldiag_trends_add(trends, row, life, 1, 2, flows);
}

static void
window_moves_on(void **state)
{
	PoolDiagTrends *trends = trends_of();
	PoolDiagTrend trend;

	pooldiag_trends_of(trends, 1, 7, &trend);
	assert_int_equal(trend.ticks, 0);
	for (int now = 1000; now < 1000 + 45; now++)
		tick(trends, now, 1, 7);
	pooldiag_trends_of(trends, 1, 7, &trend);
	assert_int_equal(trend.flows[POOLDIAG_FLOW_XACTS], 45);
	assert_int_equal(trend.ticks, 45);
	assert_int_equal(trend.connections, 90);
	assert_int_equal((int) trend.seconds, 45);
	for (int now = 1000 + 45; now < 2000; now++)
	{
		tick(trends, now, 1, 7);
		pooldiag_trends_of(trends, 1, 7, &trend);
		/* Once it is full: its length, and up to a part more. */
		if (now >= 1060)
			assert_in_range((int) trend.seconds, 60, 70);
		assert_int_equal(trend.flows[POOLDIAG_FLOW_XACTS], trend.ticks);
	}
	/* Rows know nothing of each other. */
	pooldiag_trends_of(trends, 0, 0, &trend);
	assert_int_equal(trend.ticks, 0);
	free(trends);
}

static void
what_is_past_is_forgotten(void **state)
{
	PoolDiagTrends *trends = trends_of();
	PoolDiagTrend trend;

	for (int now = 1000; now < 1100; now++)
		tick(trends, now, 1, 7);
	/* For half a window nothing was seen: half of it is known. */
	tick(trends, 1130, 1, 7);
	pooldiag_trends_of(trends, 1, 7, &trend);
	assert_in_range(trend.flows[POOLDIAG_FLOW_XACTS], 31, 41);
	/* For longer than all of it: nothing is. */
	tick(trends, 1300, 1, 7);
	pooldiag_trends_of(trends, 1, 7, &trend);
	assert_int_equal(trend.flows[POOLDIAG_FLOW_XACTS], 1);
	pooldiag_trends_forget(trends);
	pooldiag_trends_of(trends, 1, 7, &trend);
	assert_int_equal(trend.ticks, 0);
	free(trends);
}

static void
rows_change_hands(void **state)
{
	PoolDiagTrends *trends = trends_of();
	PoolDiagTrend trend;

	for (int now = 1000; now < 1010; now++)
		tick(trends, now, 1, 7);
	tick(trends, 1010, 1, 8);
	pooldiag_trends_of(trends, 1, 8, &trend);
	assert_int_equal(trend.flows[POOLDIAG_FLOW_XACTS], 1);
	pooldiag_trends_of(trends, 1, 7, &trend);
	assert_int_equal(trend.ticks, 0);
	free(trends);
}

static void
activity_by_class(void **state)
{
	PoolDiagTrends *trends = trends_of();
	PoolDiagActivity activity;

	for (int now = 0; now < 20; now++)
	{
		pooldiag_trends_begin(trends, 1000 + now, WINDOW);
		pooldiag_trends_active(trends, 0);
		pooldiag_trends_active(trends, 0x03000001);
		pooldiag_trends_active(trends, now % 4 == 0 ? 0x03000002 : 0x03000001);
		/* More events than are told apart: only their classes are. */
		for (uint32_t e = 0; e < 100; e++)
			pooldiag_trends_active(trends, 0x0A000000 + e);
	}
	pooldiag_trends_activity(trends, &activity);
	assert_int_equal(activity.ticks, 20);
	assert_int_equal(activity.active, 20 * 103);
	assert_int_equal(activity.by_class[0], 20);
	assert_int_equal(activity.by_class[3], 40);
	assert_int_equal(activity.by_class[10], 2000);
	assert_int_equal(activity.top_event[3], 0x03000001);
	assert_int_equal(activity.top_samples[3], 35);
	for (int now = 0; now < 80; now++)
		pooldiag_trends_begin(trends, 1020 + now, WINDOW);
	pooldiag_trends_activity(trends, &activity);
	assert_int_equal(activity.active, 0);
	free(trends);
}

static void
refused_by_reason(void **state)
{
	PoolDiagTrends *trends = trends_of();

	pooldiag_trends_begin(trends, 1000, WINDOW);
	pooldiag_trends_refused(trends, 3, 5);
	pooldiag_trends_begin(trends, 1030, WINDOW);
	pooldiag_trends_refused(trends, 3, 2);
	assert_int_equal(pooldiag_trends_refusals(trends, 3), 7);
	assert_int_equal(pooldiag_trends_refusals(trends, 4), 0);
	pooldiag_trends_begin(trends, 1075, WINDOW);
	assert_int_equal(pooldiag_trends_refusals(trends, 3), 2);
	free(trends);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(window_moves_on),	 cmocka_unit_test(what_is_past_is_forgotten),
		cmocka_unit_test(rows_change_hands), cmocka_unit_test(activity_by_class),
		cmocka_unit_test(refused_by_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
