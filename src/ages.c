/*
 * ages.c
 *	  For how long a connection has been at what it is at, by a clock that doesn't jump.
 *
 * Views go by the instants that sessions have published, by the wall clock. Breakers must not: put forward by an hour,
 * it would open all of them. So an age begins when the sampler first sees a state, and the published instant only tells
 * whether that is still the same one.
 */
#include "ages.h"

static bool
is_running(PoolDiagState state)
{
	return state == POOLDIAG_ACTIVE || state == POOLDIAG_FASTPATH;
}

/* Counts a connection as slow or as a leak suspect, by its pool's limits. age is what was seen of its slot before. */
void
pooldiag_ages_add(PoolDiagAged *aged, PoolDiagAge *age, int pid, const PoolDiagCounted *counted,
				  const PoolDiagPoolLimits *limits, int64_t now_ms)
{
	bool running = is_running(counted->state);
	int64_t stamp = running ? counted->query_start : counted->state_change;
	int64_t ms;

	age->is_past = false;
	if (!running && !pooldiag_state_in_transaction_idle(counted->state))
	{
		age->pid = 0;
		return;
	}
	if (age->pid != pid || age->stamp != stamp || is_running(age->state) != running)
	{
		age->pid = pid;
		age->stamp = stamp;
		age->first_ms = now_ms;
	}
	age->state = counted->state;
	ms = now_ms - age->first_ms;
	age->is_past = ms > (running ? limits->slow_ms : limits->leak_ms);
	if (!age->is_past)
		return;
	if (running)
	{
		aged->slow++;
		if (ms > aged->slowest_ms)
			aged->slowest_ms = ms;
	}
	else
	{
		aged->leaks++;
		if (ms > aged->oldest_leak_ms)
			aged->oldest_leak_ms = ms;
	}
}
