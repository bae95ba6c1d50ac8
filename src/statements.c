/*
 * statements.c
 *	  What a session does: statements and transactions, from their beginning to their end.
 *
 * Runs in every session, at each of its statements. It writes to this process's memory and to the session's
 * own slot (counters.c), allocates nothing and throws nothing. It takes no lock but where a session of names that
 * nobody has seen yet changes them: see counters.c.
 *
 * A statement is what the client sent: nothing that runs inside another one, and nothing that runs without a
 * portal, as deferred triggers do at the commit. It begins when its message arrived, or when the one before it
 * in the same message ended. It has run when the executor is through with it (a utility command: when that
 * returns); inside a transaction block it ends there, elsewhere with the transaction that it was, so that the
 * commit and a wait for a synchronous standby are in it. Until then it is "open".
 *
 * A transaction's hold ends with it, but for a failed block, which ends when the client rolls it back: core
 * calls back at the error, and not at the end.
 *
 * An error is seen where it aborts a transaction, so that log_min_messages has no say in it. Only statements
 * that are refused because their block had failed already are counted from the log.
 *
 * What a statement is, its text and its id, is at hand while it runs, and may have gone when it ends: with its
 * portal, or with its message. So one that is slow by the time that it has run has its text taken there. One that
 * becomes slow afterwards, in the commit, has what is there still: its own text in the simple protocol, else the one
 * of the message that the session is at.
 *
 * The nesting level is not reset by an error that unwinds the stack: whoever called it sets it back, as each
 * remembers the level that it found, and the top level does at the abort.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "storage/ipc.h"
#include "tcop/pquery.h"
#include "tcop/utility.h"
#include "utils/timestamp.h"

#include "backends.h"
#include "compat.h"
#include "counters.h"
#include "holds.h"
#include "outcome.h"
#include "scans.h"
#include "settings.h"
#include "slowlog.h"
#include "statements.h"

/* Portals that were suspended by a row limit, and may be resumed: beyond that many, each part counts. */
#define SUSPENDED_PORTALS 16

typedef struct Suspended
{
	const QueryDesc *query; /* NULL: unused */
	uint64 query_id;
	int64 us;
	uint64 rows;
} Suspended;

/* The statement that runs, or that has run and ends with its transaction. */
typedef struct Statement
{
	bool runs; /* until it has run, or failed; its query is known then */
	bool open;
	bool commits;	 /* COMMIT, PREPARE TRANSACTION */
	bool rolls_back; /* ROLLBACK */
	TimestampTz begin;
	TimestampTz ran;  /* when the executor was through */
	int64 earlier_us; /* of Execute messages before this one */
	uint64 rows;
	PoolDiagQuery query;
	bool text_lasts; /* until the end of the message */
} Statement;

static bool in_session = false;	 /* its start-up is over, and its end has not come */
static int level = 0;			 /* of statements inside statements */
static TimestampTz last_end = 0; /* of the statement before */
static Statement current;
static Suspended suspended[SUSPENDED_PORTALS];

static bool in_block = false;			/* the client has begun a transaction block */
static bool chains = false;				/* its end begins another */
static TimestampTz rolling_back_to = 0; /* a savepoint, by the message that arrived then */
static bool committing = false;			/* deferred triggers are running, or later */
static int counted_in_transaction = 0;	/* statements that have ended in it */
static int64 idle_in_transaction = 0;	/* microseconds that it was idle, so far */
static TimestampTz commit_begin = 0;	/* where the client may have been waited for before that */
static TimestampTz failed_since = 0; /* when a block that has failed had begun; 0: there is none */

static ExecutorRun_hook_type prev_executor_run_hook = NULL;
static ExecutorFinish_hook_type prev_executor_finish_hook = NULL;
static ExecutorEnd_hook_type prev_executor_end_hook = NULL;
static ProcessUtility_hook_type prev_process_utility_hook = NULL;
static emit_log_hook_type prev_emit_log_hook = NULL;

/* Is that slow? Where the sampler has not said, by what this session knows. */
static inline bool
is_slow(PoolDiagSlot *slot, int64 us)
{
	return unlikely(pooldiag_counters_is_slow(slot, us)) &&
		   (pg_atomic_read_u64(&slot->slow_us) != 0 ||
			us >= pooldiag_slow_query_threshold * INT64CONST(1000));
}

