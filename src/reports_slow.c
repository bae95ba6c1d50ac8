/*
 * reports_slow.c
 *	  The views slow_query_log and slow_query_stats: statements that were slow.
 *
 * Of the log, who may not look into a session's role sees what pg_stat_activity shows of its sessions. A row of the
 * stats is of all roles: its text and its id are for pg_read_all_stats.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "holds.h"
#include "live.h"
#include "rows.h"
#include "settings.h"
#include "shared.h"
#include "slowlog.h"
#include "text.h"

PG_FUNCTION_INFO_V1(pooldiag_slow_query_log);
PG_FUNCTION_INFO_V1(pooldiag_slow_query_stats);

static const char *const outcomes[] = {
	[POOLDIAG_COMPLETED] = "completed",
	[POOLDIAG_FAILED] = "failed",
	[POOLDIAG_CANCELED] = "canceled",
};

/* The text in the database's encoding, with "..." behind it if it was cut; masked, or NULL where there is none. */
static const char *
text_of(const PoolDiagSlowText *text, bool visible)
{
	char *converted;

	if (!visible)
		return "<insufficient privilege>";
	if (!pooldiag_track_query_text || text->encoding == POOLDIAG_NO_TEXT)
		return NULL;
	converted = pooldiag_text_from(text->bytes, text->length, text->encoding);
	return text->cut ? psprintf("%s...", converted) : converted;
}

/* The directory that the sampler has published last, for names; NULL if there is none. */
static PoolDiagPools *
read_directory(void)
{
	PoolDiagSample *sample = pooldiag_shared_read();

	return sample == NULL ? NULL : &sample->pools;
}

/* The pool that it was of; of one whose pool was not known yet, what its names belong to now. */
static const char *
pool_of(const PoolDiagSlowStatement *statement, PoolDiagPools *pools)
{
	char *name = palloc(POOLDIAG_POOL_NAME_LEN);

	if (statement->pool_is_known && statement->pool[0] != '\0')
		return statement->pool;
	if (statement->pool_is_known || pools == NULL)
		(void) pooldiag_pools_format(statement->user, statement->database,
									 statement->application_name, name);
	else
		(void) pooldiag_pools_name(pools,
								   pooldiag_pools_assign(pools, statement->user,
														 statement->database,
														 statement->application_name),
								   name);
	return name;
}

static void
put_masked(ReturnSetInfo *result, const PoolDiagSlowStatement *statement)
{
	PoolDiagRow row = {0};

	for (int i = 0; i < 5; i++)
		pooldiag_row_null(&row);
	pooldiag_row_int(&row, statement->pid);
	pooldiag_row_null(&row);
	pooldiag_row_text(&row, statement->database);
	pooldiag_row_text(&row, statement->user);
	pooldiag_row_text(&row, statement->application_name);
	pooldiag_row_null(&row);
	pooldiag_row_null(&row);
	pooldiag_row_text(&row, text_of(&statement->text, false));
	pooldiag_row_put(&row, result);
}

static void
put_statement(ReturnSetInfo *result, const PoolDiagSlowStatement *statement, PoolDiagPools *pools)
{
	PoolDiagRow row = {0};

	pooldiag_row_timestamp(&row, statement->finished_at);
	pooldiag_row_float(&row, (double) statement->us / 1000);
	pooldiag_row_text(&row, outcomes[statement->outcome]);
	pooldiag_row_text(&row,
					  statement->sqlstate == 0 ? NULL : unpack_sql_state(statement->sqlstate));
	if (statement->outcome == POOLDIAG_COMPLETED)
		pooldiag_row_int64(&row, (int64) statement->rows);
	else
		pooldiag_row_null(&row);
	pooldiag_row_int(&row, statement->pid);
	pooldiag_row_text(&row, pool_of(statement, pools));
	pooldiag_row_text(&row, statement->database);
	pooldiag_row_text(&row, statement->user);
	pooldiag_row_text(&row, statement->application_name);
	pooldiag_row_address(&row, &statement->client);
	if (statement->key.has_id)
		pooldiag_row_int64(&row, (int64) statement->key.statement);
	else
		pooldiag_row_null(&row);
	pooldiag_row_text(&row, text_of(&statement->text, true));
	pooldiag_row_put(&row, result);
}

