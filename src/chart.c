/*
 * chart.c
 *	  A picture of figures over time: bars of eighths of a character, an axis on either side.
 *
 * From the left: seven columns for figures, one for the axis, up to 72 for the bars. Zero is an empty column,
 * the least that is more has the lowest eighth, and a column of which nothing is known has a dot and a broken axis.
 * Where a column's highest value is known beside its mean, the way from one to the other is shaded.
 */
#include "chart.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "chart_text.h"

#define LABEL_WIDTH 7
/* Divisible by each number of ticks. */
#define HEIGHT 12
#define DAY 86400

/* What a figure looks like in a chart that may use UTF-8, and in one that may not. */
typedef struct Symbols
{
	const char *eighths[9];
	const char *shade;
	const char *unknown;
	const char *axis;
	const char *tick;
	const char *corner;
	const char *ground;
	const char *ground_tick;
	const char *ground_unknown;
} Symbols;

static const Symbols unicode = {
	{" ", "\xe2\x96\x81", "\xe2\x96\x82", "\xe2\x96\x83", "\xe2\x96\x84", "\xe2\x96\x85",
	 "\xe2\x96\x86", "\xe2\x96\x87", "\xe2\x96\x88"}, /* lower one eighth block .. full block */
	"\xe2\x96\x91",									  /* light shade */
	"\xc2\xb7",										  /* middle dot */
	"\xe2\x94\x82",									  /* box drawings light vertical */
	"\xe2\x94\xa4",									  /* vertical and left */
	"\xe2\x94\xbc",									  /* vertical and horizontal */
	"\xe2\x94\x80",									  /* horizontal */
	"\xe2\x94\xac",									  /* down and horizontal */
	"\xe2\x95\x8c",									  /* double dash horizontal */
};

static const Symbols ascii = {
	{" ", "_", "_", "_", "#", "#", "#", "#", "#"}, ":", ".", "|", "+", "+", "-", "+", " ",
};

/* A line as it grows, without the blanks at its end. What does not fit is left out. */
typedef struct Line
{
	char text[POOLDIAG_CHART_LINE];
	size_t length;
	size_t blanks; /* that come before what comes next */
} Line;

static void
append(Line *line, const char *text)
{
	size_t length = strlen(text);

	if (strcmp(text, " ") == 0)
	{
		line->blanks++;
		return;
	}
	if (line->length + line->blanks + length >= sizeof(line->text))
		return;
	memset(line->text + line->length, ' ', line->blanks);
	line->length += line->blanks;
	line->blanks = 0;
	memcpy(line->text + line->length, text, length + 1);
	line->length += length;
}

/* Begins a line below the bars. */
static void
indent(Line *line)
{
	line->blanks = LABEL_WIDTH + 1;
}

static void
flush(Line *line, PoolDiagChartPut put, void *to)
{
	put(to, line->text);
	memset(line, 0, sizeof(*line));
}

/*
 * The least round top of an axis that has the highest value below it or at it, and into how many parts the axis
 * is divided by ticks that are round as well.
 */
static double
find_top(double highest, bool whole, int *parts)
{
	static const double round[] = {1, 2, 2.5, 5};
	static const int divisions[] = {4, 3, 2};
	double best = INFINITY;
	double magnitude;

	*parts = 2;
	if (!(highest > 0))
		return 2;
	/* Of a scale that is one too small at the start, as the parts are of the top. */
	magnitude = pow(10, floor(log10(highest)) - 1);
	for (int m = 0; m < 3; m++, magnitude *= 10)
		for (size_t r = 0; r < sizeof(round) / sizeof(round[0]); r++)
			for (size_t d = 0; d < sizeof(divisions) / sizeof(divisions[0]); d++)
			{
				double tick = round[r] * magnitude;
				double top = tick * divisions[d];

				if (top < highest * (1 - 1e-9) || top >= best * (1 - 1e-9) ||
					(whole && fabs(tick - floor(tick + 0.5)) > 1e-9))
					continue;
				best = top;
				*parts = divisions[d];
			}
	return best;
}

static double
highest_of(const PoolDiagChart *chart, int column)
{
	double value = chart->values[column];

	if (chart->maxima != NULL && chart->maxima[column] > value)
		return chart->maxima[column];
	return value;
}

