/*
 * history.c
 *	  What has happened to the server, or to one pool: tiers of points, fine ones of late and coarse ones of long ago.
 *
 * A series is fed with moments: what is known at an instant. Each tier has one point open, that of the span into
 * which the last moment fell; it becomes a point among the others when another span begins. A reader, who has a copy,
 * makes one of it at once, and so finds the present in all tiers.
 *
 * A second's gauge is the mean of its moments, and a coarser point's the mean of its seconds, so that a second in
 * which many looked weighs no more than another. Counters are summed, histograms merged, highest values kept.
 *
 * A point lies where the number of its span, counted since 2000, says, modulo the tier's length, and carries that
 * number. What it holds of another number is old, and reads as not known; so gaps need no work, however long.
 *
 * Numbers go by the wall clock. Where that is put back by up to a minute, the seconds that come again are merged
 * with what is there; where it is put back further, they replace it. What is ahead of the clock is not read.
 */
#include "history.h"

#include <math.h>
#include <string.h>

#define SECOND INT64_C(1000000)
#define PERCENTILE 95

/* The longest way back after which seconds are merged. */
#define RELIVED_SECONDS 60

const PoolDiagTier pooldiag_history_server_tiers[POOLDIAG_TIERS] = {
	{1, 600},	 /* 10 minutes */
	{10, 2160},	 /* 6 hours */
	{300, 8640}, /* 30 days */
};

const PoolDiagTier pooldiag_history_pool_tiers[POOLDIAG_TIERS] = {
	{1, 600},	/* 10 minutes */
	{60, 360},	/* 6 hours */
	{900, 672}, /* 7 days */
};

/* Steps that people count in. */
static const int nice_steps[] = {1,		2,	   5,	  10,	 15,	 20,	 30,	60,
								 120,	300,   600,	  900,	 1200,	 1800,	 3600,	7200,
								 10800, 21600, 43200, 86400, 172800, 345600, 604800};

#define NICE_STEPS ((int) (sizeof(nice_steps) / sizeof(nice_steps[0])))

/* The points of all tiers. */
int
pooldiag_history_room(const PoolDiagTier *tiers)
{
	int room = 0;

	for (int t = 0; t < POOLDIAG_TIERS; t++)
		room += tiers[t].points;
	return room;
}

/* The bytes of a series. Zeroed, it is empty. */
size_t
pooldiag_history_size(const PoolDiagTier *tiers)
{
	return offsetof(PoolDiagSeries, points) +
		   sizeof(PoolDiagPoint) * (size_t) pooldiag_history_room(tiers);
}

/* How far back the coarsest tier goes. */
int64_t
pooldiag_history_kept_seconds(const PoolDiagTier *tiers)
{
	return (int64_t) tiers[POOLDIAG_TIERS - 1].seconds * tiers[POOLDIAG_TIERS - 1].points;
}

/* A moment of which nothing is known but when it was. */
void
pooldiag_history_moment(PoolDiagMoment *moment, int64_t at)
{
	memset(moment, 0, sizeof(*moment));
	moment->at = at;
	moment->counted_seconds = -1;
	for (int i = 0; i < POOLDIAG_GAUGES; i++)
		moment->gauges[i] = -1;
	for (int i = 0; i < POOLDIAG_COUNTERS; i++)
		moment->counters[i] = -1;
}

/* Where a tier's point of that number lies. */
static int
place_of(const PoolDiagTier *tiers, int tier, uint32_t number)
{
	int first = 0;

	for (int t = 0; t < tier; t++)
		first += tiers[t].points;
	return first + (int) (number % (uint32_t) tiers[tier].points);
}

/* The bucket that holds the percentile, by nearest rank; -1 where there is nothing. */
static int
percentile_bucket(const uint32_t *counts)
{
	uint64_t total = 0;
	uint64_t seen = 0;

	for (int i = 0; i < POOLDIAG_BUCKETS; i++)
		total += counts[i];
	for (int i = 0; i < POOLDIAG_BUCKETS; i++)
	{
		seen += counts[i];
		if (counts[i] > 0 && seen * 100 >= total * PERCENTILE)
			return i;
	}
	return -1;
}

