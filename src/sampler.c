/*
 * sampler.c
 *	  The background worker that samples the server: a tick every pooldiag.sample_interval.
 *
 * It is attached to shared memory only, starts with the postmaster and so runs during recovery and
 * on a standby, takes no connection slot, holds no snapshot and no lock, and waits for no disk and
 * no session: an entry that its owner is writing each time is counted as it was before.
 *
 * It works on a sample of its own and publishes copies (shared.c). When it is started again it goes
 * on from the last one published, or from the one that was saved, so that peaks and the directory of
 * pools outlive it. What it keeps beside that, one copy of each slot with the pool it was matched
 * to, is memory of its own, sized at start: a tick reads an entry only where the entry's change
 * count has moved.
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "advisor.h"
#include "clock.h"
#include "compat.h"
#include "counters.h"
#include "flows.h"
#include "orders.h"
#include "outlook.h"
#include "refusals.h"
#include "sampler.h"
#include "series.h"
#include "sessions.h"
#include "settings.h"
#include "shared.h"
#include "sights.h"
#include "slowlog.h"
#include "watch.h"
#include "worker.h"

/* How often a tick tries an entry whose owner is writing: microseconds, where a write takes less
 * than one. */
#define READ_TRIES 1000

static PoolDiagSample *sample = NULL;
static bool *active = NULL;	   /* slots that may have counted something since the last tick */
static uint64 refused = 0;	   /* up to now, since the server's start */
static bool maybe_room = true; /* this tick has not seen the directory full */

/* Puts the settings that this process has read in force, for all. */
static void
configure(void)
{
	PoolDiagPoolDefaults defaults = pooldiag_settings_pool_defaults();
	int count;
	PoolDiagPoolDef *defs = pooldiag_settings_pool_defs(&count);

	pooldiag_watch_redeclare(sample, defs, count);
	pooldiag_pools_configure(&sample->pools, defs, count, &defaults);
	pooldiag_presence_release(pooldiag_presence, &sample->pools);
	pfree(defs);
	pooldiag_counters_set_slow(defaults.slow_ms * 1000);
	pooldiag_watch_configure(sample);
	sample->interval_ms = pooldiag_sample_interval;
	sample->settings = pooldiag_outlook_settings();
}

/* What of a connection decides on its pool, names of the login apart, which stay for as long as the pid does. */
static uint32
pool_key(const PoolDiagBackend *backend)
{
	uint32 process = hash_bytes_uint32((uint32) backend->pid ^ (uint32) backend->backend_start);

	return hash_combine(process, hash_bytes((const unsigned char *) backend->application_name,
											(int) strlen(backend->application_name)));
}

static void
find_pool(PoolDiagSight *slot)
{
	PoolDiagPools *pools = &sample->pools;
	char user[NAMEDATALEN];
	char database[NAMEDATALEN];

	slot->pool = POOLDIAG_NO_POOL;
	slot->generation = pools->generation;
	slot->key = pool_key(&slot->backend);
	if (slot->backend.state == POOLDIAG_STARTING ||
		!pooldiag_sessions_identity(slot->backend.procno, slot->backend.pid, user, database))
		return;
	slot->pool = pooldiag_pools_assign(pools, user, database, slot->backend.application_name);
	pooldiag_counters_assign(slot->backend.procno, slot->backend.pid,
							 slot->backend.application_name, pools, slot->pool);
}

static int
count_peak_row(PoolDiagPeakTable *table, Oid oid, int remembered)
{
	int row = remembered;

	if (!OidIsValid(oid))
		return -1;
	if (row < 0 || row >= table->used || table->rows[row].oid != oid)
		row = pooldiag_peaks_row(table, oid);
	if (row >= 0)
		table->rows[row].connections++;
	return row;
}

/* Within a tick room is only ever taken, so that once there is none the answer stays. */
static bool
has_room(void)
{
	if (maybe_room)
		maybe_room = pooldiag_pools_has_room(&sample->pools);
	return maybe_room;
}

/* Must the pool of this slot be looked for? Not where only its state has changed. */
static bool
needs_pool(const PoolDiagSight *slot, PoolDiagRead read)
{
	const PoolDiagPools *pools = &sample->pools;

	/* What had no names yet, or found no room, is tried again. */
	if (slot->pool == POOLDIAG_NO_POOL || slot->generation != pools->generation ||
		(slot->pool == pools->capacity && has_room()))
		return true;
	return read == POOLDIAG_SLOT_CHANGED &&
		   (slot->backend.state == POOLDIAG_STARTING || slot->key != pool_key(&slot->backend));
}

