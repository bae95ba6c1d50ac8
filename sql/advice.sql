-- recommendations, with as many sessions as one; and what slow_queries says of a session that waits
-- for nobody.
SELECT alone();

-- When no rule fires, one row says so.
SELECT severity, rule, subject, title, evidence, advice, remedy, first_seen,
	last_seen BETWEEN statement_timestamp() AND clock_timestamp() AS last_seen
FROM pooldiag.recommendations;

-- The declared pools may open more connections than the server has slots.
SELECT pooldiag.set_pool('everybody', size => 1000, max_overflow => 0),
	pooldiag.set_pool('nobody', size => 1, max_overflow => 2, instances => 3);
SELECT eventually('(SELECT count(*) = 2 FROM pooldiag.pools WHERE declared)');
CREATE FUNCTION usable_slots() RETURNS int
LANGUAGE sql AS $$ SELECT capacity FROM pooldiag.utilization WHERE scope = 'server' $$;
CREATE FUNCTION reserved_slots() RETURNS int
LANGUAGE sql AS $$ SELECT current_setting('max_connections')::int - usable_slots() $$;
SELECT severity, rule, subject, replace(title, usable_slots()::text, '<usable slots>') AS title,
	evidence - 'usable_slots' AS evidence, evidence -> 'usable_slots' = to_jsonb(usable_slots()) AS usable_slots,
	remedy LIKE format('ALTER SYSTEM SET max_connections = %s; -- %%', 1009 + reserved_slots()) AS remedy,
	first_seen <= last_seen AS first_seen
FROM pooldiag.recommendations;
SELECT first_seen, last_seen FROM pooldiag.recommendations \gset
SELECT pooldiag.sample_now();
SELECT first_seen = :'first_seen' AS still, last_seen > :'last_seen' AS again FROM pooldiag.recommendations;
-- The remedy is a statement, and would help.
SELECT remedy FROM pooldiag.recommendations \gexec
SELECT setting::int - reserved_slots() AS would_be_usable
FROM pg_file_settings WHERE name = 'max_connections' ORDER BY seqno DESC LIMIT 1;
ALTER SYSTEM RESET max_connections;

-- Pools that just fit, with all slots and not one more, are nothing to complain about.
SELECT pooldiag.drop_pool('nobody') IS NOT NULL AS dropped;
SELECT pooldiag.set_pool('everybody', size => usable_slots()) IS NOT NULL AS fits;
SELECT eventually($$(SELECT bool_or(rule = 'all_clear') FROM pooldiag.recommendations)$$);
SELECT pooldiag.set_pool('everybody', max_overflow => 1) IS NOT NULL AS exceeds;
SELECT eventually($$(SELECT bool_or(rule = 'pool_exceeds_server') FROM pooldiag.recommendations)$$);
SELECT pooldiag.set_pool('everybody', max_overflow => 0) IS NOT NULL AS fits;
SELECT eventually($$(SELECT bool_or(rule = 'all_clear') FROM pooldiag.recommendations)$$);

-- No server has as many slots as that, so that is not the remedy.
SELECT pooldiag.set_pool('everybody', size => 200000, max_overflow => 200000) IS NOT NULL AS exceeds;
SELECT eventually($$(SELECT bool_or(evidence ->> 'capacity' = '400000') FROM pooldiag.recommendations)$$);
SELECT remedy FROM pooldiag.recommendations \gexec
SELECT pooldiag.set_pool('everybody', size => usable_slots(), max_overflow => 0) IS NOT NULL AS fits;
SELECT eventually($$(SELECT bool_or(rule = 'all_clear') FROM pooldiag.recommendations)$$);

-- This session itself, once its statement has run for longer than its pool's slow.
SELECT * FROM pooldiag.slow_queries;
SELECT pooldiag.set_pool('everybody', slow => '1 ms') IS NOT NULL AS slow;
SELECT eventually('(SELECT count(*) = 1 FROM pooldiag.slow_queries)');
CREATE FUNCTION after_a_while(query text) RETURNS SETOF jsonb
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_sleep(0.01);
	PERFORM pooldiag.sample_now();
	RETURN QUERY EXECUTE format('SELECT to_jsonb(q) FROM (%s) q', query);
END
$$;
SELECT * FROM after_a_while($$
	SELECT pid = pg_backend_pid() AS pid, pool, datname = current_database() AS datname,
		usename = session_user AS usename, application_name,
		client_addr IS NOT DISTINCT FROM inet_client_addr() AS client_addr,
		state, query_start = statement_timestamp() AS query_start,
		duration BETWEEN '10 ms' AND clock_timestamp() - query_start AS duration,
		wait_event_type, wait_event, blocked_by, query_id IS NOT NULL AS query_id, left(query, 27) AS query
	FROM pooldiag.slow_queries
$$);
SELECT r ->> 'severity' AS severity, r ->> 'rule' AS rule, r ->> 'subject' AS subject, r ->> 'title' AS title,
	(r -> 'evidence') - '{longest_seconds,processes}'::text[] AS evidence,
	(r #>> '{evidence,longest_seconds}')::float8 >= 0 AS longest_seconds,
	(SELECT jsonb_agg(key ORDER BY key COLLATE "C") FROM jsonb_object_keys(r #> '{evidence,processes,0}') key)
		AS of_each_process,
	(r #>> '{evidence,processes,0,pid}')::int = pg_backend_pid() AS pid,
	(r #>> '{evidence,processes,0,backend_start}')::timestamptz = (SELECT backend_start FROM pooldiag.connections)
		AS backend_start,
	r ->> 'first_seen' IS NOT NULL AS first_seen
FROM after_a_while('TABLE pooldiag.recommendations') r \gx
-- Processes are named by pid, start and statement, so that none that came later is hit.
SELECT regexp_replace(regexp_replace(r ->> 'remedy', $r$'[-0-9: .+]+'$r$, '<instant>', 'g'), '\([0-9]+', '(<pid>', 'g')
	AS remedy
FROM after_a_while('TABLE pooldiag.recommendations') r;

DROP FUNCTION after_a_while(text);
DROP FUNCTION reserved_slots();
DROP FUNCTION usable_slots();
ALTER SYSTEM RESET pooldiag.pools;
SELECT pg_reload_conf();
SELECT eventually('(SELECT count(*) = 0 FROM pooldiag.pools WHERE declared)');
