/*
 * advice_workload.c
 *	  Rules on what the server's sessions have done of late.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"

#include "advice_workload.h"
#include "compat.h"
#include "thresholds.h"
#include "wait_names.h"

#define CLASS(event) POOLDIAG_WAIT_CLASS((uint32) (event))
#define ON_CPU 0

/* A class of waits that sessions shouldn't be in for most of their time, and what to do about it. */
typedef struct Waits
{
	int class;
	const char *name;
	const char *advice;
	const char *remedy;
} Waits;

#define SHOW_WAITS(class)                                                    \
	"SELECT pool, wait_event, sum(samples) AS samples FROM pooldiag.waits\n" \
	"WHERE wait_event_type = '" class "' GROUP BY pool, wait_event ORDER BY samples DESC;"

static const Waits bad_waits[] = {
	{CLASS(PG_WAIT_LOCK), "Lock",
	 "Sessions wait for each other's transactions: for rows that others have written, or tables "
	 "that "
	 "others change. Deal with who is at the root; then make transactions that write shorter, and "
	 "have them touch rows in the same order.",
	 "SELECT root_blocker, root_state, root_idle_for, count(*) AS waiting, root_query\n"
	 "FROM pooldiag.blocking GROUP BY 1, 2, 3, 5 ORDER BY waiting DESC;"},
	{CLASS(PG_WAIT_LWLOCK), "LWLock",
	 "Sessions contend for the server's own structures: too many are active at once for what they "
	 "share. A smaller pool, or a pooler in transaction mode, gives more throughput here than a "
	 "larger one. WALWrite means commits that queue for the disk; buffer_mapping a shared_buffers "
	 "that is too small; lock_manager queries over many partitions or indexes.",
	 SHOW_WAITS("LWLock")},
	{CLASS(POOLDIAG_WAIT_BUFFER), POOLDIAG_WAIT_BUFFER_NAME,
	 "Sessions wait for others to let go of a page, as an open cursor or a scan holds it.",
	 SHOW_WAITS(POOLDIAG_WAIT_BUFFER_NAME)},
	{CLASS(PG_WAIT_IO), "IO",
	 "Sessions wait for the disk. Reads: what is read doesn't fit into shared_buffers and the "
	 "system's cache, or is read from end to end (see missing_index and "
	 "pooldiag.slow_query_stats). "
	 "WALSync and WALWrite: commits wait for the disk; fewer and larger transactions help, or "
	 "synchronous_commit = off where the last moments may be lost.",
	 SHOW_WAITS("IO")},
	{CLASS(PG_WAIT_IPC), "IPC",
	 "Sessions wait for other processes. SyncRep: commits wait for a synchronous standby; see "
	 "whether it is connected, and how far behind (this shows it), and take one that has gone out "
	 "of "
	 "synchronous_standby_names. Else it is parallel workers: see max_parallel_workers_per_gather.",
	 "SELECT application_name, state, sync_state, write_lag, flush_lag, replay_lag,\n"
	 "  current_setting('synchronous_standby_names') AS synchronous_standby_names\n"
	 "FROM pg_stat_replication RIGHT JOIN (SELECT) AS always ON true;"},
};

/* Has the window been seen, for a mean over it to mean something? */
static bool
is_window_seen(const PoolDiagSample *sample)
{
	return sample->trend.seconds * 1000 * 100 >=
			   (double) sample->settings.window_ms * POOLDIAG_WINDOW_SEEN_PERCENT &&
		   sample->activity.ticks > 0;
}

static double
mean(const PoolDiagActivity *activity, int64 sightings)
{
	return activity->ticks == 0 ? 0 : (double) sightings / (double) activity->ticks;
}

/* ---------------------------------------------------------------- wait_bound --------------------- */

static const Waits *
find_waits(const PoolDiagActivity *activity)
{
	for (int i = 0; i < (int) lengthof(bad_waits); i++)
		if (activity->by_class[bad_waits[i].class] * 100 >=
			activity->active * POOLDIAG_WAIT_BOUND_PERCENT)
			return &bad_waits[i];
	return NULL;
}

bool
pooldiag_advice_is_wait_bound(const PoolDiagSample *sample, int pool)
{
	const PoolDiagActivity *activity = &sample->activity;

	return is_window_seen(sample) &&
		   mean(activity, activity->active) >= POOLDIAG_WAIT_BOUND_ACTIVE &&
		   find_waits(activity) != NULL;
}

