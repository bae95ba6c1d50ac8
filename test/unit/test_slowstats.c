/*
 * link: slowstats.c
 *
 * Slow statements added up, against exact sums of the same calls: no row says more than was, statements that take
 * much have a row, and rows are found again whatever has come and gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "slowstats.h"

#define STATEMENTS 3000
#define CALLS 60000

static uint64_t seed;
static PoolDiagSlowStats stats;
static PoolDiagSlowText text;

static uint32_t
random_below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t) ((seed >> 16) % n);
}

static PoolDiagSlowCall
make_call(uint64_t statement, uint32_t database, uint64_t us, int64_t at)
{
	PoolDiagSlowCall call;

	memset(&call, 0, sizeof(call));
	call.key.statement = statement;
	call.key.database = database;
	call.key.has_id = 1;
	call.us = us;
	call.finished_at = at;
	call.database = "d";
	call.text = &text;
	return call;
}

static void
add(uint64_t statement, uint32_t database, uint64_t us, int64_t at)
{
	PoolDiagSlowCall call = make_call(statement, database, us, at);

	pooldiag_slowstats_add(&stats, &call);
}

static void
say(const char *words)
{
	memset(&text, 0, sizeof(text));
	text.encoding = words == NULL ? POOLDIAG_NO_TEXT : 6;
	if (words != NULL)
	{
		text.length = (int32_t) strlen(words);
		memcpy(text.bytes, words, strlen(words));
	}
}

static int
set_up(void **state)
{
	memset(&stats, 0x55, sizeof(stats));
	pooldiag_slowstats_init(&stats);
	say("SELECT");
	return 0;
}

static void
test_one_statement(void **state)
{
	PoolDiagSlowCall failed = make_call(7, 1, 20, 200);
	const PoolDiagSlowRow *row = &stats.rows[0];

	add(7, 1, 30, 100);
	failed.failed = true;
	pooldiag_slowstats_add(&stats, &failed);
	add(7, 1, 10, 150);
	assert_int_equal(stats.used, 1);
	assert_int_equal(row->calls, 3);
	assert_int_equal(row->failures, 1);
	assert_int_equal(row->total_us, 60);
	assert_int_equal(row->max_us, 30);
	assert_int_equal(row->first_at, 100);
	assert_int_equal(row->last_at, 200);
	assert_string_equal(stats.databases[0], "d");
	assert_int_equal(stats.texts[0].length, 6);
}

static void
test_keys(void **state)
{
	PoolDiagSlowCall by_text = make_call(7, 1, 1, 1);

	add(7, 1, 1, 1);
	add(7, 2, 1, 1);
	add(8, 1, 1, 1);
	by_text.key.has_id = 0;
	pooldiag_slowstats_add(&stats, &by_text);
	assert_int_equal(stats.used, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(stats.rows[i].calls, 1);
}

/* A text that was hidden is filled in by the next call, and one that is there stays. */
static void
test_texts(void **state)
{
	say(NULL);
	add(7, 1, 1, 1);
	assert_int_equal(stats.texts[0].encoding, POOLDIAG_NO_TEXT);
	say("one");
	add(7, 1, 1, 1);
	assert_memory_equal(stats.texts[0].bytes, "one", 3);
	say("other");
	add(7, 1, 1, 1);
	assert_int_equal(stats.texts[0].length, 3);
}

/* Nothing of the statement that had the row before is left. */
static void
test_replaced_row(void **state)
{
	int row = 5;

	for (int i = 0; i < POOLDIAG_SLOW_STATS_ROOM; i++)
		add(1000 + i, 1, i == row ? 10 : 20, i);
	say(NULL);
	add(7, 2, 3, 9000);
	assert_int_equal(stats.used, POOLDIAG_SLOW_STATS_ROOM);
	assert_int_equal(stats.replaced, 1);
	assert_int_equal(stats.rows[row].key.statement, 7);
	assert_int_equal(stats.rows[row].calls, 1);
	assert_int_equal(stats.rows[row].total_us, 3);
	assert_int_equal(stats.rows[row].max_us, 3);
	assert_int_equal(stats.rows[row].weight_us, 13);
	assert_int_equal(stats.rows[row].first_at, 9000);
	assert_int_equal(stats.texts[row].encoding, POOLDIAG_NO_TEXT);
	assert_int_equal(stats.texts[row].bytes[0], 0);
}

/* Of rows that weigh the same the one goes whose statement ran longest ago. */
static void
test_oldest_goes(void **state)
{
	for (int i = 0; i < POOLDIAG_SLOW_STATS_ROOM; i++)
		add(1000 + i, 1, 10, i == 77 ? 1 : 100 + i);
	add(7, 1, 1, 1000);
	assert_int_equal(stats.rows[77].key.statement, 7);
}

/* A database's name that is too long is cut. */
static void
test_long_name(void **state)
{
	PoolDiagSlowCall call = make_call(7, 1, 1, 1);
	char name[2 * POOLDIAG_NAME_LEN];

	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	call.database = name;
	pooldiag_slowstats_add(&stats, &call);
	assert_int_equal(strlen(stats.databases[0]), POOLDIAG_NAME_LEN - 1);
}

static void
check_against(const uint64_t *exact_us, const uint32_t *exact_calls, uint64_t all_us)
{
	static bool has_row[STATEMENTS];
	uint64_t weights = 0;

	memset(has_row, 0, sizeof(has_row));
	for (int i = 0; i < stats.used; i++)
	{
		const PoolDiagSlowRow *row = &stats.rows[i];

		assert_false(has_row[row->key.statement]);
		has_row[row->key.statement] = true;
		weights += row->weight_us;
		assert_true(row->total_us <= exact_us[row->key.statement]);
		assert_true(row->calls <= exact_calls[row->key.statement]);
		assert_true(exact_us[row->key.statement] <= row->weight_us);
	}
	assert_int_equal(weights, all_us);
	for (int i = 0; i < STATEMENTS; i++)
		if (exact_us[i] > all_us / POOLDIAG_SLOW_STATS_ROOM)
			assert_true(has_row[i]);
}

/* Some take much, most come once or twice; and what comes often in small pieces among large single ones stays. */
static void
test_heavy_ones_stay(void **state)
{
	static uint64_t exact_us[STATEMENTS];
	static uint32_t exact_calls[STATEMENTS];
	uint64_t all_us = 0;

	seed = 88172645463325252u;
	memset(exact_us, 0, sizeof(exact_us));
	memset(exact_calls, 0, sizeof(exact_calls));
	for (int i = 0; i < CALLS; i++)
	{
		uint32_t statement = random_below(4) == 0 ? random_below(10) : random_below(STATEMENTS);
		uint64_t us = statement < 10 ? 100 : 100 + random_below(200);

		add(statement, 1, us, i);
		exact_us[statement] += us;
		exact_calls[statement]++;
		all_us += us;
		if (i % 1000 == 0)
			check_against(exact_us, exact_calls, all_us);
	}
	check_against(exact_us, exact_calls, all_us);
	for (int i = 0; i < 10; i++)
		assert_true(exact_us[i] > all_us / POOLDIAG_SLOW_STATS_ROOM);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_one_statement, set_up),
		cmocka_unit_test_setup(test_keys, set_up),
		cmocka_unit_test_setup(test_texts, set_up),
		cmocka_unit_test_setup(test_replaced_row, set_up),
		cmocka_unit_test_setup(test_oldest_goes, set_up),
		cmocka_unit_test_setup(test_long_name, set_up),
		cmocka_unit_test_setup(test_heavy_ones_stay, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
