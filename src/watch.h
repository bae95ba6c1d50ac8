/*
 * watch.h
 *	  The breakers in the sampler: what they see, when they are evaluated, and who is told.
 */
#ifndef POOLDIAG_WATCH_H
#define POOLDIAG_WATCH_H

#include "ages.h"
#include "ledger.h"
#include "sample.h"

extern void pooldiag_watch_start(const PoolDiagSample *sample);
extern void
pooldiag_watch_redeclare(const PoolDiagSample *sample, const PoolDiagPoolDef *defs, int count);
extern void pooldiag_watch_configure(PoolDiagSample *sample);
extern void pooldiag_watch_begin(void);
extern void pooldiag_watch_connection(PoolDiagAge *age, const PoolDiagBackend *backend,
									  const PoolDiagPoolLimits *limits);
extern void pooldiag_watch_refused(uint64 count);
extern void pooldiag_watch_refused_for(PoolDiagReason reason);
extern bool pooldiag_watch_evaluate(PoolDiagSample *sample, bool asked, TimestampTz now);
extern double pooldiag_watch_due(void);
extern bool pooldiag_watch_evaluate_again(PoolDiagSample *sample, TimestampTz now);
extern bool pooldiag_watch_canary(PoolDiagSample *sample, TimestampTz now);
extern bool pooldiag_watch_obey(PoolDiagSample *sample, TimestampTz now);
extern void pooldiag_watch_tell(const PoolDiagSample *sample);

#endif /* POOLDIAG_WATCH_H */
