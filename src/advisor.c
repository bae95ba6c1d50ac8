/*
 * advisor.c
 *	  The rules: what deserves attention, why, and what to do about it.
 *
 * Whether a rule fires is a question to a sample, and has one answer in the sampler, which
 * remembers since when, and in a session that asks, which adds evidence, advice and a remedy from
 * what it sees itself. A rule that needs a catalog is answered in the asking session alone; since
 * when it fires is not known.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advisor.h"
#include "json.h"
#include "locks.h"
#include "text.h"
#include "timeouts.h"

/* Of the usable slots, in percent: from where slots_nearly_full warns, and from where it is
 * critical. */
#define SLOTS_WARNING 80
#define SLOTS_CRITICAL 95

/* Processes that one piece of evidence or remedy names; how many more there are is said. */
#define MAX_NAMED 20

typedef void (*Rule)(PoolDiagLive *live, List **advice);

/* ---------------------------------------------------------------- when rules fire ----------------
 */

static bool
slots_are_nearly_full(const PoolDiagSample *sample)
{
	return (int64) sample->server.connections * 100 >=
		   (int64) pooldiag_backends_usable() * SLOTS_WARNING;
}

static int64
declared_capacity(const PoolDiagPools *pools)
{
	int64 capacity = 0;

	for (int i = pools->first_declared; i >= 0; i = pools->rows[i].next)
		capacity += pools->rows[i].limits.capacity;
	return capacity;
}

static bool
pools_exceed_server(const PoolDiagSample *sample)
{
	return declared_capacity(&sample->pools) > pooldiag_backends_usable();
}

static void
watch(TimestampTz *since, bool fires, TimestampTz now)
{
	if (!fires)
		*since = 0;
	else if (*since == 0)
		*since = now;
}

/* Notes in the sampler's sample since when each rule fires. */
void
pooldiag_advisor_watch(PoolDiagSample *sample, TimestampTz now)
{
	watch(&sample->slots_full_since, slots_are_nearly_full(sample), now);
	watch(&sample->exceeds_since, pools_exceed_server(sample), now);
	for (int i = 0; i <= sample->pools.capacity; i++)
	{
		PoolDiagPool *pool = &sample->pools.rows[i];

		watch(&pool->leaks_since, pool->tally.leaks > 0, now);
		watch(&pool->slow_since, pool->tally.slow > 0, now);
	}
}

/* ---------------------------------------------------------------- what they say ------------------
 */

static PoolDiagAdvice *
add_advice(List **advice, PoolDiagSeverity severity, const char *rule, const char *subject,
		   TimestampTz first_seen)
{
	PoolDiagAdvice *added = palloc0(sizeof(PoolDiagAdvice));

	added->severity = severity;
	added->rule = rule;
	added->subject = pstrdup(subject);
	added->first_seen = first_seen;
	*advice = lappend(*advice, added);
	return added;
}

static const char *
plural(int count)
{
	return count == 1 ? "" : "s";
}

static double
seconds_since(TimestampTz since, TimestampTz now)
{
	return Max(0, now - since) / 1e6;
}