/* A slow statement has ended. What its session held meanwhile is counted with it. */
static pg_noinline void
note_slow(int64 us, uint64 rows, bool failed, TimestampTz at, PoolDiagQuery *query)
{
	PoolDiagSlowEnd end;

	/* What it ran with may have gone with its portal. */
	if (query == &current.query && !current.runs && !current.text_lasts &&
		query->source == POOLDIAG_TEXT_AT_HAND)
		query->source = POOLDIAG_TEXT_MESSAGE;
	end.query = query;
	end.us = us;
	end.at = at;
	end.rows = rows;
	end.sqlstate = 0;
	end.outcome = failed ? pooldiag_outcome_of_error(&end.sqlstate) : POOLDIAG_COMPLETED;
	pooldiag_holds_add(Min(at - us, GetCurrentTransactionStartTimestamp()), at);
	pooldiag_slowlog_record(&end);
}

static void
count_after_reset(int64 us, uint64 rows, bool failed, TimestampTz at, PoolDiagQuery *query);

static pg_noinline void
count_failure(PoolDiagSlot *slot)
{
	int sqlstate;

	slot->sums[POOLDIAG_FAILURES]++;
	if (pooldiag_outcome_of_error(&sqlstate) == POOLDIAG_CANCELED)
		slot->sums[POOLDIAG_CANCELS]++;
}

/* What may have to call something does so last, so that nothing has to be kept for what comes after it. */
static void
count_statement(int64 us, uint64 rows, bool failed, TimestampTz at, PoolDiagQuery *query)
{
	PoolDiagSlot *slot = pooldiag_my_slot;

	if (unlikely(pooldiag_counters_were_reset(slot)))
	{
		count_after_reset(us, rows, failed, at, query);
		return;
	}
	us = Max(us, 0);
	slot->sums[POOLDIAG_STATEMENTS]++;
	slot->sums[POOLDIAG_STATEMENT_US] += us;
	slot->sums[POOLDIAG_ROWS] += rows;
	if (unlikely(failed))
		count_failure(slot);
	pooldiag_count_duration(slot, POOLDIAG_KIND_STATEMENT, us);
	counted_in_transaction++;
	if (is_slow(slot, us))
		note_slow(us, rows, failed, at, query);
}

static pg_noinline void
count_after_reset(int64 us, uint64 rows, bool failed, TimestampTz at, PoolDiagQuery *query)
{
	pooldiag_counters_begin_from_zero();
	count_statement(us, rows, failed, at, query);
}

static inline void
count_transaction(PoolDiagSlot *slot, TimestampTz begin, TimestampTz end)
{
	int64 us = Max(end - begin, 0);

	slot->sums[POOLDIAG_XACTS]++;
	slot->sums[POOLDIAG_HOLD_US] += us;
	slot->sums[POOLDIAG_HOLD_IDLE_US] += Min(idle_in_transaction, us);
	pooldiag_holds_add(begin, end);
	pooldiag_count_duration(slot, POOLDIAG_KIND_TRANSACTION, us);
}

/* When the statement began that is running or has just run; what the client made a block wait is idle time. */
static pg_attribute_always_inline TimestampTz
begin_of_statement(void)
{
	TimestampTz arrived = GetCurrentStatementStartTimestamp();

	if (arrived <= last_end)
		return last_end;
	if ((in_block || failed_since != 0) && last_end != 0)
		idle_in_transaction += arrived - last_end;
	return arrived;
}

/* Ends the open statement, if there is one, at that instant. */
static inline void
end_current(TimestampTz end, bool failed)
{
	if (!current.open)
		return;
	current.open = false;
	count_statement(current.earlier_us + (end - current.begin), current.rows, failed, end,
					&current.query);
}

/* What the executor is about to run, or a utility command, for the client. */
static inline void
begin_to_run(const char *text, const PlannedStmt *statement)
{
	if (unlikely(current.open))
		end_current(current.ran, false);
	current.runs = true;
	current.query.text = text;
	current.query.location = statement->stmt_location;
	current.query.length = statement->stmt_len;
	current.query.id = (uint64) statement->queryId;
	current.query.source = POOLDIAG_TEXT_AT_HAND;
	/* The simple protocol's portals are not for others to see, and their text is the message's. */
	current.text_lasts = !ActivePortal->visible;
}

