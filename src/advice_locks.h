/*
 * advice_locks.h
 *	  Rules on sessions that wait for each other.
 */
#ifndef POOLDIAG_ADVICE_LOCKS_H
#define POOLDIAG_ADVICE_LOCKS_H

#include "advice.h"

extern bool pooldiag_advice_locks_pile_up(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_lock_pileup(PoolDiagCase *c, int pool);

/* Of whoever asks. */
extern void pooldiag_advice_blocked_by_idle(PoolDiagCase *c, int pool);

#endif /* POOLDIAG_ADVICE_LOCKS_H */