static void
advise_on_full_slots(PoolDiagLive *live, List **advice)
{
	const PoolDiagTally *server = &live->sample->server;
	int usable = pooldiag_backends_usable();
	int idle = server->by_state[POOLDIAG_IDLE];
	int held = server->by_state[POOLDIAG_IDLE_IN_TRANSACTION] +
			   server->by_state[POOLDIAG_IDLE_IN_TRANSACTION_ABORTED];
	double percent = 100.0 * server->connections / usable;
	PoolDiagAdvice *added;
	StringInfoData json;

	if (!slots_are_nearly_full(live->sample))
		return;
	added = add_advice(advice, percent >= SLOTS_CRITICAL ? POOLDIAG_CRITICAL : POOLDIAG_WARNING,
					   "slots_nearly_full", "server", live->sample->slots_full_since);
	added->title = psprintf("%d of %d usable connection slots are taken (%.1f %%)",
							server->connections, usable, percent);
	initStringInfo(&json);
	pooldiag_json_begin(&json, NULL, '{');
	pooldiag_json_int(&json, "connections", server->connections);
	pooldiag_json_int(&json, "usable_slots", usable);
	pooldiag_json_number(&json, "slots_percent", percent, 1);
	pooldiag_json_begin(&json, "states", '{');
	for (int state = 0; state < POOLDIAG_STATES; state++)
		pooldiag_json_int(&json, pooldiag_state_name(state), server->by_state[state]);
	pooldiag_json_end(&json, '}');
	pooldiag_json_end(&json, '}');
	added->evidence = json.data;
	if (held * 4 >= server->connections)
	{
		added->advice =
			psprintf("%d connections are idle in transaction: the application holds them without "
					 "using them. Find who in pooldiag.leaks, free the slots, then mend the code "
					 "that neither commits nor rolls back.",
					 held);
		added->remedy = "SELECT pid, pg_terminate_backend(pid) FROM pooldiag.leaks;";
	}
	else if (idle * 2 >= server->connections)
	{
		added->advice =
			psprintf("%d connections are idle: the pools keep more than they use. Lower their size "
					 "(see pooldiag.pools and pooldiag.connection_groups) or share them through a "
					 "pooler in transaction mode; that goes further than a larger "
					 "max_connections.",
					 idle);
		added->remedy = "SELECT pid, pg_terminate_backend(pid) FROM pooldiag.connections "
						"WHERE state = 'idle' AND state_age > interval '10 min';";
	}
	else
	{
		added->advice = "Most connections are at work: see pooldiag.slow_queries and "
						"pooldiag.blocking for what holds them, before you raise max_connections.";
		added->remedy = psprintf("ALTER SYSTEM SET max_connections = %d; -- takes effect when the "
								 "server is restarted",
								 MaxConnections + Max(MaxConnections / 4, 10));
	}
}

static void
advise_on_exceeding_pools(PoolDiagLive *live, List **advice)
{
	const PoolDiagPools *pools = &live->sample->pools;
	int64 capacity = declared_capacity(pools);
	int usable = pooldiag_backends_usable();
	PoolDiagAdvice *added;
	StringInfoData json;

	if (!pools_exceed_server(live->sample))
		return;
	added = add_advice(advice, POOLDIAG_WARNING, "pool_exceeds_server", "server",
					   live->sample->exceeds_since);
	added->title = psprintf("The declared pools may open " INT64_FORMAT
							" connections; the server has %d usable slots",
							capacity, usable);
	initStringInfo(&json);
	pooldiag_json_begin(&json, NULL, '{');
	pooldiag_json_int(&json, "capacity", capacity);
	pooldiag_json_int(&json, "usable_slots", usable);
	pooldiag_json_begin(&json, "pools", '{');
	for (int i = pools->first_declared; i >= 0; i = pools->rows[i].next)
		pooldiag_json_int(&json, pools->rows[i].def.name, pools->rows[i].limits.capacity);
	pooldiag_json_end(&json, '}');
	pooldiag_json_end(&json, '}');
	added->evidence = json.data;
	added->advice = "When all of them fill up at once, some clients are turned away, and it need "
					"not be those of the pool that is at fault. Lower sizes or overflows until the "
					"capacities (instances * (size + max_overflow)) fit, or give the server more "
					"slots.";
	/* No server has as many slots as that; then the sizes have to come down. */
	if (capacity > MAX_BACKENDS / 2)
		added->remedy = "SELECT pool, instances, size, max_overflow, capacity "
						"FROM pooldiag.pools WHERE declared ORDER BY capacity DESC;";
	else
		added->remedy = psprintf("ALTER SYSTEM SET max_connections = " INT64_FORMAT
								 "; -- takes effect when the server is restarted",
								 capacity + pooldiag_backends_reserved());
}

