/*
 * alerts.c
 *	  What breakers have done, in shared memory: the newest alerts one by one.
 *
 * A ring (ring.c) that the sampler alone writes. Sessions read it. Three follow it: the keeper writes each alert
 * into the journal, operations has it logged, and the notifier tells listeners. How far they are stands here, so that each alert is written and logged
 * once, also where such a worker is started again in between. What the ring has overwritten before one got there is
 * counted.
 *
 * When the server starts, the postmaster puts into the ring what the journal has. Ids go on from there.
 *
 * A reset moves the id from which alerts are shown; the keeper follows with a record in the journal.
 */
#include "postgres.h"

#include "alerts.h"
#include "json.h"
#include "settings.h"
#include "worker.h"

typedef struct Follower
{
	pg_atomic_uint64 next; /* the follower's: number of the first alert that it has not passed */
	pg_atomic_uint64 lost; /* the same: those that were overwritten before */
} Follower;

typedef struct Shared
{
	pg_atomic_uint64 last;		/* the sampler's: the newest id */
	pg_atomic_uint64 first;		/* the least id to be shown: the next one at the last reset */
	pg_atomic_uint64 forgotten; /* the keeper's: the same, as the journal has it */
	Follower followers[POOLDIAG_FOLLOWERS];
} Shared;

static Shared *shared = NULL;
static PoolDiagRing *ring = NULL;

/* What the ring has room for: the alerts that are shown, and at least what all breakers can raise in two evaluations. */
uint32
pooldiag_alerts_capacity(void)
{
	return (uint32) Max(pooldiag_alert_log_size,
						2 * (pooldiag_max_pools + POOLDIAG_SERVER_BREAKERS));
}

Size
pooldiag_alerts_size(void)
{
	return add_size(MAXALIGN(sizeof(Shared)),
					pooldiag_ring_size(pooldiag_alerts_capacity(), sizeof(PoolDiagAlert)));
}

void
pooldiag_alerts_attach(char *at, bool made)
{
	StaticAssertStmt(sizeof(PoolDiagAlert) % sizeof(uint64) == 0, "a ring's entries are words");
	shared = (Shared *) at;
	ring = (PoolDiagRing *) (at + MAXALIGN(sizeof(Shared)));
	if (!made)
		return;
	pg_atomic_init_u64(&shared->last, 0);
	pg_atomic_init_u64(&shared->first, 1);
	pg_atomic_init_u64(&shared->forgotten, 1);
	for (int i = 0; i < POOLDIAG_FOLLOWERS; i++)
	{
		pg_atomic_init_u64(&shared->followers[i].next, 0);
		pg_atomic_init_u64(&shared->followers[i].lost, 0);
	}
	pooldiag_ring_init(ring, pooldiag_alerts_capacity(), sizeof(PoolDiagAlert));
}

/* Adds an alert, whose id it sets, and wakes those that follow. Waits for nothing. */
void
pooldiag_alerts_raise(PoolDiagAlert *alert)
{
	alert->id = (int64) pg_atomic_add_fetch_u64(&shared->last, 1);
	(void) pooldiag_ring_write(ring, alert);
	pooldiag_worker_wake(POOLDIAG_KEEPER);
	pooldiag_worker_wake(POOLDIAG_OPERATIONS_WORKER);
}

