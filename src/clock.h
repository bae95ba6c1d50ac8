/*
 * clock.h
 *	  The system's monotonic clock, for spans of time.
 *
 * Not the server's instr_time: from 19 on its clock can be another one after a reload (timing_clock_source), and a
 * deadline of the one means nothing to the other.
 */
#ifndef POOLDIAG_CLOCK_H
#define POOLDIAG_CLOCK_H

#include <limits.h>
#include <math.h>
#include <time.h>

/* Nanoseconds of one of the system's clocks. */
static inline int64
pooldiag_clock_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * INT64CONST(1000000000) + time.tv_nsec;
}

/* Milliseconds since some moment that does not change while the machine runs. */
static inline double
pooldiag_clock_ms(void)
{
	return (double) pooldiag_clock_ns(CLOCK_MONOTONIC) / 1e6;
}

/*
 * How long to wait for that moment, in whole milliseconds; 0 once it has passed. The clock is read once: to the server a
 * negative time is no limit at all, and macros like Max() read what they are given again.
 */
static inline long
pooldiag_clock_left(double until_ms)
{
	double left = ceil(until_ms - pooldiag_clock_ms());

	if (left <= 0)
		return 0;
	return left < INT_MAX ? (long) left : INT_MAX;
}

#endif /* POOLDIAG_CLOCK_H */