/* The leak suspects, or the slow holders, of one pool. */
typedef struct Processes
{
	int count;
	int waiting_for_locks;
	StringInfoData json; /* elements of an array: each process, and for how long */
	StringInfoData rows; /* row constructors for a remedy, safe against reused pids */
} Processes;

static bool
is_slow_holder(const PoolDiagCounted *counted, const PoolDiagPoolLimits *limits, int64_t now)
{
	return (counted->state == POOLDIAG_ACTIVE || counted->state == POOLDIAG_FASTPATH) &&
		   pooldiag_is_slow(counted, limits, now);
}

/* Lists the processes of a pool; of a slow holder its statement is named too, by its start. */
static void
list_processes(PoolDiagLive *live, int pool, bool leaks, Processes *listed)
{
	const PoolDiagPoolLimits *limits = &live->sample->pools.rows[pool].limits;

	memset(listed, 0, sizeof(*listed));
	initStringInfo(&listed->json);
	initStringInfo(&listed->rows);
	for (int i = 0; i < live->count; i++)
	{
		const PoolDiagBackend *backend = &live->connections[i].backend;
		PoolDiagCounted counted = pooldiag_sample_counted(backend);
		TimestampTz since = leaks ? backend->state_change : backend->query_start;

		if (live->connections[i].pool != pool ||
			!(leaks ? pooldiag_is_leak : is_slow_holder)(&counted, limits, live->now))
			continue;
		if (counted.waits_for_lock)
			listed->waiting_for_locks++;
		if (listed->count++ >= MAX_NAMED)
			continue;
		pooldiag_json_begin(&listed->json, NULL, '{');
		pooldiag_json_int(&listed->json, "pid", backend->pid);
		pooldiag_json_string(&listed->json, "backend_start",
							 timestamptz_to_str(backend->backend_start));
		pooldiag_json_number(&listed->json, "seconds", seconds_since(since, live->now), 1);
		pooldiag_json_end(&listed->json, '}');
		appendStringInfo(&listed->rows, "%s(%d, '%s'", listed->rows.len == 0 ? "" : ", ",
						 backend->pid, timestamptz_to_str(backend->backend_start));
		if (!leaks)
			appendStringInfo(&listed->rows, ", '%s'", timestamptz_to_str(backend->query_start));
		appendStringInfoChar(&listed->rows, ')');
	}
}

static char *
process_evidence(const Processes *listed, int64 threshold_ms, double longest_seconds,
				 const char *waits, int waiting)
{
	StringInfoData json;

	initStringInfo(&json);
	pooldiag_json_begin(&json, NULL, '{');
	pooldiag_json_int(&json, "connections", listed->count);
	pooldiag_json_number(&json, "threshold_seconds", threshold_ms / 1e3, 3);
	pooldiag_json_number(&json, "longest_seconds", longest_seconds, 1);
	pooldiag_json_int(&json, waits, waiting);
	pooldiag_json_begin(&json, "processes", '[');
	appendStringInfoString(&json, listed->json.data);
	pooldiag_json_end(&json, ']');
	pooldiag_json_int(&json, "processes_not_listed", Max(0, listed->count - MAX_NAMED));
	pooldiag_json_end(&json, '}');
	return json.data;
}

static int
waiting_behind_leaks(PoolDiagLive *live, int pool, const PoolDiagLocks *locks)
{
	const PoolDiagPoolLimits *limits = &live->sample->pools.rows[pool].limits;
	int *pids = palloc(sizeof(int) * Max(live->count, 1));
	int npids = 0;

	for (int i = 0; i < live->count; i++)
	{
		PoolDiagCounted counted = pooldiag_sample_counted(&live->connections[i].backend);

		if (live->connections[i].pool == pool && pooldiag_is_leak(&counted, limits, live->now))
			pids[npids++] = live->connections[i].backend.pid;
	}
	return pooldiag_locks_waiting_behind(locks, pids, npids);
}

