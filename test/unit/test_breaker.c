/*
 * link: breaker.c
 *
 * The circuit breaker: every transition and its boundary, from every state, as a table; then random evaluations,
 * commands and passing time against a model that keeps all that has happened and looks through it each time.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "breaker.h"

#define STEPS 40
#define ROUNDS 20000

static const PoolDiagBreakerRules rules = {
	.failure_threshold = 3, .half_open_samples = 2, .reset_ms = 1000};

/*
 * A story: one letter a step, and what the breaker must have done by then.
 *	  F, H: a failing, a healthy evaluation
 *	  1 .. 9: so many hundred milliseconds pass; x: ten seconds do; m: one millisecond
 *	  a: time is let act
 *	  r, o, d: it is reset, forced open, disabled
 */
typedef struct Story
{
	const char *steps;
	PoolDiagBreakerState state;
	PoolDiagBreakerEvent event; /* of the last step */
	int failures;
	int trips;
} Story;

static const Story stories[] = {
	{"", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_NOTHING, 0, 0},
	{"H", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_NOTHING, 0, 0},
	/* Closed: the third failure in a row opens it, and no other. */
	{"F", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_NOTHING, 1, 0},
	{"FF", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_NOTHING, 2, 0},
	{"FFF", POOLDIAG_BREAKER_OPEN, POOLDIAG_BREAKER_OPENED, 3, 1},
	{"FFH", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_NOTHING, 0, 0},
	{"FFHFF", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_NOTHING, 2, 0},
	{"FFHFFF", POOLDIAG_BREAKER_OPEN, POOLDIAG_BREAKER_OPENED, 3, 1},
	{"FxxFxxF", POOLDIAG_BREAKER_OPEN, POOLDIAG_BREAKER_OPENED, 3, 1},
	/* Time does nothing to one that is closed. */
	{"FFxa", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_NOTHING, 2, 0},
	/* Open: evaluations count, and change nothing; nor does time before its end. */
	{"FFFF", POOLDIAG_BREAKER_OPEN, POOLDIAG_BREAKER_NOTHING, 4, 1},
	{"FFFH", POOLDIAG_BREAKER_OPEN, POOLDIAG_BREAKER_NOTHING, 0, 1},
	{"FFFHHHHHH", POOLDIAG_BREAKER_OPEN, POOLDIAG_BREAKER_NOTHING, 0, 1},
	{"FFF9a", POOLDIAG_BREAKER_OPEN, POOLDIAG_BREAKER_NOTHING, 3, 1},
	{"FFFxH", POOLDIAG_BREAKER_OPEN, POOLDIAG_BREAKER_NOTHING, 0, 1},
	{"FFF91a", POOLDIAG_BREAKER_HALF_OPEN, POOLDIAG_BREAKER_HALF_OPENED, 3, 1},
	{"FFFxa", POOLDIAG_BREAKER_HALF_OPEN, POOLDIAG_BREAKER_HALF_OPENED, 3, 1},
	{"FFFxaa", POOLDIAG_BREAKER_HALF_OPEN, POOLDIAG_BREAKER_NOTHING, 3, 1},
	{"FFFxaxa", POOLDIAG_BREAKER_HALF_OPEN, POOLDIAG_BREAKER_NOTHING, 3, 1},
	/* What came while it was open does not count towards closing it. */
	{"FFFHHHxaH", POOLDIAG_BREAKER_HALF_OPEN, POOLDIAG_BREAKER_NOTHING, 0, 1},
	/* Half open: the second healthy one in a row closes it, the first failing one opens it, for the whole time. */
	{"FFFxaH", POOLDIAG_BREAKER_HALF_OPEN, POOLDIAG_BREAKER_NOTHING, 0, 1},
	{"FFFxaHH", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_CLOSES, 0, 1},
	{"FFFxaF", POOLDIAG_BREAKER_OPEN, POOLDIAG_BREAKER_REOPENED, 4, 1},
	{"FFFxaHF", POOLDIAG_BREAKER_OPEN, POOLDIAG_BREAKER_REOPENED, 1, 1},
	{"FFFxaHF9a", POOLDIAG_BREAKER_OPEN, POOLDIAG_BREAKER_NOTHING, 1, 1},
	{"FFFxaHF91a", POOLDIAG_BREAKER_HALF_OPEN, POOLDIAG_BREAKER_HALF_OPENED, 1, 1},
	{"FFFxaHF91aH", POOLDIAG_BREAKER_HALF_OPEN, POOLDIAG_BREAKER_NOTHING, 0, 1},
	{"FFFxaHF91aHH", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_CLOSES, 0, 1},
	/* And once more round: a trip is closed to open only. */
	{"FFFxaHHFF", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_NOTHING, 2, 1},
	{"FFFxaHHFFF", POOLDIAG_BREAKER_OPEN, POOLDIAG_BREAKER_OPENED, 3, 2},
	/* Forced open, from each state: counts, and neither time nor evaluations get it out of there. */
	{"o", POOLDIAG_BREAKER_FORCED_OPEN, POOLDIAG_BREAKER_FORCED, 0, 0},
	{"oo", POOLDIAG_BREAKER_FORCED_OPEN, POOLDIAG_BREAKER_NOTHING, 0, 0},
	{"oHHHHxaHHHH", POOLDIAG_BREAKER_FORCED_OPEN, POOLDIAG_BREAKER_NOTHING, 0, 0},
	{"oFFFF", POOLDIAG_BREAKER_FORCED_OPEN, POOLDIAG_BREAKER_NOTHING, 4, 0},
	{"FFFo", POOLDIAG_BREAKER_FORCED_OPEN, POOLDIAG_BREAKER_FORCED, 3, 1},
	{"FFFxaHo", POOLDIAG_BREAKER_FORCED_OPEN, POOLDIAG_BREAKER_FORCED, 0, 1},
	{"do", POOLDIAG_BREAKER_FORCED_OPEN, POOLDIAG_BREAKER_FORCED, 0, 0},
	{"oFFFFr", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_RESETS, 0, 0},
	{"oFFFFrF", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_NOTHING, 1, 0},
	/* Disabled, from each state: does nothing. */
	{"d", POOLDIAG_BREAKER_DISABLED, POOLDIAG_BREAKER_DISABLES, 0, 0},
	{"dd", POOLDIAG_BREAKER_DISABLED, POOLDIAG_BREAKER_NOTHING, 0, 0},
	{"FFd", POOLDIAG_BREAKER_DISABLED, POOLDIAG_BREAKER_DISABLES, 0, 0},
	{"dFFFFFF", POOLDIAG_BREAKER_DISABLED, POOLDIAG_BREAKER_NOTHING, 0, 0},
	{"FFFdxa", POOLDIAG_BREAKER_DISABLED, POOLDIAG_BREAKER_NOTHING, 0, 1},
	{"FFFxad", POOLDIAG_BREAKER_DISABLED, POOLDIAG_BREAKER_DISABLES, 0, 1},
	{"od", POOLDIAG_BREAKER_DISABLED, POOLDIAG_BREAKER_DISABLES, 0, 0},
	{"FFdrF", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_NOTHING, 1, 0},
	{"dr", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_RESETS, 0, 0},
	/* Reset, from the others. */
	{"r", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_NOTHING, 0, 0},
	{"FFr", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_NOTHING, 0, 0},
	{"FFrFF", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_NOTHING, 2, 0},
	{"FFFr", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_RESETS, 0, 1},
	{"FFFrxa", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_NOTHING, 0, 1},
	{"FFFxaHr", POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_RESETS, 0, 1},
	{"FFFxaHrFFFxaH", POOLDIAG_BREAKER_HALF_OPEN, POOLDIAG_BREAKER_NOTHING, 0, 2},
};

