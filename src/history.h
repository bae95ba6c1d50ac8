/*
 * history.h
 *	  What has happened to one thing (the server, or a pool), second by second, and coarser the longer ago.
 *
 * Pure: unit tests link it. Instants are the server's, microseconds since 2000-01-01 UTC.
 */
#ifndef POOLDIAG_HISTORY_H
#define POOLDIAG_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"
#include "points.h"

/* A tier keeps so many points, each of so many seconds; those of a coarser one are multiples of a finer one's. */
typedef struct PoolDiagTier
{
	int seconds;
	int points;
} PoolDiagTier;

#define POOLDIAG_TIERS 3

extern const PoolDiagTier pooldiag_history_server_tiers[POOLDIAG_TIERS];
extern const PoolDiagTier pooldiag_history_pool_tiers[POOLDIAG_TIERS];

/*
 * What is known at one moment. There may be several in a second, or none. pooldiag_history_moment makes one in
 * which nothing is known.
 */
typedef struct PoolDiagMoment
{
	int64_t at;
	double gauges[POOLDIAG_GAUGES]; /* negative: not known */
	/* Most connections at once since the moment before; 0: not known beyond what gauges has. */
	int64_t max_connections_seen;
	/* What has come since these were known before, and how long ago that was; negative: not known. */
	double counted_seconds;
	int64_t counters[POOLDIAG_COUNTERS];
	/* POOLDIAG_BUCKETS counts of the same span; NULL: not known. Once a second at the most. */
	const uint32_t *timings[POOLDIAG_TIMINGS];
} PoolDiagMoment;

/*
 * The point of a tier that is being filled, as it can be added to. Small, since each tick goes through those of all
 * series.
 */
typedef struct PoolDiagOpen
{
	uint32_t number; /* 0: none is open */
	uint32_t weight; /* seconds in sums; of the finest tier: moments */
	float sums[POOLDIAG_GAUGES];
	float known[POOLDIAG_GAUGES];		  /* the part of weight in which the gauge was known */
	float maxima[POOLDIAG_MAXIMA];		  /* negative: not known */
	float counted_seconds;				  /* the same */
	uint32_t counters[POOLDIAG_COUNTERS]; /* UINT32_MAX: not known */
	int16_t timings[POOLDIAG_TIMINGS];	  /* bucket of the 95th percentile, or -1 */
} PoolDiagOpen;

typedef struct PoolDiagSeries
{
	int64_t last_at;		/* of the last moment */
	uint32_t relived_until; /* a clock that was put back a little passes these seconds again */
	uint32_t filled[POOLDIAG_TIERS];
	PoolDiagOpen open[POOLDIAG_TIERS]; /* not among points yet */
	/* Of the open points of all tiers but the finest, whose percentiles come from one moment. */
	uint32_t timings[POOLDIAG_TIERS - 1][POOLDIAG_TIMINGS][POOLDIAG_BUCKETS];
	PoolDiagPoint points[]; /* of one tier after another */
} PoolDiagSeries;

/* A span as a reader gets it. What is not known is NaN, of max_connections_seen and counters too. */
typedef struct PoolDiagHistoryRow
{
	int64_t at; /* its beginning */
	bool known; /* any of it */
	double gauges[POOLDIAG_GAUGES];
	double maxima[POOLDIAG_MAXIMA];
	double counters[POOLDIAG_COUNTERS];
	double counted_seconds;
	double timings_ms[POOLDIAG_TIMINGS];
} PoolDiagHistoryRow;

/* What of a series a reader wants: rows of step seconds, from the first one's number of such steps. */
typedef struct PoolDiagHistoryWindow
{
	int tier;
	int step;
	int rows;
	int64_t first;
} PoolDiagHistoryWindow;

extern size_t pooldiag_history_size(const PoolDiagTier *tiers);
extern int pooldiag_history_room(const PoolDiagTier *tiers);
extern int64_t pooldiag_history_kept_seconds(const PoolDiagTier *tiers);
extern void pooldiag_history_moment(PoolDiagMoment *moment, int64_t at);
extern void pooldiag_history_add(PoolDiagSeries *series, const PoolDiagTier *tiers,
								 const PoolDiagMoment *moment);
extern void pooldiag_history_hide_open(PoolDiagSeries *series, const PoolDiagTier *tiers);
extern void pooldiag_history_rates(const PoolDiagSeries *series, const PoolDiagTier *tiers,
								   int64_t now, int seconds, double *rates);
extern PoolDiagHistoryWindow
pooldiag_history_window(const PoolDiagTier *tiers, int64_t now, int64_t since_us, int64_t step_us,
						int64_t least_us, int most);
extern void pooldiag_history_read(PoolDiagSeries *copy, const PoolDiagTier *tiers,
								  const PoolDiagHistoryWindow *window, PoolDiagHistoryRow *rows);
extern double pooldiag_history_rate(const PoolDiagHistoryRow *row, PoolDiagCounter counter);

#endif /* POOLDIAG_HISTORY_H */
