/*
 * incident.c
 *	  From what was seen when a breaker opened to a verdict in one sentence, and a remedy to paste.
 *
 * A remedy ends only processes that it names, by pid, start, and since when they have been in their state: pasted an
 * hour later it does nothing to a process that has gone on, or to another one with the same pid. Where nobody is to
 * be ended, it is a query that shows where to look.
 */
#include "incident.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A text that is being written: what doesn't fit is cut off. */
typedef struct Text
{
	char *at;
	size_t left;
} Text;

static void add(Text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
add(Text *text, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text->at, text->left, format, arguments);
	va_end(arguments);
	if (length < 0)
		return;
	if ((size_t) length >= text->left)
		length = (int) text->left - 1;
	text->at += length;
	text->left -= (size_t) length;
}

static const char *
plural(int64_t count)
{
	return count == 1 ? "" : "s";
}

/* The root, as what others are behind. */
static void
add_root(Text *text, const PoolDiagFacts *facts)
{
	if (facts->root_is_prepared)
		add(text, " behind a prepared transaction");
	else if (facts->root_is_replay)
		add(text, " behind the replay of WAL");
	else
		add(text, " behind pid %d (%s for %.0f s)", facts->root.pid,
			pooldiag_state_name(facts->root.state), facts->root.seconds);
}

/* The same as a clause of its own. */
static void
add_root_clause(Text *text, const PoolDiagFacts *facts)
{
	add(text, ",");
	add_root(text, facts);
}

/* Is it the root that keeps the holder's slots taken? */
static bool
is_held_up(const PoolDiagFacts *facts)
{
	return facts->has_root && facts->held_behind > facts->held / 2;
}

/* Are the slow statements slow because they wait? */
static bool
are_culprits_held_up(const PoolDiagFacts *facts)
{
	return facts->has_root && facts->culprits_waiting > facts->count / 2;
}

/* Who holds most slots, as a clause of its own. */
static void
add_holder(Text *text, const PoolDiagFacts *facts)
{
	if (facts->holder == NULL)
	{
		add(text, "the %d usable slots are held by nobody that was seen", facts->usable);
		return;
	}
	add(text, "%d of %d slots are held by %s, %s", facts->held, facts->usable, facts->holder,
		pooldiag_state_name(facts->holder_state));
	if (is_held_up(facts))
		add_root_clause(text, facts);
}

static void
add_culprit(Text *text, const PoolDiagFacts *facts)
{
	const PoolDiagCulprit *longest = &facts->culprits[0];

	if (facts->culprit_count > 0)
		add(text, ", the longest, pid %d of %s, for %.0f s", longest->pid,
			facts->culprit_pool != NULL ? facts->culprit_pool : "no known pool", longest->seconds);
}

void
pooldiag_incident_verdict(const PoolDiagFacts *facts, char *verdict, size_t size)
{
	Text text = {verdict, size};
	int64_t count = facts->count;

	verdict[0] = '\0';
	switch (facts->kind)
	{
		case POOLDIAG_BREAKER_SLOTS:
			add_holder(&text, facts);
			break;
		case POOLDIAG_BREAKER_POOL:
			add(&text, "%lld connection%s of %s fill%s a capacity of %lld", (long long) count,
				plural(count), facts->pool, count == 1 ? "s" : "", (long long) facts->whole);
			if (facts->holder == NULL)
				break;
			add(&text, "; %d of them %s %s", facts->held, facts->held == 1 ? "is" : "are",
				pooldiag_state_name(facts->holder_state));
			if (is_held_up(facts))
				add_root_clause(&text, facts);
			break;
		case POOLDIAG_BREAKER_REFUSALS:
			add(&text, "%lld connection%s refused", (long long) count,
				count == 1 ? " was" : "s were");
			if (facts->reason != NULL && facts->reason_count == count)
				add(&text, " (%s)", facts->reason);
			else if (facts->reason != NULL)
				add(&text, ", %lld of them for one reason (%s)", (long long) facts->reason_count,
					facts->reason);
			if (facts->reason_is_slots)
			{
				add(&text, "; ");
				add_holder(&text, facts);
			}
			break;
		case POOLDIAG_BREAKER_SLOW_QUERIES:
			add(&text, "%lld statement%s running past the threshold", (long long) count,
				count == 1 ? " is" : "s are");
			add_culprit(&text, facts);
			if (are_culprits_held_up(facts))
			{
				add(&text, "; %d wait%s for locks", facts->culprits_waiting,
					facts->culprits_waiting == 1 ? "s" : "");
				add_root_clause(&text, facts);
			}
			break;
		case POOLDIAG_BREAKER_LEAKS:
			add(&text, "%lld connection%s idle in transaction past the threshold",
				(long long) count, count == 1 ? " is" : "s are");
			add_culprit(&text, facts);
			break;
		case POOLDIAG_BREAKER_LOCK_WAITS:
			add(&text, "%lld session%s for locks", (long long) count,
				count == 1 ? " waits" : "s wait");
			if (!facts->has_root)
				break;
			add(&text, ", %d of %d", facts->waiting, facts->waiters);
			/* A comma would part what belongs together. */
			add_root(&text, facts);
			break;
		case POOLDIAG_BREAKER_ERRORS:
			add(&text, "%lld of %lld statements have failed", (long long) count,
				(long long) facts->whole);
			break;
		case POOLDIAG_BREAKER_OPERATIONS:
			add(&text, "the canary's tries fail");
			if (facts->error != NULL)
				add(&text, ": %s", facts->error);
			break;
	}
}