static PoolDiagBreakerEvent
step(PoolDiagBreaker *breaker, const PoolDiagBreakerRules *by, char what, int64_t *now)
{
	switch (what)
	{
		case 'F':
		case 'H':
			return pooldiag_breaker_judge(breaker, by, what == 'F', *now);
		case 'a':
			return pooldiag_breaker_advance(breaker, by, *now);
		case 'r':
			return pooldiag_breaker_to_closed(breaker);
		case 'o':
			return pooldiag_breaker_to_forced_open(breaker, *now);
		case 'd':
			return pooldiag_breaker_to_disabled(breaker);
		case 'x':
			*now += 10000;
			return POOLDIAG_BREAKER_NOTHING;
		case 'm':
			*now += 1;
			return POOLDIAG_BREAKER_NOTHING;
		default:
			*now += INT64_C(100) * (what - '0');
			return POOLDIAG_BREAKER_NOTHING;
	}
}

static void
test_stories(void **unused)
{
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++)
	{
		const Story *story = &stories[i];
		PoolDiagBreaker breaker = {0};
		PoolDiagBreakerEvent event = POOLDIAG_BREAKER_NOTHING;
		int64_t now = 123456789;

		for (const char *at = story->steps; *at != '\0'; at++)
			event = step(&breaker, &rules, *at, &now);
		if (breaker.state != story->state || event != story->event ||
			breaker.consecutive_failures != story->failures ||
			breaker.trips != (uint64_t) story->trips)
			fail_msg("%s: state %d, event %d, %d failures, %d trips", story->steps,
					 (int) breaker.state, (int) event, breaker.consecutive_failures,
					 (int) breaker.trips);
	}
}

