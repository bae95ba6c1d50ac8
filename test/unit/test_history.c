/*
 * link: history.c points.c histogram.c
 *
 * Tiers of points: what a moment leaves behind, gaps, clocks that jump, windows; and long random streams
 * against a model that keeps every moment.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "history.h"

#define SECOND INT64_C(1000000)
/* 2026-11-23 15:33:20, the beginning of a span in all tiers. */
#define START (INT64_C(848000000) / 900 * 900 * SECOND)
#define DAY INT64_C(86400)
#define MAX_ROWS 9000

/* Small ones, that wrap around soon. */
static const PoolDiagTier small[POOLDIAG_TIERS] = {{1, 20}, {5, 12}, {30, 10}};

static PoolDiagHistoryRow rows[MAX_ROWS];
static unsigned long long random_state;

static unsigned
dice(unsigned sides)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned) (random_state >> 33) % sides;
}

static PoolDiagSeries *
make(const PoolDiagTier *tiers)
{
	PoolDiagSeries *series = calloc(1, pooldiag_history_size(tiers));

	assert_non_null(series);
	return series;
}

/* A moment at which so many were connected, all of them active. */
static PoolDiagMoment
moment_of(double at, int connections)
{
	PoolDiagMoment moment;

	pooldiag_history_moment(&moment, START + (int64_t) (at * SECOND));
	moment.gauges[POOLDIAG_GAUGE_CONNECTIONS] = connections;
	moment.gauges[POOLDIAG_GAUGE_ACTIVE] = connections;
	return moment;
}

static void
add(PoolDiagSeries *series, const PoolDiagTier *tiers, double at, int connections)
{
	PoolDiagMoment moment = moment_of(at, connections);

	pooldiag_history_add(series, tiers, &moment);
}

/* Reads from a copy, as a reader does. */
static void
read_window(const PoolDiagSeries *series, const PoolDiagTier *tiers,
			const PoolDiagHistoryWindow *window)
{
	PoolDiagSeries *copy = make(tiers);

	memcpy(copy, series, pooldiag_history_size(tiers));
	pooldiag_history_read(copy, tiers, window, rows);
	free(copy);
}

/* Reads that many rows of one tier's points, up to the one of this instant; the last row is returned. */
static PoolDiagHistoryRow *
read_tier(const PoolDiagSeries *series, const PoolDiagTier *tiers, int tier, double until,
		  int count)
{
	PoolDiagHistoryWindow window = {.tier = tier, .step = tiers[tier].seconds, .rows = count};

	window.first = (START / SECOND + (int64_t) floor(until)) / window.step - count + 1;
	read_window(series, tiers, &window);
	return &rows[count - 1];
}

static void
points_keep_what_they_are_given(void **state)
{
	PoolDiagFigures figures;
	PoolDiagFigures back;
	PoolDiagPoint point;

	(void) state;
	assert_int_equal(sizeof(PoolDiagPoint), 48);
	for (double v = 1.0 / 512; v < 500000; v = v * 1.001 + 1.0 / 4096)
	{
		pooldiag_figures_clear(&figures);
		figures.gauges[POOLDIAG_GAUGE_IDLE] = v;
		figures.maxima[POOLDIAG_GAUGE_CONNECTIONS] = floor(v);
		figures.maxima[POOLDIAG_GAUGE_WAITING] = floor(v);
		pooldiag_point_write(&point, 7, &figures);
		pooldiag_point_read(&point, &back);
		assert_true(fabs(back.gauges[POOLDIAG_GAUGE_IDLE] - v) <= 1.0 / 512 + v / 8192);
		assert_true(back.gauges[POOLDIAG_GAUGE_IDLE] > 0);
		assert_true(back.maxima[POOLDIAG_GAUGE_CONNECTIONS] == floor(v));
		if (v < 8192)
			assert_true(back.maxima[POOLDIAG_GAUGE_WAITING] == floor(v));
		assert_true(back.gauges[POOLDIAG_GAUGE_ACTIVE] < 0);
		assert_true(back.maxima[POOLDIAG_GAUGE_ACTIVE] < 0);
	}
	for (int bucket = -1; bucket < POOLDIAG_BUCKETS; bucket++)
	{
		pooldiag_figures_clear(&figures);
		figures.timings[POOLDIAG_TIMING_HOLD] = bucket;
		figures.counters[POOLDIAG_COUNTER_CLOSED] = bucket;
		figures.counters[POOLDIAG_COUNTER_STATEMENTS] = bucket;
		pooldiag_point_write(&point, 7, &figures);
		pooldiag_point_read(&point, &back);
		assert_int_equal(back.timings[POOLDIAG_TIMING_HOLD], bucket);
		assert_int_equal(back.timings[POOLDIAG_TIMING_STATEMENT], -1);
		assert_int_equal(back.counters[POOLDIAG_COUNTER_CLOSED], bucket);
		assert_int_equal(back.counters[POOLDIAG_COUNTER_STATEMENTS], bucket);
		assert_int_equal(back.counters[POOLDIAG_COUNTER_XACTS], -1);
	}
}