static void
sample_slot(PoolDiagSight *slot, int procno, TimestampTz now)
{
	PoolDiagRead read =
		pooldiag_backends_read(procno, POOLDIAG_READ_CLIENT, READ_TRIES, &slot->backend);

	slot->busy = read == POOLDIAG_SLOT_BUSY;
	if (slot->busy)
		sample->self.busy_slots++;
	active[procno] = slot->held || slot->backend.pid != 0;
	slot->held = slot->backend.pid != 0;
	if (!slot->held)
		return;
	/* Who is idle, as at the last tick, has done nothing: that would have changed the entry. */
	if (read == POOLDIAG_SLOT_UNCHANGED &&
		(slot->backend.state == POOLDIAG_IDLE ||
		 slot->backend.state == POOLDIAG_IDLE_IN_TRANSACTION ||
		 slot->backend.state == POOLDIAG_IDLE_IN_TRANSACTION_ABORTED))
		active[procno] = false;
	if (needs_pool(slot, read))
	{
		find_pool(slot);
		active[procno] = true;
	}
	slot->database = count_peak_row(&sample->databases, slot->backend.databaseid, slot->database);
	slot->role = count_peak_row(&sample->roles, slot->backend.userid, slot->role);
	pooldiag_sample_add(sample, &slot->backend, slot->pool, now);
	if (slot->backend.state == POOLDIAG_ACTIVE || slot->backend.state == POOLDIAG_FASTPATH)
		pooldiag_outlook_active(slot->backend.wait_event_info);
	if (slot->pool == POOLDIAG_NO_POOL)
		return;
	pooldiag_watch_connection(&slot->age, &slot->backend, &sample->pools.rows[slot->pool].limits);
	if (slot->backend.state == POOLDIAG_ACTIVE || slot->backend.state == POOLDIAG_FASTPATH)
		pooldiag_waits_add(&sample->waits, &sample->pools, slot->pool,
						   slot->backend.wait_event_info, 1);
}

/* Counts a refused connection to its pool. What a stranger sends makes none. */
static void
count_refused(const PoolDiagRefusal *refusal, bool forgotten, void *context)
{
	const PoolDiagSource *source = &refusal->source;
	int *given = context;
	int pool = POOLDIAG_NO_POOL;

	(*given)++;
	pooldiag_watch_refused_for(refusal->source.reason);
	if (forgotten)
		return;
	if (source->user[0] != '\0')
		pool = pooldiag_pools_find(&sample->pools, source->user, source->database,
								   source->application_name);
	if (pool == POOLDIAG_NO_POOL)
		pool = sample->pools.capacity;
	pooldiag_counters_refused(&sample->pools, pool, 1);
}

static void
drain_refusals(void)
{
	uint64 before = refused;
	int given = 0;

	refused = pooldiag_refusals_drain(count_refused, &given);
	pooldiag_watch_refused(refused - before);
	/* Those that were overwritten before. */
	if (refused - before > (uint64) given)
		pooldiag_counters_refused(&sample->pools, sample->pools.capacity,
								  refused - before - (uint64) given);
}

