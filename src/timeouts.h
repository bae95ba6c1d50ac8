/*
 * timeouts.h
 *	  Which sessions no timeout would end, as roles and databases are set.
 */
#ifndef POOLDIAG_TIMEOUTS_H
#define POOLDIAG_TIMEOUTS_H

#include "nodes/pg_list.h"

#include "live.h"

/* A role without the timeout. */
typedef struct PoolDiagUntimedRole
{
	Oid userid;
	Oid databaseid; /* where only what the role has in that database counts, else invalid */
	const char *role;
	const char *database; /* NULL: any */
} PoolDiagUntimedRole;

/* In place of the server's value: not known. No timeout is negative. */
#define POOLDIAG_TIMEOUT_UNKNOWN (-1)

typedef struct PoolDiagUntimed
{
	int connections;
	List *roles; /* of PoolDiagUntimedRole, each once, in the order of their slots */
} PoolDiagUntimed;

extern int pooldiag_timeouts_own(const char *setting);
extern PoolDiagUntimed
pooldiag_timeouts_missing(const PoolDiagLive *live, const char *setting, int server_ms);

#endif /* POOLDIAG_TIMEOUTS_H */
