/*
 * reports_advice.c
 *	  The view recommendations.
 */
#include "postgres.h"

#include "funcapi.h"

#include "advisor.h"
#include "documents.h"
#include "rows.h"

PG_FUNCTION_INFO_V1(pooldiag_recommendations);

/* The view's columns, for documents. */
static const char *const columns[] = {
	"severity", "rule",	  "subject",	"title",	 "evidence",
	"advice",	"remedy", "first_seen", "last_seen",
};

static void
fill(PoolDiagRow *row, const PoolDiagLive *live, const PoolDiagAdvice *advice)
{
	pooldiag_row_text(row, pooldiag_severity_name(advice->severity));
	pooldiag_row_text(row, advice->rule);
	pooldiag_row_text(row, advice->subject);
	pooldiag_row_text(row, advice->title);
	pooldiag_row_jsonb(row, advice->evidence);
	pooldiag_row_text(row, advice->advice);
	pooldiag_row_text(row, advice->remedy);
	pooldiag_row_timestamp(row, advice->first_seen);
	pooldiag_row_timestamp(row, live->now);
}

/* The view's rows as the elements of an array. */
void
pooldiag_documents_advice(StringInfo json, const PoolDiagLive *live, const List *advice)
{
	ListCell *cell;

	foreach (cell, advice)
	{
		PoolDiagRow row;

		pooldiag_row_begin_json(&row, json, columns);
		fill(&row, live, lfirst(cell));
		pooldiag_row_end_json(&row);
	}
}

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
		PoolDiagRow row = {0};

		fill(&row, live, lfirst(cell));
		pooldiag_row_put(&row, result);
	}
	return (Datum) 0;
}
