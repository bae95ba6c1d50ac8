/*
 * series.c
 *	  History in shared memory.
 *
 * The part has a slot for the server and max_pools + 1 for pools. The owner of a slot is a pool's name, not a row of
 * the directory, so that a pool that comes back, after a restart or to another row, finds its own. A name that
 * needs a slot where all are taken gets the one that was fed longest ago, of those no row has.
 *
 * The only writer is the sampler, with every tick; before it, the postmaster, which loads what was saved. While it
 * writes to a slot, the slot's count of changes is odd. A reader copies a slot, and copies it again where the count
 * has moved meanwhile. Where it stays odd, as the sampler was stopped just then, the reader takes all but the points
 * that are being written. So nobody waits for anybody.
 *
 * What a session asks of the sampler, to forget all, is a count that the sampler follows at its next tick.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/s_lock.h"
#include "utils/memutils.h"

#include "flows.h"
#include "series.h"
#include "settings.h"
#include "shared.h"

/* How often a reader looks whether a slot that is being written is done: microseconds, where a tick takes less. */
#define READ_TRIES 10000

#define NO_SERIES (-1)

/* Rates are those of so many seconds. */
#define RATE_SECONDS 60

typedef struct Control
{
	pg_atomic_uint32 resets_requested;
	uint32 resets_done; /* the sampler's */
} Control;

/* Whose a slot is. They lie together, apart from the series, as each tick goes through these. */
typedef struct Owner
{
	bool used;
	bool declared;
	char name[POOLDIAG_POOL_NAME_LEN];
} Owner;

typedef struct Slot
{
	pg_atomic_uint32 changes;			 /* to the owner as well */
	int64 series[FLEXIBLE_ARRAY_MEMBER]; /* a PoolDiagSeries */
} Slot;

/* What the section begins with: what it was made of must be what this build makes it of. */
typedef struct Shape
{
	uint32 point_size;
	uint32 open_size;
	uint32 server_size;
	uint32 pool_size;
	PoolDiagTier tiers[2][POOLDIAG_TIERS];
	int32 pools; /* how many series of pools follow */
	int32 unused;
} Shape;

static Control *control = NULL;
static Owner *owners = NULL;
static Slot *server = NULL;
static char *pools = NULL;

/* The sampler's: of which directory it has found the slots. */
static uint64 bound_generation = 0;
static uint64 bound_evictions = 0;
static int bound_used = -1;

static Size
slot_size(const PoolDiagTier *tiers)
{
	return CACHELINEALIGN(offsetof(Slot, series) + pooldiag_history_size(tiers));
}

static Slot *
pool_slot(int index)
{
	return (Slot *) (pools + index * slot_size(pooldiag_history_pool_tiers));
}

static PoolDiagSeries *
series_of(Slot *slot)
{
	return (PoolDiagSeries *) slot->series;
}

static Size
owners_size(void)
{
	return CACHELINEALIGN(sizeof(Owner) * ((Size) pooldiag_max_pools + 1));
}

Size
pooldiag_series_size(void)
{
	Size size = add_size(CACHELINEALIGN(sizeof(Control)), owners_size());

	size = add_size(size, slot_size(pooldiag_history_server_tiers));
	return add_size(size, mul_size(slot_size(pooldiag_history_pool_tiers), pooldiag_max_pools + 1));
}

void
pooldiag_series_attach(char *at, bool made)
{
	control = (Control *) at;
	at += CACHELINEALIGN(sizeof(Control));
	owners = (Owner *) at;
	at += owners_size();
	server = (Slot *) at;
	pools = at + slot_size(pooldiag_history_server_tiers);
	if (!made)
		return;
	pg_atomic_init_u32(&control->resets_requested, 0);
	pg_atomic_init_u32(&server->changes, 0);
	for (int i = 0; i <= pooldiag_max_pools; i++)
		pg_atomic_init_u32(&pool_slot(i)->changes, 0);
}

static void
begin_change(Slot *slot)
{
	pg_atomic_write_u32(&slot->changes, pg_atomic_read_u32(&slot->changes) | 1);
	pg_write_barrier();
}

static void
end_change(Slot *slot)
{
	pg_write_barrier();
	pg_atomic_write_u32(&slot->changes, (pg_atomic_read_u32(&slot->changes) | 1) + 1);
}

/* Gives a slot, and an empty series, to a name. */
static void
give_slot(int index, const char *name, bool declared)
{
	Slot *slot = pool_slot(index);
	Owner *owner = &owners[index];

	begin_change(slot);
	owner->used = false;
	pg_write_barrier();
	memset(slot->series, 0, pooldiag_history_size(pooldiag_history_pool_tiers));
	strlcpy(owner->name, name, sizeof(owner->name));
	owner->declared = declared;
	pg_write_barrier();
	owner->used = true;
	end_change(slot);
}