static bool
is_at_work(PoolDiagState state)
{
	return state == POOLDIAG_ACTIVE || state == POOLDIAG_FASTPATH;
}

/* Cancels statements, or ends sessions that do nothing: those named, as long as they are where they were. */
static bool
add_ending(Text *text, const PoolDiagCulprit *culprits, int count, bool cancel)
{
	int named = 0;

	for (int i = 0; i < count; i++)
	{
		const PoolDiagCulprit *culprit = &culprits[i];

		if (culprit->pid == 0 || culprit->state_change[0] == '\0' ||
			culprit->backend_start[0] == '\0' || is_at_work(culprit->state) != cancel ||
			culprit->state == POOLDIAG_STARTING || culprit->state == POOLDIAG_DISABLED)
			continue;
		if (named++ == 0)
			add(text,
				"SELECT pid, %s(pid) FROM pg_stat_activity\n"
				"WHERE (pid, backend_start, state_change) IN (",
				cancel ? "pg_cancel_backend" : "pg_terminate_backend");
		else
			add(text, ",\n  ");
		add(text, "(%d, '%s', '%s')", culprit->pid, culprit->backend_start, culprit->state_change);
	}
	if (named > 0)
		add(text, ");");
	return named > 0;
}

static void
add_root_ending(Text *text, const PoolDiagFacts *facts)
{
	if (facts->has_root && facts->root_is_prepared)
		add(text,
			"SELECT gid, prepared, owner, database FROM pg_prepared_xacts ORDER BY prepared;");
	else if (facts->has_root && facts->root_is_replay)
		add(text, "-- on the primary:\n"
				  "SELECT pid, locktype, relation::regclass FROM pg_locks\n"
				  "WHERE mode = 'AccessExclusiveLock' AND granted;");
	else if (!facts->has_root || !add_ending(text, &facts->root, 1, is_at_work(facts->root.state)))
		add(text, "SELECT DISTINCT root_blocker, root_state, root_idle_for, root_query "
				  "FROM pooldiag.blocking;");
}

/* Frees slots of the pool and state that hold most of them. */
static void
add_freeing(Text *text, const PoolDiagFacts *facts)
{
	if (is_held_up(facts))
		add_root_ending(text, facts);
	else if (!add_ending(text, facts->culprits, facts->culprit_count,
						 is_at_work(facts->holder_state)))
		add(text, "SELECT pool, state, count(*), max(state_age) FROM pooldiag.connections "
				  "GROUP BY pool, state ORDER BY count(*) DESC;");
}

void
pooldiag_incident_remedy(const PoolDiagFacts *facts, char *remedy, size_t size)
{
	Text text = {remedy, size};

	remedy[0] = '\0';
	switch (facts->kind)
	{
		case POOLDIAG_BREAKER_SLOTS:
		case POOLDIAG_BREAKER_POOL:
			add_freeing(&text, facts);
			break;
		case POOLDIAG_BREAKER_REFUSALS:
			if (facts->reason_is_slots)
				add_freeing(&text, facts);
			else
				add(&text,
					"SELECT * FROM pooldiag.refusal_sources ORDER BY last_at DESC LIMIT 20;");
			break;
		case POOLDIAG_BREAKER_SLOW_QUERIES:
			if (are_culprits_held_up(facts))
				add_root_ending(&text, facts);
			else if (!add_ending(&text, facts->culprits, facts->culprit_count, true))
				add(&text, "SELECT * FROM pooldiag.slow_queries;");
			break;
		case POOLDIAG_BREAKER_LEAKS:
			if (!add_ending(&text, facts->culprits, facts->culprit_count, false))
				add(&text, "SELECT * FROM pooldiag.leaks;");
			break;
		case POOLDIAG_BREAKER_LOCK_WAITS:
			add_root_ending(&text, facts);
			break;
		case POOLDIAG_BREAKER_ERRORS:
			add(&text, "SELECT datname, xact_commit, xact_rollback FROM pg_stat_database "
					   "ORDER BY xact_rollback DESC;");
			break;
		case POOLDIAG_BREAKER_OPERATIONS:
			add(&text, "SELECT * FROM pooldiag.operations WHERE consecutive_failures > 0;");
			break;
	}
}
