/*
 * advice_sessions.c
 *	  Rules on what single sessions do to the others.
 */
#include "postgres.h"

#include "access/transam.h"
#include "replication/slot.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"

#include "advice_sessions.h"
#include "compat.h"
#include "text.h"
#include "thresholds.h"
#include "worker.h"

static const PoolDiagPool *
row_of(const PoolDiagSample *sample, int pool)
{
	return &sample->pools.rows[pool];
}

/* The processes of one pool that a rule is about. */
typedef struct Processes
{
	PoolDiagNamed named;
	int waiting_for_locks;
	int *pids;
	int npids;
} Processes;

typedef bool (*Is)(const PoolDiagCounted *counted, const PoolDiagPoolLimits *limits, int64_t now);

static bool
is_slow_holder(const PoolDiagCounted *counted, const PoolDiagPoolLimits *limits, int64_t now)
{
	return (counted->state == POOLDIAG_ACTIVE || counted->state == POOLDIAG_FASTPATH) &&
		   pooldiag_is_slow(counted, limits, now);
}

/* Lists the processes of a pool; what each is at is named too, by its start. */
static void
list_processes(const PoolDiagLive *live, int pool, Is is, PoolDiagNamedBy by, Processes *listed)
{
	const PoolDiagPoolLimits *limits = &live->sample->pools.rows[pool].limits;

	memset(listed, 0, sizeof(*listed));
	pooldiag_named_begin(&listed->named, by);
	listed->pids = palloc(sizeof(int) * Max(live->count, 1));
	for (int i = 0; i < live->count; i++)
	{
		const PoolDiagBackend *backend = &live->connections[i].backend;
		PoolDiagCounted counted = pooldiag_sample_counted(backend);
		TimestampTz since =
			by == POOLDIAG_BY_STATEMENT ? backend->query_start : backend->state_change;

		if (live->connections[i].pool != pool || !is(&counted, limits, live->now))
			continue;
		listed->waiting_for_locks += counted.waits_for_lock;
		listed->pids[listed->npids++] = backend->pid;
		pooldiag_named_add(&listed->named, backend, pooldiag_seconds_since(since, live->now));
	}
}

static void
put_processes(StringInfo json, const Processes *listed, int64 threshold_ms, double longest_seconds,
			  const char *waits, int waiting)
{
	pooldiag_json_int(json, "connections", listed->npids);
	pooldiag_json_number(json, "threshold_seconds", threshold_ms / 1e3, 3);
	pooldiag_json_number(json, "longest_seconds", longest_seconds, 1);
	pooldiag_json_int(json, waits, waiting);
	pooldiag_named_put(&listed->named, json);
}

/* ---------------------------------------------------------------- leak_suspects ------------------ */

bool
pooldiag_advice_has_leaks(const PoolDiagSample *sample, int pool)
{
	return row_of(sample, pool)->tally.leaks > 0;
}

void
pooldiag_advice_leak_suspects(PoolDiagCase *c, int pool)
{
	const PoolDiagPool *row = row_of(c->live->sample, pool);
	int leaks = row->tally.leaks;
	double longest = pooldiag_seconds_since(row->tally.oldest_leak, c->live->now);
	Processes listed;
	int waiting;
	StringInfoData json;
	PoolDiagAdvice *added;

	list_processes(c->live, pool, pooldiag_is_leak, POOLDIAG_BY_STATE, &listed);
	waiting = pooldiag_locks_waiting_behind(pooldiag_advice_locks(c), listed.pids, listed.npids);
	added = pooldiag_advice_on(c, waiting > 0 ? POOLDIAG_CRITICAL : POOLDIAG_WARNING, pool, &json);
	added->title = psprintf("%d connection%s of pool %s idle in transaction, for up to %.0f s",
							leaks, pooldiag_plural(leaks), added->subject, longest);
	put_processes(&json, &listed, row->limits.leak_ms, longest, "sessions_waiting_behind", waiting);
	pooldiag_advice_done(added, &json);
	added->advice = psprintf(
		"The application took these connections, began a transaction, and does nothing with "
		"it: a session that was not closed, or other work done inside a transaction. "
		"pooldiag.leaks shows the last statement of each%s. Close sessions in a finally block "
		"or a context manager; end the transactions below if nobody works in them.",
		waiting > 0 ? "; other sessions wait for their locks" : "");
	added->remedy = pooldiag_named_end(&listed.named, "pg_terminate_backend",
									   "state LIKE 'idle in transaction%'");
}

/* ---------------------------------------------------------------- aborted_transactions ----------- */

bool
pooldiag_advice_has_aborted(const PoolDiagSample *sample, int pool)
{
	return row_of(sample, pool)->tally.aborted > 0;
}