static bool
is_owner(const Owner *owner, const char *name, bool declared)
{
	return owner->used && owner->declared == declared && strcmp(owner->name, name) == 0;
}

/* Is it the slot of that pool? What a row says may be old, or nothing yet. */
static bool
is_slot_of(int index, const char *name, bool declared)
{
	return index >= 0 && index <= pooldiag_max_pools && is_owner(&owners[index], name, declared);
}

/* When a slot was fed last, of which there may be none. */
static int64
last_fed(int index)
{
	return owners[index].used ? series_of(pool_slot(index))->last_at : PG_INT64_MIN;
}

/* The slot for a pool that has none: its own of before, one that is free, or the one fed longest ago. */
static int
find_slot(const char *name, bool declared, const bool *taken)
{
	int best = -1;

	for (int i = 0; i <= pooldiag_max_pools; i++)
	{
		if (taken[i])
			continue;
		if (is_owner(&owners[i], name, declared))
			return i;
		if (best < 0 || last_fed(i) < last_fed(best))
			best = i;
	}
	/* There are as many slots as rows. */
	Assert(best >= 0);
	give_slot(best, name, declared);
	return best;
}

/* Finds the slot of each row again, where rows have come, gone or changed hands. */
static void
bind_rows(PoolDiagPools *directory)
{
	bool *taken;
	char(*names)[POOLDIAG_POOL_NAME_LEN];

	if (bound_generation == directory->generation && bound_evictions == directory->evictions &&
		bound_used == directory->used)
		return;
	taken = palloc0(directory->capacity + 1);
	names = palloc(mul_size(sizeof(*names), directory->capacity + 1));
	for (int i = 0; i <= directory->capacity; i++)
	{
		PoolDiagPool *row = &directory->rows[i];

		if (!row->used)
			continue;
		pooldiag_pools_name(directory, i, names[i]);
		if (is_slot_of(row->series, names[i], row->declared) && !taken[row->series])
			taken[row->series] = true;
		else
			row->series = NO_SERIES;
	}
	for (int i = 0; i <= directory->capacity; i++)
	{
		PoolDiagPool *row = &directory->rows[i];

		if (!row->used || row->series != NO_SERIES)
			continue;
		row->series = find_slot(names[i], row->declared, taken);
		taken[row->series] = true;
	}
	pfree(names);
	pfree(taken);
	bound_generation = directory->generation;
	bound_evictions = directory->evictions;
	bound_used = directory->used;
}

/* What a tick knows of a row of the directory, or of the server. */
static PoolDiagMoment
moment_of(const PoolDiagSample *sample, int index)
{
	PoolDiagMoment moment;
	const PoolDiagPool *row = index == POOLDIAG_FLOWS_SERVER ? NULL : &sample->pools.rows[index];
	const PoolDiagTally *tally = row != NULL ? &row->tally : &sample->server;
	const int *by_state = tally->by_state;
	double *gauges = moment.gauges;

	pooldiag_history_moment(&moment, sample->at);
	gauges[POOLDIAG_GAUGE_CONNECTIONS] = tally->connections;
	gauges[POOLDIAG_GAUGE_ACTIVE] = by_state[POOLDIAG_ACTIVE] + by_state[POOLDIAG_FASTPATH];
	gauges[POOLDIAG_GAUGE_WAITING] = tally->waiting;
	gauges[POOLDIAG_GAUGE_IDLE] = by_state[POOLDIAG_IDLE];
	gauges[POOLDIAG_GAUGE_IDLE_IN_TRANSACTION] =
		by_state[POOLDIAG_IDLE_IN_TRANSACTION] + by_state[POOLDIAG_IDLE_IN_TRANSACTION_ABORTED];
	if (row == NULL)
	{
		gauges[POOLDIAG_GAUGE_UTILIZATION] =
			100.0 * tally->connections / Max(pooldiag_backends_usable(), 1);
		moment.max_connections_seen = sample->most_connections;
	}
	else
	{
		moment.max_connections_seen = row->most_connections;
		if (row->declared)
			gauges[POOLDIAG_GAUGE_UTILIZATION] =
				100.0 * pooldiag_tally_checked_out(tally) /
				((double) row->limits.instances * row->limits.size);
	}
	pooldiag_flows_put(index, &moment);
	return moment;
}

static void
feed_slot(Slot *slot, const PoolDiagTier *tiers, const PoolDiagMoment *moment)
{
	begin_change(slot);
	pooldiag_history_add(series_of(slot), tiers, moment);
	end_change(slot);
}

static void
forget_all(void)
{
	begin_change(server);
	memset(server->series, 0, pooldiag_history_size(pooldiag_history_server_tiers));
	end_change(server);
	for (int i = 0; i <= pooldiag_max_pools; i++)
	{
		Slot *slot = pool_slot(i);

		begin_change(slot);
		owners[i].used = false;
		end_change(slot);
	}
	bound_used = -1;
}

