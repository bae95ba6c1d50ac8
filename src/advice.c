/*
 * advice.c
 *	  Building one advice: what a rule has to say about a subject.
 *
 * Allocates in the memory of whoever asks, takes no lock but that of findings, and looks into no catalog, so that rules
 * that don't either can be asked by a process without a database.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "advice.h"
#include "blockers.h"
#include "counters.h"
#include "text.h"

/* Adds an advice of the rule that is at it; key tells the subject apart from the rule's others. */
PoolDiagAdvice *
pooldiag_advice_add(PoolDiagCase *c, PoolDiagSeverity severity, const char *subject, uint64 key)
{
	PoolDiagAdvice *added = palloc0(sizeof(PoolDiagAdvice));

	added->severity = severity;
	added->rule = c->name;
	added->subject = subject;
	added->plain = c->plain;
	added->on_primary = c->on_primary;
	added->evidence = "{}";
	added->finding.rule = c->rule;
	added->finding.subject = key;
	c->advice = lappend(c->advice, added);
	return added;
}

/* The same for a pool or POOLDIAG_SUBJECT_SERVER, and begins the evidence. */
PoolDiagAdvice *
pooldiag_advice_on(PoolDiagCase *c, PoolDiagSeverity severity, int pool, StringInfo evidence)
{
	initStringInfo(evidence);
	pooldiag_json_begin(evidence, NULL, '{');
	if (pool == POOLDIAG_SUBJECT_SERVER)
		return pooldiag_advice_add(c, severity, "server", 0);
	return pooldiag_advice_add(c, severity, pooldiag_live_pool_name(c->live, pool),
							   pooldiag_advice_key_of_pool(&c->live->sample->pools, pool));
}

/* Ends the evidence. */
void
pooldiag_advice_done(PoolDiagAdvice *advice, StringInfo evidence)
{
	pooldiag_json_end(evidence, '}');
	advice->evidence = evidence->data;
}

/* A pool's key as a subject: the same in the sampler, and in a session that has its directory. */
uint64
pooldiag_advice_key_of_pool(const PoolDiagPools *pools, int pool)
{
	if (pool == POOLDIAG_SUBJECT_SERVER)
		return 0;
	return (uint64) POOLDIAG_OWNER(pool, pools->rows[pool].life) + 1;
}

/* The key of a subject that goes by its name. */
uint64
pooldiag_advice_key(const char *subject)
{
	return hash_bytes_extended((const unsigned char *) subject, (int) strlen(subject), 1);
}

/* Who waits for whom, read once; by a worker, which waits for no lock, as far as it gets. */
const PoolDiagLocks *
pooldiag_advice_locks(PoolDiagCase *c)
{
	if (c->locks == NULL)
		c->locks = OidIsValid(MyDatabaseId) ? pooldiag_locks_read() : pooldiag_blockers_locks();
	return c->locks;
}

const char *
pooldiag_plural(int64 count)
{
	return count == 1 ? "" : "s";
}

double
pooldiag_seconds_since(TimestampTz since, TimestampTz now)
{
	return Max(0, now - since) / 1e6;
}

/* The pool's name as views show it, for a query. */
char *
pooldiag_advice_pool_literal(const PoolDiagCase *c, int pool)
{
	return quote_literal_cstr(pooldiag_text_clean(pooldiag_live_pool_name(c->live, pool)));
}

/* A call of set_pool with those arguments; NULL where the name can't be said in this encoding, and is another's here. */
char *
pooldiag_advice_set_pool(const PoolDiagCase *c, int pool, const char *arguments)
{
	const char *name = pooldiag_live_pool_name(c->live, pool);

	if (!pooldiag_text_is_clean(name))
		return NULL;
	return psprintf("SELECT pooldiag.set_pool(%s, %s);", quote_literal_cstr(name), arguments);
}

void
pooldiag_named_begin(PoolDiagNamed *named, PoolDiagNamedBy by)
{
	named->count = 0;
	named->by = by;
	initStringInfo(&named->json);
	initStringInfo(&named->rows);
}

