-- Other sessions, of this server by dblink: their states, a pool past its size, every slot taken.
SELECT count(*) = 0 AS absent FROM pg_available_extensions WHERE name = 'dblink' \gset
\if :absent
\echo 'dblink is not installed'
\quit
\endif
CREATE EXTENSION dblink;
SELECT alone();

CREATE FUNCTION open_session(name text, application_name text, database text DEFAULT current_database()) RETURNS text
LANGUAGE sql AS $$
	SELECT dblink_connect(name, format('host=%s port=%s dbname=%s user=%s application_name=%s',
		split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'),
		quote_literal(database), quote_literal(session_user), quote_literal(application_name)))
$$;
CREATE FUNCTION close_sessions() RETURNS bigint
LANGUAGE sql AS $$ SELECT count(dblink_disconnect(name)) FROM unnest(dblink_get_connections()) name $$;
CREATE VIEW mine AS
	SELECT application_name AS name, state, checked_out, wait_event_type IS NOT DISTINCT FROM 'Client' AS waits_for_client
	FROM pooldiag.connections, LATERAL (
		SELECT state IN ('active', 'fastpath function call') OR state LIKE 'idle in transaction%') c(checked_out)
	WHERE pid <> pg_backend_pid();

-- In each state that a statement can leave a session in. They are in it once their answer is here.
SELECT open_session('idle', 'one'), open_session('begun', 'two'), open_session('failed', 'three'), open_session('silent', 'four');
SELECT dblink_exec('begun', 'BEGIN'), dblink_exec('failed', 'BEGIN'), dblink_exec('failed', 'SELECT 1/0', false),
	dblink_exec('silent', 'SET track_activities = off');