void
pooldiag_advice_wait_bound(PoolDiagCase *c, int pool)
{
	const PoolDiagSample *sample = c->live->sample;
	const PoolDiagActivity *activity = &sample->activity;
	const Waits *waits = find_waits(activity);
	int64 samples = activity->by_class[waits->class];
	double percent = 100.0 * (double) samples / (double) activity->active;
	const char *event = pooldiag_wait_name(activity->top_event[waits->class]);
	StringInfoData json;
	PoolDiagAdvice *added = pooldiag_advice_on(c, POOLDIAG_WARNING, pool, &json);

	added->title = psprintf("%.0f %% of the active sessions wait for %s, most of them for %s",
							percent, waits->name, event != NULL ? event : "several events");
	pooldiag_json_string(&json, "wait_event_type", waits->name);
	if (event != NULL)
		pooldiag_json_string(&json, "wait_event", event);
	pooldiag_json_number(&json, "share_percent", percent, 1);
	pooldiag_json_number(&json, "active_mean", mean(activity, activity->active), 2);
	pooldiag_json_int(&json, "samples", samples);
	pooldiag_json_number(&json, "window_seconds", sample->trend.seconds, 1);
	pooldiag_advice_done(added, &json);
	added->advice = waits->advice;
	added->remedy = waits->remedy;
}

/* ---------------------------------------------------------------- cpu_oversubscribed ------------- */

bool
pooldiag_advice_cpu_is_oversubscribed(const PoolDiagSample *sample, int pool)
{
	const PoolDiagActivity *activity = &sample->activity;

	return is_window_seen(sample) && mean(activity, activity->by_class[ON_CPU]) >=
										 POOLDIAG_CPU_PER_CORE * sample->settings.cores;
}

void
pooldiag_advice_cpu_oversubscribed(PoolDiagCase *c, int pool)
{
	const PoolDiagSample *sample = c->live->sample;
	const PoolDiagActivity *activity = &sample->activity;
	double running = mean(activity, activity->by_class[ON_CPU]);
	StringInfoData json;
	PoolDiagAdvice *added = pooldiag_advice_on(c, POOLDIAG_WARNING, pool, &json);

	added->title = psprintf("%.1f sessions want to run at once, on %d core%s", running,
							sample->settings.cores, pooldiag_plural(sample->settings.cores));
	pooldiag_json_number(&json, "active_on_cpu_mean", running, 2);
	pooldiag_json_number(&json, "active_mean", mean(activity, activity->active), 2);
	pooldiag_json_int(&json, "cores", sample->settings.cores);
	pooldiag_json_number(&json, "window_seconds", sample->trend.seconds, 1);
	pooldiag_advice_done(added, &json);
	added->advice =
		psprintf("They take turns on the processors: each statement takes longer by as much, and "
				 "more of them do no more work. Pools with fewer connections that are active at "
				 "once (twice the cores is a good start, here %d) let the rest wait in the "
				 "application, where waiting costs nothing. This shows whose they are; "
				 "pooldiag.slow_query_stats has the statements to make cheaper.",
				 2 * sample->settings.cores);
	added->remedy = "SELECT pool, samples, share_percent FROM pooldiag.waits\n"
					"WHERE wait_event IS NULL ORDER BY samples DESC;";
}

/* ---------------------------------------------------------------- read_heavy --------------------- */

/* Is the server busy: as many sessions active as there are cores, waiting for locks or clients left out? */
static double
busy_sessions(const PoolDiagActivity *activity)
{
	return mean(activity, activity->by_class[ON_CPU] + activity->by_class[CLASS(PG_WAIT_IO)] +
							  activity->by_class[CLASS(PG_WAIT_LWLOCK)]);
}

static bool
is_busy(const PoolDiagSample *sample)
{
	return is_window_seen(sample) &&
		   busy_sessions(&sample->activity) >= POOLDIAG_BUSY_PER_CORE * sample->settings.cores;
}

static double
reads_percent(const PoolDiagTrend *trend)
{
	return 100 - 100.0 * (double) trend->flows[POOLDIAG_FLOW_WRITES] /
					 (double) Max(trend->flows[POOLDIAG_FLOW_XACTS], 1);
}