/* How many eighths of a character a value is high; at least one, if it is anything. */
static int
eighths(double value, double top)
{
	double level = value / top * HEIGHT * 8;

	if (!(value > 0))
		return 0;
	return level < 1 ? 1 : (int) (level + 0.5);
}

/* One character of a column: of the row that begins so many eighths above the ground. */
static const char *
cell(const PoolDiagChart *chart, const Symbols *symbols, int column, int ground, double top)
{
	int bar;

	if (isnan(chart->values[column]))
		return ground == 0 ? symbols->unknown : " ";
	bar = eighths(chart->values[column], top) - ground;
	if (bar >= 8)
		return symbols->eighths[8];
	/* Without eighths, a little is shown in the lowest row only, where it tells some from none. */
	if (bar >= 4 || (bar > 0 && (ground == 0 || symbols != &ascii)))
		return symbols->eighths[bar];
	return eighths(highest_of(chart, column), top) - ground >= 4 ? symbols->shade : " ";
}

/* How wide a column is drawn: few of them are drawn wider. */
static int
column_width(const PoolDiagChart *chart)
{
	int width = POOLDIAG_CHART_COLUMNS / chart->columns;

	return width > 8 ? 8 : width;
}

/* Seconds on the reader's clock. */
static int64_t
clock_of(const PoolDiagChart *chart, int64_t at)
{
	return at / 1000000 + chart->utc_offset(at);
}

/* How far apart ticks of the time axis are, in seconds, for their labels to have room. */
static int64_t
find_time_tick(const PoolDiagChart *chart)
{
	static const int ticks[] = {1,	   2,	  5,	 10,  15,	   30,		60,
								120,   300,	  600,	 900, 1800,	   3600,	7200,
								10800, 21600, 43200, DAY, 2 * DAY, 5 * DAY, 7 * DAY};

	for (size_t i = 0; i < sizeof(ticks) / sizeof(ticks[0]); i++)
	{
		int label = ticks[i] >= DAY || ticks[i] % 60 == 0 ? 6 : 8;

		if (ticks[i] >= chart->step_seconds &&
			(int64_t) ticks[i] * column_width(chart) >= (int64_t) (label + 3) * chart->step_seconds)
			return ticks[i];
	}
	return INT64_C(10) * DAY;
}

/* Does a tick of the time axis fall into this column? Then that is when, on the reader's clock. */
static bool
time_tick_in(const PoolDiagChart *chart, int column, int64_t tick, int64_t *when)
{
	int64_t begins =
		clock_of(chart, chart->first_at + (int64_t) column * chart->step_seconds * 1000000);
	int64_t last = begins + chart->step_seconds - 1;

	*when = last - ((last % tick) + tick) % tick;
	return *when >= begins;
}

/* The ground, with ticks, and below it what time they stand for. */
static void
draw_ground(const PoolDiagChart *chart, const Symbols *symbols, PoolDiagChartPut put, void *to)
{
	int width = column_width(chart);
	int64_t tick = find_time_tick(chart);
	Line ground = {.length = 0};
	Line times = {.length = 0};
	char label[16];

	ground.blanks = LABEL_WIDTH - 2;
	append(&ground, "0");
	append(&ground, " ");
	append(&ground, symbols->corner);
	for (int c = 0; c < chart->columns; c++)
	{
		const char *line = isnan(chart->values[c]) ? symbols->ground_unknown : symbols->ground;
		int64_t when;
		bool ticks = time_tick_in(chart, c, tick, &when);
		int place;

		for (int w = 0; w < width; w++)
			append(&ground, ticks && w == 0 ? symbols->ground_tick : line);
		if (!ticks)
			continue;
		pooldiag_chart_time(label, sizeof(label), when, tick);
		/* Below its tick, if it doesn't stand out on the right or touch the one before. */
		place = LABEL_WIDTH + 1 + c * width;
		if (place + (int) strlen(label) > 80 || (int) times.length >= place)
			continue;
		times.blanks = (size_t) place - times.length;
		append(&times, label);
	}
	flush(&ground, put, to);
	flush(&times, put, to);
}

