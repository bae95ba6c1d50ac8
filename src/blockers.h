/*
 * blockers.h
 *	  Who waits for whom, as workers see it: without waiting for a lock, and so perhaps not all of it.
 */
#ifndef POOLDIAG_BLOCKERS_H
#define POOLDIAG_BLOCKERS_H

#include "locks.h"

/* A session that keeps others waiting, and waits for none itself; or a prepared transaction. */
typedef struct PoolDiagRoot
{
	int procno;
	int pid; /* 0: a prepared transaction */
	int waiting;
} PoolDiagRoot;

typedef struct PoolDiagBlockers
{
	int waiters;  /* sessions that wait for a heavyweight lock, as far as they could be read */
	int not_read; /* processes that seem to, whose lock was being changed */
	int rootless; /* waiters in a circle, or whose lock has come free */
	int count;
	PoolDiagRoot *roots; /* those with most waiters first */
	int *root_of;		 /* by the number of a PGPROC: the pid of its root, or POOLDIAG_NO_ROOT */
} PoolDiagBlockers;

extern PoolDiagBlockers *pooldiag_blockers_read(void);
extern bool pooldiag_blockers_is_replay(const PoolDiagRoot *root);
extern PoolDiagLocks *pooldiag_blockers_locks(void);

#endif /* POOLDIAG_BLOCKERS_H */
