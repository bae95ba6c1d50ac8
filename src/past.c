/*
 * past.c
 *	  What rules want to know of history: how full something ever was, and whether its connections only rise.
 *
 * Reads the points of a series in place: in the sampler, which alone writes them. The open points of the coarser
 * tiers are not among them; what they lack, the finer tier has.
 */
#include "past.h"

#include <string.h>

#include "thresholds.h"

#define SECOND INT64_C(1000000)
#define THIRD (POOLDIAG_GROWTH_SPANS / 3)

static double
larger(double a, double b)
{
	return a > b ? a : b;
}

/* The mean of what is known of one figure; negative where nothing is. */
static double
mean(const PoolDiagSpan *spans, int first, int count, size_t field)
{
	double sum = 0;
	int known = 0;

	for (int i = first; i < first + count; i++)
	{
		double value;

		memcpy(&value, (const char *) &spans[i] + field, sizeof(value));
		if (value < 0)
			continue;
		sum += value;
		known++;
	}
	return known == 0 ? -1 : sum / known;
}

/* The spans are POOLDIAG_GROWTH_SPANS, the oldest first. A gap in them decides for no. */
PoolDiagGrowth
pooldiag_past_growth(const PoolDiagSpan *spans)
{
	const int last = POOLDIAG_GROWTH_SPANS - 1;
	PoolDiagGrowth growth;
	double active_from = mean(spans, 0, THIRD, offsetof(PoolDiagSpan, active));
	double active_to = mean(spans, last + 1 - THIRD, THIRD, offsetof(PoolDiagSpan, active));
	double rise;

	growth.connections_from = spans[0].connections;
	growth.connections_to = spans[last].connections;
	growth.xacts_from = mean(spans, 0, THIRD, offsetof(PoolDiagSpan, xacts));
	growth.xacts_to = mean(spans, last + 1 - THIRD, THIRD, offsetof(PoolDiagSpan, xacts));
	rise = growth.connections_to - growth.connections_from;
	growth.grows =
		growth.connections_from >= 0 && rise >= POOLDIAG_GROWTH_LEAST_CONNECTIONS &&
		rise * 100 >= growth.connections_from * POOLDIAG_GROWTH_LEAST_PERCENT &&
		growth.xacts_from >= 0 &&
		growth.xacts_to * 100 <= growth.xacts_from * (100 + POOLDIAG_GROWTH_ACTIVITY_PERCENT) &&
		active_to * 100 <= active_from * (100 + POOLDIAG_GROWTH_ACTIVITY_PERCENT);
	for (int i = 1; i <= last; i++)
		if (spans[i].connections < 0 ||
			spans[i].connections < spans[i - 1].connections - POOLDIAG_GROWTH_DIP)
			growth.grows = false;
	return growth;
}

/* The point of a tier with that number; NULL where there is none. */
static const PoolDiagPoint *
point_of(const PoolDiagSeries *series, const PoolDiagTier *tiers, int tier, int64_t number)
{
	int first = 0;

	for (int t = 0; t < tier; t++)
		first += tiers[t].points;
	series = (number <= 0) ? NULL : series;
	if (series == NULL)
		return NULL;
	first += (int) (number % tiers[tier].points);
	return series->points[first].number == (uint32_t) number ? &series->points[first] : NULL;
}

static void
raise_highest(PoolDiagPast *past, const PoolDiagFigures *figures)
{
	past->most_connections =
		larger(past->most_connections, figures->maxima[POOLDIAG_GAUGE_CONNECTIONS]);
	past->most_active = larger(past->most_active, figures->maxima[POOLDIAG_GAUGE_ACTIVE]);
	past->most_utilization =
		larger(past->most_utilization, figures->maxima[POOLDIAG_GAUGE_UTILIZATION]);
}

/* One span of growth, from points of the middle tier, the first of which has that number. */
static PoolDiagSpan
span_of(const PoolDiagSeries *series, const PoolDiagTier *tiers, int64_t first, int points,
		PoolDiagPast *past)
{
	PoolDiagSpan span = {-1, -1, -1};
	double connections = 0;
	double active = 0;
	double xacts = 0;
	double counted = 0;
	int known = 0;

	for (int i = 0; i < points; i++)
	{
		const PoolDiagPoint *point = point_of(series, tiers, 1, first + i);
		PoolDiagFigures figures;

		if (point == NULL)
			continue;
		pooldiag_point_read(point, &figures);
		raise_highest(past, &figures);
		if (figures.gauges[POOLDIAG_GAUGE_CONNECTIONS] < 0)
			continue;
		known++;
		connections += figures.gauges[POOLDIAG_GAUGE_CONNECTIONS];
		active += larger(figures.gauges[POOLDIAG_GAUGE_ACTIVE], 0);
		if (figures.counted_seconds > 0 && figures.counters[POOLDIAG_COUNTER_XACTS] >= 0)
		{
			counted += figures.counted_seconds;
			xacts += (double) figures.counters[POOLDIAG_COUNTER_XACTS];
		}
	}
	if (known == 0)
		return span;
	span.connections = connections / known;
	span.active = active / known;
	if (counted > 0)
		span.xacts = xacts / counted;
	return span;
}

/* Reads what is known of a series up to now. */
void
pooldiag_past_read(const PoolDiagSeries *series, const PoolDiagTier *tiers, int64_t now,
				   PoolDiagPast *past)
{
	PoolDiagSpan spans[POOLDIAG_GROWTH_SPANS];
	int coarse = POOLDIAG_TIERS - 1;
	int64_t newest = now / SECOND / tiers[coarse].seconds;
	int64_t count = (int64_t) POOLDIAG_PAST_DAYS * 86400 / tiers[coarse].seconds;
	int points = POOLDIAG_GROWTH_SPAN_SECONDS / tiers[1].seconds;
	int64_t first = now / SECOND / tiers[1].seconds - (int64_t) points * POOLDIAG_GROWTH_SPANS;

	memset(past, 0, sizeof(*past));
	past->most_utilization = -1;
	for (int64_t number = newest - count + 1; number <= newest; number++)
	{
		const PoolDiagPoint *point = point_of(series, tiers, coarse, number);
		PoolDiagFigures figures;

		if (point == NULL)
			continue;
		pooldiag_point_read(point, &figures);
		past->known_seconds += figures.weight;
		raise_highest(past, &figures);
	}
	for (int i = 0; i < POOLDIAG_GROWTH_SPANS; i++)
		spans[i] = span_of(series, tiers, first + (int64_t) i * points, points, past);
	past->growth = pooldiag_past_growth(spans);
}
