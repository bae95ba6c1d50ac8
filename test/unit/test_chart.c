/*
 * link: chart.c chart_text.c
 *
 * Charts: pictures to the letter, figures and times in words, and of random figures that every line fits into
 * 80 columns and every bar is as high as its figure.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "chart.h"
#include "chart_text.h"

#define MAX_LINES 20
#define SECOND INT64_C(1000000)
#define DAY INT64_C(86400)
#define LENGTH(array) ((int) (sizeof(array) / sizeof((array)[0])))
/* 2026-11-14 19:33:20 */
#define START (INT64_C(848000000) * SECOND)

typedef struct Picture
{
	int lines;
	char text[MAX_LINES][POOLDIAG_CHART_LINE];
} Picture;

static double values[POOLDIAG_CHART_COLUMNS];
static double maxima[POOLDIAG_CHART_COLUMNS];

static int
one_hour_east(int64_t at)
{
	(void) at;
	return 3600;
}

static int
west(int64_t at)
{
	(void) at;
	return -(3 * 3600 + 1800);
}

static void
keep(void *to, const char *line)
{
	Picture *picture = to;

	assert_in_range(picture->lines, 0, MAX_LINES - 1);
	snprintf(picture->text[picture->lines++], POOLDIAG_CHART_LINE, "%s", line);
}

static Picture
draw(const PoolDiagChart *chart)
{
	Picture picture = {.lines = 0};

	pooldiag_chart_draw(chart, keep, &picture);
	return picture;
}

static void
expect(const PoolDiagChart *chart, const char *const *lines, int count)
{
	Picture picture = draw(chart);

	for (int i = 0; i < picture.lines; i++)
		if (i >= count || strcmp(picture.text[i], lines[i]) != 0)
			fail_msg("line %d is\n%s\ninstead of\n%s", i, picture.text[i],
					 i < count ? lines[i] : "none");
	assert_int_equal(picture.lines, count);
}

static PoolDiagChart
chart_of(int columns, int step_seconds)
{
	PoolDiagChart chart = {
		.unit = POOLDIAG_UNIT_COUNT,
		.bar = "mean",
		.utf8 = true,
		.columns = columns,
		.step_seconds = step_seconds,
		.first_at = START,
		.values = values,
		.utc_offset = one_hour_east,
	};

	return chart;
}

/* A mean that hides a spike, the highest value beside it, and the time since when nothing is known. */
static void
a_spike_that_a_mean_hides(void **state)
{
	static const char *const lines[] = {
		"    60 ┤",
		"       │                                            ░░░░",
		"       │                                            ░░░░",
		"       │                                            ░░░░",
		"    40 ┤                                            ░░░░",
		"       │                                            ░░░░",
		"       │                                            ░░░░",
		"       │                                            ░░░░",
		"    20 ┤                                            ░░░░▂▂▂▂▅▅▅▅",
		"       │                                        ▃▃▃▃▆▆▆▆████████",
		"       │                            ▂▂▂▂▅▅▅▅████████████████████",
		"       │                ▁▁▁▁▃▃▃▃▆▆▆▆████████████████████████████········",
		"     0 ┼────┬───────────┬───────────┬───────────┬───────────┬───╌╌╌╌╌╌╌╌",
		"            20:33:30    20:34:00    20:34:30    20:35:00    20:35:30",
		"        max 57 at 20:35:10, mean 6.44, last not known",
		"        █ mean of 10 s   ░ highest in it   · not known",
	};
	PoolDiagChart chart = chart_of(16, 10);

	(void) state;
	for (int i = 0; i < 16; i++)
		values[i] = maxima[i] = i < 4 ? 0 : i > 13 ? NAN : 0.02 + 2 * (i - 4);
	maxima[11] = 57;
	chart.maxima = maxima;
	expect(&chart, lines, LENGTH(lines));
}

