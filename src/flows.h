/*
 * flows.h
 *	  What sessions have done since the tick before, by pool: what history is fed with.
 */
#ifndef POOLDIAG_FLOWS_H
#define POOLDIAG_FLOWS_H

#include "datatype/timestamp.h"

#include "history.h"
#include "trends.h"

/* In place of a row of the directory: all pools. */
#define POOLDIAG_FLOWS_SERVER (-1)

extern Size pooldiag_flows_size(int max_pools);
extern void pooldiag_flows_take(int max_pools, const bool *active, uint64 refused, TimestampTz now);
extern void pooldiag_flows_put(int index, PoolDiagMoment *moment);
extern const int64 *pooldiag_flows_counts(int index, double *seconds);
extern void pooldiag_flows_statements(int64 *finished, int64 *failed);

#endif /* POOLDIAG_FLOWS_H */
