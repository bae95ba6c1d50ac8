/*
 * compat.h
 *	  The differences between PostgreSQL's major versions, each in the newest one's shape.
 *
 * This is the only file that looks at PG_VERSION_NUM.
 */
#ifndef POOLDIAG_COMPAT_H
#define POOLDIAG_COMPAT_H

#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/autovacuum.h"
#include "postmaster/postmaster.h"
#include "storage/backendid.h"
#include "storage/proc.h"
#include "utils/backend_status.h"
#include "utils/wait_event.h"

#if PG_VERSION_NUM < 150000
#error "pooldiag needs PostgreSQL 15 or newer"
#endif

/* Declared by the server from 16 on. */
#if PG_VERSION_NUM < 160000
extern PGDLLEXPORT void _PG_init(void);
#endif

/* Slots kept for roles with pg_use_reserved_connections came with 16. */
#if PG_VERSION_NUM < 160000
#define SuperuserReservedConnections ReservedBackends
#define ReservedConnections 0
#endif

/*
 * Where the process of a PGPROC has its entry in the backend status array. Up to 16 that is by
 * backend id, which is invalid until the process has joined the array.
 */
#if PG_VERSION_NUM < 170000
#define POOLDIAG_MY_ENTRY_INDEX (MyBackendId - 1)
#define POOLDIAG_MY_PROC_NUMBER (MyProc->pgprocno)
#define POOLDIAG_STATUS_ENTRIES (MaxBackends + NUM_AUXPROCTYPES)
static inline int
pooldiag_proc_entry_index(const volatile PGPROC *proc, int procno)
{
	return proc->backendId - 1;
}
#else
#define POOLDIAG_MY_ENTRY_INDEX MyProcNumber
#define POOLDIAG_MY_PROC_NUMBER MyProcNumber
#define POOLDIAG_STATUS_ENTRIES (MaxBackends + NUM_AUXILIARY_PROCS)
static inline int
pooldiag_proc_entry_index(const volatile PGPROC *proc, int procno)
{
	return procno;
}
#endif

/* The states of a connection as the server numbers them; STATE_STARTING came with 18. */
#if PG_VERSION_NUM >= 180000
#define POOLDIAG_HAVE_STATE_STARTING 1
#define POOLDIAG_AUTOVACUUM_PROCS (autovacuum_worker_slots + NUM_SPECIAL_WORKER_PROCS)
#else
#define POOLDIAG_HAVE_STATE_STARTING 0
#define POOLDIAG_AUTOVACUUM_PROCS (autovacuum_max_workers + 1)
#endif

/* Memory of a check hook's "extra" result. */
#if PG_VERSION_NUM < 160000
#define guc_malloc(elevel, size) malloc(size)
#define guc_free(pointer) free(pointer)
#endif

#endif /* POOLDIAG_COMPAT_H */