static void
in_ascii(void **state)
{
	static const char *const lines[] = {
		" 1.5 s +",
		"       |",
		"       |                                                                       #",
		"       |                                                                      ##",
		"   1 s +                                                                     ###",
		"       |                                                                    ####",
		"       |                                                                  ######",
		"       |                                                                ########",
		" 0.5 s +                                                              ##########",
		"       |                                                           #############",
		"       |                                                      ##################",
		"       |............________________________________############################",
		"     0 +     +      -----+-----------+-----------+-----------+-----------+------",
		"             21:00       22:00       23:00       00:00       01:00       02:00",
		"        max 1.25 s at 02:28, mean 194 ms, last 1.25 s",
		"        # 95th percentile of 5 min   . not known",
	};
	PoolDiagChart chart = chart_of(72, 300);

	(void) state;
	for (int i = 0; i < 72; i++)
		values[i] = i < 12 ? NAN : 0.4 * pow(1.12, i);
	chart.unit = POOLDIAG_UNIT_MS;
	chart.bar = "95th percentile";
	chart.utf8 = false;
	expect(&chart, lines, LENGTH(lines));
}

static void
a_month_of_sums(void **state)
{
	static const char *const lines[] = {
		"   40k ┤                                                  ▂▂",
		"       │                                                  ██",
		"       │                                                  ██",
		"   30k ┤                                        ██        ██",
		"       │                                        ██        ██",
		"       │                              ▆▆        ██        ██",
		"   20k ┤                              ██        ██        ██",
		"       │                    ▄▄        ██        ██        ██",
		"       │                    ██        ██        ██        ██",
		"   10k ┤          ▂▂        ██        ██        ██        ██",
		"       │          ██        ██        ██        ██        ██",
		"       │          ██        ██        ██        ██        ██",
		"     0 ┼┬─────────┬─────────┬─────────┬─────────┬─────────┬─────────",
		"        Nov 15    Nov 20    Nov 25    Nov 30    Dec 5     Dec 10",
		"        max 37.5k at 20:33 on Dec 9, sum 112k, last 0",
		"        █ sum of 1 day",
	};
	PoolDiagChart chart = chart_of(30, 86400);

	(void) state;
	for (int i = 0; i < 30; i++)
		values[i] = i % 5 ? 0 : 1500 * i;
	chart.bar = "sum";
	chart.totals = true;
	expect(&chart, lines, LENGTH(lines));
}

static void
nothing_is_no_zero(void **state)
{
	PoolDiagChart chart = chart_of(72, 1);
	Picture nothing;
	Picture zero;

	(void) state;
	for (int i = 0; i < 72; i++)
		values[i] = NAN;
	nothing = draw(&chart);
	for (int i = 0; i < 72; i++)
		values[i] = 0;
	zero = draw(&chart);
	assert_string_equal(nothing.text[14], "        nothing is known of this time");
	assert_string_equal(zero.text[14], "        max 0 at 20:33:20, mean 0, last 0");
	assert_string_equal(zero.text[11], "       │");
	assert_string_not_equal(nothing.text[11], zero.text[11]);
	assert_string_not_equal(nothing.text[12], zero.text[12]);
	assert_non_null(strstr(nothing.text[15], "not known"));
	assert_null(strstr(zero.text[15], "not known"));
}

