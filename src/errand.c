/*
 * errand.c
 *	  Short-lived workers with a connection to a database, each started for one try of one operation.
 *
 * Such a process is connected to pooldiag.database for as long as its try takes, so that nothing holds that database
 * open, and one that hangs delays nothing else. It may end in any way, by FATAL too: what its last words were goes to
 * operations through shared memory, which counts them, and logs them when a series of failures begins. Of one that has ended
 * by FATAL the postmaster logs, each time, that it exited with code 1, and no more.
 *
 * Of each kind there is one at a time. Its phase, and the number of the try, are one atomic: operations calls and
 * withdraws, the process takes the call and ends it. Who takes a call that was withdrawn leaves at once. All else of an
 * errand belongs to the process while it runs, and to operations else.
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/procarray.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "canary.h"
#include "errand.h"
#include "quotas.h"
#include "notifier.h"
#include "settings.h"
#include "worker.h"

typedef struct Errand
{
	pg_atomic_uint32
		phase; /* the number of the try, and in the lowest two bits a PoolDiagErrandPhase */
	int pid;   /* 0: there is no process */
	PoolDiagErrandEnd end;
} Errand;

static void (*const deeds[POOLDIAG_ERRANDS])(void) = {
	pooldiag_canary_run,
	pooldiag_notifier_run,
	pooldiag_quotas_run,
};

static Errand *errands = NULL;
static Errand *mine = NULL; /* in a process that runs one */
static emit_log_hook_type prev_emit_log_hook = NULL;

/* What the server's log takes; the hook is given more. */
static bool logs_warnings = true;
static bool logs_messages = true;

Size
pooldiag_errand_size(void)
{
	return sizeof(Errand) * POOLDIAG_ERRANDS;
}

void
pooldiag_errand_attach(char *at, bool made)
{
	errands = (Errand *) at;
	for (int i = 0; made && i < POOLDIAG_ERRANDS; i++)
		pg_atomic_init_u32(&errands[i].phase, POOLDIAG_ERRAND_NONE);
}

static Errand *
of(PoolDiagOperationKind kind)
{
	return &errands[kind - POOLDIAG_FIRST_ERRAND];
}

static uint32
with_phase(uint32 number, PoolDiagErrandPhase phase)
{
	return (number & ~(uint32) 3) | (uint32) phase;
}

static bool
move(Errand *errand, PoolDiagErrandPhase from, PoolDiagErrandPhase to)
{
	uint32 before = pg_atomic_read_u32(&errand->phase);

	return (before & 3) == (uint32) from &&
		   pg_atomic_compare_exchange_u32(&errand->phase, &before, with_phase(before, to));
}

PoolDiagErrandPhase
pooldiag_errand_phase(PoolDiagOperationKind kind)
{
	return (PoolDiagErrandPhase) (pg_atomic_read_u32(&of(kind)->phase) & 3);
}

/* A process is about to be asked for, and is to be given the number that this returns. There must be no errand of the kind. */
uint32
pooldiag_errand_call(PoolDiagOperationKind kind)
{
	Errand *errand = of(kind);
	uint32 number = with_phase(pg_atomic_read_u32(&errand->phase), POOLDIAG_ERRAND_NONE) + 4;

	pg_atomic_write_u32(&errand->phase, with_phase(number, POOLDIAG_ERRAND_CALLED));
	return number;
}

/* The call is taken back; false if a process has taken it. */
bool
pooldiag_errand_withdraw(PoolDiagOperationKind kind)
{
	return move(of(kind), POOLDIAG_ERRAND_CALLED, POOLDIAG_ERRAND_NONE);
}

/* Sends a signal to the process of an errand that runs. */
void
pooldiag_errand_signal(PoolDiagOperationKind kind, int signal)
{
	int pid = of(kind)->pid;

	/* It may have ended meanwhile; what has its pid now is no backend, or hardly so. */
	if (pid != 0 && BackendPidGetProc(pid) != NULL)
		(void) kill(pid, signal);
}

