/*
 * breaker.h
 *	  The circuit breaker: when something that keeps failing is taken for broken, and when for mended.
 *
 * Pure: no I/O, no clock of its own, nothing of the server, so that unit tests link it. Times are milliseconds of a
 * monotonic clock that the caller hands in; it must not go back.
 */
#ifndef POOLDIAG_BREAKER_H
#define POOLDIAG_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

typedef enum PoolDiagBreakerState
{
	POOLDIAG_BREAKER_CLOSED,
	POOLDIAG_BREAKER_OPEN,
	POOLDIAG_BREAKER_HALF_OPEN,
	POOLDIAG_BREAKER_FORCED_OPEN, /* by a person, until it is reset */
	POOLDIAG_BREAKER_DISABLED	  /* the same */
} PoolDiagBreakerState;

#define POOLDIAG_BREAKER_STATES (POOLDIAG_BREAKER_DISABLED + 1)

/* What a breaker has just done. */
typedef enum PoolDiagBreakerEvent
{
	POOLDIAG_BREAKER_NOTHING = -1,
	POOLDIAG_BREAKER_OPENED,
	POOLDIAG_BREAKER_HALF_OPENED,
	POOLDIAG_BREAKER_CLOSES,
	POOLDIAG_BREAKER_REOPENED,
	POOLDIAG_BREAKER_FORCED,
	POOLDIAG_BREAKER_DISABLES,
	POOLDIAG_BREAKER_RESETS
} PoolDiagBreakerEvent;

#define POOLDIAG_BREAKER_EVENTS (POOLDIAG_BREAKER_RESETS + 1)

typedef struct PoolDiagBreakerRules
{
	int failure_threshold; /* consecutive failing evaluations that open it, at least 1 */
	int half_open_samples; /* consecutive healthy ones that close it when half open, at least 1 */
	int64_t reset_ms;	   /* how long it stays open before it is tried again */
} PoolDiagBreakerRules;

/* All zero is a breaker that is closed and has seen nothing. */
typedef struct PoolDiagBreaker
{
	PoolDiagBreakerState state;
	int consecutive_failures; /* up to INT_MAX, in any state that evaluates */
	int half_open_successes;  /* consecutive ones, while half open */
	int64_t opened_ms;		  /* when it was opened last, or opened again */
	uint64_t trips;			  /* how often it went from closed to open */
} PoolDiagBreaker;

extern const char *pooldiag_breaker_state_name(PoolDiagBreakerState state);
extern const char *pooldiag_breaker_event_name(PoolDiagBreakerEvent event);
extern bool pooldiag_breaker_is_open(const PoolDiagBreaker *breaker);
extern bool pooldiag_breaker_may_try(const PoolDiagBreaker *breaker,
									 const PoolDiagBreakerRules *rules, int64_t now_ms);
extern PoolDiagBreakerEvent
pooldiag_breaker_advance(PoolDiagBreaker *breaker, const PoolDiagBreakerRules *rules,
						 int64_t now_ms);
extern PoolDiagBreakerEvent
pooldiag_breaker_judge(PoolDiagBreaker *breaker, const PoolDiagBreakerRules *rules, bool failing,
					   int64_t now_ms);
extern PoolDiagBreakerEvent pooldiag_breaker_to_closed(PoolDiagBreaker *breaker);
extern PoolDiagBreakerEvent
pooldiag_breaker_to_forced_open(PoolDiagBreaker *breaker, int64_t now_ms);
extern PoolDiagBreakerEvent pooldiag_breaker_to_disabled(PoolDiagBreaker *breaker);

#endif /* POOLDIAG_BREAKER_H */
