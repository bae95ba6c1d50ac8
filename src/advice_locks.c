/*
 * advice_locks.c
 *	  Rules on sessions that wait for each other.
 *
 * Who waits for whom is read from the lock manager by whoever asks, once, and only where somebody waits.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "advice_locks.h"
#include "thresholds.h"

/* The prepared transactions, which no process holds. */
#define LIST_PREPARED                                                                          \
	"SELECT database, owner, prepared, format('ROLLBACK PREPARED %L;', gid) AS to_roll_back\n" \
	"FROM pg_prepared_xacts ORDER BY prepared;"

/* ---------------------------------------------------------------- lock_pileup -------------------- */

bool
pooldiag_advice_locks_pile_up(const PoolDiagSample *sample, int pool)
{
	return sample->server.waiting >= POOLDIAG_PILEUP_LEAST;
}

/* The root behind which most sessions wait, and how many of them; POOLDIAG_NO_ROOT where all wait in circles. */
static int
find_heaviest(const PoolDiagLocks *locks, int *behind)
{
	int heaviest = POOLDIAG_NO_ROOT;

	*behind = 0;
	for (int i = 0; i < locks->count; i++)
	{
		int root = locks->waiters[i].root;
		int waiting;

		if (root == POOLDIAG_NO_ROOT || (root == heaviest && *behind > 0))
			continue;
		waiting = pooldiag_locks_waiting_behind(locks, &root, 1);
		if (waiting > *behind)
		{
			heaviest = root;
			*behind = waiting;
		}
	}
	return heaviest;
}

void
pooldiag_advice_lock_pileup(PoolDiagCase *c, int pool)
{
	const PoolDiagLocks *locks = pooldiag_advice_locks(c);
	int waiting = c->live->sample->server.waiting;
	int behind;
	int root = find_heaviest(locks, &behind);
	PoolDiagConnection *connection = root > 0 ? pooldiag_live_find(c->live, root) : NULL;
	PoolDiagNamed named;
	StringInfoData json;
	PoolDiagAdvice *added;

	added = pooldiag_advice_on(
		c, waiting >= POOLDIAG_PILEUP_CRITICAL ? POOLDIAG_CRITICAL : POOLDIAG_WARNING, pool, &json);
	added->title = psprintf("%d sessions wait for locks, %d of them behind one", waiting, behind);
	pooldiag_json_int(&json, "sessions_waiting", waiting);
	pooldiag_json_int(&json, "sessions_waiting_behind_root", behind);
	added->remedy = "SELECT DISTINCT root_blocker, root_state, root_idle_for, root_query FROM "
					"pooldiag.blocking;";
	if (root == POOLDIAG_PREPARED_TRANSACTION && behind > 0)
	{
		added->advice = "At the root is a prepared transaction, which no process holds: whoever "
						"coordinates it should end it. Where nobody does any more, one of these "
						"statements, run in its database, will.";
		added->remedy = LIST_PREPARED;
		added->on_primary = true;
	}
	else if (connection != NULL && connection->visible &&
			 connection->backend.state != POOLDIAG_STARTING)
	{
		bool idle = pooldiag_state_in_transaction_idle(connection->backend.state);

		pooldiag_json_string(&json, "root_state", pooldiag_state_name(connection->backend.state));
		pooldiag_named_begin(&named, idle ? POOLDIAG_BY_STATE : POOLDIAG_BY_STATEMENT);
		pooldiag_named_add(&named, &connection->backend,
						   pooldiag_seconds_since(connection->backend.state_change, c->live->now));
		pooldiag_named_put(&named, &json);
		if (idle)
		{
			added->advice = "At the root is a session that is idle in transaction: it holds its "
							"locks and does nothing. End it, and have the application commit "
							"before it does other work. pooldiag.blocking shows the whole queue.";
			added->remedy = pooldiag_named_end(&named, "pg_terminate_backend",
											   "state LIKE 'idle in transaction%'");
		}
		else
		{
			added->advice = "At the root is a session at work: all others wait for its statement, "
							"or for its transaction to end. Wait for it if it is nearly through, "
							"or cancel it. Where it is ALTER TABLE or the like, run that with a "
							"short lock_timeout, again and again, so that nobody queues behind it "
							"for long. pooldiag.blocking shows the whole queue.";
			added->remedy = pooldiag_named_end(&named, "pg_cancel_backend",
											   "state IN ('active', 'fastpath function call')");
		}
	}
	else
		added->advice = "pooldiag.blocking shows who waits for whom, and who is at the root.";
	pooldiag_advice_done(added, &json);
}

