/*
 * advice_settings.c
 *	  Rules on settings, of the server and of the extension itself.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "advice_settings.h"
#include "canary.h"
#include "clock.h"
#include "operation.h"
#include "settings.h"
#include "shared.h"
#include "text.h"
#include "thresholds.h"
#include "timeouts.h"

#define MB (1024.0 * 1024)

/* ---------------------------------------------------------------- memory_at_risk ----------------- */

static double
memory_wanted(const PoolDiagSample *sample)
{
	const PoolDiagServerSettings *settings = &sample->settings;

	return (double) settings->shared_buffers + settings->work_mem_kb * 1024.0 *
												   Max(settings->hash_mem_multiplier, 1) *
												   sample->connections_peak.value;
}

bool
pooldiag_advice_memory_is_at_risk(const PoolDiagSample *sample, int pool)
{
	return sample->settings.memory > 0 &&
		   memory_wanted(sample) * 100 >
			   (double) sample->settings.memory * POOLDIAG_MEMORY_INFO_PERCENT;
}

void
pooldiag_advice_memory_at_risk(PoolDiagCase *c, int pool)
{
	const PoolDiagSample *sample = c->live->sample;
	const PoolDiagServerSettings *settings = &sample->settings;
	double wanted = memory_wanted(sample);
	double memory = (double) settings->memory;
	double share = Max(memory - (double) settings->shared_buffers, 0) *
				   POOLDIAG_MEMORY_SHARE_PERCENT / 100 / Max(sample->connections_peak.value, 1) /
				   Max(settings->hash_mem_multiplier, 1);
	bool grave = wanted * 100 > memory * POOLDIAG_MEMORY_WARNING_PERCENT;
	StringInfoData json;
	PoolDiagAdvice *added =
		pooldiag_advice_on(c, grave ? POOLDIAG_WARNING : POOLDIAG_INFO, pool, &json);

	added->title = psprintf("%d connections, each at work_mem, would take %.0f MB, and there are "
							"%.0f MB",
							sample->connections_peak.value, wanted / MB, memory / MB);
	pooldiag_json_number(&json, "work_mem_kb", settings->work_mem_kb, 0);
	pooldiag_json_number(&json, "hash_mem_multiplier", settings->hash_mem_multiplier, 2);
	pooldiag_json_int(&json, "peak_connections", sample->connections_peak.value);
	pooldiag_json_number(&json, "shared_buffers_mb", (double) settings->shared_buffers / MB, 0);
	pooldiag_json_number(&json, "memory_mb", memory / MB, 0);
	pooldiag_json_number(&json, "wanted_mb", wanted / MB, 0);
	pooldiag_advice_done(added, &json);
	added->advice = "Each sort or hash of a query may take work_mem, a hash hash_mem_multiplier "
					"times that. As many connections as there have been at once, each with one of "
					"them, would not fit: the kernel ends the server's processes then, and all "
					"sessions with them. Lower work_mem, and raise it for the roles or queries "
					"that need it; or let fewer connections in.";
	added->remedy = psprintf("ALTER SYSTEM SET work_mem = '%.0fkB';\nSELECT pg_reload_conf();",
							 Max(share / 1024 - 0.5, 64));
}

/* ---------------------------------------------------------------- missing_timeouts --------------- */

