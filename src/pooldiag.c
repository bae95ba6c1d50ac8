/*
 * pooldiag.c
 *	  Entry: the module's magic, settings, hooks and workers. Nothing else lives here.
 */
#include "postgres.h"

#include "comeback.h"
#include "compat.h"
#include "layout.h"
#include "refusals.h"
#include "sessions.h"
#include "settings.h"
#include "worker.h"

PG_MODULE_MAGIC;

void
_PG_init(void)
{
	pooldiag_settings_define();
	if (!process_shared_preload_libraries_in_progress)
		return;
	pooldiag_layout_install_hooks();
	pooldiag_sessions_install_hooks();
	pooldiag_refusals_install_hooks();
	pooldiag_comeback_install_hooks();
	pooldiag_worker_register_all();
}
