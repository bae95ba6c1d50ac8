/*
 * link: breakers.c breaker.c ages.c tally.c state.c grammar.c scanner.c
 *
 * What breakers go by: rules from settings and definitions, the worst sample of a second, ages by a clock that does not
 * jump; and what of it is told: nothing of those that are there for their figures, nothing in silence, and after it how
 * things stand.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ages.h"
#include "breakers.h"

#define MAX_DEFS 8

static const PoolDiagBreakerDefaults defaults = {
	.failure_threshold = 3, .half_open_samples = 2, .reset_ms = 10000};

static PoolDiagWatched watched;
static PoolDiagClocks clocks;

static int
set_up(void **unused)
{
	memset(&watched, 0, sizeof(watched));
	clocks.ms = 777;
	clocks.now = INT64_C(800000000000000);
	return 0;
}

static void
configure(PoolDiagBreakerKind kind, const char *pool, const char *text)
{
	PoolDiagBreakerDef defs[MAX_DEFS];
	PoolDiagParseError error = {0};
	int count = pooldiag_grammar_parse_breakers(text, defs, MAX_DEFS, &error);

	assert_true(count >= 0);
	pooldiag_breakers_configure(&watched, kind, pool, defs, count, &defaults);
}

/* The next second ends. What the breaker did, as alerts would tell it. */
static PoolDiagBreakerEvent
pass_a_second(void)
{
	PoolDiagBreakerEvent event;

	clocks.ms += 1000;
	clocks.now += 1000000;
	event = pooldiag_breakers_evaluate(&watched, &clocks);
	return pooldiag_breakers_tell(&watched, event, &clocks);
}

/* The next second, with one sample. */
static PoolDiagBreakerEvent
second(double value)
{
	pooldiag_breakers_observe(&watched, value);
	return pass_a_second();
}

static PoolDiagBreakerEvent
order(PoolDiagOrder what, int64_t duration_ms)
{
	return pooldiag_breakers_tell(
		&watched, pooldiag_breakers_obey(&watched, what, duration_ms, &clocks), &clocks);
}

static void
test_defaults(void **unused)
{
	static const struct
	{
		PoolDiagBreakerKind kind;
		const char *name;
		double limit;
		bool percent;
		int failures;
	} expected[] = {
		{POOLDIAG_BREAKER_SLOTS, "slots", 90, true, 3},
		{POOLDIAG_BREAKER_POOL, "pool:web", 100, true, 3},
		{POOLDIAG_BREAKER_REFUSALS, "refusals", 1, false, 1},
		{POOLDIAG_BREAKER_SLOW_QUERIES, "slow_queries", 5, false, 3},
		{POOLDIAG_BREAKER_LEAKS, "leaks", 1, false, 3},
		{POOLDIAG_BREAKER_LOCK_WAITS, "lock_waits", 5, false, 3},
		{POOLDIAG_BREAKER_ERRORS, "errors", 50, true, 3},
		{POOLDIAG_BREAKER_OPERATIONS, "operations", 1, false, 3},
	};

	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
	{
		char name[POOLDIAG_BREAKER_NAME_LEN];

		configure(expected[i].kind, "web", "");
		pooldiag_breakers_name(expected[i].kind, "web", name);
		assert_string_equal(name, expected[i].name);
		assert_true(watched.limit == expected[i].limit);
		assert_int_equal(pooldiag_breakers_is_percent(expected[i].kind), expected[i].percent);
		assert_int_equal(watched.rules.failure_threshold, expected[i].failures);
		assert_int_equal(watched.rules.half_open_samples, 2);
		assert_int_equal(watched.rules.reset_ms, 10000);
		assert_int_equal(watched.mode, POOLDIAG_BREAKER_MODE_NORMAL);
	}
}

static void
test_definitions(void **unused)
{
	const char *text = "slots(limit=80, failures=5, reset=30s, mode=metrics_only), "
					   "pool:web(limit=50), \"pool:my app\"(failures=1)";

	configure(POOLDIAG_BREAKER_SLOTS, NULL, text);
	assert_true(watched.limit == 80);
	assert_int_equal(watched.rules.failure_threshold, 5);
	assert_int_equal(watched.rules.reset_ms, 30000);
	assert_int_equal(watched.mode, POOLDIAG_BREAKER_MODE_METRICS_ONLY);
	configure(POOLDIAG_BREAKER_POOL, "web", text);
	assert_true(watched.limit == 50);
	assert_int_equal(watched.rules.failure_threshold, 3);
	assert_int_equal(watched.mode, POOLDIAG_BREAKER_MODE_NORMAL);
	configure(POOLDIAG_BREAKER_POOL, "my app", text);
	assert_true(watched.limit == 100);
	assert_int_equal(watched.rules.failure_threshold, 1);
	configure(POOLDIAG_BREAKER_POOL, "jobs", text);
	assert_true(watched.limit == 100);
	assert_int_equal(watched.rules.failure_threshold, 3);
}

