/*
 * counters.h
 *	  What sessions have done: one slot a session, totals a pool.
 */
#ifndef POOLDIAG_COUNTERS_H
#define POOLDIAG_COUNTERS_H

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "utils/guc.h"

#include "histogram.h"
#include "pools.h"

typedef enum PoolDiagCount
{
	POOLDIAG_XACTS,
	POOLDIAG_STATEMENTS, /* finished ones, failures included */
	POOLDIAG_FAILURES,
	POOLDIAG_ROWS,
	POOLDIAG_STATEMENT_US,
	POOLDIAG_HOLD_US,
	POOLDIAG_HOLD_IDLE_US, /* the part of hold that was idle in transaction */
	POOLDIAG_OPENED,
	POOLDIAG_CLOSED,
	POOLDIAG_REFUSED, /* connections; of pools only */
	POOLDIAG_WRITES,  /* transactions that committed something that they wrote */
	POOLDIAG_LOST, /* transactions that an error ended, or that were rolled back having written */
	POOLDIAG_CANCELS, /* of the failures, those that were ended from outside */
	POOLDIAG_CONNECT_US,
	POOLDIAG_LIFETIME_US,
	POOLDIAG_COUNTS
} PoolDiagCount;

/* The kinds of durations, as the view latency has them. */
typedef enum PoolDiagKind
{
	POOLDIAG_KIND_STATEMENT,
	POOLDIAG_KIND_TRANSACTION, /* hold time */
	POOLDIAG_COUNTED_KINDS,	   /* those until here a session has many of */
	POOLDIAG_KIND_CONNECT = POOLDIAG_COUNTED_KINDS,
	POOLDIAG_KIND_LIFETIME,
	POOLDIAG_KINDS
} PoolDiagKind;

/* What sessions of one pool have done since stats_reset. */
typedef struct PoolDiagTotals
{
	uint64 sums[POOLDIAG_COUNTS];
	uint64 histogram[POOLDIAG_KINDS][POOLDIAG_BUCKETS];
} PoolDiagTotals;

/* Of a pool: what its sessions have added. */
typedef struct PoolDiagPoolTotals
{
	pg_atomic_uint32 life; /* the sampler's: whose totals these are */
	pg_atomic_uint64 sums[POOLDIAG_COUNTS];
	pg_atomic_uint64 histogram[POOLDIAG_KINDS][POOLDIAG_BUCKETS];
} PoolDiagPoolTotals;

/*
 * A session's slot, that of its PGPROC. The session is its only writer, but for what the sampler finds; with plain
 * stores. Zeroed at login.
 */
typedef struct PoolDiagSlot
{
	int pid; /* 0: nobody's. Written last at login, and first at the end */
	/* The owner that the sampler has found, and the hash of the process and the name that it went by. */
	pg_atomic_uint64 assigned;
	uint32 owner;		/* whose totals these counts belong to, see POOLDIAG_OWNER */
	uint32 resets;		/* the number of the reset since which this counts */
	int connect_bucket; /* -1: not connected yet, or that is in the totals already */
	uint64 sums[POOLDIAG_COUNTS];
	/* Bit i is set after the first count in buckets 8 * i to 8 * i + 7: most stay empty, and readers pass by those. */
	uint64 touched[POOLDIAG_COUNTED_KINDS];
	/* The sampler's too: microseconds from which a statement is slow there, 0: not known. */
	pg_atomic_uint64 slow_us;
	/* Up to here a tick reads each slot. */
	char application_name[NAMEDATALEN];
	char pool
		[NAMEDATALEN]; /* the sampler's: the name of an assigned pool, empty if it is a discovered one */
	uint32 durations[POOLDIAG_COUNTED_KINDS][POOLDIAG_BUCKETS];
} PoolDiagSlot;

/* A row of the directory and the life of who has it, so that what was counted for one isn't the next one's. */
#define POOLDIAG_OWNER(index, life) ((uint32) (index) | (uint32) (life) << 16)
#define POOLDIAG_NO_OWNER PG_UINT32_MAX

