/*
 * link: openmetrics.c
 *
 * Metrics as text: what each type of family looks like in both formats, values to the last digit, and names that try to
 * be more than a label's value.
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

#include "openmetrics.h"

static char written[65536];
static size_t length;
/* Of no round size, and less than most lines have. */
static char buffer[37];

static void
put(void *to, const char *bytes, size_t count)
{
	assert_ptr_equal(to, written);
	assert_true(length + count < sizeof(written));
	memcpy(written + length, bytes, count);
	length += count;
	written[length] = '\0';
}

static PoolDiagMetrics
begin(bool openmetrics)
{
	PoolDiagMetrics metrics;

	length = 0;
	written[0] = '\0';
	pooldiag_metrics_begin(&metrics, openmetrics, buffer, sizeof(buffer), put, written);
	return metrics;
}

static PoolDiagLabels
label(const char *name, const char *value)
{
	PoolDiagLabels labels = {0};

	pooldiag_labels_add(&labels, name, value);
	return labels;
}

/* One family of each type. */
static const char *
all_types(bool openmetrics)
{
	static const char *const states[] = {"open", "closed"};
	static const int64_t bounds[] = {8, 1024, 1048576};
	static const uint64_t below[] = {1, 3, 3};
	PoolDiagMetrics metrics = begin(openmetrics);
	PoolDiagLabels labels = label("pool", "web");

	pooldiag_metrics_family(&metrics, "a_gauge", POOLDIAG_METRIC_GAUGE, NULL,
							"What there is: \"now\", in\\out.\nMore.");
	pooldiag_metrics_int(&metrics, NULL, -7);
	pooldiag_metrics_int(&metrics, &labels, 0);
	pooldiag_metrics_family(&metrics, "a_time_seconds", POOLDIAG_METRIC_COUNTER, "seconds", "T.");
	pooldiag_metrics_seconds(&metrics, &labels, 1500000);
	pooldiag_metrics_family(&metrics, "nothing", POOLDIAG_METRIC_GAUGE, NULL, "Without samples.");
	pooldiag_metrics_family(&metrics, "a_build", POOLDIAG_METRIC_INFO, NULL, "I.");
	pooldiag_metrics_info(&metrics, &labels);
	pooldiag_metrics_family(&metrics, "a_state", POOLDIAG_METRIC_STATESET, NULL, "S.");
	pooldiag_metrics_stateset(&metrics, NULL, states, 2, 1);
	pooldiag_metrics_stateset(&metrics, &labels, states, 2, 0);
	pooldiag_metrics_family(&metrics, "a_hold_seconds", POOLDIAG_METRIC_HISTOGRAM, "seconds", "H.");
	pooldiag_metrics_histogram(&metrics, &labels, bounds, below, 3, 4, 2000001);
	pooldiag_metrics_end(&metrics);
	return written;
}

static void
openmetrics_has_every_type(void **state)
{
	(void) state;
	assert_string_equal(all_types(true),
						"# HELP a_gauge What there is: \\\"now\\\", in\\\\out.\\nMore.\n"
						"# TYPE a_gauge gauge\n"
						"a_gauge -7\n"
						"a_gauge{pool=\"web\"} 0\n"
						"# HELP a_time_seconds T.\n"
						"# TYPE a_time_seconds counter\n"
						"# UNIT a_time_seconds seconds\n"
						"a_time_seconds_total{pool=\"web\"} 1.5\n"
						"# HELP a_build I.\n"
						"# TYPE a_build info\n"
						"a_build_info{pool=\"web\"} 1\n"
						"# HELP a_state S.\n"
						"# TYPE a_state stateset\n"
						"a_state{a_state=\"open\"} 0\n"
						"a_state{a_state=\"closed\"} 1\n"
						"a_state{pool=\"web\",a_state=\"open\"} 1\n"
						"a_state{pool=\"web\",a_state=\"closed\"} 0\n"
						"# HELP a_hold_seconds H.\n"
						"# TYPE a_hold_seconds histogram\n"
						"# UNIT a_hold_seconds seconds\n"
						"a_hold_seconds_bucket{pool=\"web\",le=\"0.000007\"} 1\n"
						"a_hold_seconds_bucket{pool=\"web\",le=\"0.001023\"} 3\n"
						"a_hold_seconds_bucket{pool=\"web\",le=\"1.048575\"} 3\n"
						"a_hold_seconds_bucket{pool=\"web\",le=\"+Inf\"} 4\n"
						"a_hold_seconds_count{pool=\"web\"} 4\n"
						"a_hold_seconds_sum{pool=\"web\"} 2.000001\n"
						"# EOF\n");
}

