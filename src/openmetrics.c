/*
 * openmetrics.c
 *	  Writing metrics as text: OpenMetrics 1.0, or the Prometheus text format 0.0.4.
 *
 * What the one has and the other has not is settled here: a counter's family is named without _total in
 * OpenMetrics and with it in Prometheus's format, which has no types info and stateset (they are gauges there), no
 * units and no end mark.
 *
 * Values are written without loss: whole numbers to the last digit, seconds from whole microseconds as decimals,
 * others with as many digits as it takes to read the same number back. Texts must be of the encoding of the whole;
 * what in them could end a label's value, or the line, is escaped, and control characters are question marks.
 */
#include "openmetrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a line may have beside the family's name and the labels: a suffix, one more label, the value. */
#define LINE_LEN (POOLDIAG_METRIC_NAME_LEN + POOLDIAG_LABELS_LEN + 192)

/* Digits of a number, with sign and terminator. */
#define NUMBER_LEN 32

typedef struct Line
{
	size_t length;
	char text[LINE_LEN];
} Line;

static inline void
append(Line *line, const char *bytes, size_t length)
{
	if (length > sizeof(line->text) - line->length)
		length = sizeof(line->text) - line->length;
	memcpy(line->text + line->length, bytes, length);
	line->length += length;
}

static void
flush(PoolDiagMetrics *metrics)
{
	metrics->put(metrics->to, metrics->buffer, metrics->pending);
	metrics->pending = 0;
}

/* Writes bytes, which come out with what is written before and after them. */
static inline void
put_bytes(PoolDiagMetrics *metrics, const char *bytes, size_t length)
{
	while (length > 0)
	{
		size_t piece = length;

		if (metrics->pending >= metrics->size)
			flush(metrics);
		if (piece > metrics->size - metrics->pending)
			piece = metrics->size - metrics->pending;
		memcpy(metrics->buffer + metrics->pending, bytes, piece);
		metrics->pending += piece;
		bytes += piece;
		length -= piece;
	}
}

/* A byte of a text as it is escaped, in up to two; returns how many. A double quote is escaped where it ends something. */
static size_t
escape(char byte, bool quoted, char *to)
{
	switch (byte)
	{
		case '\\':
		case '"':
			if (byte == '"' && !quoted)
				break;
			to[0] = '\\';
			to[1] = byte;
			return 2;
		case '\n':
			to[0] = '\\';
			to[1] = 'n';
			return 2;
		default:
			break;
	}
	to[0] = pooldiag_label_byte(byte);
	return 1;
}

/*
 * Adds a label. A value for which there is no room is cut, at a whole character of UTF-8; of the longest names there
 * are, each byte escaped, one is not.
 */
void
pooldiag_labels_add(PoolDiagLabels *labels, const char *name, const char *value)
{
	char *to = labels->text + labels->length;
	char *end = labels->text + sizeof(labels->text) - 1; /* the quote has room behind it */
	char *whole;										 /* where the last character begins */

	/* A comma, the equals sign, two quotes. */
	if (strlen(name) + 4 > sizeof(labels->text) - labels->length)
		return;
	if (labels->length > 0)
		*to++ = ',';
	while (*name != '\0')
		*to++ = *name++;
	*to++ = '=';
	*to++ = '"';
	whole = to;
	for (; *value != '\0'; value++)
	{
		char escaped[2];
		size_t length = escape(*value, true, escaped);
		bool goes_on = ((unsigned char) *value & 0xC0) == 0x80;

		if (!goes_on)
			whole = to;
		if (length > (size_t) (end - to))
		{
			/* Neither the bytes that go on with a character nor those before them are left without the rest. */
			to = whole;
			break;
		}
		memcpy(to, escaped, length);
		to += length;
	}
	*to++ = '"';
	labels->length = (size_t) (to - labels->text);
}

/* A whole number, at the end of a text of NUMBER_LEN bytes, which has room for more than the longest; where it begins. */
static const char *
digits_of(uint64_t value, bool is_negative, char *text)
{
	size_t at = NUMBER_LEN - 1;

	text[at] = '\0';
	do
		text[--at] = (char) ('0' + value % 10);
	while ((value /= 10) > 0 && at > 1);
	if (is_negative)
		text[--at] = '-';
	return text + at;
}

