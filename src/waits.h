/*
 * waits.h
 *	  The wait profile: what active connections were seen waiting for, by pool.
 *
 * Pure: unit tests link it.
 */
#ifndef POOLDIAG_WAITS_H
#define POOLDIAG_WAITS_H

#include "pools.h"

/* A power of two, and three quarters of that. */
#define POOLDIAG_WAIT_ROWS 1024
#define POOLDIAG_WAIT_ROWS_USED 768

/* How often an active connection of a pool was seen in a wait event; event 0: on CPU. */
typedef struct PoolDiagWaitRow
{
	bool used;
	uint16_t life; /* with the row of the directory: of which pool */
	int pool;
	uint32_t event; /* as core has it in wait_event_info */
	uint64_t samples;
} PoolDiagWaitRow;

typedef struct PoolDiagWaits
{
	int used;
	uint64_t dropped; /* sightings that found no room */
	PoolDiagWaitRow rows[POOLDIAG_WAIT_ROWS];
} PoolDiagWaits;

extern void pooldiag_waits_compact(PoolDiagWaits *waits, const PoolDiagPools *pools);
extern void pooldiag_waits_add(PoolDiagWaits *waits, const PoolDiagPools *pools, int pool,
							   uint32_t event, uint64_t samples);

#endif /* POOLDIAG_WAITS_H */
