/*
 * reports_advice.c
 *	  The view recommendations.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "advisor.h"
#include "rows.h"

PG_FUNCTION_INFO_V1(pooldiag_recommendations);

/* setof recommendations: the gravest first; a row all_clear when no rule fires. */
Datum
pooldiag_recommendations(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagLive *live;
	ListCell *cell;

	InitMaterializedSRF(fcinfo, 0);
	live = pooldiag_live_read(POOLDIAG_READ_XMIN);
	foreach (cell, pooldiag_advisor_advise(live))
	{
		const PoolDiagAdvice *advice = lfirst(cell);
		PoolDiagRow row = {0};

		pooldiag_row_text(&row, pooldiag_severity_name(advice->severity));
		pooldiag_row_text(&row, advice->rule);
		pooldiag_row_text(&row, advice->subject);
		pooldiag_row_text(&row, advice->title);
		pooldiag_row_jsonb(&row, advice->evidence);
		pooldiag_row_text(&row, advice->advice);
		pooldiag_row_text(&row, advice->remedy);
		pooldiag_row_timestamp(&row, advice->first_seen);
		pooldiag_row_timestamp(&row, live->now);
		pooldiag_row_put(&row, result);
	}
	return (Datum) 0;
}
