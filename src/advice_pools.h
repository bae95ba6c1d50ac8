/*
 * advice_pools.h
 *	  Rules on the size of pools, and on what becomes of their connections.
 */
#ifndef POOLDIAG_ADVICE_POOLS_H
#define POOLDIAG_ADVICE_POOLS_H

#include "advice.h"

extern int64 pooldiag_advice_declared_capacity(const PoolDiagPools *pools);

extern bool pooldiag_advice_pools_exceed_server(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_pool_exceeds_server(PoolDiagCase *c, int pool);
extern bool pooldiag_advice_pool_is_saturated(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_pool_saturated(PoolDiagCase *c, int pool);
extern bool pooldiag_advice_pool_is_oversized(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_pool_oversized(PoolDiagCase *c, int pool);
extern bool pooldiag_advice_pool_grows(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_leak_growth(PoolDiagCase *c, int pool);
extern bool pooldiag_advice_pool_storms(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_connection_storm(PoolDiagCase *c, int pool);
extern bool pooldiag_advice_pool_is_unrecycled(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_not_recycled(PoolDiagCase *c, int pool);
extern bool pooldiag_advice_pool_holds_idle(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_held_while_idle(PoolDiagCase *c, int pool);

#endif /* POOLDIAG_ADVICE_POOLS_H */
