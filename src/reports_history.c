/*
 * reports_history.c
 *	  The functions history and chart: what has happened, as rows and as a picture.
 */
#include "postgres.h"

#include <math.h>

#include "funcapi.h"
#include "lib/stringinfo.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "chart.h"
#include "chart_text.h"
#include "documents.h"
#include "live.h"
#include "rows.h"
#include "series.h"
#include "settings.h"
#include "shared.h"
#include "text.h"

PG_FUNCTION_INFO_V1(pooldiag_history);
PG_FUNCTION_INFO_V1(pooldiag_chart);

/* The most rows, unless a step is asked for. */
#define MAX_ROWS 600
#define WIDTH 80

/* What a metric is made of. */
typedef enum Source
{
	FROM_GAUGE,
	FROM_MAXIMUM,
	FROM_COUNTER,
	FROM_RATE,
	FROM_TIMING
} Source;

typedef struct Metric
{
	const char *name; /* as the column of history is called */
	Source source;
	int index;
	PoolDiagChartUnit unit;
	const char *title;
} Metric;

static const Metric metrics[] = {
	{"connections", FROM_GAUGE, POOLDIAG_GAUGE_CONNECTIONS, POOLDIAG_UNIT_COUNT, "connections"},
	{"active", FROM_GAUGE, POOLDIAG_GAUGE_ACTIVE, POOLDIAG_UNIT_COUNT, "active connections"},
	{"idle", FROM_GAUGE, POOLDIAG_GAUGE_IDLE, POOLDIAG_UNIT_COUNT, "idle connections"},
	{"idle_in_transaction", FROM_GAUGE, POOLDIAG_GAUGE_IDLE_IN_TRANSACTION, POOLDIAG_UNIT_COUNT,
	 "connections idle in transaction"},
	{"waiting", FROM_GAUGE, POOLDIAG_GAUGE_WAITING, POOLDIAG_UNIT_COUNT,
	 "connections waiting for a lock"},
	{"utilization_percent", FROM_GAUGE, POOLDIAG_GAUGE_UTILIZATION, POOLDIAG_UNIT_PERCENT,
	 "utilization"},
	{"max_connections_seen", FROM_MAXIMUM, POOLDIAG_GAUGE_CONNECTIONS, POOLDIAG_UNIT_COUNT,
	 "most connections at once"},
	{"xact_rate", FROM_RATE, POOLDIAG_COUNTER_XACTS, POOLDIAG_UNIT_RATE, "transactions a second"},
	{"statement_rate", FROM_RATE, POOLDIAG_COUNTER_STATEMENTS, POOLDIAG_UNIT_RATE,
	 "statements a second"},
	{"hold_p95_ms", FROM_TIMING, POOLDIAG_TIMING_HOLD, POOLDIAG_UNIT_MS,
	 "hold time of transactions"},
	{"statement_p95_ms", FROM_TIMING, POOLDIAG_TIMING_STATEMENT, POOLDIAG_UNIT_MS,
	 "time of a statement"},
	{"opened", FROM_COUNTER, POOLDIAG_COUNTER_OPENED, POOLDIAG_UNIT_COUNT, "connections opened"},
	{"closed", FROM_COUNTER, POOLDIAG_COUNTER_CLOSED, POOLDIAG_UNIT_COUNT, "connections closed"},
	{"refused", FROM_COUNTER, POOLDIAG_COUNTER_REFUSED, POOLDIAG_UNIT_COUNT, "connections refused"},
	{"max_active", FROM_MAXIMUM, POOLDIAG_GAUGE_ACTIVE, POOLDIAG_UNIT_COUNT,
	 "most active connections"},
	{"max_waiting", FROM_MAXIMUM, POOLDIAG_GAUGE_WAITING, POOLDIAG_UNIT_COUNT,
	 "most connections waiting for a lock"},
	{"max_utilization_percent", FROM_MAXIMUM, POOLDIAG_GAUGE_UTILIZATION, POOLDIAG_UNIT_PERCENT,
	 "highest utilization"},
};

