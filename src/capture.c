/*
 * capture.c
 *	  Freezes what led to the opening of a breaker.
 *
 * Runs in the sampler, when the sample in which the breaker has opened is published. What it knows is of that sample,
 * and of what the sampler remembers of slots, which may be some seconds old: ages are those of the moment at which the
 * breaker has opened. Who blocks whom is read at that moment, without waiting (blockers.c). Its memory is the caller's
 * context.
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "blockers.h"
#include "capture.h"
#include "capture_report.h"
#include "compat.h"
#include "incidents.h"
#include "locks.h"
#include "operation.h"
#include "refusals.h"
#include "sights.h"

static bool
is_at_work(PoolDiagState state)
{
	return state == POOLDIAG_ACTIVE || state == POOLDIAG_FASTPATH;
}

/* Since when it is at what its breaker minds. */
static TimestampTz
since_of(const PoolDiagBackend *backend)
{
	return is_at_work(backend->state) ? backend->query_start : backend->state_change;
}

static void
describe(PoolDiagCulprit *culprit, const PoolDiagBackend *backend, TimestampTz now)
{
	memset(culprit, 0, sizeof(*culprit));
	culprit->pid = backend->pid;
	culprit->state = backend->state;
	if (backend->backend_start != 0)
		strlcpy(culprit->backend_start, pooldiag_capture_instant(backend->backend_start),
				sizeof(culprit->backend_start));
	if (backend->state_change != 0)
	{
		strlcpy(culprit->state_change, pooldiag_capture_instant(backend->state_change),
				sizeof(culprit->state_change));
		culprit->seconds = Max(0, now - since_of(backend)) / 1e6;
	}
}

/* Who keeps most sessions waiting, if it is still there. */
static void
find_root(PoolDiagFacts *facts, const PoolDiagCapture *capture)
{
	const PoolDiagBlockers *blockers = capture->blockers;
	PoolDiagBackend backend = {0};

	facts->waiters = blockers->waiters;
	if (blockers->count == 0)
		return;
	facts->waiting = blockers->roots[0].waiting;
	facts->root_is_prepared = blockers->roots[0].pid == POOLDIAG_PREPARED_TRANSACTION;
	facts->root_is_replay = pooldiag_blockers_is_replay(&blockers->roots[0]);
	if (!facts->root_is_prepared && !facts->root_is_replay)
	{
		(void) pooldiag_backends_read(blockers->roots[0].procno, 0, 1000, &backend);
		if (backend.pid != blockers->roots[0].pid)
			return;
		describe(&facts->root, &backend, capture->now);
	}
	facts->has_root = true;
}

/* The pool and state that hold most slots, of all pools or of one. The row of that pool, or POOLDIAG_NO_POOL. */
static int
find_holder(PoolDiagFacts *facts, const PoolDiagSample *sample, int of)
{
	const PoolDiagPools *pools = &sample->pools;
	int left = sample->server.connections;
	int holder = POOLDIAG_NO_POOL;

	for (int i = 0; i <= pools->capacity; i++)
	{
		const PoolDiagTally *tally = &pools->rows[i].tally;

		left -= tally->connections;
		for (int state = 0; state < POOLDIAG_STATES; state++)
			if ((of == POOLDIAG_NO_POOL || of == i) && tally->by_state[state] > facts->held)
			{
				facts->held = tally->by_state[state];
				facts->holder_state = (PoolDiagState) state;
				holder = i;
			}
	}
	if (holder != POOLDIAG_NO_POOL)
		facts->holder = pooldiag_capture_pool(sample, holder);
	/* They have no names yet, and so no pool. */
	if (of == POOLDIAG_NO_POOL && left > facts->held)
	{
		facts->held = left;
		facts->holder_state = POOLDIAG_STARTING;
		facts->holder = "clients that have not logged in";
		holder = POOLDIAG_NO_POOL;
	}
	return holder;
}

/*
 * Is it past a threshold of its pool, in a way that this breaker minds? Of breakers that count those, by their own clock, when
 * the last tick saw it, so that who was counted is who is named.
 */
static bool
is_culprit(const PoolDiagFacts *facts, const PoolDiagCapture *capture,
		   const PoolDiagBackend *backend, int pool, int holder)
{
	PoolDiagCounted counted = pooldiag_sample_counted(backend);
	const PoolDiagPoolLimits *limits;

	if (pool == POOLDIAG_NO_POOL)
		return false;
	limits = &capture->sample->pools.rows[pool].limits;
	switch (facts->kind)
	{
		case POOLDIAG_BREAKER_SLOW_QUERIES:
			return is_at_work(backend->state) && pooldiag_sights_is_past(backend->procno);
		case POOLDIAG_BREAKER_LEAKS:
			return !is_at_work(backend->state) && pooldiag_sights_is_past(backend->procno);
		default:
			return pool == holder && backend->state == facts->holder_state &&
				   (pooldiag_is_leak(&counted, limits, capture->now) ||
					(is_at_work(backend->state) &&
					 pooldiag_is_slow(&counted, limits, capture->now)));
	}
}