/* The statement that has run ends later. */
static pg_attribute_always_inline void
leave_open(TimestampTz begin, TimestampTz ran, int64 earlier_us, uint64 rows)
{
	current.begin = begin;
	current.ran = last_end = ran;
	current.earlier_us = earlier_us;
	current.rows = rows;
	current.commits = current.rolls_back = false;
	current.open = true;
	current.runs = false;
}

/* A statement has run; inside a transaction block that is its end. Returns how long it took, until now. */
static pg_attribute_always_inline int64
statement_ran(TimestampTz begin, uint64 rows)
{
	TimestampTz now = GetCurrentTimestamp();

	if (in_block)
	{
		last_end = now;
		count_statement(now - begin, rows, false, now, &current.query);
		current.runs = false;
		return now - begin;
	}
	leave_open(begin, now, 0, rows);
	if (is_slow(pooldiag_my_slot, now - begin))
		pooldiag_slowlog_take_text(&current.query);
	return now - begin;
}

/* Is it over when ExecutorRun returns? What modifies has triggers to run in ExecutorFinish. */
static bool
only_reads(const QueryDesc *query)
{
	return query->operation == CMD_SELECT && !query->plannedstmt->hasModifyingCTE;
}

/*
 * Is this what the client sent? Not so what runs inside that, or without a portal, as deferred triggers do, or
 * for a cursor that is to outlive its transaction, whose rows go to a tuplestore, and then nowhere.
 */
static pg_attribute_always_inline bool
is_top_level(const QueryDesc *query, bool reads)
{
	return in_session && level == 0 && ActivePortal != NULL &&
		   !(reads && (query->dest == NULL || query->dest->mydest == DestTuplestore));
}

/* The entry of a suspended portal's query, or with NULL an unused one; NULL if there is none. */
static Suspended *
find_suspended(const QueryDesc *query)
{
	for (int i = 0; i < SUSPENDED_PORTALS; i++)
		if (suspended[i].query == query)
			return &suspended[i];
	return NULL;
}

static int any_suspended = 0;

/* What a resumed portal has behind it is taken over. */
static void
resume(const QueryDesc *query, int64 *us, uint64 *rows)
{
	Suspended *entry = any_suspended > 0 ? find_suspended(query) : NULL;

	*us = 0;
	if (entry == NULL)
		return;
	*us = entry->us;
	*rows += entry->rows;
	entry->query = NULL;
	any_suspended--;
}

/* A suspended portal's statement has come to its end. Its text is there still, or else NULL. */
static void
end_suspended(Suspended *entry, const char *text, const PlannedStmt *statement, TimestampTz end)
{
	PoolDiagQuery query = {.id = entry->query_id, .source = POOLDIAG_TEXT_LOST};

	if (text != NULL)
	{
		query.text = text;
		query.location = statement->stmt_location;
		query.length = statement->stmt_len;
		query.source = POOLDIAG_TEXT_AT_HAND;
	}
	count_statement(entry->us, entry->rows, false, end, &query);
	entry->query = NULL;
	any_suspended--;
}

/* The portals that were suspended have gone: their statements ended when they were suspended. */
static void
end_all_suspended(TimestampTz end)
{
	for (int i = 0; i < SUSPENDED_PORTALS && any_suspended > 0; i++)
		if (suspended[i].query != NULL)
			end_suspended(&suspended[i], NULL, NULL, end);
}

/* In place of how long a statement took, one that has not come to its end. */
#define GOES_ON (-1)

/* A part of a query has run: its portal was suspended before, or may be now. Returns as query_ran(). */
static pg_noinline int64
part_of_query_ran(const QueryDesc *query, uint64 limit)
{
	TimestampTz begin = begin_of_statement();
	TimestampTz now = GetCurrentTimestamp();
	uint64 rows = query->estate->es_processed;
	bool may_go_on = limit != 0 && rows >= limit;
	Suspended *entry;
	int64 earlier_us;

	resume(query, &earlier_us, &rows);
	leave_open(begin, now, earlier_us, rows);
	if (may_go_on && (entry = find_suspended(NULL)) != NULL)
	{
		entry->query = query;
		entry->query_id = current.query.id;
		entry->us = earlier_us + (now - begin);
		entry->rows = rows;
		any_suspended++;
		current.open = false;
		return GOES_ON;
	}
	if (is_slow(pooldiag_my_slot, earlier_us + (now - begin)))
		pooldiag_slowlog_take_text(&current.query);
	if (in_block)
		end_current(now, false);
	return earlier_us + (now - begin);
}

