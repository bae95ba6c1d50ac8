/*
 * thresholds.h
 *	  From where the rules of the advisor fire: all of it in one place.
 *
 * Pure: figures only. "The window" is pooldiag.advice_window, five minutes by default. What a pool's definition says
 * itself (timeout, recycle, slow, leak) goes before anything here. README.md has the same in a table.
 */
#ifndef POOLDIAG_THRESHOLDS_H
#define POOLDIAG_THRESHOLDS_H

/* Of the window, the part that must have been seen before a rule judges a mean over it. */
#define POOLDIAG_WINDOW_SEEN_PERCENT 80

/* operations_failing: failures in a row. */
#define POOLDIAG_OPERATIONS_FAILURES 3

/* slots_nearly_full: percent of usable slots; from the second on it is critical. */
#define POOLDIAG_SLOTS_WARNING_PERCENT 80
#define POOLDIAG_SLOTS_CRITICAL_PERCENT 95

/* refused_connections: refused in the window for want of room; from the second on it is critical. */
#define POOLDIAG_REFUSED_LEAST 1
#define POOLDIAG_REFUSED_CRITICAL 100

/* role_or_database_limit: percent of CONNECTION LIMIT; at 100 it is critical. */
#define POOLDIAG_LIMIT_PERCENT 80

/* pool_saturated: all connections of the pool checked out for so long (less, if its timeout is less); past its timeout it
 * is critical. */
#define POOLDIAG_SATURATED_MS 5000

/* pool_oversized, max_connections_oversized: history of so many hours, in which utilization never passed so many percent;
 * a size, or a max_connections, of less is not worth a word. */
#define POOLDIAG_OVERSIZED_HOURS 24
#define POOLDIAG_OVERSIZED_PERCENT 25
#define POOLDIAG_OVERSIZED_POOL_LEAST 10
#define POOLDIAG_OVERSIZED_SERVER_LEAST 200
/* What to come down to: so many percent of the most that there were at once, and not below. */
#define POOLDIAG_OVERSIZED_ROOM_PERCENT 200
#define POOLDIAG_OVERSIZED_POOL_FLOOR 5
#define POOLDIAG_OVERSIZED_SERVER_FLOOR 100

/* aborted_transactions: idle in a failed transaction for so long (less, if the pool's leak is less). */
#define POOLDIAG_ABORTED_MS 10000

/* leak_growth: over an hour of five-minute spans connections rise by so many, and by so many percent, and never dip by
 * more than the fourth; transactions a second and active connections rise by no more than the third. */
#define POOLDIAG_GROWTH_LEAST_CONNECTIONS 5
#define POOLDIAG_GROWTH_LEAST_PERCENT 25
#define POOLDIAG_GROWTH_ACTIVITY_PERCENT 10
#define POOLDIAG_GROWTH_DIP 0.5

/* held_while_idle: so many transactions in the window, that held connections idle for so many percent of their time, and
 * so many connections on average. It is a warning where that is such a part of the pool's size. */
#define POOLDIAG_HELD_LEAST_XACTS 20
#define POOLDIAG_HELD_IDLE_PERCENT 50
#define POOLDIAG_HELD_LEAST_CONNECTIONS 0.5
#define POOLDIAG_HELD_WARNING_PERCENT 25

/* canceled_statements: so many in the window, and so many percent of all statements. */
#define POOLDIAG_CANCELED_LEAST 5
#define POOLDIAG_CANCELED_PERCENT 1

/* lock_pileup: so many sessions wait for locks; from the second on it is critical. */
#define POOLDIAG_PILEUP_LEAST 5
#define POOLDIAG_PILEUP_CRITICAL 20

/* blocked_by_idle: somebody has waited for so long for a session that is idle in transaction; with so many waiting it is
 * critical. */
#define POOLDIAG_BLOCKED_MS 5000
#define POOLDIAG_BLOCKED_CRITICAL 5

/* wait_bound: so many active connections on average in the window, and such a part of them in one class of waits. */
#define POOLDIAG_WAIT_BOUND_ACTIVE 4
#define POOLDIAG_WAIT_BOUND_PERCENT 50

/* cpu_oversubscribed: for each core so many active connections that wait for nothing, on average in the window. */
#define POOLDIAG_CPU_PER_CORE 2.0

/* Load is high, for read_heavy and statement_logging, where so many connections for each core are active. */
#define POOLDIAG_BUSY_PER_CORE 1.0

/* connection_storm: so many connections opened in the window, and a second, that live for no longer than so long. */
#define POOLDIAG_STORM_LEAST 30
#define POOLDIAG_STORM_RATE 1.0
#define POOLDIAG_STORM_LIFETIME_SECONDS 60

/* not_recycled: a connection of a declared pool was used when it was older than so many percent of the pool's recycle. */
#define POOLDIAG_RECYCLE_PERCENT 110

/* stale_clients: keepalives that begin later than this, for connections over TCP that idle for longer than their pool's
 * recycle; and what to set. */
#define POOLDIAG_KEEPALIVE_SECONDS 600

/* no_reserved_slots: the peak of connections, in percent of the slots; from the second on it is a warning. */
#define POOLDIAG_RESERVE_INFO_PERCENT 50
#define POOLDIAG_RESERVE_WARNING_PERCENT 80

/* memory_at_risk: shared_buffers and work_mem * hash_mem_multiplier for each connection of the peak, in percent of
 * memory; from the second on it is a warning. */
#define POOLDIAG_MEMORY_INFO_PERCENT 100
#define POOLDIAG_MEMORY_WARNING_PERCENT 200
/* What work_mem is to come down to: so many percent of memory that shared_buffers leaves. */
#define POOLDIAG_MEMORY_SHARE_PERCENT 50

/* missing_index: so many slow statements that read a table of so many pages from end to end, and want no more than so many
 * percent of it. */
#define POOLDIAG_INDEX_LEAST_CALLS 3
#define POOLDIAG_INDEX_LEAST_PAGES 1000
#define POOLDIAG_INDEX_MOST_PERCENT 10

/* read_heavy: so many transactions in the window, of which so many percent wrote nothing, under high load. */
#define POOLDIAG_READS_LEAST_XACTS 100
#define POOLDIAG_READS_PERCENT 90

/* authentication_failures: in the window. */
#define POOLDIAG_AUTHENTICATION_LEAST 10

/* rollback_rate: so many transactions in the window that were lost, and so many percent of all. */
#define POOLDIAG_LOST_LEAST 20
#define POOLDIAG_LOST_PERCENT 20

/* horizon_held: so many transactions have begun since, and it has been held for longer than the pool's slow. */
#define POOLDIAG_HORIZON_XIDS 100000

#endif /* POOLDIAG_THRESHOLDS_H */
