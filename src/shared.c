/*
 * shared.c
 *	  What all of pooldiag shares: who the sampler is, who is connected, the newest sample.
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
 * presence
 *	  The PoolDiagPresence: what sessions tell of their coming and going, and what the sampler makes of it; see
 *	  presence.c.
 * refusals
 *	  The PoolDiagLedger of refused connections, written by whoever refuses one, and by the sampler: see ledger.c.
 *
 * Nobody waits for anybody: there is no lock here but the spinlock in the condition variable of sample_now. A sampler
 * that is stopped or killed anywhere leaves a whole sample behind for readers, and a reader that is stopped delays no
 * sampler.
 */
#include "postgres.h"

#include "storage/latch.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "settings.h"
#include "shared.h"

#define FIND_TRIES 10

PoolDiagControl *pooldiag_control = NULL;
PoolDiagLedger *pooldiag_ledger = NULL;
PoolDiagPresence *pooldiag_presence = NULL;
static PoolDiagIdentity *identities = NULL;
static char *samples = NULL;

static Size
one_sample_size(void)
{
	return CACHELINEALIGN(pooldiag_sample_size(pooldiag_max_pools));
}

static Size
control_size(void)
{
	return sizeof(PoolDiagControl);
}

static void
attach_control(char *at, bool made)
{
	pooldiag_control = (PoolDiagControl *) at;
	if (!made)
		return;
	pooldiag_control->started_at = GetCurrentTimestamp();
	pg_atomic_init_u64(&pooldiag_control->ticks_requested, 0);
	pg_atomic_init_u64(&pooldiag_control->ticks_served, 0);
	pg_atomic_init_u64(&pooldiag_control->published, 0);
	ConditionVariableInit(&pooldiag_control->tick_served);
}

static Size
identities_size(void)
{
	return mul_size(sizeof(PoolDiagIdentity), MaxConnections);
}

static void
attach_identities(char *at, bool made)
{
	identities = (PoolDiagIdentity *) at;
}

static Size
samples_size(void)
{
	return mul_size(2, one_sample_size());
}

static void
attach_samples(char *at, bool made)
{
	samples = at;
}

static Size
presence_size(void)
{
	return pooldiag_presence_size(MaxConnections);
}

static void
attach_presence(char *at, bool made)
{
	pooldiag_presence = (PoolDiagPresence *) at;
	if (made)
		pooldiag_presence_init(pooldiag_presence, MaxConnections);
}

static void
attach_ledger(char *at, bool made)
{
	pooldiag_ledger = (PoolDiagLedger *) at;
	if (made)
		pooldiag_ledger_init(pooldiag_ledger, GetCurrentTimestamp());
}

const PoolDiagPart pooldiag_shared_parts[POOLDIAG_SHARED_PARTS] = {
	{"control", control_size, attach_control},
	{"identities", identities_size, attach_identities},
	{"samples", samples_size, attach_samples},
	{"presence", presence_size, attach_presence},
	{"refusals", pooldiag_ledger_size, attach_ledger},
};

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

/*
 * Finds the pool of a connection in the newest sample, in place: nothing is copied or allocated. Its row and life, or
 * false where there is none, or where samples come too fast.
 */
bool
pooldiag_shared_find_pool(const char *user, const char *database, const char *application_name,
						  int *index, uint16 *life)
{
	for (int try = 0; try < FIND_TRIES; try++)
	{
		uint64 number = pg_atomic_read_u64(&pooldiag_control->published);
		const PoolDiagPools *pools =
			&((PoolDiagSample *) (samples + (number % 2) * one_sample_size()))->pools;

		if (number == 0)
			return false;
		pg_read_barrier();
		*index = pooldiag_pools_find(pools, user, database, application_name);
		*life = *index == POOLDIAG_NO_POOL ? 0 : pools->rows[*index].life;
		pg_read_barrier();
		if (pg_atomic_read_u64(&pooldiag_control->published) == number)
			return *life != 0;
	}
	return false;
}

/* Where a sample of before the server's start is put, while it starts. */
PoolDiagSample *
pooldiag_shared_restored(void)
{
	return (PoolDiagSample *) samples;
}

/* A copy of that, or NULL where there is none. Until something is published it changes no more. */
PoolDiagSample *
pooldiag_shared_read_restored(void)
{
	Size size = pooldiag_sample_size(pooldiag_max_pools);

	if (!pooldiag_control->restored || pg_atomic_read_u64(&pooldiag_control->published) > 0)
		return NULL;
	return memcpy(palloc(size), samples, size);
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