/* This session's; NULL in a process that counts nothing. */
extern PoolDiagSlot *pooldiag_my_slot;
/* The number of the last reset. */
extern pg_atomic_uint32 *pooldiag_counters_reset_number;

extern Size pooldiag_counters_size(void);
extern void pooldiag_counters_attach(char *at, bool made);
extern void pooldiag_counters_request(void);

/* In a session. */
extern void pooldiag_counters_login(void);
extern void pooldiag_counters_connected(int64 connect_us);
extern void pooldiag_counters_begin_from_zero(void);
extern void pooldiag_counters_settle_changes(void);
extern void pooldiag_counters_logout(int64 lifetime_us);
extern bool pooldiag_counters_pool_name(char *name);

/* In the sampler. */
extern void pooldiag_counters_assign(int procno, int pid, const char *application_name,
									 PoolDiagPools *pools, int index);
extern void pooldiag_counters_follow(PoolDiagPools *pools);
extern int pooldiag_counters_take_peak(void);
extern void pooldiag_counters_set_slow(int64 us);
extern void pooldiag_counters_refused(PoolDiagPools *pools, int index, uint64 count);
extern const PoolDiagSlot *pooldiag_counters_slot(int procno, uint32 *owner);
extern PoolDiagPoolTotals *pooldiag_counters_totals(int index);

/* For what outlives the server. */
extern int pooldiag_counters_sessions(void);
extern void pooldiag_counters_add_departed(const PoolDiagPools *pools, PoolDiagTotals *totals);
extern void
pooldiag_counters_restore(PoolDiagPools *pools, int index, const PoolDiagTotals *totals);
extern void pooldiag_counters_restore_reset_at(TimestampTz reset_at);

/* Anywhere. */
extern const char *pooldiag_kind_name(PoolDiagKind kind);
extern void pooldiag_counters_read(const PoolDiagPools *pools, PoolDiagTotals *totals);
extern TimestampTz pooldiag_counters_reset_at(void);
extern uint32 pooldiag_counters_resets(void);
extern uint64 pooldiag_counters_dropped(void);
extern void pooldiag_counters_reset(void);
extern void pooldiag_counters_reset_refused(void);

/* Has there been a reset that this session doesn't know of? */
static inline bool
pooldiag_counters_were_reset(const PoolDiagSlot *slot)
{
	return slot->resets != pg_atomic_read_u32(pooldiag_counters_reset_number);
}

/* Before something is counted: after such a reset it begins from zero. */
static inline void
pooldiag_counters_follow_reset(void)
{
	if (unlikely(pooldiag_counters_were_reset(pooldiag_my_slot)))
		pooldiag_counters_begin_from_zero();
}

/*
 * At the end of a transaction, before that is counted: what was counted until now stays with the name that the
 * session had, and goes to the pool that the sampler has found for it.
 */
static inline void
pooldiag_counters_settle(PoolDiagSlot *slot)
{
	if (unlikely((uint32) pg_atomic_read_u64(&slot->assigned) != slot->owner ||
				 strcmp(slot->application_name, application_name) != 0))
		pooldiag_counters_settle_changes();
}

/* Adds a duration to this session's, of kind statement or transaction. */
static inline void
pooldiag_count_duration(PoolDiagSlot *slot, PoolDiagKind kind, int64 us)
{
	int bucket = pooldiag_histogram_bucket(us);

	slot->durations[kind][bucket]++;
	slot->touched[kind] |= UINT64CONST(1) << (bucket / 8);
}

/* Is that slow in this session's pool, as far as is known? Where nothing is known, all is. */
static inline bool
pooldiag_counters_is_slow(PoolDiagSlot *slot, int64 us)
{
	return unlikely((uint64) us >= pg_atomic_read_u64(&slot->slow_us));
}

#endif /* POOLDIAG_COUNTERS_H */
