/*
 * sights.h
 *	  What the sampler remembers of each regular slot: its own memory, which the parts that run in it may look into.
 */
#ifndef POOLDIAG_SIGHTS_H
#define POOLDIAG_SIGHTS_H

#include "ages.h"
#include "backends.h"

typedef struct PoolDiagSight
{
	uint64 generation; /* of the directory when the pool was found */
	uint32 key;		   /* hash of what the pool was found by */
	int pool;
	bool busy;	  /* what this tick has of it is an earlier one's */
	bool held;	  /* by somebody, at the last tick */
	int database; /* rows in the sample's tables of peaks, or -1 */
	int role;
	PoolDiagAge age;
	PoolDiagBackend backend; /* what a tick touches stands first in it */
} PoolDiagSight;

/* MaxConnections of them. */
extern PoolDiagSight *pooldiag_sights;

extern Size pooldiag_sights_size(void);
extern void pooldiag_sights_begin(void);
extern const PoolDiagBackend *pooldiag_sights_seen(int procno, int pid, int *pool);
extern bool pooldiag_sights_is_past(int procno);

#endif /* POOLDIAG_SIGHTS_H */
