/*
 * tally.c
 *	  Counting connections, the same way in the sampler and in a session that asks.
 */
#include <stddef.h>

#include "tally.h"
#include "thresholds.h"

static bool
longer_than(int64_t since, int64_t now, int64_t limit_ms)
{
	return since != 0 && now - since > limit_ms * 1000;
}

/*
 * Did its statement start longer ago than its pool's slow? Idle in transaction counts, as in the
 * guide's query: what such a connection holds, its last statement took.
 */
bool
pooldiag_is_slow(const PoolDiagCounted *counted, const PoolDiagPoolLimits *limits, int64_t now)
{
	return counted->state != POOLDIAG_IDLE && counted->state != POOLDIAG_STARTING &&
		   longer_than(counted->query_start, now, limits->slow_ms);
}

/* Has it been idle in transaction, by idle time, for longer than its pool's leak? */
bool
pooldiag_is_leak(const PoolDiagCounted *counted, const PoolDiagPoolLimits *limits, int64_t now)
{
	return pooldiag_state_in_transaction_idle(counted->state) &&
		   longer_than(counted->state_change, now, limits->leak_ms);
}

/* Has it been idle in a transaction that has failed for longer than anybody needs to notice? */
bool
pooldiag_is_aborted(const PoolDiagCounted *counted, const PoolDiagPoolLimits *limits, int64_t now)
{
	int64_t limit;

	if (counted->state != POOLDIAG_IDLE_IN_TRANSACTION_ABORTED)
		return false;
	limit = limits->leak_ms < POOLDIAG_ABORTED_MS ? limits->leak_ms : POOLDIAG_ABORTED_MS;
	return longer_than(counted->state_change, now, limit);
}

/* Did its last statement begin when the pool should have replaced it already? */
bool
pooldiag_is_unrecycled(const PoolDiagCounted *counted, const PoolDiagPoolLimits *limits)
{
	/* The first line spares most connections the division. */
	return longer_than(counted->backend_start, counted->query_start, limits->recycle_ms) &&
		   longer_than(counted->backend_start, counted->query_start,
					   limits->recycle_ms / 100 * POOLDIAG_RECYCLE_PERCENT);
}

/* Adds one connection. Without limits (it has no pool) only what needs none is counted. */
void
pooldiag_tally_add(PoolDiagTally *tally, const PoolDiagCounted *counted,
				   const PoolDiagPoolLimits *limits, int64_t now)
{
	tally->connections++;
	tally->by_state[counted->state]++;
	if (counted->waits_for_lock)
		tally->waiting++;
	if (limits == NULL)
		return;
	if (longer_than(counted->backend_start, now, limits->recycle_ms))
		tally->over_recycle++;
	if (pooldiag_is_unrecycled(counted, limits))
		tally->unrecycled++;
	if (pooldiag_is_aborted(counted, limits, now))
	{
		tally->aborted++;
		if (tally->oldest_aborted == 0 || counted->state_change < tally->oldest_aborted)
			tally->oldest_aborted = counted->state_change;
	}
	if (pooldiag_is_leak(counted, limits, now))
	{
		tally->leaks++;
		if (tally->oldest_leak == 0 || counted->state_change < tally->oldest_leak)
			tally->oldest_leak = counted->state_change;
	}
	else if ((counted->state == POOLDIAG_ACTIVE || counted->state == POOLDIAG_FASTPATH) &&
			 pooldiag_is_slow(counted, limits, now))
	{
		tally->slow++;
		if (tally->oldest_slow == 0 || counted->query_start < tally->oldest_slow)
			tally->oldest_slow = counted->query_start;
	}
}

/* How many of the connections are handed to code, as far as the server can tell. */
int
pooldiag_tally_checked_out(const PoolDiagTally *tally)
{
	int checked_out = 0;

	for (int state = 0; state < POOLDIAG_STATES; state++)
		if (pooldiag_state_checked_out((PoolDiagState) state))
			checked_out += tally->by_state[state];
	return checked_out;
}

void
pooldiag_peak_raise(PoolDiagPeak *peak, int value, int64_t now)
{
	if (value > peak->value)
	{
		peak->value = value;
		peak->at = now;
	}
}