static float
larger(float a, float b)
{
	return a > b ? a : b;
}

/* Opens another point of a tier, empty, or going on from the one that there is. */
static void
open_point(PoolDiagSeries *series, const PoolDiagTier *tiers, int tier, uint32_t number, bool go_on)
{
	PoolDiagOpen *open = &series->open[tier];
	const PoolDiagPoint *point = &series->points[place_of(tiers, tier, number)];
	PoolDiagFigures figures;

	memset(open, 0, sizeof(*open));
	if (tier > 0)
		memset(series->timings[tier - 1], 0, sizeof(series->timings[tier - 1]));
	open->number = number;
	pooldiag_figures_clear(&figures);
	if (go_on && point->number == number)
		pooldiag_point_read(point, &figures);
	open->weight = tier == 0 && figures.weight > 0 ? 1 : figures.weight;
	open->counted_seconds = (float) figures.counted_seconds;
	for (int i = 0; i < POOLDIAG_GAUGES; i++)
		if (figures.gauges[i] >= 0)
		{
			open->known[i] = (float) open->weight;
			open->sums[i] = (float) figures.gauges[i] * (float) open->weight;
		}
	for (int i = 0; i < POOLDIAG_MAXIMA; i++)
		open->maxima[i] = (float) figures.maxima[i];
	for (int i = 0; i < POOLDIAG_COUNTERS; i++)
		open->counters[i] = figures.counters[i] < 0 ? UINT32_MAX : (uint32_t) figures.counters[i];
	for (int i = 0; i < POOLDIAG_TIMINGS; i++)
		open->timings[i] = (int16_t) figures.timings[i];
}

/* The mean of a gauge in the open second; negative: not known. */
static float
mean_of_second(const PoolDiagSeries *series, int gauge)
{
	const PoolDiagOpen *second = &series->open[0];

	return second->known[gauge] > 0 ? second->sums[gauge] / second->known[gauge] : -1;
}

/* Adds what gauges were in the open second to a coarser point. */
static void
add_second(const PoolDiagSeries *series, PoolDiagOpen *open)
{
	open->weight++;
	for (int i = 0; i < POOLDIAG_GAUGES; i++)
	{
		float mean = mean_of_second(series, i);

		if (mean < 0)
			continue;
		open->sums[i] += mean;
		open->known[i]++;
	}
}

/* Makes a point of an open one. */
static void
write_point(PoolDiagSeries *series, const PoolDiagTier *tiers, int tier, const PoolDiagOpen *open)
{
	PoolDiagPoint *point = &series->points[place_of(tiers, tier, open->number)];
	PoolDiagFigures figures;

	figures.weight = tier == 0 ? 1 : open->weight;
	figures.counted_seconds = open->counted_seconds;
	for (int i = 0; i < POOLDIAG_GAUGES; i++)
		figures.gauges[i] = open->known[i] > 0 ? open->sums[i] / open->known[i] : -1;
	for (int i = 0; i < POOLDIAG_MAXIMA; i++)
		figures.maxima[i] = open->maxima[i];
	for (int i = 0; i < POOLDIAG_COUNTERS; i++)
		figures.counters[i] = open->counters[i] == UINT32_MAX ? -1 : (int64_t) open->counters[i];
	for (int i = 0; i < POOLDIAG_TIMINGS; i++)
		figures.timings[i] = open->timings[i];
	if (point->number == 0)
		series->filled[tier]++;
	pooldiag_point_write(point, open->number, &figures);
}

/* Merges the histograms of a moment into a tier's open point. */
static void
add_timings(PoolDiagSeries *series, int tier, const PoolDiagMoment *moment)
{
	PoolDiagOpen *open = &series->open[tier];

	for (int i = 0; i < POOLDIAG_TIMINGS; i++)
	{
		const uint32_t *counts = moment->timings[i];
		int bucket;

		if (counts == NULL)
			continue;
		if (tier > 0)
		{
			uint32_t *merged = series->timings[tier - 1][i];

			for (int b = 0; b < POOLDIAG_BUCKETS; b++)
				merged[b] += counts[b];
			bucket = percentile_bucket(merged);
		}
		else
		{
			bucket = percentile_bucket(counts);
			if (bucket < open->timings[i])
				bucket = open->timings[i];
		}
		if (bucket >= 0)
			open->timings[i] = (int16_t) bucket;
	}
}

