/*
 * reports_refusals.c
 *	  The views refusals, refusal_log and refusal_sources: who was turned away, and why.
 *
 * Names are what clients said of themselves, in bytes of whatever encoding, and need not be names of anything
 * that exists: rows.c cleans them. Who may look into the sessions of the role that a client said it was sees
 * them; nobody but pg_read_all_stats those of roles that don't exist.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"

#include "live.h"
#include "refusals.h"
#include "rows.h"
#include "shared.h"

PG_FUNCTION_INFO_V1(pooldiag_refusals);
PG_FUNCTION_INFO_V1(pooldiag_refusal_log);
PG_FUNCTION_INFO_V1(pooldiag_refusal_sources);

static bool
may_see(const PoolDiagSource *source)
{
	return pooldiag_live_may_see(source->user[0] == '\0' ? InvalidOid
														 : get_role_oid(source->user, true));
}

static void
put_known(PoolDiagRow *row, bool known, const char *text)
{
	pooldiag_row_text(row, known ? text : NULL);
}

/* usename, datname, application_name, client; all of them NULL where masked. */
static void
put_names(PoolDiagRow *row, const PoolDiagSource *source, bool visible)
{
	put_known(row, visible && source->user[0] != '\0', source->user);
	put_known(row, visible && source->database[0] != '\0', source->database);
	/* Who says who it is, and gives no application name, has an empty one. */
	put_known(row, visible && (source->user[0] != '\0' || source->application_name[0] != '\0'),
			  source->application_name);
	put_known(row, visible && source->client[0] != '\0', source->client);
}

static TimestampTz
read_time(pg_atomic_uint64 *at)
{
	return (TimestampTz) pg_atomic_read_u64(at);
}

/*
 * setof (reason, sqlstate, refused, first_at, last_at, last_user, last_database, last_application_name,
 * last_client, stats_reset): one row for each reason, always all of them.
 */
Datum
pooldiag_refusals(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagRefusalSources *sources;

	pooldiag_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	sources = pooldiag_refusals_read();
	for (int i = 0; i < POOLDIAG_REASONS; i++)
	{
		PoolDiagRefusalCounter *counter = &pooldiag_ledger->counters[i];
		const PoolDiagRefusal *last = &sources->last[i];
		PoolDiagRow row = {0};

		pooldiag_row_text(&row, pooldiag_refusals_reason((PoolDiagReason) i));
		put_known(&row, last->at != 0, unpack_sql_state(last->sqlstate));
		pooldiag_row_int64(&row, (int64) pg_atomic_read_u64(&counter->refused));
		pooldiag_row_timestamp(&row, read_time(&counter->first_at));
		pooldiag_row_timestamp(&row, read_time(&counter->last_at));
		put_names(&row, &last->source, may_see(&last->source));
		pooldiag_row_timestamp(&row, read_time(&pooldiag_ledger->counted_since));
		pooldiag_row_put(&row, result);
	}
	return (Datum) 0;
}

/*
 * setof (refused_at, reason, sqlstate, usename, datname, application_name, client): the newest refused
 * connections, the newest first.
 */
Datum
pooldiag_refusal_log(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagRing *log;
	uint64 since;

	pooldiag_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	log = pooldiag_ledger_log(pooldiag_ledger);
	since = Max(pg_atomic_read_u64(&pooldiag_ledger->since), pooldiag_ring_oldest(log));
	for (uint64 number = pooldiag_ring_next(log); number-- > since;)
	{
		PoolDiagRefusal refusal;
		PoolDiagRow row = {0};

		CHECK_FOR_INTERRUPTS();
		if (pooldiag_ring_read(log, number, &refusal) != POOLDIAG_RING_WHOLE)
			continue;
		pooldiag_row_timestamp(&row, refusal.at);
		pooldiag_row_text(&row, pooldiag_refusals_reason((PoolDiagReason) refusal.source.reason));
		pooldiag_row_text(&row, unpack_sql_state(refusal.sqlstate));
		put_names(&row, &refusal.source, may_see(&refusal.source));
		pooldiag_row_put(&row, result);
	}
	return (Datum) 0;
}

/*
 * setof (reason, usename, datname, application_name, client, refused, at_most_over, last_at, stats_reset): the
 * sources that most refused connections came from, in no particular order.
 */
Datum
pooldiag_refusal_sources(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagRefusalSources *sources;

	pooldiag_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	sources = pooldiag_refusals_read();
	for (int i = 0; i < sources->hitters.used; i++)
	{
		const PoolDiagHitter *hitter = &sources->hitters.rows[i];
		PoolDiagRow row = {0};

		pooldiag_row_text(&row, pooldiag_refusals_reason((PoolDiagReason) hitter->source.reason));
		put_names(&row, &hitter->source, may_see(&hitter->source));
		pooldiag_row_int64(&row, (int64) hitter->count);
		pooldiag_row_int64(&row, (int64) hitter->at_most_over);
		pooldiag_row_timestamp(&row, hitter->last_at);
		pooldiag_row_timestamp(&row, read_time(&pooldiag_ledger->counted_since));
		pooldiag_row_put(&row, result);
	}
	return (Datum) 0;
}