void
pooldiag_advice_aborted_transactions(PoolDiagCase *c, int pool)
{
	const PoolDiagPool *row = row_of(c->live->sample, pool);
	int aborted = row->tally.aborted;
	double longest = pooldiag_seconds_since(row->tally.oldest_aborted, c->live->now);
	Processes listed;
	StringInfoData json;
	PoolDiagAdvice *added = pooldiag_advice_on(c, POOLDIAG_WARNING, pool, &json);

	list_processes(c->live, pool, pooldiag_is_aborted, POOLDIAG_BY_STATE, &listed);
	added->title = psprintf("%d connection%s of pool %s in a failed transaction, for up to %.0f s",
							aborted, pooldiag_plural(aborted), added->subject, longest);
	pooldiag_json_int(&json, "connections", aborted);
	pooldiag_json_number(&json, "threshold_seconds",
						 Min(row->limits.leak_ms, POOLDIAG_ABORTED_MS) / 1e3, 3);
	pooldiag_json_number(&json, "longest_seconds", longest, 1);
	pooldiag_named_put(&listed.named, &json);
	pooldiag_advice_done(added, &json);
	added->advice = "A statement failed, and the application neither rolled back nor closed the "
					"session: it swallowed the error. Whatever it sends on such a connection "
					"fails, and so will whoever gets it next from the pool. Roll back in the "
					"handler of the error (or use the session as a context manager); this ends "
					"those that hang.";
	added->remedy = pooldiag_named_end(&listed.named, "pg_terminate_backend",
									   "state = 'idle in transaction (aborted)'");
}

/* ---------------------------------------------------------------- slow_holders ------------------- */

bool
pooldiag_advice_has_slow(const PoolDiagSample *sample, int pool)
{
	return row_of(sample, pool)->tally.slow > 0;
}

void
pooldiag_advice_slow_holders(PoolDiagCase *c, int pool)
{
	const PoolDiagPool *row = row_of(c->live->sample, pool);
	int slow = row->tally.slow;
	double longest = pooldiag_seconds_since(row->tally.oldest_slow, c->live->now);
	Processes listed;
	StringInfoData json;
	PoolDiagAdvice *added = pooldiag_advice_on(c, POOLDIAG_WARNING, pool, &json);

	list_processes(c->live, pool, is_slow_holder, POOLDIAG_BY_STATEMENT, &listed);
	added->title = psprintf("%d statement%s of pool %s running for up to %.0f s, holding %s", slow,
							pooldiag_plural(slow), added->subject, longest,
							slow == 1 ? "its connection" : "their connections");
	put_processes(&json, &listed, row->limits.slow_ms, longest, "waiting_for_locks",
				  listed.waiting_for_locks);
	pooldiag_advice_done(added, &json);
	if (listed.waiting_for_locks == listed.npids)
	{
		added->advice = "All that is slow about them is that they wait for locks. Deal with "
						"who is at the root in pooldiag.blocking, not with them.";
		added->remedy = "SELECT DISTINCT root_blocker, root_state, root_idle_for, root_query "
						"FROM pooldiag.blocking;";
		return;
	}
	added->advice = psprintf(
		"Each holds one of the pool's connections until it ends%s. pooldiag.slow_queries shows "
		"the statements, what they wait for and who blocks them. Cancel what nobody waits for "
		"any more; then look at the plans, and bound such statements with a statement_timeout "
		"for the role.",
		listed.waiting_for_locks > 0
			? psprintf("; %d of them wait for locks", listed.waiting_for_locks)
			: "");
	added->remedy = pooldiag_named_end(&listed.named, "pg_cancel_backend",
									   "state IN ('active', 'fastpath function call')");
}

/* ---------------------------------------------------------------- stale_clients ------------------ */

/*
 * Would the server take long to notice that a client has gone, of which nothing was heard for longer than a pool keeps a
 * connection?
 */
