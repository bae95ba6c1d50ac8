/*
 * health_past.c
 *	  What the detailed health document says of what has happened: of the whole server, and naming nobody.
 */
#include "postgres.h"

#include <math.h>

#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "health_past.h"
#include "json.h"
#include "refusals.h"
#include "reports_counters.h"
#include "series.h"
#include "shared.h"
#include "wait_names.h"

/* The events that most connections waited for; the others are summed. */
#define WAITS_SHOWN 10
#define HISTORY_ROWS 10
#define HISTORY_STEP_SECONDS 60

typedef struct Wait
{
	uint32 event;
	uint64 samples;
} Wait;

static void
write_figure(StringInfo json, const char *key, double value, int decimals)
{
	if (isnan(value) || value < 0)
		pooldiag_json_null(json, key);
	else
		pooldiag_json_number(json, key, value, decimals);
}

static void
write_refused(StringInfo json)
{
	uint64 total = 0;

	pooldiag_json_begin(json, "refused", '{');
	pooldiag_json_begin(json, "by_reason", '{');
	for (int reason = 0; reason < POOLDIAG_REASONS; reason++)
	{
		uint64 refused = pg_atomic_read_u64(&pooldiag_ledger->counters[reason].refused);

		pooldiag_json_int(json, pooldiag_refusals_reason(reason), (int64) refused);
		total += refused;
	}
	pooldiag_json_end(json, '}');
	pooldiag_json_int(json, "total", (int64) total);
	pooldiag_json_end(json, '}');
}

static void
write_quantiles(StringInfo json, const char *kind, const uint64 *histogram)
{
	pooldiag_json_begin(json, kind, '{');
	pooldiag_json_int(json, "count", (int64) pooldiag_histogram_count(histogram));
	write_figure(json, "p50_ms", pooldiag_histogram_quantile_us(histogram, 0.5) / 1000, 3);
	write_figure(json, "p95_ms", pooldiag_histogram_quantile_us(histogram, 0.95) / 1000, 3);
	write_figure(json, "p99_ms", pooldiag_histogram_quantile_us(histogram, 0.99) / 1000, 3);
	pooldiag_json_end(json, '}');
}

static void
write_latency(StringInfo json, const PoolDiagLive *live, const PoolDiagTotals *totals)
{
	uint64(*sums)[POOLDIAG_BUCKETS] = palloc0(sizeof(uint64) * POOLDIAG_KINDS * POOLDIAG_BUCKETS);

	for (int i = 0; i <= live->sample->pools.capacity; i++)
		for (int kind = 0; live->sample->pools.rows[i].used && kind < POOLDIAG_KINDS; kind++)
			for (int b = 0; b < POOLDIAG_BUCKETS; b++)
				sums[kind][b] += totals[i].histogram[kind][b];
	pooldiag_json_begin(json, "latency", '{');
	for (int kind = 0; kind < POOLDIAG_KINDS; kind++)
		write_quantiles(json, pooldiag_kind_name(kind), sums[kind]);
	pooldiag_json_end(json, '}');
}

static int
compare_waits(const void *left, const void *right)
{
	const Wait *a = left;
	const Wait *b = right;

	if (a->samples != b->samples)
		return a->samples > b->samples ? -1 : 1;
	return a->event < b->event ? -1 : a->event > b->event;
}

static void
write_wait(StringInfo json, const char *type, const char *event, uint64 samples, uint64 total)
{
	pooldiag_json_begin(json, NULL, '{');
	pooldiag_json_string(json, "wait_event_type", type);
	pooldiag_json_string(json, "wait_event", event);
	pooldiag_json_int(json, "samples", (int64) samples);
	pooldiag_json_number(json, "share_percent", 100.0 * (double) samples / (double) total, 1);
	pooldiag_json_end(json, '}');
}

