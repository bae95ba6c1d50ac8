/*
 * link: peaks.c tally.c state.c
 *
 * Peaks of databases and roles, in a table that has room for so many of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "peaks.h"

#define FIRST_OID 16384

static PoolDiagPeakTable table;

static int
set_up(void **state)
{
	memset(&table, 0, sizeof(table));
	return 0;
}

/* A tick that finds that many connections. */
static void
tick(uint32_t oid, int connections, int64_t now)
{
	pooldiag_peaks_clear(&table);
	if (connections > 0)
	{
		int row = pooldiag_peaks_row(&table, oid);

		assert_true(row >= 0);
		table.rows[row].connections = connections;
	}
	pooldiag_peaks_raise(&table, now);
}

static void
test_peak_stays(void **state)
{
	tick(1, 3, 10);
	tick(1, 7, 20);
	tick(1, 5, 30);
	assert_int_equal(pooldiag_peaks_find(&table, 1)->value, 7);
	assert_int_equal(pooldiag_peaks_find(&table, 1)->at, 20);
	assert_null(pooldiag_peaks_find(&table, 2));
	assert_int_equal(table.used, 1);
}

/* Each has its row, and is found again there. */
static void
test_rows_are_kept(void **state)
{
	for (int i = 0; i < POOLDIAG_PEAK_ROWS; i++)
		assert_int_equal(pooldiag_peaks_row(&table, FIRST_OID + i), i);
	for (int i = 0; i < POOLDIAG_PEAK_ROWS; i++)
		assert_int_equal(pooldiag_peaks_row(&table, FIRST_OID + i), i);
	assert_int_equal(table.evictions, 0);
}

/* In a full table the lowest peak makes way, of those that nobody is connected to. */
static void
test_lowest_makes_way(void **state)
{
	for (int i = 0; i < POOLDIAG_PEAK_ROWS; i++)
	{
		int row = pooldiag_peaks_row(&table, FIRST_OID + i);

		table.rows[row].peak.value = 100 + i;
	}
	table.rows[0].connections = 1; /* now, */
	table.rows[1].before = 1;	   /* a tick ago, */
	table.rows[2].connected = 1;   /* by what it tells */
	assert_int_equal(pooldiag_peaks_row(&table, 1), 3);
	assert_int_equal(table.evictions, 1);
	assert_int_equal(table.rows[3].peak.value, 0);
	assert_null(pooldiag_peaks_find(&table, FIRST_OID + 3));
	assert_int_equal(pooldiag_peaks_find(&table, FIRST_OID + 4)->value, 104);
}

/* Where all are in use there is no row, and nobody loses one. */
static void
test_no_row_left(void **state)
{
	for (int i = 0; i < POOLDIAG_PEAK_ROWS; i++)
		table.rows[pooldiag_peaks_row(&table, FIRST_OID + i)].connected = 1;
	assert_int_equal(pooldiag_peaks_row(&table, 1), -1);
	assert_int_equal(table.evictions, 0);
	assert_non_null(pooldiag_peaks_find(&table, FIRST_OID));
}

/* What was seen at the last tick is not taken for gone in the middle of the next. */
static void
test_tick_by_tick(void **state)
{
	int row = pooldiag_peaks_row(&table, 5);

	table.rows[row].connections = 4;
	pooldiag_peaks_clear(&table);
	assert_int_equal(table.rows[row].connections, 0);
	assert_int_equal(table.rows[row].before, 4);
	pooldiag_peaks_clear(&table);
	assert_int_equal(table.rows[row].before, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_peak_stays, set_up),
		cmocka_unit_test_setup(test_rows_are_kept, set_up),
		cmocka_unit_test_setup(test_lowest_makes_way, set_up),
		cmocka_unit_test_setup(test_no_row_left, set_up),
		cmocka_unit_test_setup(test_tick_by_tick, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
