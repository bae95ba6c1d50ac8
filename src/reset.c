/*
 * reset.c
 *	  The function reset: counts from zero.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "alerts.h"
#include "counters.h"
#include "incidents.h"
#include "keeper.h"
#include "refusals.h"
#include "sampler.h"
#include "scans.h"
#include "series.h"
#include "shared.h"
#include "slowlog.h"

PG_FUNCTION_INFO_V1(pooldiag_reset);

static void
reset_refusals(void)
{
	pooldiag_refusals_reset();
	pooldiag_counters_reset_refused();
}

static void
reset_slow_queries(void)
{
	pooldiag_slowlog_reset();
	pooldiag_scans_reset();
}

static void
reset_alerts(void)
{
	pooldiag_alerts_reset();
	pooldiag_incidents_reset();
}

static void
reset_all(void)
{
	/* The sampler follows with the wait profile and peaks. */
	pooldiag_counters_reset();
	pooldiag_refusals_reset();
	reset_slow_queries();
	pooldiag_history_reset();
	reset_alerts();
}

static const struct
{
	const char *what;
	void (*reset)(void);
} parts[] = {
	{"all", reset_all},			  {"history", pooldiag_history_reset},
	{"refusals", reset_refusals}, {"slow_queries", reset_slow_queries},
	{"alerts", reset_alerts},
};

/* Forgets a part of what has been counted, or all. What the sampler keeps has gone when its next tick is over. */
Datum
pooldiag_reset(PG_FUNCTION_ARGS)
{
	char *what = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	StringInfoData names;
	bool sampled;

	pooldiag_shared_require();
	initStringInfo(&names);
	for (int i = 0; i < (int) lengthof(parts); i++)
	{
		if (what != NULL && strcmp(parts[i].what, what) == 0)
		{
			parts[i].reset();
			sampled = pooldiag_sampler_wait_for_tick(POOLDIAG_TICK_TIMEOUT_MS);
			/* Or a crash would bring back what was to be forgotten. */
			pooldiag_keeper_save_soon();
			if (!sampled)
				ereport(WARNING,
						(errmsg("the sampler took no tick within %d seconds",
								POOLDIAG_TICK_TIMEOUT_MS / 1000),
						 errdetail("History, peaks and the wait profile are forgotten when it "
								   "takes its next one.")));
			PG_RETURN_VOID();
		}
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", parts[i].what);
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					what == NULL ? errmsg("\"what\" must not be null")
								 : errmsg("there is nothing called \"%s\" to reset", what),
					errhint("What can be reset is: %s.", names.data)));
	PG_RETURN_VOID();
}
