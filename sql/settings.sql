-- Every setting: type, default, unit, range, and when a change takes effect.
SELECT name, vartype AS type, boot_val AS default, unit, min_val AS min, max_val AS max,
	enumvals AS values, context
FROM pg_settings WHERE name LIKE 'pooldiag.%' ORDER BY name COLLATE "C";

-- All of them are described.
SELECT name FROM pg_settings WHERE name LIKE 'pooldiag.%' AND coalesce(short_desc, '') = '';

-- Values out of range, one for each kind of setting.
ALTER SYSTEM SET pooldiag.environment = 'test';
ALTER SYSTEM SET pooldiag.pool_size = -2;
ALTER SYSTEM SET pooldiag.max_overflow = 262144;
ALTER SYSTEM SET pooldiag.pool_recycle = '25 d 1';
ALTER SYSTEM SET pooldiag.max_pools = 1025;
ALTER SYSTEM SET pooldiag.track_query_text = 'perhaps';
ALTER SYSTEM SET pooldiag.failure_threshold = 0;
ALTER SYSTEM SET pooldiag.half_open_samples = 0;
ALTER SYSTEM SET pooldiag.canary_write = 'on';
ALTER SYSTEM SET pooldiag.http_port = 65536;
ALTER SYSTEM SET pooldiag.http_access = 'none';

-- The same with units, which not every version has in its message.
\set VERBOSITY sqlstate
ALTER SYSTEM SET pooldiag.pool_timeout = 0;
ALTER SYSTEM SET pooldiag.sample_interval = '99ms';
ALTER SYSTEM SET pooldiag.sample_interval = '61min';
ALTER SYSTEM SET pooldiag.slow_query_threshold = 0;
ALTER SYSTEM SET pooldiag.leak_threshold = -1;
ALTER SYSTEM SET pooldiag.reset_timeout = '2d';
ALTER SYSTEM SET pooldiag.operation_timeout = '99ms';
\set VERBOSITY default

-- A name that is misspelt is refused, not kept as a placeholder.
SET pooldiag.sample_intervall = '2s';

-- What all sessions have to agree on no session sets for itself.
SET pooldiag.leak_threshold = '2s';
SET pooldiag.pools = 'web()';
SET pooldiag.max_pools = 128;
BEGIN;
SET LOCAL pooldiag.track_query_text = off;
ROLLBACK;
ALTER DATABASE postgres SET pooldiag.leak_threshold = '2s';

-- Nothing of this has changed anything.
SELECT name, setting FROM pg_file_settings WHERE name LIKE 'pooldiag.%' AND setting <> '';
SELECT name, setting FROM pg_settings WHERE name LIKE 'pooldiag.%' AND setting <> boot_val;

-- A change reaches the sampler by a reload.
ALTER SYSTEM SET pooldiag.sample_interval = '100ms';
SELECT pg_reload_conf();
SELECT eventually('(SELECT value = 100 FROM pooldiag.self WHERE name = ''sampler_interval'')');
ALTER SYSTEM RESET pooldiag.sample_interval;
SELECT pg_reload_conf();
SELECT eventually('(SELECT value = 1000 FROM pooldiag.self WHERE name = ''sampler_interval'')');

-- Without the texts of statements nothing shows any; ids and times stay.
ALTER SYSTEM SET pooldiag.track_query_text = off;
SELECT pg_reload_conf();
\c -
SELECT query, query_id IS NOT NULL AS query_id, state, xact_start = now() AS xact_start
FROM pooldiag.connections WHERE pid = pg_backend_pid();
ALTER SYSTEM RESET pooldiag.track_query_text;
SELECT pg_reload_conf();
\c -
SELECT query FROM pooldiag.connections WHERE pid = pg_backend_pid();

-- A size of 0 is none.
ALTER SYSTEM SET pooldiag.pool_size = 0;
SHOW pooldiag.pool_size;
