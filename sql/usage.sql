-- The views and functions in every place where SQL has one for them.
SELECT alone();
CREATE TEMP TABLE view AS
	SELECT c.relname AS name
	FROM pg_depend d JOIN pg_class c ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
		AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pooldiag')
	ORDER BY c.relname COLLATE "C";
SELECT count(*) > 0 AS views FROM view;

-- Plans: a function and, where the view promises an order, a sort.
SELECT format('EXPLAIN (COSTS off) SELECT * FROM pooldiag.%I', name) FROM view \gexec

-- In a transaction that may not write, at any level of isolation.
BEGIN READ ONLY;
SELECT format('SELECT count(*) >= 0 AS %I FROM pooldiag.%1$I', name) FROM view \gexec
SELECT pooldiag.health() ->> 'status' AS health, pooldiag.health_detailed() ->> 'status' AS detailed;
SELECT count(*) > 0 AS report FROM pooldiag.report();
SELECT pooldiag.sample_now();
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
SELECT count(*) FROM pooldiag.connection_states;
SELECT count(*) FROM pooldiag.utilization WHERE scope = 'server';
COMMIT;

-- As json, and into tables.
SELECT jsonb_agg(s - '{slots_percent,oldest}'::text[]) FROM (SELECT to_jsonb(s) FROM pooldiag.connection_states s LIMIT 2) s(s);
SELECT count(row_to_json(v)) FROM pooldiag.connections v;
CREATE TABLE kept AS SELECT clock_timestamp() AS at, * FROM pooldiag.connection_states;
INSERT INTO kept SELECT clock_timestamp(), * FROM pooldiag.connection_states;
SELECT count(*) FROM kept;
DROP TABLE kept;
CREATE MATERIALIZED VIEW kept AS SELECT state, connections FROM pooldiag.connection_states;
REFRESH MATERIALIZED VIEW kept;
SELECT sum(connections) FROM kept;
DROP MATERIALIZED VIEW kept;

-- COPY, also of the function behind a view.
COPY (SELECT state, connections FROM pooldiag.connection_states) TO STDOUT (FORMAT csv);
COPY (SELECT state, connections FROM pooldiag.connection_states() WHERE connections > 0) TO STDOUT;

-- Cursors, forth and back, and past the end of their transaction.
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT state FROM pooldiag.connection_states;
FETCH 2 FROM c;
FETCH LAST FROM c;
FETCH BACKWARD 2 FROM c;
MOVE ABSOLUTE 0 IN c;
FETCH 1 FROM c;
DECLARE h CURSOR WITH HOLD FOR SELECT state FROM pooldiag.connection_states;
COMMIT;
FETCH 1 FROM h;
CLOSE h;

-- A prepared statement sees the server anew each time, with a generic plan too.
SET plan_cache_mode = force_generic_plan;
PREPARE mine(text) AS SELECT application_name, state FROM pooldiag.connections WHERE application_name = $1;
SET application_name = 'one';
EXECUTE mine('one');
SET application_name = 'two';
EXECUTE mine('one');
EXECUTE mine('two');
DEALLOCATE mine;
RESET plan_cache_mode;
RESET application_name;

-- Scanned again and again in one statement.
SELECT count(*), count(DISTINCT state), sum(connections)
FROM generate_series(1, 1000), LATERAL pooldiag.connection_states() OFFSET 0;
SELECT i, (SELECT count(*) FROM pooldiag.connections WHERE pid = pg_backend_pid() AND i > 0) FROM generate_series(0, 2) i;
SELECT count(*) FROM pooldiag.connection_states a JOIN pooldiag.connection_states b USING (state) LEFT JOIN pooldiag.utilization ON false;

-- As a set in the list of results, with a number for each row, side by side.
SELECT pooldiag.connection_states() IS NOT NULL AS row LIMIT 2;
SELECT (pooldiag.connection_states()).state LIMIT 2;
SELECT count(*) > 5 AS lines FROM (SELECT pooldiag.report()) r;
SELECT state, n FROM pooldiag.connection_states() WITH ORDINALITY s(state, connections, slots_percent, oldest, n) WHERE n = 7;
SELECT a.state, b.state FROM ROWS FROM (pooldiag.connection_states(), pooldiag.connection_states())
	AS a(state, c, p, o, state2, c2, p2, o2), LATERAL (SELECT a.state2) b(state) LIMIT 1;

-- In a subtransaction that fails, which leaves nothing behind.
DO $$
DECLARE
	name text;
	rows bigint;
BEGIN
	FOR name IN SELECT v.name FROM view v LOOP
		BEGIN
			EXECUTE format('SELECT count(*) FROM pooldiag.%I', name) INTO rows;
			RAISE EXCEPTION division_by_zero;
		EXCEPTION WHEN division_by_zero THEN
			EXECUTE format('SELECT count(*) FROM pooldiag.%I', name) INTO rows;
		END;
	END LOOP;
END
$$;
BEGIN;
SAVEPOINT s;
SELECT 1 / (connections - connections) FROM pooldiag.connection_states;
ROLLBACK TO s;
SELECT count(*) FROM pooldiag.connection_states;
COMMIT;
-- A cursor that is left open when its subtransaction fails.
BEGIN;
SAVEPOINT s;
DECLARE c CURSOR FOR SELECT * FROM pooldiag.connections;
FETCH 0 FROM c;
SELECT 1 / 0;
ROLLBACK TO s;
SELECT count(*) FROM pooldiag.connections;
COMMIT;

-- In plans with parallel workers, and where all that can be parallel must be.
CREATE TABLE numbers AS SELECT generate_series(1, 1000) AS n;
ALTER TABLE numbers SET (parallel_workers = 2);
ANALYZE numbers;
SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT format('SELECT count(*) >= 0 AS %I FROM pooldiag.%1$I', name) FROM view \gexec
SELECT pooldiag.health() ->> 'status' AS health, pooldiag.health_detailed() ->> 'status' AS detailed;
SELECT set_config(name, 'off', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT (SELECT count(*) FROM numbers WHERE n % 2 = 0) AS counted, sum(connections) AS connections
FROM pooldiag.connection_states;
SELECT (SELECT count(*) FROM numbers JOIN pooldiag.connection_states s ON s.connections = n) AS joined;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
DROP TABLE numbers;

-- NULL for every argument that there is.
SELECT pooldiag.set_pool(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT pooldiag.drop_pool(NULL) IS NULL AS nothing;
SELECT count(*) FROM pg_file_settings WHERE name = 'pooldiag.pools' AND setting <> '';