/* Takes a record of the journal, in their order; see PoolDiagRecordTaker. */
bool
pooldiag_alerts_restore(PoolDiagRecordKind kind, const void *data, uint32 length)
{
	if (kind == POOLDIAG_RECORD_ALERT && length == sizeof(PoolDiagAlert))
	{
		PoolDiagAlert alert;

		memcpy(&alert, data, sizeof(alert));
		/* What they index must be there; and no id comes twice. */
		if (alert.kind < 0 || alert.kind > POOLDIAG_BREAKER_POOL || alert.event < 0 ||
			alert.event >= POOLDIAG_BREAKER_EVENTS || alert.severity < POOLDIAG_INFO ||
			alert.severity > POOLDIAG_CRITICAL ||
			alert.id <= (int64) pg_atomic_read_u64(&shared->last))
			return false;
		alert.breaker[sizeof(alert.breaker) - 1] = '\0';
		alert.message[sizeof(alert.message) - 1] = '\0';
		alert.evidence[sizeof(alert.evidence) - 1] = '\0';
		(void) pooldiag_ring_write(ring, &alert);
		pg_atomic_write_u64(&shared->last, (uint64) alert.id);
	}
	else if (kind == POOLDIAG_RECORD_RESET && length == sizeof(int64))
	{
		uint64 first;

		memcpy(&first, data, sizeof(first));
		pg_atomic_write_u64(&shared->first, first);
		pg_atomic_write_u64(&shared->forgotten, first);
		/* Those before it may be lost; no alert that comes is to be taken for one of them. */
		if (first > pg_atomic_read_u64(&shared->last) + 1)
			pg_atomic_write_u64(&shared->last, first - 1);
	}
	else
		return false;
	for (int i = 0; i < POOLDIAG_FOLLOWERS; i++)
		pg_atomic_write_u64(&shared->followers[i].next, pooldiag_ring_next(ring));
	return true;
}

/* Moves a follower on, past alerts that it can't have any more. */
static void
lose(Follower *follower, uint64 from, uint64 to)
{
	pg_atomic_fetch_add_u64(&follower->lost, (int64) (to - from));
	pg_atomic_write_u64(&follower->next, to);
}

/* The next alert that this follower has not passed; false if there is none. */
bool
pooldiag_alerts_peek(PoolDiagFollower which, PoolDiagAlert *alert)
{
	Follower *follower = &shared->followers[which];

	for (;;)
	{
		uint64 number = pg_atomic_read_u64(&follower->next);
		uint64 oldest = pooldiag_ring_oldest(ring);

		if (number < oldest)
			lose(follower, number, oldest);
		else if (number >= pooldiag_ring_next(ring))
			return false;
		else
			switch (pooldiag_ring_read(ring, number, alert))
			{
				case POOLDIAG_RING_WHOLE:
					/* The journal gets none that a reset has forgotten, which it may have heard of first. */
					if (which != POOLDIAG_FOLLOWER_KEEPER ||
						alert->id >= (int64) pg_atomic_read_u64(&shared->first))
						return true;
					pooldiag_alerts_pass(which);
					break;
				case POOLDIAG_RING_UNFINISHED:
					/* Its writer wakes us when it is there. */
					return false;
				case POOLDIAG_RING_GONE:
				case POOLDIAG_RING_TORN:
					lose(follower, number, number + 1);
					break;
			}
	}
}

/* This follower is done with the alert that it has peeked at. */
void
pooldiag_alerts_pass(PoolDiagFollower which)
{
	pg_atomic_fetch_add_u64(&shared->followers[which].next, 1);
	if (which == POOLDIAG_FOLLOWER_KEEPER)
		pooldiag_worker_wake(POOLDIAG_OPERATIONS_WORKER);
}

/* Has the keeper passed the alert that operations is at? */
bool
pooldiag_alerts_is_journaled(void)
{
	return pg_atomic_read_u64(&shared->followers[POOLDIAG_FOLLOWER_KEEPER].next) >
		   pg_atomic_read_u64(&shared->followers[POOLDIAG_FOLLOWER_OPERATIONS].next);
}

/* Has operations passed the alert that the notifier is at? */
bool
pooldiag_alerts_is_logged(void)
{
	return pg_atomic_read_u64(&shared->followers[POOLDIAG_FOLLOWER_OPERATIONS].next) >
		   pg_atomic_read_u64(&shared->followers[POOLDIAG_FOLLOWER_NOTIFIER].next);
}