/*
 * setof (finished_at, duration_ms, outcome, sqlstate, rows, pid, pool, datname, usename, application_name,
 * client_addr, query_id, query): the newest slow statements that have ended, the newest first.
 */
Datum
pooldiag_slow_query_log(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagSlowStatement *statement = palloc(sizeof(PoolDiagSlowStatement));
	PoolDiagPools *pools;
	PoolDiagRing *log;
	uint64 oldest;

	pooldiag_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	pools = read_directory();
	log = pooldiag_slowlog_ring(&oldest);
	for (uint64 number = pooldiag_ring_next(log); number-- > oldest;)
	{
		CHECK_FOR_INTERRUPTS();
		if (pooldiag_ring_read(log, number, statement) != POOLDIAG_RING_WHOLE)
			continue;
		if (pooldiag_live_may_see(statement->userid))
			put_statement(result, statement, pools);
		else
			put_masked(result, statement);
	}
	return (Datum) 0;
}

/* The part of its database's holds that a statement has taken; NULL where these are not known from its first on. */
static void
put_share(PoolDiagRow *row, const PoolDiagSlowRow *statement, const PoolDiagHeld *held)
{
	int64 us = 0;

	for (int i = 0; i < POOLDIAG_HOLD_ROWS; i++)
		if (held[i].database == statement->key.database && held[i].since <= statement->first_at)
			us += held[i].us;
	pooldiag_row_percent(row, (double) statement->total_us, (double) us);
}

static void
put_stats(ReturnSetInfo *result, const PoolDiagSlowStats *stats, int index,
		  const PoolDiagHeld *held, bool visible, TimestampTz reset_at)
{
	const PoolDiagSlowRow *statement = &stats->rows[index];
	PoolDiagRow row = {0};

	if (visible && statement->key.has_id)
		pooldiag_row_int64(&row, (int64) statement->key.statement);
	else
		pooldiag_row_null(&row);
	pooldiag_row_text(&row, stats->databases[index]);
	pooldiag_row_int64(&row, (int64) statement->calls);
	pooldiag_row_int64(&row, (int64) statement->failures);
	pooldiag_row_float(&row, (double) statement->total_us / 1000);
	pooldiag_row_float(&row, (double) statement->total_us / 1000 / (double) statement->calls);
	pooldiag_row_float(&row, (double) statement->max_us / 1000);
	put_share(&row, statement, held);
	pooldiag_row_timestamp(&row, statement->last_at);
	pooldiag_row_text(&row, text_of(&stats->texts[index], visible));
	pooldiag_row_timestamp(&row, reset_at);
	pooldiag_row_put(&row, result);
}

/*
 * setof (query_id, datname, calls, failures, total_ms, mean_ms, max_ms, hold_share_percent, last_at, query,
 * stats_reset): slow statements added up, in no particular order.
 */
Datum
pooldiag_slow_query_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	bool visible = pooldiag_live_may_see(InvalidOid);
	PoolDiagSlowStats *stats;
	PoolDiagHeld *held;
	TimestampTz reset_at;

	pooldiag_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	stats = palloc(sizeof(PoolDiagSlowStats));
	held = palloc(sizeof(PoolDiagHeld) * POOLDIAG_HOLD_ROWS);
	reset_at = pooldiag_slowlog_read_stats(stats);
	/* After them: each statement's hold is counted before it. */
	pooldiag_holds_read(held);
	for (int i = 0; i < stats->used; i++)
		put_stats(result, stats, i, held, visible, reset_at);
	return (Datum) 0;
}
