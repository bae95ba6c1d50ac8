/*
 * histogram.c
 *	  Log-linear histograms of durations, as in HdrHistogram with three bits of each value kept.
 *
 * A bucket from l on is at most l / 8 wide, so its middle, which is what it is read back as, is at most 6.25 % off.
 */
#include "histogram.h"

/* The least duration that falls into a bucket, in microseconds; where the one before it ends. */
int64_t
pooldiag_histogram_lower_us(int bucket)
{
	if (bucket < 8)
		return bucket;
	return (int64_t) (8 + bucket % 8) << (bucket / 8 - 1);
}

/* What a bucket's durations are read back as, in microseconds: its middle; of the last one, its lower end. */
double
pooldiag_histogram_value_us(int bucket)
{
	int64_t lower = pooldiag_histogram_lower_us(bucket);

	if (bucket == POOLDIAG_BUCKETS - 1)
		return (double) lower;
	return (double) (lower + pooldiag_histogram_lower_us(bucket + 1) - 1) / 2;
}

/* How many durations are in POOLDIAG_BUCKETS counts. */
uint64_t
pooldiag_histogram_count(const uint64_t *counts)
{
	uint64_t total = 0;

	for (int i = 0; i < POOLDIAG_BUCKETS; i++)
		total += counts[i];
	return total;
}

/*
 * How many of POOLDIAG_BUCKETS counts are of durations below each of some bounds, which rise, and at each of which a
 * bucket begins.
 */
void
pooldiag_histogram_below(const uint64_t *counts, const int64_t *bounds_us, int bounds,
						 uint64_t *below)
{
	uint64_t total = 0;
	int bucket = 0;

	for (int i = 0; i < bounds; i++)
	{
		for (int end = pooldiag_histogram_bucket(bounds_us[i]); bucket < end; bucket++)
			total += counts[bucket];
		below[i] = total;
	}
}

/*
 * The p-quantile (0 < p <= 1) of POOLDIAG_BUCKETS counts, in microseconds, by nearest rank: the least duration
 * that at least p of all do not pass. -1 where there is none.
 */
double
pooldiag_histogram_quantile_us(const uint64_t *counts, double p)
{
	double rank = p * (double) pooldiag_histogram_count(counts);
	uint64_t seen = 0;

	for (int i = 0; i < POOLDIAG_BUCKETS; i++)
	{
		seen += counts[i];
		if (counts[i] > 0 && (double) seen >= rank)
			return pooldiag_histogram_value_us(i);
	}
	return -1;
}