static void
points_keep_the_ends_of_their_ranges(void **state)
{
	PoolDiagFigures figures;
	PoolDiagFigures back;
	PoolDiagPoint point;

	(void) state;
	pooldiag_figures_clear(&figures);
	figures.weight = 2000;
	figures.gauges[POOLDIAG_GAUGE_CONNECTIONS] = 0;
	figures.gauges[POOLDIAG_GAUGE_ACTIVE] = 262143;
	figures.gauges[POOLDIAG_GAUGE_WAITING] = 524286;
	figures.gauges[POOLDIAG_GAUGE_UTILIZATION] = 1e30;
	figures.gauges[POOLDIAG_GAUGE_IDLE] = 1e-9;
	figures.gauges[POOLDIAG_GAUGE_IDLE_IN_TRANSACTION] = NAN;
	figures.maxima[POOLDIAG_GAUGE_CONNECTIONS] = 262143;
	figures.counters[POOLDIAG_COUNTER_XACTS] = INT64_C(1) << 40;
	figures.counters[POOLDIAG_COUNTER_OPENED] = INT64_C(1) << 40;
	pooldiag_point_write(&point, UINT32_MAX, &figures);
	pooldiag_point_read(&point, &back);
	assert_int_equal(back.weight, 1023);
	assert_true(back.gauges[POOLDIAG_GAUGE_CONNECTIONS] == 0);
	assert_true(fabs(back.gauges[POOLDIAG_GAUGE_ACTIVE] - 262143) < 40);
	assert_true(fabs(back.gauges[POOLDIAG_GAUGE_WAITING] - 524286) < 200);
	assert_true(back.gauges[POOLDIAG_GAUGE_UTILIZATION] > 520000);
	assert_true(back.gauges[POOLDIAG_GAUGE_IDLE] > 0);
	assert_true(back.gauges[POOLDIAG_GAUGE_IDLE_IN_TRANSACTION] < 0);
	assert_true(back.maxima[POOLDIAG_GAUGE_CONNECTIONS] == 262143);
	assert_int_equal(back.counters[POOLDIAG_COUNTER_XACTS], UINT32_MAX - 1);
	assert_int_equal(back.counters[POOLDIAG_COUNTER_OPENED], 0xFFFFFE);
}

static void
an_empty_series_knows_nothing(void **state)
{
	PoolDiagSeries *series = make(small);

	(void) state;
	for (int t = 0; t < POOLDIAG_TIERS; t++)
	{
		read_tier(series, small, t, 0, small[t].points);
		for (int r = 0; r < small[t].points; r++)
		{
			assert_false(rows[r].known);
			assert_true(isnan(rows[r].gauges[POOLDIAG_GAUGE_CONNECTIONS]));
			assert_true(isnan(rows[r].maxima[POOLDIAG_GAUGE_CONNECTIONS]));
			assert_true(isnan(rows[r].counters[POOLDIAG_COUNTER_XACTS]));
			assert_true(isnan(rows[r].timings_ms[POOLDIAG_TIMING_HOLD]));
		}
	}
	free(series);
}

static void
a_moment_is_in_every_tier_at_once(void **state)
{
	PoolDiagSeries *series = make(small);
	PoolDiagMoment moment = moment_of(0.5, 7);

	(void) state;
	moment.max_connections_seen = 9;
	moment.counters[POOLDIAG_COUNTER_OPENED] = 3;
	pooldiag_history_add(series, small, &moment);
	for (int t = 0; t < POOLDIAG_TIERS; t++)
	{
		PoolDiagHistoryRow *row = read_tier(series, small, t, 0, 1);

		assert_true(row->known);
		assert_true(row->at == START);
		assert_true(row->gauges[POOLDIAG_GAUGE_CONNECTIONS] == 7);
		assert_true(row->maxima[POOLDIAG_GAUGE_CONNECTIONS] == 9);
		assert_true(row->maxima[POOLDIAG_GAUGE_ACTIVE] == 7);
		assert_true(row->counters[POOLDIAG_COUNTER_OPENED] == 3);
		assert_true(isnan(row->counters[POOLDIAG_COUNTER_XACTS]));
		assert_true(isnan(row->gauges[POOLDIAG_GAUGE_WAITING]));
	}
	free(series);
}

