/*
 * advice_workload.h
 *	  Rules on what the server's sessions have done of late.
 */
#ifndef POOLDIAG_ADVICE_WORKLOAD_H
#define POOLDIAG_ADVICE_WORKLOAD_H

#include "advice.h"

extern bool pooldiag_advice_is_wait_bound(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_wait_bound(PoolDiagCase *c, int pool);
extern bool pooldiag_advice_cpu_is_oversubscribed(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_cpu_oversubscribed(PoolDiagCase *c, int pool);
extern bool pooldiag_advice_mostly_reads(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_read_heavy(PoolDiagCase *c, int pool);
extern bool pooldiag_advice_wants_logging(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_statement_logging(PoolDiagCase *c, int pool);
extern bool pooldiag_advice_pool_is_canceled(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_canceled_statements(PoolDiagCase *c, int pool);
extern bool pooldiag_advice_pool_loses_work(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_rollback_rate(PoolDiagCase *c, int pool);

#endif /* POOLDIAG_ADVICE_WORKLOAD_H */
