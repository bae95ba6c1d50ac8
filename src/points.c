/*
 * points.c
 *	  One span of time in 48 bytes.
 */
#include "points.h"

#include <string.h>

#include "histogram.h"

/* In place of figures that are not known. */
#define NO_COUNT UINT32_MAX
#define NO_COUNT_24 0xFFFFFF
#define NO_BUCKET 511
#define NO_GAUGE 0xFFFF
#define MAX_WEIGHT 1023

/*
 * A number of 13 significant bits in 16, in units of 1/256: below 4096 units itself, else the 12 bits after the
 * first, and by how many they are shifted. What is above zero stays so; what is too large is the largest there is.
 */
static uint16_t
pack(double value)
{
	uint64_t units;
	int shift = 0;

	if (!(value >= 0))
		return NO_GAUGE;
	if (value > 1e6)
		return NO_GAUGE - 1;
	units = (uint64_t) (value * 256 + 0.5);
	if (units == 0)
		return value > 0;
	while (units >> shift >= 8192)
		shift++;
	if (shift > 0)
	{
		units = (units + (UINT64_C(1) << (shift - 1))) >> shift;
		if (units >= 8192)
		{
			units >>= 1;
			shift++;
		}
	}
	if (units < 4096)
		return (uint16_t) units;
	if (shift > 14 || (shift == 14 && units == 8191))
		return NO_GAUGE - 1;
	return (uint16_t) ((unsigned) (shift + 1) << 12 | (unsigned) (units - 4096));
}

static double
unpack(uint16_t packed)
{
	if (packed == NO_GAUGE)
		return -1;
	if (packed < 4096)
		return packed / 256.0;
	return (double) ((UINT64_C(4096) + packed % 4096) << (packed / 4096 - 1)) / 256;
}

static void
put_24(uint8_t *to, int64_t value)
{
	uint32_t kept = NO_COUNT_24;

	if (value >= 0)
		kept = value < NO_COUNT_24 ? (uint32_t) value : NO_COUNT_24 - 1;
	to[0] = (uint8_t) (kept & 0xFF);
	to[1] = (uint8_t) (kept >> 8 & 0xFF);
	to[2] = (uint8_t) (kept >> 16 & 0xFF);
}

static int64_t
get_24(const uint8_t *from)
{
	uint32_t kept = from[0] | (uint32_t) from[1] << 8 | (uint32_t) from[2] << 16;

	return kept == NO_COUNT_24 ? -1 : (int64_t) kept;
}

static uint32_t
put_32(int64_t value)
{
	if (value < 0)
		return NO_COUNT;
	return value < NO_COUNT ? (uint32_t) value : NO_COUNT - 1;
}

static int64_t
get_32(uint32_t kept)
{
	return kept == NO_COUNT ? -1 : (int64_t) kept;
}

static unsigned
put_bucket(int bucket)
{
	return bucket >= 0 && bucket < POOLDIAG_BUCKETS ? (unsigned) bucket : NO_BUCKET;
}

static int
get_bucket(unsigned kept)
{
	return kept < POOLDIAG_BUCKETS ? (int) kept : -1;
}

/* Makes all of it not known. */
void
pooldiag_figures_clear(PoolDiagFigures *figures)
{
	figures->weight = 0;
	figures->counted_seconds = -1;
	for (int i = 0; i < POOLDIAG_GAUGES; i++)
		figures->gauges[i] = -1;
	for (int i = 0; i < POOLDIAG_MAXIMA; i++)
		figures->maxima[i] = -1;
	for (int i = 0; i < POOLDIAG_COUNTERS; i++)
		figures->counters[i] = -1;
	for (int i = 0; i < POOLDIAG_TIMINGS; i++)
		figures->timings[i] = -1;
}

void
pooldiag_point_write(PoolDiagPoint *point, uint32_t number, const PoolDiagFigures *figures)
{
	point->number = number;
	point->weight = figures->weight < MAX_WEIGHT ? figures->weight : MAX_WEIGHT;
	point->counted_seconds = pack(figures->counted_seconds);
	for (int i = 0; i < POOLDIAG_GAUGES; i++)
		point->means[i] = pack(figures->gauges[i]);
	put_24(point->max_connections, (int64_t) figures->maxima[POOLDIAG_GAUGE_CONNECTIONS]);
	for (int i = 1; i < POOLDIAG_MAXIMA; i++)
		point->maxima[i - 1] = pack(figures->maxima[i]);
	point->xacts = put_32(figures->counters[POOLDIAG_COUNTER_XACTS]);
	point->statements = put_32(figures->counters[POOLDIAG_COUNTER_STATEMENTS]);
	put_24(point->opened, figures->counters[POOLDIAG_COUNTER_OPENED]);
	put_24(point->closed, figures->counters[POOLDIAG_COUNTER_CLOSED]);
	put_24(point->refused, figures->counters[POOLDIAG_COUNTER_REFUSED]);
	point->hold = put_bucket(figures->timings[POOLDIAG_TIMING_HOLD]) & NO_BUCKET;
	point->statement = put_bucket(figures->timings[POOLDIAG_TIMING_STATEMENT]) & NO_BUCKET;
}

void
pooldiag_point_read(const PoolDiagPoint *point, PoolDiagFigures *figures)
{
	figures->weight = point->weight;
	figures->counted_seconds = unpack(point->counted_seconds);
	for (int i = 0; i < POOLDIAG_GAUGES; i++)
		figures->gauges[i] = unpack(point->means[i]);
	figures->maxima[POOLDIAG_GAUGE_CONNECTIONS] = (double) get_24(point->max_connections);
	for (int i = 1; i < POOLDIAG_MAXIMA; i++)
		figures->maxima[i] = unpack(point->maxima[i - 1]);
	figures->counters[POOLDIAG_COUNTER_XACTS] = get_32(point->xacts);
	figures->counters[POOLDIAG_COUNTER_STATEMENTS] = get_32(point->statements);
	figures->counters[POOLDIAG_COUNTER_OPENED] = get_24(point->opened);
	figures->counters[POOLDIAG_COUNTER_CLOSED] = get_24(point->closed);
	figures->counters[POOLDIAG_COUNTER_REFUSED] = get_24(point->refused);
	figures->timings[POOLDIAG_TIMING_HOLD] = get_bucket(point->hold);
	figures->timings[POOLDIAG_TIMING_STATEMENT] = get_bucket(point->statement);
}