static void
figures_have_units_that_fit(void **state)
{
	static const struct
	{
		PoolDiagChartUnit unit;
		double value;
		const char *text;
	} cases[] = {
		{POOLDIAG_UNIT_COUNT, 0, "0"},
		{POOLDIAG_UNIT_COUNT, 0.004, "0.004"},
		{POOLDIAG_UNIT_COUNT, 9.4249, "9.42"},
		{POOLDIAG_UNIT_COUNT, 31, "31"},
		{POOLDIAG_UNIT_COUNT, 999.6, "1000"},
		{POOLDIAG_UNIT_COUNT, 9999, "9999"},
		{POOLDIAG_UNIT_COUNT, 12345, "12.3k"},
		{POOLDIAG_UNIT_COUNT, 999600, "1M"},
		{POOLDIAG_UNIT_PERCENT, 54.44, "54.4 %"},
		{POOLDIAG_UNIT_RATE, 0.0011, "0.0011/s"},
		{POOLDIAG_UNIT_RATE, 82000, "82k/s"},
		{POOLDIAG_UNIT_MS, 0, "0 ms"},
		{POOLDIAG_UNIT_MS, 0.25, "250 \xc2\xb5s"},
		{POOLDIAG_UNIT_MS, 999, "999 ms"},
		{POOLDIAG_UNIT_MS, 1250, "1.25 s"},
		{POOLDIAG_UNIT_MS, 119000, "119 s"},
		{POOLDIAG_UNIT_MS, 150000, "2.5 min"},
		{POOLDIAG_UNIT_MS, 9000000, "2.5 h"},
	};
	PoolDiagChart chart = chart_of(1, 1);
	char text[32];

	(void) state;
	for (int i = 0; i < LENGTH(cases); i++)
	{
		chart.unit = cases[i].unit;
		pooldiag_chart_figure(text, sizeof(text), &chart, cases[i].value);
		assert_string_equal(text, cases[i].text);
	}
	chart.utf8 = false;
	pooldiag_chart_figure(text, sizeof(text), &chart, 0.25);
	assert_string_equal(text, "250 us");
}

static void
times_are_those_of_the_calendar(void **state)
{
	static const struct
	{
		int64_t seconds;
		int64_t tick;
		const char *text;
	} cases[] = {
		{0, 1, "00:00:00"},
		{-1, 60, "23:59"},
		{-1, DAY, "Dec 31"},
		{0, DAY, "Jan 1"},
		{59 * DAY, DAY, "Feb 29"}, /* 2000 has one */
		{60 * DAY, DAY, "Mar 1"},
		{848000000, DAY, "Nov 14"},
		{848000000, 15, "19:33:20"},
		{848000000, 300, "19:33"},
		{INT64_C(3155760000) + 58 * DAY, DAY, "Feb 28"}, /* 2100 has none */
		{INT64_C(3155760000) + 59 * DAY, DAY, "Mar 1"},
	};
	static const struct
	{
		int64_t seconds;
		const char *text;
	} spans[] = {
		{1, "1 s"},		{90, "90 s"},	{1200, "20 min"},
		{10800, "3 h"}, {DAY, "1 day"}, {7 * DAY, "7 days"},
	};
	char text[32];

	(void) state;
	for (int i = 0; i < LENGTH(cases); i++)
	{
		pooldiag_chart_time(text, sizeof(text), cases[i].seconds, cases[i].tick);
		assert_string_equal(text, cases[i].text);
	}
	for (int i = 0; i < LENGTH(spans); i++)
	{
		pooldiag_chart_span(text, sizeof(text), spans[i].seconds);
		assert_string_equal(text, spans[i].text);
	}
}

/* Ticks of the time axis stand on the hours of the reader's clock, half hours of difference included. */
static void
ticks_stand_on_whole_hours(void **state)
{
	PoolDiagChart chart = chart_of(72, 1200);
	Picture picture;

	(void) state;
	for (int i = 0; i < 72; i++)
		values[i] = i;
	chart.utc_offset = west;
	chart.first_at = START / (1200 * SECOND) * 1200 * SECOND; /* 19:20, which is 15:50 there */
	picture = draw(&chart);
	assert_string_equal(
		picture.text[12],
		"     0 ┼──────┬────────┬────────┬────────┬────────┬────────┬────────┬────────┬──");
	assert_string_equal(
		picture.text[13],
		"              18:00    21:00    00:00    03:00    06:00    09:00    12:00");
}

