/*
 * breaker.c
 *	  The circuit breaker, a state machine:
 *
 *	  closed      after failure_threshold consecutive failing evaluations    -> open
 *	  open        when reset_ms have passed                                  -> half open
 *	  half open   after half_open_samples consecutive healthy evaluations    -> closed
 *	              at the first failing one                                   -> open again
 *	  any         by a person: forced open, disabled; from these, reset      -> closed
 *
 * Time and evaluations are two different things that happen to it, so that a caller can let time pass before it tries
 * something, and evaluate when that has ended. What it keeps is the caller's; no locks.
 */
#include <limits.h>

#include "breaker.h"

static const char *const states[POOLDIAG_BREAKER_STATES] = {
	[POOLDIAG_BREAKER_CLOSED] = "closed",		[POOLDIAG_BREAKER_OPEN] = "open",
	[POOLDIAG_BREAKER_HALF_OPEN] = "half_open", [POOLDIAG_BREAKER_FORCED_OPEN] = "forced_open",
	[POOLDIAG_BREAKER_DISABLED] = "disabled",
};

static const char *const events[POOLDIAG_BREAKER_EVENTS] = {
	[POOLDIAG_BREAKER_OPENED] = "opened", [POOLDIAG_BREAKER_HALF_OPENED] = "half_opened",
	[POOLDIAG_BREAKER_CLOSES] = "closed", [POOLDIAG_BREAKER_REOPENED] = "reopened",
	[POOLDIAG_BREAKER_FORCED] = "forced", [POOLDIAG_BREAKER_DISABLES] = "disabled",
	[POOLDIAG_BREAKER_RESETS] = "reset",
};

/* As the view breakers says it. */
const char *
pooldiag_breaker_state_name(PoolDiagBreakerState state)
{
	return states[state];
}

/* As the view alerts says it; the event must be one. */
const char *
pooldiag_breaker_event_name(PoolDiagBreakerEvent event)
{
	return events[event];
}

/* Is what it watches taken for broken? */
bool
pooldiag_breaker_is_open(const PoolDiagBreaker *breaker)
{
	return breaker->state == POOLDIAG_BREAKER_OPEN ||
		   breaker->state == POOLDIAG_BREAKER_HALF_OPEN ||
		   breaker->state == POOLDIAG_BREAKER_FORCED_OPEN;
}

static bool
is_due(const PoolDiagBreaker *breaker, const PoolDiagBreakerRules *rules, int64_t now_ms)
{
	return breaker->state == POOLDIAG_BREAKER_OPEN &&
		   now_ms - breaker->opened_ms >= rules->reset_ms;
}

static PoolDiagBreakerEvent
enter(PoolDiagBreaker *breaker, PoolDiagBreakerState state, PoolDiagBreakerEvent event)
{
	breaker->state = state;
	breaker->half_open_successes = 0;
	return event;
}

/* Should what it protects be tried at that moment? Not while it is open, unless it is due to be half open. */
bool
pooldiag_breaker_may_try(const PoolDiagBreaker *breaker, const PoolDiagBreakerRules *rules,
						 int64_t now_ms)
{
	return breaker->state == POOLDIAG_BREAKER_CLOSED ||
		   breaker->state == POOLDIAG_BREAKER_HALF_OPEN ||
		   breaker->state == POOLDIAG_BREAKER_DISABLED || is_due(breaker, rules, now_ms);
}

/* Lets time pass: half open, where it was open for long enough. */
PoolDiagBreakerEvent
pooldiag_breaker_advance(PoolDiagBreaker *breaker, const PoolDiagBreakerRules *rules,
						 int64_t now_ms)
{
	if (!is_due(breaker, rules, now_ms))
		return POOLDIAG_BREAKER_NOTHING;
	return enter(breaker, POOLDIAG_BREAKER_HALF_OPEN, POOLDIAG_BREAKER_HALF_OPENED);
}

/* One evaluation. A disabled breaker takes none; one that is open, or forced open, only counts. */
PoolDiagBreakerEvent
pooldiag_breaker_judge(PoolDiagBreaker *breaker, const PoolDiagBreakerRules *rules, bool failing,
					   int64_t now_ms)
{
	if (breaker->state == POOLDIAG_BREAKER_DISABLED)
		return POOLDIAG_BREAKER_NOTHING;
	if (!failing)
		breaker->consecutive_failures = 0;
	else if (breaker->consecutive_failures < INT_MAX)
		breaker->consecutive_failures++;

	if (breaker->state == POOLDIAG_BREAKER_CLOSED &&
		breaker->consecutive_failures >= rules->failure_threshold)
	{
		breaker->opened_ms = now_ms;
		breaker->trips++;
		return enter(breaker, POOLDIAG_BREAKER_OPEN, POOLDIAG_BREAKER_OPENED);
	}
	if (breaker->state == POOLDIAG_BREAKER_HALF_OPEN)
	{
		if (failing)
		{
			breaker->opened_ms = now_ms;
			return enter(breaker, POOLDIAG_BREAKER_OPEN, POOLDIAG_BREAKER_REOPENED);
		}
		if (++breaker->half_open_successes >= rules->half_open_samples)
			return enter(breaker, POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_CLOSES);
	}
	return POOLDIAG_BREAKER_NOTHING;
}

/* Closed, from whatever state, with no failures counted. trips stays. An event only where it was not closed. */
PoolDiagBreakerEvent
pooldiag_breaker_to_closed(PoolDiagBreaker *breaker)
{
	breaker->consecutive_failures = 0;
	if (breaker->state == POOLDIAG_BREAKER_CLOSED)
		return POOLDIAG_BREAKER_NOTHING;
	return enter(breaker, POOLDIAG_BREAKER_CLOSED, POOLDIAG_BREAKER_RESETS);
}

/* Open until it is reset, whatever is evaluated. That is no trip. */
PoolDiagBreakerEvent
pooldiag_breaker_to_forced_open(PoolDiagBreaker *breaker, int64_t now_ms)
{
	if (breaker->state == POOLDIAG_BREAKER_FORCED_OPEN)
		return POOLDIAG_BREAKER_NOTHING;
	breaker->opened_ms = now_ms;
	return enter(breaker, POOLDIAG_BREAKER_FORCED_OPEN, POOLDIAG_BREAKER_FORCED);
}

/* Evaluates nothing until it is reset. */
PoolDiagBreakerEvent
pooldiag_breaker_to_disabled(PoolDiagBreaker *breaker)
{
	if (breaker->state == POOLDIAG_BREAKER_DISABLED)
		return POOLDIAG_BREAKER_NOTHING;
	breaker->consecutive_failures = 0;
	return enter(breaker, POOLDIAG_BREAKER_DISABLED, POOLDIAG_BREAKER_DISABLES);
}
