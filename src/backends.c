/*
 * backends.c
 *	  The one reader of core's backend status array and PGPROC, in place and without locks.
 *
 * A connection is an occupied regular PGPROC. Its entry in the status array is found through the
 * PGPROC and copied under the entry's own change-count protocol (see PGSTAT_BEGIN_WRITE_ACTIVITY in
 * core), so that what a caller gets of one entry is of one moment. Pointers inside the array are
 * read inside that loop and never kept. Nothing here writes to shared memory, takes a lock or
 * allocates.
 *
 * Races that are accepted:
 * - Two entries are not of the same moment: a connection that ends and another that begins during a scan may
 *   both be seen, or neither.
 * - pid, xid, xmin and the wait event come from PGPROC, each a plain aligned read, beside the entry.
 * - Before 18 a session has no entry until it has authenticated, and on all versions none any more in the last
 *   microseconds of its exit; as it holds a slot, both count as starting.
 *
 * The array is static in core. A session finds its base from its own entry, MyBEEntry; a worker
 * that is attached to shared memory only has none, and asks the shared-memory index, which takes
 * ShmemIndexLock once in the worker's life.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/twophase.h"
#include "replication/walsender.h"
#include "storage/procarray.h"
#include "storage/shmem.h"

#include "backends.h"
#include "compat.h"

#ifdef EXEC_BACKEND
#error "pooldiag reads pointers that are good in forked processes only"
#endif

static PgBackendStatus *status_array = NULL;

/*
 * Finds core's array, in the shared-memory index. In the postmaster, each time that it has made shared memory, so that all
 * processes have it from there: looked for later, it would be behind a lock that a session can hold.
 */
void
pooldiag_backends_find_array(void)
{
	bool found;
	Size size = mul_size(sizeof(PgBackendStatus), POOLDIAG_STATUS_ENTRIES);

	status_array = ShmemInitStruct("Backend Status Array", size, &found);
	if (!found)
		elog(ERROR, "the backend status array is not in the shared-memory index");
}

static volatile PgBackendStatus *
status_entry(int index)
{
	/* Without preloading, a session has its own entry to go by. */
	if (unlikely(status_array == NULL))
		status_array = MyBEEntry - POOLDIAG_MY_ENTRY_INDEX;
	return &status_array[index];
}

/*
 * The process that holds a PGPROC, or 0. PGPROC's own pid outlives its process before 17: a backend
 * that ends leaves it behind, but it always disowns its latch.
 */
static int
holder_of(volatile PGPROC *proc)
{
	return proc->procLatch.owner_pid;
}

static PoolDiagState
state_of(BackendState state)
{
	switch (state)
	{
		case STATE_RUNNING:
			return POOLDIAG_ACTIVE;
		case STATE_IDLE:
			return POOLDIAG_IDLE;
		case STATE_IDLEINTRANSACTION:
			return POOLDIAG_IDLE_IN_TRANSACTION;
		case STATE_IDLEINTRANSACTION_ABORTED:
			return POOLDIAG_IDLE_IN_TRANSACTION_ABORTED;
		case STATE_FASTPATH:
			return POOLDIAG_FASTPATH;
		case STATE_DISABLED:
			return POOLDIAG_DISABLED;
		default:
			/* STATE_UNDEFINED, until the first report; STATE_STARTING from 18 on */
			return POOLDIAG_STARTING;
	}
}

static void
copy_entry(volatile PgBackendStatus *shared, int what, PoolDiagBackend *backend)
{
	/* The protocol's barriers stand around this, and what was torn is read again. */
	PgBackendStatus *entry = (PgBackendStatus *) shared;

	backend->state = state_of(entry->st_state);
	backend->databaseid = entry->st_databaseid;
	backend->userid = entry->st_userid;
	backend->state_change = entry->st_state_start_timestamp;
	/* A fastpath call is no statement: what the entry has is the start of the one before it. */
	backend->query_start = backend->state == POOLDIAG_FASTPATH ? entry->st_state_start_timestamp
															   : entry->st_activity_start_timestamp;
	backend->xact_start = entry->st_xact_start_timestamp;
	backend->backend_start = entry->st_proc_start_timestamp;
	/* The server tells no instant of the state in which a session begins. */
	if (backend->state == POOLDIAG_STARTING && backend->state_change == 0)
		backend->state_change = backend->backend_start;
	backend->query_id = entry->st_query_id;
	if (what & POOLDIAG_READ_CLIENT)
	{
		memcpy(backend->application_name, entry->st_appname, NAMEDATALEN);
		backend->application_name[NAMEDATALEN - 1] = '\0';
		memcpy(&backend->client, &entry->st_clientaddr, sizeof(SockAddr));
	}
	if (what & POOLDIAG_READ_QUERY)
	{
		size_t length = strnlen(entry->st_activity_raw, pgstat_track_activity_query_size - 1);

		memcpy(backend->query, entry->st_activity_raw, length);
		backend->query[length] = '\0';
	}
}

