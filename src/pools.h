/*
 * pools.h
 *	  The directory of pools: declared ones, discovered ones, and (other).
 *
 * Pure: unit tests link it. Instants are the server's, microseconds since 2000-01-01 UTC.
 */
#ifndef POOLDIAG_POOLS_H
#define POOLDIAG_POOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "breakers.h"
#include "grammar.h"
#include "past.h"
#include "presets.h"
#include "tally.h"
#include "trends.h"

/* Room for a discovered pool's name: three parts, each quoted with every byte doubled. */
#define POOLDIAG_POOL_NAME_LEN (3 * (2 * POOLDIAG_NAME_LEN + 2) + 2)

/* What a connection that has no pool yet has in place of an index: it is still starting, or masked.
 */
#define POOLDIAG_NO_POOL (-1)

typedef struct PoolDiagPool
{
	bool used;
	bool declared;
	uint16_t
		life;  /* tells apart the pools that have had this row; 0: not known to the sampler yet */
	int next;  /* declared: the next one in order; discovered: the next of its hash chain */
	int chain; /* first row whose hash is this row's index; no matter what this row holds */
	PoolDiagTally tally;  /* of this tick, so far */
	int before;			  /* connections at the end of the tick before */
	int connected;		  /* sessions, as they tell themselves (presence.c): now, */
	int most_connected;	  /* and the most at once since the last tick */
	int most_connections; /* of this tick: the most connections at once since the one before */
	int64_t empty_since;  /* when its last connection was seen to have gone, 0: it has some */
	PoolDiagPoolDef def;  /* of a discovered pool the patterns are the very names */
	PoolDiagPoolLimits limits;
	PoolDiagPeak connections_peak;
	PoolDiagPeak checked_out_peak;
	int64_t saturated_since; /* since when all that it may have are checked out, 0: they aren't */
	PoolDiagTrend trend;	 /* this and the next: for the advisor, see outlook.c */
	PoolDiagPast past;
	int series;				 /* where its history may be */
	PoolDiagWatched watched; /* its breaker, if it is declared */
} PoolDiagPool;

typedef struct PoolDiagPools
{
	int capacity;		 /* rows beside (other), which is rows[capacity] */
	int declared;		 /* how many of them are declared */
	int first_declared;	 /* head of the list in the order of the setting, or POOLDIAG_NO_POOL */
	int used;			 /* declared and discovered */
	uint64_t generation; /* grows when what matches what may have changed */
	uint16_t lives;		 /* the newest one given */
	uint64_t evictions;
	uint64_t overflows; /* matches that went to (other) for want of room */
	PoolDiagPoolDefaults defaults;
	PoolDiagPool rows[]; /* capacity + 1 */
} PoolDiagPools;

extern size_t pooldiag_pools_size(int capacity);
extern void pooldiag_pools_init(PoolDiagPools *pools, int capacity);
extern void pooldiag_pools_configure(PoolDiagPools *pools, const PoolDiagPoolDef *defs, int ndefs,
									 const PoolDiagPoolDefaults *defaults);
extern int pooldiag_pools_find(const PoolDiagPools *pools, const char *user, const char *database,
							   const char *application_name);
extern int pooldiag_pools_assign(PoolDiagPools *pools, const char *user, const char *database,
								 const char *application_name);
extern bool pooldiag_pools_adopt(PoolDiagPools *pools, int index, const PoolDiagPool *from);
extern bool pooldiag_pools_has_room(const PoolDiagPools *pools);
extern int pooldiag_pools_format(const char *user, const char *database,
								 const char *application_name, char *name);
extern int pooldiag_pools_name(const PoolDiagPools *pools, int index, char *name);

#endif /* POOLDIAG_POOLS_H */