/* To the millisecond: from reset_ms on, it may be tried, and time makes it half open. */
static void
test_when_it_may_be_tried(void **unused)
{
	PoolDiagBreaker breaker = {0};

	assert_true(pooldiag_breaker_may_try(&breaker, &rules, 0));
	for (int i = 0; i < rules.failure_threshold; i++)
		pooldiag_breaker_judge(&breaker, &rules, true, 5000);
	assert_false(pooldiag_breaker_may_try(&breaker, &rules, 5000));
	assert_false(pooldiag_breaker_may_try(&breaker, &rules, 5999));
	assert_int_equal(pooldiag_breaker_advance(&breaker, &rules, 5999), POOLDIAG_BREAKER_NOTHING);
	assert_true(pooldiag_breaker_may_try(&breaker, &rules, 6000));
	assert_int_equal(breaker.state, POOLDIAG_BREAKER_OPEN);
	assert_int_equal(pooldiag_breaker_advance(&breaker, &rules, 6000),
					 POOLDIAG_BREAKER_HALF_OPENED);
	assert_true(pooldiag_breaker_may_try(&breaker, &rules, 6000));
	pooldiag_breaker_to_forced_open(&breaker, 6000);
	assert_false(pooldiag_breaker_may_try(&breaker, &rules, 1000000));
	pooldiag_breaker_to_disabled(&breaker);
	assert_true(pooldiag_breaker_may_try(&breaker, &rules, 6000));
}

/* Rules that change while it is in some state hold from the next evaluation on, and lose nothing. */
static void
test_other_rules(void **unused)
{
	PoolDiagBreakerRules strict = rules;
	PoolDiagBreaker breaker = {0};

	strict.failure_threshold = 1;
	strict.reset_ms = 10;
	strict.half_open_samples = 1;
	pooldiag_breaker_judge(&breaker, &rules, true, 0);
	pooldiag_breaker_judge(&breaker, &rules, true, 0);
	assert_int_equal(breaker.state, POOLDIAG_BREAKER_CLOSED);
	assert_int_equal(pooldiag_breaker_judge(&breaker, &strict, true, 0), POOLDIAG_BREAKER_OPENED);
	assert_int_equal(breaker.consecutive_failures, 3);
	assert_int_equal(pooldiag_breaker_advance(&breaker, &rules, 10), POOLDIAG_BREAKER_NOTHING);
	assert_int_equal(pooldiag_breaker_advance(&breaker, &strict, 10), POOLDIAG_BREAKER_HALF_OPENED);
	assert_int_equal(pooldiag_breaker_judge(&breaker, &strict, false, 10), POOLDIAG_BREAKER_CLOSES);
}

/* What counts as open: whatever is not closed, but for one that nobody wants to hear of. */
static void
test_names_and_openness(void **unused)
{
	static const struct
	{
		const char *name;
		bool open;
	} expected[POOLDIAG_BREAKER_STATES] = {{"closed", false},
										   {"open", true},
										   {"half_open", true},
										   {"forced_open", true},
										   {"disabled", false}};
	static const char *const events[POOLDIAG_BREAKER_EVENTS] = {
		"opened", "half_opened", "closed", "reopened", "forced", "disabled", "reset"};

	for (int i = 0; i < POOLDIAG_BREAKER_STATES; i++)
	{
		PoolDiagBreaker breaker = {.state = (PoolDiagBreakerState) i};

		assert_string_equal(pooldiag_breaker_state_name(breaker.state), expected[i].name);
		assert_int_equal(pooldiag_breaker_is_open(&breaker), expected[i].open);
	}
	for (int i = 0; i < POOLDIAG_BREAKER_EVENTS; i++)
		assert_string_equal(pooldiag_breaker_event_name((PoolDiagBreakerEvent) i), events[i]);
}

