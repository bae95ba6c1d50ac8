/*
 * breakers.c
 *	  The breakers that there are: what each watches, under which rules, and what of it is told.
 *
 * A breaker is observed with each sample and evaluated once a second, so that a second fails if one of its samples
 * does. What it does is told by alerts, unless it is there for its figures only (mode metrics_only), or silenced. What
 * has happened in silence and lasts is told when that is over.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "breakers.h"

typedef struct Kind
{
	const char *name;
	double limit; /* unless pooldiag.breakers states one */
	bool percent; /* else a count */
	int failures; /* evaluations that open it; 0: pooldiag.failure_threshold */
} Kind;

static const Kind kinds[] = {
	[POOLDIAG_BREAKER_SLOTS] = {"slots", 90, true, 0},
	[POOLDIAG_BREAKER_REFUSALS] = {"refusals", 1, false, 1},
	[POOLDIAG_BREAKER_SLOW_QUERIES] = {"slow_queries", 5, false, 0},
	[POOLDIAG_BREAKER_LEAKS] = {"leaks", 1, false, 0},
	[POOLDIAG_BREAKER_LOCK_WAITS] = {"lock_waits", 5, false, 0},
	[POOLDIAG_BREAKER_ERRORS] = {"errors", 50, true, 0},
	[POOLDIAG_BREAKER_OPERATIONS] = {"operations", 1, false, 0},
	[POOLDIAG_BREAKER_POOL] = {"pool:", 100, true, 0},
};

/* Writes a breaker's name, of POOLDIAG_BREAKER_NAME_LEN bytes at the most; pool is read for that kind only. */
void
pooldiag_breakers_name(PoolDiagBreakerKind kind, const char *pool, char *name)
{
	snprintf(name, POOLDIAG_BREAKER_NAME_LEN, "%s%s", kinds[kind].name,
			 kind == POOLDIAG_BREAKER_POOL ? pool : "");
}

/* Are its value and its limit percentages? Else they are counts. */
bool
pooldiag_breakers_is_percent(PoolDiagBreakerKind kind)
{
	return kinds[kind].percent;
}

/* Puts rules in force: what its definition states, if there is one, else the defaults. Its state stays. */
void
pooldiag_breakers_configure(PoolDiagWatched *watched, PoolDiagBreakerKind kind, const char *pool,
							const PoolDiagBreakerDef *defs, int ndefs,
							const PoolDiagBreakerDefaults *defaults)
{
	char name[POOLDIAG_BREAKER_NAME_LEN];

	pooldiag_breakers_name(kind, pool, name);
	watched->limit = kinds[kind].limit;
	watched->mode = POOLDIAG_BREAKER_MODE_NORMAL;
	watched->rules.failure_threshold =
		kinds[kind].failures > 0 ? kinds[kind].failures : defaults->failure_threshold;
	watched->rules.half_open_samples = defaults->half_open_samples;
	watched->rules.reset_ms = defaults->reset_ms;
	for (int i = 0; i < ndefs; i++)
	{
		const PoolDiagBreakerDef *def = &defs[i];

		if (strcmp(def->name, name) != 0)
			continue;
		if (def->limit >= 0)
			watched->limit = def->limit;
		if (def->failures != POOLDIAG_UNSTATED)
			watched->rules.failure_threshold = def->failures;
		if (def->reset_ms != POOLDIAG_UNSTATED)
			watched->rules.reset_ms = def->reset_ms;
		if (def->mode != POOLDIAG_BREAKER_MODE_UNSTATED)
			watched->mode = def->mode;
	}
}

static void
observe(PoolDiagWatched *watched, double value, double part, double whole)
{
	if (!watched->observed || isnan(watched->worst) || value > watched->worst)
	{
		watched->worst = value;
		watched->worst_part = part;
		watched->worst_whole = whole;
	}
	watched->observed = true;
	watched->stands = true;
}

/* What a sample says; NaN where it says nothing. Until it is evaluated, the highest value counts. */
void
pooldiag_breakers_observe(PoolDiagWatched *watched, double value)
{
	observe(watched, value, 0, 0);
}

/* The same of a share, in percent, which is none where there is no whole. */
void
pooldiag_breakers_observe_share(PoolDiagWatched *watched, double part, double whole)
{
	observe(watched, whole > 0 ? 100 * part / whole : NAN, part, whole);
}

/* Nothing was seen since the last evaluation: what that one judged counts on, unless a person has ordered something since. */
void
pooldiag_breakers_observe_again(PoolDiagWatched *watched)
{
	if (!watched->observed && watched->evaluated && watched->stands)
		observe(watched, watched->value, watched->part, watched->whole);
}

static PoolDiagBreakerEvent
note(PoolDiagWatched *watched, PoolDiagBreakerEvent event, const PoolDiagClocks *clocks)
{
	if (event == POOLDIAG_BREAKER_NOTHING)
		return event;
	watched->last_change = clocks->now;
	if (event == POOLDIAG_BREAKER_OPENED || event == POOLDIAG_BREAKER_REOPENED ||
		event == POOLDIAG_BREAKER_FORCED)
		watched->opened_at = clocks->now;
	return event;
}

/*
 * An evaluation of what was observed since the last one; without anything only time passes. An open breaker becomes
 * half open with one evaluation, and is judged from the next one on.
 */