bool
pooldiag_advice_mostly_reads(const PoolDiagSample *sample, int pool)
{
	return is_busy(sample) && !RecoveryInProgress() &&
		   sample->trend.flows[POOLDIAG_FLOW_XACTS] >= POOLDIAG_READS_LEAST_XACTS &&
		   reads_percent(&sample->trend) >= POOLDIAG_READS_PERCENT;
}

void
pooldiag_advice_read_heavy(PoolDiagCase *c, int pool)
{
	const PoolDiagSample *sample = c->live->sample;
	StringInfoData json;
	PoolDiagAdvice *added = pooldiag_advice_on(c, POOLDIAG_INFO, pool, &json);

	added->title = psprintf("%.0f %% of the transactions only read, and the server is busy",
							reads_percent(&sample->trend));
	pooldiag_json_int(&json, "xacts", sample->trend.flows[POOLDIAG_FLOW_XACTS]);
	pooldiag_json_int(&json, "xacts_that_wrote", sample->trend.flows[POOLDIAG_FLOW_WRITES]);
	pooldiag_json_number(&json, "reads_percent", reads_percent(&sample->trend), 1);
	pooldiag_json_number(&json, "busy_sessions_mean", busy_sessions(&sample->activity), 2);
	pooldiag_json_int(&json, "cores", sample->settings.cores);
	pooldiag_json_number(&json, "window_seconds", sample->trend.seconds, 1);
	pooldiag_advice_done(added, &json);
	added->advice =
		"What only reads, and may be a moment behind, can run on a standby: reports and "
		"lists first. Give the application a second pool for it, with "
		"target_session_attrs=prefer-standby, and keep what reads its own writes on the "
		"primary. This shows which pools have most to move, and which standbys there "
		"are.";
	added->remedy = "SELECT pool, xact_rate, statement_p95_ms FROM pooldiag.pools\n"
					"ORDER BY xact_rate DESC NULLS LAST LIMIT 10;\n"
					"SELECT application_name, state, sync_state, replay_lag FROM "
					"pg_stat_replication;";
}

/* ---------------------------------------------------------------- statement_logging -------------- */

bool
pooldiag_advice_wants_logging(const PoolDiagSample *sample, int pool)
{
	const PoolDiagServerSettings *settings = &sample->settings;

	return is_busy(sample) && settings->log_min_duration_ms < 0 &&
		   settings->log_min_duration_sample_ms < 0 && settings->log_statement != LOGSTMT_ALL;
}

void
pooldiag_advice_statement_logging(PoolDiagCase *c, int pool)
{
	const PoolDiagSample *sample = c->live->sample;
	const PoolDiagTrend *trend = &sample->trend;
	StringInfoData json;
	PoolDiagAdvice *added = pooldiag_advice_on(c, POOLDIAG_INFO, pool, &json);

	added->title = "The server is busy, and doesn't log which statements make it so";
	pooldiag_json_number(&json, "busy_sessions_mean", busy_sessions(&sample->activity), 2);
	pooldiag_json_int(&json, "cores", sample->settings.cores);
	pooldiag_json_number(&json, "statement_rate",
						 (double) trend->flows[POOLDIAG_FLOW_STATEMENTS] / trend->seconds, 1);
	pooldiag_json_number(&json, "window_seconds", trend->seconds, 1);
	pooldiag_advice_done(added, &json);
	added->advice = "pooldiag.slow_query_log has what takes longer than slow_query_threshold; a "
					"server is as often kept busy by many short statements. Log those over 250 ms, "
					"and one in a hundred of the others, for ten minutes at the busiest time; add "
					"up the log by statement; then switch it off again with the last lines, as "
					"logging costs time and disk, and has data of your users in it.";
	added->remedy = "ALTER SYSTEM SET log_min_duration_statement = '250ms';\n"
					"ALTER SYSTEM SET log_min_duration_sample = 0;\n"
					"ALTER SYSTEM SET log_statement_sample_rate = 0.01;\n"
					"SELECT pg_reload_conf();\n"
					"-- ten minutes later:\n"
					"-- ALTER SYSTEM RESET log_min_duration_statement;\n"
					"-- ALTER SYSTEM RESET log_min_duration_sample;\n"
					"-- ALTER SYSTEM RESET log_statement_sample_rate;\n"
					"-- SELECT pg_reload_conf();";
}

/* ---------------------------------------------------------------- canceled_statements ------------ */