/* What a definition doesn't touch stays, and so does the state of one whose definition changes. */
static void
test_new_definitions_keep_the_state(void **unused)
{
	configure(POOLDIAG_BREAKER_SLOTS, NULL, "");
	second(95);
	second(95);
	configure(POOLDIAG_BREAKER_SLOTS, NULL, "slots(limit=94)");
	assert_int_equal(watched.breaker.consecutive_failures, 2);
	assert_int_equal(second(95), POOLDIAG_BREAKER_OPENED);
	configure(POOLDIAG_BREAKER_SLOTS, NULL, "slots(limit=99)");
	assert_int_equal(watched.breaker.state, POOLDIAG_BREAKER_OPEN);
	assert_int_equal(watched.breaker.trips, 1);
}

/* From the limit on it fails, and one sample of a second is enough. */
static void
test_the_worst_of_a_second(void **unused)
{
	configure(POOLDIAG_BREAKER_SLOTS, NULL, "");
	second(89.99);
	assert_int_equal(watched.breaker.consecutive_failures, 0);
	second(90);
	assert_int_equal(watched.breaker.consecutive_failures, 1);
	pooldiag_breakers_observe(&watched, 12);
	pooldiag_breakers_observe(&watched, 97);
	second(12);
	assert_int_equal(watched.breaker.consecutive_failures, 2);
	assert_true(watched.value == 97);
	/* That was of the last second. */
	second(12);
	assert_int_equal(watched.breaker.consecutive_failures, 0);
	assert_true(watched.value == 12);
	/* Of nothing, nothing is said. */
	second(NAN);
	assert_true(isnan(watched.value));
	pooldiag_breakers_observe(&watched, NAN);
	second(99);
	assert_int_equal(watched.breaker.consecutive_failures, 1);
	pooldiag_breakers_observe(&watched, 99);
	second(NAN);
	assert_int_equal(watched.breaker.consecutive_failures, 2);
}

/* A second without a sample is judged as the one before it; one with a sample by that alone. */
static void
test_a_second_without_a_sample(void **unused)
{
	configure(POOLDIAG_BREAKER_SLOTS, NULL, "");
	pooldiag_breakers_observe_again(&watched);
	assert_false(watched.observed);
	second(97);
	for (int again = 2; again <= 4; again++)
	{
		pooldiag_breakers_observe_again(&watched);
		pass_a_second();
		assert_int_equal(watched.breaker.consecutive_failures, again);
		assert_true(watched.value == 97);
	}
	pooldiag_breakers_observe(&watched, 12);
	pooldiag_breakers_observe_again(&watched);
	pass_a_second();
	assert_int_equal(watched.breaker.consecutive_failures, 0);
}

/* An order is not undone by what was seen before it, however often that is looked at; what comes after it counts. */
static void
test_an_order_between_samples(void **unused)
{
	configure(POOLDIAG_BREAKER_SLOTS, NULL, "");
	for (int i = 0; i < 3; i++)
		second(97);
	assert_int_equal(watched.breaker.state, POOLDIAG_BREAKER_OPEN);
	assert_int_equal(order(POOLDIAG_ORDER_RESET, 0), POOLDIAG_BREAKER_RESETS);
	for (int i = 0; i < 5; i++)
	{
		pooldiag_breakers_observe_again(&watched);
		assert_int_equal(pass_a_second(), POOLDIAG_BREAKER_NOTHING);
	}
	assert_int_equal(watched.breaker.consecutive_failures, 0);
	second(97);
	pooldiag_breakers_observe_again(&watched);
	pass_a_second();
	assert_int_equal(watched.breaker.consecutive_failures, 2);
	/* Who is silenced goes on. */
	order(POOLDIAG_ORDER_SILENCE, 1000);
	pooldiag_breakers_observe_again(&watched);
	pass_a_second();
	assert_int_equal(watched.breaker.state, POOLDIAG_BREAKER_OPEN);
}

