/*
 * keeper.c
 *	  The background worker that writes files, and may wait for a disk: the state file, and the journal.
 *
 * Attached to shared memory only, started with the postmaster, like the sampler, on a standby too. It writes the
 * state file each minute and when it is told to end, from copies, and each alert into the journal at once; so that
 * neither the sampler nor a session ever waits for it. A disk that hangs keeps this worker alone waiting. When the server
 * is stopped, it waits for sessions and the sampler to end, but not for long.
 *
 * What could not be written into the journal is tried again, for as long as it is in the log in shared memory.
 */
#include "postgres.h"

#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "alerts.h"
#include "clock.h"
#include "compat.h"
#include "counters.h"
#include "journal.h"
#include "keeper.h"
#include "operation.h"
#include "saved.h"
#include "settings.h"
#include "worker.h"

/* As much as is lost in a crash. */
#define SAVE_INTERVAL_MS 60000
#define OTHERS_TIMEOUT_MS 500
#define JOURNAL_RETRY_MS 10000
/* A file of the journal has room for all alerts that are kept, and for so much. */
#define JOURNAL_LEAST (UINT64CONST(1024) * 1024)

#define SPACE_HINT                                                                     \
	"See to space and permissions of the directory \"" PGSTAT_STAT_PERMANENT_DIRECTORY \
	"\" in the data directory."

PoolDiagKeeper *pooldiag_keeper = NULL;

Size
pooldiag_keeper_size(void)
{
	return sizeof(PoolDiagKeeper);
}

void
pooldiag_keeper_attach(char *at, bool made)
{
	pooldiag_keeper = (PoolDiagKeeper *) at;
	if (made)
		pg_atomic_init_u32(&pooldiag_keeper->saves_requested, 0);
}

/* Reads into shared memory, which was just made, what was written before. Only the postmaster calls it. */
void
pooldiag_keeper_load(void)
{
	pooldiag_keeper->restored_from = pooldiag_saved_load();
	pooldiag_keeper->journal_end = pooldiag_journal_load(pooldiag_alerts_restore);
}

/* Has the state file written now rather than within a minute. */
void
pooldiag_keeper_save_soon(void)
{
	pg_atomic_fetch_add_u32(&pooldiag_keeper->saves_requested, 1);
	pooldiag_worker_wake(POOLDIAG_KEEPER);
}

static void
note_trouble(PoolDiagOperationKind kind, const PoolDiagFileTrouble *trouble, const char *detail)
{
	char text[256];

	snprintf(text, sizeof(text), "could not %s: %s", trouble->failed_to, strerror(trouble->error));
	pooldiag_operation_failed(kind, text, detail, SPACE_HINT);
}

static void
save(MemoryContext context)
{
	MemoryContext before = MemoryContextSwitchTo(context);
	PoolDiagStateWritten written;

	pooldiag_operation_begin(POOLDIAG_OPERATION_STATE_FILE);
	written = pooldiag_saved_write();
	if (written.done)
	{
		pooldiag_operation_succeeded(POOLDIAG_OPERATION_STATE_FILE);
		pooldiag_keeper->saved_size = (int64) written.size;
		pooldiag_keeper->saved_at = GetCurrentTimestamp();
	}
	else
		note_trouble(POOLDIAG_OPERATION_STATE_FILE, &written.trouble,
					 "What was written before stays. It is tried again each minute, and said here "
					 "when it works again; pooldiag.operations counts the failures.");
	MemoryContextSwitchTo(before);
	MemoryContextReset(context);
}

/*
 * Writes all alerts that wait, and what was forgotten by a reset, and makes that last. Once they are written, and before
 * they are on the disk, others may tell of them. False if that failed.
 */
static bool
write_journal(void)
{
	uint64 room = Max(JOURNAL_LEAST, (uint64) pooldiag_alert_log_size * sizeof(PoolDiagAlert));
	PoolDiagFileTrouble trouble = {NULL, 0};
	uint64 *end = &pooldiag_keeper->journal_end;
	PoolDiagAlert alert;
	int64 first;

	if (!pooldiag_alerts_peek(POOLDIAG_FOLLOWER_KEEPER, &alert) &&
		!pooldiag_alerts_forgotten(&first))
		return true;
	pooldiag_operation_begin(POOLDIAG_OPERATION_JOURNAL);
	if (pooldiag_alerts_forgotten(&first))
	{
		pooldiag_journal_append(POOLDIAG_RECORD_RESET, &first, sizeof(first), end, room, &trouble);
		if (trouble.failed_to == NULL)
			pooldiag_alerts_forgot(first);
	}
	while (trouble.failed_to == NULL && pooldiag_alerts_peek(POOLDIAG_FOLLOWER_KEEPER, &alert))
	{
		pooldiag_journal_append(POOLDIAG_RECORD_ALERT, &alert, sizeof(alert), end, room, &trouble);
		if (trouble.failed_to == NULL)
			pooldiag_alerts_pass(POOLDIAG_FOLLOWER_KEEPER);
	}
	if (trouble.failed_to == NULL)
		pooldiag_journal_sync(&trouble);
	if (trouble.failed_to == NULL)
	{
		pooldiag_operation_succeeded(POOLDIAG_OPERATION_JOURNAL);
		return true;
	}
	note_trouble(
		POOLDIAG_OPERATION_JOURNAL, &trouble,
		"Alerts are logged and shown as ever. They are written as soon as that works again, "
		"as far as pooldiag.alerts still has them.");
	return false;
}

/*
 * When the server stops, sessions and the sampler are told so at the same moment: what they count at their end should
 * be in the file. Those that take their time are not waited for.
 */
static void
wait_for_others(uint32 wait_event)
{
	double until = pooldiag_clock_ms() + OTHERS_TIMEOUT_MS;

	while ((pooldiag_counters_sessions() > 0 || pooldiag_workers[POOLDIAG_SAMPLER].pid != 0) &&
		   pooldiag_clock_ms() < until)
		pooldiag_worker_wait(pooldiag_clock_ms() + 5, wait_event);
}

/* The worker's main function. */
void
pooldiag_keeper_main(Datum main_arg)
{
	MemoryContext context;
	uint32 wait_event;
	double next_save = pooldiag_clock_ms() + SAVE_INTERVAL_MS;
	double next_journal = 0;
	uint32 saves_requested = 0;

	pooldiag_worker_begin();
	pooldiag_worker_publish(POOLDIAG_KEEPER);
	context = AllocSetContextCreate(TopMemoryContext, "pooldiag keeper", 0, 8192, 8388608);
	wait_event = WaitEventExtensionNew("PoolDiagKeeperMain");
	while (!ShutdownRequestPending)
	{
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		if (pooldiag_clock_ms() >= next_journal)
			next_journal = write_journal() ? 0 : pooldiag_clock_ms() + JOURNAL_RETRY_MS;
		if (pooldiag_clock_ms() >= next_save ||
			pg_atomic_read_u32(&pooldiag_keeper->saves_requested) != saves_requested)
		{
			saves_requested = pg_atomic_read_u32(&pooldiag_keeper->saves_requested);
			save(context);
			next_save = pooldiag_clock_ms() + SAVE_INTERVAL_MS;
			continue;
		}
		pooldiag_worker_wait(next_journal > 0 ? Min(next_save, next_journal) : next_save,
							 wait_event);
	}
	wait_for_others(wait_event);
	(void) write_journal();
	save(context);
	proc_exit(1);
}
