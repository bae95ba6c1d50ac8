/*
 * waits.c
 *	  The wait profile: what active connections were seen waiting for, by pool.
 *
 * A table of fixed size, open-addressed. What pools had that have left the directory is (other)'s when the
 * table is full, which is when it is made anew; what finds no room even then is counted.
 */
#include "waits.h"

#include <string.h>

static uint32_t
slot_of(int pool, uint16_t life, uint32_t event)
{
	uint32_t hash = event * 2654435761u ^ (uint32_t) pool * 40503u ^ (uint32_t) life * 2246822519u;

	return (hash ^ hash >> 15) % POOLDIAG_WAIT_ROWS;
}

/* The row of that key, or the unused one where it would be. */
static PoolDiagWaitRow *
find_row(PoolDiagWaits *waits, int pool, uint16_t life, uint32_t event)
{
	uint32_t at = slot_of(pool, life, event);

	for (;;)
	{
		PoolDiagWaitRow *row = &waits->rows[at];

		if (!row->used || (row->pool == pool && row->life == life && row->event == event))
			return row;
		at = (at + 1) % POOLDIAG_WAIT_ROWS;
	}
}

static bool
add(PoolDiagWaits *waits, int pool, uint16_t life, uint32_t event, uint64_t samples)
{
	PoolDiagWaitRow *row = find_row(waits, pool, life, event);

	if (!row->used)
	{
		if (waits->used == POOLDIAG_WAIT_ROWS_USED)
			return false;
		row->used = true;
		row->pool = pool;
		row->life = life;
		row->event = event;
		row->samples = 0;
		waits->used++;
	}
	row->samples += samples;
	return true;
}

/* Gives what belongs to pools that have gone to (other). */
void
pooldiag_waits_compact(PoolDiagWaits *waits, const PoolDiagPools *pools)
{
	static PoolDiagWaits before;

	before = *waits;
	memset(waits->rows, 0, sizeof(waits->rows));
	waits->used = 0;
	for (int i = 0; i < POOLDIAG_WAIT_ROWS; i++)
	{
		const PoolDiagWaitRow *row = &before.rows[i];
		bool lives = row->pool == pools->capacity || pools->rows[row->pool].life == row->life;
		int pool = lives ? row->pool : pools->capacity;

		if (row->used && !add(waits, pool, pools->rows[pool].life, row->event, row->samples))
			waits->dropped += row->samples;
	}
}

/* Counts sightings of a pool's active connections in a wait event; the pool is a row of the directory. */
void
pooldiag_waits_add(PoolDiagWaits *waits, const PoolDiagPools *pools, int pool, uint32_t event,
				   uint64_t samples)
{
	uint16_t life = pools->rows[pool].life;

	if (add(waits, pool, life, event, samples))
		return;
	pooldiag_waits_compact(waits, pools);
	if (!add(waits, pool, life, event, samples))
		waits->dropped += samples;
}