/* One setting that would end what hangs, and that some sessions lack. */
static void
judge_timeout(PoolDiagCase *c, const char *setting, int server_ms, const char *value,
			  const char *what_hangs)
{
	PoolDiagUntimed untimed = pooldiag_timeouts_missing(c->live, setting, server_ms);
	PoolDiagAdvice *added;
	StringInfoData json;
	StringInfoData remedy;
	ListCell *cell;
	int named = 0;

	if (untimed.connections == 0)
		return;
	added = pooldiag_advice_add(c, POOLDIAG_INFO, setting, pooldiag_advice_key(setting));
	added->title = psprintf("No %s ends %s in %d connection%s", setting, what_hangs,
							untimed.connections, pooldiag_plural(untimed.connections));
	initStringInfo(&json);
	initStringInfo(&remedy);
	pooldiag_json_begin(&json, NULL, '{');
	if (server_ms == POOLDIAG_TIMEOUT_UNKNOWN)
		pooldiag_json_null(&json, "server_setting_seconds");
	else
		pooldiag_json_number(&json, "server_setting_seconds", server_ms / 1e3, 3);
	pooldiag_json_int(&json, "connections", untimed.connections);
	pooldiag_json_begin(&json, "roles", '[');
	foreach (cell, untimed.roles)
	{
		const PoolDiagUntimedRole *role = lfirst(cell);

		if (named++ >= POOLDIAG_MAX_NAMED)
			break;
		pooldiag_json_string(&json, NULL, role->role);
		/* What this database's encoding can't say may be the name of another in it. */
		if (!pooldiag_text_is_clean(role->role) ||
			(role->database != NULL && !pooldiag_text_is_clean(role->database)))
			continue;
		appendStringInfo(&remedy, "%sALTER ROLE %s ", remedy.len == 0 ? "" : "\n",
						 quote_identifier(role->role));
		if (role->database != NULL)
			appendStringInfo(&remedy, "IN DATABASE %s ", quote_identifier(role->database));
		appendStringInfo(&remedy, "SET %s = '%s';", setting, value);
	}
	pooldiag_json_end(&json, ']');
	pooldiag_json_int(&json, "roles_not_listed",
					  list_length(untimed.roles) - Min(named, POOLDIAG_MAX_NAMED));
	pooldiag_advice_done(added, &json);
	added->advice = psprintf("As the server, the role and the database are set, nothing ends %s, "
							 "and its connection stays taken. Choose a bound that no honest work "
							 "of the application reaches. What a session sets for itself is not "
							 "seen from here.",
							 what_hangs);
	added->remedy = remedy.len == 0 ? NULL : remedy.data;
}

void
pooldiag_advice_missing_timeouts(PoolDiagCase *c, int pool)
{
	const PoolDiagLive *live = c->live;
	const PoolDiagServerSettings *settings = &live->sample->settings;

	judge_timeout(c, "idle_in_transaction_session_timeout",
				  live->sampled ? settings->idle_in_transaction_timeout_ms
								: pooldiag_timeouts_own("idle_in_transaction_session_timeout"),
				  "5min", "a transaction that was left open");
	judge_timeout(c, "statement_timeout",
				  live->sampled ? settings->statement_timeout_ms
								: pooldiag_timeouts_own("statement_timeout"),
				  "5min", "a statement that never finishes");
}

/* ---------------------------------------------------------------- sampler_silent ----------------- */

void
pooldiag_advice_sampler_silent(PoolDiagCase *c, int pool)
{
	const PoolDiagLive *live = c->live;
	PoolDiagAdvice *added;
	StringInfoData json;

	if (!pooldiag_live_sampler_is_silent(live))
		return;
	added = pooldiag_advice_on(c, POOLDIAG_CRITICAL, POOLDIAG_SUBJECT_SERVER, &json);
	added->title = live->sampled ? psprintf("The sampler has taken no sample for %.0f s",
											pooldiag_seconds_since(live->sampled_at, live->now))
								 : "The sampler has taken no sample since the server's start";
	if (live->sampled)
		pooldiag_json_number(&json, "last_sample_age_seconds",
							 pooldiag_seconds_since(live->sampled_at, live->now), 1);
	else
		pooldiag_json_null(&json, "last_sample_age_seconds");
	pooldiag_advice_done(added, &json);
	added->advice =
		"What is reported of now is right; peaks, and since when rules fire, stand "
		"still. The server's log says why the \"pooldiag sampler\" worker does not run; "
		"it needs a free slot of \"max_worker_processes\".";
	added->remedy = "SELECT name, value FROM pooldiag.self WHERE name LIKE 'sampler%';";
}

/* ---------------------------------------------------------------- operations_failing ------------- */