static void
test_a_cycle(void **unused)
{
	configure(POOLDIAG_BREAKER_LEAKS, NULL, "");
	assert_int_equal(second(1), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(second(1), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(pooldiag_breakers_retry_at(&watched, &clocks), 0);
	assert_int_equal(second(1), POOLDIAG_BREAKER_OPENED);
	assert_int_equal(watched.opened_at, clocks.now);
	assert_int_equal(watched.last_change, clocks.now);
	assert_int_equal(pooldiag_breakers_retry_at(&watched, &clocks), clocks.now + 10000000);
	for (int i = 0; i < 9; i++)
		assert_int_equal(second(0), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(second(1), POOLDIAG_BREAKER_HALF_OPENED);
	assert_int_equal(pooldiag_breakers_retry_at(&watched, &clocks), 0);
	assert_int_equal(second(1), POOLDIAG_BREAKER_REOPENED);
	assert_int_equal(watched.opened_at, clocks.now);
	for (int i = 0; i < 9; i++)
		assert_int_equal(second(0), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(second(0), POOLDIAG_BREAKER_HALF_OPENED);
	assert_int_equal(second(0), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(second(0), POOLDIAG_BREAKER_CLOSES);
	assert_int_equal(watched.last_change, clocks.now);
	assert_int_equal(watched.breaker.trips, 1);
}

/* The wall clock is only shown: wherever it is put, all goes on as it would have. */
static void
test_a_clock_that_jumps(void **unused)
{
	static const int64_t jumps[] = {INT64_C(-31557600000000), INT64_C(86400000000), -1000000,
									INT64_C(31557600000000)};

	for (size_t j = 0; j < sizeof(jumps) / sizeof(jumps[0]); j++)
	{
		set_up(NULL);
		configure(POOLDIAG_BREAKER_LEAKS, NULL, "");
		second(1);
		second(1);
		clocks.now += jumps[j];
		assert_int_equal(watched.breaker.consecutive_failures, 2);
		assert_int_equal(second(1), POOLDIAG_BREAKER_OPENED);
		for (int i = 0; i < 9; i++)
		{
			clocks.now += jumps[j] / 10;
			assert_int_equal(second(1), POOLDIAG_BREAKER_NOTHING);
		}
		assert_int_equal(second(1), POOLDIAG_BREAKER_HALF_OPENED);
	}
}

static void
test_metrics_only(void **unused)
{
	configure(POOLDIAG_BREAKER_LEAKS, NULL, "leaks(mode=metrics_only)");
	for (int i = 0; i < 5; i++)
		assert_int_equal(second(1), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(watched.breaker.state, POOLDIAG_BREAKER_OPEN);
	assert_int_equal(watched.breaker.trips, 1);
	assert_int_equal(order(POOLDIAG_ORDER_RESET, 0), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(order(POOLDIAG_ORDER_FORCE_OPEN, 0), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(watched.breaker.state, POOLDIAG_BREAKER_FORCED_OPEN);
	/* In normal mode again, it is told how it stands. */
	configure(POOLDIAG_BREAKER_LEAKS, NULL, "");
	assert_int_equal(second(0), POOLDIAG_BREAKER_FORCED);
	assert_int_equal(second(0), POOLDIAG_BREAKER_NOTHING);
}

static void
test_silence(void **unused)
{
	/* Opened and closed again in silence: nobody hears of it. */
	configure(POOLDIAG_BREAKER_LEAKS, NULL, "leaks(failures=1, reset=1s)");
	assert_int_equal(order(POOLDIAG_ORDER_SILENCE, 6000), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(pooldiag_breakers_silenced_until(&watched, &clocks), clocks.now + 6000000);
	assert_int_equal(second(1), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(watched.breaker.state, POOLDIAG_BREAKER_OPEN);
	assert_true(watched.value == 1);
	for (int i = 0; i < 4; i++)
		assert_int_equal(second(0), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(watched.breaker.state, POOLDIAG_BREAKER_CLOSED);
	assert_int_equal(second(0), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(second(0), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(pooldiag_breakers_silenced_until(&watched, &clocks), 0);

	/* Opened in silence, and still open: told when that is over, whatever it does at that moment. */
	order(POOLDIAG_ORDER_SILENCE, 1500);
	assert_int_equal(second(1), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(second(1), POOLDIAG_BREAKER_OPENED);
	assert_int_equal(second(1), POOLDIAG_BREAKER_REOPENED);

	/* Told before, and closed in silence: told too. */
	order(POOLDIAG_ORDER_SILENCE, 3500);
	for (int i = 0; i < 3; i++)
		assert_int_equal(second(0), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(watched.breaker.state, POOLDIAG_BREAKER_CLOSED);
	assert_int_equal(second(0), POOLDIAG_BREAKER_CLOSES);

	/* Silence is ended by a silence of nothing. */
	order(POOLDIAG_ORDER_SILENCE, 1000000);
	assert_int_equal(second(1), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(order(POOLDIAG_ORDER_SILENCE, 0), POOLDIAG_BREAKER_OPENED);
	assert_int_equal(pooldiag_breakers_silenced_until(&watched, &clocks), 0);
	assert_int_equal(order(POOLDIAG_ORDER_RESET, 0), POOLDIAG_BREAKER_RESETS);

	/* Disabled in silence: told as it is, whatever was told before. */
	order(POOLDIAG_ORDER_SILENCE, 1500);
	assert_int_equal(order(POOLDIAG_ORDER_DISABLE, 0), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(second(1), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(second(1), POOLDIAG_BREAKER_DISABLES);
	order(POOLDIAG_ORDER_FORCE_OPEN, 0);
	order(POOLDIAG_ORDER_SILENCE, 1500);
	order(POOLDIAG_ORDER_DISABLE, 0);
	assert_int_equal(second(1), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(second(1), POOLDIAG_BREAKER_DISABLES);
	order(POOLDIAG_ORDER_SILENCE, 1500);
	order(POOLDIAG_ORDER_RESET, 0);
	assert_int_equal(second(0), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(second(0), POOLDIAG_BREAKER_RESETS);
}

/* The wall clock jumps: instants are shown by what is left of them. */
static void
test_shown_after_a_jump(void **unused)
{
	configure(POOLDIAG_BREAKER_LEAKS, NULL, "leaks(failures=1, reset=10s)");
	assert_int_equal(second(1), POOLDIAG_BREAKER_OPENED);
	order(POOLDIAG_ORDER_SILENCE, 60000);
	clocks.now += INT64_C(7200) * 1000000;
	clocks.ms += 4000;
	assert_int_equal(pooldiag_breakers_retry_at(&watched, &clocks), clocks.now + 6000000);
	assert_int_equal(pooldiag_breakers_silenced_until(&watched, &clocks), clocks.now + 56000000);
}

/* A share goes with what it is the share of, that of the highest; a silence hides nothing of it. */
static void
test_share(void **unused)
{
	configure(POOLDIAG_BREAKER_SLOTS, NULL, "slots(failures=1)");
	pooldiag_breakers_observe_share(&watched, 9, 10);
	order(POOLDIAG_ORDER_SILENCE, 0);
	pooldiag_breakers_observe_share(&watched, 40, 100);
	clocks.ms += 1000;
	assert_int_equal(pooldiag_breakers_evaluate(&watched, &clocks), POOLDIAG_BREAKER_OPENED);
	assert_true(watched.value == 90 && watched.part == 9 && watched.whole == 10);
	pooldiag_breakers_observe_share(&watched, 0, 0);
	pooldiag_breakers_evaluate(&watched, &clocks);
	assert_true(isnan(watched.value));
}

/* Closed just when nobody had been told that it was open: not told either. */
static void
test_closing_what_nobody_knew_of(void **unused)
{
	configure(POOLDIAG_BREAKER_LEAKS, NULL, "leaks(failures=1, reset=1s)");
	order(POOLDIAG_ORDER_SILENCE, 3500);
	for (int i = 0; i < 3; i++)
		assert_int_equal(second(i == 0), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(watched.breaker.state, POOLDIAG_BREAKER_HALF_OPEN);
	assert_int_equal(second(0), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(watched.breaker.state, POOLDIAG_BREAKER_CLOSED);
	assert_int_equal(second(0), POOLDIAG_BREAKER_NOTHING);
}

static void
test_orders(void **unused)
{
	configure(POOLDIAG_BREAKER_LEAKS, NULL, "leaks(failures=1)");
	assert_int_equal(order(POOLDIAG_ORDER_DISABLE, 0), POOLDIAG_BREAKER_DISABLES);
	assert_int_equal(second(7), POOLDIAG_BREAKER_NOTHING);
	assert_false(watched.evaluated);
	assert_int_equal(order(POOLDIAG_ORDER_FORCE_OPEN, 0), POOLDIAG_BREAKER_FORCED);
	assert_int_equal(watched.opened_at, clocks.now);
	assert_int_equal(second(7), POOLDIAG_BREAKER_NOTHING);
	assert_true(watched.evaluated && watched.value == 7);
	assert_int_equal(pooldiag_breakers_retry_at(&watched, &clocks), 0);
	/* What was seen before an order isn't held against what it makes of it. */
	pooldiag_breakers_observe(&watched, 7);
	assert_int_equal(order(POOLDIAG_ORDER_RESET, 0), POOLDIAG_BREAKER_RESETS);
	assert_int_equal(second(0), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(second(7), POOLDIAG_BREAKER_OPENED);
	assert_int_equal(watched.breaker.trips, 1);
}

static PoolDiagAged
aged(PoolDiagAge *age, int pid, PoolDiagState state, int64_t stamp, int64_t now_ms)
{
	PoolDiagPoolLimits limits = {.slow_ms = 1000, .leak_ms = 2000};
	PoolDiagCounted counted = {
		.state = state, .query_start = stamp, .state_change = stamp, .backend_start = 1};
	PoolDiagAged result = {0};

	pooldiag_ages_add(&result, age, pid, &counted, &limits, now_ms);
	return result;
}

/* By when it was first seen, whatever the server's clock said: of an hour ago, or of tomorrow. */
static void
test_ages(void **unused)
{
	static const int64_t stamps[] = {1, INT64_C(800000000000000), INT64_C(900000000000000)};

	for (size_t i = 0; i < sizeof(stamps) / sizeof(stamps[0]); i++)
	{
		PoolDiagAge age = {0};
		PoolDiagAged result;

		assert_int_equal(aged(&age, 11, POOLDIAG_ACTIVE, stamps[i], 5000).slow, 0);
		assert_int_equal(aged(&age, 11, POOLDIAG_ACTIVE, stamps[i], 6000).slow, 0);
		assert_false(age.is_past);
		result = aged(&age, 11, POOLDIAG_ACTIVE, stamps[i], 6001);
		assert_int_equal(result.slow, 1);
		assert_true(age.is_past);
		assert_int_equal(result.slowest_ms, 1001);
		assert_int_equal(result.leaks, 0);
		/* Another statement, another session, another state begin anew. */
		assert_int_equal(aged(&age, 11, POOLDIAG_FASTPATH, stamps[i] + 1, 8000).slow, 0);
		assert_int_equal(aged(&age, 12, POOLDIAG_FASTPATH, stamps[i] + 1, 9500).slow, 0);
		assert_int_equal(aged(&age, 12, POOLDIAG_FASTPATH, stamps[i] + 1, 11000).slow, 1);
		assert_int_equal(aged(&age, 12, POOLDIAG_IDLE_IN_TRANSACTION, stamps[i] + 1, 12000).leaks,
						 0);
		assert_int_equal(aged(&age, 12, POOLDIAG_IDLE_IN_TRANSACTION, stamps[i] + 1, 14000).leaks,
						 0);
		/* An error makes no new transaction of it. */
		result = aged(&age, 12, POOLDIAG_IDLE_IN_TRANSACTION_ABORTED, stamps[i] + 1, 14001);
		assert_int_equal(result.leaks, 1);
		assert_int_equal(result.oldest_leak_ms, 2001);
		assert_int_equal(result.slow, 0);
		/* Idle in between, nothing is left of it. */
		assert_true(age.is_past);
		assert_int_equal(aged(&age, 12, POOLDIAG_IDLE, stamps[i] + 2, 15000).leaks, 0);
		assert_false(age.is_past);
		assert_int_equal(aged(&age, 12, POOLDIAG_IDLE_IN_TRANSACTION, stamps[i] + 1, 16000).leaks,
						 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_defaults, set_up),
		cmocka_unit_test_setup(test_definitions, set_up),
		cmocka_unit_test_setup(test_new_definitions_keep_the_state, set_up),
		cmocka_unit_test_setup(test_the_worst_of_a_second, set_up),
		cmocka_unit_test_setup(test_a_second_without_a_sample, set_up),
		cmocka_unit_test_setup(test_an_order_between_samples, set_up),
		cmocka_unit_test_setup(test_a_cycle, set_up),
		cmocka_unit_test_setup(test_a_clock_that_jumps, set_up),
		cmocka_unit_test_setup(test_metrics_only, set_up),
		cmocka_unit_test_setup(test_silence, set_up),
		cmocka_unit_test_setup(test_shown_after_a_jump, set_up),
		cmocka_unit_test_setup(test_share, set_up),
		cmocka_unit_test_setup(test_closing_what_nobody_knew_of, set_up),
		cmocka_unit_test_setup(test_orders, set_up),
		cmocka_unit_test_setup(test_ages, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
