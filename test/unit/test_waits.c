/*
 * link: waits.c pools.c presets.c glob.c
 *
 * The wait profile: sums that add up, with pools that come and go, and a table that is full.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "waits.h"

#define POOLS 4

static PoolDiagWaits waits;

static PoolDiagPools *
directory(void)
{
	PoolDiagPools *pools = malloc(pooldiag_pools_size(POOLS));

	assert_non_null(pools);
	pooldiag_pools_init(pools, POOLS);
	for (int i = 0; i <= POOLS; i++)
		pools->rows[i].life = (uint16_t) (i + 1);
	memset(&waits, 0, sizeof(waits));
	return pools;
}

static uint64_t
samples_of(int pool, uint32_t event)
{
	uint64_t total = 0;

	for (int i = 0; i < POOLDIAG_WAIT_ROWS; i++)
		if (waits.rows[i].used && waits.rows[i].pool == pool && waits.rows[i].event == event)
			total += waits.rows[i].samples;
	return total;
}

static uint64_t
all_samples(void)
{
	uint64_t total = waits.dropped;

	for (int i = 0; i < POOLDIAG_WAIT_ROWS; i++)
		if (waits.rows[i].used)
			total += waits.rows[i].samples;
	return total;
}

static void
events_are_kept_apart(void **state)
{
	PoolDiagPools *pools = directory();

	(void) state;
	for (int round = 0; round < 3; round++)
		for (int pool = 0; pool <= POOLS; pool++)
			for (uint32_t event = 0; event < 50; event++)
				pooldiag_waits_add(&waits, pools, pool, event << 24 | pool, event + 1);
	for (int pool = 0; pool <= POOLS; pool++)
		for (uint32_t event = 0; event < 50; event++)
			assert_int_equal(samples_of(pool, event << 24 | pool), 3 * (event + 1));
	assert_int_equal(waits.used, (POOLS + 1) * 50);
	assert_int_equal(waits.dropped, 0);
	free(pools);
}

static void
what_a_pool_had_that_has_gone_is_with_other(void **state)
{
	PoolDiagPools *pools = directory();

	(void) state;
	pooldiag_waits_add(&waits, pools, 1, 7, 5);
	pooldiag_waits_add(&waits, pools, POOLS, 7, 2);
	pools->rows[1].life = 100;
	pooldiag_waits_add(&waits, pools, 1, 7, 3);
	pooldiag_waits_compact(&waits, pools);
	assert_int_equal(samples_of(1, 7), 3);
	assert_int_equal(samples_of(POOLS, 7), 7);
	assert_int_equal(waits.used, 2);
	free(pools);
}

static void
a_full_table_counts_what_it_drops(void **state)
{
	PoolDiagPools *pools = directory();
	uint64_t added = 0;

	(void) state;
	for (uint32_t event = 0; event < 2 * POOLDIAG_WAIT_ROWS; event++, added += 3)
		pooldiag_waits_add(&waits, pools, 0, event, 3);
	assert_int_equal(waits.used, POOLDIAG_WAIT_ROWS_USED);
	assert_int_equal(all_samples(), added);
	assert_int_equal(waits.dropped, 3 * (2 * POOLDIAG_WAIT_ROWS - POOLDIAG_WAIT_ROWS_USED));

	/* What it has it goes on counting, and room comes when a pool with much leaves. */
	pooldiag_waits_add(&waits, pools, 0, 5, 1);
	assert_int_equal(samples_of(0, 5), 4);
	pools->rows[0].life = 200;
	for (uint32_t event = 0; event < POOLDIAG_WAIT_ROWS_USED; event++)
		pooldiag_waits_add(&waits, pools, POOLS, event, 1);
	assert_int_equal(samples_of(POOLS, 6), 4);
	free(pools);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_kept_apart),
		cmocka_unit_test(what_a_pool_had_that_has_gone_is_with_other),
		cmocka_unit_test(a_full_table_counts_what_it_drops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