static int
compare_ages(const void *left, const void *right)
{
	const PoolDiagBackend *a = *(const PoolDiagBackend *const *) left;
	const PoolDiagBackend *b = *(const PoolDiagBackend *const *) right;

	if (since_of(a) != since_of(b))
		return since_of(a) < since_of(b) ? -1 : 1;
	return (a->procno > b->procno) - (a->procno < b->procno);
}

/* Those past a threshold, the oldest first; and who of them, and of the holder's, waits behind the root. */
static void
find_culprits(PoolDiagFacts *facts, const PoolDiagCapture *capture, int holder)
{
	const PoolDiagBlockers *blockers = capture->blockers;
	const PoolDiagBackend **found = palloc(sizeof(PoolDiagBackend *) * MaxConnections);
	int count = 0;
	int pool;

	for (int procno = 0; procno < MaxConnections; procno++)
	{
		const PoolDiagBackend *backend = pooldiag_sights_seen(procno, 0, &pool);
		bool waits;

		if (backend == NULL)
			continue;
		waits = facts->has_root && blockers->root_of[procno] == blockers->roots[0].pid;
		if (waits && pool == holder && backend->state == facts->holder_state)
			facts->held_behind++;
		if (!is_culprit(facts, capture, backend, pool, holder))
			continue;
		found[count++] = backend;
		if (waits)
			facts->culprits_waiting++;
	}
	qsort(found, count, sizeof(PoolDiagBackend *), compare_ages);
	facts->culprit_count = Min(count, POOLDIAG_CULPRITS);
	for (int i = 0; i < facts->culprit_count; i++)
		describe(&facts->culprits[i], found[i], capture->now);
	if (count > 0 && pooldiag_sights_seen(found[0]->procno, 0, &pool) != NULL)
		facts->culprit_pool = pooldiag_capture_pool(capture->sample, pool);
}

static void
find_reason(PoolDiagFacts *facts, const uint64 *refused)
{
	for (int reason = 0; reason < POOLDIAG_REASONS; reason++)
		if ((int64) refused[reason] > facts->reason_count)
		{
			facts->reason = pooldiag_refusals_reason((PoolDiagReason) reason);
			facts->reason_count = (int64) refused[reason];
			facts->reason_is_slots =
				reason == POOLDIAG_REFUSED_NO_SLOT || reason == POOLDIAG_REFUSED_RESERVED_SLOTS;
		}
}

static void
find_facts(PoolDiagFacts *facts, const PoolDiagCapture *capture, PoolDiagBreakerKind kind, int pool,
		   PoolDiagOperationFigures *canary)
{
	const PoolDiagWatched *watched = capture->watched;
	int holder;

	memset(facts, 0, sizeof(*facts));
	facts->kind = kind;
	facts->usable = pooldiag_backends_usable();
	if (pooldiag_breakers_is_percent(kind))
	{
		facts->count = (int64) watched->part;
		facts->whole = (int64) watched->whole;
	}
	else
		facts->count = (int64) watched->value;
	if (kind == POOLDIAG_BREAKER_POOL)
		facts->pool = pooldiag_capture_pool(capture->sample, pool);
	find_root(facts, capture);
	holder = find_holder(facts, capture->sample, pool);
	find_culprits(facts, capture, holder);
	find_reason(facts, capture->refused);
	pooldiag_operation_read(POOLDIAG_OPERATION_CANARY, canary);
	if (canary->last_error[0] != '\0')
		facts->error = canary->last_error;
}

/*
 * A breaker, that of the pool in that row if it is one of a pool, has opened at that instant: keeps what is known of why.
 * refused are the connections that were refused since the evaluation before, by reason. Returns the incident's id.
 */
int64
pooldiag_capture_take(const PoolDiagSample *sample, PoolDiagBreakerKind kind, int pool,
					  const uint64 *refused, TimestampTz at)
{
	PoolDiagIncident *incident = palloc0(sizeof(PoolDiagIncident));
	PoolDiagOperationFigures canary;
	PoolDiagCapture capture;
	PoolDiagFacts facts;

	capture.sample = sample;
	capture.watched =
		pool == POOLDIAG_NO_POOL ? &sample->breakers[kind] : &sample->pools.rows[pool].watched;
	capture.now = at;
	capture.blockers = pooldiag_blockers_read();
	capture.refused = refused;
	find_facts(&facts, &capture, kind, pool, &canary);
	incident->at = at;
	incident->kind = kind;
	pooldiag_breakers_name(kind, facts.pool, incident->breaker);
	pooldiag_incident_verdict(&facts, incident->verdict, sizeof(incident->verdict));
	pooldiag_incident_remedy(&facts, incident->remedy, sizeof(incident->remedy));
	pooldiag_capture_report(&capture, incident->report, sizeof(incident->report));
	pooldiag_incidents_add(incident);
	return incident->id;
}