void
pooldiag_advice_stale_clients(PoolDiagCase *c, int pool)
{
	const PoolDiagLive *live = c->live;
	const PoolDiagServerSettings *settings = &live->sample->settings;
	bool late = settings->keepalives_idle_seconds == 0 ||
				settings->keepalives_idle_seconds > POOLDIAG_KEEPALIVE_SECONDS;
	double longest = 0;
	int stale = 0;
	StringInfoData json;
	StringInfoData remedy;
	PoolDiagAdvice *added;

	for (int i = 0; i < live->count; i++)
	{
		const PoolDiagBackend *backend = &live->connections[i].backend;
		const PoolDiagPoolLimits *limits = pooldiag_live_limits(live, &live->connections[i]);
		int family = backend->client.addr.ss_family;
		double idle = pooldiag_seconds_since(backend->state_change, live->now);

		if (limits == NULL || (family != AF_INET && family != AF_INET6) ||
			(backend->state != POOLDIAG_IDLE &&
			 !pooldiag_state_in_transaction_idle(backend->state)) ||
			idle * 1000 <= (double) limits->recycle_ms)
			continue;
		stale++;
		longest = Max(longest, idle);
	}
	if (stale == 0 || (!late && settings->check_interval_ms > 0))
		return;
	added = pooldiag_advice_on(c, POOLDIAG_INFO, POOLDIAG_SUBJECT_SERVER, &json);
	added->title = psprintf("%d connection%s over TCP ha%s idled for up to %.0f s, and the server "
							"would be late to notice that a client has gone",
							stale, pooldiag_plural(stale), stale == 1 ? "s" : "ve", longest);
	pooldiag_json_int(&json, "connections", stale);
	pooldiag_json_number(&json, "longest_seconds", longest, 1);
	pooldiag_json_int(&json, "tcp_keepalives_idle_seconds", settings->keepalives_idle_seconds);
	pooldiag_json_number(&json, "client_connection_check_interval_seconds",
						 settings->check_interval_ms / 1e3, 3);
	pooldiag_advice_done(added, &json);
	added->advice = "Idle for longer than its pool keeps a connection: the client's machine may be "
					"gone, or a firewall between may have forgotten the connection. Keepalives "
					"tell in minutes rather than in hours (0 is the system's setting, as a rule "
					"two hours), and client_connection_check_interval ends statements whose client "
					"has gone. An idle session takes this over with its next statement; have the "
					"application use pool_pre_ping.";
	initStringInfo(&remedy);
	if (late)
		appendStringInfoString(&remedy, "ALTER SYSTEM SET tcp_keepalives_idle = 60;\n"
										"ALTER SYSTEM SET tcp_keepalives_interval = 10;\n"
										"ALTER SYSTEM SET tcp_keepalives_count = 6;\n");
	if (settings->check_interval_ms == 0)
		appendStringInfoString(&remedy,
							   "ALTER SYSTEM SET client_connection_check_interval = '10s';\n");
	appendStringInfoString(&remedy, "SELECT pg_reload_conf();");
	added->remedy = remedy.data;
}

/* ---------------------------------------------------------------- horizon_held ------------------- */

static int64
xids_since(TransactionId xid)
{
	return (int32) (XidFromFullTransactionId(ReadNextFullTransactionId()) - xid);
}

static void
say_horizon(PoolDiagAdvice *added, StringInfo json, int64 age, const char *holder,
			const char *holder_text)
{
	added->title = psprintf("Vacuum is held back by %s, for " INT64_FORMAT " transactions by now",
							holder_text, age);
	pooldiag_json_string(json, "holder", holder);
	pooldiag_json_int(json, "transactions_since", age);
}

static const char *const held_back =
	"What has been deleted or updated since then can't be cleaned up, in any table that it could "
	"look at: tables and indexes grow, and every scan reads the dead rows too. ";

static void
judge_sessions(PoolDiagCase *c)
{
	const PoolDiagLive *live = c->live;
	const PoolDiagConnection *oldest = NULL;
	int64 oldest_age = 0;
	PoolDiagNamed named;
	StringInfoData json;
	PoolDiagAdvice *added;
	bool idle;

	for (int i = 0; i < live->count; i++)
	{
		const PoolDiagConnection *connection = &live->connections[i];
		const PoolDiagPoolLimits *limits = pooldiag_live_limits(live, connection);
		TransactionId xid =
			pooldiag_backends_horizon(connection->backend.xid, connection->backend.xmin);
		int64 age;

		if (limits == NULL || !TransactionIdIsNormal(xid) || connection->backend.xact_start == 0 ||
			live->now - connection->backend.xact_start <= limits->slow_ms * 1000)
			continue;
		age = xids_since(xid);
		if (age > oldest_age)
		{
			oldest = connection;
			oldest_age = age;
		}
	}
	if (oldest == NULL || oldest_age < POOLDIAG_HORIZON_XIDS)
		return;
	idle = pooldiag_state_in_transaction_idle(oldest->backend.state);
	added = pooldiag_advice_on(c, POOLDIAG_WARNING, oldest->pool, &json);
	say_horizon(added, &json, oldest_age, "session",
				psprintf("a transaction of pool %s that has been open for %.0f s", added->subject,
						 pooldiag_seconds_since(oldest->backend.xact_start, live->now)));
	pooldiag_json_string(&json, "state", pooldiag_state_name(oldest->backend.state));
	pooldiag_json_number(&json, "xact_seconds",
						 pooldiag_seconds_since(oldest->backend.xact_start, live->now), 1);
	pooldiag_named_begin(&named, POOLDIAG_BY_START);
	pooldiag_named_add(&named, &oldest->backend,
					   pooldiag_seconds_since(oldest->backend.xact_start, live->now));
	pooldiag_named_put(&named, &json);
	pooldiag_advice_done(added, &json);
	added->advice = psprintf("%s%s", held_back,
							 idle ? "The session is idle in transaction: end it, and have the "
									"application commit before it does other work."
								  : "The session is at work: long reports belong on a standby, or "
									"in pieces. End it if nobody waits for it.");
	added->remedy = pooldiag_named_end(
		&named, "pg_terminate_backend",
		psprintf("xact_start = '%s'", timestamptz_to_str(oldest->backend.xact_start)));
}