/* A session that holds a slot and has no entry: what PGPROC knows of it. */
static void
describe_starting(volatile PGPROC *proc, int pid, int what, PoolDiagBackend *backend)
{
	backend->pid = pid;
	backend->entry = -1;
	backend->state = POOLDIAG_STARTING;
	backend->databaseid = proc->databaseId;
	backend->userid = proc->roleId;
	backend->state_change = 0;
	backend->query_start = 0;
	backend->xact_start = 0;
	backend->backend_start = 0;
	backend->query_id = 0;
	if (what & POOLDIAG_READ_CLIENT)
	{
		backend->application_name[0] = '\0';
		memset(&backend->client, 0, sizeof(SockAddr));
	}
	if (what & POOLDIAG_READ_QUERY)
		backend->query[0] = '\0';
}

/*
 * Copies the entry of process pid, all of one moment. False if its owner was writing each time; the
 * caller's copy is then as it was. max_tries of 0 means until it is done, with a check for
 * interrupts.
 */
static bool
read_entry(int index, volatile PGPROC *proc, int pid, int what, int max_tries,
		   PoolDiagBackend *backend)
{
	volatile PgBackendStatus *entry = status_entry(index);
	PoolDiagBackend saved;
	int tries = 0;

	if (max_tries > 0)
		saved = *backend;
	for (;;)
	{
		int before;
		int after;
		int owner;

		pgstat_begin_read_activity(entry, before);
		owner = entry->st_procpid;
		if (owner == pid)
			copy_entry(entry, what, backend);
		pgstat_end_read_activity(entry, after);
		if (pgstat_read_activity_complete(before, after))
		{
			backend->pid = pid;
			backend->entry = index;
			backend->changecount = before;
			if (owner != pid)
				describe_starting(proc, pid, what, backend);
			return true;
		}
		if (max_tries > 0 && ++tries >= max_tries)
		{
			*backend = saved;
			return false;
		}
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Reads slot procno into *backend, which holds what an earlier call made of the same slot, or
 * zeroes.
 *
 * An entry whose change count is the copy's has not been touched since: its copy serves, and a tick
 * over idle connections reads two cache lines of each. max_tries bounds the tries while the owner
 * is writing (0: until it is done, with a check for interrupts; a sampler must never wait for a
 * session).
 */
PoolDiagRead
pooldiag_backends_read(int procno, int what, int max_tries, PoolDiagBackend *backend)
{
	volatile PGPROC *proc = GetPGProcByNumber(procno);
	int pid = holder_of(proc);
	PoolDiagRead result = POOLDIAG_SLOT_CHANGED;

	backend->procno = procno;
	if (pid == 0)
	{
		backend->pid = 0;
		return POOLDIAG_SLOT_FREE;
	}

	/* A process keeps its entry for life, so the copy's index is good for as long as the pid is. */
	if (backend->pid == pid && backend->entry >= 0 && !(what & POOLDIAG_READ_QUERY) &&
		status_entry(backend->entry)->st_changecount == backend->changecount)
		result = POOLDIAG_SLOT_UNCHANGED;
	else
	{
		int index = pooldiag_proc_entry_index(proc, procno);

		if (index < 0 || index >= POOLDIAG_STATUS_ENTRIES)
			describe_starting(proc, pid, what, backend);
		else if (!read_entry(index, proc, pid, what, max_tries, backend))
			return POOLDIAG_SLOT_BUSY;
	}

	/* The wait event is 800 bytes into PGPROC, a cache line of its own. */
	if ((what & POOLDIAG_READ_WAIT) || backend->state == POOLDIAG_ACTIVE ||
		backend->state == POOLDIAG_FASTPATH || backend->state == POOLDIAG_DISABLED)
		backend->wait_event_info = proc->wait_event_info;
	else
		backend->wait_event_info = 0;
	if (what & POOLDIAG_READ_XMIN)
	{
		backend->xid = proc->xid;
		backend->xmin = proc->xmin;
	}
	return result;
}

/*
 * The PGPROC numbers of one kind of slot, [*first, *first + *count), as InitProcGlobal has them:
 * regular ones, those of autovacuum and the like, background workers, walsenders. How many the
 * second kind has differs between versions, minor ones of 17 included; it is what the others leave
 * of MaxBackends.
 */
void
pooldiag_backends_range(PoolDiagSlotRange range, int *first, int *count)
{
	switch (range)
	{
		case POOLDIAG_SLOTS_REGULAR:
			*first = 0;
			*count = MaxConnections;
			break;
		case POOLDIAG_SLOTS_WORKERS:
			*first = MaxBackends - max_wal_senders - max_worker_processes;
			*count = max_worker_processes;
			break;
		case POOLDIAG_SLOTS_WALSENDERS:
			*first = MaxBackends - max_wal_senders;
			*count = max_wal_senders;
			break;
	}
}

/* The slot of that process, whatever its kind, or -1. */
int
pooldiag_backends_slot_of(int pid)
{
	for (int procno = 0; procno < MaxBackends; procno++)
		if (holder_of(GetPGProcByNumber(procno)) == pid)
			return procno;
	return -1;
}

/* How many slots of one kind are taken now. */
int
pooldiag_backends_occupied(PoolDiagSlotRange range)
{
	int first;
	int count;
	int occupied = 0;

	pooldiag_backends_range(range, &first, &count);
	for (int i = first; i < first + count; i++)
		if (holder_of(GetPGProcByNumber(i)) != 0)
			occupied++;
	return occupied;
}

/* The slots that an ordinary role can take. */
int
pooldiag_backends_usable(void)
{
	return MaxConnections - pooldiag_backends_reserved();
}

/* The slots kept for superusers and, from 16 on, for pg_use_reserved_connections. */
int
pooldiag_backends_reserved(void)
{
	return SuperuserReservedConnections + ReservedConnections;
}

/* The older of a process's xid and xmin, as ComputeXidHorizons takes them; invalid if it has
 * neither. */
TransactionId
pooldiag_backends_horizon(TransactionId xid, TransactionId xmin)
{
	if (!TransactionIdIsValid(xmin))
		return xid;
	if (!TransactionIdIsValid(xid))
		return xmin;
	return TransactionIdPrecedes(xid, xmin) ? xid : xmin;
}

/* The oldest xid or xmin that holds back vacuum in the database, or invalid. Takes ProcArrayLock for a moment. */
TransactionId
pooldiag_backends_oldest_xmin(Oid databaseid)
{
	TransactionId oldest = InvalidTransactionId;

	/* Prepared transactions, behind the processes, hold back vacuum too; vacuum itself does not. */
	for (int i = 0; i < MaxBackends + NUM_AUXILIARY_PROCS + max_prepared_xacts; i++)
	{
		volatile PGPROC *proc = GetPGProcByNumber(i);

		if (proc->databaseId != databaseid ||
			(proc->statusFlags & (PROC_IN_VACUUM | PROC_IN_LOGICAL_DECODING)) != 0)
			continue;
		/* One that has been finished leaves its xid behind. */
		if (i >= MaxBackends + NUM_AUXILIARY_PROCS && !TransactionIdIsInProgress(proc->xid))
			continue;
		oldest =
			pooldiag_backends_horizon(oldest, pooldiag_backends_horizon(proc->xid, proc->xmin));
	}
	return oldest;
}

/* The oldest xid or xmin of a prepared transaction, or invalid. Takes ProcArrayLock for a moment. */
TransactionId
pooldiag_backends_oldest_prepared(void)
{
	TransactionId oldest = InvalidTransactionId;
	int first = MaxBackends + NUM_AUXILIARY_PROCS;

	for (int i = first; i < first + max_prepared_xacts; i++)
	{
		volatile PGPROC *proc = GetPGProcByNumber(i);

		/* One that has been finished leaves its xid behind. */
		if (TransactionIdIsNormal(proc->xid) && TransactionIdIsInProgress(proc->xid))
			oldest =
				pooldiag_backends_horizon(oldest, pooldiag_backends_horizon(proc->xid, proc->xmin));
	}
	return oldest;
}

/*
 * Does the server know whose connection this is? An entry that is published before authentication,
 * as from 18 on, has neither user nor names yet.
 */
bool
pooldiag_backends_is_known(const PoolDiagBackend *backend)
{
	return backend->entry >= 0 && OidIsValid(backend->userid);
}

/* Does this connection wait for a heavyweight lock? */
bool
pooldiag_backends_waits_for_lock(const PoolDiagBackend *backend)
{
	return (backend->wait_event_info & 0xFF000000) == PG_WAIT_LOCK;
}

/* Is this process, as it has told core, running a statement? */
bool
pooldiag_backends_am_running(void)
{
	return MyBEEntry != NULL && MyBEEntry->st_state == STATE_RUNNING;
}
