/*
 * shared.c
 *	  What pooldiag keeps in shared memory.
 *
 * Three parts, sized at server start and never grown:
 *
 * control
 *	  One PoolDiagControl: who the sampler is, requests for a tick, which sample is the newest.
 * identities
 *	  One PoolDiagIdentity for each regular slot. Its only writer is the session that holds the slot, once,
 *	  when it has authenticated (sessions.c).
 * samples
 *	  Two PoolDiagSample. The sampler fills the older one and then makes it the newest by raising
 *	  control->published. A reader copies the newest, and copies again if another was published meanwhile, as
 *	  its buffer is then the next to be written.
 *
 * So nobody waits for anybody: there is no lock here but the spinlock in the condition variable of sample_now.
 * A sampler that is stopped or killed anywhere leaves a whole sample behind for readers, and a reader that is
 * stopped delays no sampler. What is torn by a SIGKILL goes with the server's restart, which makes shared memory
 * anew.
 */
#include "postgres.h"

#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "settings.h"
#include "shared.h"

PoolDiagControl *pooldiag_control = NULL;
static PoolDiagIdentity *identities = NULL;
static char *samples = NULL;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static Size
one_sample_size(void)
{
	return CACHELINEALIGN(pooldiag_sample_size(pooldiag_max_pools));
}

/* Fills in what each part takes, in bytes; POOLDIAG_SHARED_PARTS of them. */
void
pooldiag_shared_parts(PoolDiagSharedPart *parts)
{
	parts[0] = (PoolDiagSharedPart){"control", CACHELINEALIGN(sizeof(PoolDiagControl))};
	parts[1] = (PoolDiagSharedPart){
		"identities", CACHELINEALIGN(mul_size(sizeof(PoolDiagIdentity), MaxConnections))};
	parts[2] = (PoolDiagSharedPart){"samples", mul_size(2, one_sample_size())};
}

static Size
total_size(void)
{
	PoolDiagSharedPart parts[POOLDIAG_SHARED_PARTS];
	Size total = 0;

	pooldiag_shared_parts(parts);
	for (int i = 0; i < POOLDIAG_SHARED_PARTS; i++)
		total = add_size(total, parts[i].size);
	return total;
}

static void
request_shared_memory(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(total_size());
}

static void
start_shared_memory(void)
{
	PoolDiagSharedPart parts[POOLDIAG_SHARED_PARTS];
	bool found;
	char *base;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	pooldiag_shared_parts(parts);
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	base = ShmemInitStruct("pooldiag", total_size(), &found);
	pooldiag_control = (PoolDiagControl *) base;
	identities = (PoolDiagIdentity *) (base + parts[0].size);
	samples = base + parts[0].size + parts[1].size;
	if (!found)
	{
		memset(base, 0, total_size());
		pooldiag_control->started_at = GetCurrentTimestamp();
		pg_atomic_init_u64(&pooldiag_control->ticks_requested, 0);
		pg_atomic_init_u64(&pooldiag_control->ticks_served, 0);
		pg_atomic_init_u64(&pooldiag_control->published, 0);
		ConditionVariableInit(&pooldiag_control->tick_served);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* To be called from _PG_init, while libraries are preloaded. */
void
pooldiag_shared_install_hooks(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shared_memory;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_shared_memory;
}

/* The identity of a regular slot. */
PoolDiagIdentity *
pooldiag_shared_identity(int procno)
{
	Assert(procno >= 0 && procno < MaxConnections);
	return &identities[procno];
}

/* Makes this sample the newest. Only the sampler calls it. */
void
pooldiag_shared_publish(const PoolDiagSample *sample)
{
	uint64 next = pg_atomic_read_u64(&pooldiag_control->published) + 1;

	/* Readers of the buffer that is overwritten must have seen that the other one is the newest. */
	pg_memory_barrier();
	memcpy(samples + (next % 2) * one_sample_size(), sample,
		   pooldiag_sample_size(pooldiag_max_pools));
	pg_write_barrier();
	pg_atomic_write_u64(&pooldiag_control->published, next);
}

/* A copy of the newest sample, or NULL where there is none (yet). */
PoolDiagSample *
pooldiag_shared_read(void)
{
	Size size = pooldiag_sample_size(pooldiag_max_pools);
	PoolDiagSample *copy;
	uint64 number;

	if (pooldiag_control == NULL || pg_atomic_read_u64(&pooldiag_control->published) == 0)
		return NULL;
	copy = palloc(size);
	do
	{
		CHECK_FOR_INTERRUPTS();
		number = pg_atomic_read_u64(&pooldiag_control->published);
		pg_read_barrier();
		memcpy(copy, samples + (number % 2) * one_sample_size(), size);
		pg_read_barrier();
	} while (number != pg_atomic_read_u64(&pooldiag_control->published));
	return copy;
}

/* Fails with the hint that names the setting, unless pooldiag was preloaded. */
void
pooldiag_shared_require(void)
{
	if (pooldiag_control == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("pooldiag must be loaded via \"shared_preload_libraries\""),
						errhint("Add pooldiag to the setting \"shared_preload_libraries\" and "
								"restart the server.")));
}
