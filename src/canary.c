/*
 * canary.c
 *	  The canary: does what an application does, so that somebody notices when that can't be done.
 *
 * It has connected to a database, as an errand (errand.c); it runs a statement, and commits a transaction that has touched
 * no table: a logical message, which goes to the WAL alone and which nobody decodes who has not asked for messages. A commit is waited
 * for only where there was such a record: on disk here and, where there are synchronous standbys, there. The level
 * of that is set in the transaction, as a database or a role may have another. On a standby there is the statement only.
 *
 * On a server where nobody writes it should not be the canary that keeps WAL, checkpoints and archives going. So
 * pooldiag.canary_write = auto has it commit only if others have written since its last try: if transaction ids were
 * assigned, or WAL was written that matters and is not the last checkpoint alone, which our own record may have
 * brought about. What others wrote while the canary committed, or just before a checkpoint, may be missed: then it is
 * their next write that counts.
 *
 * While the breaker of operations is open, the sampler holds it. The sampler also says since when tries are to be expected,
 * so that whoever asks notices when there are none, as nobody makes them.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "canary.h"
#include "clock.h"
#include "operation.h"
#include "readiness.h"
#include "settings.h"
#include "worker.h"

/* Beyond its interval and its timeout, how late a try may begin. */
#define GRACE_MS 2000

typedef struct Canary
{
	/* The sampler's. */
	pg_atomic_uint32 held;
	pg_atomic_uint64
		not_expected_ms;		  /* when no try was to be expected, the last time; 0: never yet */
	pg_atomic_uint64 patience_ms; /* from then, or from the last try on, until there is one */
	/* The process's: up to where all that was written was written before its last try, or by it. */
	uint64 next_xid;
	XLogRecPtr wal;
} Canary;

static Canary *canary = NULL;

Size
pooldiag_canary_size(void)
{
	return sizeof(Canary);
}

void
pooldiag_canary_attach(char *at, bool made)
{
	canary = (Canary *) at;
	if (!made)
		return;
	pg_atomic_init_u32(&canary->held, 0);
	pg_atomic_init_u64(&canary->not_expected_ms, 0);
	pg_atomic_init_u64(&canary->patience_ms, 0);
}

/* It is not to be tried, or is again. */
void
pooldiag_canary_hold(bool hold)
{
	if (pg_atomic_exchange_u32(&canary->held, hold) != (uint32) hold)
		pooldiag_worker_wake(POOLDIAG_OPERATIONS_WORKER);
}

/* Tries are to be expected, or not: as it is held, or as nobody could be let in. To be called again and again. */
void
pooldiag_canary_expect(bool expected)
{
	uint64 patience =
		(uint64) pooldiag_operation_interval + (uint64) pooldiag_operation_timeout + GRACE_MS;

	/* Where the settings have just become shorter, they count from now on. */
	if (!expected || pg_atomic_read_u64(&canary->patience_ms) != patience)
		pg_atomic_write_u64(&canary->not_expected_ms, (uint64) pooldiag_clock_ms());
	pg_atomic_write_u64(&canary->patience_ms, patience);
}

bool
pooldiag_canary_is_held(void)
{
	return pg_atomic_read_u32(&canary->held) != 0;
}

static uint64
next_xid(void)
{
	return U64FromFullTransactionId(ReadNextFullTransactionId());
}

static XLogRecPtr
last_checkpoint(void)
{
	bool is_whole;
	ControlFileData *control = get_controlfile(DataDir, &is_whole);
	XLogRecPtr at = is_whole ? control->checkPoint : InvalidXLogRecPtr;

	pfree(control);
	return at;
}

static bool
others_have_written(void)
{
	XLogRecPtr wal;

	if (next_xid() > canary->next_xid)
		return true;
	wal = GetLastImportantRecPtr();
	return wal != canary->wal && wal != last_checkpoint();
}

static bool
is_to_write(void)
{
	if (RecoveryInProgress())
		return false;
	switch ((PoolDiagCanaryWrite) pooldiag_canary_write)
	{
		case POOLDIAG_CANARY_WRITE_ALWAYS:
			return true;
		case POOLDIAG_CANARY_WRITE_OFF:
			return false;
		case POOLDIAG_CANARY_WRITE_AUTO:
			break;
	}
	return others_have_written();
}

static void
run_statement(const char *statement)
{
	if (SPI_connect() != SPI_OK_CONNECT || SPI_execute(statement, false, 1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "the canary's statement did not return its row: %s", statement);
	SPI_finish();
}

/* Errors are the caller's. */
void
pooldiag_canary_run(void)
{
	bool writes = is_to_write();
	uint64 xid = 0;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (writes)
	{
		(void) set_config_option("synchronous_commit", "on", PGC_SUSET, PGC_S_SESSION,
								 GUC_ACTION_LOCAL, true, 0, false);
		run_statement("SELECT pg_catalog.pg_logical_emit_message(true, 'pooldiag', "
					  "'canary'::pg_catalog.text)");
		xid = U64FromFullTransactionId(GetCurrentFullTransactionId());
	}
	else
		run_statement("SELECT 1");
	PopActiveSnapshot();
	CommitTransactionCommand();
	if (!writes)
		return;
	canary->next_xid = xid + 1;
	canary->wal = GetLastImportantRecPtr();
}

static double
silence(const PoolDiagOperationFigures *figures)
{
	double not_expected_ms = (double) pg_atomic_read_u64(&canary->not_expected_ms);
	double ms = pooldiag_clock_ms() - Max(figures->started_ms, not_expected_ms);

	if (figures->running || not_expected_ms == 0 || pooldiag_canary_is_held() ||
		ms <= (double) pg_atomic_read_u64(&canary->patience_ms) || !pooldiag_readiness_accepts())
		return 0;
	return ms / 1000;
}

/*
 * For how many seconds nobody has begun a try, where that is longer than it should ever be, on a server that lets sessions
 * in: then the operations worker hangs, or is not there. Else 0.
 */
double
pooldiag_canary_silence(void)
{
	PoolDiagOperationFigures figures;

	pooldiag_operation_read(POOLDIAG_OPERATION_CANARY, &figures);
	return silence(&figures);
}

/*
 * Did its last try succeed in time? One that is late has not, whoever may have judged that, or is stopped himself, nor one
 * that nobody makes; before the first one should have ended nothing speaks against it.
 */
bool
pooldiag_canary_is_well(void)
{
	PoolDiagOutcomes outcomes = pooldiag_operation_outcomes(POOLDIAG_OPERATION_CANARY);
	PoolDiagOperationFigures figures;

	pooldiag_operation_read(POOLDIAG_OPERATION_CANARY, &figures);
	if (figures.running && pooldiag_clock_ms() - figures.started_ms > pooldiag_operation_timeout)
		return false;
	if (silence(&figures) > 0)
		return false;
	return outcomes.count == 0 || (outcomes.failed & 1) == 0;
}