static void
advise_on_leaks(PoolDiagLive *live, List **advice)
{
	PoolDiagLocks *locks = NULL;

	for (int i = 0; i <= live->sample->pools.capacity; i++)
	{
		const PoolDiagPool *pool = &live->sample->pools.rows[i];
		int leaks = pool->tally.leaks;
		double longest = seconds_since(pool->tally.oldest_leak, live->now);
		char *name;
		int waiting;
		PoolDiagAdvice *added;
		Processes listed;

		if (leaks == 0)
			continue;
		if (locks == NULL)
			locks = pooldiag_locks_read();
		waiting = waiting_behind_leaks(live, i, locks);
		name = pooldiag_live_pool_name(live, i);
		added = add_advice(advice, waiting > 0 ? POOLDIAG_CRITICAL : POOLDIAG_WARNING,
						   "leak_suspects", name, pool->leaks_since);
		added->title = psprintf("%d connection%s of pool %s idle in transaction, for up to %.0f s",
								leaks, plural(leaks), name, longest);
		list_processes(live, i, true, &listed);
		added->evidence = process_evidence(&listed, pool->limits.leak_ms, longest,
										   "sessions_waiting_behind", waiting);
		added->advice = psprintf(
			"The application took these connections, began a transaction, and does nothing with "
			"it: a session that was not closed, or other work done inside a transaction. "
			"pooldiag.leaks shows the last statement of each%s. Close sessions in a finally block "
			"or a context manager; end the transactions below if nobody works in them.",
			waiting > 0 ? "; other sessions wait for their locks" : "");
		added->remedy = psprintf("SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity\n"
								 "WHERE (pid, backend_start) IN (%s)\n"
								 "  AND state LIKE 'idle in transaction%%';",
								 listed.rows.data);
	}
}

static void
advise_on_slow_holders(PoolDiagLive *live, List **advice)
{
	for (int i = 0; i <= live->sample->pools.capacity; i++)
	{
		const PoolDiagPool *pool = &live->sample->pools.rows[i];
		int slow = pool->tally.slow;
		double longest = seconds_since(pool->tally.oldest_slow, live->now);
		char *name;
		PoolDiagAdvice *added;
		Processes listed;

		if (slow == 0)
			continue;
		name = pooldiag_live_pool_name(live, i);
		added = add_advice(advice, POOLDIAG_WARNING, "slow_holders", name, pool->slow_since);
		added->title = psprintf("%d statement%s of pool %s running for up to %.0f s, holding %s",
								slow, plural(slow), name, longest,
								slow == 1 ? "its connection" : "their connections");
		list_processes(live, i, false, &listed);
		added->evidence = process_evidence(&listed, pool->limits.slow_ms, longest,
										   "waiting_for_locks", listed.waiting_for_locks);
		if (listed.waiting_for_locks == listed.count)
		{
			added->advice = "All that is slow about them is that they wait for locks. Deal with "
							"who is at the root in pooldiag.blocking, not with them.";
			added->remedy = "SELECT DISTINCT root_blocker, root_state, root_idle_for, root_query "
							"FROM pooldiag.blocking;";
			continue;
		}
		added->advice = psprintf(
			"Each holds one of the pool's connections until it ends%s. pooldiag.slow_queries shows "
			"the statements, what they wait for and who blocks them. Cancel what nobody waits for "
			"any more; then look at the plans, and bound such statements with a statement_timeout "
			"for the role.",
			listed.waiting_for_locks > 0
				? psprintf("; %d of them wait for locks", listed.waiting_for_locks)
				: "");
		added->remedy = psprintf("SELECT pid, pg_cancel_backend(pid) FROM pg_stat_activity\n"
								 "WHERE (pid, backend_start, query_start) IN (%s)\n"
								 "  AND state IN ('active', 'fastpath function call');",
								 listed.rows.data);
	}
}