/*
 * The executor has come to the end of what one Execute message, or the simple protocol, asked for. Returns how long the
 * statement took, earlier messages included, or GOES_ON.
 */
static pg_attribute_always_inline int64
query_ran(const QueryDesc *query, uint64 limit)
{
	if (unlikely(limit != 0 || any_suspended > 0))
		return part_of_query_ran(query, limit);
	return statement_ran(begin_of_statement(), query->estate->es_processed);
}

/* Where a query was slow, its plan is of interest. */
static inline void
look_at_plan(const QueryDesc *query, int64 us)
{
	if (us != GOES_ON && is_slow(pooldiag_my_slot, us))
		pooldiag_scans_note(query, us);
}

/*
 * The commit has begun. Between an Execute message and the Sync that commits, the client may have taken its time; a
 * COMMIT waits for none.
 */
static inline void
begin_commit(void)
{
	committing = true;
	if (current.open && !current.commits && commit_begin == 0 &&
		(MyXactFlags & XACT_FLAGS_PIPELINING) != 0)
		commit_begin = GetCurrentTimestamp();
}

static void
executor_run(POOLDIAG_EXECUTOR_RUN_PARAMS)
{
	bool reads = only_reads(queryDesc);
	bool mine = is_top_level(queryDesc, reads);
	int before = level++;

	/* Before the callback for that, deferred triggers belong to the commit. */
	if (before == 0 && ActivePortal == NULL)
		begin_commit();
	if (mine)
		begin_to_run(queryDesc->sourceText, queryDesc->plannedstmt);
	if (prev_executor_run_hook)
		prev_executor_run_hook(POOLDIAG_EXECUTOR_RUN_ARGS);
	else
		standard_ExecutorRun(POOLDIAG_EXECUTOR_RUN_ARGS);
	level = before;
	if (mine && reads)
		look_at_plan(queryDesc, query_ran(queryDesc, count));
}

static inline void
finish(QueryDesc *queryDesc)
{
	if (prev_executor_finish_hook)
		prev_executor_finish_hook(queryDesc);
	else
		standard_ExecutorFinish(queryDesc);
}

static void
executor_finish(QueryDesc *queryDesc)
{
	bool mine;
	int before;

	/* What only reads is through, and has no triggers. */
	if (only_reads(queryDesc))
	{
		finish(queryDesc);
		return;
	}
	mine = is_top_level(queryDesc, false);
	before = level++;
	finish(queryDesc);
	level = before;
	if (mine)
		look_at_plan(queryDesc, query_ran(queryDesc, 0));
}

/* A portal is closed; where it was suspended, its statement has come to its end. */
static pg_noinline void
portal_closes(const QueryDesc *query)
{
	Suspended *entry = find_suspended(query);

	if (entry == NULL)
		return;
	look_at_plan(query, entry->us);
	end_suspended(entry, query->sourceText, query->plannedstmt, GetCurrentTimestamp());
}

static void
executor_end(QueryDesc *queryDesc)
{
	if (unlikely(any_suspended > 0))
		portal_closes(queryDesc);
	if (prev_executor_end_hook)
		prev_executor_end_hook(queryDesc);
	else
		standard_ExecutorEnd(queryDesc);
}

/* A failed block is rolled back: core doesn't call back, since it did when the block failed. */
static void
end_failed_block(TimestampTz end)
{
	pooldiag_counters_follow_reset();
	pooldiag_counters_settle(pooldiag_my_slot);
	count_transaction(pooldiag_my_slot, failed_since, end);
	pooldiag_my_slot->sums[POOLDIAG_LOST]++;
	failed_since = 0;
	counted_in_transaction = 0;
	idle_in_transaction = 0;
}

/*
 * A command has run that begins or ends something. What ends a transaction stays open until that has ended, which
 * comes at once.
 */
