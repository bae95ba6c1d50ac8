/*
 * link: tally.c state.c
 *
 * Counting connections: what each state means, and from which microsecond on a connection is slow,
 * a leak suspect or over its pool's recycle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "presets.h"
#include "state.h"
#include "tally.h"
#include "thresholds.h"

#define NOW INT64_C(800000000000000) /* an instant of 2025 */
#define SLOW_MS 31000
#define LEAK_MS 61000
#define RECYCLE_MS 3600000
/* The last instant that is not longer ago than the limit. */
#define JUST_WITHIN(ms) (NOW - INT64_C(1000) * (ms))
/* The first one that is. */
#define JUST_BEYOND(ms) (JUST_WITHIN(ms) - 1)

static PoolDiagPoolLimits
limits(void)
{
	PoolDiagPoolLimits made;

	memset(&made, 0, sizeof(made));
	made.slow_ms = SLOW_MS;
	made.leak_ms = LEAK_MS;
	made.recycle_ms = RECYCLE_MS;
	made.timeout_ms = 1;
	return made;
}

/* A connection of which everything happened just now. */
static PoolDiagCounted
fresh(PoolDiagState state)
{
	PoolDiagCounted counted = {state, false, NOW, NOW, NOW};

	return counted;
}

static PoolDiagCounted
queried(PoolDiagState state, int64_t query_start)
{
	PoolDiagCounted counted = fresh(state);

	counted.query_start = query_start;
	return counted;
}

static PoolDiagCounted
changed(PoolDiagState state, int64_t state_change)
{
	PoolDiagCounted counted = fresh(state);

	counted.state_change = state_change;
	return counted;
}

static void
test_states(void **state)
{
	static const struct
	{
		PoolDiagState state;
		const char *name;
		bool checked_out;
		bool idle_in_transaction;
	} cases[] = {
		{POOLDIAG_STARTING, "starting", false, false},
		{POOLDIAG_ACTIVE, "active", true, false},
		{POOLDIAG_IDLE, "idle", false, false},
		{POOLDIAG_IDLE_IN_TRANSACTION, "idle in transaction", true, true},
		{POOLDIAG_IDLE_IN_TRANSACTION_ABORTED, "idle in transaction (aborted)", true, true},
		{POOLDIAG_FASTPATH, "fastpath function call", true, false},
		{POOLDIAG_DISABLED, "disabled", false, false},
	};

	(void) state;
	assert_int_equal(POOLDIAG_STATES, sizeof(cases) / sizeof(cases[0]));
	for (int i = 0; i < POOLDIAG_STATES; i++)
	{
		/* The order of the enumeration is the order of every report. */
		assert_int_equal(cases[i].state, i);
		assert_string_equal(pooldiag_state_name(cases[i].state), cases[i].name);
		assert_int_equal(pooldiag_state_checked_out(cases[i].state), cases[i].checked_out);
		assert_int_equal(pooldiag_state_in_transaction_idle(cases[i].state),
						 cases[i].idle_in_transaction);
	}
}

/* Slow: not idle, not starting, and the statement began longer ago than the limit. */
static void
test_slow(void **state)
{
	PoolDiagPoolLimits l = limits();

	(void) state;
	for (int s = 0; s < POOLDIAG_STATES; s++)
	{
		bool can_be = s != POOLDIAG_IDLE && s != POOLDIAG_STARTING;
		PoolDiagCounted within = queried(s, JUST_WITHIN(SLOW_MS));
		PoolDiagCounted beyond = queried(s, JUST_BEYOND(SLOW_MS));
		PoolDiagCounted unknown = queried(s, 0);
		PoolDiagCounted future = queried(s, NOW + 1);

		assert_false(pooldiag_is_slow(&within, &l, NOW));
		assert_int_equal(pooldiag_is_slow(&beyond, &l, NOW), can_be);
		assert_false(pooldiag_is_slow(&unknown, &l, NOW));
		assert_false(pooldiag_is_slow(&future, &l, NOW));
	}
}

/* Only the start of the statement makes it slow. */
static void
test_slow_is_by_query_start(void **state)
{
	PoolDiagPoolLimits l = limits();
	PoolDiagCounted counted = {POOLDIAG_ACTIVE, true, 1, NOW, 1};

	(void) state;
	assert_false(pooldiag_is_slow(&counted, &l, NOW));
}