static void
a_second_weighs_the_same_however_many_looked(void **state)
{
	PoolDiagSeries *series = make(small);
	PoolDiagHistoryRow *row;

	(void) state;
	/* A burst of looks at a spike in the first of five seconds. */
	for (int i = 0; i < 100; i++)
		add(series, small, 0.001 * i, 50);
	for (int s = 1; s < 5; s++)
		add(series, small, s + 0.5, 0);
	row = read_tier(series, small, 1, 4, 1);
	assert_true(row->gauges[POOLDIAG_GAUGE_CONNECTIONS] == 10);
	assert_true(row->maxima[POOLDIAG_GAUGE_CONNECTIONS] == 50);
	free(series);
}

static void
ticks_on_the_edge_of_a_second_leave_no_hole(void **state)
{
	PoolDiagSeries *series = make(small);

	(void) state;
	add(series, small, 0.9995, 1);
	add(series, small, 2.0003, 2);
	add(series, small, 2.9998, 3);
	add(series, small, 4.0001, 4);
	read_tier(series, small, 0, 4, 5);
	assert_true(rows[0].gauges[POOLDIAG_GAUGE_CONNECTIONS] == 1);
	assert_true(rows[1].gauges[POOLDIAG_GAUGE_CONNECTIONS] == 2);
	assert_true(rows[2].gauges[POOLDIAG_GAUGE_CONNECTIONS] == 2.5);
	assert_true(rows[3].gauges[POOLDIAG_GAUGE_CONNECTIONS] == 4);
	assert_true(rows[4].gauges[POOLDIAG_GAUGE_CONNECTIONS] == 4);
	/* Two seconds without a look are not known, and one after a pause isn't either. */
	add(series, small, 7.5, 7);
	add(series, small, 9.6, 9);
	read_tier(series, small, 0, 9, 5);
	assert_false(rows[0].known);
	assert_false(rows[1].known);
	assert_true(rows[2].known);
	assert_false(rows[3].known);
	assert_true(rows[4].known);
	free(series);
}

static void
counters_and_percentiles_are_merged(void **state)
{
	uint32_t fast[POOLDIAG_BUCKETS] = {0};
	uint32_t slow[POOLDIAG_BUCKETS] = {0};
	PoolDiagSeries *series = make(small);
	PoolDiagMoment moment = moment_of(0, 1);
	PoolDiagHistoryRow *row;

	(void) state;
	fast[pooldiag_histogram_bucket(1000)] = 96;
	slow[pooldiag_histogram_bucket(1000000)] = 4;
	moment.counted_seconds = 1;
	moment.counters[POOLDIAG_COUNTER_XACTS] = 96;
	moment.timings[POOLDIAG_TIMING_HOLD] = fast;
	pooldiag_history_add(series, small, &moment);

	moment.at = START + 2 * SECOND;
	moment.counted_seconds = 2;
	moment.counters[POOLDIAG_COUNTER_XACTS] = 4;
	moment.timings[POOLDIAG_TIMING_HOLD] = slow;
	pooldiag_history_add(series, small, &moment);

	/* A second of which nothing but the connections is known. */
	add(series, small, 3, 1);

	row = read_tier(series, small, 1, 3, 1);
	assert_true(row->counters[POOLDIAG_COUNTER_XACTS] == 100);
	assert_true(row->counted_seconds == 3);
	assert_true(fabs(row->timings_ms[POOLDIAG_TIMING_HOLD] - 1) < 0.07);
	assert_true(isnan(row->timings_ms[POOLDIAG_TIMING_STATEMENT]));
	read_tier(series, small, 0, 3, 4);
	assert_true(fabs(rows[0].timings_ms[POOLDIAG_TIMING_HOLD] - 1) < 0.07);
	assert_true(fabs(rows[2].timings_ms[POOLDIAG_TIMING_HOLD] - 1000) < 70);
	assert_true(rows[2].counters[POOLDIAG_COUNTER_XACTS] == 4 && rows[2].counted_seconds == 2);
	assert_true(isnan(rows[3].counters[POOLDIAG_COUNTER_XACTS]));

	/* None of anything is known to be none, but has no percentile. */
	memset(fast, 0, sizeof(fast));
	moment.at = START + 4 * SECOND;
	moment.counters[POOLDIAG_COUNTER_XACTS] = 0;
	moment.timings[POOLDIAG_TIMING_HOLD] = fast;
	pooldiag_history_add(series, small, &moment);
	row = read_tier(series, small, 0, 4, 1);
	assert_true(row->counters[POOLDIAG_COUNTER_XACTS] == 0);
	assert_true(isnan(row->timings_ms[POOLDIAG_TIMING_HOLD]));
	/* And makes the others' no less. */
	row = read_tier(series, small, 1, 4, 1);
	assert_true(fabs(row->timings_ms[POOLDIAG_TIMING_HOLD] - 1) < 0.07);
	free(series);
}

