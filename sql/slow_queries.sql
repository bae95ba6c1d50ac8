-- Slow statements that have ended, as one session sees its own. What takes clients is in test/t.
SELECT alone();

-- A threshold that the sampler has, and with it every session.
SELECT pooldiag.set_pool('slow', application_name => 'slow', slow => '2 ms', size => 1, max_overflow => 0) IS NOT NULL AS declared;
CREATE FUNCTION nap(seconds float8 DEFAULT 0.003) RETURNS int LANGUAGE sql AS $$ SELECT 1 FROM pg_sleep(seconds) $$;
CREATE VIEW logged AS
	SELECT outcome, sqlstate, rows, pid = pg_backend_pid() AS mine, pool, datname, usename = session_user AS usename,
		application_name, client_addr, query_id IS NOT NULL AS query_id, query
	FROM pooldiag.slow_query_log WHERE query LIKE '%nap(%' ORDER BY finished_at;
CREATE VIEW summed AS
	SELECT query, query_id IS NOT NULL AS query_id, datname, calls, failures, total_ms >= 3 * calls AS total,
		abs(mean_ms - total_ms / calls) < 0.001 AS mean, max_ms BETWEEN mean_ms AND total_ms AS max,
		hold_share_percent > 0 AND hold_share_percent <= 100 AS share, last_at BETWEEN stats_reset AND clock_timestamp() AS last_at
	FROM pooldiag.slow_query_stats WHERE query LIKE '%nap(%' ORDER BY query;
SET application_name = 'slow';
DO $$
BEGIN
	LOOP
		PERFORM pooldiag.sample_now();
		EXIT WHEN (SELECT connections FROM pooldiag.pools WHERE pool = 'slow') = 1;
	END LOOP;
END $$;

SELECT nap();
SELECT nap(.004);
SELECT nap() FROM generate_series(1, 3);
SELECT nap() \; SELECT nap(.004) \; SELECT 1;
SELECT nap() / 0;
SET statement_timeout = '5ms';
SELECT nap(600);
RESET statement_timeout;
DO $$ BEGIN PERFORM nap() / 0; EXCEPTION WHEN division_by_zero THEN NULL; END $$;
BEGIN;
SELECT nap() / 0;
SELECT 1;
ROLLBACK;
SELECT * FROM logged;
-- Constants don't tell statements apart, where there are query ids.
SELECT * FROM summed;

-- The newest first, and both views agree.
SELECT count(*) AS in_disorder
FROM (SELECT finished_at > lag(finished_at) OVER () AS wrong FROM pooldiag.slow_query_log) x WHERE wrong;
SELECT l.datname, l.calls = s.calls AS calls, l.failures = s.failures AS failures, abs(l.total - s.total) < 0.01 AS total
FROM (SELECT datname, count(*) AS calls, count(*) FILTER (WHERE outcome <> 'completed') AS failures, sum(duration_ms) AS total
		FROM pooldiag.slow_query_log WHERE query LIKE '%nap(%' GROUP BY 1) l,
	(SELECT datname, sum(calls) AS calls, sum(failures) AS failures, sum(total_ms) AS total
		FROM pooldiag.slow_query_stats WHERE query LIKE '%nap(%' GROUP BY 1) s;
SELECT name, CASE WHEN name LIKE '%_used' THEN value > 0 ELSE value = CASE name WHEN 'slow_query_log_room' THEN 1024
	WHEN 'slow_query_stats_room' THEN 512 WHEN 'hold_databases_room' THEN 256 ELSE 0 END END AS as_expected
FROM pooldiag.self WHERE name ~ '^(slow_query|hold)' ORDER BY name;

DROP VIEW logged, summed;
DROP FUNCTION nap;
RESET application_name;
SELECT pooldiag.drop_pool('slow') AS pools;