static void
prometheus_has_gauges_for_what_it_does_not_know(void **state)
{
	(void) state;
	assert_string_equal(all_types(false),
						"# HELP a_gauge What there is: \"now\", in\\\\out.\\nMore.\n"
						"# TYPE a_gauge gauge\n"
						"a_gauge -7\n"
						"a_gauge{pool=\"web\"} 0\n"
						"# HELP a_time_seconds_total T.\n"
						"# TYPE a_time_seconds_total counter\n"
						"a_time_seconds_total{pool=\"web\"} 1.5\n"
						"# HELP a_build_info I.\n"
						"# TYPE a_build_info gauge\n"
						"a_build_info{pool=\"web\"} 1\n"
						"# HELP a_state S.\n"
						"# TYPE a_state gauge\n"
						"a_state{a_state=\"open\"} 0\n"
						"a_state{a_state=\"closed\"} 1\n"
						"a_state{pool=\"web\",a_state=\"open\"} 1\n"
						"a_state{pool=\"web\",a_state=\"closed\"} 0\n"
						"# HELP a_hold_seconds H.\n"
						"# TYPE a_hold_seconds histogram\n"
						"a_hold_seconds_bucket{pool=\"web\",le=\"0.000007\"} 1\n"
						"a_hold_seconds_bucket{pool=\"web\",le=\"0.001023\"} 3\n"
						"a_hold_seconds_bucket{pool=\"web\",le=\"1.048575\"} 3\n"
						"a_hold_seconds_bucket{pool=\"web\",le=\"+Inf\"} 4\n"
						"a_hold_seconds_count{pool=\"web\"} 4\n"
						"a_hold_seconds_sum{pool=\"web\"} 2.000001\n");
}

/* The value of the one sample that was written, without labels. */
static const char *
value_of(PoolDiagMetrics *metrics)
{
	char *at;

	pooldiag_metrics_end(metrics);
	at = strstr(written, "\nm ");
	assert_non_null(at);
	at += strlen("\nm ");
	assert_non_null(strchr(at, '\n'));
	*strchr(at, '\n') = '\0';
	return at;
}

static void
numbers_lose_nothing(void **state)
{
	static const struct
	{
		int64_t us;
		const char *seconds;
	} seconds[] = {
		{0, "0"},
		{1, "0.000001"},
		{-1, "-0.000001"},
		{10, "0.00001"},
		{1000000, "1"},
		{1000001, "1.000001"},
		{-2500000, "-2.5"},
		{INT64_MAX, "9223372036854.775807"},
		{INT64_MIN, "-9223372036854.775808"},
	};
	static const int64_t ints[] = {0, 7, -7, INT64_C(9007199254740993), INT64_MAX, INT64_MIN};
	static const double floats[] = {0,
									90,
									0.1,
									1.0 / 3,
									-2.5e-300,
									1e22,
									123456.789,
									5e-324,
									1.7976931348623157e308,
									17,
									-0.0,
									2.5,
									0.30000000000000004};

	(void) state;
	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++)
	{
		PoolDiagMetrics metrics = begin(true);

		pooldiag_metrics_family(&metrics, "m", POOLDIAG_METRIC_GAUGE, NULL, "M.");
		pooldiag_metrics_seconds(&metrics, NULL, seconds[i].us);
		assert_string_equal(value_of(&metrics), seconds[i].seconds);
	}
	for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++)
	{
		PoolDiagMetrics metrics = begin(true);

		pooldiag_metrics_family(&metrics, "m", POOLDIAG_METRIC_GAUGE, NULL, "M.");
		pooldiag_metrics_int(&metrics, NULL, ints[i]);
		assert_true(strtoll(value_of(&metrics), NULL, 10) == ints[i]);
	}
	for (size_t i = 0; i < sizeof(floats) / sizeof(floats[0]); i++)
	{
		PoolDiagMetrics metrics = begin(true);

		pooldiag_metrics_family(&metrics, "m", POOLDIAG_METRIC_GAUGE, NULL, "M.");
		pooldiag_metrics_float(&metrics, NULL, floats[i]);
		assert_true(strtod(value_of(&metrics), NULL) == floats[i]);
	}
}