static void
write_waits(StringInfo json, const PoolDiagWaits *waits)
{
	Wait *events = palloc(sizeof(Wait) * POOLDIAG_WAIT_ROWS);
	int count = 0;
	uint64 total = 0;
	uint64 others = 0;

	for (int i = 0; i < POOLDIAG_WAIT_ROWS; i++)
	{
		const PoolDiagWaitRow *row = &waits->rows[i];
		int e = 0;

		if (!row->used)
			continue;
		while (e < count && events[e].event != row->event)
			e++;
		if (e == count)
			events[count++] = (Wait){row->event, 0};
		events[e].samples += row->samples;
		total += row->samples;
	}
	qsort(events, count, sizeof(Wait), compare_waits);
	pooldiag_json_begin(json, "waits", '[');
	for (int e = 0; e < count; e++)
		if (e >= WAITS_SHOWN)
			others += events[e].samples;
		else if (events[e].event == 0)
			write_wait(json, "CPU", "CPU", events[e].samples, total);
		else
			write_wait(json, pgstat_get_wait_event_type(events[e].event),
					   pooldiag_wait_name(events[e].event), events[e].samples, total);
	if (others > 0)
		write_wait(json, "other", "other", others, total);
	pooldiag_json_end(json, ']');
}

static void
write_span(StringInfo json, const PoolDiagHistoryRow *row)
{
	pooldiag_json_begin(json, NULL, '{');
	pooldiag_json_time(json, "at", row->at);
	write_figure(json, "connections", row->gauges[POOLDIAG_GAUGE_CONNECTIONS], 1);
	write_figure(json, "max_connections_seen", row->maxima[POOLDIAG_GAUGE_CONNECTIONS], 0);
	write_figure(json, "active", row->gauges[POOLDIAG_GAUGE_ACTIVE], 1);
	write_figure(json, "idle_in_transaction", row->gauges[POOLDIAG_GAUGE_IDLE_IN_TRANSACTION], 1);
	write_figure(json, "waiting", row->gauges[POOLDIAG_GAUGE_WAITING], 1);
	write_figure(json, "utilization_percent", row->gauges[POOLDIAG_GAUGE_UTILIZATION], 1);
	write_figure(json, "xact_rate", pooldiag_history_rate(row, POOLDIAG_COUNTER_XACTS), 1);
	write_figure(json, "statement_rate", pooldiag_history_rate(row, POOLDIAG_COUNTER_STATEMENTS),
				 1);
	write_figure(json, "hold_p95_ms", row->timings_ms[POOLDIAG_TIMING_HOLD], 3);
	write_figure(json, "statement_p95_ms", row->timings_ms[POOLDIAG_TIMING_STATEMENT], 3);
	write_figure(json, "opened", row->counters[POOLDIAG_COUNTER_OPENED], 0);
	write_figure(json, "closed", row->counters[POOLDIAG_COUNTER_CLOSED], 0);
	write_figure(json, "refused", row->counters[POOLDIAG_COUNTER_REFUSED], 0);
	pooldiag_json_end(json, '}');
}

static void
write_history(StringInfo json, const PoolDiagLive *live)
{
	const PoolDiagTier *tiers = pooldiag_history_server_tiers;
	PoolDiagHistoryRow rows[HISTORY_ROWS];
	PoolDiagHistoryWindow window = pooldiag_history_window(
		tiers, live->now, USECS_PER_SEC * HISTORY_STEP_SECONDS * HISTORY_ROWS,
		USECS_PER_SEC * HISTORY_STEP_SECONDS, USECS_PER_SEC, HISTORY_ROWS);

	Assert(window.rows == HISTORY_ROWS);
	pooldiag_history_read(pooldiag_series_read(NULL), tiers, &window, rows);
	pooldiag_json_begin(json, "history", '[');
	for (int i = 0; i < window.rows; i++)
		if (rows[i].known)
			write_span(json, &rows[i]);
	pooldiag_json_end(json, ']');
}

/* Writes the members refused, latency, waits and history; NULL where pooldiag was not preloaded. */
void
pooldiag_health_past_write(StringInfo json, const PoolDiagLive *live)
{
	const PoolDiagTotals *totals = pooldiag_live_totals(live);

	if (totals == NULL)
	{
		pooldiag_json_null(json, "refused");
		pooldiag_json_null(json, "latency");
		pooldiag_json_null(json, "waits");
		pooldiag_json_null(json, "history");
		return;
	}
	write_refused(json);
	write_latency(json, live, totals);
	/* A reset that the sampler has not come to yet leaves nothing to show. */
	if (live->sample->waits_resets != pooldiag_counters_resets())
		memset(&live->sample->waits, 0, sizeof(PoolDiagWaits));
	write_waits(json, &live->sample->waits);
	write_history(json, live);
}
