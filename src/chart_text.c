/*
 * chart_text.c
 *	  Figures and times in the words of a chart: few digits, and the unit that fits.
 */
#include "chart_text.h"

#include <stdio.h>

#define DAY 86400
/* From 1970-01-01, from which calendars are easy to calculate, to 2000-01-01. */
#define DAYS_TO_2000 10957

#define MICRO_SIGN "\xc2\xb5"

/* The unit that a figure is shown in, and what the figure is divided by for that. */
static const char *
unit_of(const PoolDiagChart *chart, double value, double *divisor)
{
	static const struct
	{
		double from;
		double divisor;
		const char *name;
	} times[] = {
		{7200000, 3600000, " h"},
		{120000, 60000, " min"},
		{1000, 1000, " s"},
		{1, 1, " ms"},
	};

	*divisor = 1;
	if (chart->unit == POOLDIAG_UNIT_PERCENT)
		return " %";
	if (chart->unit == POOLDIAG_UNIT_RATE)
		return "/s";
	if (chart->unit != POOLDIAG_UNIT_MS)
		return "";
	if (!(value > 0))
		return " ms";
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (value >= times[i].from)
		{
			*divisor = times[i].divisor;
			return times[i].name;
		}
	*divisor = 0.001;
	return chart->utf8 ? " " MICRO_SIGN "s" : " us";
}

/* What figures around this value are divided by to be shown. */
double
pooldiag_chart_divisor(const PoolDiagChart *chart, double value)
{
	double divisor;

	(void) unit_of(chart, value, &divisor);
	return divisor;
}

/* A number with a factor from so much on; three digits that count, or all of a smaller whole one. */
static void
format_number(char *out, size_t size, double value, double factors_from, const char *unit)
{
	static const char *const factors[] = {"", "k", "M", "G", "T", "P"};
	size_t factor = 0;

	if (value >= factors_from)
		while (value >= 999.5 && factor < sizeof(factors) / sizeof(factors[0]) - 1)
		{
			value /= 1000;
			factor++;
		}
	if (value >= 999.5)
		snprintf(out, size, "%.0f%s%s", value, factors[factor], unit);
	else
		snprintf(out, size, "%.3g%s%s", value, factors[factor], unit);
}

/* A figure: 31, 9.42, 1250, 12.5k/s, 1.25 s. */
void
pooldiag_chart_figure(char *out, size_t size, const PoolDiagChart *chart, double value)
{
	double divisor;
	const char *unit = unit_of(chart, value, &divisor);

	format_number(out, size, value / divisor, 9999.5, unit);
}

/* A round figure at a tick of an axis, in the unit of the axis's top. */
void
pooldiag_chart_tick(char *out, size_t size, const PoolDiagChart *chart, double value, double top)
{
	double divisor;
	const char *unit = unit_of(chart, top, &divisor);

	format_number(out, size, value / divisor, 1000, unit);
}

/* The columns that such a text takes: bytes, without those by which UTF-8 goes on. */
int
pooldiag_chart_width(const char *text)
{
	int width = 0;

	for (; *text != '\0'; text++)
		width += ((unsigned char) *text & 0xC0) != 0x80;
	return width;
}

/* "Nov 23", of days since 2000-01-01. */
static void
format_date(char *out, size_t size, int64_t day)
{
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
										 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	/* Years that begin in March, 400 of which have 146097 days; day 0 is 0000-03-01. */
	int64_t days = day + DAYS_TO_2000 + 719468;
	int of_era = (int) (((days % 146097) + 146097) % 146097);
	int year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int of_year = of_era - (365 * year + year / 4 - year / 100);
	int month = (5 * of_year + 2) / 153;

	snprintf(out, size, "%s %d", months[(month + 2) % 12], of_year - (153 * month + 2) / 5 + 1);
}

/* Seconds since 2000 on the reader's clock, as exactly as ticks of that many seconds need it. */
void
pooldiag_chart_time(char *out, size_t size, int64_t seconds, int64_t tick)
{
	int64_t day = seconds >= 0 ? seconds / DAY : -((DAY - 1 - seconds) / DAY);
	int of_day = (int) (seconds - day * DAY);

	if (tick >= DAY)
		format_date(out, size, day);
	else if (tick % 60 == 0)
		snprintf(out, size, "%02d:%02d", of_day / 3600, of_day / 60 % 60);
	else
		snprintf(out, size, "%02d:%02d:%02d", of_day / 3600, of_day / 60 % 60, of_day % 60);
}

/* A length of time in the largest unit that it is whole in: 90 s, 20 min, 3 h, 30 days. */
void
pooldiag_chart_span(char *out, size_t size, int64_t seconds)
{
	static const struct
	{
		int seconds;
		const char *name;
	} units[] = {{DAY, "days"}, {3600, "h"}, {60, "min"}, {1, "s"}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (seconds % units[i].seconds == 0)
		{
			long long count = seconds / units[i].seconds;

			snprintf(out, size, "%lld %s", count, count == 1 && i == 0 ? "day" : units[i].name);
			return;
		}
}
