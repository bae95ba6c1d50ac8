/*
 * sights.c
 *	  What the sampler remembers of each regular slot: its own memory, which the parts that run in it may look into.
 *
 * One copy of each slot's entry, with the pool that it was matched to. Ticks write it (sampler.c).
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "sights.h"

PoolDiagSight *pooldiag_sights = NULL;

Size
pooldiag_sights_size(void)
{
	return mul_size(sizeof(PoolDiagSight), MaxConnections);
}

/* In a new sampler: nothing was seen yet. */
void
pooldiag_sights_begin(void)
{
	pooldiag_sights = MemoryContextAllocHuge(TopMemoryContext, pooldiag_sights_size());
	memset(pooldiag_sights, 0, pooldiag_sights_size());
}

/*
 * A regular slot as the last tick has seen it, with its pool; NULL if nobody held it, or another process than that one
 * (0: any).
 */
const PoolDiagBackend *
pooldiag_sights_seen(int procno, int pid, int *pool)
{
	const PoolDiagSight *sight;

	if (procno >= MaxConnections)
		return NULL;
	sight = &pooldiag_sights[procno];
	if (sight->backend.pid == 0 || (pid != 0 && sight->backend.pid != pid))
		return NULL;
	*pool = sight->pool;
	return &sight->backend;
}

/* Had that slot, when the last tick saw it, been at what it is at for longer than its pool's threshold? */
bool
pooldiag_sights_is_past(int procno)
{
	return pooldiag_sights[procno].age.is_past;
}