static void
a_small_step_back_loses_nothing(void **state)
{
	PoolDiagSeries *series = make(small);
	PoolDiagHistoryRow *row;

	(void) state;
	/* Over the edge of a five second point and back, a spike on either side. */
	add(series, small, 3.5, 10);
	add(series, small, 4.5, 40);
	add(series, small, 5.5, 60);
	add(series, small, 4.6, 20);
	add(series, small, 5.6, 20);
	add(series, small, 6.6, 10);
	row = read_tier(series, small, 1, 4, 1);
	assert_true(row->maxima[POOLDIAG_GAUGE_CONNECTIONS] == 40);
	row = read_tier(series, small, 1, 6, 1);
	assert_true(row->maxima[POOLDIAG_GAUGE_CONNECTIONS] == 60);
	row = read_tier(series, small, 0, 5, 1);
	assert_true(row->gauges[POOLDIAG_GAUGE_CONNECTIONS] == 40);
	free(series);
}

static void
a_large_step_back_replaces(void **state)
{
	PoolDiagSeries *series = make(pooldiag_history_server_tiers);
	PoolDiagHistoryRow *row;

	(void) state;
	for (int s = 0; s < 600; s++)
		add(series, pooldiag_history_server_tiers, s, 90);
	for (int s = 300; s < 330; s++)
		add(series, pooldiag_history_server_tiers, s, 10);
	row = read_tier(series, pooldiag_history_server_tiers, 1, 320, 1);
	assert_true(row->maxima[POOLDIAG_GAUGE_CONNECTIONS] == 10);
	row = read_tier(series, pooldiag_history_server_tiers, 1, 290, 1);
	assert_true(row->maxima[POOLDIAG_GAUGE_CONNECTIONS] == 90);
	free(series);
}

static void
clocks_beyond_belief_are_ignored(void **state)
{
	static const int64_t never[] = {INT64_MIN, -1, 0, 899 * SECOND, UINT32_MAX * SECOND, INT64_MAX};
	PoolDiagSeries *series = make(pooldiag_history_pool_tiers);

	(void) state;
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
	{
		PoolDiagMoment moment;

		pooldiag_history_moment(&moment, never[i]);
		moment.gauges[POOLDIAG_GAUGE_CONNECTIONS] = 1;
		pooldiag_history_add(series, pooldiag_history_pool_tiers, &moment);
	}
	assert_int_equal(series->filled[0], 0);
	assert_int_equal(series->open[0].number, 0);
	free(series);
}

