/*
 * operation.c
 *	  What became of operations: things that pooldiag does and that may wait, or hang.
 *
 * Each has a row in shared memory, which the process that does it writes; only ever one does. A try that takes longer
 * than pooldiag.operation_timeout has timed out, whatever becomes of it: as it may hang, somebody else judges that, the
 * operations worker, from the moment at which it began. What both of them write is counted in atomics.
 *
 * How each try went is kept too, as far as it was in time: bits in one atomic, in which whoever ends a try or judges it adds one.
 *
 * A reader gets figures that belong together: there is a count of changes, odd while a row is changed, and a reader
 * that finds it moved reads again. One that was stopped in the middle of a change doesn't keep readers for long.
 *
 * What fails is logged when it begins to and when it is over; how often, the figures say.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "operation.h"
#include "worker.h"

#define READ_TRIES 1000

typedef struct Operation
{
	pg_atomic_uint32 changes;
	pg_atomic_uint32 tries;	 /* the number of the last one that began; while it runs, */
	pg_atomic_uint32 ended;	 /* of the last that has ended, is one less */
	pg_atomic_uint32 judged; /* of the last that has timed out */
	pg_atomic_uint64 timed_out;
	pg_atomic_uint64 consecutive_failures;
	pg_atomic_uint64 outcomes; /* a PoolDiagOutcomes, the count in the upper half */
	PoolDiagOperationFigures figures;
} Operation;

static const struct
{
	const char *name;
	const char *what; /* "write pooldiag's state file" */
	const char *again;
} kinds[] = {
	[POOLDIAG_OPERATION_STATE_FILE] = {"state_file", "write pooldiag's state file",
									   "pooldiag's state file is written again"},
	[POOLDIAG_OPERATION_JOURNAL] = {"journal", "write pooldiag's journal",
									"pooldiag's journal is written again"},
	[POOLDIAG_OPERATION_CANARY] = {"canary", "run pooldiag's canary",
								   "pooldiag's canary is well again"},
	[POOLDIAG_OPERATION_NOTIFY] = {"notify", "notify listeners of alerts",
								   "listeners are notified of alerts again"},
	[POOLDIAG_OPERATION_LIMITS] = {"limits", "read the limits of roles and databases",
								   "the limits of roles and databases are read again"},
};

static Operation *operations = NULL;

Size
pooldiag_operation_size(void)
{
	return sizeof(Operation) * POOLDIAG_OPERATIONS;
}

void
pooldiag_operation_attach(char *at, bool made)
{
	operations = (Operation *) at;
	for (int i = 0; made && i < POOLDIAG_OPERATIONS; i++)
	{
		pg_atomic_init_u32(&operations[i].changes, 0);
		pg_atomic_init_u32(&operations[i].tries, 0);
		pg_atomic_init_u32(&operations[i].ended, 0);
		pg_atomic_init_u32(&operations[i].judged, 0);
		pg_atomic_init_u64(&operations[i].timed_out, 0);
		pg_atomic_init_u64(&operations[i].consecutive_failures, 0);
		pg_atomic_init_u64(&operations[i].outcomes, 0);
	}
}

/* As the view operations has it. */
const char *
pooldiag_operation_name(PoolDiagOperationKind kind)
{
	return kinds[kind].name;
}

static void
begin_change(Operation *operation)
{
	/* A full barrier, here and below. */
	pg_atomic_fetch_or_u32(&operation->changes, 1);
}

static void
end_change(Operation *operation)
{
	pg_atomic_fetch_add_u32(&operation->changes, 1);
}

/* A try begins. */
void
pooldiag_operation_begin(PoolDiagOperationKind kind)
{
	Operation *operation = &operations[kind];

	begin_change(operation);
	operation->figures.started_ms = pooldiag_clock_ms();
	operation->figures.started_at = GetCurrentTimestamp();
	pg_atomic_fetch_add_u32(&operation->tries, 1);
	end_change(operation);
}

static void
add_outcome(PoolDiagOperationKind kind, bool failed)
{
	Operation *operation = &operations[kind];
	uint64 before = pg_atomic_read_u64(&operation->outcomes);
	uint64 count;
	uint64 bits;

	do
	{
		count = (before >> 32) + 1;
		bits = (before << 1 | (failed ? 1 : 0)) & PG_UINT32_MAX;
	} while (!pg_atomic_compare_exchange_u64(&operation->outcomes, &before, count << 32 | bits));
	/* It judges what it should. */
	if (kind == POOLDIAG_OPERATION_CANARY)
		pooldiag_worker_wake(POOLDIAG_SAMPLER);
}

/* The try that began last is over. True unless it was judged before to have timed out. */
static bool
end_try(Operation *operation)
{
	uint32 number = pg_atomic_read_u32(&operation->tries);

	operation->figures.finished_at = GetCurrentTimestamp();
	operation->figures.last_ms = pooldiag_clock_ms() - operation->figures.started_ms;
	pg_atomic_write_u32(&operation->ended, number);
	return pg_atomic_read_u32(&operation->judged) != number;
}

/*
 * The try that began last has done what it should. Late or not, that ends a series of failures, but for the canary, which
 * has done its work in time or not at all.
 */
