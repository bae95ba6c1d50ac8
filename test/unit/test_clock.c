/*
 * How long is left until a moment, on a clock that stands still, or goes on whenever it is read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "server.h"

static double clock_ms;	 /* what it tells next */
static double a_read_ms; /* what it goes on by, each time that it is read */

static int
read_clock(clockid_t clock, struct timespec *time)
{
	int64 ns = (int64) (clock_ms * 1e6);

	time->tv_sec = ns / INT64CONST(1000000000);
	time->tv_nsec = ns % INT64CONST(1000000000);
	clock_ms += a_read_ms;
	return 0;
}

#define clock_gettime read_clock
#include "clock.h"

static void
whole_milliseconds(void **state)
{
	const struct
	{
		double until_ms;
		long left;
	} cases[] = {{1000.0, 0},
				 {1000.25, 1},
				 {1001.0, 1},
				 {1002.5, 3},
				 {999.75, 0},
				 {998.0, 0},
				 {-INFINITY, 0},
				 {INFINITY, INT_MAX},
				 {1e300, INT_MAX},
				 {0.0, 0},
				 {1000.0 + INT_MAX, INT_MAX}};

	a_read_ms = 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		clock_ms = 1000;
		assert_int_equal(pooldiag_clock_left(cases[i].until_ms), cases[i].left);
	}
}

/* A process that loses the processor between two readings would find a moment that was due, and then one that is past. */
static void
is_never_negative_while_time_goes_on(void **state)
{
	for (a_read_ms = 0; a_read_ms < 5; a_read_ms += 0.125)
		for (double until_ms = 990; until_ms < 1010; until_ms += 0.0625)
		{
			clock_ms = 1000;
			assert_true(pooldiag_clock_left(until_ms) >= 0);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_milliseconds),
		cmocka_unit_test(is_never_negative_while_time_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
