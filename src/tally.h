/*
 * tally.h
 *	  Counting connections: how many there are in each state, and which of them deserve a look.
 *
 * Pure: unit tests link it. Instants are the server's, microseconds since 2000-01-01 UTC; 0 is not
 * known.
 */
#ifndef POOLDIAG_TALLY_H
#define POOLDIAG_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "presets.h"
#include "state.h"

/* What of a connection is counted. */
typedef struct PoolDiagCounted
{
	PoolDiagState state;
	bool waits_for_lock;
	int64_t backend_start;
	int64_t query_start;
	int64_t state_change;
} PoolDiagCounted;

typedef struct PoolDiagTally
{
	int connections;
	int by_state[POOLDIAG_STATES];
	int waiting;			/* for a heavyweight lock */
	int slow;				/* running a statement for longer than the pool's slow */
	int leaks;				/* idle in transaction for longer than the pool's leak */
	int over_recycle;		/* older than the pool's recycle */
	int unrecycled;			/* used when they were older than that already */
	int aborted;			/* idle in a failed transaction for too long */
	int64_t oldest_aborted; /* state_change of the one that has been for longest */
	int64_t oldest_slow;	/* query_start of the one that has run longest */
	int64_t oldest_leak;	/* state_change of the one that has idled longest */
} PoolDiagTally;

/* The largest value that a figure has had. */
typedef struct PoolDiagPeak
{
	int value;
	int64_t at;
} PoolDiagPeak;

extern bool
pooldiag_is_slow(const PoolDiagCounted *counted, const PoolDiagPoolLimits *limits, int64_t now);
extern bool
pooldiag_is_leak(const PoolDiagCounted *counted, const PoolDiagPoolLimits *limits, int64_t now);
extern bool
pooldiag_is_aborted(const PoolDiagCounted *counted, const PoolDiagPoolLimits *limits, int64_t now);
extern bool
pooldiag_is_unrecycled(const PoolDiagCounted *counted, const PoolDiagPoolLimits *limits);
extern void pooldiag_tally_add(PoolDiagTally *tally, const PoolDiagCounted *counted,
							   const PoolDiagPoolLimits *limits, int64_t now);
extern int pooldiag_tally_checked_out(const PoolDiagTally *tally);
extern void pooldiag_peak_raise(PoolDiagPeak *peak, int value, int64_t now);

#endif /* POOLDIAG_TALLY_H */
