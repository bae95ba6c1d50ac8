/*
 * screen.c
 *	  The function report: one screen for a person on call, in 80 columns.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "health.h"
#include "rows.h"
#include "shared.h"
#include "text.h"

PG_FUNCTION_INFO_V1(pooldiag_report);

#define WIDTH 80
#define BAR_WIDTH 46
#define NAME_WIDTH 29
#define MAX_POOLS 10
#define MAX_ADVICE 6

static void
put_line(ReturnSetInfo *result, const char *text)
{
	PoolDiagRow row = {0};

	pooldiag_row_text(&row, text);
	pooldiag_row_put(&row, result);
}

/* Breaks a text into lines of WIDTH columns, the first behind one lead, the others behind another.
 */
static void
put_wrapped(ReturnSetInfo *result, const char *first, const char *others, const char *text)
{
	const char *lead = first;

	do
	{
		int room = WIDTH - pooldiag_text_width(lead);
		int bytes = pooldiag_text_bytes_in(text, room);

		/* Back to a blank, where the line has one. */
		if (text[bytes] != '\0' && text[bytes] != ' ')
			for (int i = bytes - 1; i > 0; i--)
				if (text[i] == ' ')
				{
					bytes = i;
					break;
				}
		put_line(result, psprintf("%s%.*s", lead, bytes, text));
		text += bytes;
		while (*text == ' ')
			text++;
		lead = others;
	} while (*text != '\0');
}

static char *
duration_text(int64 microseconds)
{
	int64 seconds = Max(0, microseconds) / USECS_PER_SEC;

	if (seconds < 120)
		return psprintf(INT64_FORMAT " s", seconds);
	if (seconds / SECS_PER_HOUR < 2)
		return psprintf(INT64_FORMAT " min", seconds / SECS_PER_MINUTE);
	if (seconds / SECS_PER_DAY < 2)
		return psprintf(INT64_FORMAT " h", seconds / SECS_PER_HOUR);
	return psprintf(INT64_FORMAT " days", seconds / SECS_PER_DAY);
}

static void
put_head(ReturnSetInfo *result, const PoolDiagLive *live, const List *advice)
{
	const PoolDiagAdvice *gravest = linitial(advice);
	const char *status = pooldiag_health_status(live, advice);
	char *left = psprintf("%s  %s, up %s", status, RecoveryInProgress() ? "standby" : "primary",
						  duration_text(live->now - PgStartTime));
	pg_time_t now = timestamptz_to_time_t(live->now);
	/* A zone of the session's own making may have an abbreviation as long as a name. */
	char clock[64 + TZ_STRLEN_MAX];

	pg_strftime(clock, sizeof(clock), "%Y-%m-%d %H:%M:%S %Z", pg_localtime(&now, session_timezone));
	put_line(result,
			 psprintf("%s%s", pooldiag_text_fit(left, WIDTH - pooldiag_text_width(clock)), clock));
	put_wrapped(result, "", "", pooldiag_text_printable(gravest->title));
	put_line(result, "");
}

static void
append_times(StringInfo text, const char *symbol, int times)
{
	while (times-- > 0)
		appendStringInfoString(text, symbol);
}

/* Of BAR_WIDTH columns, those of so many slots; never none for some. */
static int
bar_columns(int slots, int usable)
{
	int columns = (int) ((int64) slots * BAR_WIDTH / Max(usable, 1));

	return slots > 0 ? Max(1, columns) : 0;
}

static void
put_slots(ReturnSetInfo *result, const PoolDiagLive *live)
{
	const PoolDiagTally *server = &live->sample->server;
	int usable = pooldiag_backends_usable();
	bool utf8 = pooldiag_text_draws();
	int checked_out = bar_columns(pooldiag_tally_checked_out(server), usable);
	int other = bar_columns(server->connections - pooldiag_tally_checked_out(server), usable);
	StringInfoData line;

	checked_out = Min(checked_out, BAR_WIDTH);
	other = Min(other, BAR_WIDTH - checked_out);
	initStringInfo(&line);
	appendStringInfoString(&line, "slots  ");
	append_times(&line, utf8 ? "\xe2\x96\x88" : "#", checked_out); /* full block */
	append_times(&line, utf8 ? "\xe2\x96\x92" : "+", other);	   /* medium shade */
	append_times(&line, utf8 ? "\xc2\xb7" : ".", BAR_WIDTH - checked_out - other);
	appendStringInfo(&line, "  %d of %d (%.1f %%)", server->connections, usable,
					 100.0 * server->connections / usable);
	put_line(result, line.data);

	resetStringInfo(&line);
	appendStringInfo(&line, "       %s checked out, %s not, of the slots that are not reserved",
					 utf8 ? "\xe2\x96\x88" : "#", utf8 ? "\xe2\x96\x92" : "+");
	put_line(result, line.data);

	resetStringInfo(&line);
	appendStringInfo(&line, "active %d, idle %d, idle in transaction %d (aborted %d), starting %d",
					 server->by_state[POOLDIAG_ACTIVE] + server->by_state[POOLDIAG_FASTPATH],
					 server->by_state[POOLDIAG_IDLE],
					 server->by_state[POOLDIAG_IDLE_IN_TRANSACTION] +
						 server->by_state[POOLDIAG_IDLE_IN_TRANSACTION_ABORTED],
					 server->by_state[POOLDIAG_IDLE_IN_TRANSACTION_ABORTED],
					 server->by_state[POOLDIAG_STARTING]);
	put_wrapped(result, "       ", "       ", line.data);

	resetStringInfo(&line);
	appendStringInfo(&line, "waiting for a lock %d, slow %d, leak suspects %d", server->waiting,
					 server->slow, server->leaks);
	if (live->sampled)
		appendStringInfo(&line, ", most connections so far %d",
						 Max(live->sample->connections_peak.value, server->connections));
	put_wrapped(result, "       ", "       ", line.data);
	if (live->masked > 0)
		put_line(result, psprintf("       %d connections of other roles are not yours to see",
								  live->masked));
	put_line(result, "");
}