static void
transaction_command_ran(TransactionStmtKind kind, bool chain)
{
	TimestampTz begin = begin_of_statement();

	switch (kind)
	{
		case TRANS_STMT_BEGIN:
		case TRANS_STMT_START:
			in_block = true;
			break;
		case TRANS_STMT_COMMIT:
		case TRANS_STMT_PREPARE:
		case TRANS_STMT_ROLLBACK:
			if (failed_since != 0)
			{
				Assert(in_block);
				(void) statement_ran(begin, 0);
				end_failed_block(last_end);
				in_block = chain;
				return;
			}
			chains = chain;
			leave_open(begin, begin, 0, 0);
			current.rolls_back = kind == TRANS_STMT_ROLLBACK;
			current.commits = !current.rolls_back;
			return;
		case TRANS_STMT_ROLLBACK_TO:
			rolling_back_to = GetCurrentStatementStartTimestamp();
			break;
		default:
			break;
	}
	(void) statement_ran(begin, 0);
}

/* What a utility command is that neither begins nor ends anything. */
#define NO_TRANSACTION_COMMAND (-1)

static void
process_utility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
				ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *queryEnv,
				DestReceiver *dest, QueryCompletion *qc)
{
	bool mine = in_session && level == 0 && ActivePortal != NULL;
	int kind = NO_TRANSACTION_COMMAND;
	bool chain = false;
	int before = level++;

	if (mine)
	{
		/* The command may free its own statement. */
		if (IsA(pstmt->utilityStmt, TransactionStmt))
		{
			kind = (int) ((TransactionStmt *) pstmt->utilityStmt)->kind;
			chain = ((TransactionStmt *) pstmt->utilityStmt)->chain;
		}
		begin_to_run(queryString, pstmt);
	}
	if (prev_process_utility_hook)
		prev_process_utility_hook(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest,
								  qc);
	else
		standard_ProcessUtility(pstmt, queryString, readOnlyTree, context, params, queryEnv, dest,
								qc);
	level = before;
	if (!mine)
		return;
	if (kind != NO_TRANSACTION_COMMAND)
	{
		transaction_command_ran((TransactionStmtKind) kind, chain);
		return;
	}
	(void) statement_ran(begin_of_statement(),
						 qc != NULL && qc->commandTag != CMDTAG_UNKNOWN ? qc->nprocessed : 0);
}

/* Has an error brought us here, one that nobody has caught? */
static bool
is_uncaught_error(void)
{
	/* What catches errors, of procedural languages, keeps its own context; the top level has none. */
	return error_context_stack == NULL && !proc_exit_inprogress;
}

/*
 * Is it the end of the transaction that failed? Outside of a block, what comes behind a statement in its message
 * is in an implicit block, and what comes in another message has arrived since.
 */
static bool
failed_at_commit(void)
{
	return committing || (TransactionBlockStatusCode() == 'I' &&
						  GetCurrentStatementStartTimestamp() <= current.ran);
}

/* What was not begun to run: the message that it came in. */
static PoolDiagQuery
query_of_message(void)
{
	PoolDiagQuery query = {.id = (uint64) pgstat_get_my_query_id(),
						   .source = POOLDIAG_TEXT_MESSAGE};

	return query;
}

/* The statement at the top level has ended in an error. */
static void
statement_failed(TimestampTz now)
{
	level = 0;
	if (current.open && (current.commits || failed_at_commit()))
		end_current(now, true);
	else
	{
		TimestampTz begin;

		end_current(current.ran, false);
		begin = begin_of_statement();
		if (!current.runs)
			current.query = query_of_message();
		count_statement(now - begin, 0, true, now, &current.query);
	}
	current.runs = false;
	last_end = now;
}

/*
 * A transaction has ended; was it one that a client began, rather than the server at a Parse? What it has written, if
 * anything, goes by an XID, and is counted as that.
 */
static pg_attribute_always_inline void
transaction_ended(TimestampTz now, PoolDiagCount written)
{
	PoolDiagSlot *slot = pooldiag_my_slot;

	pooldiag_counters_settle(slot);
	if (counted_in_transaction > 0 || in_block)
	{
		count_transaction(slot, GetCurrentTransactionStartTimestamp(), now);
		if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
			slot->sums[written]++;
	}
	counted_in_transaction = 0;
	idle_in_transaction = 0;
	in_block = chains;
	chains = false;
	committing = false;
	commit_begin = 0;
}

