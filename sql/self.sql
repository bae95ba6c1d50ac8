-- self and sample_now: the sampler's own doings.
SELECT alone();

-- The figures that there are; after two ticks each is known.
SELECT pooldiag.sample_now();
SELECT pooldiag.sample_now();
SELECT name, unit, CASE WHEN name !~ '^state_file_(re|age|size|dur)' THEN value IS NOT NULL END AS known FROM pooldiag.self;

CREATE FUNCTION figure(wanted text) RETURNS float8
LANGUAGE sql AS $$ SELECT value FROM pooldiag.self WHERE name = wanted $$;

-- Each sample_now is one tick more: it waits for its end. And its sample is younger than the call.
SELECT figure('ticks') AS ticks \gset
SELECT count(pooldiag.sample_now()) FROM generate_series(1, 1000);
SELECT figure('ticks') - :ticks >= 1000 AS ticks;
BEGIN;
SELECT pooldiag.sample_now();
SELECT figure('sampler_last_tick_age') BETWEEN 0 AND extract(epoch FROM clock_timestamp() - now()) AS age;
COMMIT;

-- The sampler holds no connection, and is no session that pg_stat_activity could show.
SELECT count(*) FROM pooldiag.connections WHERE pid = figure('sampler_pid');
SELECT count(*) FROM pg_stat_activity WHERE pid = figure('sampler_pid');
SELECT to_timestamp(figure('sampler_started')) BETWEEN pg_postmaster_start_time() AND now() AS started;
SELECT figure('sampler_interval') = extract(epoch FROM current_setting('pooldiag.sample_interval')::interval) * 1000
	AS interval;

-- Plausible costs: neither the last tick nor the mean of all is above the greatest.
SELECT figure('tick_cpu_last') BETWEEN 0 AND figure('tick_cpu_max') AS last,
	figure('tick_cpu_mean') BETWEEN 0 AND figure('tick_cpu_max') AS mean,
	figure('sampler_cpu') * 1e6 >= figure('tick_cpu_max') AS sum,
	figure('sampler_cpu_share') BETWEEN 0 AND 100 AS share;

-- How full the tables are.
SELECT figure('pools_room') = current_setting('pooldiag.max_pools')::int AS pools_room,
	figure('pools_declared') AS pools_declared,
	figure('pools_used') BETWEEN 1 AND figure('pools_room') AS pools_used,
	figure('database_peaks_used') >= 1 AS databases, figure('role_peaks_used') >= 1 AS roles;

-- History is fixed in size, and not empty.
SELECT figure('history_pools') BETWEEN 1 AND figure('history_pools_room') AS pools,
	figure('history_pools_room') = current_setting('pooldiag.max_pools')::int + 1 AS room,
	figure('history_points') BETWEEN 1 AND figure('history_points_room') AS points,
	figure('history_points_room') = 600 + 2160 + 8640 + (600 + 360 + 672) * figure('history_pools_room') AS all_points,
	figure('shared_memory_history') BETWEEN 48 * figure('history_points_room') AND 52 * figure('history_points_room') AS size;

-- The memory is what the server has given.
SELECT figure('shared_memory') = (SELECT sum(value) FROM pooldiag.self WHERE name LIKE 'shared\_memory\_%') AS sum,
	figure('shared_memory') = (SELECT size FROM pg_shmem_allocations WHERE name = 'pooldiag') AS allocated;
DROP FUNCTION figure(text);
