/*
 * ring.h
 *	  The newest entries of a log in shared memory, for many writers and readers, without a lock.
 *
 * Needs nothing of the server but its atomics: unit tests link it.
 */
#ifndef POOLDIAG_RING_H
#define POOLDIAG_RING_H

#include "port/atomics.h"

typedef struct PoolDiagRing
{
	uint32 capacity;
	uint32 payload;		   /* bytes of an entry, a multiple of 8 */
	pg_atomic_uint64 next; /* the number that the next entry gets: how many there have been */
} PoolDiagRing;			   /* and the entries after it */

/* What became of an entry. */
typedef enum PoolDiagRingEntry
{
	POOLDIAG_RING_WHOLE,
	POOLDIAG_RING_UNFINISHED, /* its writer is at it, or ended in the middle */
	POOLDIAG_RING_GONE,		  /* overwritten by a later one */
	POOLDIAG_RING_TORN /* overwritten in part, by a writer that was stopped for a whole round */
} PoolDiagRingEntry;

extern Size pooldiag_ring_size(uint32 capacity, uint32 payload);
extern void pooldiag_ring_init(PoolDiagRing *ring, uint32 capacity, uint32 payload);
extern uint64 pooldiag_ring_write(PoolDiagRing *ring, const void *payload);
extern uint64 pooldiag_ring_next(PoolDiagRing *ring);
extern uint64 pooldiag_ring_oldest(PoolDiagRing *ring);
extern void pooldiag_ring_copy(PoolDiagRing *ring, PoolDiagRing *copy);
extern PoolDiagRingEntry pooldiag_ring_read(PoolDiagRing *ring, uint64 number, void *payload);

#endif /* POOLDIAG_RING_H */
