/*
 * openmetrics.h
 *	  Writing metrics as text: OpenMetrics 1.0, or the Prometheus text format 0.0.4.
 *
 * Pure: unit tests link it.
 */
#ifndef POOLDIAG_OPENMETRICS_H
#define POOLDIAG_OPENMETRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum PoolDiagMetricType
{
	POOLDIAG_METRIC_GAUGE,
	POOLDIAG_METRIC_COUNTER,
	POOLDIAG_METRIC_HISTOGRAM,
	POOLDIAG_METRIC_INFO,
	POOLDIAG_METRIC_STATESET
} PoolDiagMetricType;

/* Room for the labels of a sample, escaped; for a family's name, without any suffix. */
#define POOLDIAG_LABELS_LEN 1024
#define POOLDIAG_METRIC_NAME_LEN 64

/* The labels of samples, as they are written, but for the braces. All zero: none. */
typedef struct PoolDiagLabels
{
	size_t length;
	char text[POOLDIAG_LABELS_LEN];
} PoolDiagLabels;

/* One exposition that is being written. */
typedef struct PoolDiagMetrics
{
	bool openmetrics; /* else Prometheus's format */
	void (*put)(void *to, const char *bytes, size_t length);
	void *to;
	char *buffer;
	size_t size;
	size_t pending; /* bytes in the buffer */

	/* The family that samples belong to, as OpenMetrics has its name. What it is, is written before its first sample. */
	const char *name;
	size_t name_length;
	PoolDiagMetricType type;
	const char *unit; /* NULL: none; else the name ends with it */
	const char *help;
	bool described;
} PoolDiagMetrics;

/* A byte of a text as a label's value has it, before what could end it is escaped. */
static inline char
pooldiag_label_byte(char byte)
{
	if (((unsigned char) byte < 0x20 && byte != '\n') || byte == 0x7f)
		return '?';
	return byte;
}

extern void pooldiag_labels_add(PoolDiagLabels *labels, const char *name, const char *value);

extern void
pooldiag_metrics_begin(PoolDiagMetrics *metrics, bool openmetrics, char *buffer, size_t size,
					   void (*out)(void *, const char *, size_t), void *to);
extern void pooldiag_metrics_family(PoolDiagMetrics *metrics, const char *name,
									PoolDiagMetricType type, const char *unit, const char *help);
extern void pooldiag_metrics_end(PoolDiagMetrics *metrics);

/* A sample of that family, or of an info or a state set or a histogram all of them; labels may be NULL. */
extern void
pooldiag_metrics_int(PoolDiagMetrics *metrics, const PoolDiagLabels *labels, int64_t value);
extern void
pooldiag_metrics_seconds(PoolDiagMetrics *metrics, const PoolDiagLabels *labels, int64_t us);
extern void
pooldiag_metrics_float(PoolDiagMetrics *metrics, const PoolDiagLabels *labels, double value);
extern void pooldiag_metrics_info(PoolDiagMetrics *metrics, const PoolDiagLabels *labels);
extern void pooldiag_metrics_stateset(PoolDiagMetrics *metrics, const PoolDiagLabels *labels,
									  const char *const *states, int count, int current);
extern void pooldiag_metrics_histogram(PoolDiagMetrics *metrics, const PoolDiagLabels *labels,
									   const int64_t *bounds_us, const uint64_t *counts, int bounds,
									   uint64_t count, uint64_t sum_us);

#endif /* POOLDIAG_OPENMETRICS_H */
