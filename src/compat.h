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

/* 16: those who hold a lock are in a list of another kind. */
#if PG_VERSION_NUM < 160000
#define POOLDIAG_EACH_PROCLOCK(proclock, lock)                                             \
	for ((proclock) = (PROCLOCK *) SHMQueueNext(&(lock)->procLocks, &(lock)->procLocks,    \
												offsetof(PROCLOCK, lockLink));             \
		 (proclock) != NULL;                                                               \
		 (proclock) = (PROCLOCK *) SHMQueueNext(&(lock)->procLocks, &(proclock)->lockLink, \
												offsetof(PROCLOCK, lockLink)))
#else
#define POOLDIAG_EACH_PROCLOCK(proclock, lock)                                                 \
	for (dlist_node *node_ = dlist_is_empty(&(lock)->procLocks) ? NULL                         \
																: (lock)->procLocks.head.next; \
		 node_ != NULL && ((proclock) = dlist_container(PROCLOCK, lockLink, node_), true);     \
		 node_ = node_->next == &(lock)->procLocks.head ? NULL : node_->next)
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
/* A set of events to wait for is memory of a context, and from 17 on what a resource owner may own. */
#define POOLDIAG_WAIT_SET_OWNER TopMemoryContext
#else
#define POOLDIAG_WAIT_SET_OWNER NULL
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

/* 17 and 19: the class of waits for pages has other names, in 19 for users too. */
#if PG_VERSION_NUM < 170000
#define POOLDIAG_WAIT_BUFFER PG_WAIT_BUFFER_PIN
#elif PG_VERSION_NUM < 190000
#define POOLDIAG_WAIT_BUFFER PG_WAIT_BUFFERPIN
#else
#define POOLDIAG_WAIT_BUFFER PG_WAIT_BUFFER
#endif
#if PG_VERSION_NUM < 190000
#define POOLDIAG_WAIT_BUFFER_NAME "BufferPin"
#else
#define POOLDIAG_WAIT_BUFFER_NAME "Buffer"
#endif

/* 19: who uses a replication slot is known by the number of its PGPROC. */
#if PG_VERSION_NUM < 190000
#define POOLDIAG_SLOT_IS_ACTIVE(slot) ((slot)->active_pid != 0)
#else
#define POOLDIAG_SLOT_IS_ACTIVE(slot) ((slot)->active_proc != INVALID_PROC_NUMBER)
#endif

#endif /* POOLDIAG_COMPAT_H */