static void
test_leak(void **state)
{
	PoolDiagPoolLimits l = limits();

	(void) state;
	for (int s = 0; s < POOLDIAG_STATES; s++)
	{
		bool can_be =
			s == POOLDIAG_IDLE_IN_TRANSACTION || s == POOLDIAG_IDLE_IN_TRANSACTION_ABORTED;
		PoolDiagCounted within = changed(s, JUST_WITHIN(LEAK_MS));
		PoolDiagCounted beyond = changed(s, JUST_BEYOND(LEAK_MS));
		PoolDiagCounted unknown = changed(s, 0);
		PoolDiagCounted future = changed(s, NOW + 1);

		assert_false(pooldiag_is_leak(&within, &l, NOW));
		assert_int_equal(pooldiag_is_leak(&beyond, &l, NOW), can_be);
		assert_false(pooldiag_is_leak(&unknown, &l, NOW));
		assert_false(pooldiag_is_leak(&future, &l, NOW));
	}
}

/* A long transaction is no leak while its session keeps working: idle time is what counts. */
static void
test_leak_is_by_idle_time(void **state)
{
	PoolDiagPoolLimits l = limits();
	PoolDiagCounted counted = {POOLDIAG_IDLE_IN_TRANSACTION, false, 1, 1, NOW};

	(void) state;
	assert_false(pooldiag_is_leak(&counted, &l, NOW));
}

/* The longest limit that the grammar takes, and the shortest. */
static void
test_extreme_limits(void **state)
{
	PoolDiagPoolLimits l = limits();
	PoolDiagCounted counted;

	(void) state;
	l.slow_ms = l.leak_ms = POOLDIAG_MAX_MS;
	counted = queried(POOLDIAG_ACTIVE, JUST_WITHIN(POOLDIAG_MAX_MS));
	assert_false(pooldiag_is_slow(&counted, &l, NOW));
	counted = queried(POOLDIAG_ACTIVE, JUST_BEYOND(POOLDIAG_MAX_MS));
	assert_true(pooldiag_is_slow(&counted, &l, NOW));
	counted = changed(POOLDIAG_IDLE_IN_TRANSACTION, JUST_WITHIN(POOLDIAG_MAX_MS));
	assert_false(pooldiag_is_leak(&counted, &l, NOW));
	counted = changed(POOLDIAG_IDLE_IN_TRANSACTION, JUST_BEYOND(POOLDIAG_MAX_MS));
	assert_true(pooldiag_is_leak(&counted, &l, NOW));

	l.slow_ms = l.leak_ms = 1;
	counted = queried(POOLDIAG_ACTIVE, NOW - 1000);
	assert_false(pooldiag_is_slow(&counted, &l, NOW));
	counted = queried(POOLDIAG_ACTIVE, NOW - 1001);
	assert_true(pooldiag_is_slow(&counted, &l, NOW));
	counted = changed(POOLDIAG_IDLE_IN_TRANSACTION_ABORTED, NOW - 1000);
	assert_false(pooldiag_is_leak(&counted, &l, NOW));
	counted = changed(POOLDIAG_IDLE_IN_TRANSACTION_ABORTED, NOW - 1001);
	assert_true(pooldiag_is_leak(&counted, &l, NOW));
}

static void
assert_tally(const PoolDiagTally *tally, const PoolDiagTally *want)
{
	assert_int_equal(tally->connections, want->connections);
	for (int s = 0; s < POOLDIAG_STATES; s++)
		assert_int_equal(tally->by_state[s], want->by_state[s]);
	assert_int_equal(tally->waiting, want->waiting);
	assert_int_equal(tally->slow, want->slow);
	assert_int_equal(tally->leaks, want->leaks);
	assert_int_equal(tally->over_recycle, want->over_recycle);
	assert_true(tally->oldest_slow == want->oldest_slow);
	assert_true(tally->oldest_leak == want->oldest_leak);
}

static void
test_recycle(void **state)
{
	PoolDiagPoolLimits l = limits();

	(void) state;
	for (int s = 0; s < POOLDIAG_STATES; s++)
	{
		PoolDiagTally tally = {0};
		PoolDiagTally want = {0};
		PoolDiagCounted counted = fresh(s);

		counted.backend_start = JUST_WITHIN(RECYCLE_MS);
		pooldiag_tally_add(&tally, &counted, &l, NOW);
		want.connections = want.by_state[s] = 1;
		assert_tally(&tally, &want);
		counted.backend_start = JUST_BEYOND(RECYCLE_MS);
		pooldiag_tally_add(&tally, &counted, &l, NOW);
		want.connections = want.by_state[s] = 2;
		want.over_recycle = 1;
		assert_tally(&tally, &want);
		counted.backend_start = 0;
		pooldiag_tally_add(&tally, &counted, &l, NOW);
		want.connections = want.by_state[s] = 3;
		assert_tally(&tally, &want);
	}
}

