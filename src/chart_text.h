/*
 * chart_text.h
 *	  Figures and times in the words of a chart: few digits, and the unit that fits.
 *
 * Pure: unit tests link it.
 */
#ifndef POOLDIAG_CHART_TEXT_H
#define POOLDIAG_CHART_TEXT_H

#include <stddef.h>

#include "chart.h"

extern double pooldiag_chart_divisor(const PoolDiagChart *chart, double value);
extern void pooldiag_chart_figure(char *out, size_t size, const PoolDiagChart *chart, double value);
extern void
pooldiag_chart_tick(char *out, size_t size, const PoolDiagChart *chart, double value, double top);
extern int pooldiag_chart_width(const char *text);
extern void pooldiag_chart_time(char *out, size_t size, int64_t seconds, int64_t tick);
extern void pooldiag_chart_span(char *out, size_t size, int64_t seconds);

#endif /* POOLDIAG_CHART_TEXT_H */