/* Microseconds as seconds, exactly, at the end of such a text. */
static const char *
seconds_of(uint64_t us, bool is_negative, char *text)
{
	size_t at = NUMBER_LEN - 1;
	bool any = false;

	text[at] = '\0';
	for (int i = 0; i < 6; i++, us /= 10)
	{
		any = any || us % 10 != 0;
		if (any)
			text[--at] = (char) ('0' + us % 10);
	}
	if (any)
		text[--at] = '.';
	do
		text[--at] = (char) ('0' + us % 10);
	while ((us /= 10) > 0 && at > 1);
	if (is_negative)
		text[--at] = '-';
	return text + at;
}

/* A number without its sign. */
static uint64_t
magnitude(int64_t value)
{
	return value < 0 ? -(uint64_t) value : (uint64_t) value;
}

/* With as few digits as it takes to read the same number back. */
static void
format_float(double value, char *text)
{
	if (isnan(value))
		strcpy(text, "NaN");
	else if (isinf(value))
		strcpy(text, value < 0 ? "-Inf" : "+Inf");
	else
		for (int precision = 15; precision <= 17; precision++)
		{
			snprintf(text, NUMBER_LEN, "%.*g", precision, value);
			if (strtod(text, NULL) == value)
				break;
		}
}

/* ---------------------------------------------------------------- families ----------------------- */

/* The suffix that a family's name has on a sample that has the value itself. */
static const char *
suffix_of(PoolDiagMetricType type)
{
	switch (type)
	{
		case POOLDIAG_METRIC_COUNTER:
			return "_total";
		case POOLDIAG_METRIC_INFO:
			return "_info";
		default:
			return "";
	}
}

static const char *
type_name(const PoolDiagMetrics *metrics)
{
	switch (metrics->type)
	{
		case POOLDIAG_METRIC_COUNTER:
			return "counter";
		case POOLDIAG_METRIC_HISTOGRAM:
			return "histogram";
		case POOLDIAG_METRIC_INFO:
			return metrics->openmetrics ? "info" : "gauge";
		case POOLDIAG_METRIC_STATESET:
			return metrics->openmetrics ? "stateset" : "gauge";
		default:
			return "gauge";
	}
}

static inline void
put(PoolDiagMetrics *metrics, const char *text)
{
	put_bytes(metrics, text, strlen(text));
}

static void
put_metadata(PoolDiagMetrics *metrics, const char *keyword)
{
	put(metrics, keyword);
	put(metrics, metrics->name);
	if (!metrics->openmetrics)
		put(metrics, suffix_of(metrics->type));
	put(metrics, " ");
}

/* Says what the family is, before its first sample. */
static void
describe(PoolDiagMetrics *metrics)
{
	if (metrics->described)
		return;
	metrics->described = true;
	put_metadata(metrics, "# HELP ");
	for (const char *at = metrics->help; *at != '\0'; at++)
	{
		char escaped[2];

		put_bytes(metrics, escaped, escape(*at, metrics->openmetrics, escaped));
	}
	put(metrics, "\n");
	put_metadata(metrics, "# TYPE ");
	put(metrics, type_name(metrics));
	put(metrics, "\n");
	if (metrics->openmetrics && metrics->unit != NULL)
	{
		put_metadata(metrics, "# UNIT ");
		put(metrics, metrics->unit);
		put(metrics, "\n");
	}
}

/* Begins an exposition; out is given its bytes in pieces of that size, which are gathered in buffer. */
void
pooldiag_metrics_begin(PoolDiagMetrics *metrics, bool openmetrics, char *buffer, size_t size,
					   void (*out)(void *, const char *, size_t), void *to)
{
	metrics->openmetrics = openmetrics;
	metrics->buffer = buffer;
	metrics->size = size;
	metrics->pending = 0;
	metrics->put = out;
	metrics->to = to;
}

/*
 * What comes next are samples of that family, all of them; one without any is not mentioned. The texts must last, and
 * the name have neither suffix nor more than POOLDIAG_METRIC_NAME_LEN bytes.
 */
void
pooldiag_metrics_family(PoolDiagMetrics *metrics, const char *name, PoolDiagMetricType type,
						const char *unit, const char *help)
{
	metrics->name = name;
	metrics->name_length = strlen(name);
	metrics->type = type;
	metrics->unit = unit;
	metrics->help = help;
	metrics->described = false;
}

void
pooldiag_metrics_end(PoolDiagMetrics *metrics)
{
	if (metrics->openmetrics)
		put(metrics, "# EOF\n");
	flush(metrics);
}