/* Names a process, and for how long it has done what it is named for; beyond POOLDIAG_MAX_NAMED it is only counted. */
void
pooldiag_named_add(PoolDiagNamed *named, const PoolDiagBackend *backend, double seconds)
{
	const char *started;

	if (named->count++ >= POOLDIAG_MAX_NAMED)
		return;
	started = timestamptz_to_str(backend->backend_start);
	pooldiag_json_begin(&named->json, NULL, '{');
	pooldiag_json_int(&named->json, "pid", backend->pid);
	pooldiag_json_string(&named->json, "backend_start", started);
	pooldiag_json_number(&named->json, "seconds", seconds, 1);
	pooldiag_json_end(&named->json, '}');
	appendStringInfo(&named->rows, "%s(%d, '%s'", named->rows.len == 0 ? "" : ", ", backend->pid,
					 started);
	if (named->by == POOLDIAG_BY_STATEMENT)
		appendStringInfo(&named->rows, ", '%s'", timestamptz_to_str(backend->query_start));
	else if (named->by == POOLDIAG_BY_STATE)
		appendStringInfo(&named->rows, ", '%s'", timestamptz_to_str(backend->state_change));
	appendStringInfoChar(&named->rows, ')');
}

/* Is it idle, or idle in transaction if that is asked for, and one that the caller may see? Of any pool, or of that one. */
static bool
idles(const PoolDiagConnection *connection, int pool, bool in_transaction)
{
	PoolDiagState state = connection->backend.state;

	return connection->visible && (pool == POOLDIAG_SUBJECT_SERVER || connection->pool == pool) &&
		   (in_transaction ? pooldiag_state_in_transaction_idle(state) : state == POOLDIAG_IDLE);
}

/* Keeps those whose state is oldest, the oldest first, in room for POOLDIAG_MAX_NAMED, of which kept are taken. */
static void
keep_if_older(const PoolDiagBackend **oldest, int kept, const PoolDiagBackend *backend)
{
	int at = kept;

	if (kept == POOLDIAG_MAX_NAMED)
	{
		if (backend->state_change >= oldest[kept - 1]->state_change)
			return;
		at--;
	}
	for (; at > 0 && oldest[at - 1]->state_change > backend->state_change; at--)
		oldest[at] = oldest[at - 1];
	oldest[at] = backend;
}

/*
 * Names the connections of a pool, or of all, that are idle, or idle in transaction, as long as they stay so: as many as
 * that, or all if it is negative, those that have been for longest first. There may be a thousand, of whom few are named.
 */
void
pooldiag_named_idle(PoolDiagNamed *named, const PoolDiagCase *c, int pool, bool in_transaction,
					int count)
{
	const PoolDiagLive *live = c->live;
	const PoolDiagBackend *oldest[POOLDIAG_MAX_NAMED];
	int found = 0;

	for (int i = 0; i < live->count; i++)
		if (idles(&live->connections[i], pool, in_transaction))
		{
			keep_if_older(oldest, Min(found, POOLDIAG_MAX_NAMED), &live->connections[i].backend);
			found++;
		}
	if (count >= 0)
		found = Min(found, count);
	pooldiag_named_begin(named, POOLDIAG_BY_STATE);
	for (int i = 0; i < Min(found, POOLDIAG_MAX_NAMED); i++)
		pooldiag_named_add(named, oldest[i],
						   pooldiag_seconds_since(oldest[i]->state_change, live->now));
	named->count = found;
}

/* Puts those that were named into the evidence. */
void
pooldiag_named_put(const PoolDiagNamed *named, StringInfo json)
{
	pooldiag_json_begin(json, "processes", '[');
	appendStringInfoString(json, named->json.data);
	pooldiag_json_end(json, ']');
	pooldiag_json_int(json, "processes_not_listed", Max(0, named->count - POOLDIAG_MAX_NAMED));
}

/*
 * A statement that does something to those that were named, and to none that has come in their place, or that has gone on
 * since to another statement, or state, if they are named by that.
 */
char *
pooldiag_named_end(const PoolDiagNamed *named, const char *function, const char *condition)
{
	static const char *const columns[] = {
		[POOLDIAG_BY_START] = "",
		[POOLDIAG_BY_STATEMENT] = ", query_start",
		[POOLDIAG_BY_STATE] = ", state_change",
	};

	if (named->rows.len == 0)
		return NULL;
	return psprintf("SELECT pid, %s(pid) FROM pg_stat_activity\n"
					"WHERE (pid, backend_start%s) IN (%s)\n"
					"  AND %s;",
					function, columns[named->by], named->rows.data, condition);
}
