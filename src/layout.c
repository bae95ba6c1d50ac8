/*
 * layout.c
 *	  All that pooldiag keeps in shared memory: parts, sized at server start and never grown.
 *
 * Each part says itself who writes what of it under which protection. No lock is waited for but the one for what
 * sessions leave that no sample has seen (counters.c), and the one for the sums of slow statements, by who asks for
 * them (slowlog.c). What is torn by a SIGKILL goes with the server's restart, which makes shared memory anew, and
 * reads what was saved.
 */
#include "postgres.h"

#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "alerts.h"
#include "backends.h"
#include "canary.h"
#include "compat.h"
#include "counters.h"
#include "errand.h"
#include "findings.h"
#include "holds.h"
#include "incidents.h"
#include "keeper.h"
#include "layout.h"
#include "notifier.h"
#include "operation.h"
#include "orders.h"
#include "quotas.h"
#include "scans.h"
#include "series.h"
#include "slowlog.h"
#include "traffic.h"
#include "worker.h"

static const PoolDiagPart parts[] = {
	{"counters", pooldiag_counters_size, pooldiag_counters_attach},
	{"holds", pooldiag_holds_size, pooldiag_holds_attach},
	{"slow_queries", pooldiag_slowlog_size, pooldiag_slowlog_attach},
	{"history", pooldiag_series_size, pooldiag_series_attach},
	{"alerts", pooldiag_alerts_size, pooldiag_alerts_attach},
	{"findings", pooldiag_findings_size, pooldiag_findings_attach},
	{"scans", pooldiag_scans_size, pooldiag_scans_attach},
	{"incidents", pooldiag_incidents_size, pooldiag_incidents_attach},
	{"orders", pooldiag_orders_size, pooldiag_orders_attach},
	{"keeper", pooldiag_keeper_size, pooldiag_keeper_attach},
	{"operation", pooldiag_operation_size, pooldiag_operation_attach},
	{"errand", pooldiag_errand_size, pooldiag_errand_attach},
	{"canary", pooldiag_canary_size, pooldiag_canary_attach},
	{"notifier", pooldiag_notifier_size, pooldiag_notifier_attach},
	{"quotas", pooldiag_quotas_size, pooldiag_quotas_attach},
	{"http", pooldiag_traffic_size, pooldiag_traffic_attach},
	{"workers", pooldiag_worker_size, pooldiag_worker_attach},
};

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

/* The parts in the order in which they lie; NULL past the last one. */
const PoolDiagPart *
pooldiag_layout_part(int index)
{
	if (index < POOLDIAG_SHARED_PARTS)
		return &pooldiag_shared_parts[index];
	index -= POOLDIAG_SHARED_PARTS;
	return index < (int) lengthof(parts) ? &parts[index] : NULL;
}

static Size
total_size(void)
{
	const PoolDiagPart *part;
	Size total = 0;

	for (int i = 0; (part = pooldiag_layout_part(i)) != NULL; i++)
		total = add_size(total, CACHELINEALIGN(part->size()));
	return total;
}

static void
request_shared_memory(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(total_size());
	pooldiag_counters_request();
	pooldiag_slowlog_request();
	pooldiag_orders_request();
	pooldiag_findings_request();
	pooldiag_scans_request();
}

static void
start_shared_memory(void)
{
	const PoolDiagPart *part;
	bool found;
	char *at;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	at = ShmemInitStruct("pooldiag", total_size(), &found);
	if (!found)
		memset(at, 0, total_size());
	for (int i = 0; (part = pooldiag_layout_part(i)) != NULL; i++)
	{
		part->attach(at, !found);
		at += CACHELINEALIGN(part->size());
	}
	LWLockRelease(AddinShmemInitLock);
	pooldiag_backends_find_array();
	if (!found)
		pooldiag_keeper_load();
}

/* To be called from _PG_init, while libraries are preloaded. */
void
pooldiag_layout_install_hooks(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_shared_memory;
}