static void
windows_have_the_tier_that_fits(void **state)
{
	static const struct
	{
		bool server;
		int64_t since;
		double step;
		double least;
		int most;
		int tier;
		int got_step;
		int rows;
	} cases[] = {
		/* without a step */
		{true, 600, 0, 0, 600, 0, 1, 600},
		{true, 60, 0, 0, 600, 0, 1, 60},
		{true, 1, 0, 0, 600, 0, 1, 1},
		{true, 601, 0, 0, 600, 1, 10, 61},
		{true, 3600, 0, 0, 600, 1, 10, 360},
		{true, 21600, 0, 0, 600, 1, 60, 360},
		{true, DAY, 0, 0, 600, 2, 300, 288},
		{true, 30 * DAY, 0, 0, 600, 2, 7200, 360},
		{false, 3600, 0, 0, 600, 1, 60, 60},
		{false, DAY, 0, 0, 600, 2, 900, 96},
		{false, 7 * DAY, 0, 0, 600, 2, 1800, 336},
		/* for a chart */
		{true, 600, 0, 0, 72, 1, 10, 60},
		{true, 60, 0, 0, 72, 0, 1, 60},
		{true, 3600, 0, 0, 72, 1, 60, 60},
		{true, 21600, 0, 0, 72, 2, 300, 72},
		{true, DAY, 0, 0, 72, 2, 1200, 72},
		{true, 30 * DAY, 0, 0, 72, 2, 43200, 60},
		{false, 600, 0, 0, 72, 0, 10, 60},
		{false, DAY, 0, 0, 72, 2, 1800, 48},
		/* no finer than the samples are */
		{true, 600, 0, 2.5, 600, 0, 5, 120},
		{true, 600, 0, 0.1, 600, 0, 1, 600},
		{true, 600, 0, 10, 600, 1, 10, 60},
		/* with a step */
		{true, 600, 1, 60, 600, 0, 1, 600},
		{true, 600, 0.1, 0, 600, 0, 1, 600},
		{true, 600, 7, 0, 600, 0, 7, 86},
		{true, 600, 60, 0, 600, 1, 60, 10},
		{true, 600, 600, 0, 600, 2, 600, 1},
		{true, 3600, 1, 0, 600, 1, 10, 360},
		{true, 3600, 15, 0, 600, 1, 20, 180},
		{true, DAY, 1, 0, 600, 2, 300, 288},
		{true, 30 * DAY, 1, 0, 600, 2, 300, 8640},
		{true, 60, DAY, 0, 600, 2, DAY, 1},
		{false, 7 * DAY, DAY, 0, 600, 2, DAY, 7},
		{false, 7 * DAY, 1e9, 0, 600, 2, 7 * DAY, 1},
		/* what is asked for beyond what is kept is refused before; here it is only cut */
		{false, INT64_C(4000000000), 0, 0, 600, 2, 1800, 336},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		const PoolDiagTier *tiers =
			cases[i].server ? pooldiag_history_server_tiers : pooldiag_history_pool_tiers;
		int64_t now = START + 1234567890;
		PoolDiagHistoryWindow window = pooldiag_history_window(
			tiers, now, cases[i].since * SECOND, (int64_t) (cases[i].step * SECOND),
			(int64_t) (cases[i].least * SECOND), cases[i].most);

		if (window.tier != cases[i].tier || window.step != cases[i].got_step ||
			window.rows != cases[i].rows)
			fail_msg("case %d: tier %d, step %d, %d rows", (int) i, window.tier, window.step,
					 window.rows);
		/* The last row is the present. */
		assert_true((window.first + window.rows - 1) * window.step * SECOND <= now);
		assert_true((window.first + window.rows) * window.step * SECOND > now);
	}
}

/* The model keeps all that was added to a point, as it came: moments of seconds, visit by visit. */
#define MODEL_VISITS 400
#define MODEL_MOMENTS 12

typedef struct Visit
{
	int moments;
	double values[MODEL_MOMENTS];
} Visit;

typedef struct ModelPoint
{
	int64_t number;
	int weight_before; /* of what was read back when it was gone on with */
	double mean_before;
	double maximum;
	double count;
	int visits;
	Visit visit[MODEL_VISITS];
} ModelPoint;

static ModelPoint model[POOLDIAG_TIERS][20];
static int64_t model_second;
static int64_t model_last_at;
static int64_t model_relived;

static double
visit_mean(const Visit *visit)
{
	double sum = 0;

	for (int i = 0; i < visit->moments; i++)
		sum += visit->values[i];
	return sum / visit->moments;
}

static double
model_mean(const ModelPoint *point, int *weight)
{
	double sum = point->mean_before * point->weight_before;

	*weight = point->weight_before;
	for (int i = 0; i < point->visits; i++)
	{
		sum += visit_mean(&point->visit[i]);
		++*weight;
	}
	return sum / *weight;
}

