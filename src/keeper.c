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
#include "incidents.h"
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

static bool
take_record(PoolDiagRecordKind kind, const void *data, uint32 length)
{
	if (kind == POOLDIAG_RECORD_INCIDENT || kind == POOLDIAG_RECORD_INCIDENTS_RESET)
		return pooldiag_incidents_restore(kind, data, length);
	return pooldiag_alerts_restore(kind, data, length);
}

/* Reads into shared memory, which was just made, what was written before. Only the postmaster calls it. */
void
pooldiag_keeper_load(void)
{
	pooldiag_keeper->restored_from = pooldiag_saved_load();
	pooldiag_keeper->journal_end = pooldiag_journal_load(take_record);
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

/* How far the journal is on the disk. */
typedef struct Mark
{
	uint64 end;		 /* of the file; 0: there is none */
	uint64 position; /* of the keeper in the log of alerts */
	uint64 incident; /* and in that of incidents */
} Mark;

static Mark
mark(void)
{
	Mark mark = {pooldiag_keeper->journal_end, pooldiag_alerts_position(POOLDIAG_FOLLOWER_KEEPER),
				 pooldiag_incidents_position()};

	return mark;
}

static uint64
room_of_file(void)
{
	return Max(JOURNAL_LEAST,
			   pooldiag_journal_room(pooldiag_alerts_capacity(), sizeof(PoolDiagAlert)) +
				   pooldiag_journal_room(POOLDIAG_INCIDENT_ROOM, sizeof(PoolDiagIncident)));
}

/* What must be known of alerts and incidents that are forgotten. */
static void
append_resets(PoolDiagFileTrouble *trouble)
{
	int64 first;

	(void) pooldiag_alerts_forgotten(&first);
	pooldiag_journal_append(POOLDIAG_RECORD_RESET, &first, sizeof(first),
							&pooldiag_keeper->journal_end, trouble);
	if (trouble->failed_to == NULL)
		pooldiag_alerts_forgot(first);
	(void) pooldiag_incidents_forgotten(&first);
	pooldiag_journal_append(POOLDIAG_RECORD_INCIDENTS_RESET, &first, sizeof(first),
							&pooldiag_keeper->journal_end, trouble);
	if (trouble->failed_to == NULL)
		pooldiag_incidents_forgot(first);
}

/* Each file begins with that, so that it doesn't go with an old one. */
static void
make_room(uint32 length, Mark *synced, PoolDiagFileTrouble *trouble)
{
	if (!pooldiag_journal_make_room(length, &pooldiag_keeper->journal_end, room_of_file(), trouble))
		return;
	*synced = mark();
	append_resets(trouble);
}

static void
append(PoolDiagRecordKind kind, const void *data, uint32 length, Mark *synced,
	   PoolDiagFileTrouble *trouble)
{
	make_room(length, synced, trouble);
	pooldiag_journal_append(kind, data, length, &pooldiag_keeper->journal_end, trouble);
}

/* Was anything forgotten of which the journal does not know? */
static bool
is_reset(void)
{
	int64 first;

	return pooldiag_alerts_forgotten(&first) || pooldiag_incidents_forgotten(&first);
}

static void
write_records(Mark *synced, PoolDiagIncident *incident, PoolDiagFileTrouble *trouble)
{
	PoolDiagAlert alert;

	if (is_reset())
		make_room(2 * sizeof(int64), synced, trouble);
	if (is_reset())
		append_resets(trouble);
	while (trouble->failed_to == NULL && pooldiag_incidents_peek(incident))
	{
		append(POOLDIAG_RECORD_INCIDENT, incident, sizeof(*incident), synced, trouble);
		if (trouble->failed_to == NULL)
			pooldiag_incidents_pass();
	}
	while (trouble->failed_to == NULL && pooldiag_alerts_peek(POOLDIAG_FOLLOWER_KEEPER, &alert))
	{
		append(POOLDIAG_RECORD_ALERT, &alert, sizeof(alert), synced, trouble);
		if (trouble->failed_to == NULL)
			pooldiag_alerts_pass(POOLDIAG_FOLLOWER_KEEPER);
	}
	if (trouble->failed_to == NULL)
		pooldiag_journal_sync(trouble);
}

/*
 * Writes all incidents and alerts that wait, and what was forgotten by a reset, and makes that last. Once they are
 * written, and before they are on the disk, others may tell of them. False if that failed: then all that is not on the
 * disk for certain is written anew with the next try, in the same place.
 */
static bool
write_journal(void)
{
	static PoolDiagIncident incident;
	PoolDiagFileTrouble trouble = {NULL, 0};
	Mark synced = mark();
	PoolDiagAlert alert;

	if (!pooldiag_alerts_peek(POOLDIAG_FOLLOWER_KEEPER, &alert) &&
		!pooldiag_incidents_peek(&incident) && !is_reset())
		return true;
	pooldiag_operation_begin(POOLDIAG_OPERATION_JOURNAL);
	write_records(&synced, &incident, &trouble);
	if (trouble.failed_to == NULL)
	{
		pooldiag_operation_succeeded(POOLDIAG_OPERATION_JOURNAL);
		return true;
	}
	/* Unless there is no file any more. */
	if (pooldiag_keeper->journal_end > 0)
		pooldiag_keeper->journal_end = synced.end;
	pooldiag_alerts_go_back(POOLDIAG_FOLLOWER_KEEPER, synced.position);
	pooldiag_incidents_go_back(synced.incident);
	pooldiag_alerts_forgot(0);
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