/*
 * Every kind of lateness at once, in each state. What runs is slow; what idles in a transaction is
 * a leak suspect, and no slow statement beside, although it is in the guide's query.
 */
static void
test_each_state_is_counted_once(void **state)
{
	PoolDiagPoolLimits l = limits();

	(void) state;
	for (int s = 0; s < POOLDIAG_STATES; s++)
	{
		PoolDiagTally tally = {0};
		PoolDiagTally want = {0};
		PoolDiagCounted late = {s, true, JUST_BEYOND(RECYCLE_MS), JUST_BEYOND(SLOW_MS),
								JUST_BEYOND(LEAK_MS)};

		pooldiag_tally_add(&tally, &late, &l, NOW);
		want.connections = want.by_state[s] = want.waiting = want.over_recycle = 1;
		if (s == POOLDIAG_ACTIVE || s == POOLDIAG_FASTPATH)
		{
			want.slow = 1;
			want.oldest_slow = late.query_start;
		}
		if (s == POOLDIAG_IDLE_IN_TRANSACTION || s == POOLDIAG_IDLE_IN_TRANSACTION_ABORTED)
		{
			want.leaks = 1;
			want.oldest_leak = late.state_change;
		}
		assert_tally(&tally, &want);
	}
}

/* Idle in transaction behind a slow statement, and not yet for long: no suspect, no slow statement.
 */
static void
test_short_idle_after_slow_statement(void **state)
{
	PoolDiagPoolLimits l = limits();
	PoolDiagTally tally = {0};
	PoolDiagTally want = {0};
	PoolDiagCounted counted = {POOLDIAG_IDLE_IN_TRANSACTION, false, NOW, JUST_BEYOND(SLOW_MS),
							   JUST_WITHIN(LEAK_MS)};

	(void) state;
	assert_true(pooldiag_is_slow(&counted, &l, NOW));
	pooldiag_tally_add(&tally, &counted, &l, NOW);
	want.connections = want.by_state[POOLDIAG_IDLE_IN_TRANSACTION] = 1;
	assert_tally(&tally, &want);
}

/* The oldest of several is kept, whatever the order in which they come. */
static void
test_oldest(void **state)
{
	static const int64_t extra[][3] = {{1, 2, 3}, {3, 2, 1}, {2, 3, 1}};
	PoolDiagPoolLimits l = limits();

	(void) state;
	for (int i = 0; i < 3; i++)
	{
		PoolDiagTally tally = {0};

		for (int j = 0; j < 3; j++)
		{
			PoolDiagCounted slow = queried(POOLDIAG_ACTIVE, JUST_WITHIN(SLOW_MS) - extra[i][j]);
			PoolDiagCounted leak =
				changed(POOLDIAG_IDLE_IN_TRANSACTION, JUST_WITHIN(LEAK_MS) - extra[i][j]);

			pooldiag_tally_add(&tally, &slow, &l, NOW);
			pooldiag_tally_add(&tally, &leak, &l, NOW);
		}
		assert_int_equal(tally.slow, 3);
		assert_int_equal(tally.leaks, 3);
		assert_true(tally.oldest_slow == JUST_WITHIN(SLOW_MS) - 3);
		assert_true(tally.oldest_leak == JUST_WITHIN(LEAK_MS) - 3);
	}
}

/* Without limits only what needs none is counted. */
static void
test_without_limits(void **state)
{
	(void) state;
	for (int s = 0; s < POOLDIAG_STATES; s++)
	{
		PoolDiagTally tally = {0};
		PoolDiagTally want = {0};
		PoolDiagCounted late = {s, true, 1, 1, 1};
		PoolDiagCounted calm = fresh(s);

		pooldiag_tally_add(&tally, &late, NULL, NOW);
		pooldiag_tally_add(&tally, &calm, NULL, NOW);
		want.connections = want.by_state[s] = 2;
		want.waiting = 1;
		assert_tally(&tally, &want);
	}
}

