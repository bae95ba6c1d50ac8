-- pools and utilization: names of discovered pools, figures of declared ones, everybody's limits.
SELECT alone();

-- The pool of this session under another name. Parts are quoted where they hold @ / " or nothing.
CREATE FUNCTION pool_as(application_name text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('application_name', application_name, true);
	RETURN (SELECT pool FROM pooldiag.connections WHERE pid = pg_backend_pid());
END
$$;
SELECT anonymous(pool_as(name)) AS pool
FROM unnest('{web,web/1,web@1,"web \"1\"",web 1,"","(other)","\"","a,b=c(d)",*}'::text[]) name;
-- It is the name of the moment: a session that renames itself is in another pool at once.
SET application_name = 'first';
SELECT anonymous(pool) AS pool FROM pooldiag.connections;
SET application_name = 'second';
SELECT anonymous(pool) AS pool FROM pooldiag.connections;
SELECT anonymous(pool) AS pool, connections FROM pooldiag.pools WHERE connections > 0;
RESET application_name;

-- Of a discovered pool nobody states how large it may be.
SELECT anonymous(pool) AS pool, declared, instances, size, max_overflow, capacity, connections, checked_out,
	idle, overflow, utilization_percent, saturation_percent, peak_checked_out, over_recycle, leaks
FROM pooldiag.pools WHERE connections > 0 \gx

-- Declared ones: what is not stated comes from the environment's preset, or the settings.
SELECT pooldiag.set_pool('nothing stated', application_name => 'none'),
	pooldiag.set_pool('all stated', application_name => 'all*', size => 3, max_overflow => 1, instances => 2);
CREATE VIEW declared AS
	SELECT pool, declared, instances, size, max_overflow, capacity, connections, checked_out, idle,
		overflow, utilization_percent AS utilization, saturation_percent AS saturation, over_recycle, leaks
	FROM pooldiag.pools WHERE declared;
SELECT eventually('(SELECT count(*) = 2 FROM declared)');
SELECT * FROM declared;
ALTER SYSTEM SET pooldiag.environment = 'production';
SELECT pg_reload_conf();
SELECT eventually('(SELECT bool_or(size = 50) FROM declared)');
SELECT pool, size, max_overflow, capacity FROM declared;
ALTER SYSTEM SET pooldiag.environment = 'development';
SELECT pg_reload_conf();
SELECT eventually('(SELECT bool_or(size = 5) FROM declared)');
SELECT pool, size, max_overflow, capacity FROM declared;
ALTER SYSTEM SET pooldiag.pool_size = 9;
ALTER SYSTEM SET pooldiag.max_overflow = 0;
SELECT pg_reload_conf();
SELECT eventually('(SELECT bool_or(capacity = 9) FROM declared)');
SELECT pool, size, max_overflow, capacity FROM declared;
ALTER SYSTEM RESET pooldiag.environment;
ALTER SYSTEM RESET pooldiag.pool_size;
ALTER SYSTEM RESET pooldiag.max_overflow;
SELECT pg_reload_conf();
SELECT eventually('(SELECT bool_or(size = 20) FROM declared)');

-- utilization_percent is of what the instances keep, saturation_percent of all that they may open.
SET application_name = 'all mine';
SELECT pool, connections, checked_out, idle, overflow, round(utilization::numeric, 3) AS utilization,
	saturation, over_recycle, leaks
FROM declared;
-- No connection is in two pools.
SELECT sum(connections) FROM pooldiag.pools;
-- The first that matches has it.
SELECT pooldiag.drop_pool('nothing stated') IS NOT NULL,
	pooldiag.set_pool('never reached', application_name => 'all mine') IS NOT NULL;
SELECT eventually($$(SELECT bool_or(pool = 'never reached') FROM declared)$$);
SELECT pool, connections FROM declared;
-- By role and database, too.
SELECT pooldiag.drop_pool('all stated') IS NOT NULL,
	pooldiag.set_pool('never reached', "user" => 'nobody?') IS NOT NULL,
	pooldiag.set_pool('this database', "user" => '*', database => current_database()) IS NOT NULL;
SELECT eventually($$(SELECT bool_or(pool = 'this database') FROM declared)$$);
SELECT pool, connections FROM declared;

-- Older than its pool's recycle, by its own figure, then by the setting.
SELECT pooldiag.set_pool('this database', recycle => '1 ms') IS NOT NULL;
SELECT eventually('(SELECT bool_or(over_recycle = 1) FROM declared)');
SELECT pool, connections, over_recycle FROM declared;
SELECT pooldiag.set_pool('this database', recycle => '1 day') IS NOT NULL;
SELECT eventually('(SELECT bool_and(over_recycle = 0) FROM declared)');
SELECT pooldiag.drop_pool('this database') IS NOT NULL;
ALTER SYSTEM SET pooldiag.pool_recycle = 1;
SELECT pg_reload_conf();
SELECT eventually($$(SELECT over_recycle = 1 FROM pooldiag.pools WHERE pool LIKE '%/all mine')$$);
ALTER SYSTEM RESET pooldiag.pool_recycle;
SELECT pg_reload_conf();
SELECT eventually($$(SELECT over_recycle = 0 FROM pooldiag.pools WHERE pool LIKE '%/all mine')$$);

-- What no longer exists as a pool of its own leaves; what had connections stays known.
SELECT pooldiag.drop_pool('never reached');
SELECT eventually('(SELECT count(*) = 0 FROM declared)');
SELECT anonymous(pool) AS pool, connections, checked_out, peak_checked_out
FROM pooldiag.pools WHERE pool LIKE '%/all mine';
RESET application_name;
SELECT eventually($$(SELECT connections = 0 FROM pooldiag.pools WHERE pool LIKE '%/all mine')$$);
SELECT anonymous(pool) AS pool, connections, checked_out, peak_checked_out
FROM pooldiag.pools WHERE pool LIKE '%/all mine';

-- More pools than there is room for: those that have been empty longest are forgotten, and each tick
-- still counts every connection once.
SELECT value AS evicted FROM pooldiag.self WHERE name = 'pools_evicted' \gset
DO $$
BEGIN
	FOR i IN 1 .. current_setting('pooldiag.max_pools')::int + 10 LOOP
		PERFORM set_config('application_name', format('name-%s', i), false);
		PERFORM pooldiag.sample_now();
		ASSERT (SELECT sum(connections) FROM pooldiag.pools) = 1;
	END LOOP;
END
$$;
SELECT value >= :evicted + 10 AS evicted FROM pooldiag.self WHERE name = 'pools_evicted';
SELECT value FROM pooldiag.self WHERE name IN ('pools_used', 'pools_room') AND value <> current_setting('pooldiag.max_pools')::int;
SELECT anonymous(pool) AS pool FROM pooldiag.pools, unnest('{1,10,11,74}'::int[]) i WHERE pool LIKE '%/name-' || i ORDER BY i;
SELECT connections FROM pooldiag.pools WHERE pool = '(other)';
RESET application_name;

-- utilization: every scope, each capacity as the server has it.
SELECT current_database() AS db \gset
CREATE ROLE regress_pooldiag_three LOGIN CONNECTION LIMIT 3;
CREATE ROLE regress_pooldiag_none LOGIN CONNECTION LIMIT 0;
CREATE ROLE regress_pooldiag_nologin CONNECTION LIMIT 5;
CREATE ROLE regress_pooldiag_unlimited LOGIN;
-- An errand may run beside the five workers that there are.
SELECT scope, CASE WHEN name IS NULL THEN NULL WHEN name = current_database() THEN 'database'
	WHEN name = session_user THEN 'user' ELSE anonymous(name) END AS name,
	CASE scope WHEN 'workers' THEN least(connections, 5) ELSE connections END AS connections,
	CASE scope WHEN 'workers' THEN least(checked_out, 5) ELSE checked_out END AS checked_out,
	capacity IS NULL AS unlimited, utilization_percent IS NULL AS no_percent
FROM pooldiag.utilization
WHERE connections > 0 OR name LIKE 'regress\_pooldiag\_%' OR scope = 'reserved slots'
ORDER BY scope COLLATE "C", name COLLATE "C";
SELECT scope, capacity = CASE scope
	WHEN 'server' THEN current_setting('max_connections')::int
		- current_setting('superuser_reserved_connections')::int
		- coalesce(current_setting('reserved_connections', true), '0')::int
	WHEN 'reserved slots' THEN current_setting('superuser_reserved_connections')::int
		+ coalesce(current_setting('reserved_connections', true), '0')::int
	WHEN 'walsenders' THEN current_setting('max_wal_senders')::int
	WHEN 'workers' THEN current_setting('max_worker_processes')::int END AS capacity,
	utilization_percent = 100.0 * connections / capacity AS utilization_percent,
	peak_connections >= connections AS peak_connections,
	(peak_at IS NULL) = (peak_connections = 0) AND (peak_at <= clock_timestamp()) IS NOT FALSE AS peak_at
FROM pooldiag.utilization WHERE name IS NULL ORDER BY scope COLLATE "C";
-- The launcher of logical replication has a worker's slot, and so have pooldiag's four workers, which
-- pg_stat_activity does not show.
SELECT connections = 4 + (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'logical replication launcher')
	AS workers
FROM pooldiag.utilization WHERE scope = 'workers';

-- Limits of the database and the role, with and without.
ALTER DATABASE :"db" CONNECTION LIMIT 8;
SELECT session_user AS me \gset
ALTER ROLE :"me" CONNECTION LIMIT 16;
SELECT scope, connections, checked_out, capacity, utilization_percent, peak_connections >= 1 AS peak
FROM pooldiag.utilization WHERE name IN (current_database(), session_user) AND connections > 0
ORDER BY scope COLLATE "C";
ALTER ROLE :"me" CONNECTION LIMIT -1;
ALTER DATABASE :"db" CONNECTION LIMIT -1;
SELECT scope, connections, capacity, utilization_percent
FROM pooldiag.utilization WHERE name IN (current_database(), session_user) AND connections > 0
ORDER BY scope COLLATE "C";
-- What is dropped is forgotten.
DROP ROLE regress_pooldiag_three, regress_pooldiag_none, regress_pooldiag_nologin, regress_pooldiag_unlimited;
SELECT count(*) FROM pooldiag.utilization WHERE name LIKE 'regress\_pooldiag\_%';

ALTER SYSTEM RESET pooldiag.pools;
SELECT pg_reload_conf();
DROP VIEW declared;
DROP FUNCTION pool_as(text);