/* Adds what a tick has found to the history. Only the sampler calls it. */
void
pooldiag_series_feed(PoolDiagSample *sample)
{
	uint32 resets = pg_atomic_read_u32(&control->resets_requested);
	PoolDiagMoment moment;

	if (resets != control->resets_done)
	{
		forget_all();
		control->resets_done = resets;
	}
	moment = moment_of(sample, POOLDIAG_FLOWS_SERVER);
	feed_slot(server, pooldiag_history_server_tiers, &moment);

	bind_rows(&sample->pools);
	for (int i = 0; i <= sample->pools.capacity; i++)
	{
		if (!sample->pools.rows[i].used)
			continue;
		moment = moment_of(sample, i);
		feed_slot(pool_slot(sample->pools.rows[i].series), pooldiag_history_pool_tiers, &moment);
	}
}

/* What history says of a pool of the sampler's directory, or of the server (NULL). Only the sampler calls it. */
void
pooldiag_series_past(const PoolDiagPool *row, TimestampTz now, PoolDiagPast *past)
{
	pooldiag_past_read(series_of(row == NULL ? server : pool_slot(row->series)),
					   row == NULL ? pooldiag_history_server_tiers : pooldiag_history_pool_tiers,
					   now, past);
}

/* Asks the sampler to forget all history; it has when the next tick is over. */
void
pooldiag_history_reset(void)
{
	pg_atomic_fetch_add_u32(&control->resets_requested, 1);
}

/* Copies a slot, and its owner (if it has one), while nobody writes to it; copy has its size. */
static void
copy_slot(Slot *slot, const Owner *owner, const PoolDiagTier *tiers, Slot *copy, Owner *owner_copy)
{
	int tries = 0;

	for (;;)
	{
		uint32 before = pg_atomic_read_u32(&slot->changes);

		pg_read_barrier();
		if (before % 2 == 1 && tries++ < READ_TRIES)
		{
			SPIN_DELAY();
			continue;
		}
		memcpy((char *) copy, (char *) slot, slot_size(tiers));
		if (owner != NULL)
			*owner_copy = *owner;
		pg_read_barrier();
		if (pg_atomic_read_u32(&slot->changes) == before)
		{
			if (before % 2 == 1)
				pooldiag_history_hide_open(series_of(copy), tiers);
			return;
		}
		CHECK_FOR_INTERRUPTS();
		tries = 0;
	}
}

/* A copy of a pool's series, or of the server's (NULL); NULL where such a pool has none. */
PoolDiagSeries *
pooldiag_series_read(const char *pool)
{
	const PoolDiagTier *tiers =
		pool == NULL ? pooldiag_history_server_tiers : pooldiag_history_pool_tiers;
	Slot *copy = palloc(slot_size(tiers));
	Owner owner;

	if (pool == NULL)
	{
		copy_slot(server, NULL, tiers, copy, NULL);
		return series_of(copy);
	}
	/* A declared pool goes before a discovered one that happens to be called the same. */
	for (int declared = 1; declared >= 0; declared--)
		for (int i = 0; i <= pooldiag_max_pools; i++)
		{
			if (!owners[i].used || strncmp(owners[i].name, pool, sizeof(owners[i].name)) != 0)
				continue;
			copy_slot(pool_slot(i), &owners[i], tiers, copy, &owner);
			if (is_owner(&owner, pool, declared == 1))
				return series_of(copy);
		}
	pfree(copy);
	return NULL;
}

/*
 * How many of these a second there were in the last minute, as far as it is known, of a pool whose row in the sample
 * says where its series is. Negative where nothing is known.
 */
void
pooldiag_series_rates(const PoolDiagPools *directory, int index, TimestampTz now, double *rates)
{
	char name[POOLDIAG_POOL_NAME_LEN];
	const PoolDiagPool *row = &directory->rows[index];
	Slot *slot;
	uint32 before;
	int tries = 0;

	for (int i = 0; i < POOLDIAG_COUNTERS; i++)
		rates[i] = -1;
	pooldiag_pools_name(directory, index, name);
	if (!is_slot_of(row->series, name, row->declared))
		return;
	slot = pool_slot(row->series);
	do
	{
		before = pg_atomic_read_u32(&slot->changes);
		pg_read_barrier();
		pooldiag_history_rates(series_of(slot), pooldiag_history_pool_tiers, now, RATE_SECONDS,
							   rates);
		pg_read_barrier();
	} while ((before % 2 == 1 || pg_atomic_read_u32(&slot->changes) != before) &&
			 tries++ < READ_TRIES);
}

