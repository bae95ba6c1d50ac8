/*
 * histogram.h
 *	  Log-linear histograms of durations: a value read back is within 7 % of the one that was put in.
 *
 * Pure: unit tests link it.
 */
#ifndef POOLDIAG_HISTOGRAM_H
#define POOLDIAG_HISTOGRAM_H

#include <stdint.h>

/*
 * Eight buckets for each power of two, after eight of one microsecond each. The last one begins at 8.9 hours
 * and has no end.
 */
#define POOLDIAG_BUCKETS 264

extern int64_t pooldiag_histogram_lower_us(int bucket);
extern double pooldiag_histogram_value_us(int bucket);
extern uint64_t pooldiag_histogram_count(const uint64_t *counts);
extern void pooldiag_histogram_below(const uint64_t *counts, const int64_t *bounds_us, int bounds,
									 uint64_t *below);
extern double pooldiag_histogram_quantile_us(const uint64_t *counts, double p);

/* The bucket of a duration in microseconds; what is below zero counts as zero. */
static inline int
pooldiag_histogram_bucket(int64_t us)
{
	int shift;

	if (us < 8)
		return us < 0 ? 0 : (int) us;
	/* What leaves four bits, the first of which is set; 63 ^ is 63 -, in one instruction less. */
	shift = (63 ^ __builtin_clzll((unsigned long long) us)) - 3;
	if (shift > POOLDIAG_BUCKETS / 8 - 2)
		return POOLDIAG_BUCKETS - 1;
	return shift * 8 + (int) (us >> shift);
}

#endif /* POOLDIAG_HISTOGRAM_H */
