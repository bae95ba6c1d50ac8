/*
 * comeback.c
 *	  After a crash of one of the server's processes: the workers are back when redo starts, not when it ends.
 *
 * When it starts processes anew after a crash, the postmaster begins with the startup process, and looks for workers to be
 * started again only when something tells it to: as a rule, when sessions are let in. Redo may take long, and that is when
 * people want to know how it goes. So the startup process tells it, when it logs that redo starts, as if there were a new
 * worker to be seen to.
 *
 * A signal to the postmaster and a flag in shared memory: nothing here waits, allocates or throws. A server that logs no
 * such message (log_min_messages above LOG) has its workers back when redo has ended.
 */
#include "postgres.h"

#include "comeback.h"
#include "compat.h"
#include "storage/pmsignal.h"

static emit_log_hook_type prev_emit_log_hook = NULL;

static void
watch_log(ErrorData *edata)
{
	static const char message[] = "redo starts at ";

	if (prev_emit_log_hook)
		prev_emit_log_hook(edata);
	if (AmStartupProcess() && IsUnderPostmaster && edata->message_id != NULL &&
		strncmp(edata->message_id, message, sizeof(message) - 1) == 0)
		SendPostmasterSignal(PMSIGNAL_BACKGROUND_WORKER_CHANGE);
}

/* To be called from _PG_init, while libraries are preloaded. */
void
pooldiag_comeback_install_hooks(void)
{
	prev_emit_log_hook = emit_log_hook;
	emit_log_hook = watch_log;
}