/* How the errand ended, which has; from now on there is none. */
void
pooldiag_errand_take_end(PoolDiagOperationKind kind, PoolDiagErrandEnd *end)
{
	Errand *errand = of(kind);

	pg_read_barrier();
	*end = errand->end;
	(void) move(errand, POOLDIAG_ERRAND_ENDED, POOLDIAG_ERRAND_NONE);
}

static void
note_error(const char *message, const char *detail)
{
	snprintf(mine->end.error, sizeof(mine->end.error), detail == NULL ? "%s" : "%s (%s)", message,
			 detail);
}

/*
 * Keeps the last words of a process that ends by FATAL, and those of a commit that is not waited for any longer. They are
 * not for the server's log: operations tells of them, once.
 */
static void
keep_last_words(ErrorData *edata)
{
	if (prev_emit_log_hook)
		prev_emit_log_hook(edata);
	if ((edata->elevel == WARNING && !logs_warnings) ||
		((edata->elevel == LOG || edata->elevel == LOG_SERVER_ONLY) && !logs_messages))
		edata->output_to_server = false;
	if (edata->elevel != FATAL &&
		!(edata->elevel == WARNING && edata->message_id != NULL &&
		  strncmp(edata->message_id, "canceling", strlen("canceling")) == 0))
		return;
	note_error(edata->message, edata->detail);
	edata->output_to_server = false;
}

/*
 * The hook is called for what goes to the server's log only, which log_min_messages may keep warnings and FATAL from. So
 * that is set here, for good: what the database or the role has for it counts no more. The log gets no more by it.
 */
static void
listen_to_last_words(void)
{
	logs_warnings = message_level_is_interesting(WARNING);
	logs_messages = message_level_is_interesting(LOG);
	SetConfigOption("log_min_messages", "warning", PGC_SUSET, PGC_S_OVERRIDE);
	prev_emit_log_hook = emit_log_hook;
	emit_log_hook = keep_last_words;
}

static void
end_errand(int code, Datum arg)
{
	if (code != 0 || mine->end.error[0] != '\0')
		mine->end.succeeded = false;
	if (!mine->end.succeeded && mine->end.error[0] == '\0')
		note_error("it ended without a word", NULL);
	mine->pid = 0;
	pg_write_barrier();
	(void) move(mine, POOLDIAG_ERRAND_RUNNING, POOLDIAG_ERRAND_ENDED);
	pooldiag_worker_wake(POOLDIAG_OPERATIONS_WORKER);
}

static void
run(PoolDiagOperationKind kind)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		BackgroundWorkerInitializeConnection(pooldiag_database, NULL, 0);
		pgstat_report_activity(STATE_RUNNING, pooldiag_operation_name(kind));
		deeds[kind - POOLDIAG_FIRST_ERRAND]();
		mine->end.succeeded = true;
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		note_error(error->message, error->detail);
	}
	PG_END_TRY();
}

/* The worker's main function: one try. Its argument is the kind, and MyBgworkerEntry->bgw_extra has the number. */
void
pooldiag_errand_main(Datum main_arg)
{
	PoolDiagOperationKind kind = (PoolDiagOperationKind) DatumGetInt32(main_arg);
	uint32 called;

	mine = of(kind);
	memcpy(&called, MyBgworkerEntry->bgw_extra, sizeof(called));
	called = with_phase(called, POOLDIAG_ERRAND_CALLED);
	if (!pg_atomic_compare_exchange_u32(&mine->phase, &called,
										with_phase(called, POOLDIAG_ERRAND_RUNNING)))
		proc_exit(0);
	memset(&mine->end, 0, sizeof(mine->end));
	mine->pid = MyProcPid;
	before_shmem_exit(end_errand, 0);
	listen_to_last_words();
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	run(kind);
	proc_exit(0);
}