void
pooldiag_operation_succeeded(PoolDiagOperationKind kind)
{
	Operation *operation = &operations[kind];
	uint64 failures = 0;
	bool in_time;

	begin_change(operation);
	in_time = end_try(operation);
	if (in_time)
		operation->figures.succeeded++;
	end_change(operation);
	if (in_time)
		add_outcome(kind, false);
	if (in_time || kind != POOLDIAG_OPERATION_CANARY)
		failures = pg_atomic_exchange_u64(&operation->consecutive_failures, 0);
	if (failures > 0)
		ereport(LOG, (errmsg("%s, after " UINT64_FORMAT " failure%s", kinds[kind].again, failures,
							 failures == 1 ? "" : "s")));
}

static void
log_failure(PoolDiagOperationKind kind, const char *error, const char *detail, const char *hint)
{
	ereport(LOG,
			(errmsg("Failed to %s asynchronously: %s", kinds[kind].what, error),
			 detail != NULL ? errdetail("%s", detail) : 0, hint != NULL ? errhint("%s", hint) : 0));
}

/* The try that began last has failed, with that error. detail and hint, sentences or NULL, are for the log. */
void
pooldiag_operation_failed(PoolDiagOperationKind kind, const char *error, const char *detail,
						  const char *hint)
{
	Operation *operation = &operations[kind];
	bool in_time;

	begin_change(operation);
	strlcpy(operation->figures.last_error, error, sizeof(operation->figures.last_error));
	in_time = end_try(operation);
	if (in_time)
		operation->figures.failed++;
	end_change(operation);
	if (!in_time)
		return;
	add_outcome(kind, true);
	if (pg_atomic_fetch_add_u64(&operation->consecutive_failures, 1) == 0)
		log_failure(kind, error, detail, hint);
}

/* A try was due, and could not begin: it has failed, with that error, while the one before it goes on. */
void
pooldiag_operation_missed(PoolDiagOperationKind kind, const char *error)
{
	Operation *operation = &operations[kind];

	begin_change(operation);
	strlcpy(operation->figures.last_error, error, sizeof(operation->figures.last_error));
	operation->figures.failed++;
	end_change(operation);
	add_outcome(kind, true);
	pg_atomic_fetch_add_u64(&operation->consecutive_failures, 1);
}

/* Counts tries that have been running for longer than that as timed out, each once. */
void
pooldiag_operation_judge(int64 timeout_ms)
{
	for (int kind = 0; kind < POOLDIAG_OPERATIONS; kind++)
	{
		Operation *operation = &operations[kind];
		uint32 number = pg_atomic_read_u32(&operation->tries);

		if (number == pg_atomic_read_u32(&operation->ended) ||
			number == pg_atomic_read_u32(&operation->judged) ||
			pooldiag_clock_ms() - operation->figures.started_ms < (double) timeout_ms)
			continue;
		pg_atomic_write_u32(&operation->judged, number);
		pg_atomic_fetch_add_u64(&operation->timed_out, 1);
		add_outcome((PoolDiagOperationKind) kind, true);
		if (pg_atomic_fetch_add_u64(&operation->consecutive_failures, 1) == 0)
			log_failure(
				(PoolDiagOperationKind) kind,
				psprintf(
					"it has been at it for longer than pooldiag.operation_timeout, " INT64_FORMAT
					" ms",
					timeout_ms),
				kind < POOLDIAG_FIRST_ERRAND
					? "It can't be interrupted, and nothing else waits for it."
					: "It is told to stop, and nothing else waits for it.",
				NULL);
	}
}

/* How its last tries went. */
PoolDiagOutcomes
pooldiag_operation_outcomes(PoolDiagOperationKind kind)
{
	uint64 packed = pg_atomic_read_u64(&operations[kind].outcomes);
	PoolDiagOutcomes outcomes = {(uint32) (packed >> 32), (uint32) packed};

	return outcomes;
}

/* The figures of an operation, as they are. */
void
pooldiag_operation_read(PoolDiagOperationKind kind, PoolDiagOperationFigures *figures)
{
	Operation *operation = &operations[kind];
	uint32 before;
	uint32 number;

	for (int try = 0; try < READ_TRIES; try++)
	{
		before = pg_atomic_read_u32(&operation->changes);
		pg_read_barrier();
		*figures = operation->figures;
		pg_read_barrier();
		if (before % 2 == 0 && pg_atomic_read_u32(&operation->changes) == before)
			break;
		CHECK_FOR_INTERRUPTS();
	}
	figures->last_error[sizeof(figures->last_error) - 1] = '\0';
	number = pg_atomic_read_u32(&operation->tries);
	figures->running = number != pg_atomic_read_u32(&operation->ended);
	figures->overdue = figures->running && number == pg_atomic_read_u32(&operation->judged);
	figures->timed_out = (int64) pg_atomic_read_u64(&operation->timed_out);
	figures->consecutive_failures = (int64) pg_atomic_read_u64(&operation->consecutive_failures);
	if (figures->overdue)
		strlcpy(figures->last_error, "timed out, and has not ended yet",
				sizeof(figures->last_error));
}