/* The model: all steps so far, with when they were; its state is found by going through them. */
typedef struct Told
{
	char what[STEPS];
	int64_t when[STEPS];
	int count;
} Told;

/* How many of the steps since the one at from are, at the end, one of what without one of but between. */
static int
at_the_end(const Told *told, int from, char what, const char *but)
{
	int count = 0;

	for (int i = told->count - 1; i >= from; i--)
	{
		if (strchr(but, told->what[i]) != NULL)
			break;
		count += told->what[i] == what;
	}
	return count;
}

/* Into which state the last step of those led, from a state that began after so many steps. */
static PoolDiagBreakerState
led_to(const Told *told, const PoolDiagBreakerRules *by, PoolDiagBreakerState from, int entered)
{
	char what = told->what[told->count - 1];
	int64_t since = entered == 0 ? 0 : told->when[entered - 1];

	if (what == 'r')
		return POOLDIAG_BREAKER_CLOSED;
	if (what == 'o')
		return POOLDIAG_BREAKER_FORCED_OPEN;
	if (what == 'd')
		return POOLDIAG_BREAKER_DISABLED;
	if (from == POOLDIAG_BREAKER_CLOSED &&
		at_the_end(told, entered, 'F', "Hr") >= by->failure_threshold)
		return POOLDIAG_BREAKER_OPEN;
	if (from == POOLDIAG_BREAKER_OPEN && what == 'a' &&
		told->when[told->count - 1] - since >= by->reset_ms)
		return POOLDIAG_BREAKER_HALF_OPEN;
	if (from == POOLDIAG_BREAKER_HALF_OPEN && what == 'F')
		return POOLDIAG_BREAKER_OPEN;
	if (from == POOLDIAG_BREAKER_HALF_OPEN &&
		at_the_end(told, entered, 'H', "F") >= by->half_open_samples)
		return POOLDIAG_BREAKER_CLOSED;
	return from;
}

static PoolDiagBreakerState
state_by_model(const Told *told, const PoolDiagBreakerRules *by)
{
	PoolDiagBreakerState state = POOLDIAG_BREAKER_CLOSED;
	Told until = *told;
	int entered = 0; /* how many steps there were when that state began */

	for (until.count = 1; until.count <= told->count; until.count++)
	{
		PoolDiagBreakerState next = led_to(&until, by, state, entered);

		if (next != state)
			entered = until.count;
		state = next;
	}
	return state;
}

static void
test_random_stories(void **unused)
{
	int seen[POOLDIAG_BREAKER_STATES] = {0};

	srand(20251);
	for (int round = 0; round < ROUNDS; round++)
	{
		PoolDiagBreakerRules by = {.failure_threshold = 1 + rand() % 4,
								   .half_open_samples = 1 + rand() % 3,
								   .reset_ms = INT64_C(100) * (1 + rand() % 12)};
		PoolDiagBreaker breaker = {0};
		Told told = {.count = 0};
		int64_t now = rand();

		while (told.count < STEPS)
		{
			/* Persons come seldom. */
			char what = "FFFFFFFFFFHHHHHHHHaaaaaaaaa135rod"[rand() % 33];
			PoolDiagBreakerState before = breaker.state;
			PoolDiagBreakerEvent event = step(&breaker, &by, what, &now);

			told.what[told.count] = what;
			told.when[told.count++] = now;
			if (breaker.state != state_by_model(&told, &by))
				fail_msg("round %d: state %d, by the model %d, after %.*s", round,
						 (int) breaker.state, (int) state_by_model(&told, &by), told.count,
						 told.what);
			/* It says so each time that its state changes, and only then. */
			assert_int_equal(event != POOLDIAG_BREAKER_NOTHING, breaker.state != before);
			seen[breaker.state]++;
		}
	}
	for (int i = 0; i < POOLDIAG_BREAKER_STATES; i++)
		assert_in_range(seen[i], ROUNDS / 4, INT_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stories),		   cmocka_unit_test(test_when_it_may_be_tried),
		cmocka_unit_test(test_other_rules),	   cmocka_unit_test(test_names_and_openness),
		cmocka_unit_test(test_random_stories),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
