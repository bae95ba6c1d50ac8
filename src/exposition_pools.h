/*
 * exposition_pools.h
 *	  The metrics of pools, and what pools are called in labels.
 */
#ifndef POOLDIAG_EXPOSITION_POOLS_H
#define POOLDIAG_EXPOSITION_POOLS_H

#include "counters.h"
#include "live.h"
#include "openmetrics.h"

/* A pool that metrics are told of. */
typedef struct PoolDiagExposedPool
{
	const PoolDiagPool *pool;
	PoolDiagTotals *totals; /* NULL: not known, or not for this reader */
	char *name;
	PoolDiagLabels labels; /* that it is this pool */
} PoolDiagExposedPool;

typedef struct PoolDiagExposedPools
{
	int declared; /* the first ones, in the order of the setting */
	int count;
	PoolDiagExposedPool *pools;
} PoolDiagExposedPools;

extern PoolDiagExposedPools pooldiag_exposition_find_pools(const PoolDiagLive *live);
extern void pooldiag_exposition_write_pools(PoolDiagMetrics *metrics, const PoolDiagLive *live,
											const PoolDiagExposedPools *exposed);

#endif /* POOLDIAG_EXPOSITION_POOLS_H */
