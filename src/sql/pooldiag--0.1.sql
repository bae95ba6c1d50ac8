/* pooldiag--0.1.sql */

\echo Use "CREATE EXTENSION pooldiag" to load this file. \quit

/*
 * Each view stands on a function of the same name. Both are for pg_monitor and nobody else; rows of other
 * roles' sessions are masked as in pg_stat_activity wherever an administrator grants a view, and the function
 * behind it, to more.
 */

CREATE FUNCTION pooldiag.connection_states(
	OUT state pg_catalog.text,
	OUT connections pg_catalog.int4,
	OUT slots_percent pg_catalog.float8,
	OUT oldest pg_catalog.interval
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_connection_states'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 8;
COMMENT ON FUNCTION pooldiag.connection_states() IS
	'The rows of the view pooldiag.connection_states, in no particular order.';

CREATE VIEW pooldiag.connection_states AS
	SELECT state, connections, slots_percent, oldest
	FROM pooldiag.connection_states();
COMMENT ON VIEW pooldiag.connection_states IS
	'Connections by state: one row for each state, always all of them. Answers from shared memory, without copying the sessions'' queries.';
COMMENT ON COLUMN pooldiag.connection_states.state IS
	'State of the connection as in pg_stat_activity, and starting for those that are not yet authenticated. NULL: connections of other roles, for a caller who may not look into them.';
COMMENT ON COLUMN pooldiag.connection_states.connections IS
	'Connections in this state.';
COMMENT ON COLUMN pooldiag.connection_states.slots_percent IS
	'Their share of the usable slots, in percent.';
COMMENT ON COLUMN pooldiag.connection_states.oldest IS
	'Longest time that one of them has been in this state.';

CREATE FUNCTION pooldiag.connections(
	OUT pid pg_catalog.int4,
	OUT pool pg_catalog.text,
	OUT datname pg_catalog.text,
	OUT usename pg_catalog.text,
	OUT application_name pg_catalog.text,
	OUT client_addr pg_catalog.inet,
	OUT backend_start pg_catalog.timestamptz,
	OUT state pg_catalog.text,
	OUT state_change pg_catalog.timestamptz,
	OUT state_age pg_catalog.interval,
	OUT xact_start pg_catalog.timestamptz,
	OUT xact_age pg_catalog.interval,
	OUT wait_event_type pg_catalog.text,
	OUT wait_event pg_catalog.text,
	OUT query_id pg_catalog.int8,
	OUT query pg_catalog.text
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_connections'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION pooldiag.connections() IS
	'The rows of the view pooldiag.connections, in no particular order.';

CREATE VIEW pooldiag.connections AS
	SELECT pid, pool, datname, usename, application_name, client_addr, backend_start, state, state_change, state_age, xact_start, xact_age, wait_event_type, wait_event, query_id, query
	FROM pooldiag.connections();
COMMENT ON VIEW pooldiag.connections IS
	'Connections, one row for each: occupied regular slots, those that are still starting included.';
COMMENT ON COLUMN pooldiag.connections.pid IS
	'Process of the session.';
COMMENT ON COLUMN pooldiag.connections.pool IS
	'Pool that the connection belongs to; NULL while it is starting, and where the row is masked.';
COMMENT ON COLUMN pooldiag.connections.datname IS
	'Database.';
COMMENT ON COLUMN pooldiag.connections.usename IS
	'Role that logged in.';
COMMENT ON COLUMN pooldiag.connections.application_name IS
	'Name that the application gives itself.';
COMMENT ON COLUMN pooldiag.connections.client_addr IS
	'Address of the client; NULL over a Unix socket.';
COMMENT ON COLUMN pooldiag.connections.backend_start IS
	'When the session began.';
COMMENT ON COLUMN pooldiag.connections.state IS
	'State, as in connection_states.';
COMMENT ON COLUMN pooldiag.connections.state_change IS
	'When it entered this state.';
COMMENT ON COLUMN pooldiag.connections.state_age IS
	'How long it has been in this state.';
COMMENT ON COLUMN pooldiag.connections.xact_start IS
	'When its transaction began; NULL outside of one.';
COMMENT ON COLUMN pooldiag.connections.xact_age IS
	'How long its transaction has run.';
COMMENT ON COLUMN pooldiag.connections.wait_event_type IS
	'Class of what it waits for; NULL: it is not waiting.';
COMMENT ON COLUMN pooldiag.connections.wait_event IS
	'What it waits for.';
COMMENT ON COLUMN pooldiag.connections.query_id IS
	'Identifier of its statement, where compute_query_id is on.';
COMMENT ON COLUMN pooldiag.connections.query IS
	'Text of its current or last statement; NULL under pooldiag.track_query_text = off.';

CREATE FUNCTION pooldiag.connection_groups(
	OUT datname pg_catalog.text,
	OUT usename pg_catalog.text,
	OUT application_name pg_catalog.text,
	OUT client_addr pg_catalog.inet,
	OUT connections pg_catalog.int4,
	OUT active pg_catalog.int4,
	OUT idle pg_catalog.int4,
	OUT idle_in_transaction pg_catalog.int4,
	OUT waiting pg_catalog.int4,
	OUT oldest_xact pg_catalog.interval,
	OUT oldest_connection pg_catalog.interval
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_connection_groups'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION pooldiag.connection_groups() IS
	'The rows of the view pooldiag.connection_groups, in no particular order.';

CREATE VIEW pooldiag.connection_groups AS
	SELECT datname, usename, application_name, client_addr, connections, active, idle, idle_in_transaction, waiting, oldest_xact, oldest_connection
	FROM pooldiag.connection_groups() ORDER BY connections DESC, datname, usename, application_name, client_addr;
COMMENT ON VIEW pooldiag.connection_groups IS
	'Connections by database, role, application name and client address: who holds the slots.';
COMMENT ON COLUMN pooldiag.connection_groups.datname IS
	'Database.';
COMMENT ON COLUMN pooldiag.connection_groups.usename IS
	'Role that logged in.';
COMMENT ON COLUMN pooldiag.connection_groups.application_name IS
	'Name that the application gives itself.';
COMMENT ON COLUMN pooldiag.connection_groups.client_addr IS
	'Address of the client; NULL over a Unix socket, and where masked.';
COMMENT ON COLUMN pooldiag.connection_groups.connections IS
	'Connections of the group.';
COMMENT ON COLUMN pooldiag.connection_groups.active IS
	'Those that are running a statement. NULL where masked, as all that follows.';
COMMENT ON COLUMN pooldiag.connection_groups.idle IS
	'Those that are idle outside of a transaction.';
COMMENT ON COLUMN pooldiag.connection_groups.idle_in_transaction IS
	'Those that are idle in a transaction, failed ones included.';
COMMENT ON COLUMN pooldiag.connection_groups.waiting IS
	'Those that wait for a heavyweight lock.';
COMMENT ON COLUMN pooldiag.connection_groups.oldest_xact IS
	'Age of the oldest transaction of the group.';
COMMENT ON COLUMN pooldiag.connection_groups.oldest_connection IS
	'Age of the oldest connection of the group.';

CREATE FUNCTION pooldiag.utilization(
	OUT scope pg_catalog.text,
	OUT name pg_catalog.text,
	OUT connections pg_catalog.int4,
	OUT checked_out pg_catalog.int4,
	OUT capacity pg_catalog.int4,
	OUT utilization_percent pg_catalog.float8,
	OUT peak_connections pg_catalog.int4,
	OUT peak_at pg_catalog.timestamptz
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_utilization'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 50;
COMMENT ON FUNCTION pooldiag.utilization() IS
	'The rows of the view pooldiag.utilization, in no particular order.';

CREATE VIEW pooldiag.utilization AS
	SELECT scope, name, connections, checked_out, capacity, utilization_percent, peak_connections, peak_at
	FROM pooldiag.utilization();
COMMENT ON VIEW pooldiag.utilization IS
	'How full everything is that has a limit.';
COMMENT ON COLUMN pooldiag.utilization.scope IS
	'server, reserved slots, database, role, pool, walsenders or workers.';
COMMENT ON COLUMN pooldiag.utilization.name IS
	'Name of the database, role or pool; NULL for the scopes of which there is one.';
COMMENT ON COLUMN pooldiag.utilization.connections IS
	'Connections now; of walsenders and workers, their processes.';
COMMENT ON COLUMN pooldiag.utilization.checked_out IS
	'Those handed to code, as far as the server can tell; where the slot itself is what is used up (server, reserved slots, walsenders, workers), all of them. NULL where some are masked.';
COMMENT ON COLUMN pooldiag.utilization.capacity IS
	'The limit on connections; NULL: none.';
COMMENT ON COLUMN pooldiag.utilization.utilization_percent IS
	'Of a pool 100 * checked_out / (instances * size), else 100 * connections / capacity. May pass 100.';
COMMENT ON COLUMN pooldiag.utilization.peak_connections IS
	'Most connections at once, between two samples and before a restart of the server too; NULL without preloading.';
COMMENT ON COLUMN pooldiag.utilization.peak_at IS
	'When that was.';

CREATE FUNCTION pooldiag.pools(
	OUT pool pg_catalog.text,
	OUT declared pg_catalog.bool,
	OUT instances pg_catalog.int4,
	OUT size pg_catalog.int4,
	OUT max_overflow pg_catalog.int4,
	OUT capacity pg_catalog.int4,
	OUT connections pg_catalog.int4,
	OUT checked_out pg_catalog.int4,
	OUT idle pg_catalog.int4,
	OUT overflow pg_catalog.int4,
	OUT utilization_percent pg_catalog.float8,
	OUT saturation_percent pg_catalog.float8,
	OUT peak_checked_out pg_catalog.int4,
	OUT over_recycle pg_catalog.int4,
	OUT leaks pg_catalog.int4,
	OUT xacts pg_catalog.int8,
	OUT xact_rate pg_catalog.float8,
	OUT hold_p50_ms pg_catalog.float8,
	OUT hold_p95_ms pg_catalog.float8,
	OUT hold_p99_ms pg_catalog.float8,
	OUT hold_efficiency_percent pg_catalog.float8,
	OUT statements pg_catalog.int8,
	OUT statement_p95_ms pg_catalog.float8,
	OUT sessions_opened pg_catalog.int8,
	OUT refused pg_catalog.int8,
	OUT breaker_state pg_catalog.text
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_pools'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 50;
COMMENT ON FUNCTION pooldiag.pools() IS
	'The rows of the view pooldiag.pools, in no particular order.';

CREATE VIEW pooldiag.pools AS
	SELECT pool, declared, instances, size, max_overflow, capacity, connections, checked_out, idle, overflow, utilization_percent, saturation_percent, peak_checked_out, over_recycle, leaks, xacts, xact_rate, hold_p50_ms, hold_p95_ms, hold_p99_ms, hold_efficiency_percent, statements, statement_p95_ms, sessions_opened, refused, breaker_state
	FROM pooldiag.pools();
COMMENT ON VIEW pooldiag.pools IS
	'Pools of the applications: declared ones as pooldiag.pools has them, and one for each other (user, database, application name).';
COMMENT ON COLUMN pooldiag.pools.pool IS
	'Name; of a discovered pool user@database/application_name. NULL: connections that the caller may not look into.';
COMMENT ON COLUMN pooldiag.pools.declared IS
	'Is it declared in pooldiag.pools?';
COMMENT ON COLUMN pooldiag.pools.instances IS
	'Processes that run such a pool. NULL for a discovered pool, as all limits.';
COMMENT ON COLUMN pooldiag.pools.size IS
	'Connections that one of them keeps.';
COMMENT ON COLUMN pooldiag.pools.max_overflow IS
	'Connections that one of them may add.';
COMMENT ON COLUMN pooldiag.pools.capacity IS
	'instances * (size + max_overflow).';
COMMENT ON COLUMN pooldiag.pools.connections IS
	'Connections now.';
COMMENT ON COLUMN pooldiag.pools.checked_out IS
	'Those handed to code, as far as the server can tell: active, fastpath, idle in transaction.';
COMMENT ON COLUMN pooldiag.pools.idle IS
	'Those that are idle outside of a transaction.';
COMMENT ON COLUMN pooldiag.pools.overflow IS
	'Connections beyond instances * size.';
COMMENT ON COLUMN pooldiag.pools.utilization_percent IS
	'100 * checked_out / (instances * size); passes 100 when overflow is in use.';
COMMENT ON COLUMN pooldiag.pools.saturation_percent IS
	'100 * connections / capacity.';
COMMENT ON COLUMN pooldiag.pools.peak_checked_out IS
	'Most that a sample has seen checked out since the pool is known; NULL without preloading.';
COMMENT ON COLUMN pooldiag.pools.over_recycle IS
	'Connections older than the pool''s recycle.';
COMMENT ON COLUMN pooldiag.pools.leaks IS
	'Leak suspects: idle in transaction for longer than the pool''s leak.';
COMMENT ON COLUMN pooldiag.pools.xacts IS
	'Transactions that have ended, committed or not, since stats_reset of the view churn. NULL without preloading, as all further columns.';
COMMENT ON COLUMN pooldiag.pools.xact_rate IS
	'Transactions a second over the last minute; of a pool that is known for less than that, since then.';
COMMENT ON COLUMN pooldiag.pools.hold_p50_ms IS
	'Half of the transactions held their connection no longer than that, in milliseconds, within 7 %.';
COMMENT ON COLUMN pooldiag.pools.hold_p95_ms IS
	'95 of 100 held it no longer.';
COMMENT ON COLUMN pooldiag.pools.hold_p99_ms IS
	'99 of 100 held it no longer.';
COMMENT ON COLUMN pooldiag.pools.hold_efficiency_percent IS
	'The part of all hold time in which the connection was not idle in transaction.';
COMMENT ON COLUMN pooldiag.pools.statements IS
	'Statements that have ended, failures included.';
COMMENT ON COLUMN pooldiag.pools.statement_p95_ms IS
	'95 of 100 statements took no longer than that, in milliseconds, within 7 %.';
COMMENT ON COLUMN pooldiag.pools.sessions_opened IS
	'Sessions that have finished their start-up.';
COMMENT ON COLUMN pooldiag.pools.refused IS
	'Connections that were turned away, up to the last tick of the sampler, attributed by the names that they came with; those to no pool that there is stand under (other).';
COMMENT ON COLUMN pooldiag.pools.breaker_state IS
	'State of the breaker pool:NAME, at the last tick of the sampler; NULL unless declared.';

CREATE FUNCTION pooldiag.churn(
	OUT pool pg_catalog.text,
	OUT opened pg_catalog.int8,
	OUT closed pg_catalog.int8,
	OUT open_rate pg_catalog.float8,
	OUT lifetime_p50_ms pg_catalog.float8,
	OUT lifetime_p95_ms pg_catalog.float8,
	OUT connect_p50_ms pg_catalog.float8,
	OUT connect_p95_ms pg_catalog.float8,
	OUT xacts_per_session pg_catalog.float8,
	OUT stats_reset pg_catalog.timestamptz
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_churn'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 50;
COMMENT ON FUNCTION pooldiag.churn() IS
	'The rows of the view pooldiag.churn, in no particular order.';

CREATE VIEW pooldiag.churn AS
	SELECT pool, opened, closed, open_rate, lifetime_p50_ms, lifetime_p95_ms, connect_p50_ms, connect_p95_ms, xacts_per_session, stats_reset
	FROM pooldiag.churn();
COMMENT ON VIEW pooldiag.churn IS
	'How sessions come and go, by pool. No rows for who may not see all sessions.';
COMMENT ON COLUMN pooldiag.churn.pool IS
	'Name of the pool.';
COMMENT ON COLUMN pooldiag.churn.opened IS
	'Sessions that have finished their start-up.';
COMMENT ON COLUMN pooldiag.churn.closed IS
	'Sessions that have ended.';
COMMENT ON COLUMN pooldiag.churn.open_rate IS
	'Sessions opened a second over the last minute; of a pool that is known for less than that, since then.';
COMMENT ON COLUMN pooldiag.churn.lifetime_p50_ms IS
	'Half of those that have ended lasted no longer than that, in milliseconds, within 7 %.';
COMMENT ON COLUMN pooldiag.churn.lifetime_p95_ms IS
	'95 of 100 lasted no longer.';
COMMENT ON COLUMN pooldiag.churn.connect_p50_ms IS
	'Half of the start-ups took no longer than that, in milliseconds, within 7 %: from the server process to the first statement.';
COMMENT ON COLUMN pooldiag.churn.connect_p95_ms IS
	'95 of 100 took no longer.';
COMMENT ON COLUMN pooldiag.churn.xacts_per_session IS
	'Transactions for each session opened: about 1 is a connection for each transaction, and no pool.';
COMMENT ON COLUMN pooldiag.churn.stats_reset IS
	'Since when all this is counted.';

CREATE FUNCTION pooldiag.latency(
	OUT pool pg_catalog.text,
	OUT kind pg_catalog.text,
	OUT lower_ms pg_catalog.float8,
	OUT upper_ms pg_catalog.float8,
	OUT count pg_catalog.int8,
	OUT stats_reset pg_catalog.timestamptz
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_latency'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 500;
COMMENT ON FUNCTION pooldiag.latency() IS
	'The rows of the view pooldiag.latency, in no particular order.';

CREATE VIEW pooldiag.latency AS
	SELECT pool, kind, lower_ms, upper_ms, count, stats_reset
	FROM pooldiag.latency();
COMMENT ON VIEW pooldiag.latency IS
	'Histograms of durations, by pool and kind; buckets that are empty are left out. No rows for who may not see all sessions.';
COMMENT ON COLUMN pooldiag.latency.pool IS
	'Name of the pool.';
COMMENT ON COLUMN pooldiag.latency.kind IS
	'statement, transaction (how long it held its connection), connect (start-up of a session), lifetime (of one that has ended).';
COMMENT ON COLUMN pooldiag.latency.lower_ms IS
	'The shortest duration in this bucket, in milliseconds.';
COMMENT ON COLUMN pooldiag.latency.upper_ms IS
	'All in this bucket are shorter than that. NULL: no end.';
COMMENT ON COLUMN pooldiag.latency.count IS
	'How many there were.';
COMMENT ON COLUMN pooldiag.latency.stats_reset IS
	'Since when all this is counted.';

CREATE FUNCTION pooldiag.waits(
	OUT pool pg_catalog.text,
	OUT wait_event_type pg_catalog.text,
	OUT wait_event pg_catalog.text,
	OUT samples pg_catalog.int8,
	OUT share_percent pg_catalog.float8,
	OUT stats_reset pg_catalog.timestamptz
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_waits'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION pooldiag.waits() IS
	'The rows of the view pooldiag.waits, in no particular order.';

CREATE VIEW pooldiag.waits AS
	SELECT pool, wait_event_type, wait_event, samples, share_percent, stats_reset
	FROM pooldiag.waits()
	ORDER BY samples DESC;
COMMENT ON VIEW pooldiag.waits IS
	'What active connections were seen waiting for at the sampler''s ticks, by pool. No rows for who may not see all sessions.';
COMMENT ON COLUMN pooldiag.waits.pool IS
	'Name of the pool.';
COMMENT ON COLUMN pooldiag.waits.wait_event_type IS
	'As in pg_stat_activity. NULL: it waited for nothing, and was on CPU or wanted to be.';
COMMENT ON COLUMN pooldiag.waits.wait_event IS
	'As in pg_stat_activity.';
COMMENT ON COLUMN pooldiag.waits.samples IS
	'How many times a connection of the pool was seen like that, one a tick.';
COMMENT ON COLUMN pooldiag.waits.share_percent IS
	'Of all times that an active connection of the pool was seen.';
COMMENT ON COLUMN pooldiag.waits.stats_reset IS
	'Since when all this is counted.';

CREATE FUNCTION pooldiag.slow_queries(
	OUT pid pg_catalog.int4,
	OUT pool pg_catalog.text,
	OUT datname pg_catalog.text,
	OUT usename pg_catalog.text,
	OUT application_name pg_catalog.text,
	OUT client_addr pg_catalog.inet,
	OUT state pg_catalog.text,
	OUT query_start pg_catalog.timestamptz,
	OUT duration pg_catalog.interval,
	OUT wait_event_type pg_catalog.text,
	OUT wait_event pg_catalog.text,
	OUT blocked_by pg_catalog.int4[],
	OUT query_id pg_catalog.int8,
	OUT query pg_catalog.text
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_slow_queries'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 20;
COMMENT ON FUNCTION pooldiag.slow_queries() IS
	'The rows of the view pooldiag.slow_queries, in no particular order.';

CREATE VIEW pooldiag.slow_queries AS
	SELECT pid, pool, datname, usename, application_name, client_addr, state, query_start, duration, wait_event_type, wait_event, blocked_by, query_id, query
	FROM pooldiag.slow_queries() ORDER BY duration DESC NULLS LAST;
COMMENT ON VIEW pooldiag.slow_queries IS
	'Connections that are not idle and whose statement started longer ago than their pool''s slow, or pooldiag.slow_query_threshold.';
COMMENT ON COLUMN pooldiag.slow_queries.pid IS
	'Process of the session.';
COMMENT ON COLUMN pooldiag.slow_queries.pool IS
	'Pool that the connection belongs to.';
COMMENT ON COLUMN pooldiag.slow_queries.datname IS
	'Database.';
COMMENT ON COLUMN pooldiag.slow_queries.usename IS
	'Role that logged in.';
COMMENT ON COLUMN pooldiag.slow_queries.application_name IS
	'Name that the application gives itself.';
COMMENT ON COLUMN pooldiag.slow_queries.client_addr IS
	'Address of the client; NULL over a Unix socket.';
COMMENT ON COLUMN pooldiag.slow_queries.state IS
	'State, as in connection_states.';
COMMENT ON COLUMN pooldiag.slow_queries.query_start IS
	'When the statement began.';
COMMENT ON COLUMN pooldiag.slow_queries.duration IS
	'How long it has run; of a connection idle in transaction, how long its last statement ran.';
COMMENT ON COLUMN pooldiag.slow_queries.wait_event_type IS
	'Class of what it waits for; NULL: it is not waiting.';
COMMENT ON COLUMN pooldiag.slow_queries.wait_event IS
	'What it waits for.';
COMMENT ON COLUMN pooldiag.slow_queries.blocked_by IS
	'Processes that keep it waiting for a heavyweight lock; 0 is a prepared transaction.';
COMMENT ON COLUMN pooldiag.slow_queries.query_id IS
	'Identifier of the statement, where compute_query_id is on.';
COMMENT ON COLUMN pooldiag.slow_queries.query IS
	'Text of the statement.';

CREATE FUNCTION pooldiag.leaks(
	OUT pid pg_catalog.int4,
	OUT pool pg_catalog.text,
	OUT datname pg_catalog.text,
	OUT usename pg_catalog.text,
	OUT application_name pg_catalog.text,
	OUT client_addr pg_catalog.inet,
	OUT state pg_catalog.text,
	OUT idle_for pg_catalog.interval,
	OUT xact_age pg_catalog.interval,
	OUT locks_held pg_catalog.int4,
	OUT blocking pg_catalog.int4,
	OUT holds_xmin pg_catalog.bool,
	OUT last_query pg_catalog.text
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_leaks'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 20;
COMMENT ON FUNCTION pooldiag.leaks() IS
	'The rows of the view pooldiag.leaks, in no particular order.';

CREATE VIEW pooldiag.leaks AS
	SELECT pid, pool, datname, usename, application_name, client_addr, state, idle_for, xact_age, locks_held, blocking, holds_xmin, last_query
	FROM pooldiag.leaks() ORDER BY idle_for DESC NULLS LAST;
COMMENT ON VIEW pooldiag.leaks IS
	'Leak suspects: connections idle in transaction for longer than their pool''s leak, or pooldiag.leak_threshold.';
COMMENT ON COLUMN pooldiag.leaks.pid IS
	'Process of the session.';
COMMENT ON COLUMN pooldiag.leaks.pool IS
	'Pool that the connection belongs to.';
COMMENT ON COLUMN pooldiag.leaks.datname IS
	'Database.';
COMMENT ON COLUMN pooldiag.leaks.usename IS
	'Role that logged in.';
COMMENT ON COLUMN pooldiag.leaks.application_name IS
	'Name that the application gives itself.';
COMMENT ON COLUMN pooldiag.leaks.client_addr IS
	'Address of the client; NULL over a Unix socket.';
COMMENT ON COLUMN pooldiag.leaks.state IS
	'idle in transaction, or idle in transaction (aborted).';
COMMENT ON COLUMN pooldiag.leaks.idle_for IS
	'How long it has been idle, since its last statement ended.';
COMMENT ON COLUMN pooldiag.leaks.xact_age IS
	'How long its transaction has run.';
COMMENT ON COLUMN pooldiag.leaks.locks_held IS
	'Heavyweight locks that it holds, as pg_locks counts them; predicate locks (SIReadLock) are left out.';
COMMENT ON COLUMN pooldiag.leaks.blocking IS
	'Sessions that wait for it, directly or behind others that do.';
COMMENT ON COLUMN pooldiag.leaks.holds_xmin IS
	'Does it hold back vacuum: is its xid or xmin the oldest of its database?';
COMMENT ON COLUMN pooldiag.leaks.last_query IS
	'Text of its last statement.';

CREATE FUNCTION pooldiag.blocking(
	OUT waiting_pid pg_catalog.int4,
	OUT waiting_for pg_catalog.interval,
	OUT lock_type pg_catalog.text,
	OUT lock_mode pg_catalog.text,
	OUT relation pg_catalog.text,
	OUT direct_blockers pg_catalog.int4[],
	OUT root_blocker pg_catalog.int4,
	OUT root_state pg_catalog.text,
	OUT root_idle_for pg_catalog.interval,
	OUT root_query pg_catalog.text,
	OUT depth pg_catalog.int4,
	OUT waiting_query pg_catalog.text
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_blocking'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 20;
COMMENT ON FUNCTION pooldiag.blocking() IS
	'The rows of the view pooldiag.blocking, in no particular order.';

CREATE VIEW pooldiag.blocking AS
	SELECT waiting_pid, waiting_for, lock_type, lock_mode, relation, direct_blockers, root_blocker, root_state, root_idle_for, root_query, depth, waiting_query
	FROM pooldiag.blocking() ORDER BY root_blocker NULLS LAST, depth, waiting_for DESC NULLS LAST;
COMMENT ON VIEW pooldiag.blocking IS
	'Sessions that wait for a heavyweight lock, who is in their way, and who is at the root of it.';
COMMENT ON COLUMN pooldiag.blocking.waiting_pid IS
	'Process that waits; of a parallel query, its leader.';
COMMENT ON COLUMN pooldiag.blocking.waiting_for IS
	'How long it has waited; NULL: it has only just begun.';
COMMENT ON COLUMN pooldiag.blocking.lock_type IS
	'What kind of object it waits for, as in pg_locks.';
COMMENT ON COLUMN pooldiag.blocking.lock_mode IS
	'Mode of the lock that it waits for.';
COMMENT ON COLUMN pooldiag.blocking.relation IS
	'Relation that it waits for, or for a row of; of another database, that database and the OID.';
COMMENT ON COLUMN pooldiag.blocking.direct_blockers IS
	'Processes that keep it waiting, those ahead of it in the queue included; 0 is a prepared transaction.';
COMMENT ON COLUMN pooldiag.blocking.root_blocker IS
	'Process at the end of the shortest way along blockers, which itself waits for no lock; NULL: they wait in a circle.';
COMMENT ON COLUMN pooldiag.blocking.root_state IS
	'State of the root.';
COMMENT ON COLUMN pooldiag.blocking.root_idle_for IS
	'How long the root has been idle; NULL where it is at work.';
COMMENT ON COLUMN pooldiag.blocking.root_query IS
	'Current or last statement of the root.';
COMMENT ON COLUMN pooldiag.blocking.depth IS
	'Steps to the root: 1 when it blocks directly.';
COMMENT ON COLUMN pooldiag.blocking.waiting_query IS
	'Statement that waits.';

CREATE FUNCTION pooldiag.slow_query_log(
	OUT finished_at pg_catalog.timestamptz,
	OUT duration_ms pg_catalog.float8,
	OUT outcome pg_catalog.text,
	OUT sqlstate pg_catalog.text,
	OUT rows pg_catalog.int8,
	OUT pid pg_catalog.int4,
	OUT pool pg_catalog.text,
	OUT datname pg_catalog.text,
	OUT usename pg_catalog.text,
	OUT application_name pg_catalog.text,
	OUT client_addr pg_catalog.inet,
	OUT query_id pg_catalog.int8,
	OUT query pg_catalog.text
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_slow_query_log'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION pooldiag.slow_query_log() IS
	'The rows of the view pooldiag.slow_query_log, in no particular order.';

CREATE VIEW pooldiag.slow_query_log AS
	SELECT finished_at, duration_ms, outcome, sqlstate, rows, pid, pool, datname, usename, application_name, client_addr, query_id, query
	FROM pooldiag.slow_query_log() ORDER BY finished_at DESC NULLS LAST;
COMMENT ON VIEW pooldiag.slow_query_log IS
	'Slow statements that have ended, one row for each, the newest pooldiag.slow_query_log_size, newest first. Needs shared_preload_libraries.';
COMMENT ON COLUMN pooldiag.slow_query_log.finished_at IS
	'When it ended; NULL where masked, as all but pid and names.';
COMMENT ON COLUMN pooldiag.slow_query_log.duration_ms IS
	'How long it took, with the commit of the transaction that it was; in the extended protocol the sum of its Execute messages.';
COMMENT ON COLUMN pooldiag.slow_query_log.outcome IS
	'completed; failed: it ended in an error; canceled: it was ended from outside, by a cancel request, a statement or lock timeout, a conflict with recovery, or the end of its session.';
COMMENT ON COLUMN pooldiag.slow_query_log.sqlstate IS
	'SQLSTATE of the error; NULL: there was none, or, of a session that ended, log_min_messages is panic.';
COMMENT ON COLUMN pooldiag.slow_query_log.rows IS
	'Rows that it returned or changed; NULL: it was not completed.';
COMMENT ON COLUMN pooldiag.slow_query_log.pid IS
	'Process of the session.';
COMMENT ON COLUMN pooldiag.slow_query_log.pool IS
	'Pool that the session belonged to; of a session that no sample had seen yet, the one that its names belong to now.';
COMMENT ON COLUMN pooldiag.slow_query_log.datname IS
	'Database, by the name under which the session logged in.';
COMMENT ON COLUMN pooldiag.slow_query_log.usename IS
	'Role that logged in.';
COMMENT ON COLUMN pooldiag.slow_query_log.application_name IS
	'Name that the application gave itself.';
COMMENT ON COLUMN pooldiag.slow_query_log.client_addr IS
	'Address of the client; NULL over a Unix socket.';
COMMENT ON COLUMN pooldiag.slow_query_log.query_id IS
	'Identifier of the statement, where compute_query_id is on.';
COMMENT ON COLUMN pooldiag.slow_query_log.query IS
	'Text of the statement, or of the message that it came in if it did not get to run; ... at its end: there is more. NULL: pooldiag.track_query_text is or was off.';

CREATE FUNCTION pooldiag.slow_query_stats(
	OUT query_id pg_catalog.int8,
	OUT datname pg_catalog.text,
	OUT calls pg_catalog.int8,
	OUT failures pg_catalog.int8,
	OUT total_ms pg_catalog.float8,
	OUT mean_ms pg_catalog.float8,
	OUT max_ms pg_catalog.float8,
	OUT hold_share_percent pg_catalog.float8,
	OUT last_at pg_catalog.timestamptz,
	OUT query pg_catalog.text,
	OUT stats_reset pg_catalog.timestamptz
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_slow_query_stats'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION pooldiag.slow_query_stats() IS
	'The rows of the view pooldiag.slow_query_stats, in no particular order.';

CREATE VIEW pooldiag.slow_query_stats AS
	SELECT query_id, datname, calls, failures, total_ms, mean_ms, max_ms, hold_share_percent, last_at, query, stats_reset
	FROM pooldiag.slow_query_stats() ORDER BY total_ms DESC;
COMMENT ON VIEW pooldiag.slow_query_stats IS
	'Slow statements that have ended, added up by statement and database: up to 512, those that took most. Needs shared_preload_libraries.';
COMMENT ON COLUMN pooldiag.slow_query_stats.query_id IS
	'Identifier of the statement, where compute_query_id is on; without it, statements are told apart by their text.';
COMMENT ON COLUMN pooldiag.slow_query_stats.datname IS
	'Database, by the name under which sessions logged in.';
COMMENT ON COLUMN pooldiag.slow_query_stats.calls IS
	'How often it was slow, since it has had a row here.';
COMMENT ON COLUMN pooldiag.slow_query_stats.failures IS
	'How many of these ended in an error, canceled ones included.';
COMMENT ON COLUMN pooldiag.slow_query_stats.total_ms IS
	'How long they took together.';
COMMENT ON COLUMN pooldiag.slow_query_stats.mean_ms IS
	'How long one took on average.';
COMMENT ON COLUMN pooldiag.slow_query_stats.max_ms IS
	'How long the longest took.';
COMMENT ON COLUMN pooldiag.slow_query_stats.hold_share_percent IS
	'Their part of all time that connections of the database were checked out since stats_reset, that of running transactions counted to the end of their last slow statement; NULL: not known.';
COMMENT ON COLUMN pooldiag.slow_query_stats.last_at IS
	'When the last one ended.';
COMMENT ON COLUMN pooldiag.slow_query_stats.query IS
	'Text of the first one, as in slow_query_log.';
COMMENT ON COLUMN pooldiag.slow_query_stats.stats_reset IS
	'Since when slow statements are counted.';

CREATE FUNCTION pooldiag.refusals(
	OUT reason pg_catalog.text,
	OUT sqlstate pg_catalog.text,
	OUT refused pg_catalog.int8,
	OUT first_at pg_catalog.timestamptz,
	OUT last_at pg_catalog.timestamptz,
	OUT last_user pg_catalog.text,
	OUT last_database pg_catalog.text,
	OUT last_application_name pg_catalog.text,
	OUT last_client pg_catalog.text,
	OUT stats_reset pg_catalog.timestamptz
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_refusals'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 12;
COMMENT ON FUNCTION pooldiag.refusals() IS
	'The rows of the view pooldiag.refusals, in no particular order.';

CREATE VIEW pooldiag.refusals AS
	SELECT reason, sqlstate, refused, first_at, last_at, last_user, last_database, last_application_name, last_client, stats_reset
	FROM pooldiag.refusals();
COMMENT ON VIEW pooldiag.refusals IS
	'Connections that were turned away, by reason: one row for each reason, always all of them. Needs shared_preload_libraries.';
COMMENT ON COLUMN pooldiag.refusals.reason IS
	'Why: no slot left, only reserved slots left, role limit, database limit, walsender limit, authentication, no such database, starting up, shutting down, recovery, protocol violation, other.';
COMMENT ON COLUMN pooldiag.refusals.sqlstate IS
	'SQLSTATE of the last one.';
COMMENT ON COLUMN pooldiag.refusals.refused IS
	'Connections refused.';
COMMENT ON COLUMN pooldiag.refusals.first_at IS
	'When the first one was; NULL: there was none.';
COMMENT ON COLUMN pooldiag.refusals.last_at IS
	'When the last one was.';
COMMENT ON COLUMN pooldiag.refusals.last_user IS
	'Role that the last one asked for; NULL where it gave none, or where masked, as the three that follow.';
COMMENT ON COLUMN pooldiag.refusals.last_database IS
	'Database that the last one asked for.';
COMMENT ON COLUMN pooldiag.refusals.last_application_name IS
	'Name that its application gave itself; empty: none.';
COMMENT ON COLUMN pooldiag.refusals.last_client IS
	'Its address, or [local] for a Unix socket.';
COMMENT ON COLUMN pooldiag.refusals.stats_reset IS
	'Since when refused connections are counted.';

CREATE FUNCTION pooldiag.refusal_log(
	OUT refused_at pg_catalog.timestamptz,
	OUT reason pg_catalog.text,
	OUT sqlstate pg_catalog.text,
	OUT usename pg_catalog.text,
	OUT datname pg_catalog.text,
	OUT application_name pg_catalog.text,
	OUT client pg_catalog.text
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_refusal_log'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 1000;
COMMENT ON FUNCTION pooldiag.refusal_log() IS
	'The rows of the view pooldiag.refusal_log, in no particular order.';

CREATE VIEW pooldiag.refusal_log AS
	SELECT refused_at, reason, sqlstate, usename, datname, application_name, client
	FROM pooldiag.refusal_log() ORDER BY refused_at DESC;
COMMENT ON VIEW pooldiag.refusal_log IS
	'Refused connections, one row for each, the newest 4096, newest first. Needs shared_preload_libraries.';
COMMENT ON COLUMN pooldiag.refusal_log.refused_at IS
	'When it was refused.';
COMMENT ON COLUMN pooldiag.refusal_log.reason IS
	'Why, as in refusals.';
COMMENT ON COLUMN pooldiag.refusal_log.sqlstate IS
	'SQLSTATE of the refusal.';
COMMENT ON COLUMN pooldiag.refusal_log.usename IS
	'Role that the client asked for; NULL where it gave none, or where masked, as the three that follow.';
COMMENT ON COLUMN pooldiag.refusal_log.datname IS
	'Database that it asked for.';
COMMENT ON COLUMN pooldiag.refusal_log.application_name IS
	'Name that the application gave itself; empty: none.';
COMMENT ON COLUMN pooldiag.refusal_log.client IS
	'Address of the client, or [local] for a Unix socket.';

CREATE FUNCTION pooldiag.refusal_sources(
	OUT reason pg_catalog.text,
	OUT usename pg_catalog.text,
	OUT datname pg_catalog.text,
	OUT application_name pg_catalog.text,
	OUT client pg_catalog.text,
	OUT refused pg_catalog.int8,
	OUT at_most_over pg_catalog.int8,
	OUT last_at pg_catalog.timestamptz,
	OUT stats_reset pg_catalog.timestamptz
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_refusal_sources'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 256;
COMMENT ON FUNCTION pooldiag.refusal_sources() IS
	'The rows of the view pooldiag.refusal_sources, in no particular order.';

CREATE VIEW pooldiag.refusal_sources AS
	SELECT reason, usename, datname, application_name, client, refused, at_most_over, last_at, stats_reset
	FROM pooldiag.refusal_sources() ORDER BY refused DESC, last_at DESC;
COMMENT ON VIEW pooldiag.refusal_sources IS
	'Where most refused connections came from: the 256 heaviest sources, heaviest first. Needs shared_preload_libraries.';
COMMENT ON COLUMN pooldiag.refusal_sources.reason IS
	'Why, as in refusals.';
COMMENT ON COLUMN pooldiag.refusal_sources.usename IS
	'Role that clients asked for; NULL where they gave none, or where masked, as the three that follow.';
COMMENT ON COLUMN pooldiag.refusal_sources.datname IS
	'Database that they asked for.';
COMMENT ON COLUMN pooldiag.refusal_sources.application_name IS
	'Name that their applications gave themselves; empty: none.';
COMMENT ON COLUMN pooldiag.refusal_sources.client IS
	'Address of the clients, or [local] for a Unix socket.';
COMMENT ON COLUMN pooldiag.refusal_sources.refused IS
	'Connections refused. Never too few, but for those that self counts as unattributed or torn.';
COMMENT ON COLUMN pooldiag.refusal_sources.at_most_over IS
	'By how many that may be too many: what the row had counted of other sources when it became this one''s.';
COMMENT ON COLUMN pooldiag.refusal_sources.last_at IS
	'When the last one was refused.';
COMMENT ON COLUMN pooldiag.refusal_sources.stats_reset IS
	'Since when refused connections are counted.';

CREATE FUNCTION pooldiag.breakers(
	OUT breaker pg_catalog.text,
	OUT scope pg_catalog.text,
	OUT state pg_catalog.text,
	OUT mode pg_catalog.text,
	OUT silenced_until pg_catalog.timestamptz,
	OUT value pg_catalog.float8,
	OUT limit_value pg_catalog.float8,
	OUT consecutive_failures pg_catalog.int4,
	OUT failure_threshold pg_catalog.int4,
	OUT opened_at pg_catalog.timestamptz,
	OUT retry_at pg_catalog.timestamptz,
	OUT trips pg_catalog.int8,
	OUT last_change pg_catalog.timestamptz
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_breakers'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION pooldiag.breakers() IS
	'The rows of the view pooldiag.breakers.';

CREATE VIEW pooldiag.breakers AS
	SELECT breaker, scope, state, mode, silenced_until, value, limit_value, consecutive_failures,
		failure_threshold, opened_at, retry_at, trips, last_change
	FROM pooldiag.breakers();
COMMENT ON VIEW pooldiag.breakers IS
	'Circuit breakers over what the sampler sees, as of its last tick: seven for the server, and one for each declared pool. Needs shared_preload_libraries.';
COMMENT ON COLUMN pooldiag.breakers.breaker IS
	'Name: slots, refusals, slow_queries, leaks, lock_waits, errors, operations, or pool:NAME.';
COMMENT ON COLUMN pooldiag.breakers.scope IS
	'What it watches: server or pool.';
COMMENT ON COLUMN pooldiag.breakers.state IS
	'closed (all is well), open, half_open (open, and tried again), forced_open or disabled (by a person, until reset).';
COMMENT ON COLUMN pooldiag.breakers.mode IS
	'normal, or metrics_only: evaluated and counted, without alerts.';
COMMENT ON COLUMN pooldiag.breakers.silenced_until IS
	'Until when it raises no alerts; NULL: it does.';
COMMENT ON COLUMN pooldiag.breakers.value IS
	'What it saw when it was evaluated last, the worst of that second: percent for slots, pools and errors, else a count. NULL: nothing yet, disabled, or too few statements for a share of errors.';
COMMENT ON COLUMN pooldiag.breakers.limit_value IS
	'The value from which on an evaluation fails.';
COMMENT ON COLUMN pooldiag.breakers.consecutive_failures IS
	'Evaluations in a row, up to the last one, that failed.';
COMMENT ON COLUMN pooldiag.breakers.failure_threshold IS
	'As many of them open it.';
COMMENT ON COLUMN pooldiag.breakers.opened_at IS
	'When it was opened, or opened again, last; NULL where it is not open.';
COMMENT ON COLUMN pooldiag.breakers.retry_at IS
	'When it will be half open; NULL unless it is open.';
COMMENT ON COLUMN pooldiag.breakers.trips IS
	'How often it went from closed to open since the server''s start.';
COMMENT ON COLUMN pooldiag.breakers.last_change IS
	'When its state changed last; NULL: not since the server''s start.';

CREATE FUNCTION pooldiag.alerts(
	OUT id pg_catalog.int8,
	OUT at pg_catalog.timestamptz,
	OUT breaker pg_catalog.text,
	OUT scope pg_catalog.text,
	OUT event pg_catalog.text,
	OUT severity pg_catalog.text,
	OUT value pg_catalog.float8,
	OUT limit_value pg_catalog.float8,
	OUT message pg_catalog.text,
	OUT evidence pg_catalog.jsonb
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_alerts'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 100;
COMMENT ON FUNCTION pooldiag.alerts() IS
	'The rows of the view pooldiag.alerts.';

CREATE VIEW pooldiag.alerts AS
	SELECT id, at, breaker, scope, event, severity, value, limit_value, message, evidence
	FROM pooldiag.alerts() ORDER BY id DESC;
COMMENT ON VIEW pooldiag.alerts IS
	'What breakers have done, one row for each event, the newest pooldiag.alert_log_size, newest first. Needs shared_preload_libraries.';
COMMENT ON COLUMN pooldiag.alerts.id IS
	'Number of the alert; later ones have higher ones.';
COMMENT ON COLUMN pooldiag.alerts.at IS
	'When it was raised.';
COMMENT ON COLUMN pooldiag.alerts.breaker IS
	'Name of the breaker, as in breakers.';
COMMENT ON COLUMN pooldiag.alerts.scope IS
	'What the breaker watches: server or pool.';
COMMENT ON COLUMN pooldiag.alerts.event IS
	'opened, half_opened, closed, reopened; by a person: forced, disabled, reset.';
COMMENT ON COLUMN pooldiag.alerts.severity IS
	'critical (slots, refusals and operations that open), warning (others that open), or info.';
COMMENT ON COLUMN pooldiag.alerts.value IS
	'What the breaker saw when it was evaluated last: percent for slots, pools and errors, else a count; NULL: nothing.';
COMMENT ON COLUMN pooldiag.alerts.limit_value IS
	'The value from which on an evaluation failed.';
COMMENT ON COLUMN pooldiag.alerts.message IS
	'The same in a sentence.';
COMMENT ON COLUMN pooldiag.alerts.evidence IS
	'Figures behind the value.';

CREATE FUNCTION pooldiag.incidents(
	OUT id pg_catalog.int8,
	OUT at pg_catalog.timestamptz,
	OUT breaker pg_catalog.text,
	OUT scope pg_catalog.text,
	OUT verdict pg_catalog.text,
	OUT remedy pg_catalog.text,
	OUT report pg_catalog.jsonb
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_incidents'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 16;
COMMENT ON FUNCTION pooldiag.incidents() IS
	'The rows of the view pooldiag.incidents.';

CREATE VIEW pooldiag.incidents AS
	SELECT id, at, breaker, scope, verdict, remedy, report
	FROM pooldiag.incidents() ORDER BY id DESC;
COMMENT ON VIEW pooldiag.incidents IS
	'What led to the opening of a breaker, one row for each time that one went from closed to open, the newest 16, newest first. Needs shared_preload_libraries.';
COMMENT ON COLUMN pooldiag.incidents.id IS
	'Number of the incident, without gaps.';
COMMENT ON COLUMN pooldiag.incidents.at IS
	'When the breaker opened.';
COMMENT ON COLUMN pooldiag.incidents.breaker IS
	'Name of the breaker, as in breakers.';
COMMENT ON COLUMN pooldiag.incidents.scope IS
	'What the breaker watches: server or pool.';
COMMENT ON COLUMN pooldiag.incidents.verdict IS
	'What led to it, in a sentence. NULL for who may not see all sessions.';
COMMENT ON COLUMN pooldiag.incidents.remedy IS
	'SQL that deals with it, or shows where to look; it ends only processes that it names, and only as long as they are at what they were at. NULL for who may not see all sessions.';
COMMENT ON COLUMN pooldiag.incidents.report IS
	'What there was: the last two minutes, slots by pool and state, who took the last fifth of the slots, root blockers, waits, the longest transactions, refused connections; up to 10 of each, and how many are not listed. No query text. NULL for who may not see all sessions.';

CREATE FUNCTION pooldiag.recommendations(
	OUT severity pg_catalog.text,
	OUT rule pg_catalog.text,
	OUT subject pg_catalog.text,
	OUT title pg_catalog.text,
	OUT evidence pg_catalog.jsonb,
	OUT advice pg_catalog.text,
	OUT remedy pg_catalog.text,
	OUT first_seen pg_catalog.timestamptz,
	OUT last_seen pg_catalog.timestamptz
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_recommendations'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 10;
COMMENT ON FUNCTION pooldiag.recommendations() IS
	'The rows of the view pooldiag.recommendations, in no particular order.';

CREATE VIEW pooldiag.recommendations AS
	SELECT severity, rule, subject, title, evidence, advice, remedy, first_seen, last_seen
	FROM pooldiag.recommendations();
COMMENT ON VIEW pooldiag.recommendations IS
	'What deserves attention and what to do about it, the gravest first. One row all_clear when no rule fires.';
COMMENT ON COLUMN pooldiag.recommendations.severity IS
	'info, warning or critical.';
COMMENT ON COLUMN pooldiag.recommendations.rule IS
	'Rule that fires.';
COMMENT ON COLUMN pooldiag.recommendations.subject IS
	'What it fires for: server, a pool, a role, a database, a setting, a table, a replication slot, an operation.';
COMMENT ON COLUMN pooldiag.recommendations.title IS
	'What is wrong, in one sentence.';
COMMENT ON COLUMN pooldiag.recommendations.evidence IS
	'Figures that made the rule fire.';
COMMENT ON COLUMN pooldiag.recommendations.advice IS
	'What it means and what to do, in plain words.';
COMMENT ON COLUMN pooldiag.recommendations.remedy IS
	'SQL to paste; read it first. Processes are named by pid and backend_start, so that a reused pid is safe; those that are idle in transaction by since when, too.';
COMMENT ON COLUMN pooldiag.recommendations.first_seen IS
	'Since when it has fired without a break; NULL: not known (no preloading).';
COMMENT ON COLUMN pooldiag.recommendations.last_seen IS
	'When it was last seen to fire.';

CREATE FUNCTION pooldiag.operations(
	OUT operation pg_catalog.text,
	OUT state pg_catalog.text,
	OUT last_started pg_catalog.timestamptz,
	OUT last_finished pg_catalog.timestamptz,
	OUT last_ms pg_catalog.float8,
	OUT succeeded pg_catalog.int8,
	OUT failed pg_catalog.int8,
	OUT timed_out pg_catalog.int8,
	OUT consecutive_failures pg_catalog.int8,
	OUT last_error pg_catalog.text
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_operations'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 5;
COMMENT ON FUNCTION pooldiag.operations() IS
	'The rows of the view pooldiag.operations.';

CREATE VIEW pooldiag.operations AS
	SELECT operation, state, last_started, last_finished, last_ms, succeeded, failed, timed_out, consecutive_failures, last_error
	FROM pooldiag.operations();
COMMENT ON VIEW pooldiag.operations IS
	'What pooldiag itself does that may wait for a disk, or hang; no session ever waits for it. Since the server''s start. Needs shared_preload_libraries.';
COMMENT ON COLUMN pooldiag.operations.operation IS
	'state_file (what outlives the server, each minute), journal (alerts, at once), canary, notify (alerts to listeners) or limits (of roles and databases, each minute).';
COMMENT ON COLUMN pooldiag.operations.state IS
	'idle, running, or overdue: running for longer than pooldiag.operation_timeout.';
COMMENT ON COLUMN pooldiag.operations.last_started IS
	'When the last try began; NULL: there was none.';
COMMENT ON COLUMN pooldiag.operations.last_finished IS
	'When a try ended last, well or not.';
COMMENT ON COLUMN pooldiag.operations.last_ms IS
	'How long that one took, in milliseconds.';
COMMENT ON COLUMN pooldiag.operations.succeeded IS
	'Tries that did what they should, in time.';
COMMENT ON COLUMN pooldiag.operations.failed IS
	'Tries that failed, in time, or could not begin because the one before had not ended.';
COMMENT ON COLUMN pooldiag.operations.timed_out IS
	'Tries that took longer than pooldiag.operation_timeout, whatever became of them.';
COMMENT ON COLUMN pooldiag.operations.consecutive_failures IS
	'Tries in a row, up to the last one, that failed or timed out.';
COMMENT ON COLUMN pooldiag.operations.last_error IS
	'Why one failed last; NULL: none has.';

CREATE FUNCTION pooldiag.self(
	OUT name pg_catalog.text,
	OUT value pg_catalog.float8,
	OUT unit pg_catalog.text
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_self'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 50;
COMMENT ON FUNCTION pooldiag.self() IS
	'The rows of the view pooldiag.self, in no particular order.';

CREATE VIEW pooldiag.self AS
	SELECT name, value, unit
	FROM pooldiag.self();
COMMENT ON VIEW pooldiag.self IS
	'What pooldiag itself costs, and how full its tables are. Needs shared_preload_libraries.';
COMMENT ON COLUMN pooldiag.self.name IS
	'Figure.';
COMMENT ON COLUMN pooldiag.self.value IS
	'Value; NULL: not known.';
COMMENT ON COLUMN pooldiag.self.unit IS
	'Unit of the value.';

CREATE FUNCTION pooldiag.history(
	since pg_catalog.interval DEFAULT '10 min',
	pool pg_catalog.text DEFAULT NULL,
	step pg_catalog.interval DEFAULT NULL,
	OUT at pg_catalog.timestamptz,
	OUT connections pg_catalog.float8,
	OUT active pg_catalog.float8,
	OUT idle pg_catalog.float8,
	OUT idle_in_transaction pg_catalog.float8,
	OUT waiting pg_catalog.float8,
	OUT utilization_percent pg_catalog.float8,
	OUT max_connections_seen pg_catalog.int4,
	OUT xact_rate pg_catalog.float8,
	OUT statement_rate pg_catalog.float8,
	OUT hold_p95_ms pg_catalog.float8,
	OUT statement_p95_ms pg_catalog.float8,
	OUT opened pg_catalog.int8,
	OUT closed pg_catalog.int8,
	OUT refused pg_catalog.int8,
	OUT max_active pg_catalog.int4,
	OUT max_waiting pg_catalog.int4,
	OUT max_utilization_percent pg_catalog.float8
)
RETURNS SETOF pg_catalog.record
AS 'MODULE_PATHNAME', 'pooldiag_history'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 600;
COMMENT ON FUNCTION pooldiag.history(pg_catalog.interval, pg_catalog.text, pg_catalog.interval) IS
	'What has happened in the time since, of the server (pool is NULL) or of a pool: a row for each step, from the first that is known. Numbers of connections are means over the step, max_ columns the highest in it; NULL is not known. Kept are 10 min by the second, then coarser: of the server 6 h by 10 s and 30 days by 5 min, of a pool 6 h by 1 min and 7 days by 15 min. Without a step there are at most 600 rows; a step finer than what is kept is widened. Needs shared_preload_libraries.';

CREATE FUNCTION pooldiag.chart(
	metric pg_catalog.text,
	since pg_catalog.interval DEFAULT '10 min',
	pool pg_catalog.text DEFAULT NULL
)
RETURNS SETOF pg_catalog.text
AS 'MODULE_PATHNAME', 'pooldiag_chart'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 17;
COMMENT ON FUNCTION pooldiag.chart(pg_catalog.text, pg_catalog.interval, pg_catalog.text) IS
	'A picture of one column of history() for a terminal of 80 columns. Needs shared_preload_libraries.';

CREATE FUNCTION pooldiag.health()
RETURNS pg_catalog.jsonb
AS 'MODULE_PATHNAME', 'pooldiag_health'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pooldiag.health() IS
	'Health in one document: status (starting, healthy, degraded, unhealthy), database_connected, connection_pool, async_operations, recommendations.';

CREATE FUNCTION pooldiag.health_detailed()
RETURNS pg_catalog.jsonb
AS 'MODULE_PATHNAME', 'pooldiag_health_detailed'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pooldiag.health_detailed() IS
	'The document of health(), with metrics, pools, breakers, server and self.';

CREATE FUNCTION pooldiag.metrics(format pg_catalog.text DEFAULT 'openmetrics')
RETURNS pg_catalog.text
AS 'MODULE_PATHNAME', 'pooldiag_metrics'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pooldiag.metrics(pg_catalog.text) IS
	'All metrics, as text for a monitoring system: openmetrics (OpenMetrics 1.0) or prometheus (its text format 0.0.4).';

CREATE FUNCTION pooldiag.report()
RETURNS SETOF pg_catalog.text
AS 'MODULE_PATHNAME', 'pooldiag_report'
LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 40;
COMMENT ON FUNCTION pooldiag.report() IS
	'One screen for a person on call: status, slots, pools, what is wrong, what to do. Made for 80 columns and \watch.';

CREATE FUNCTION pooldiag.sample_now()
RETURNS pg_catalog.void
AS 'MODULE_PATHNAME', 'pooldiag_sample_now'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pooldiag.sample_now() IS
	'Asks the sampler for a tick and waits for its end, 10 s at the most. Needs shared_preload_libraries.';

CREATE FUNCTION pooldiag.breaker_reset(breaker pg_catalog.text)
RETURNS pg_catalog.void
AS 'MODULE_PATHNAME', 'pooldiag_breaker_reset'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pooldiag.breaker_reset(pg_catalog.text) IS
	'Closes a breaker, whatever its state, and counts its failures from zero. Needs shared_preload_libraries.';

CREATE FUNCTION pooldiag.breaker_force_open(breaker pg_catalog.text)
RETURNS pg_catalog.void
AS 'MODULE_PATHNAME', 'pooldiag_breaker_force_open'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pooldiag.breaker_force_open(pg_catalog.text) IS
	'Opens a breaker until it is reset, for a drill or a drain: it counts as open everywhere. Needs shared_preload_libraries.';

CREATE FUNCTION pooldiag.breaker_disable(breaker pg_catalog.text)
RETURNS pg_catalog.void
AS 'MODULE_PATHNAME', 'pooldiag_breaker_disable'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pooldiag.breaker_disable(pg_catalog.text) IS
	'Has a breaker do nothing until it is reset, or the server restarted. Needs shared_preload_libraries.';

CREATE FUNCTION pooldiag.breaker_silence(breaker pg_catalog.text, duration pg_catalog.interval)
RETURNS pg_catalog.void
AS 'MODULE_PATHNAME', 'pooldiag_breaker_silence'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pooldiag.breaker_silence(pg_catalog.text, pg_catalog.interval) IS
	'Has a breaker raise no alerts for so long, up to 365 days; 0 ends that. It is evaluated and shown as ever, and what lasts is told when the silence is over. Needs shared_preload_libraries.';

CREATE FUNCTION pooldiag.reset(what pg_catalog.text DEFAULT 'all')
RETURNS pg_catalog.void
AS 'MODULE_PATHNAME', 'pooldiag_reset'
LANGUAGE C VOLATILE PARALLEL RESTRICTED;
COMMENT ON FUNCTION pooldiag.reset(pg_catalog.text) IS
	'Counts from zero: all (counters, peaks, waits, and what follows), history, refusals, slow_queries, alerts (with incidents). Needs shared_preload_libraries.';

CREATE FUNCTION pooldiag.set_pool(
	name pg_catalog.text,
	application_name pg_catalog.text DEFAULT NULL,
	"user" pg_catalog.text DEFAULT NULL,
	database pg_catalog.text DEFAULT NULL,
	size pg_catalog.int4 DEFAULT NULL,
	max_overflow pg_catalog.int4 DEFAULT NULL,
	instances pg_catalog.int4 DEFAULT NULL,
	timeout pg_catalog.interval DEFAULT NULL,
	recycle pg_catalog.interval DEFAULT NULL,
	slow pg_catalog.interval DEFAULT NULL,
	leak pg_catalog.interval DEFAULT NULL
)
RETURNS pg_catalog.text
AS 'MODULE_PATHNAME', 'pooldiag_set_pool'
LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION pooldiag.set_pool(
	pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.int4, pg_catalog.int4,
	pg_catalog.interval, pg_catalog.interval, pg_catalog.interval, pg_catalog.interval) IS
	'Declares a pool in pooldiag.pools, or changes what is given of one; NULL leaves a figure as it is. Works as ALTER SYSTEM does, at once and outside of the transaction, and reloads. Returns the new setting. Needs superuser or ALTER SYSTEM on pooldiag.pools.';

CREATE FUNCTION pooldiag.drop_pool(name pg_catalog.text)
RETURNS pg_catalog.text
AS 'MODULE_PATHNAME', 'pooldiag_drop_pool'
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION pooldiag.drop_pool(pg_catalog.text) IS
	'Takes a pool out of pooldiag.pools. Works as ALTER SYSTEM does, at once and outside of the transaction, and reloads. Returns the new setting. Needs superuser or ALTER SYSTEM on pooldiag.pools.';

/* Who may what. set_pool and drop_pool stay with PUBLIC: they ask for the privilege on the setting itself. */
REVOKE ALL ON
	pooldiag.connection_states,
	pooldiag.connections,
	pooldiag.connection_groups,
	pooldiag.utilization,
	pooldiag.pools,
	pooldiag.churn,
	pooldiag.latency,
	pooldiag.waits,
	pooldiag.slow_queries,
	pooldiag.leaks,
	pooldiag.blocking,
	pooldiag.slow_query_log,
	pooldiag.slow_query_stats,
	pooldiag.refusals,
	pooldiag.refusal_log,
	pooldiag.refusal_sources,
	pooldiag.breakers,
	pooldiag.alerts,
	pooldiag.incidents,
	pooldiag.recommendations,
	pooldiag.operations,
	pooldiag.self
FROM PUBLIC;
REVOKE ALL ON FUNCTION
	pooldiag.sample_now(),
	pooldiag.breaker_reset(pg_catalog.text),
	pooldiag.breaker_force_open(pg_catalog.text),
	pooldiag.breaker_disable(pg_catalog.text),
	pooldiag.breaker_silence(pg_catalog.text, pg_catalog.interval),
	pooldiag.reset(pg_catalog.text),
	pooldiag.connection_states(),
	pooldiag.connections(),
	pooldiag.connection_groups(),
	pooldiag.utilization(),
	pooldiag.pools(),
	pooldiag.churn(),
	pooldiag.latency(),
	pooldiag.waits(),
	pooldiag.slow_queries(),
	pooldiag.leaks(),
	pooldiag.blocking(),
	pooldiag.slow_query_log(),
	pooldiag.slow_query_stats(),
	pooldiag.refusals(),
	pooldiag.refusal_log(),
	pooldiag.refusal_sources(),
	pooldiag.breakers(),
	pooldiag.alerts(),
	pooldiag.incidents(),
	pooldiag.recommendations(),
	pooldiag.operations(),
	pooldiag.self(),
	pooldiag.history(pg_catalog.interval, pg_catalog.text, pg_catalog.interval),
	pooldiag.chart(pg_catalog.text, pg_catalog.interval, pg_catalog.text),
	pooldiag.health(),
	pooldiag.health_detailed(),
	pooldiag.metrics(pg_catalog.text),
	pooldiag.report()
FROM PUBLIC;
GRANT USAGE ON SCHEMA pooldiag TO pg_monitor;
GRANT SELECT ON
	pooldiag.connection_states,
	pooldiag.connections,
	pooldiag.connection_groups,
	pooldiag.utilization,
	pooldiag.pools,
	pooldiag.churn,
	pooldiag.latency,
	pooldiag.waits,
	pooldiag.slow_queries,
	pooldiag.leaks,
	pooldiag.blocking,
	pooldiag.slow_query_log,
	pooldiag.slow_query_stats,
	pooldiag.refusals,
	pooldiag.refusal_log,
	pooldiag.refusal_sources,
	pooldiag.breakers,
	pooldiag.alerts,
	pooldiag.incidents,
	pooldiag.recommendations,
	pooldiag.operations,
	pooldiag.self
TO pg_monitor;
GRANT EXECUTE ON FUNCTION
	pooldiag.connection_states(),
	pooldiag.connections(),
	pooldiag.connection_groups(),
	pooldiag.utilization(),
	pooldiag.pools(),
	pooldiag.churn(),
	pooldiag.latency(),
	pooldiag.waits(),
	pooldiag.slow_queries(),
	pooldiag.leaks(),
	pooldiag.blocking(),
	pooldiag.slow_query_log(),
	pooldiag.slow_query_stats(),
	pooldiag.refusals(),
	pooldiag.refusal_log(),
	pooldiag.refusal_sources(),
	pooldiag.breakers(),
	pooldiag.alerts(),
	pooldiag.incidents(),
	pooldiag.recommendations(),
	pooldiag.operations(),
	pooldiag.self(),
	pooldiag.history(pg_catalog.interval, pg_catalog.text, pg_catalog.interval),
	pooldiag.chart(pg_catalog.text, pg_catalog.interval, pg_catalog.text),
	pooldiag.health(),
	pooldiag.health_detailed(),
	pooldiag.metrics(pg_catalog.text),
	pooldiag.report()
TO pg_monitor;