bool
pooldiag_advice_pool_is_canceled(const PoolDiagSample *sample, int pool)
{
	const int64 *flows = sample->pools.rows[pool].trend.flows;

	return flows[POOLDIAG_FLOW_CANCELED] >= POOLDIAG_CANCELED_LEAST &&
		   flows[POOLDIAG_FLOW_CANCELED] * 100 >=
			   flows[POOLDIAG_FLOW_STATEMENTS] * POOLDIAG_CANCELED_PERCENT;
}

void
pooldiag_advice_canceled_statements(PoolDiagCase *c, int pool)
{
	const PoolDiagTrend *trend = &c->live->sample->pools.rows[pool].trend;
	int64 canceled = trend->flows[POOLDIAG_FLOW_CANCELED];
	int64 statements = trend->flows[POOLDIAG_FLOW_STATEMENTS];
	StringInfoData json;
	PoolDiagAdvice *added = pooldiag_advice_on(c, POOLDIAG_WARNING, pool, &json);

	added->title = psprintf(INT64_FORMAT " statements of pool %s were canceled in the last %.0f s",
							canceled, added->subject, trend->seconds);
	pooldiag_json_int(&json, "canceled", canceled);
	pooldiag_json_int(&json, "statements", statements);
	pooldiag_json_number(&json, "canceled_percent",
						 100.0 * (double) canceled / (double) Max(statements, 1), 2);
	pooldiag_json_number(&json, "window_seconds", trend->seconds, 1);
	pooldiag_advice_done(added, &json);
	added->advice = "They ran into statement_timeout or lock_timeout, or somebody gave up on them: "
					"all their work is lost, and is often tried again at once, which makes it "
					"worse. Make the statements faster rather than the timeout longer; where they "
					"waited for locks, see pooldiag.blocking. This shows those that were slow; the "
					"server's log has the others, and says what canceled each.";
	added->remedy =
		psprintf("SELECT sqlstate, count(*), round(max(duration_ms)) AS longest_ms, query\n"
				 "FROM pooldiag.slow_query_log WHERE outcome = 'canceled' AND pool = %s\n"
				 "GROUP BY sqlstate, query ORDER BY count(*) DESC;",
				 pooldiag_advice_pool_literal(c, pool));
}

/* ---------------------------------------------------------------- rollback_rate ------------------ */

bool
pooldiag_advice_pool_loses_work(const PoolDiagSample *sample, int pool)
{
	const int64 *flows = sample->pools.rows[pool].trend.flows;

	return flows[POOLDIAG_FLOW_LOST] >= POOLDIAG_LOST_LEAST &&
		   flows[POOLDIAG_FLOW_LOST] * 100 >= flows[POOLDIAG_FLOW_XACTS] * POOLDIAG_LOST_PERCENT;
}

void
pooldiag_advice_rollback_rate(PoolDiagCase *c, int pool)
{
	const PoolDiagTrend *trend = &c->live->sample->pools.rows[pool].trend;
	int64 lost = trend->flows[POOLDIAG_FLOW_LOST];
	int64 xacts = trend->flows[POOLDIAG_FLOW_XACTS];
	double percent = 100.0 * (double) lost / (double) Max(xacts, 1);
	StringInfoData json;
	PoolDiagAdvice *added = pooldiag_advice_on(c, POOLDIAG_WARNING, pool, &json);

	added->title =
		psprintf("%.0f %% of the transactions of pool %s lose their work", percent, added->subject);
	pooldiag_json_int(&json, "xacts", xacts);
	pooldiag_json_int(&json, "xacts_lost", lost);
	pooldiag_json_int(&json, "statements_failed", trend->flows[POOLDIAG_FLOW_FAILURES]);
	pooldiag_json_number(&json, "lost_percent", percent, 1);
	pooldiag_json_number(&json, "window_seconds", trend->seconds, 1);
	pooldiag_advice_done(added, &json);
	added->advice = "They ended in an error, or were rolled back after they had written something; "
					"a ROLLBACK of what only read, as pools send it when a connection comes back, "
					"isn't counted. The server's log has each error, if log_min_messages lets it. "
					"Unique violations: INSERT ... ON CONFLICT. Serialization failures and "
					"deadlocks: shorter transactions, the same order of rows. This shows what the "
					"server itself counts.";
	added->remedy = "SELECT datname, xact_commit, xact_rollback, deadlocks, conflicts\n"
					"FROM pg_stat_database WHERE xact_rollback > 0 ORDER BY xact_rollback DESC;";
}