/* Characters of a line, by whether they are of a bar, of a shade, of what is not known, or a blank. */
static int
parse(const char *line, char *kinds, int *eighths)
{
	static const char *const bars[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	int columns = 0;

	while (*line != '\0')
	{
		size_t length = 1;

		while (((unsigned char) line[length] & 0xC0) == 0x80)
			length++;
		kinds[columns] = 'x';
		eighths[columns] = 0;
		for (int i = 0; i < LENGTH(bars); i++)
			if (strncmp(line, bars[i], strlen(bars[i])) == 0)
			{
				kinds[columns] = 'b';
				eighths[columns] = i + 1;
			}
		if (*line == ' ')
			kinds[columns] = ' ';
		else if (strncmp(line, "░", 3) == 0)
			kinds[columns] = 's';
		else if (strncmp(line, "·", 2) == 0)
			kinds[columns] = 'u';
		columns++;
		assert_in_range(columns, 1, 80);
		line += length;
	}
	for (int i = columns; i < 80; i++)
	{
		kinds[i] = ' ';
		eighths[i] = 0;
	}
	return columns;
}

/* The number at the beginning of the first line: the top of the axis, in the unit of the figures. */
static double
top_of(const char *line)
{
	char *end;
	double top = strtod(line, &end);

	return top * (*end == 'k' ? 1e3 : *end == 'M' ? 1e6 : *end == 'G' ? 1e9 : 1);
}

static void
bars_are_as_high_as_their_figures(void **state)
{
	unsigned long long random = 88172645463325252ULL;

	(void) state;
	for (int round = 0; round < 3000; round++)
	{
		PoolDiagChart chart = chart_of(1 + (int) (random % 72), 10);
		double scale = pow(10, (double) (random >> 20 & 255) / 30 - 1);
		Picture picture;
		char kinds[12][80];
		int eighths[12][80];
		double top;
		int width = 72 / chart.columns > 8 ? 8 : 72 / chart.columns;

		chart.unit = round % 2 ? POOLDIAG_UNIT_COUNT : POOLDIAG_UNIT_RATE;
		for (int c = 0; c < chart.columns; c++)
		{
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			values[c] = random % 7 == 0	  ? NAN
						: random % 7 == 1 ? 0
										  : scale * (double) (random >> 40 & 1023);
			maxima[c] = values[c] + (random % 5 == 0 ? scale * (double) (random >> 30 & 1023) : 0);
		}
		if (round % 3 == 0)
			chart.maxima = maxima;
		picture = draw(&chart);
		assert_int_equal(picture.lines, 16);
		for (int i = 0; i < picture.lines; i++)
			assert_in_range(pooldiag_chart_width(picture.text[i]), 0, 80);
		for (int row = 0; row < 12; row++)
			parse(picture.text[row], kinds[row], eighths[row]);
		top = top_of(picture.text[0]);
		assert_true(top > 0);
		for (int c = 0; c < chart.columns * width; c++)
		{
			double value = values[c / width];
			double maximum = chart.maxima ? maxima[c / width] : value;
			int high = 0;
			int shade = 0;
			int cells;

			for (int row = 11; row >= 0; row--)
			{
				high += eighths[row][8 + c];
				shade += kinds[row][8 + c] == 's';
				/* Nothing above the end, and no shade below a bar. */
				if (row < 11 && kinds[row][8 + c] == 'b')
					assert_int_equal(eighths[row + 1][8 + c], 8);
			}
			if (isnan(value))
			{
				assert_int_equal(kinds[11][8 + c], 'u');
				continue;
			}
			assert_true(maximum <= top * 1.0000001);
			if (value == 0)
				assert_int_equal(high, 0);
			else
				assert_true(high >= 1 && fabs(high - fmax(1, value / top * 96)) <= 0.51);
			cells = (high + 7) / 8;
			assert_true(fabs(cells + shade - fmax(cells, maximum / top * 12)) <= 0.6);
		}

		chart.utf8 = false;
		picture = draw(&chart);
		for (int i = 0; i < picture.lines; i++)
			for (const char *at = picture.text[i]; *at != '\0'; at++)
				assert_in_range(*at, ' ', '~');
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_spike_that_a_mean_hides),
		cmocka_unit_test(in_ascii),
		cmocka_unit_test(a_month_of_sums),
		cmocka_unit_test(nothing_is_no_zero),
		cmocka_unit_test(figures_have_units_that_fit),
		cmocka_unit_test(times_are_those_of_the_calendar),
		cmocka_unit_test(ticks_stand_on_whole_hours),
		cmocka_unit_test(bars_are_as_high_as_their_figures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
