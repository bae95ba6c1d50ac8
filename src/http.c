/*
 * http.c
 *	  The background worker that answers over HTTP.
 */
#include "postgres.h"

#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "utils/guc.h"

#include "clock.h"
#include "compat.h"
#include "http.h"
#include "worker.h"

/* The worker's main function. */
void
pooldiag_http_main(Datum main_arg)
{
	pooldiag_worker_begin();
	pooldiag_worker_publish(POOLDIAG_HTTP_WORKER);
	while (!ShutdownRequestPending)
	{
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
		pooldiag_worker_wait(pooldiag_clock_ms() + 1e6, PG_WAIT_EXTENSION);
	}
	proc_exit(1);
}
