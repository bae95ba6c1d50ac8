/*
 * alerts.c
 *	  What breakers have done, in shared memory: the newest alerts one by one.
 *
 * A ring (ring.c) that the sampler alone writes, so that an alert's number in it, and so its id, goes up by one each
 * time. Sessions read it. The operations worker follows it and has each alert logged once, also where it is started
 * again in between: how far it is stands here. What the ring has overwritten before it got there was logged nowhere, and
 * is counted.
 *
 * A reset moves the number from which the view begins; ids go on.
 */
#include "postgres.h"

#include "alerts.h"
#include "json.h"
#include "operations.h"
#include "settings.h"

typedef struct Shared
{
	pg_atomic_uint64 since; /* number of the first alert to show: the next one at the last reset */
	pg_atomic_uint64 taken; /* operations': number of the first one that it has not taken */
	pg_atomic_uint64 unlogged; /* operations': those that were overwritten before */
} Shared;

static Shared *shared = NULL;
static PoolDiagRing *ring = NULL;

Size
pooldiag_alerts_size(void)
{
	return add_size(MAXALIGN(sizeof(Shared)),
					pooldiag_ring_size((uint32) pooldiag_alert_log_size, sizeof(PoolDiagAlert)));
}

void
pooldiag_alerts_attach(char *at, bool made)
{
	StaticAssertStmt(sizeof(PoolDiagAlert) % sizeof(uint64) == 0, "a ring's entries are words");
	shared = (Shared *) at;
	ring = (PoolDiagRing *) (at + MAXALIGN(sizeof(Shared)));
	if (!made)
		return;
	pg_atomic_init_u64(&shared->since, 0);
	pg_atomic_init_u64(&shared->taken, 0);
	pg_atomic_init_u64(&shared->unlogged, 0);
	pooldiag_ring_init(ring, (uint32) pooldiag_alert_log_size, sizeof(PoolDiagAlert));
}

/* Adds an alert, whose id it sets, and wakes operations. Waits for nothing. */
void
pooldiag_alerts_raise(PoolDiagAlert *alert)
{
	alert->id = (int64) pooldiag_ring_next(ring) + 1;
	(void) pooldiag_ring_write(ring, alert);
	pooldiag_operations_wake();
}

/* The next alert that was not taken yet; false if there is none. */
bool
pooldiag_alerts_take(PoolDiagAlert *alert)
{
	for (;;)
	{
		uint64 number = pg_atomic_read_u64(&shared->taken);
		uint64 oldest = pooldiag_ring_oldest(ring);

		if (number < oldest)
		{
			pg_atomic_fetch_add_u64(&shared->unlogged, (int64) (oldest - number));
			pg_atomic_write_u64(&shared->taken, oldest);
			continue;
		}
		if (number >= pooldiag_ring_next(ring))
			return false;
		switch (pooldiag_ring_read(ring, number, alert))
		{
			case POOLDIAG_RING_WHOLE:
				pg_atomic_write_u64(&shared->taken, number + 1);
				return true;
			case POOLDIAG_RING_UNFINISHED:
				/* Its writer wakes us when it is there. */
				return false;
			case POOLDIAG_RING_GONE:
			case POOLDIAG_RING_TORN:
				pg_atomic_fetch_add_u64(&shared->unlogged, 1);
				pg_atomic_write_u64(&shared->taken, number + 1);
				break;
		}
	}
}

/* The log, and the number of the oldest alert in it that may be shown. */
PoolDiagRing *
pooldiag_alerts_ring(uint64 *oldest)
{
	*oldest = Max(pooldiag_ring_oldest(ring), pg_atomic_read_u64(&shared->since));
	return ring;
}

PoolDiagAlertsUse
pooldiag_alerts_use(void)
{
	PoolDiagAlertsUse use;
	uint64 next = pooldiag_ring_next(ring);
	uint64 since = pg_atomic_read_u64(&shared->since);

	use.raised = next - Min(since, next);
	use.used = Min(use.raised, (uint64) pooldiag_alert_log_size);
	use.unlogged = pg_atomic_read_u64(&shared->unlogged);
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

void
pooldiag_alerts_reset(void)
{
	pg_atomic_write_u64(&shared->since, pooldiag_ring_next(ring));
}