static void
judge_prepared(PoolDiagCase *c)
{
	TransactionId xid = pooldiag_backends_oldest_prepared();
	int64 age = TransactionIdIsNormal(xid) ? xids_since(xid) : 0;
	StringInfoData json;
	PoolDiagAdvice *added;

	if (age < POOLDIAG_HORIZON_XIDS)
		return;
	initStringInfo(&json);
	pooldiag_json_begin(&json, NULL, '{');
	added = pooldiag_advice_add(c, POOLDIAG_WARNING, "prepared transactions",
								pooldiag_advice_key("prepared transactions"));
	say_horizon(added, &json, age, "prepared transaction", "a prepared transaction");
	pooldiag_advice_done(added, &json);
	added->advice =
		psprintf("%sIt keeps its locks too, and outlives a restart. Whoever coordinates "
				 "it should end it; where nobody does any more, one of these "
				 "statements, run in its database, will.",
				 held_back);
	added->on_primary = true;
	added->remedy = "SELECT database, owner, prepared, age(transaction) AS transactions_since,\n"
					"  format('ROLLBACK PREPARED %L;', gid) AS to_roll_back\n"
					"FROM pg_prepared_xacts ORDER BY transactions_since DESC;";
}

static void
judge_slots(PoolDiagCase *c)
{
	for (int i = 0; i < max_replication_slots; i++)
	{
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];
		TransactionId xid = InvalidTransactionId;
		NameData name;
		bool active;
		int64 age;
		char *subject;
		StringInfoData json;
		PoolDiagAdvice *added;

		if (!pooldiag_worker_lock(ReplicationSlotControlLock, LW_SHARED))
			return;
		if (slot->in_use)
		{
			SpinLockAcquire(&slot->mutex);
			xid = pooldiag_backends_horizon(slot->effective_xmin, slot->effective_catalog_xmin);
			name = slot->data.name;
			active = POOLDIAG_SLOT_IS_ACTIVE(slot);
			SpinLockRelease(&slot->mutex);
		}
		LWLockRelease(ReplicationSlotControlLock);
		if (!TransactionIdIsNormal(xid) || (age = xids_since(xid)) < POOLDIAG_HORIZON_XIDS)
			continue;
		/* Names of slots are lower-case letters, digits and underscores. */
		subject = psprintf("replication slot %s", NameStr(name));
		initStringInfo(&json);
		pooldiag_json_begin(&json, NULL, '{');
		added = pooldiag_advice_add(c, POOLDIAG_WARNING, subject, pooldiag_advice_key(subject));
		say_horizon(added, &json, age, "replication slot", subject);
		pooldiag_json_bool(&json, "active", active);
		pooldiag_advice_done(added, &json);
		added->advice = psprintf(
			"%s%s", held_back,
			active ? "Its consumer is behind, or a standby with hot_standby_feedback has a "
					 "long query: look there."
				   : "Nobody reads from the slot, and it keeps WAL as well. If its consumer "
					 "won't come back, drop it; whoever comes back to a dropped slot has "
					 "to be set up anew.");
		added->remedy =
			active
				? "SELECT slot_name, active_pid, xmin, catalog_xmin, restart_lsn FROM "
				  "pg_replication_slots;"
				: psprintf("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots\n"
						   "WHERE slot_name = '%s' AND NOT active;",
						   NameStr(name));
	}
}

void
pooldiag_advice_horizon_held(PoolDiagCase *c, int pool)
{
	/* Which core takes for a moment each. */
	if (!pooldiag_worker_may_take(XidGenLock) || !pooldiag_worker_may_take(ProcArrayLock))
		return;
	judge_sessions(c);
	/* What belongs to no session's owner is for those who may see all. */
	if (!c->live->sees_all)
		return;
	judge_prepared(c);
	judge_slots(c);
}