static void
model_add_at(int64_t second, double value, double seen, double count)
{
	bool visits = second != model_second;
	double seconds_mean_before = -1;

	if (second < model_second)
	{
		if (model_relived < model_second)
			model_relived = model_second;
		if (model_relived - second > 60)
			model_relived = 0;
	}
	for (int t = 0; t < POOLDIAG_TIERS; t++)
	{
		int64_t number = second / small[t].seconds;
		ModelPoint *point = &model[t][number % small[t].points];
		Visit *visit;

		if (number != model_second / small[t].seconds)
		{
			int weight = 0;
			bool go_on = second <= model_relived && point->number == number;
			ModelPoint next = {.number = number, .maximum = -1, .count = -1};

			if (go_on)
			{
				next.mean_before = model_mean(point, &weight);
				next.weight_before = weight;
				next.maximum = point->maximum;
				next.count = point->count;
			}
			*point = next;
			/* A second that is gone on with counts as one moment of it. */
			if (t == 0 && go_on)
			{
				seconds_mean_before = point->mean_before;
				point->weight_before = 0;
			}
		}
		if (visits)
		{
			assert_true(point->visits < MODEL_VISITS);
			point->visit[point->visits].moments = 0;
			if (seconds_mean_before >= 0)
			{
				point->visit[point->visits].values[0] = seconds_mean_before;
				point->visit[point->visits].moments = 1;
			}
			point->visits++;
		}
		visit = &point->visit[point->visits - 1];
		assert_true(visit->moments < MODEL_MOMENTS);
		visit->values[visit->moments++] = value;
		point->maximum = fmax(point->maximum, fmax(value, seen));
		if (count >= 0)
			point->count = fmax(point->count, 0) + count;
	}
	model_second = second;
}

static void
model_add(int64_t at, double value, double seen, double count)
{
	int64_t second = at / SECOND;

	if (model_second > 0 && second == model_second + 2 && at - model_last_at < 2 * SECOND)
		model_add_at(second - 1, value, 0, -1);
	model_add_at(second, value, seen, count);
	model_last_at = at;
}

static void
compare_with_model(const PoolDiagSeries *series, int64_t now)
{
	for (int t = 0; t < POOLDIAG_TIERS; t++)
	{
		PoolDiagHistoryWindow window = {
			.tier = t, .step = small[t].seconds, .rows = small[t].points};

		window.first = now / SECOND / window.step - window.rows + 1;
		read_window(series, small, &window);
		for (int r = 0; r < window.rows; r++)
		{
			int64_t number = window.first + r;
			const ModelPoint *point = &model[t][number % small[t].points];
			int weight;
			double mean;

			assert_true(rows[r].at == number * window.step * SECOND);
			assert_int_equal(rows[r].known, point->number == number);
			if (!rows[r].known)
				continue;
			mean = model_mean(point, &weight);
			assert_true(fabs(rows[r].gauges[POOLDIAG_GAUGE_CONNECTIONS] - mean) <=
						0.02 + mean / 1000);
			assert_true(rows[r].maxima[POOLDIAG_GAUGE_CONNECTIONS] == point->maximum);
			if (point->count < 0)
				assert_true(isnan(rows[r].counters[POOLDIAG_COUNTER_REFUSED]));
			else
				assert_true(rows[r].counters[POOLDIAG_COUNTER_REFUSED] == point->count);
		}
	}
}

static void
random_streams_are_as_the_model_has_them(void **state)
{
	(void) state;
	for (int round = 0; round < 300; round++)
	{
		PoolDiagSeries *series = make(small);
		int64_t at = START;
		int jumps = round % 4;
		int in_second = 0;

		random_state = 88172645463325252ULL + (unsigned long long) round * 7919;
		memset(model, 0, sizeof(model));
		model_second = model_last_at = model_relived = 0;
		for (int i = 0; i < 600; i++)
		{
			PoolDiagMoment moment;
			int64_t before = at;

			switch (dice(40))
			{
				case 0: /* a gap */
					at += (int64_t) dice(400) * SECOND;
					break;
				case 1: /* a clock that is put forward, or back, a little or a lot */
					if (jumps > 0)
						at += (int64_t) dice(1000) * SECOND;
					break;
				case 2:
					if (jumps > 1)
						at -= (int64_t) dice(8) * SECOND / 2;
					break;
				case 3:
					if (jumps > 2)
						at -= (int64_t) dice(1000) * SECOND;
					break;
				case 4: /* once more in the same second, maybe */
				case 5:
					at += 1000;
					break;
				default: /* a tick */
					at += SECOND - 50000 + dice(100000);
			}
			if (at < START)
				at = START;
			/* The model has room for so many. */
			in_second = at / SECOND == before / SECOND ? in_second + 1 : 0;
			if (in_second > 8)
				at += SECOND;

			pooldiag_history_moment(&moment, at);
			moment.gauges[POOLDIAG_GAUGE_CONNECTIONS] = dice(dice(2) ? 10 : 2000);
			moment.max_connections_seen = dice(5) ? 0 : dice(3000);
			if (dice(2))
				moment.counters[POOLDIAG_COUNTER_REFUSED] = dice(4);
			pooldiag_history_add(series, small, &moment);
			model_add(at, moment.gauges[POOLDIAG_GAUGE_CONNECTIONS],
					  (double) moment.max_connections_seen,
					  (double) moment.counters[POOLDIAG_COUNTER_REFUSED]);
			if (dice(5) == 0)
				compare_with_model(series, at + (int64_t) dice(3) * 10 * SECOND);
		}
		compare_with_model(series, at);
		for (int t = 0; t < POOLDIAG_TIERS; t++)
			assert_in_range(series->filled[t], 1, small[t].points);
		free(series);
	}
}