static int64
filled(Slot *slot)
{
	const uint32 *points = series_of(slot)->filled;

	return (int64) points[0] + points[1] + points[2];
}

/* How full the part is. */
PoolDiagSeriesUse
pooldiag_series_use(void)
{
	PoolDiagSeriesUse use = {0};

	use.series_room = pooldiag_max_pools + 1;
	use.points = filled(server);
	use.points_room = pooldiag_history_room(pooldiag_history_server_tiers) +
					  (int64) use.series_room * pooldiag_history_room(pooldiag_history_pool_tiers);
	for (int i = 0; i < use.series_room; i++)
	{
		if (!owners[i].used)
			continue;
		use.series++;
		use.points += filled(pool_slot(i));
	}
	return use;
}

static Shape
shape_of(int count)
{
	Shape shape = {
		.point_size = sizeof(PoolDiagPoint),
		.open_size = sizeof(PoolDiagOpen),
		.server_size = (uint32) pooldiag_history_size(pooldiag_history_server_tiers),
		.pool_size = (uint32) pooldiag_history_size(pooldiag_history_pool_tiers),
		.pools = count,
	};

	memcpy(shape.tiers[0], pooldiag_history_server_tiers, sizeof(shape.tiers[0]));
	memcpy(shape.tiers[1], pooldiag_history_pool_tiers, sizeof(shape.tiers[1]));
	return shape;
}

static void
save_slot(PoolDiagStateWriter *writer, int index, Slot *copy)
{
	Owner owner;
	/* A name that ends is followed by zeros, so that the same history makes the same file. */
	char name[POOLDIAG_POOL_NAME_LEN] = {0};
	char declared;

	copy_slot(pool_slot(index), &owners[index], pooldiag_history_pool_tiers, copy, &owner);
	strlcpy(name, owner.used ? owner.name : "", sizeof(name));
	declared = owner.declared;
	pooldiag_state_put(writer, name, sizeof(name));
	pooldiag_state_put(writer, &declared, sizeof(declared));
	pooldiag_state_put(writer, copy->series, pooldiag_history_size(pooldiag_history_pool_tiers));
}

/* Puts all series, those first that should find room where there is less of it. */
void
pooldiag_series_save(PoolDiagStateWriter *writer)
{
	Slot *copy = palloc(slot_size(pooldiag_history_server_tiers));
	int count = pooldiag_max_pools + 1;
	int64 *last_at = palloc(sizeof(int64) * count);
	int saved = 0;
	int64 newest = 0;
	Shape shape;

	StaticAssertStmt(sizeof(Shape) == 72, "no padding in what is written");
	for (int i = 0; i < count; i++)
	{
		last_at[i] = last_fed(i);
		saved += last_at[i] > 0;
		newest = Max(newest, last_at[i]);
	}
	shape = shape_of(saved);
	pooldiag_state_put(writer, &shape, sizeof(shape));
	copy_slot(server, NULL, pooldiag_history_server_tiers, copy, NULL);
	pooldiag_state_put(writer, copy->series, pooldiag_history_size(pooldiag_history_server_tiers));
	for (int late = 0; late <= 1; late++)
		for (int i = 0; i < count; i++)
			if (last_at[i] > 0 && (last_at[i] < newest) == late)
				save_slot(writer, i, copy);
	pfree(last_at);
	pfree(copy);
}

/* Gets them back: as many as there is room for. */
bool
pooldiag_series_load(PoolDiagStateReader *reader)
{
	Shape shape;
	Shape expected;
	int next = 0;

	if (!pooldiag_state_get(reader, &shape, sizeof(shape)))
		return false;
	expected = shape_of(shape.pools);
	if (memcmp(&shape, &expected, sizeof(shape)) != 0)
		return false;
	if (!pooldiag_state_get(reader, server->series,
							pooldiag_history_size(pooldiag_history_server_tiers)))
	{
		memset(server->series, 0, pooldiag_history_size(pooldiag_history_server_tiers));
		return false;
	}
	for (int i = 0; i < shape.pools && next <= pooldiag_max_pools; i++)
	{
		Owner *owner = &owners[next];
		char declared;

		if (!pooldiag_state_get(reader, owner->name, sizeof(owner->name)) ||
			!pooldiag_state_get(reader, &declared, sizeof(declared)) ||
			!pooldiag_state_get(reader, pool_slot(next)->series,
								pooldiag_history_size(pooldiag_history_pool_tiers)))
			return false;
		owner->name[sizeof(owner->name) - 1] = '\0';
		owner->declared = declared;
		owner->used = owner->name[0] != '\0';
		next += owner->used;
	}
	if (shape.pools > next)
		ereport(LOG, (errmsg("history of %d pools does not fit into pooldiag.max_pools = %d",
							 shape.pools - next, pooldiag_max_pools)));
	return true;
}
