-- health() and health_detailed().
SELECT alone();
-- What the tests before have done is forgotten.
SELECT eventually($$(SELECT bool_or(rule = 'all_clear') FROM pooldiag.recommendations)$$);

-- The quick document has these keys, no other.
SELECT key, jsonb_typeof(value) AS type FROM jsonb_each(pooldiag.health()) ORDER BY key COLLATE "C";
SELECT outer_.key, inner_.key AS member, jsonb_typeof(inner_.value) AS type
FROM jsonb_each(pooldiag.health()) outer_, jsonb_each(outer_.value) inner_
WHERE jsonb_typeof(outer_.value) = 'object'
ORDER BY outer_.key COLLATE "C", inner_.key COLLATE "C";

-- Its figures are the server's own slots.
SELECT h - 'connection_pool' AS health,
	p -> 'size' = to_jsonb(capacity) AS size,
	p -> 'checked_out' = to_jsonb(connections) AS checked_out,
	p -> 'overflow' AS overflow,
	p -> 'utilization_percent' = to_jsonb(round(utilization_percent::numeric, 1)) AS utilization_percent
FROM pooldiag.health() h, LATERAL (SELECT h -> 'connection_pool') l(p), pooldiag.utilization
WHERE scope = 'server';
ALTER SYSTEM SET pooldiag.operation_timeout = '1500ms';
SELECT pg_reload_conf();
\c -
SELECT alone();
SELECT pooldiag.health() -> 'async_operations' AS async_operations;
ALTER SYSTEM RESET pooldiag.operation_timeout;
SELECT pg_reload_conf();
\c -
SELECT alone();

-- The detailed document has the same and more; the guide's path to the utilization works in both.
SELECT key, jsonb_typeof(value) AS type FROM jsonb_each(pooldiag.health_detailed()) ORDER BY key COLLATE "C";
SELECT d @> h AS superset,
	d #> '{connection_pool,utilization_percent}' = h #> '{connection_pool,utilization_percent}' AS quick_path,
	d #> '{metrics,connection_pool,utilization_percent}' = h #> '{connection_pool,utilization_percent}' AS detailed_path
FROM pooldiag.health() h, pooldiag.health_detailed() d;
SELECT d #> '{metrics,connection_pool,states}' = (SELECT jsonb_object_agg(state, connections) FROM pooldiag.connection_states)
	AS states
FROM pooldiag.health_detailed() d;
-- What has happened is as in the views.
SELECT pooldiag.sample_now();
SELECT key, jsonb_typeof(value) AS type FROM jsonb_each(pooldiag.health_detailed() -> 'metrics') ORDER BY key COLLATE "C";
SELECT m #> '{refused,by_reason}' = (SELECT jsonb_object_agg(reason, refused) FROM pooldiag.refusals) AS refused,
	(m #>> '{refused,total}')::int8 = (SELECT sum(refused) FROM pooldiag.refusals) AS total
FROM (SELECT pooldiag.health_detailed() -> 'metrics') d(m);
SELECT kind, ARRAY(SELECT jsonb_object_keys(m #> ARRAY['latency', kind])) AS members,
	(m #>> ARRAY['latency', kind, 'count'])::int8
		= (SELECT sum(count) FROM pooldiag.latency l WHERE l.kind = k.kind) AS count,
	(m #>> ARRAY['latency', kind, 'p50_ms'])::float8 <= (m #>> ARRAY['latency', kind, 'p95_ms'])::float8 AS ordered
FROM (SELECT pooldiag.health_detailed() -> 'metrics') d(m), (VALUES ('statement'), ('transaction'), ('connect'), ('lifetime')) k(kind);
SELECT abs(100 - sum((w ->> 'share_percent')::float8)) < 1 AS shares,
	sum((w ->> 'samples')::int8) = (SELECT sum(samples) FROM pooldiag.waits) AS samples,
	count(w) <= 11 AS few
FROM jsonb_array_elements(pooldiag.health_detailed() #> '{metrics,waits}') w;
SELECT count(*) BETWEEN 1 AND 10 AS rows, max(h ->> 'at') = to_char(max(l.at) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:00"Z"') AS newest
FROM jsonb_array_elements(pooldiag.health_detailed() #> '{metrics,history}') h,
	LATERAL (SELECT max(at) AS at FROM pooldiag.history('1 min', step => '1 min')) l;
SELECT (d #> '{metrics,connection_pool}') - '{size,utilization_percent,states,peak_connections}'::text[]
	AS connection_pool
FROM pooldiag.health_detailed() d;
SELECT d -> 'server' ->> 'version' = current_setting('server_version') AS version,
	d -> 'server' -> 'role' AS role, d -> 'server' -> 'in_recovery' AS in_recovery,
	(d -> 'server' ->> 'uptime_seconds')::float8
		BETWEEN 0 AND extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) + 0.1 AS uptime
FROM pooldiag.health_detailed() d;
SELECT d -> 'self' -> 'preloaded' AS preloaded, d -> 'self' -> 'sampler_silent' AS sampler_silent
FROM pooldiag.health_detailed() d;
SELECT jsonb_set(p, '{pool}', to_jsonb(anonymous(p ->> 'pool'))) AS pool
FROM jsonb_array_elements(pooldiag.health_detailed() -> 'pools') p;


-- A rule of severity warning makes the server degraded, and its title is the recommendation.
SELECT pooldiag.set_pool('everybody', size => 300, max_overflow => 0);
SELECT eventually('(SELECT count(*) = 1 FROM pooldiag.pools WHERE declared)');
SELECT d -> 'status' AS status, d -> 'recommendations' = jsonb_build_array(title) AS recommendations,
	d @> pooldiag.health() AS superset
FROM pooldiag.health_detailed() d, pooldiag.recommendations;
SELECT p AS pool FROM jsonb_array_elements(pooldiag.health_detailed() -> 'pools') p;

ALTER SYSTEM RESET pooldiag.pools;
SELECT pg_reload_conf();
SELECT eventually('(SELECT count(*) = 0 FROM pooldiag.pools WHERE declared)');
