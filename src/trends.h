/*
 * trends.h
 *	  What has been going on of late: counts of the last few minutes, by pool, and what active connections were at.
 *
 * Pure: unit tests link it.
 */
#ifndef POOLDIAG_TRENDS_H
#define POOLDIAG_TRENDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What flows from sessions' counters (flows.c); the first ones are those of history, in its order. */
typedef enum PoolDiagFlow
{
	POOLDIAG_FLOW_XACTS,
	POOLDIAG_FLOW_STATEMENTS,
	POOLDIAG_FLOW_OPENED,
	POOLDIAG_FLOW_CLOSED,
	POOLDIAG_FLOW_REFUSED,
	POOLDIAG_FLOW_FAILURES,
	POOLDIAG_FLOW_HOLD_US,
	POOLDIAG_FLOW_HOLD_IDLE_US,
	POOLDIAG_FLOW_WRITES,
	POOLDIAG_FLOW_LOST,
	POOLDIAG_FLOW_CANCELED
} PoolDiagFlow;

#define POOLDIAG_FLOWS (POOLDIAG_FLOW_CANCELED + 1)

/* The window is made of so many parts and the one that is being filled: it moves on by a part. */
#define POOLDIAG_TREND_PARTS 6

/* What a pool, or the server, has done in the window. All zero: nothing is known. */
typedef struct PoolDiagTrend
{
	double seconds; /* how much of the window has been seen */
	int64_t ticks;
	int64_t connections; /* the sum of all ticks; divided by ticks it is a mean */
	int64_t flows[POOLDIAG_FLOWS];
} PoolDiagTrend;

/* Wait events come in classes, by the byte in which core has them; 0: on CPU. */
#define POOLDIAG_WAIT_CLASSES 16
#define POOLDIAG_WAIT_CLASS(event) ((int) ((event) >> 24) & (POOLDIAG_WAIT_CLASSES - 1))

/* Events of one part that are told apart; beyond that many only their classes are. */
#define POOLDIAG_TREND_EVENTS 64

/* What active connections of the whole server were seen at, in the window. */
typedef struct PoolDiagActivity
{
	int64_t ticks;
	int64_t active; /* sightings: divided by ticks it is a mean */
	int64_t by_class[POOLDIAG_WAIT_CLASSES];
	uint32_t top_event[POOLDIAG_WAIT_CLASSES]; /* the one seen most in its class */
	int64_t top_samples[POOLDIAG_WAIT_CLASSES];
} PoolDiagActivity;

/* Refused connections in the window, by reason. */
#define POOLDIAG_TREND_REASONS 12

typedef struct PoolDiagTrends PoolDiagTrends;

extern size_t pooldiag_trends_size(int rows);
extern void pooldiag_trends_init(PoolDiagTrends *trends, int rows);
extern void pooldiag_trends_begin(PoolDiagTrends *trends, double now, double window_seconds);
extern void pooldiag_trends_forget(PoolDiagTrends *trends);
extern void pooldiag_trends_add(PoolDiagTrends *trends, int row, uint16_t life, double seconds,
								int connections, const int64_t *flows);
extern void pooldiag_trends_active(PoolDiagTrends *trends, uint32_t event);
extern void pooldiag_trends_refused(PoolDiagTrends *trends, int reason, int64_t count);
extern void
pooldiag_trends_of(const PoolDiagTrends *trends, int row, uint16_t life, PoolDiagTrend *trend);
extern void pooldiag_trends_activity(const PoolDiagTrends *trends, PoolDiagActivity *activity);
extern int64_t pooldiag_trends_refusals(const PoolDiagTrends *trends, int reason);

#endif /* POOLDIAG_TRENDS_H */
