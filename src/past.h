/*
 * past.h
 *	  What rules want to know of history: how full something ever was, and whether its connections only rise.
 *
 * Pure: unit tests link it. Instants are the server's, microseconds since 2000-01-01 UTC.
 */
#ifndef POOLDIAG_PAST_H
#define POOLDIAG_PAST_H

#include "history.h"

/* How far back the highest values go, and how far back growth is looked for, in so many spans. */
#define POOLDIAG_PAST_DAYS 7
#define POOLDIAG_GROWTH_SPANS 12
#define POOLDIAG_GROWTH_SPAN_SECONDS 300

/* One of those spans; negative: not known. */
typedef struct PoolDiagSpan
{
	double connections; /* the mean */
	double active;
	double xacts; /* a second */
} PoolDiagSpan;

/* Do the connections rise over all spans, while what they do does not? */
typedef struct PoolDiagGrowth
{
	bool grows;
	double connections_from; /* of the first span, and of the last */
	double connections_to;
	double xacts_from; /* a second, of the first third, and of the last */
	double xacts_to;
} PoolDiagGrowth;

/* All zero: nothing is known. */
typedef struct PoolDiagPast
{
	double known_seconds;	 /* of the last days */
	double most_connections; /* at once */
	double most_active;
	double most_utilization; /* percent; negative: not known */
	PoolDiagGrowth growth;
} PoolDiagPast;

extern PoolDiagGrowth pooldiag_past_growth(const PoolDiagSpan *spans);
extern void pooldiag_past_read(const PoolDiagSeries *series, const PoolDiagTier *tiers, int64_t now,
							   PoolDiagPast *past);

#endif /* POOLDIAG_PAST_H */