static void
what_is_no_number_is_said(void **state)
{
	static const struct
	{
		double value;
		const char *text;
	} values[] = {{NAN, "NaN"}, {INFINITY, "+Inf"}, {-INFINITY, "-Inf"}, {0.1, "0.1"}, {90, "90"}};

	(void) state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
	{
		PoolDiagMetrics metrics = begin(false);

		pooldiag_metrics_family(&metrics, "m", POOLDIAG_METRIC_GAUGE, NULL, "M.");
		pooldiag_metrics_float(&metrics, NULL, values[i].value);
		assert_string_equal(value_of(&metrics), values[i].text);
	}
}

static void
names_stay_in_their_label(void **state)
{
	static const struct
	{
		const char *value;
		const char *label;
	} values[] = {
		{"", "n=\"\""},
		{"a\"} 1\nb{c=\"", "n=\"a\\\"} 1\\nb{c=\\\"\""},
		{"\\", "n=\"\\\\\""},
		{"\\n", "n=\"\\\\n\""},
		{"\\\"", "n=\"\\\\\\\"\""},
		{"a\tb\rc\x7f\x01\x1f", "n=\"a?b?c???\""},
		{"{},=# EOF", "n=\"{},=# EOF\""},
		{"zo\xc3\xab", "n=\"zo\xc3\xab\""},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
	{
		PoolDiagLabels labels = label("n", values[i].value);

		assert_int_equal(labels.length, strlen(values[i].label));
		assert_memory_equal(labels.text, values[i].label, labels.length);
	}
}

static void
labels_follow_one_another(void **state)
{
	static const char expected[] = "pool=\"a\",state=\"idle\"";
	PoolDiagLabels labels = label("pool", "a");
	size_t first = labels.length;

	(void) state;
	pooldiag_labels_add(&labels, "state", "idle");
	assert_int_equal(labels.length, strlen(expected));
	assert_memory_equal(labels.text, expected, labels.length);
	labels.length = first;
	pooldiag_labels_add(&labels, "state", "active");
	assert_memory_equal(labels.text, "pool=\"a\",state=\"active\"", labels.length);
}

/* Is that a label whose value is whole characters, and ends? */
static void
check_cut(const PoolDiagLabels *labels, const char *value, size_t unit)
{
	assert_true(labels->length <= POOLDIAG_LABELS_LEN);
	assert_memory_equal(labels->text, "n=\"", 3);
	assert_int_equal(labels->text[labels->length - 1], '"');
	assert_int_equal((labels->length - 4) % unit, 0);
	assert_memory_equal(labels->text + 3, value, labels->length - 4);
}

static void
what_has_no_room_is_cut_at_a_character(void **state)
{
	static const char *const units[] = {"a", "\xc3\xab", "\xe6\x97\xa5", "\xf0\x9f\x90\x98"};
	char value[4 * POOLDIAG_LABELS_LEN + 1];
	char lines[2 * POOLDIAG_LABELS_LEN];
	PoolDiagLabels labels;

	(void) state;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
	{
		value[0] = '\0';
		for (size_t n = 0; n < POOLDIAG_LABELS_LEN; n++)
			memcpy(value + n * strlen(units[i]), units[i], strlen(units[i]) + 1);
		labels = label("n", value);
		check_cut(&labels, value, strlen(units[i]));
		assert_true(labels.length > POOLDIAG_LABELS_LEN - 5);
	}
	/* An escape stays whole too. */
	memset(value, '"', POOLDIAG_LABELS_LEN);
	value[POOLDIAG_LABELS_LEN] = '\0';
	for (size_t n = 0; n < POOLDIAG_LABELS_LEN; n++)
	{
		lines[2 * n] = '\\';
		lines[2 * n + 1] = '"';
	}
	labels = label("n", value);
	check_cut(&labels, lines, 2);
	/* And a label for which there is none at all is not begun. */
	labels.length = POOLDIAG_LABELS_LEN - 3;
	pooldiag_labels_add(&labels, "name", "value");
	assert_int_equal(labels.length, POOLDIAG_LABELS_LEN - 3);
}

static void
the_longest_line_is_whole(void **state)
{
	static const int64_t bounds[] = {INT64_MAX};
	static const uint64_t below[] = {UINT64_MAX};
	char name[POOLDIAG_METRIC_NAME_LEN + 1];
	char value[POOLDIAG_LABELS_LEN + 1];
	PoolDiagMetrics metrics = begin(true);
	PoolDiagLabels labels;

	(void) state;
	memset(name, 'm', POOLDIAG_METRIC_NAME_LEN);
	name[POOLDIAG_METRIC_NAME_LEN] = '\0';
	memset(value, 'v', POOLDIAG_LABELS_LEN);
	value[POOLDIAG_LABELS_LEN] = '\0';
	labels = label("n", value);
	assert_int_equal(labels.length, POOLDIAG_LABELS_LEN);
	pooldiag_metrics_family(&metrics, name, POOLDIAG_METRIC_HISTOGRAM, NULL, "M.");
	pooldiag_metrics_histogram(&metrics, &labels, bounds, below, 1, UINT64_MAX, UINT64_MAX);
	pooldiag_metrics_end(&metrics);
	assert_non_null(strstr(written, "v\",le=\"9223372036854.775806\"} 18446744073709551615\n"));
	assert_non_null(strstr(written, "v\",le=\"+Inf\"} 18446744073709551615\n"));
	assert_non_null(strstr(written, "v\"} 18446744073709.551615\n"));
}

/* What is put piece by piece comes out as one, whatever falls on the end of a piece. */
static void
all_lines_come_out_in_order(void **state)
{
	static char pieces[128];

	for (size_t size = 1; size <= sizeof(pieces); size++)
	{
		PoolDiagMetrics metrics = begin(false);
		const char *at;

		metrics.buffer = pieces;
		metrics.size = size;
		pooldiag_metrics_family(&metrics, "m", POOLDIAG_METRIC_GAUGE, NULL, "M.");
		for (int i = 0; i < 200; i++)
			pooldiag_metrics_int(&metrics, NULL, i);
		pooldiag_metrics_end(&metrics);
		at = written + strlen("# HELP m M.\n# TYPE m gauge\n");
		for (int i = 0; i < 200; i++)
		{
			char line[16];
			int line_length = snprintf(line, sizeof(line), "m %d\n", i);

			assert_memory_equal(at, line, (size_t) line_length);
			at += line_length;
		}
		assert_int_equal(at - written, length);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(openmetrics_has_every_type),
		cmocka_unit_test(prometheus_has_gauges_for_what_it_does_not_know),
		cmocka_unit_test(numbers_lose_nothing),
		cmocka_unit_test(what_is_no_number_is_said),
		cmocka_unit_test(names_stay_in_their_label),
		cmocka_unit_test(labels_follow_one_another),
		cmocka_unit_test(what_has_no_room_is_cut_at_a_character),
		cmocka_unit_test(the_longest_line_is_whole),
		cmocka_unit_test(all_lines_come_out_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
