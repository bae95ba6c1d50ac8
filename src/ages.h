/*
 * ages.h
 *	  For how long a connection has been at what it is at, by a clock that doesn't jump.
 *
 * Pure: unit tests link it.
 */
#ifndef POOLDIAG_AGES_H
#define POOLDIAG_AGES_H

#include "tally.h"

/* What was seen of a slot. All zero: nothing yet. */
typedef struct PoolDiagAge
{
	int pid;
	PoolDiagState state;
	int64_t stamp;	  /* the server's instant of it, which only tells one thing from the next */
	int64_t first_ms; /* when it was first seen, of the monotonic clock */
	bool is_past;	  /* when it was seen last, it was older than its pool's threshold */
} PoolDiagAge;

/* Connections of which breakers want to know. */
typedef struct PoolDiagAged
{
	int slow;
	int leaks;
	int64_t slowest_ms; /* the oldest of each */
	int64_t oldest_leak_ms;
} PoolDiagAged;

extern void
pooldiag_ages_add(PoolDiagAged *aged, PoolDiagAge *age, int pid, const PoolDiagCounted *counted,
				  const PoolDiagPoolLimits *limits, int64_t now_ms);

#endif /* POOLDIAG_AGES_H */
