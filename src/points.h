/*
 * points.h
 *	  One span of time in 48 bytes: how many connections there were, and what was counted and timed.
 *
 * Pure: unit tests link it.
 */
#ifndef POOLDIAG_POINTS_H
#define POOLDIAG_POINTS_H

#include <stdint.h>

/* What is so many at an instant. Of a span of time the mean is kept. */
typedef enum PoolDiagGauge
{
	POOLDIAG_GAUGE_CONNECTIONS,
	POOLDIAG_GAUGE_ACTIVE,
	POOLDIAG_GAUGE_WAITING,
	POOLDIAG_GAUGE_UTILIZATION, /* percent */
	POOLDIAG_GAUGE_IDLE,
	POOLDIAG_GAUGE_IDLE_IN_TRANSACTION
} PoolDiagGauge;

#define POOLDIAG_GAUGES (POOLDIAG_GAUGE_IDLE_IN_TRANSACTION + 1)
/* Of the first ones the highest is kept as well, as a mean would hide a spike. */
#define POOLDIAG_MAXIMA (POOLDIAG_GAUGE_UTILIZATION + 1)

/* What happens so many times. Of a span of time the sum is kept. */
typedef enum PoolDiagCounter
{
	POOLDIAG_COUNTER_XACTS,
	POOLDIAG_COUNTER_STATEMENTS,
	POOLDIAG_COUNTER_OPENED,
	POOLDIAG_COUNTER_CLOSED,
	POOLDIAG_COUNTER_REFUSED
} PoolDiagCounter;

#define POOLDIAG_COUNTERS (POOLDIAG_COUNTER_REFUSED + 1)

/* What takes so long. Of a span of time the 95th percentile is kept. */
typedef enum PoolDiagTiming
{
	POOLDIAG_TIMING_HOLD,
	POOLDIAG_TIMING_STATEMENT
} PoolDiagTiming;

#define POOLDIAG_TIMINGS (POOLDIAG_TIMING_STATEMENT + 1)

/*
 * One span of a tier's length. Numbers of connections are kept with 13 significant bits, in units of 1/256; the
 * greatest number of connections and the counters exactly.
 */
typedef struct PoolDiagPoint
{
	uint32_t number; /* of the span since 2000 began; 0: an empty point */
	uint32_t xacts;
	uint32_t statements;
	uint32_t weight : 10; /* seconds in which something was known */
	uint32_t hold : 9;	  /* bucket of the 95th percentile */
	uint32_t statement : 9;
	uint8_t max_connections[3];
	uint8_t opened[3];
	uint8_t closed[3];
	uint8_t refused[3];
	uint16_t counted_seconds;
	uint16_t means[POOLDIAG_GAUGES];
	uint16_t maxima[POOLDIAG_MAXIMA - 1]; /* without that of connections */
} PoolDiagPoint;

/* The same as it can be calculated with. What is negative is not known. */
typedef struct PoolDiagFigures
{
	uint32_t weight;
	double gauges[POOLDIAG_GAUGES];
	double maxima[POOLDIAG_MAXIMA];
	double counted_seconds;
	int64_t counters[POOLDIAG_COUNTERS];
	int timings[POOLDIAG_TIMINGS]; /* bucket of the 95th percentile */
} PoolDiagFigures;

extern void pooldiag_figures_clear(PoolDiagFigures *figures);
extern void
pooldiag_point_write(PoolDiagPoint *point, uint32_t number, const PoolDiagFigures *figures);
extern void pooldiag_point_read(const PoolDiagPoint *point, PoolDiagFigures *figures);

#endif /* POOLDIAG_POINTS_H */