/* What this process has spent since its start, user and system, in nanoseconds. */
static int64
cpu_time(void)
{
	return pooldiag_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static PoolDiagAudience
audience_of_sample(void)
{
	PoolDiagAudience audience = {&sample->pools, &sample->databases, &sample->roles};

	return audience;
}

/* What sessions have told goes into the counts and peaks of pools, databases and roles; false if one is at it. */
static bool
hear_sessions(void)
{
	PoolDiagAudience audience = audience_of_sample();

	return pooldiag_presence_hear(pooldiag_presence, &audience, (int64) pooldiag_clock_ms());
}

/* Outside of a tick. Published, as a sampler that ends here has taken up what nobody will tell again. */
static void
hear_between_ticks(void)
{
	if (pooldiag_presence_waiting(pooldiag_presence) == 0)
		return;
	(void) hear_sessions();
	pooldiag_shared_publish(sample);
}

/* Brings what sessions have told in line with what the scan has seen, which began at that word. */
static void
compare_sessions(uint64 since, TimestampTz now)
{
	PoolDiagAudience audience = audience_of_sample();

	for (int procno = 0; procno < MaxConnections; procno++)
	{
		const PoolDiagSight *slot = &pooldiag_sights[procno];
		bool is_known = slot->backend.pid != 0 && slot->backend.state != POOLDIAG_STARTING;
		PoolDiagSeat seen = {is_known ? slot->pool : POOLDIAG_NO_POOL, slot->database, slot->role};

		if (!slot->busy)
			pooldiag_presence_compare(pooldiag_presence, &audience, procno, slot->backend.pid,
									  &seen, since, now);
	}
}

static void
take_sample(void)
{
	TimestampTz now = GetCurrentTimestamp();
	uint64 since;

	(void) hear_sessions();
	pooldiag_sample_clear_counts(sample);
	pooldiag_outlook_begin(sample);
	pooldiag_watch_begin();
	if (sample->waits_resets != pooldiag_counters_resets())
	{
		memset(&sample->waits, 0, sizeof(sample->waits));
		pooldiag_sample_forget_peaks(sample, now);
		sample->waits_resets = pooldiag_counters_resets();
	}
	maybe_room = true;
	since = pooldiag_presence_next(pooldiag_presence);
	pg_memory_barrier();
	for (int procno = 0; procno < MaxConnections; procno++)
		sample_slot(&pooldiag_sights[procno], procno, now);
	pg_memory_barrier();
	if (hear_sessions())
		compare_sessions(since, now);
	pooldiag_counters_follow(&sample->pools);
	sample->walsenders = pooldiag_backends_occupied(POOLDIAG_SLOTS_WALSENDERS);
	sample->workers = pooldiag_backends_occupied(POOLDIAG_SLOTS_WORKERS);
	sample->at = now;
	pooldiag_sample_raise_peaks(sample, now);
	sample->most_connections = pooldiag_counters_take_peak();
	pooldiag_sample_raise_connections(sample, sample->most_connections, now);
}

/* One tick: a sample, published with what earlier ticks cost, and whoever waits for it is told. The last one judges nothing. */
static void
tick(bool is_last)
{
	uint64 requested = pg_atomic_read_u64(&pooldiag_control->ticks_requested);
	bool asked = requested > pg_atomic_read_u64(&pooldiag_control->ticks_served);
	bool told = false;
	int64 before = cpu_time();
	int64 after;
	double spent_us;

	/* What a session did before it asked is in the sample, and that is there when it is told. */
	pg_memory_barrier();
	pooldiag_slowlog_drain();
	take_sample();
	drain_refusals();
	pooldiag_flows_take(sample->pools.capacity, active, refused, sample->at);
	pooldiag_series_feed(sample);
	if (pooldiag_outlook_finish(sample, asked) && !is_last)
		pooldiag_advisor_watch(sample);
	if (!is_last)
		told = pooldiag_watch_evaluate(sample, asked, sample->at);
	sample->self.ticks++;
	pooldiag_shared_publish(sample);
	if (told)
		pooldiag_watch_tell(sample);
	pg_memory_barrier();

	after = cpu_time();
	spent_us = (after - before) / 1e3;
	sample->self.tick_last_us = spent_us;
	sample->self.tick_max_us = Max(sample->self.tick_max_us, spent_us);
	sample->self.tick_total_us += spent_us;
	sample->self.cpu_seconds = after / 1e9;

	if (asked)
	{
		pg_atomic_write_u64(&pooldiag_control->ticks_served, requested);
		ConditionVariableBroadcast(&pooldiag_control->tick_served);
	}
}

/* Where samples are further apart than evaluations of breakers are to be. */
static void
evaluate_between_ticks(void)
{
	bool told;

	drain_refusals();
	told = pooldiag_watch_evaluate_again(sample, GetCurrentTimestamp());
	pooldiag_shared_publish(sample);
	if (told)
		pooldiag_watch_tell(sample);
}

/* What sessions have ordered breakers to do: done, published and told before they hear of it. */
static void
obey(void)
{
	while (pooldiag_watch_obey(sample, GetCurrentTimestamp()))
	{
		pooldiag_shared_publish(sample);
		pooldiag_watch_tell(sample);
		pooldiag_orders_done(POOLDIAG_OBEYED);
	}
}

/* How the canary has fared is judged at once, not with the next tick. */
static void
judge_canary(void)
{
	if (!pooldiag_watch_canary(sample, GetCurrentTimestamp()))
		return;
	pooldiag_shared_publish(sample);
	pooldiag_watch_tell(sample);
}

/* Goes on from the sample that a former sampler has left, or begins a new one. */
static void
start_sampling(void)
{
	Size size = pooldiag_sample_size(pooldiag_max_pools);
	PoolDiagAudience audience;

	sample = pooldiag_shared_read();
	if (sample == NULL)
		sample = pooldiag_shared_read_restored();
	if (sample == NULL)
	{
		sample = MemoryContextAllocHuge(TopMemoryContext, size);
		pooldiag_sample_init(sample, pooldiag_max_pools);
	}
	pooldiag_sights_begin();
	active = MemoryContextAllocZero(TopMemoryContext, MaxConnections);
	memset(&sample->self, 0, sizeof(sample->self));
	sample->self.started_at = GetCurrentTimestamp();
	sample->self.private_bytes = size + pooldiag_sights_size() + pooldiag_ledger_sources_size() +
								 pooldiag_flows_size(sample->pools.capacity) +
								 pooldiag_outlook_private_size(sample->pools.capacity);
	audience = audience_of_sample();
	pooldiag_presence_recount(pooldiag_presence, &audience);
	refused = pooldiag_refusals_taken_up();
	pooldiag_watch_start(sample);
	pooldiag_outlook_start(sample);
	configure();

	pooldiag_worker_publish(POOLDIAG_SAMPLER);
}

/* The worker's main function. It leaves with 1, as a worker that leaves with 0 is never started
 * again. */
void
pooldiag_sampler_main(Datum main_arg)
{
	uint32 wait_event;
	double next;

	pooldiag_worker_begin();
	MemoryContextSwitchTo(TopMemoryContext);
	start_sampling();
	wait_event = WaitEventExtensionNew("PoolDiagSamplerMain");

	next = pooldiag_clock_ms();
	while (!ShutdownRequestPending)
	{
		double now;

		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			/* What was told before belongs to the pools that there were. */
			hear_between_ticks();
			ProcessConfigFile(PGC_SIGHUP);
			configure();
			/* A shorter interval takes effect at once. */
			next = Min(next, pooldiag_clock_ms() + pooldiag_sample_interval);
		}

		obey();
		judge_canary();
		now = pooldiag_clock_ms();
		if (now >= next)
		{
			double late = floor((now - next) / pooldiag_sample_interval);

			sample->self.missed_ticks += (uint64) late;
			next += (late + 1) * pooldiag_sample_interval;
			tick(false);
		}
		else if (pg_atomic_read_u64(&pooldiag_control->ticks_requested) >
				 pg_atomic_read_u64(&pooldiag_control->ticks_served))
			tick(false);
		else if (now >= pooldiag_watch_due())
			evaluate_between_ticks();
		else if (pooldiag_refusals_piled_up())
			drain_refusals();
		else if (pooldiag_presence_waiting(pooldiag_presence) >= POOLDIAG_PRESENCE_PILE)
			hear_between_ticks();

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 pooldiag_clock_left(Min(next, pooldiag_watch_due())), wait_event);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	/* For whoever comes next, and the state file. */
	tick(true);
	proc_exit(1);
}

/*
 * Asks the sampler for a tick that begins after this call, and waits for its end. False if it did
 * not come within timeout_ms; a sampler that is being started again counts the wait.
 */
bool
pooldiag_sampler_wait_for_tick(long timeout_ms)
{
	uint64 number = pg_atomic_add_fetch_u64(&pooldiag_control->ticks_requested, 1);
	double deadline = pooldiag_clock_ms() + timeout_ms;
	static uint32 wait_event = 0;
	bool served = false;

	if (wait_event == 0)
		wait_event = WaitEventExtensionNew("PoolDiagSampleNow");

	pooldiag_worker_wake(POOLDIAG_SAMPLER);

	ConditionVariablePrepareToSleep(&pooldiag_control->tick_served);
	for (;;)
	{
		double left = deadline - pooldiag_clock_ms();

		served = pg_atomic_read_u64(&pooldiag_control->ticks_served) >= number;
		if (served || left <= 0)
			break;
		ConditionVariableTimedSleep(&pooldiag_control->tick_served, (long) ceil(left), wait_event);
	}
	ConditionVariableCancelSleep();
	return served;
}