/* ---------------------------------------------------------------- samples ------------------------ */

/* A line up to its value, or to the value of its last label, which needs no escaping: a family's name with a suffix, labels. */
static void
begin_line(PoolDiagMetrics *metrics, Line *line, const char *suffix, const PoolDiagLabels *labels,
		   const char *last_label)
{
	bool labeled = labels != NULL && labels->length > 0;

	describe(metrics);
	line->length = 0;
	append(line, metrics->name, metrics->name_length);
	append(line, suffix, strlen(suffix));
	if (labeled || last_label != NULL)
	{
		append(line, "{", 1);
		if (labels != NULL)
			append(line, labels->text, labels->length);
		if (last_label != NULL)
		{
			append(line, ",", labeled ? 1 : 0);
			append(line, last_label, strlen(last_label));
			append(line, "=\"", 2);
		}
		else
			append(line, "}", 1);
	}
}

/* Writes a line that has been begun so far, and stays for another one: what its last label is, or NULL, and the value. */
static void
put_line(PoolDiagMetrics *metrics, Line *line, const char *last_label_value, const char *value)
{
	size_t begun = line->length;

	if (last_label_value != NULL)
	{
		append(line, last_label_value, strlen(last_label_value));
		append(line, "\"}", 2);
	}
	append(line, " ", 1);
	append(line, value, strlen(value));
	append(line, "\n", 1);
	put_bytes(metrics, line->text, line->length);
	line->length = begun;
}

static void
put_sample(PoolDiagMetrics *metrics, const char *suffix, const PoolDiagLabels *labels,
		   const char *value)
{
	Line line;

	begin_line(metrics, &line, suffix, labels, NULL);
	put_line(metrics, &line, NULL, value);
}

static void
put_value(PoolDiagMetrics *metrics, const PoolDiagLabels *labels, const char *value)
{
	put_sample(metrics, suffix_of(metrics->type), labels, value);
}

/* A whole number. */
void
pooldiag_metrics_int(PoolDiagMetrics *metrics, const PoolDiagLabels *labels, int64_t value)
{
	char text[NUMBER_LEN];

	put_value(metrics, labels, digits_of(magnitude(value), value < 0, text));
}

/* Seconds. */
void
pooldiag_metrics_seconds(PoolDiagMetrics *metrics, const PoolDiagLabels *labels, int64_t us)
{
	char text[NUMBER_LEN];

	put_value(metrics, labels, seconds_of(magnitude(us), us < 0, text));
}

void
pooldiag_metrics_float(PoolDiagMetrics *metrics, const PoolDiagLabels *labels, double value)
{
	char text[NUMBER_LEN];

	format_float(value, text);
	put_value(metrics, labels, text);
}

/* The one sample that an info has, whose labels are what it tells. */
void
pooldiag_metrics_info(PoolDiagMetrics *metrics, const PoolDiagLabels *labels)
{
	put_value(metrics, labels, "1");
}

/* A sample for each state, 1 for the one that there is. The label is called like the family. */
void
pooldiag_metrics_stateset(PoolDiagMetrics *metrics, const PoolDiagLabels *labels,
						  const char *const *states, int count, int current)
{
	Line line;

	begin_line(metrics, &line, "", labels, metrics->name);
	for (int i = 0; i < count; i++)
		put_line(metrics, &line, states[i], i == current ? "1" : "0");
}

/*
 * A histogram of durations in whole microseconds. Bound i is exclusive, and counts[i] are those below it; le is
 * inclusive, and so is a microsecond less, which makes the same set of them. Bounds rise; count are all.
 */
void
pooldiag_metrics_histogram(PoolDiagMetrics *metrics, const PoolDiagLabels *labels,
						   const int64_t *bounds_us, const uint64_t *counts, int bounds,
						   uint64_t count, uint64_t sum_us)
{
	char text[NUMBER_LEN];
	char le[NUMBER_LEN];
	Line line;

	begin_line(metrics, &line, "_bucket", labels, "le");
	for (int i = 0; i < bounds; i++)
		put_line(metrics, &line, seconds_of((uint64_t) bounds_us[i] - 1, false, le),
				 digits_of(counts[i], false, text));
	put_line(metrics, &line, "+Inf", digits_of(count, false, text));
	put_sample(metrics, "_count", labels, digits_of(count, false, text));
	put_sample(metrics, "_sum", labels, seconds_of(sum_us, false, text));
}