-- They wait for their client a moment after they have answered it.
SELECT eventually('(SELECT bool_and(waits_for_client) FROM mine)');
SELECT * FROM mine ORDER BY name COLLATE "C";
SELECT state, connections, oldest IS NOT NULL AS since FROM pooldiag.connection_states;
-- As pg_stat_activity says.
SELECT coalesce(ours.state, theirs.state) AS state, ours.connections, theirs.count
FROM pooldiag.connection_states ours
FULL JOIN (SELECT state, count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' GROUP BY state) theirs
	ON ours.state = theirs.state
WHERE ours.connections <> coalesce(theirs.count, 0) OR ours.state IS NULL;
SELECT ours.pid = theirs.pid AS pid,
	ours.state_change IS NOT DISTINCT FROM theirs.state_change AS state_change, ours.xact_start IS NOT DISTINCT FROM theirs.xact_start AS xact_start,
	ours.query = theirs.query AS query, ours.query_id IS NOT DISTINCT FROM theirs.query_id AS query_id,
	ours.wait_event_type = theirs.wait_event_type AS wait_event_type, ours.wait_event = theirs.wait_event AS wait_event
FROM pooldiag.connections ours JOIN pg_stat_activity theirs USING (application_name)
WHERE application_name IN ('one', 'two', 'three', 'four') ORDER BY application_name COLLATE "C";
SELECT d #> '{metrics,connection_pool,states}' = (SELECT jsonb_object_agg(state, connections) FROM pooldiag.connection_states) AS states
FROM pooldiag.health_detailed() d;

-- Groups: who holds the slots, the largest first.
SELECT dblink_exec(name, 'SET application_name = ''grouped''') FROM unnest(array['begun', 'idle']) name;
SELECT application_name, connections, active, idle, idle_in_transaction, waiting, oldest_xact IS NOT NULL AS xact
FROM pooldiag.connection_groups;
SELECT dblink_exec('failed', 'ROLLBACK'), dblink_exec('failed', 'SET application_name = ''grouped''');
SELECT application_name, connections, active, idle, idle_in_transaction, waiting, oldest_xact IS NOT NULL AS xact
FROM pooldiag.connection_groups;
SELECT close_sessions();
SELECT alone();

-- A fastpath function call, which psql makes for large objects. It waits for the lock that the other
-- session gives up as soon as it has seen it. It is no statement, and has run since it began, not since
-- the statement before it did.
SELECT lo_create(424241) AS first, lo_create(424242) AS second;
\lo_unlink 424241
SELECT pooldiag.set_pool('callers', application_name => 'pg_regress/*', slow => '1 ms') IS NOT NULL AS declared;
SELECT eventually($$(SELECT bool_or(pool = 'callers') FROM pooldiag.pools)$$);
CREATE TABLE seen (state text, checked_out int, wait_event_type text, active int, health int, slow boolean);
SELECT open_session('observer', 'observer');
SELECT dblink_exec('observer', 'BEGIN'), dblink_exec('observer', 'LOCK TABLE pg_catalog.pg_largeobject_metadata IN ACCESS EXCLUSIVE MODE');
SELECT dblink_send_query('observer', $$
	SELECT eventually('(SELECT bool_or(state = ''fastpath function call'' AND wait_event_type = ''Lock'' AND pid IN (SELECT pid FROM pooldiag.slow_queries)) FROM pooldiag.connections)');
	INSERT INTO seen
		SELECT state, p.checked_out, wait_event_type, g.active,
			(pooldiag.health_detailed() #>> '{metrics,connection_pool,states,fastpath function call}')::int,
			(SELECT duration <= clock_timestamp() - c.state_change FROM pooldiag.slow_queries s WHERE s.pid = c.pid)
		FROM pooldiag.connections c JOIN pooldiag.pools p USING (pool) JOIN pooldiag.connection_groups g USING (application_name)
		WHERE p.pool = 'callers';
	COMMIT $$);
BEGIN;
SELECT pg_sleep(0.1);
\lo_unlink 424242
COMMIT;
SELECT * FROM seen;
DROP TABLE seen;
SELECT close_sessions();
SELECT pooldiag.drop_pool('callers');

-- A pool past its size: checked out by none, by two, by all three with one in its overflow.
CREATE VIEW small AS
	SELECT connections, checked_out, idle, overflow, utilization_percent, saturation_percent
	FROM pooldiag.pools WHERE pool = 'small';
SELECT pooldiag.set_pool('small', application_name => 'small-*', size => 1, max_overflow => 1, instances => 2);
SELECT eventually($$(SELECT bool_or(pool = 'small') FROM pooldiag.pools)$$);
SELECT open_session(name, 'small-' || name) FROM unnest(array['a', 'b', 'c']) name;
SELECT * FROM small;
SELECT dblink_exec(name, 'BEGIN') FROM unnest(array['a', 'b']) name;
SELECT * FROM small;
SELECT dblink_exec('c', 'BEGIN');
SELECT * FROM small;
SELECT connections, checked_out, capacity, utilization_percent, peak_connections
FROM pooldiag.utilization WHERE scope = 'pool' AND name = 'small';
SELECT p - '{leaks,declared,instances}'::text[] AS pool FROM jsonb_array_elements(pooldiag.health_detailed() -> 'pools') p
WHERE p ->> 'pool' = 'small';
-- A figure that a tick has seen is a peak from then on.
SELECT pooldiag.sample_now();
SELECT dblink_exec(name, 'COMMIT') FROM unnest(array['a', 'b', 'c']) name;
SELECT dblink_disconnect('c');
SELECT eventually('(SELECT connections = 2 FROM small)');
SELECT connections, checked_out, peak_checked_out FROM pooldiag.pools WHERE pool = 'small';
SELECT connections, peak_connections, peak_at IS NOT NULL AS peak_at FROM pooldiag.utilization WHERE name = 'small';
-- A session that leaves the pattern leaves the pool.
SELECT dblink_exec('b', 'SET application_name = ''large''');
SELECT connections FROM small;
SELECT close_sessions();
SELECT pooldiag.drop_pool('small');
SELECT alone();

-- Calls of set_pool at once all last.
SELECT open_session(format('caller %s', i), format('caller %s', i)) FROM generate_series(1, 4) i;
SELECT dblink_send_query(format('caller %s', i), format('SELECT count(pooldiag.set_pool(format(''pool-%s-%%s'', j))) FROM generate_series(1, 5) j', i))
FROM generate_series(1, 4) i;
SELECT sum(n) AS calls FROM generate_series(1, 4) i, LATERAL dblink_get_result(format('caller %s', i)) AS r(n int);
SELECT close_sessions();
SELECT setting ~ '^pool-\d-\d\(\)(, pool-\d-\d\(\)){19}$' AS twenty FROM pg_file_settings WHERE name = 'pooldiag.pools';
ALTER SYSTEM RESET pooldiag.pools;
SELECT pg_reload_conf();
SELECT eventually('(SELECT NOT bool_or(declared) FROM pooldiag.pools)');
SELECT alone();

-- The threshold for pools that state none is the setting's.
SELECT open_session('leaking', 'leaking');
SELECT dblink_exec('leaking', 'BEGIN');
SELECT count(*) FROM pooldiag.leaks;
ALTER SYSTEM SET pooldiag.leak_threshold = '1ms';
SELECT pg_reload_conf();
SELECT eventually('(SELECT count(*) = 1 FROM pooldiag.leaks)');
SELECT anonymous(pool) AS pool, state, locks_held, blocking, holds_xmin, last_query FROM pooldiag.leaks;
SELECT anonymous(pool) AS pool, connections, checked_out, leaks FROM pooldiag.pools WHERE leaks > 0;
ALTER SYSTEM RESET pooldiag.leak_threshold;
SELECT pg_reload_conf();
SELECT eventually('(SELECT count(*) = 0 FROM pooldiag.leaks)');
SELECT close_sessions();
SELECT alone();

-- Waiting in another database, whose relations have no names here; and for one that all share.
SELECT open_session(name, name, 'postgres') FROM unnest('{root,middle,last}'::text[]) name;
SELECT dblink_exec('root', 'BEGIN'), dblink_exec('root', 'LOCK TABLE pg_catalog.pg_description IN EXCLUSIVE MODE');
SELECT dblink_exec('middle', 'BEGIN'), dblink_exec('middle', 'LOCK TABLE pg_catalog.pg_shdescription IN EXCLUSIVE MODE');
SELECT dblink_send_query('middle', 'LOCK TABLE pg_catalog.pg_description IN EXCLUSIVE MODE'),
	dblink_send_query('last', 'BEGIN; LOCK TABLE pg_catalog.pg_shdescription IN EXCLUSIVE MODE; COMMIT');
SELECT eventually('(SELECT count(*) = 2 FROM pooldiag.blocking WHERE root_blocker IS NOT NULL AND waiting_for IS NOT NULL)');
CREATE VIEW named AS SELECT pid, application_name AS name FROM pg_stat_activity;
SELECT w.name, lock_type, relation, d.name AS direct, r.name AS root, root_state, depth, waiting_query
FROM pooldiag.blocking
JOIN named w ON w.pid = waiting_pid JOIN named r ON r.pid = root_blocker JOIN named d ON d.pid = direct_blockers[1]
ORDER BY depth;
DROP VIEW named;
SELECT dblink_exec('root', 'ROLLBACK');
SELECT close_sessions();
SELECT alone();

-- Timeouts that are missing: not asked of this session, which asks. An idle one is enough.
SELECT open_session('idle', 'idle');
SELECT severity, rule, subject, title, evidence - 'roles' AS evidence,
	evidence -> 'roles' = jsonb_build_array(session_user) AS roles,
	replace(remedy, format('ROLE %I ', session_user), 'ROLE <me> ') AS remedy, first_seen <= last_seen AS first_seen
FROM pooldiag.recommendations;
SELECT pooldiag.health() ->> 'status' AS status;
SELECT close_sessions();
SELECT alone();

-- Slots. Up to where the rule does not fire yet, then one by one.
CREATE FUNCTION usable_slots() RETURNS int
LANGUAGE sql AS $$ SELECT capacity FROM pooldiag.utilization WHERE scope = 'server' $$;
CREATE SEQUENCE opened;
CREATE FUNCTION fill(wanted int) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
	WHILE (SELECT sum(connections) < wanted FROM pooldiag.connection_states) LOOP
		PERFORM open_session(format('holder %s', nextval('opened')), 'holder');
	END LOOP;
	RETURN true;
END
$$;
CREATE FUNCTION percent_of_usable(percent int) RETURNS int
LANGUAGE sql AS $$ SELECT ceil(usable_slots() * percent / 100.0)::int $$;
CREATE VIEW advice AS
	SELECT severity, rule, (evidence ->> 'connections')::int = (SELECT sum(connections) FROM pooldiag.connection_states) AS connections,
		evidence -> 'usable_slots' = to_jsonb(usable_slots()) AS usable_slots,
		evidence -> 'states' = (SELECT jsonb_object_agg(state, connections) FROM pooldiag.connection_states) AS states,
		regexp_replace(advice, '\d+', 'N', 'g') AS advice,
		regexp_replace(regexp_replace(remedy, '\(\d+, ''[^'']*'', ''[^'']*''\)', '(<pid>, <start>, <since>)', 'g'), '\d{2,}', 'N', 'g') AS remedy
	FROM pooldiag.recommendations WHERE rule = 'slots_nearly_full';
SELECT fill(percent_of_usable(80) - 1);
SELECT * FROM advice;
SELECT fill(percent_of_usable(80));
SELECT * FROM advice \gx
SELECT pooldiag.health() ->> 'status' AS status;
-- What they are at decides what to do about it: those left open come first.
SELECT count(dblink_exec(name, 'BEGIN')) * 4 >= usable_slots() AS a_quarter
FROM (SELECT name FROM unnest(dblink_get_connections()) name LIMIT usable_slots() * 0.3) n;
SELECT * FROM advice \gx
SELECT count(dblink_exec(name, 'ROLLBACK')) > 0 AS rolled_back FROM unnest(dblink_get_connections()) name;
-- At work are those that run something: here they wait for this transaction's lock.
BEGIN;
SELECT pg_advisory_xact_lock(1);
SELECT count(dblink_send_query(name, 'SELECT pg_advisory_lock_shared(1)')) * 2 > usable_slots() AS most
FROM (SELECT name FROM unnest(dblink_get_connections()) name LIMIT usable_slots() * 0.6) n;
SELECT eventually($$(SELECT sum(waiting) > 0.5 * usable_slots() FROM pooldiag.connection_groups)$$);
SELECT severity, rule, advice, remedy FROM advice \gx
COMMIT;
SELECT count(result) > 0 AS results
FROM unnest(dblink_get_connections()) name, LATERAL dblink_get_result(name, false) AS r(result text);
-- What libpq has for each, the end of its results, is to be taken before the next statement.
SELECT count(result) AS results
FROM unnest(dblink_get_connections()) name, LATERAL dblink_get_result(name, false) AS r(result text);
-- Nearly all, then all that an ordinary role can have, then all: reports answer to the last.
SELECT fill(percent_of_usable(95));
SELECT severity FROM advice;
SELECT pooldiag.health() ->> 'status' AS status;
SELECT fill(usable_slots());
SELECT severity FROM advice;
SELECT pooldiag.health() ->> 'status' AS status;
SELECT connections, utilization_percent FROM pooldiag.utilization WHERE scope = 'reserved slots';
SELECT fill(current_setting('max_connections')::int);
DO $$
BEGIN
	PERFORM open_session('one too many', 'holder');
EXCEPTION WHEN sqlclient_unable_to_establish_sqlconnection THEN
	RAISE NOTICE 'no slot is left';
END
$$;
SELECT scope, connections = capacity AS full, utilization_percent > 100 AS above
FROM pooldiag.utilization WHERE scope IN ('server', 'reserved slots') ORDER BY scope COLLATE "C";
SELECT h ->> 'status' AS status, h #>> '{connection_pool,overflow}' = (current_setting('max_connections')::int - usable_slots())::text AS overflow
FROM pooldiag.health() h;
SELECT pooldiag.sample_now();
SELECT count(*) > 10 AS lines, max(length(line)) <= 80 AS fits FROM pooldiag.report() line;
SELECT first_seen <= last_seen AS first_seen FROM pooldiag.recommendations WHERE rule = 'slots_nearly_full';
-- The peak stays when they have gone.
SELECT close_sessions() > 0 AS closed;
SELECT alone();
SELECT connections, peak_connections = current_setting('max_connections')::int AS peak FROM pooldiag.utilization WHERE scope = 'server';
SELECT peak_connections = current_setting('max_connections')::int - usable_slots() AS peak, peak_at IS NOT NULL AS peak_at
FROM pooldiag.utilization WHERE scope = 'reserved slots';
-- Nor does what was counted, for longer than the window.
SELECT eventually($$(SELECT bool_or(rule = 'all_clear') FROM pooldiag.recommendations)$$);

-- More suspects than one remedy names: it ends those, and the next one the rest.
SELECT pooldiag.set_pool('holders', application_name => 'holder', size => 30, max_overflow => 0, leak => '1 ms');
SELECT eventually($$(SELECT bool_or(pool = 'holders') FROM pooldiag.pools)$$);
SELECT fill(26);
SELECT count(dblink_exec(name, 'BEGIN')) FROM unnest(dblink_get_connections()) name;
SELECT eventually('(SELECT count(*) = 25 FROM pooldiag.leaks)');
CREATE VIEW leaked AS
	SELECT title LIKE '25 connections of pool holders %' AS title, evidence -> 'connections' AS connections,
		jsonb_array_length(evidence -> 'processes') AS named, evidence -> 'processes_not_listed' AS others, remedy
	FROM pooldiag.recommendations WHERE rule = 'leak_suspects';
SELECT title, connections, named, others FROM leaked;
CREATE FUNCTION follow_remedy() RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	ended bigint;
BEGIN
	EXECUTE (SELECT format('SELECT count(*) FROM (%s) r WHERE pg_terminate_backend', rtrim(remedy, ';')) FROM leaked) INTO ended;
	RETURN ended;
END
$$;
SELECT follow_remedy();
SELECT eventually('(SELECT count(*) = 5 FROM pooldiag.leaks)');
SELECT connections, named, others FROM leaked;
SELECT follow_remedy();
SELECT eventually('(SELECT count(*) = 0 FROM pooldiag.leaks)');
SELECT close_sessions();
SELECT pooldiag.drop_pool('holders');
SELECT alone();

DROP FUNCTION follow_remedy();
DROP VIEW mine, small, advice, leaked;
DROP FUNCTION fill(int);
DROP FUNCTION percent_of_usable(int);
DROP SEQUENCE opened;
DROP FUNCTION usable_slots();
DROP FUNCTION close_sessions();
DROP FUNCTION open_session(text, text, text);
DROP EXTENSION dblink;