/* What of the history is asked for. */
typedef struct Request
{
	TimestampTz now;
	const PoolDiagTier *tiers;
	const char *pool; /* NULL: the server */
	int64 since_us;
	int64 step_us; /* 0: whatever fits */
} Request;

static double
metric_value(const Metric *metric, const PoolDiagHistoryRow *row)
{
	switch (metric->source)
	{
		case FROM_GAUGE:
			return row->gauges[metric->index];
		case FROM_MAXIMUM:
			return row->maxima[metric->index];
		case FROM_COUNTER:
			return row->counters[metric->index];
		case FROM_RATE:
			return pooldiag_history_rate(row, metric->index);
		default:
			return row->timings_ms[metric->index];
	}
}

/* An argument in microseconds, with months of 30 days; it must be given, and above zero. */
static int64
positive_interval(FunctionCallInfo fcinfo, int argument, const char *name)
{
	const Interval *interval;
	double us;

	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("\"%s\" must not be null", name),
				 errhint("Say how long: interval '10 min', for example.")));
	interval = PG_GETARG_INTERVAL_P(argument);
	us = ((double) interval->month * DAYS_PER_MONTH + interval->day) * (double) USECS_PER_DAY +
		 (double) interval->time;
	if (us <= 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"%s\" must be greater than zero", name),
						errhint("Say how long: interval '10 min', for example.")));
	return us < (double) PG_INT64_MAX / 2 ? (int64) us : PG_INT64_MAX / 2;
}

static Request
request_of(FunctionCallInfo fcinfo, int since, int pool)
{
	Request request = {0};
	int64 kept;

	if (!PG_ARGISNULL(pool) && !pooldiag_live_may_see(InvalidOid))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied for the history of a pool"),
						errhint("It tells of sessions of all roles; only members of "
								"pg_read_all_stats see it. That of the server is for whoever may "
								"call this function.")));
	request.now = GetCurrentTimestamp();
	if (!PG_ARGISNULL(pool))
		request.pool = text_to_cstring(PG_GETARG_TEXT_PP(pool));
	request.tiers =
		request.pool == NULL ? pooldiag_history_server_tiers : pooldiag_history_pool_tiers;
	request.since_us = positive_interval(fcinfo, since, "since");
	kept = pooldiag_history_kept_seconds(request.tiers);
	if (request.since_us > kept * USECS_PER_SEC)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 request.pool == NULL
				 ? errmsg("history of the server is kept for %d days", (int) (kept / SECS_PER_DAY))
				 : errmsg("history of a pool is kept for %d days", (int) (kept / SECS_PER_DAY)),
			 errhint("Ask for at most that long; the server's is kept for %d days, a pool's for "
					 "%d.",
					 (int) (pooldiag_history_kept_seconds(pooldiag_history_server_tiers) /
							SECS_PER_DAY),
					 (int) (pooldiag_history_kept_seconds(pooldiag_history_pool_tiers) /
							SECS_PER_DAY))));
	return request;
}

/* Is there such a pool at this moment, that no tick has come to yet? */
static bool
pool_is_new(const char *name)
{
	PoolDiagLive *live = pooldiag_live_read(0);

	for (int i = 0; i <= live->sample->pools.capacity; i++)
		if (live->sample->pools.rows[i].used && strcmp(pooldiag_live_pool_name(live, i), name) == 0)
			return true;
	return false;
}

