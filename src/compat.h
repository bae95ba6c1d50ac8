/*
 * compat.h
 *	  The differences between PostgreSQL's major versions, each in the newest one's shape.
 *
 * This is the only file that looks at PG_VERSION_NUM.
 */
#ifndef POOLDIAG_COMPAT_H
#define POOLDIAG_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "pooldiag needs PostgreSQL 15 or newer; see \"Supported versions\" in README.md"
#endif

#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "storage/proc.h"
#include "utils/backend_status.h"
#include "utils/wait_event.h"

/*
 * 16: the server declares _PG_init, has memory of its own for a check hook's "extra" result, and
 * keeps slots for roles with pg_use_reserved_connections.
 */
#if PG_VERSION_NUM < 160000
extern PGDLLEXPORT void _PG_init(void);

#define guc_malloc(elevel, size) malloc(size)
#define guc_free(pointer) free(pointer)
#define SuperuserReservedConnections ReservedBackends
#define ReservedConnections 0
#endif

/*
 * 17: a process is known by the number of its PGPROC, and that of its entry in the backend status
 * array is the same. Up to 16 the entry goes by backend id, which is invalid until the process has
 * joined the array. An extension can name what it waits for.
 */
#if PG_VERSION_NUM < 170000
#include "storage/backendid.h"

#define MyProcNumber (MyProc->pgprocno)
#define POOLDIAG_MY_ENTRY_INDEX (MyBackendId - 1)
#define POOLDIAG_STATUS_ENTRIES (MaxBackends + NUM_AUXPROCTYPES)
#define WaitEventExtensionNew(name) ((void) (name), PG_WAIT_EXTENSION)
#else
#define POOLDIAG_MY_ENTRY_INDEX MyProcNumber
#define POOLDIAG_STATUS_ENTRIES (MaxBackends + NUM_AUXILIARY_PROCS)
#endif

/* The index of a process's entry in the backend status array; negative while it has none. */
static inline int
pooldiag_proc_entry_index(const volatile PGPROC *proc, int procno)
{
#if PG_VERSION_NUM < 170000
	return proc->backendId - 1;
#else
	return procno;
#endif
}

/* 18: whether the executor may be run again is said when it is set up. */
#if PG_VERSION_NUM < 180000
#define POOLDIAG_EXECUTOR_RUN_PARAMS \
	QueryDesc *queryDesc, ScanDirection direction, uint64 count, bool execute_once
#define POOLDIAG_EXECUTOR_RUN_ARGS queryDesc, direction, count, execute_once
#else
#define POOLDIAG_EXECUTOR_RUN_PARAMS QueryDesc *queryDesc, ScanDirection direction, uint64 count
#define POOLDIAG_EXECUTOR_RUN_ARGS queryDesc, direction, count
#endif

#endif /* POOLDIAG_COMPAT_H */
