/*
 * advice_sessions.h
 *	  Rules on what single sessions do to the others.
 */
#ifndef POOLDIAG_ADVICE_SESSIONS_H
#define POOLDIAG_ADVICE_SESSIONS_H

#include "advice.h"

extern bool pooldiag_advice_has_leaks(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_leak_suspects(PoolDiagCase *c, int pool);
extern bool pooldiag_advice_has_aborted(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_aborted_transactions(PoolDiagCase *c, int pool);
extern bool pooldiag_advice_has_slow(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_slow_holders(PoolDiagCase *c, int pool);

/* Of whoever asks. */
extern void pooldiag_advice_stale_clients(PoolDiagCase *c, int pool);
extern void pooldiag_advice_horizon_held(PoolDiagCase *c, int pool);

#endif /* POOLDIAG_ADVICE_SESSIONS_H */