/* Adds to a tier's open point what of a moment adds up: highest values, counters, histograms. */
static void
add_sums(PoolDiagSeries *series, int tier, const PoolDiagMoment *moment)
{
	PoolDiagOpen *open = &series->open[tier];

	for (int i = 0; i < POOLDIAG_MAXIMA; i++)
		open->maxima[i] = larger(open->maxima[i], (float) moment->gauges[i]);
	if (moment->max_connections_seen > 0)
		open->maxima[POOLDIAG_GAUGE_CONNECTIONS] =
			larger(open->maxima[POOLDIAG_GAUGE_CONNECTIONS], (float) moment->max_connections_seen);
	if (moment->counted_seconds >= 0)
		open->counted_seconds = larger(open->counted_seconds, 0) + (float) moment->counted_seconds;
	for (int i = 0; i < POOLDIAG_COUNTERS; i++)
	{
		int64_t before = open->counters[i] == UINT32_MAX ? 0 : (int64_t) open->counters[i];
		int64_t most = UINT32_MAX - 1;

		if (moment->counters[i] < 0)
			continue;
		open->counters[i] =
			(uint32_t) (moment->counters[i] > most - before ? most : before + moment->counters[i]);
	}
	add_timings(series, tier, moment);
}

/* Has the open points be those of this second. */
static void
go_to(PoolDiagSeries *series, const PoolDiagTier *tiers, uint32_t second)
{
	uint32_t last = series->open[0].number;
	bool relived;

	if (second == last)
		return;
	if (second < last)
	{
		if (series->relived_until < last)
			series->relived_until = last;
		if (series->relived_until - second > RELIVED_SECONDS)
			series->relived_until = 0;
	}
	relived = second <= series->relived_until;
	for (int t = POOLDIAG_TIERS - 1; t >= 0; t--)
	{
		uint32_t number = second / (uint32_t) tiers[t].seconds;
		PoolDiagOpen *open = &series->open[t];

		/* The finest comes last, as the others need its second. */
		if (t > 0 && last != 0)
			add_second(series, open);
		if (number == open->number)
			continue;
		if (open->number != 0)
			write_point(series, tiers, t, open);
		open_point(series, tiers, t, number, relived);
	}
}

static void
add_at(PoolDiagSeries *series, const PoolDiagTier *tiers, const PoolDiagMoment *moment,
	   uint32_t second)
{
	PoolDiagOpen *open = &series->open[0];

	go_to(series, tiers, second);
	open->weight++;
	for (int i = 0; i < POOLDIAG_GAUGES; i++)
	{
		if (moment->gauges[i] < 0)
			continue;
		open->sums[i] += (float) moment->gauges[i];
		open->known[i]++;
	}
	for (int t = 0; t < POOLDIAG_TIERS; t++)
		add_sums(series, t, moment);
}

/*
 * Adds a moment. Where two of them are less than two seconds apart and a second between them has none, as when a
 * clock that ticks each second ticks on its edge, that second has the later one's gauges.
 */
void
pooldiag_history_add(PoolDiagSeries *series, const PoolDiagTier *tiers,
					 const PoolDiagMoment *moment)
{
	int64_t second = moment->at / SECOND;
	uint32_t last = series->open[0].number;

	/* Before 2000 or after 2136: whatever the clock has, it isn't the time. */
	if (second <= tiers[POOLDIAG_TIERS - 1].seconds || second >= UINT32_MAX)
		return;
	if (last != 0 && second == (int64_t) last + 2 && moment->at - series->last_at < 2 * SECOND)
	{
		PoolDiagMoment between;

		pooldiag_history_moment(&between, moment->at);
		memcpy(between.gauges, moment->gauges, sizeof(between.gauges));
		add_at(series, tiers, &between, last + 1);
	}
	add_at(series, tiers, moment, (uint32_t) second);
	series->last_at = moment->at;
}