static pg_noinline void
transaction_aborted(TimestampTz now)
{
	bool is_running = pooldiag_backends_am_running();
	bool failed = false;

	pooldiag_counters_follow_reset();
	if (current.open && current.rolls_back)
	{
		end_current(now, false);
		last_end = now;
	}
	else if (is_uncaught_error() || (proc_exit_inprogress && is_running))
	{
		statement_failed(now);
		failed = true;
	}
	else
	{
		/* A procedure that rolls back, or a session that ends while it is idle in transaction. */
		if (proc_exit_inprogress && in_block && last_end != 0)
			idle_in_transaction += Max(now - last_end, 0);
		if (level == 0)
			current.runs = false;
		transaction_ended(now, POOLDIAG_LOST);
		return;
	}
	end_all_suspended(now);
	if (in_block && !current.commits && !current.rolls_back && !proc_exit_inprogress)
	{
		failed_since = GetCurrentTransactionStartTimestamp();
		committing = false;
		return;
	}
	/* An error loses what was read as well. */
	if (failed && !TransactionIdIsValid(GetTopTransactionIdIfAny()))
		pooldiag_my_slot->sums[POOLDIAG_LOST]++;
	transaction_ended(now, POOLDIAG_LOST);
}

static pg_noinline void
transaction_committed(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (current.open)
	{
		end_current(commit_begin != 0 ? current.ran + (now - commit_begin) : now, false);
		last_end = now;
	}
	if (unlikely(any_suspended > 0) && level == 0)
		end_all_suspended(now);
	transaction_ended(now, POOLDIAG_WRITES);
}

static void
begin_session(void)
{
	pooldiag_counters_connected(GetCurrentTimestamp() - MyStartTimestamp);
	pooldiag_holds_connected();
	in_session = true;
}

static void
transaction_event(XactEvent event, void *arg)
{
	if (unlikely(!in_session))
	{
		/* A session's start-up is a transaction to the server, and none of the client's. */
		if (pooldiag_my_slot != NULL && event == XACT_EVENT_COMMIT)
			begin_session();
		return;
	}
	/* The most frequent ones first. */
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
		transaction_committed();
	else if (event == XACT_EVENT_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		begin_commit();
	else if (event == XACT_EVENT_ABORT)
		transaction_aborted(GetCurrentTimestamp());
}

static void
subtransaction_event(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (!in_session || event != SUBXACT_EVENT_ABORT_SUB)
		return;
	if (rolling_back_to != GetCurrentStatementStartTimestamp() && is_uncaught_error())
		statement_failed(GetCurrentTimestamp());
}

/*
 * What ends a session is seen here only; and a statement that is refused, since its block has failed, which aborts
 * nothing.
 */
static void
watch_log(ErrorData *edata)
{
	if (prev_emit_log_hook)
		prev_emit_log_hook(edata);
	if (pooldiag_my_slot == NULL)
		return;
	pooldiag_outcome_note(edata);
	if (edata->elevel == ERROR && IsAbortedTransactionBlockState())
	{
		TimestampTz begin = begin_of_statement();
		PoolDiagQuery query = query_of_message();

		last_end = GetCurrentTimestamp();
		count_statement(last_end - begin, 0, true, last_end, &query);
	}
}

/* The session ends: a block that has failed was never rolled back, and ends here. */
void
pooldiag_statements_end_session(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!in_session)
		return;
	in_session = false;
	end_current(current.ran, false);
	if (failed_since != 0)
	{
		idle_in_transaction += Max(now - last_end, 0);
		end_failed_block(now);
	}
}

/* To be called from _PG_init, while libraries are preloaded. */
void
pooldiag_statements_install_hooks(void)
{
	prev_executor_run_hook = ExecutorRun_hook;
	ExecutorRun_hook = executor_run;
	prev_executor_finish_hook = ExecutorFinish_hook;
	ExecutorFinish_hook = executor_finish;
	prev_executor_end_hook = ExecutorEnd_hook;
	ExecutorEnd_hook = executor_end;
	prev_process_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	prev_emit_log_hook = emit_log_hook;
	emit_log_hook = watch_log;
	RegisterXactCallback(transaction_event, NULL);
	RegisterSubXactCallback(subtransaction_event, NULL);
}