/* The rows that are asked for, known or not. The present one is only there if something is known of it. */
static PoolDiagHistoryRow *
read_rows(const Request *request, int most, PoolDiagHistoryWindow *window)
{
	PoolDiagSeries *series = pooldiag_series_read(request->pool);
	PoolDiagHistoryRow *rows;

	*window =
		pooldiag_history_window(request->tiers, request->now, request->since_us, request->step_us,
								(int64) pooldiag_sample_interval * 1000, most);
	rows = palloc(sizeof(PoolDiagHistoryRow) * window->rows);
	if (series == NULL)
	{
		if (request->pool == NULL || !pool_is_new(request->pool))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("pool \"%s\" does not exist", request->pool),
					 errhint("SELECT pool FROM pooldiag.pools shows those there are; NULL is the "
							 "whole server.")));
		series = palloc0(pooldiag_history_size(request->tiers));
	}
	pooldiag_history_read(series, request->tiers, window, rows);
	if (!rows[window->rows - 1].known)
	{
		window->first--;
		pooldiag_history_read(series, request->tiers, window, rows);
	}
	return rows;
}

static void
put_known(PoolDiagRow *row, double value)
{
	if (isnan(value))
		pooldiag_row_null(row);
	else
		pooldiag_row_float(row, value);
}

static void
put_whole(PoolDiagRow *row, double value)
{
	pooldiag_row_int_or_null(row, !isnan(value), isnan(value) ? 0 : (int64) (value + 0.5));
}

static void
put_count(PoolDiagRow *row, double value)
{
	if (isnan(value))
		pooldiag_row_null(row);
	else
		pooldiag_row_int64(row, (int64) value);
}

static void
fill(PoolDiagRow *row, const PoolDiagHistoryRow *point)
{
	pooldiag_row_timestamp(row, point->at);
	for (int m = 0; m < (int) lengthof(metrics); m++)
	{
		double value = metric_value(&metrics[m], point);

		if (metrics[m].source == FROM_MAXIMUM && metrics[m].unit == POOLDIAG_UNIT_COUNT)
			put_whole(row, value);
		else if (metrics[m].source == FROM_COUNTER)
			put_count(row, value);
		else
			put_known(row, value);
	}
}

/* The first row to tell of. Before the first that is known there is nothing to tell; after it, a gap is told. */
static int
first_known(const PoolDiagHistoryRow *rows, const PoolDiagHistoryWindow *window)
{
	int r = 0;

	while (r < window->rows && !rows[r].known)
		r++;
	return r;
}

/*
 * The rows of history(), of the whole server if pool is NULL, as the elements of an array. A step of 0 is one that fits.
 * Returns the step that it came to, in seconds. An unknown pool is an error.
 */
int
pooldiag_documents_history(StringInfo json, const char *pool, double since_seconds,
						   double step_seconds)
{
	const char *names[lengthof(metrics) + 1] = {"at"};
	PoolDiagHistoryWindow window;
	PoolDiagHistoryRow *rows;
	Request request = {0};

	for (int m = 0; m < (int) lengthof(metrics); m++)
		names[m + 1] = metrics[m].name;
	request.now = GetCurrentTimestamp();
	request.pool = pool;
	request.tiers = pool == NULL ? pooldiag_history_server_tiers : pooldiag_history_pool_tiers;
	request.since_us = (int64) (since_seconds * USECS_PER_SEC);
	request.step_us = (int64) (step_seconds * USECS_PER_SEC);
	rows = read_rows(&request, MAX_ROWS, &window);
	for (int r = first_known(rows, &window); r < window.rows; r++)
	{
		PoolDiagRow row;

		pooldiag_row_begin_json(&row, json, names);
		fill(&row, &rows[r]);
		pooldiag_row_end_json(&row);
	}
	return (int) window.step;
}

/* setof record: what has happened, a row for each step. */
Datum
pooldiag_history(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagHistoryWindow window;
	PoolDiagHistoryRow *rows;
	Request request;

	pooldiag_shared_require();
	request = request_of(fcinfo, 0, 1);
	if (!PG_ARGISNULL(2))
		request.step_us = positive_interval(fcinfo, 2, "step");
	rows = read_rows(&request, MAX_ROWS, &window);
	InitMaterializedSRF(fcinfo, 0);
	for (int r = first_known(rows, &window); r < window.rows; r++)
	{
		PoolDiagRow row = {0};

		fill(&row, &rows[r]);
		pooldiag_row_put(&row, result);
	}
	return (Datum) 0;
}