/* Makes not known, in a copy, what was being written while it was copied: open points, and those that they become. */
void
pooldiag_history_hide_open(PoolDiagSeries *series, const PoolDiagTier *tiers)
{
	for (int t = 0; t < POOLDIAG_TIERS; t++)
	{
		uint32_t number = series->open[t].number;

		/* It may have gone on to the next one, or two, already. */
		for (uint32_t back = 0; back <= 2 && back <= number; back++)
			memset(&series->points[place_of(tiers, t, number - back)], 0, sizeof(PoolDiagPoint));
		series->open[t].number = 0;
	}
}

/*
 * How many of each counter there were a second in that many seconds up to now, of the finest tier; negative where
 * nothing is known. It reads no further than that many points, so that the series need not be a copy.
 */
void
pooldiag_history_rates(const PoolDiagSeries *series, const PoolDiagTier *tiers, int64_t now,
					   int seconds, double *rates)
{
	const PoolDiagOpen *open = &series->open[0];
	double counts[POOLDIAG_COUNTERS] = {0};
	double counted_seconds = 0;
	int64_t newest = now / SECOND;

	for (int64_t second = newest - seconds + 1; second <= newest; second++)
	{
		const PoolDiagPoint *point;
		PoolDiagFigures figures;

		if (second <= 0 || second >= UINT32_MAX)
			continue;
		if (open->number == second)
		{
			if (open->counted_seconds <= 0)
				continue;
			counted_seconds += (double) open->counted_seconds;
			for (int i = 0; i < POOLDIAG_COUNTERS; i++)
				counts[i] += open->counters[i];
			continue;
		}
		point = &series->points[place_of(tiers, 0, (uint32_t) second)];
		if (point->number != second)
			continue;
		pooldiag_point_read(point, &figures);
		if (figures.counted_seconds <= 0)
			continue;
		counted_seconds += figures.counted_seconds;
		for (int i = 0; i < POOLDIAG_COUNTERS; i++)
			counts[i] += (double) figures.counters[i];
	}
	for (int i = 0; i < POOLDIAG_COUNTERS; i++)
		rates[i] = counted_seconds > 0 ? counts[i] / counted_seconds : -1;
}

/* Makes points of those that are open. */
static void
settle(PoolDiagSeries *copy, const PoolDiagTier *tiers)
{
	for (int t = POOLDIAG_TIERS - 1; t >= 0; t--)
	{
		PoolDiagOpen open = copy->open[t];

		if (open.number == 0)
			continue;
		if (t > 0)
			add_second(copy, &open);
		write_point(copy, tiers, t, &open);
	}
}

static int64_t
divide_up(int64_t a, int64_t b)
{
	return a / b + (a % b > 0);
}

/*
 * Which tier, and in which steps, shows the last since_us microseconds up to now, in at most that many rows if
 * step_us is 0. A step is a multiple of the tier's; one that is finer than what is kept of so long a time is
 * widened to that. Unless it was asked for, no step is less than least_us.
 */
PoolDiagHistoryWindow
pooldiag_history_window(const PoolDiagTier *tiers, int64_t now, int64_t since_us, int64_t step_us,
						int64_t least_us, int most)
{
	PoolDiagHistoryWindow window = {0};
	int64_t kept = pooldiag_history_kept_seconds(tiers);
	int64_t since = divide_up(since_us, SECOND);
	int64_t step = divide_up(step_us > 0 ? step_us : least_us, SECOND);

	if (since > kept)
		since = kept;
	if (step > kept)
		step = kept;
	if (step < 1)
		step = 1;
	while (window.tier < POOLDIAG_TIERS - 1 &&
		   (int64_t) tiers[window.tier].seconds * tiers[window.tier].points < since)
		window.tier++;
	if (step_us <= 0)
		for (int i = 0; i < NICE_STEPS; i++)
			if (nice_steps[i] >= step && nice_steps[i] % tiers[window.tier].seconds == 0 &&
				divide_up(since, nice_steps[i]) <= most)
			{
				step = nice_steps[i];
				break;
			}
	/* The coarsest tier that has what is wanted has merged it best. */
	for (int t = POOLDIAG_TIERS - 1; t > window.tier; t--)
		if (step % tiers[t].seconds == 0)
			window.tier = t;
	window.step = (int) (divide_up(step, tiers[window.tier].seconds) * tiers[window.tier].seconds);
	window.rows = (int) divide_up(since, window.step);
	window.first = now / SECOND / window.step - window.rows + 1;
	return window;
}