static int
compare_pools(const void *left, const void *right, void *pools)
{
	const PoolDiagPool *a = &((const PoolDiagPools *) pools)->rows[*(const int *) left];
	const PoolDiagPool *b = &((const PoolDiagPools *) pools)->rows[*(const int *) right];

	if (a->tally.connections != b->tally.connections)
		return a->tally.connections > b->tally.connections ? -1 : 1;
	return *(const int *) left - *(const int *) right;
}

static void
put_pools(ReturnSetInfo *result, const PoolDiagLive *live)
{
	PoolDiagPools *pools = &live->sample->pools;
	int *shown = palloc(sizeof(int) * (pools->capacity + 1));
	int count = 0;

	for (int i = 0; i <= pools->capacity; i++)
		if (pools->rows[i].used &&
			(pools->rows[i].declared || pools->rows[i].tally.connections > 0))
			shown[count++] = i;
	qsort_arg(shown, count, sizeof(int), compare_pools, pools);

	put_line(result, psprintf("%s  conns    out   idle   size  overfl   util%%  leaks",
							  pooldiag_text_fit("pool", NAME_WIDTH)));
	for (int i = 0; i < Min(count, MAX_POOLS); i++)
	{
		const PoolDiagPool *pool = &pools->rows[shown[i]];
		const PoolDiagTally *tally = &pool->tally;
		int64 size = (int64) pool->limits.size * pool->limits.instances;
		int checked_out = pooldiag_tally_checked_out(tally);
		char *name = pooldiag_text_fit(
			pooldiag_text_printable(pooldiag_live_pool_name(live, shown[i])), NAME_WIDTH);

		if (pool->declared)
			put_line(result, psprintf("%s %6d %6d %6d %6s %7d %7.1f %6d", name, tally->connections,
									  checked_out, tally->by_state[POOLDIAG_IDLE],
									  size > 999999 ? ">1e6" : psprintf("%d", (int) size),
									  (int) Max(0, tally->connections - size),
									  100.0 * checked_out / size, tally->leaks));
		else
			put_line(result, psprintf("%s %6d %6d %6d %6s %7s %7s %6d", name, tally->connections,
									  checked_out, tally->by_state[POOLDIAG_IDLE], "-", "-", "-",
									  tally->leaks));
	}
	if (count > MAX_POOLS)
		put_line(result, psprintf("and %d more: see pooldiag.pools", count - MAX_POOLS));
	put_line(result, "");
}

static void
put_advice(ReturnSetInfo *result, const PoolDiagLive *live, const List *advice)
{
	const char *explained = "";
	ListCell *cell;
	int shown = 0;

	foreach (cell, advice)
	{
		const PoolDiagAdvice *item = lfirst(cell);
		const char *lead = psprintf("%-9s", pooldiag_severity_name(item->severity));

		if (shown++ >= MAX_ADVICE)
		{
			put_line(result, psprintf("and %d more: see pooldiag.recommendations",
									  list_length(advice) - MAX_ADVICE));
			break;
		}
		if (item->first_seen != 0)
			put_wrapped(result, lead, "         ",
						psprintf("%s (for %s)", pooldiag_text_printable(item->title),
								 duration_text(live->now - item->first_seen)));
		else
			put_wrapped(result, lead, "         ", pooldiag_text_printable(item->title));
		/* What a rule says of several pools it says once. */
		if (strcmp(item->rule, "all_clear") != 0 && strcmp(explained, item->advice) != 0)
			put_wrapped(result, "         ", "         ", item->advice);
		explained = item->advice;
	}
	if (((const PoolDiagAdvice *) linitial(advice))->remedy != NULL)
	{
		put_line(result, "");
		put_line(result,
				 "Statements to paste: SELECT title, remedy FROM pooldiag.recommendations;");
	}
}

/* setof text: status and verdict, slots as a bar, pools, what is wrong and what to do about it. */
Datum
pooldiag_report(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagLive *live;
	List *advice;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	live = pooldiag_live_read(POOLDIAG_READ_XMIN);
	advice = pooldiag_advisor_advise(live);
	put_head(result, live, advice);
	put_slots(result, live);
	put_pools(result, live);
	put_advice(result, live, advice);
	return (Datum) 0;
}