/* One setting that would end what hangs, and that some sessions lack. */
static void
advise_on_timeout(PoolDiagLive *live, List **advice, const char *setting, int server_ms,
				  const char *value, const char *what_hangs)
{
	PoolDiagUntimed untimed = pooldiag_timeouts_missing(live, setting, server_ms);
	PoolDiagAdvice *added;
	StringInfoData json;
	StringInfoData remedy;
	ListCell *cell;
	int named = 0;

	if (untimed.connections == 0)
		return;
	added = add_advice(advice, POOLDIAG_INFO, "missing_timeouts", setting, 0);
	added->title = psprintf("No %s ends %s in %d connection%s", setting, what_hangs,
							untimed.connections, plural(untimed.connections));
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

		if (named++ >= MAX_NAMED)
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
					  list_length(untimed.roles) - Min(named, MAX_NAMED));
	pooldiag_json_end(&json, '}');
	added->evidence = json.data;
	added->advice = psprintf("As the server, the role and the database are set, nothing ends %s, "
							 "and its connection stays taken. Choose a bound that no honest work "
							 "of the application reaches. What a session sets for itself is not "
							 "seen from here.",
							 what_hangs);
	added->remedy = remedy.len == 0 ? NULL : remedy.data;
}

static void
advise_on_timeouts(PoolDiagLive *live, List **advice)
{
	const PoolDiagSample *sample = live->sample;

	advise_on_timeout(live, advice, "idle_in_transaction_session_timeout",
					  live->sampled ? sample->idle_in_transaction_timeout_ms
									: pooldiag_timeouts_own("idle_in_transaction_session_timeout"),
					  "5min", "a transaction that was left open");
	advise_on_timeout(live, advice, "statement_timeout",
					  live->sampled ? sample->statement_timeout_ms
									: pooldiag_timeouts_own("statement_timeout"),
					  "5min", "a statement that never finishes");
}

static void
advise_on_silent_sampler(PoolDiagLive *live, List **advice)
{
	PoolDiagAdvice *added;
	StringInfoData json;

	if (!pooldiag_live_sampler_is_silent(live))
		return;
	added = add_advice(advice, POOLDIAG_CRITICAL, "sampler_silent", "server", 0);
	added->title = live->sampled ? psprintf("The sampler has taken no sample for %.0f s",
											seconds_since(live->sampled_at, live->now))
								 : "The sampler has taken no sample since the server's start";
	initStringInfo(&json);
	pooldiag_json_begin(&json, NULL, '{');
	if (live->sampled)
		pooldiag_json_number(&json, "last_sample_age_seconds",
							 seconds_since(live->sampled_at, live->now), 1);
	else
		pooldiag_json_null(&json, "last_sample_age_seconds");
	pooldiag_json_end(&json, '}');
	added->evidence = json.data;
	added->advice =
		"What is reported of now is right; peaks, and since when rules fire, stand "
		"still. The server's log says why the \"pooldiag sampler\" worker does not run; "
		"it needs a free slot of \"max_worker_processes\".";
	added->remedy = "SELECT name, value FROM pooldiag.self WHERE name LIKE 'sampler%';";
}

static const Rule rules[] = {
	advise_on_silent_sampler, advise_on_full_slots,	  advise_on_exceeding_pools,
	advise_on_leaks,		  advise_on_slow_holders, advise_on_timeouts,
};

/*
 * What this caller is to be told now: a list of PoolDiagAdvice, the gravest first, and never empty:
 * where no rule fires, it says so.
 */
List *
pooldiag_advisor_advise(PoolDiagLive *live)
{
	List *advice = NIL;
	List *sorted = NIL;

	for (int i = 0; i < (int) lengthof(rules); i++)
		rules[i](live, &advice);
	if (advice == NIL)
	{
		PoolDiagAdvice *added = add_advice(&advice, POOLDIAG_INFO, "all_clear", "server", 0);

		added->title = "All systems operating normally";
		added->evidence = "{}";
		added->advice = "Nothing to do.";
	}
	for (int severity = POOLDIAG_CRITICAL; severity >= POOLDIAG_INFO; severity--)
	{
		ListCell *cell;

		foreach (cell, advice)
			if ((int) ((PoolDiagAdvice *) lfirst(cell))->severity == severity)
				sorted = lappend(sorted, lfirst(cell));
	}
	return sorted;
}