/* Adds a point to a row, whose gauges are sums until all points are in it. */
static void
merge_point(PoolDiagHistoryRow *row, double *weights, const PoolDiagPoint *point)
{
	PoolDiagFigures figures;

	pooldiag_point_read(point, &figures);
	for (int i = 0; i < POOLDIAG_GAUGES; i++)
	{
		if (figures.gauges[i] < 0)
			continue;
		row->gauges[i] = (weights[i] > 0 ? row->gauges[i] : 0) + figures.gauges[i] * figures.weight;
		weights[i] += figures.weight;
	}
	for (int i = 0; i < POOLDIAG_MAXIMA; i++)
		if (figures.maxima[i] >= 0 && !(row->maxima[i] >= figures.maxima[i]))
			row->maxima[i] = figures.maxima[i];
	for (int i = 0; i < POOLDIAG_COUNTERS; i++)
		if (figures.counters[i] >= 0)
			row->counters[i] =
				(isnan(row->counters[i]) ? 0 : row->counters[i]) + (double) figures.counters[i];
	if (figures.counted_seconds > 0)
		row->counted_seconds += figures.counted_seconds;
	for (int i = 0; i < POOLDIAG_TIMINGS; i++)
	{
		double ms =
			figures.timings[i] < 0 ? -1 : pooldiag_histogram_value_us(figures.timings[i]) / 1000;

		if (ms >= 0 && !(row->timings_ms[i] >= ms))
			row->timings_ms[i] = ms;
	}
	row->known = row->known || figures.weight > 0;
}

/*
 * Reads a window: a row for each of its steps, known or not. Of several percentiles a row has the highest. The series
 * is the reader's own copy.
 */
void
pooldiag_history_read(PoolDiagSeries *copy, const PoolDiagTier *tiers,
					  const PoolDiagHistoryWindow *window, PoolDiagHistoryRow *rows)
{
	int of_step = window->step / tiers[window->tier].seconds;

	settle(copy, tiers);
	for (int r = 0; r < window->rows; r++)
	{
		PoolDiagHistoryRow *row = &rows[r];
		double weights[POOLDIAG_GAUGES] = {0};

		memset(row, 0, sizeof(*row));
		row->at = (window->first + r) * window->step * SECOND;
		for (int i = 0; i < POOLDIAG_GAUGES; i++)
			row->gauges[i] = NAN;
		for (int i = 0; i < POOLDIAG_MAXIMA; i++)
			row->maxima[i] = NAN;
		for (int i = 0; i < POOLDIAG_COUNTERS; i++)
			row->counters[i] = NAN;
		for (int i = 0; i < POOLDIAG_TIMINGS; i++)
			row->timings_ms[i] = NAN;
		for (int p = 0; p < of_step; p++)
		{
			int64_t number = (window->first + r) * of_step + p;
			const PoolDiagPoint *point;

			if (number <= 0 || number >= UINT32_MAX)
				continue;
			point = &copy->points[place_of(tiers, window->tier, (uint32_t) number)];
			if (point->number == number)
				merge_point(row, weights, point);
		}
		for (int i = 0; i < POOLDIAG_GAUGES; i++)
			row->gauges[i] /= weights[i] > 0 ? weights[i] : 1;
	}
}

/* How many of a counter there were a second in a row that was read; NaN where that is not known. */
double
pooldiag_history_rate(const PoolDiagHistoryRow *row, PoolDiagCounter counter)
{
	return row->counted_seconds > 0 ? row->counters[counter] / row->counted_seconds : NAN;
}