/* Where a follower is. */
uint64
pooldiag_alerts_position(PoolDiagFollower which)
{
	return pg_atomic_read_u64(&shared->followers[which].next);
}

/* What it has passed since it was there it has to do again. */
void
pooldiag_alerts_go_back(PoolDiagFollower which, uint64 position)
{
	pg_atomic_write_u64(&shared->followers[which].next, position);
}

/* Was there a reset of which the journal has no record? Then, in first, the least id that it has left. */
bool
pooldiag_alerts_forgotten(int64 *first)
{
	*first = (int64) pg_atomic_read_u64(&shared->first);
	return *first != (int64) pg_atomic_read_u64(&shared->forgotten);
}

/* The journal has a record of the reset that has left alerts from that id on. */
void
pooldiag_alerts_forgot(int64 first)
{
	pg_atomic_write_u64(&shared->forgotten, (uint64) first);
}

/* The log, and the least id in it that may be shown. */
PoolDiagRing *
pooldiag_alerts_ring(int64 *first)
{
	uint64 shown = pg_atomic_read_u64(&shared->last) + 1;

	shown -= Min(shown, (uint64) pooldiag_alert_log_size);
	*first = (int64) Max(shown, pg_atomic_read_u64(&shared->first));
	return ring;
}

PoolDiagAlertsUse
pooldiag_alerts_use(void)
{
	uint64 first = pg_atomic_read_u64(&shared->first);
	PoolDiagAlertsUse use;

	use.newest = pg_atomic_read_u64(&shared->last);
	use.raised = use.newest + 1 - first;
	use.used = pooldiag_ring_next(ring) - pooldiag_ring_oldest(ring);
	use.used = Min(use.used, Min(use.raised, (uint64) pooldiag_alert_log_size));
	for (int i = 0; i < POOLDIAG_FOLLOWERS; i++)
	{
		uint64 next = pg_atomic_read_u64(&shared->followers[i].next);

		use.waiting[i] = pooldiag_ring_next(ring) - next;
		use.lost[i] = pg_atomic_read_u64(&shared->followers[i].lost);
	}
	return use;
}

/* What a breaker of that kind watches, in a word. */
const char *
pooldiag_alerts_scope(PoolDiagBreakerKind kind)
{
	return kind == POOLDIAG_BREAKER_POOL ? "pool" : "server";
}

/* Writes an alert as a JSON object, for the log and for listeners: the columns of the view, on one line. */
void
pooldiag_alerts_write(StringInfo json, const PoolDiagAlert *alert)
{
	pooldiag_json_begin(json, NULL, '{');
	pooldiag_json_int(json, "id", alert->id);
	pooldiag_json_time(json, "at", alert->at);
	pooldiag_json_string(json, "breaker", alert->breaker);
	pooldiag_json_string(json, "scope", pooldiag_alerts_scope((PoolDiagBreakerKind) alert->kind));
	pooldiag_json_string(json, "event",
						 pooldiag_breaker_event_name((PoolDiagBreakerEvent) alert->event));
	pooldiag_json_string(json, "severity",
						 pooldiag_severity_name((PoolDiagSeverity) alert->severity));
	if (alert->has_value)
		pooldiag_json_number(json, "value", alert->value, 2);
	else
		pooldiag_json_null(json, "value");
	pooldiag_json_number(json, "limit_value", alert->limit, 2);
	pooldiag_json_string(json, "message", alert->message);
	pooldiag_json_begin(json, "evidence", '{');
	/* It is an object already, of which the brackets are put here. */
	appendBinaryStringInfo(json, alert->evidence + 1, (int) strlen(alert->evidence) - 2);
	pooldiag_json_end(json, '}');
	pooldiag_json_end(json, '}');
}

/* Alerts up to now are shown no more. */
void
pooldiag_alerts_reset(void)
{
	pg_atomic_write_u64(&shared->first, pg_atomic_read_u64(&shared->last) + 1);
	pooldiag_worker_wake(POOLDIAG_KEEPER);
}