static void
test_checked_out(void **state)
{
	PoolDiagTally tally = {0};

	(void) state;
	assert_int_equal(pooldiag_tally_checked_out(&tally), 0);
	/* Powers of two tell which states went into a sum. */
	for (int s = 0; s < POOLDIAG_STATES; s++)
		tally.by_state[s] = 1 << s;
	assert_int_equal(pooldiag_tally_checked_out(&tally),
					 1 << POOLDIAG_ACTIVE | 1 << POOLDIAG_IDLE_IN_TRANSACTION |
						 1 << POOLDIAG_IDLE_IN_TRANSACTION_ABORTED | 1 << POOLDIAG_FASTPATH);
}

static void
assert_peak(const PoolDiagPeak *peak, int value, int64_t at)
{
	assert_int_equal(peak->value, value);
	assert_true(peak->at == at);
}

/* A peak keeps the first instant at which its value was reached. */
static void
test_peak(void **state)
{
	PoolDiagPeak peak = {0, 0};

	(void) state;
	pooldiag_peak_raise(&peak, 0, 1);
	assert_peak(&peak, 0, 0);
	pooldiag_peak_raise(&peak, 3, 2);
	assert_peak(&peak, 3, 2);
	pooldiag_peak_raise(&peak, 3, 3);
	assert_peak(&peak, 3, 2);
	pooldiag_peak_raise(&peak, 2, 4);
	assert_peak(&peak, 3, 2);
	pooldiag_peak_raise(&peak, 4, 5);
	assert_peak(&peak, 4, 5);
}

/* In a failed transaction: for ten seconds, or for as long as the pool's leak if that is shorter. */
static void
test_aborted(void **state)
{
	PoolDiagPoolLimits patient = limits();
	PoolDiagPoolLimits strict = limits();
	PoolDiagTally tally = {0};
	PoolDiagCounted aborted;

	strict.leak_ms = 3000;
	for (int i = 0; i < POOLDIAG_STATES; i++)
	{
		PoolDiagCounted long_ago = changed((PoolDiagState) i, 1);

		assert_int_equal(pooldiag_is_aborted(&long_ago, &patient, NOW),
						 i == POOLDIAG_IDLE_IN_TRANSACTION_ABORTED);
	}
	aborted = changed(POOLDIAG_IDLE_IN_TRANSACTION_ABORTED, JUST_WITHIN(POOLDIAG_ABORTED_MS));
	assert_false(pooldiag_is_aborted(&aborted, &patient, NOW));
	assert_true(pooldiag_is_aborted(&aborted, &strict, NOW));
	aborted.state_change--;
	assert_true(pooldiag_is_aborted(&aborted, &patient, NOW));
	pooldiag_tally_add(&tally, &aborted, &patient, NOW);
	aborted.state_change -= 5;
	pooldiag_tally_add(&tally, &aborted, &patient, NOW);
	assert_int_equal(tally.aborted, 2);
	assert_true(tally.oldest_aborted == aborted.state_change);
}

/* Used when it should have been replaced: not what began in time, nor what only lies there. */
static void
test_unrecycled(void **state)
{
	PoolDiagPoolLimits pool = limits();
	PoolDiagTally tally = {0};
	PoolDiagCounted old = fresh(POOLDIAG_IDLE);
	int64_t late_ms = INT64_C(1) * RECYCLE_MS / 100 * POOLDIAG_RECYCLE_PERCENT;

	old.backend_start = NOW - 1000 * late_ms;
	assert_false(pooldiag_is_unrecycled(&old, &pool));
	old.backend_start--;
	assert_true(pooldiag_is_unrecycled(&old, &pool));
	pooldiag_tally_add(&tally, &old, &pool, NOW);
	assert_int_equal(tally.unrecycled, 1);
	old.query_start = old.backend_start + 1;
	assert_false(pooldiag_is_unrecycled(&old, &pool));
	old.backend_start = 0;
	old.query_start = NOW;
	assert_false(pooldiag_is_unrecycled(&old, &pool));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_slow),
		cmocka_unit_test(test_slow_is_by_query_start),
		cmocka_unit_test(test_leak),
		cmocka_unit_test(test_leak_is_by_idle_time),
		cmocka_unit_test(test_extreme_limits),
		cmocka_unit_test(test_recycle),
		cmocka_unit_test(test_each_state_is_counted_once),
		cmocka_unit_test(test_short_idle_after_slow_statement),
		cmocka_unit_test(test_oldest),
		cmocka_unit_test(test_aborted),
		cmocka_unit_test(test_unrecycled),
		cmocka_unit_test(test_without_limits),
		cmocka_unit_test(test_checked_out),
		cmocka_unit_test(test_peak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