/* ---------------------------------------------------------------- blocked_by_idle ---------------- */

/* Is that session, of this pool, at the root of waits, and idle in transaction? */
static bool
is_idle_root(const PoolDiagConnection *connection, int pool)
{
	return connection->visible && connection->pool == pool &&
		   pooldiag_state_in_transaction_idle(connection->backend.state);
}

static void
judge_pool(PoolDiagCase *c, int pool)
{
	const PoolDiagLive *live = c->live;
	const PoolDiagLocks *locks = c->locks;
	int *pids = palloc(sizeof(int) * Max(live->count, 1));
	int npids = 0;
	TimestampTz since = live->now;
	int waiting;
	PoolDiagNamed named;
	StringInfoData json;
	PoolDiagAdvice *added;

	pooldiag_named_begin(&named, POOLDIAG_BY_STATE);
	for (int i = 0; i < live->count; i++)
	{
		TimestampTz earliest = 0;

		if (!is_idle_root(&live->connections[i], pool))
			continue;
		for (int w = 0; w < locks->count; w++)
			if (locks->waiters[w].root == live->connections[i].backend.pid &&
				locks->waiters[w].since != 0 &&
				(earliest == 0 || locks->waiters[w].since < earliest))
				earliest = locks->waiters[w].since;
		if (earliest == 0)
			continue;
		since = Min(since, earliest);
		pids[npids++] = live->connections[i].backend.pid;
		pooldiag_named_add(
			&named, &live->connections[i].backend,
			pooldiag_seconds_since(live->connections[i].backend.state_change, live->now));
	}
	if (npids == 0 || live->now - since < POOLDIAG_BLOCKED_MS * INT64CONST(1000))
		return;
	waiting = pooldiag_locks_waiting_behind(locks, pids, npids);
	added = pooldiag_advice_on(
		c, waiting >= POOLDIAG_BLOCKED_CRITICAL ? POOLDIAG_CRITICAL : POOLDIAG_WARNING, pool,
		&json);
	added->title =
		psprintf("%d session%s ha%s waited for up to %.0f s for pool %s, which is idle in "
				 "transaction",
				 waiting, pooldiag_plural(waiting), waiting == 1 ? "s" : "ve",
				 pooldiag_seconds_since(since, live->now), added->subject);
	pooldiag_json_int(&json, "sessions_waiting", waiting);
	pooldiag_json_number(&json, "longest_wait_seconds", pooldiag_seconds_since(since, live->now),
						 1);
	pooldiag_named_put(&named, &json);
	pooldiag_advice_done(added, &json);
	added->advice = "Who holds the locks does nothing with them: it waits for its application. No "
					"timeout of the waiting ones mends that. End the sessions below; then have the "
					"application commit before it does other work, and set "
					"idle_in_transaction_session_timeout for its role, so that the next one ends "
					"by itself.";
	added->remedy =
		pooldiag_named_end(&named, "pg_terminate_backend", "state LIKE 'idle in transaction%'");
}

void
pooldiag_advice_blocked_by_idle(PoolDiagCase *c, int pool)
{
	if (c->live->sample->server.waiting == 0)
		return;
	(void) pooldiag_advice_locks(c);
	for (int i = 0; i <= c->live->sample->pools.capacity; i++)
	{
		const PoolDiagTally *tally = &c->live->sample->pools.rows[i].tally;

		if (tally->by_state[POOLDIAG_IDLE_IN_TRANSACTION] +
				tally->by_state[POOLDIAG_IDLE_IN_TRANSACTION_ABORTED] >
			0)
			judge_pool(c, i);
	}
}
