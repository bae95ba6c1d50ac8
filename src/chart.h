/*
 * chart.h
 *	  A picture of figures over time, for a terminal of 80 columns.
 *
 * Pure: unit tests link it. Instants are the server's, microseconds since 2000-01-01 UTC.
 */
#ifndef POOLDIAG_CHART_H
#define POOLDIAG_CHART_H

#include <stdbool.h>
#include <stdint.h>

/* The most values that a picture has; each is a column. */
#define POOLDIAG_CHART_COLUMNS 72

/* Room for one line of it, with its terminator: 80 characters of at most three bytes. */
#define POOLDIAG_CHART_LINE (80 * 3 + 1)

typedef enum PoolDiagChartUnit
{
	POOLDIAG_UNIT_COUNT,
	POOLDIAG_UNIT_PERCENT,
	POOLDIAG_UNIT_RATE, /* a second */
	POOLDIAG_UNIT_MS
} PoolDiagChartUnit;

typedef struct PoolDiagChart
{
	PoolDiagChartUnit unit;
	const char *bar;			   /* what a value is of its column's time: "mean" */
	bool totals;				   /* values are sums, to be summed up once more */
	bool utf8;					   /* else only ASCII is drawn */
	int columns;				   /* 1 .. POOLDIAG_CHART_COLUMNS */
	int step_seconds;			   /* of time in a column */
	int64_t first_at;			   /* beginning of the first one */
	const double *values;		   /* NaN: not known */
	const double *maxima;		   /* highest within the column's time; NULL: there are none */
	int (*utc_offset)(int64_t at); /* of the reader's clock, in seconds east of Greenwich */
} PoolDiagChart;

typedef void (*PoolDiagChartPut)(void *to, const char *line);

extern void pooldiag_chart_draw(const PoolDiagChart *chart, PoolDiagChartPut put, void *to);

#endif /* POOLDIAG_CHART_H */
