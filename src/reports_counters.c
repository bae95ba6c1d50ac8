/*
 * reports_counters.c
 *	  The views churn, latency and waits: what sessions have done since stats_reset, by pool.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/backend_status.h"
#include "utils/wait_event.h"
#include "utils/timestamp.h"

#include "reports_counters.h"
#include "series.h"
#include "shared.h"

PG_FUNCTION_INFO_V1(pooldiag_churn);
PG_FUNCTION_INFO_V1(pooldiag_latency);
PG_FUNCTION_INFO_V1(pooldiag_waits);

/* The totals of each row of the directory that is used, palloc'd; NULL without preloading, or for who may not see all. */
PoolDiagTotals *
pooldiag_live_totals(const PoolDiagLive *live)
{
	PoolDiagTotals *totals;

	if (pooldiag_control == NULL || !live->sees_all)
		return NULL;
	totals = palloc(sizeof(PoolDiagTotals) * (live->sample->pools.capacity + 1));
	pooldiag_counters_read(&live->sample->pools, totals);
	return totals;
}

/* The p-quantile of a histogram in milliseconds; NULL where it is empty. */
void
pooldiag_row_quantile(PoolDiagRow *row, const uint64 *histogram, double p)
{
	double us = pooldiag_histogram_quantile_us(histogram, p);

	if (us < 0)
		pooldiag_row_null(row);
	else
		pooldiag_row_float(row, us / 1000);
}

/* Has anything been counted there? */
bool
pooldiag_totals_any(const PoolDiagTotals *totals)
{
	for (int i = 0; i < POOLDIAG_COUNTS; i++)
		if (totals->sums[i] != 0)
			return true;
	return false;
}

/*
 * Has this pool something to report to this caller: it is declared, or has connections, or had some or has counted
 * something, of which only who sees all may know? totals are those of all pools, or NULL.
 */
bool
pooldiag_live_reports(const PoolDiagLive *live, int pool, const PoolDiagTotals *totals)
{
	const PoolDiagPool *row = &live->sample->pools.rows[pool];

	if (!row->used)
		return false;
	return row->declared || row->tally.connections > 0 ||
		   (live->sees_all && row->connections_peak.value > 0) ||
		   (totals != NULL && pooldiag_totals_any(&totals[pool]));
}

static void
put_churn(ReturnSetInfo *result, const PoolDiagLive *live, int index, const PoolDiagTotals *totals)
{
	const uint64 *sums = totals->sums;
	double rates[POOLDIAG_COUNTERS];
	PoolDiagRow row = {0};

	pooldiag_series_rates(&live->sample->pools, index, live->now, rates);
	pooldiag_row_text(&row, pooldiag_live_pool_name(live, index));
	pooldiag_row_int64(&row, (int64) sums[POOLDIAG_OPENED]);
	pooldiag_row_int64(&row, (int64) sums[POOLDIAG_CLOSED]);
	pooldiag_row_rate(&row, rates[POOLDIAG_COUNTER_OPENED]);
	pooldiag_row_quantile(&row, totals->histogram[POOLDIAG_KIND_LIFETIME], 0.5);
	pooldiag_row_quantile(&row, totals->histogram[POOLDIAG_KIND_LIFETIME], 0.95);
	pooldiag_row_quantile(&row, totals->histogram[POOLDIAG_KIND_CONNECT], 0.5);
	pooldiag_row_quantile(&row, totals->histogram[POOLDIAG_KIND_CONNECT], 0.95);
	if (sums[POOLDIAG_OPENED] == 0)
		pooldiag_row_null(&row);
	else
		pooldiag_row_float(&row, (double) sums[POOLDIAG_XACTS] / (double) sums[POOLDIAG_OPENED]);
	pooldiag_row_timestamp(&row, pooldiag_counters_reset_at());
	pooldiag_row_put(&row, result);
}

/* setof churn: pools whose sessions have done anything. */
Datum
pooldiag_churn(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagLive *live;
	PoolDiagTotals *totals;

	pooldiag_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	live = pooldiag_live_read(0);
	totals = pooldiag_live_totals(live);
	if (totals == NULL)
		return (Datum) 0;
	for (int i = 0; i <= live->sample->pools.capacity; i++)
		if (live->sample->pools.rows[i].used && pooldiag_totals_any(&totals[i]))
			put_churn(result, live, i, &totals[i]);
	return (Datum) 0;
}

static void
put_latency(ReturnSetInfo *result, const char *pool, const char *kind, const uint64 *histogram)
{
	for (int i = 0; i < POOLDIAG_BUCKETS; i++)
	{
		PoolDiagRow row = {0};

		if (histogram[i] == 0)
			continue;
		pooldiag_row_text(&row, pool);
		pooldiag_row_text(&row, kind);
		pooldiag_row_float(&row, (double) pooldiag_histogram_lower_us(i) / 1000);
		if (i == POOLDIAG_BUCKETS - 1)
			pooldiag_row_null(&row);
		else
			pooldiag_row_float(&row, (double) pooldiag_histogram_lower_us(i + 1) / 1000);
		pooldiag_row_int64(&row, (int64) histogram[i]);
		pooldiag_row_timestamp(&row, pooldiag_counters_reset_at());
		pooldiag_row_put(&row, result);
	}
}

/* setof latency: each bucket of each pool's histograms that has anything in it. */
Datum
pooldiag_latency(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagLive *live;
	PoolDiagTotals *totals;

	pooldiag_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	live = pooldiag_live_read(0);
	totals = pooldiag_live_totals(live);
	if (totals == NULL)
		return (Datum) 0;
	for (int i = 0; i <= live->sample->pools.capacity; i++)
		for (int kind = 0; live->sample->pools.rows[i].used && kind < POOLDIAG_KINDS; kind++)
			put_latency(result, pooldiag_live_pool_name(live, i), pooldiag_kind_name(kind),
						totals[i].histogram[kind]);
	return (Datum) 0;
}

/* setof waits: what active connections were seen waiting for. */
Datum
pooldiag_waits(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagLive *live;
	PoolDiagWaits *waits;
	uint64 *of_pool;

	pooldiag_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	live = pooldiag_live_read(0);
	waits = &live->sample->waits;
	/* A reset that the sampler has not come to yet leaves nothing to show. */
	if (!live->sees_all || live->sample->waits_resets != pooldiag_counters_resets())
		return (Datum) 0;
	pooldiag_waits_compact(waits, &live->sample->pools);
	of_pool = palloc0(sizeof(uint64) * (live->sample->pools.capacity + 1));
	for (int i = 0; i < POOLDIAG_WAIT_ROWS; i++)
		if (waits->rows[i].used)
			of_pool[waits->rows[i].pool] += waits->rows[i].samples;
	for (int i = 0; i < POOLDIAG_WAIT_ROWS; i++)
	{
		const PoolDiagWaitRow *wait = &waits->rows[i];
		PoolDiagRow row = {0};

		if (!wait->used)
			continue;
		pooldiag_row_text(&row, pooldiag_live_pool_name(live, wait->pool));
		pooldiag_row_text(&row, pgstat_get_wait_event_type(wait->event));
		pooldiag_row_text(&row, pgstat_get_wait_event(wait->event));
		pooldiag_row_int64(&row, (int64) wait->samples);
		pooldiag_row_percent(&row, (double) wait->samples, (double) of_pool[wait->pool]);
		pooldiag_row_timestamp(&row, pooldiag_counters_reset_at());
		pooldiag_row_put(&row, result);
	}
	return (Datum) 0;
}
