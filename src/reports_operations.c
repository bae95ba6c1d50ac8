/*
 * reports_operations.c
 *	  The view operations: what pooldiag does that may wait, or hang.
 */
#include "postgres.h"

#include "funcapi.h"

#include "operation.h"
#include "rows.h"
#include "shared.h"

PG_FUNCTION_INFO_V1(pooldiag_operations);

static const char *
state_of(const PoolDiagOperationFigures *figures)
{
	if (!figures->running)
		return "idle";
	return figures->overdue ? "overdue" : "running";
}

/*
 * setof (operation, state, last_started, last_finished, last_ms, succeeded, failed, timed_out, consecutive_failures,
 * last_error).
 */
Datum
pooldiag_operations(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	pooldiag_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	for (int kind = 0; kind < POOLDIAG_OPERATIONS; kind++)
	{
		PoolDiagOperationFigures figures;
		PoolDiagRow row = {0};

		pooldiag_operation_read((PoolDiagOperationKind) kind, &figures);
		pooldiag_row_text(&row, pooldiag_operation_name((PoolDiagOperationKind) kind));
		pooldiag_row_text(&row, state_of(&figures));
		pooldiag_row_timestamp(&row, figures.started_at);
		pooldiag_row_timestamp(&row, figures.finished_at);
		if (figures.finished_at != 0)
			pooldiag_row_float(&row, figures.last_ms);
		else
			pooldiag_row_null(&row);
		pooldiag_row_int64(&row, figures.succeeded);
		pooldiag_row_int64(&row, figures.failed);
		pooldiag_row_int64(&row, figures.timed_out);
		pooldiag_row_int64(&row, figures.consecutive_failures);
		pooldiag_row_text(&row, figures.last_error[0] != '\0' ? figures.last_error : NULL);
		pooldiag_row_put(&row, result);
	}
	return (Datum) 0;
}
