/*
 * clock.h
 *	  The system's monotonic clock, for spans of time.
 *
 * Not the server's instr_time: from 19 on its clock can be another one after a reload (timing_clock_source), and a
 * deadline of the one means nothing to the other.
 */
#ifndef POOLDIAG_CLOCK_H
#define POOLDIAG_CLOCK_H

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

#endif /* POOLDIAG_CLOCK_H */