/* The figures of the whole picture. */
static void
draw_figures(const PoolDiagChart *chart, PoolDiagChartPut put, void *to)
{
	Line line = {.length = 0};
	char text[32];
	double sum = 0;
	double last;
	int known = 0;
	int best = -1;
	int64_t when;

	for (int c = 0; c < chart->columns; c++)
	{
		if (isnan(chart->values[c]))
			continue;
		sum += chart->values[c];
		known++;
		if (best < 0 || highest_of(chart, c) > highest_of(chart, best))
			best = c;
	}
	indent(&line);
	if (best < 0)
	{
		append(&line, "nothing is known of this time");
		flush(&line, put, to);
		return;
	}
	append(&line, "max ");
	pooldiag_chart_figure(text, sizeof(text), chart, highest_of(chart, best));
	append(&line, text);
	when = clock_of(chart, chart->first_at + (int64_t) best * chart->step_seconds * 1000000);
	append(&line, " at ");
	pooldiag_chart_time(text, sizeof(text), when, chart->step_seconds < 60 ? 1 : 60);
	append(&line, text);
	if (chart->columns * (int64_t) chart->step_seconds > DAY)
	{
		append(&line, " on ");
		pooldiag_chart_time(text, sizeof(text), when, DAY);
		append(&line, text);
	}
	append(&line, chart->totals ? ", sum " : ", mean ");
	pooldiag_chart_figure(text, sizeof(text), chart, chart->totals ? sum : sum / known);
	append(&line, text);
	append(&line, ", last ");
	last = chart->values[chart->columns - 1];
	if (isnan(last))
		append(&line, "not known");
	else
	{
		pooldiag_chart_figure(text, sizeof(text), chart, last);
		append(&line, text);
	}
	flush(&line, put, to);
}

/* What the symbols mean that are in the picture. */
static void
draw_legend(const PoolDiagChart *chart, const Symbols *symbols, PoolDiagChartPut put, void *to)
{
	Line line = {.length = 0};
	char step[32];
	bool unknown = false;

	for (int c = 0; c < chart->columns; c++)
		unknown = unknown || isnan(chart->values[c]);
	indent(&line);
	append(&line, symbols->eighths[8]);
	append(&line, " ");
	append(&line, chart->bar);
	append(&line, " of ");
	pooldiag_chart_span(step, sizeof(step), chart->step_seconds);
	append(&line, step);
	if (chart->maxima != NULL)
	{
		append(&line, "   ");
		append(&line, symbols->shade);
		append(&line, " highest in it");
	}
	if (unknown)
	{
		append(&line, "   ");
		append(&line, symbols->unknown);
		append(&line, " not known");
	}
	flush(&line, put, to);
}

/* The top of the axis, in a unit in which it and its ticks are round. */
static double
top_of(const PoolDiagChart *chart, double highest, int *parts)
{
	bool whole = chart->unit == POOLDIAG_UNIT_COUNT;
	double divisor = pooldiag_chart_divisor(chart, highest);
	double top = find_top(highest / divisor, whole, parts) * divisor;

	/* 990 ms are shown on an axis that ends at 1 s. */
	divisor = pooldiag_chart_divisor(chart, top);
	return find_top(highest / divisor, whole, parts) * divisor;
}

/* Draws a picture of 16 lines, none wider than 80 columns. */
void
pooldiag_chart_draw(const PoolDiagChart *chart, PoolDiagChartPut put, void *to)
{
	const Symbols *symbols = chart->utf8 ? &unicode : &ascii;
	int width = column_width(chart);
	double highest = 0;
	double top;
	int parts;

	for (int c = 0; c < chart->columns; c++)
		if (highest_of(chart, c) > highest)
			highest = highest_of(chart, c);
	top = top_of(chart, highest, &parts);

	for (int row = 0; row < HEIGHT; row++)
	{
		bool ticks = row % (HEIGHT / parts) == 0;
		char label[32] = "";
		Line line = {.length = 0};

		if (ticks)
			pooldiag_chart_tick(label, sizeof(label), chart, top * (HEIGHT - row) / HEIGHT, top);
		for (int pad = LABEL_WIDTH - 1 - pooldiag_chart_width(label); pad > 0; pad--)
			append(&line, " ");
		append(&line, label);
		append(&line, " ");
		append(&line, ticks ? symbols->tick : symbols->axis);
		for (int c = 0; c < chart->columns; c++)
			for (int w = 0; w < width; w++)
				append(&line, cell(chart, symbols, c, (HEIGHT - 1 - row) * 8, top));
		flush(&line, put, to);
	}
	draw_ground(chart, symbols, put, to);
	draw_figures(chart, put, to);
	draw_legend(chart, symbols, put, to);
}