PoolDiagBreakerEvent
pooldiag_breakers_evaluate(PoolDiagWatched *watched, const PoolDiagClocks *clocks)
{
	PoolDiagBreakerEvent event =
		pooldiag_breaker_advance(&watched->breaker, &watched->rules, clocks->ms);

	if (watched->silenced_until_ms != 0 && clocks->ms >= watched->silenced_until_ms)
		watched->silenced_until_ms = 0;
	if (watched->breaker.state == POOLDIAG_BREAKER_DISABLED)
		watched->evaluated = false;
	else if (watched->observed)
	{
		watched->evaluated = true;
		watched->value = watched->worst;
		watched->part = watched->worst_part;
		watched->whole = watched->worst_whole;
		if (event == POOLDIAG_BREAKER_NOTHING)
			event = pooldiag_breaker_judge(&watched->breaker, &watched->rules,
										   watched->value >= watched->limit, clocks->ms);
	}
	watched->observed = false;
	return note(watched, event, clocks);
}

/* Does what a person has ordered. duration_ms is how long it is silenced: 0 ends that. */
PoolDiagBreakerEvent
pooldiag_breakers_obey(PoolDiagWatched *watched, PoolDiagOrder order, int64_t duration_ms,
					   const PoolDiagClocks *clocks)
{
	PoolDiagBreakerEvent event = POOLDIAG_BREAKER_NOTHING;

	switch (order)
	{
		case POOLDIAG_ORDER_RESET:
			event = pooldiag_breaker_to_closed(&watched->breaker);
			break;
		case POOLDIAG_ORDER_FORCE_OPEN:
			event = pooldiag_breaker_to_forced_open(&watched->breaker, clocks->ms);
			break;
		case POOLDIAG_ORDER_DISABLE:
			event = pooldiag_breaker_to_disabled(&watched->breaker);
			watched->evaluated = false;
			break;
		case POOLDIAG_ORDER_SILENCE:
			watched->silenced_until_ms = duration_ms > 0 ? clocks->ms + duration_ms : 0;
			break;
	}
	/* What was observed under the old state is not held against the new one, now or later. */
	if (order != POOLDIAG_ORDER_SILENCE)
		watched->observed = watched->stands = false;
	return note(watched, event, clocks);
}

static PoolDiagBreakerTold
standing(const PoolDiagBreaker *breaker)
{
	if (breaker->state == POOLDIAG_BREAKER_DISABLED)
		return POOLDIAG_TOLD_DISABLED;
	return pooldiag_breaker_is_open(breaker) ? POOLDIAG_TOLD_OPEN : POOLDIAG_TOLD_CLOSED;
}

/*
 * What an alert should say, now that the breaker has done that, or nothing: after a silence, how it stands if nobody has
 * been told.
 */
PoolDiagBreakerEvent
pooldiag_breakers_tell(PoolDiagWatched *watched, PoolDiagBreakerEvent event,
					   const PoolDiagClocks *clocks)
{
	PoolDiagBreakerTold before = watched->told;

	if (watched->mode == POOLDIAG_BREAKER_MODE_METRICS_ONLY ||
		(watched->silenced_until_ms != 0 && clocks->ms < watched->silenced_until_ms))
		return POOLDIAG_BREAKER_NOTHING;
	watched->told = standing(&watched->breaker);
	switch (watched->told)
	{
		case POOLDIAG_TOLD_DISABLED:
			return before == POOLDIAG_TOLD_DISABLED ? POOLDIAG_BREAKER_NOTHING
													: POOLDIAG_BREAKER_DISABLES;
		case POOLDIAG_TOLD_OPEN:
			if (before == POOLDIAG_TOLD_OPEN)
				return event;
			return watched->breaker.state == POOLDIAG_BREAKER_FORCED_OPEN ? POOLDIAG_BREAKER_FORCED
																		  : POOLDIAG_BREAKER_OPENED;
		case POOLDIAG_TOLD_CLOSED:
			if (before == POOLDIAG_TOLD_CLOSED)
				return POOLDIAG_BREAKER_NOTHING;
			return event == POOLDIAG_BREAKER_RESETS || before == POOLDIAG_TOLD_DISABLED
					   ? POOLDIAG_BREAKER_RESETS
					   : POOLDIAG_BREAKER_CLOSES;
	}
	return POOLDIAG_BREAKER_NOTHING;
}

/* An instant of the monotonic clock, as the server's clock stands now. */
static int64_t
shown(int64_t ms, const PoolDiagClocks *clocks)
{
	return clocks->now + (ms - clocks->ms) * 1000;
}

/* When an open breaker is tried again; 0: it is not to be. */
int64_t
pooldiag_breakers_retry_at(const PoolDiagWatched *watched, const PoolDiagClocks *clocks)
{
	if (watched->breaker.state != POOLDIAG_BREAKER_OPEN)
		return 0;
	return shown(watched->breaker.opened_ms + watched->rules.reset_ms, clocks);
}

/* Until when it raises no alert; 0: it does. */
int64_t
pooldiag_breakers_silenced_until(const PoolDiagWatched *watched, const PoolDiagClocks *clocks)
{
	if (watched->silenced_until_ms == 0 || watched->silenced_until_ms <= clocks->ms)
		return 0;
	return shown(watched->silenced_until_ms, clocks);
}