/* What is being written is not read, and all else is. */
static void
what_is_being_written_is_hidden(void **state)
{
	PoolDiagSeries *series = make(small);
	PoolDiagHistoryRow *row;

	(void) state;
	for (int s = 0; s < 30; s++)
		add(series, small, s, 5);
	pooldiag_history_hide_open(series, small);
	row = read_tier(series, small, 0, 29, 10);
	assert_false(row->known);
	for (int back = 3; back < 10; back++)
		assert_true(row[-back].gauges[POOLDIAG_GAUGE_CONNECTIONS] == 5);
	row = read_tier(series, small, 1, 29, 6);
	assert_false(row->known);
	assert_true(row[-3].gauges[POOLDIAG_GAUGE_CONNECTIONS] == 5);
	/* A series in which nothing is open is no worse. */
	pooldiag_history_hide_open(series, small);
	memset(series, 0, pooldiag_history_size(small));
	pooldiag_history_hide_open(series, small);
	free(series);
}

/* Rows of a longer step have of several points what one of them would have. */
static void
steps_merge_points(void **state)
{
	PoolDiagSeries *series = make(pooldiag_history_server_tiers);
	PoolDiagHistoryWindow window;

	(void) state;
	for (int s = 0; s < 600; s++)
	{
		PoolDiagMoment moment = moment_of(s + 0.1, s % 60 == 30 ? 100 : s / 60);

		moment.counters[POOLDIAG_COUNTER_OPENED] = 2;
		/* Half of the third minute is missing. */
		if (s < 120 || s >= 150)
			pooldiag_history_add(series, pooldiag_history_server_tiers, &moment);
	}
	window = pooldiag_history_window(pooldiag_history_server_tiers, START + 599 * SECOND,
									 600 * SECOND, 60 * SECOND, 0, 0);
	assert_int_equal(window.rows, 10);
	read_window(series, pooldiag_history_server_tiers, &window);
	for (int r = 0; r < 10; r++)
	{
		double seconds = r == 2 ? 30 : 60;

		assert_true(rows[r].at == START + INT64_C(60) * r * SECOND);
		assert_true(rows[r].maxima[POOLDIAG_GAUGE_CONNECTIONS] == 100);
		assert_true(fabs(rows[r].gauges[POOLDIAG_GAUGE_CONNECTIONS] -
						 (100 + r * (seconds - 1)) / seconds) < 0.05);
		assert_true(rows[r].counters[POOLDIAG_COUNTER_OPENED] == 2 * seconds);
	}
	free(series);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(points_keep_what_they_are_given),
		cmocka_unit_test(points_keep_the_ends_of_their_ranges),
		cmocka_unit_test(an_empty_series_knows_nothing),
		cmocka_unit_test(a_moment_is_in_every_tier_at_once),
		cmocka_unit_test(a_second_weighs_the_same_however_many_looked),
		cmocka_unit_test(ticks_on_the_edge_of_a_second_leave_no_hole),
		cmocka_unit_test(counters_and_percentiles_are_merged),
		cmocka_unit_test(a_small_step_back_loses_nothing),
		cmocka_unit_test(a_large_step_back_replaces),
		cmocka_unit_test(clocks_beyond_belief_are_ignored),
		cmocka_unit_test(windows_have_the_tier_that_fits),
		cmocka_unit_test(what_is_being_written_is_hidden),
		cmocka_unit_test(steps_merge_points),
		cmocka_unit_test(random_streams_are_as_the_model_has_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
