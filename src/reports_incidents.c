/*
 * reports_incidents.c
 *	  The view incidents.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "alerts.h"
#include "incidents.h"
#include "live.h"
#include "rows.h"
#include "shared.h"
#include "text.h"

PG_FUNCTION_INFO_V1(pooldiag_incidents);

/* What was seen of sessions is for those who may look into all of them. */
static void
put_seen(PoolDiagRow *row, const PoolDiagIncident *incident)
{
	if (!pooldiag_live_may_see(InvalidOid))
	{
		pooldiag_row_null(row);
		pooldiag_row_null(row);
		pooldiag_row_null(row);
		return;
	}
	pooldiag_row_text(row, pooldiag_text_clean(incident->verdict));
	pooldiag_row_text(row, pooldiag_text_clean(incident->remedy));
	pooldiag_row_datum(
		row, DirectFunctionCall1(jsonb_in, CStringGetDatum(pooldiag_text_clean(incident->report))));
}

/* setof (id, at, breaker, scope, verdict, remedy, report): the newest incidents, the newest first. */
Datum
pooldiag_incidents(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagIncident *incident = palloc(sizeof(PoolDiagIncident));
	PoolDiagRing *log;
	int64 first;

	pooldiag_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	log = pooldiag_incidents_ring(&first);
	for (uint64 number = pooldiag_ring_next(log); number-- > pooldiag_ring_oldest(log);)
	{
		PoolDiagRow row = {0};

		CHECK_FOR_INTERRUPTS();
		if (pooldiag_ring_read(log, number, incident) != POOLDIAG_RING_WHOLE)
			continue;
		if (incident->id < first)
			break;
		pooldiag_row_int64(&row, incident->id);
		pooldiag_row_timestamp(&row, incident->at);
		pooldiag_row_text(&row, pooldiag_text_clean(incident->breaker));
		pooldiag_row_text(&row, pooldiag_alerts_scope((PoolDiagBreakerKind) incident->kind));
		put_seen(&row, incident);
		pooldiag_row_put(&row, result);
	}
	return (Datum) 0;
}
