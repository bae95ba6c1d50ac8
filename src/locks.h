/*
 * locks.h
 *	  Who waits for whom: heavyweight locks, as one session that asks sees them.
 */
#ifndef POOLDIAG_LOCKS_H
#define POOLDIAG_LOCKS_H

#include "datatype/timestamp.h"
#include "storage/lock.h"

/* The root of a wait that leads nowhere else: a prepared transaction, or a circle. */
#define POOLDIAG_PREPARED_TRANSACTION 0
#define POOLDIAG_NO_ROOT (-1)

/* A session that waits; of a parallel query, its leader. */
typedef struct PoolDiagWaiter
{
	int pid;
	TimestampTz since; /* 0: it has only just begun */
	LOCKTAG tag;
	LOCKMODE mode;
	Oid databaseid; /* of the relation that it waits for or for a row of, where it is known */
	Oid relationid;
	int *blockers; /* pids, sorted, each once; 0 is a prepared transaction */
	int blocker_count;
	int root;  /* pid of the session at the end of the shortest way, or one of the above */
	int depth; /* steps to the root; 0 if there is none */
} PoolDiagWaiter;

typedef struct PoolDiagLocks
{
	LockData *data;
	int count;
	PoolDiagWaiter *waiters;
} PoolDiagLocks;

extern PoolDiagLocks *pooldiag_locks_read(void);
extern void pooldiag_locks_sort(PoolDiagLocks *locks);
extern void pooldiag_locks_blockers(int pid, int **blockers, int *count);
extern int pooldiag_locks_held(const PoolDiagLocks *locks, int pid);
extern int pooldiag_locks_waiting_behind(const PoolDiagLocks *locks, const int *pids, int npids);

#endif /* POOLDIAG_LOCKS_H */
