/*
 * outcome.c
 *	  How a statement has ended: completed, failed, or canceled from outside.
 *
 * Canceled is what was ended by somebody or something other than itself: a cancel request or a statement
 * timeout (57014), a lock timeout (55P03, as NOWAIT has it too, which fails), a conflict with recovery (40001 on
 * a standby, where nothing else has that), and the end of its session, whatever the reason.
 *
 * Runs where a transaction aborts. An error is still on core's stack there, however little goes to the log; a
 * FATAL one is not, and is known from the log hook only, which runs for it unless log_min_messages is panic.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "outcome.h"

/* What the log hook has seen: the FATAL that ends this session, and in which statement an error came last. */
static int fatal_sqlstate = 0;
static TimestampTz error_in = 0;
static bool error_is_lock_timeout = false;

/* In the log hook. */
void
pooldiag_outcome_note(const ErrorData *edata)
{
	if (edata->elevel == FATAL)
		fatal_sqlstate = edata->sqlerrcode;
	else if (edata->elevel == ERROR)
	{
		error_in = GetCurrentStatementStartTimestamp();
		error_is_lock_timeout =
			edata->message_id != NULL &&
			strcmp(edata->message_id, "canceling statement due to lock timeout") == 0;
	}
}

/* The SQLSTATE of the error that is being handled; 0 where there is none, which core takes for an error. */
static int
code_of_error(void)
{
	MemoryContext context = CurrentMemoryContext;
	uint32 interrupts = InterruptHoldoffCount;
	uint32 cancels = QueryCancelHoldoffCount;
	volatile int code = 0;

	PG_TRY();
	{
		code = geterrcode();
	}
	PG_CATCH();
	{
		FlushErrorState();
		MemoryContextSwitchTo(context);
		InterruptHoldoffCount = interrupts;
		QueryCancelHoldoffCount = cancels;
	}
	PG_END_TRY();
	return code;
}

/* Where a statement has failed, and its transaction aborts: how, and with which SQLSTATE, 0: not known. */
PoolDiagOutcome
pooldiag_outcome_of_error(int *sqlstate)
{
	if (proc_exit_inprogress)
	{
		*sqlstate = fatal_sqlstate;
		return POOLDIAG_CANCELED;
	}
	*sqlstate = code_of_error();
	switch (*sqlstate)
	{
		case ERRCODE_QUERY_CANCELED:
			return POOLDIAG_CANCELED;
		case ERRCODE_LOCK_NOT_AVAILABLE:
			/* Where the log says nothing: NOWAIT rarely stands where there is a lock timeout. */
			if (error_in == GetCurrentStatementStartTimestamp() ? error_is_lock_timeout
																: LockTimeout > 0)
				return POOLDIAG_CANCELED;
			return POOLDIAG_FAILED;
		case ERRCODE_T_R_SERIALIZATION_FAILURE:
			return RecoveryInProgress() ? POOLDIAG_CANCELED : POOLDIAG_FAILED;
		default:
			return POOLDIAG_FAILED;
	}
}
