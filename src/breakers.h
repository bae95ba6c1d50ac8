/*
 * breakers.h
 *	  The breakers that there are: what each watches, under which rules, and what of it is told.
 *
 * Pure: unit tests link it. Ages and spans go by a monotonic clock, in milliseconds; instants, which are only shown,
 * are the server's, microseconds since 2000-01-01 UTC.
 */
#ifndef POOLDIAG_BREAKERS_H
#define POOLDIAG_BREAKERS_H

#include <stdbool.h>
#include <stdint.h>

#include "breaker.h"
#include "grammar.h"

typedef enum PoolDiagBreakerKind
{
	POOLDIAG_BREAKER_SLOTS,
	POOLDIAG_BREAKER_REFUSALS,
	POOLDIAG_BREAKER_SLOW_QUERIES,
	POOLDIAG_BREAKER_LEAKS,
	POOLDIAG_BREAKER_LOCK_WAITS,
	POOLDIAG_BREAKER_ERRORS,
	POOLDIAG_BREAKER_OPERATIONS,
	POOLDIAG_BREAKER_POOL /* one for each declared pool */
} PoolDiagBreakerKind;

/* Those of which there is one on the server. */
#define POOLDIAG_SERVER_BREAKERS POOLDIAG_BREAKER_POOL

/* A share of failures means nothing of fewer statements than that. */
#define POOLDIAG_ERRORS_LEAST 20

/* Room for a breaker's name: pool:NAME. */
#define POOLDIAG_BREAKER_NAME_LEN (POOLDIAG_NAME_LEN + 8)

/* The settings that stand in for what a definition doesn't state. */
typedef struct PoolDiagBreakerDefaults
{
	int failure_threshold;
	int half_open_samples;
	int64_t reset_ms;
} PoolDiagBreakerDefaults;

/* How a breaker stands, as far as somebody who is told of it minds. */
typedef enum PoolDiagBreakerTold
{
	POOLDIAG_TOLD_CLOSED,
	POOLDIAG_TOLD_OPEN, /* half open included */
	POOLDIAG_TOLD_DISABLED
} PoolDiagBreakerTold;

/* A breaker and what it watches. All zero, and configured, is one that has seen nothing yet. */
typedef struct PoolDiagWatched
{
	PoolDiagBreaker breaker;
	PoolDiagBreakerRules rules;
	PoolDiagBreakerMode mode;
	double limit; /* a value from here on fails */

	bool evaluated; /* else there is no value */
	double value;	/* of the last evaluation; NaN: it could not be told */
	double part;	/* of which that is the share; only of those that watch one */
	double whole;

	bool stands;   /* what it has seen last still counts: no order has come since */
	bool observed; /* since the last evaluation: is there anything, */
	double worst;  /* and the highest; NaN as above */
	double worst_part;
	double worst_whole;

	PoolDiagBreakerTold told;  /* what its last alert said */
	int64_t silenced_until_ms; /* of the monotonic clock; 0: it is not */

	/* For showing. 0: never. */
	int64_t opened_at;
	int64_t last_change;
} PoolDiagWatched;

/* What a person can tell a breaker to do. */
typedef enum PoolDiagOrder
{
	POOLDIAG_ORDER_RESET,
	POOLDIAG_ORDER_FORCE_OPEN,
	POOLDIAG_ORDER_DISABLE,
	POOLDIAG_ORDER_SILENCE
} PoolDiagOrder;

/* The two clocks, read together. */
typedef struct PoolDiagClocks
{
	int64_t ms;	 /* monotonic */
	int64_t now; /* the server's */
} PoolDiagClocks;

extern void pooldiag_breakers_name(PoolDiagBreakerKind kind, const char *pool, char *name);
extern bool pooldiag_breakers_is_percent(PoolDiagBreakerKind kind);
extern void pooldiag_breakers_configure(PoolDiagWatched *watched, PoolDiagBreakerKind kind,
										const char *pool, const PoolDiagBreakerDef *defs, int ndefs,
										const PoolDiagBreakerDefaults *defaults);
extern void pooldiag_breakers_observe(PoolDiagWatched *watched, double value);
extern void pooldiag_breakers_observe_share(PoolDiagWatched *watched, double part, double whole);
extern void pooldiag_breakers_observe_again(PoolDiagWatched *watched);
extern PoolDiagBreakerEvent
pooldiag_breakers_evaluate(PoolDiagWatched *watched, const PoolDiagClocks *clocks);
extern PoolDiagBreakerEvent
pooldiag_breakers_obey(PoolDiagWatched *watched, PoolDiagOrder order, int64_t duration_ms,
					   const PoolDiagClocks *clocks);
extern PoolDiagBreakerEvent
pooldiag_breakers_tell(PoolDiagWatched *watched, PoolDiagBreakerEvent event,
					   const PoolDiagClocks *clocks);
extern int64_t
pooldiag_breakers_retry_at(const PoolDiagWatched *watched, const PoolDiagClocks *clocks);
extern int64_t
pooldiag_breakers_silenced_until(const PoolDiagWatched *watched, const PoolDiagClocks *clocks);

#endif /* POOLDIAG_BREAKERS_H */