/* What comes of it when one fails, and what to do; last_error, in its evidence, says why. */
static const char *const operation_advice[POOLDIAG_OPERATIONS] = {
	[POOLDIAG_OPERATION_STATE_FILE] = "Counters, peaks and history are not saved: what has come "
									  "since the last save is gone when the "
									  "server ends. See to space and permissions of pg_stat in the "
									  "data directory, and to its disk.",
	[POOLDIAG_OPERATION_JOURNAL] =
		"Alerts and incidents are not written down: those since then are gone when the server "
		"ends, "
		"but for their lines in the server's log. See to space and permissions of pg_stat in the "
		"data directory, and to its disk.",
	[POOLDIAG_OPERATION_CANARY] =
		"What an application does, to connect, run a statement and commit, fails or takes too "
		"long. "
		"If applications are well, it is the canary's alone: pooldiag.database may be none to "
		"connect to, or max_worker_processes too small. If they hang too, it is what a commit "
		"waits "
		"for: the disk of WAL, or a synchronous standby that is gone.",
	[POOLDIAG_OPERATION_NOTIFY] =
		"Who listens is not told of alerts, which are in pooldiag.alerts and in the server's log "
		"all "
		"the same. pooldiag.database may be none to connect to, max_worker_processes too small, or "
		"the server's queue of notifications full, as a session that listens is in a transaction.",
	[POOLDIAG_OPERATION_LIMITS] = "Whoever asks over HTTP is told of limits of roles and databases "
								  "as they were read last, or "
								  "not at all. pooldiag.database may be none to connect to, or "
								  "max_worker_processes too small.",
};

static void
judge_operation(PoolDiagCase *c, PoolDiagOperationKind kind)
{
	const char *name = pooldiag_operation_name(kind);
	PoolDiagOperationFigures figures;
	PoolDiagAdvice *added;
	StringInfoData json;
	double silence = kind == POOLDIAG_OPERATION_CANARY ? pooldiag_canary_silence() : 0;
	double running;

	pooldiag_operation_read(kind, &figures);
	running = figures.running ? (pooldiag_clock_ms() - figures.started_ms) / 1e3 : 0;
	if (silence == 0 && !figures.overdue &&
		figures.consecutive_failures < POOLDIAG_OPERATIONS_FAILURES)
		return;
	added = pooldiag_advice_add(c, POOLDIAG_WARNING, name, pooldiag_advice_key(name));
	if (silence > 0)
		added->title = psprintf("The canary has not been tried for %.0f s", silence);
	else if (figures.overdue)
		added->title =
			psprintf("Operation %s has not ended for %.0f s, which is too long", name, running);
	else
		added->title = psprintf("Operation %s has failed " INT64_FORMAT " times in a row", name,
								figures.consecutive_failures);
	initStringInfo(&json);
	pooldiag_json_begin(&json, NULL, '{');
	pooldiag_json_int(&json, "succeeded", figures.succeeded);
	pooldiag_json_int(&json, "failed", figures.failed);
	pooldiag_json_int(&json, "timed_out", figures.timed_out);
	pooldiag_json_int(&json, "consecutive_failures", figures.consecutive_failures);
	if (figures.running)
		pooldiag_json_number(&json, "running_seconds", running, 1);
	if (silence > 0)
		pooldiag_json_number(&json, "silent_seconds", silence, 1);
	if (figures.last_error[0] == '\0')
		pooldiag_json_null(&json, "last_error");
	else
		pooldiag_json_string(&json, "last_error", figures.last_error);
	pooldiag_advice_done(added, &json);
	added->advice =
		silence > 0 ? "Nobody knows whether an application could work now, and alerts may be "
					  "neither logged nor notified: the \"pooldiag operations\" worker hangs, or "
					  "does not run. The server's log says why; it needs a free slot of "
					  "\"max_worker_processes\"."
					: operation_advice[kind];
	added->remedy = "SELECT * FROM pooldiag.operations;";
}

/* Of the server's own workings; their errors may name what is for those who may see all. */
void
pooldiag_advice_operations_failing(PoolDiagCase *c, int pool)
{
	if (pooldiag_control == NULL || !c->live->sees_all)
		return;
	for (int kind = 0; kind < POOLDIAG_OPERATIONS; kind++)
		judge_operation(c, (PoolDiagOperationKind) kind);
}