static const Metric *
find_metric(FunctionCallInfo fcinfo)
{
	char *name = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < (int) lengthof(metrics); i++)
	{
		if (name != NULL && strcmp(metrics[i].name, name) == 0)
			return &metrics[i];
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", metrics[i].name);
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					name == NULL ? errmsg("\"metric\" must not be null")
								 : errmsg("unknown metric \"%s\"", name),
					errhint("Metrics are: %s.", names.data)));
	return NULL;
}

static int
seconds_east(int64 at)
{
	pg_time_t time = timestamptz_to_time_t(at);

	return (int) pg_localtime(&time, session_timezone)->tm_gmtoff;
}

static void
put_line(void *result, const char *line)
{
	PoolDiagRow row = {0};

	pooldiag_row_text(&row, line);
	pooldiag_row_put(&row, result);
}

/* What the picture is of, and when: it ends with the last column's end, or now. */
static void
put_title(ReturnSetInfo *result, const Metric *metric, const Request *request,
		  const PoolDiagHistoryWindow *window)
{
	TimestampTz end = (window->first + window->rows) * window->step * USECS_PER_SEC;
	pg_time_t until = timestamptz_to_time_t(Min(end, request->now));
	/* A zone of the session's own making may have an abbreviation as long as a name. */
	char clock[64 + TZ_STRLEN_MAX];
	char span[32];
	char *title;
	char *range;

	pg_strftime(clock, sizeof(clock), "%Y-%m-%d %H:%M:%S %Z",
				pg_localtime(&until, session_timezone));
	pooldiag_chart_span(span, sizeof(span), (int64) window->rows * window->step);
	range = psprintf("  %s to %s", span, clock);
	title = psprintf("%s, %s%s", metric->title, request->pool == NULL ? "the server" : "pool ",
					 request->pool == NULL ? "" : pooldiag_text_printable(request->pool));
	put_line(result,
			 psprintf("%s%s", pooldiag_text_fit(title, WIDTH - pooldiag_text_width(range)), range));
}

static const char *
bar_of(const Metric *metric)
{
	switch (metric->source)
	{
		case FROM_MAXIMUM:
			return "highest";
		case FROM_COUNTER:
			return "sum";
		case FROM_TIMING:
			return "95th percentile";
		default:
			return "mean";
	}
}

/* setof text: a picture of one column of the history. */
Datum
pooldiag_chart(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	double values[POOLDIAG_CHART_COLUMNS];
	double maxima[POOLDIAG_CHART_COLUMNS];
	PoolDiagHistoryWindow window;
	PoolDiagHistoryRow *rows;
	PoolDiagChart chart = {0};
	const Metric *metric;
	bool has_maxima;
	Request request;

	pooldiag_shared_require();
	metric = find_metric(fcinfo);
	request = request_of(fcinfo, 1, 2);
	rows = read_rows(&request, POOLDIAG_CHART_COLUMNS, &window);

	chart.unit = metric->unit;
	chart.bar = bar_of(metric);
	chart.totals = metric->source == FROM_COUNTER;
	chart.utf8 = pooldiag_text_draws();
	chart.columns = Min(window.rows, POOLDIAG_CHART_COLUMNS);
	chart.step_seconds = window.step;
	chart.first_at = rows[0].at;
	chart.values = values;
	chart.utc_offset = seconds_east;
	has_maxima = metric->source == FROM_GAUGE && metric->index < POOLDIAG_MAXIMA;
	if (has_maxima)
		chart.maxima = maxima;
	for (int c = 0; c < chart.columns; c++)
	{
		values[c] = metric_value(metric, &rows[c]);
		maxima[c] = has_maxima ? rows[c].maxima[metric->index] : NAN;
	}

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	put_title(result, metric, &request, &window);
	pooldiag_chart_draw(&chart, put_line, result);
	return (Datum) 0;
}
