-- metrics(): what it is made of, in both formats. Its figures are in test/t/034_metrics.pl.
SELECT alone();
SELECT pooldiag.set_pool('metered', application_name => 'metered*', size => 3);
SELECT eventually('(SELECT count(*) = 1 FROM pooldiag.pools WHERE declared)');
SELECT eventually($$(SELECT last_finished IS NOT NULL FROM pooldiag.operations WHERE operation = 'canary')$$);

-- A line is what a family is (keyword), or a sample of it.
CREATE TEMP TABLE line AS
SELECT format, number, line,
	substring(line FROM '^# (HELP|TYPE|UNIT|EOF)') AS keyword,
	substring(line FROM '^(?:# [A-Z]+ )?([a-z_]+)') AS name,
	substring(line FROM '^# [A-Z]+ [a-z_]+ (.*)$') AS text,
	substring(line FROM '^[a-z_]+(?:\{(.*)\})? [^ ]+$') AS labels,
	substring(line FROM '^[a-z_]+(?:\{.*\})? ([^ ]+)$') AS value
FROM (VALUES ('openmetrics', pooldiag.metrics()), ('prometheus', pooldiag.metrics('prometheus'))) f(format, text),
	regexp_split_to_table(text, '\n') WITH ORDINALITY AS l(line, number);

-- The families, as OpenMetrics has them: name, type, unit. Which recommendations there are, if any, depends on the machine.
CREATE TEMP TABLE family AS
SELECT format, name, min(text) FILTER (WHERE keyword = 'TYPE') AS type, min(text) FILTER (WHERE keyword = 'UNIT') AS unit,
	count(*) FILTER (WHERE keyword = 'HELP' AND length(text) > 5) AS help, count(*) FILTER (WHERE keyword = 'TYPE') AS types,
	min(number) AS first
FROM line
WHERE keyword <> 'EOF'
GROUP BY format, name;
SELECT name, type, unit FROM family WHERE format = 'openmetrics' AND name <> 'pooldiag_recommendations' ORDER BY first;

-- Each has one HELP and one TYPE, and its unit in its name; Prometheus's format has no units.
SELECT * FROM family WHERE help <> 1 OR types <> 1 OR (format = 'prometheus' AND unit IS NOT NULL)
	OR (name ~ '_(seconds|bytes)$' AND format = 'openmetrics' AND name NOT LIKE '%\_' || coalesce(unit, '-'));

-- The same families in both, as each format calls them.
SELECT o.name, o.type, p.name, p.type
FROM (SELECT * FROM family WHERE format = 'openmetrics') o
FULL JOIN (SELECT * FROM family WHERE format = 'prometheus') p
	ON p.name = o.name || CASE o.type WHEN 'counter' THEN '_total' WHEN 'info' THEN '_info' ELSE '' END
	AND p.type = CASE WHEN o.type IN ('info', 'stateset') THEN 'gauge' ELSE o.type END
WHERE o.name IS NULL OR p.name IS NULL;

-- Each line is one of these, or a sample with a number; the last one is the end mark, in OpenMetrics alone.
SELECT format, line FROM line
WHERE keyword IS NULL AND (labels IS NOT NULL OR line <> '') AND (value IS NULL OR value !~ '^-?[0-9]+(\.[0-9]+)?(e[-+][0-9]+)?$');
SELECT format, line, number = (SELECT max(number) FROM line WHERE format = l.format) - 1 AS last FROM line l WHERE keyword = 'EOF';
SELECT format, number = (SELECT max(number) FROM line WHERE format = l.format) AS last FROM line l WHERE line = '';

-- Each sample follows what its family is, with the suffix of that type; and is there once.
CREATE TEMP TABLE sample AS
SELECT l.format, l.number, l.name, l.labels, l.value::float8 AS value, f.name AS family, f.type
FROM line l
LEFT JOIN LATERAL (
	SELECT * FROM family f WHERE f.format = l.format AND f.first < l.number ORDER BY f.first DESC LIMIT 1) f ON true
WHERE l.value IS NOT NULL;
-- There are thousands, and they are joined below.
ANALYZE sample;
SELECT format, name, family, type FROM sample
WHERE NOT coalesce(substr(name, length(family) + 1) = ANY (CASE
	WHEN NOT starts_with(name, family) THEN '{}'
	WHEN type = 'histogram' THEN '{_bucket,_count,_sum}'
	WHEN format = 'prometheus' THEN '{""}'
	WHEN type = 'counter' THEN '{_total}'
	WHEN type = 'info' THEN '{_info}'
	ELSE '{""}' END::text[]), false);
SELECT format, name, labels FROM sample GROUP BY 1, 2, 3 HAVING count(*) > 1;
SELECT f.name FROM family f WHERE NOT EXISTS (SELECT FROM sample s WHERE (s.format, s.family) = (f.format, f.name));

-- Labels by family.
SELECT family, (SELECT string_agg(DISTINCT l[1], ', ') FROM regexp_matches(string_agg(labels, ','), '(?:^|,)([a-z_]+)="', 'g') l) AS labels
FROM sample WHERE format = 'openmetrics' AND labels IS NOT NULL AND family <> 'pooldiag_recommendations'
GROUP BY family ORDER BY min(number);

-- Every state, reason and outcome is there at all times.
SELECT name, array_agg(labels ORDER BY number) AS labels FROM sample
WHERE format = 'openmetrics' AND (name IN ('pooldiag_server_connections', 'pooldiag_health_status', 'pooldiag_refused_connections_total')
	OR (name IN ('pooldiag_pool_connections', 'pooldiag_breaker_state') AND labels ~ '"(pool:)?metered"')
	OR (name = 'pooldiag_operation_runs_total' AND labels ~ 'canary'))
GROUP BY name ORDER BY min(number);
-- Of a state set one is 1.
SELECT family, sum(value), min(value), max(value) FROM sample
WHERE format = 'openmetrics' AND type = 'stateset' AND (labels !~ 'breaker=' OR labels ~ '"slots"')
GROUP BY family ORDER BY family COLLATE "C";

-- A histogram rises to +Inf, which is its count; counters of the same things say the same.
SELECT family, substring(labels FROM 'pool="metered"') AS pool, count(*) AS samples,
	bool_and(value >= 0) AS positive
FROM sample WHERE format = 'openmetrics' AND type = 'histogram' AND labels ~ 'pool="metered"'
GROUP BY 1, 2 ORDER BY 1;
SELECT count(*) FROM (
	SELECT value < lag(value) OVER (PARTITION BY format, family, substring(labels FROM 'pool="(?:[^"\\]|\\.)*"') ORDER BY number) AS falls
	FROM sample WHERE name LIKE '%\_bucket') b WHERE falls;
SELECT count(*) > 0 AS some, count(*) FILTER (WHERE b.value <> c.value) AS differ
FROM sample b JOIN sample c ON b.format = c.format AND b.family = c.family AND b.labels = c.labels || ',le="+Inf"'
WHERE b.name LIKE '%\_bucket' AND c.name LIKE '%\_count';
SELECT c.family, bool_and(h.value = c.value) AS agree
FROM sample h
JOIN sample c ON c.format = h.format AND c.labels = h.labels AND c.name = CASE h.family
	WHEN 'pooldiag_pool_statement_duration_seconds' THEN 'pooldiag_pool_statements_total'
	WHEN 'pooldiag_pool_hold_seconds' THEN 'pooldiag_pool_transactions_total'
	WHEN 'pooldiag_pool_connect_duration_seconds' THEN 'pooldiag_pool_connections_opened_total'
	WHEN 'pooldiag_pool_session_lifetime_seconds' THEN 'pooldiag_pool_connections_closed_total' END
WHERE h.format = 'openmetrics' AND h.name LIKE '%\_count'
GROUP BY c.family ORDER BY c.family COLLATE "C";

SELECT labels = format('version="%s",server_version="%s"', extversion, current_setting('server_version')) AS build
FROM sample, pg_extension WHERE extname = 'pooldiag' AND format = 'openmetrics' AND name = 'pooldiag_build_info';
SELECT name, value FROM sample
WHERE format = 'openmetrics' AND labels = 'pool="metered"' AND name ~ '_(size|max_overflow|instances|capacity|overflow)$'
ORDER BY number;

-- There are two formats.
SELECT pooldiag.metrics('xml');
SELECT pooldiag.metrics('OpenMetrics');
SELECT pooldiag.metrics(NULL);
SELECT pooldiag.metrics() ~ '# EOF\n$' AS openmetrics, pooldiag.metrics('openmetrics') ~ '# EOF\n$' AS openmetrics,
	pooldiag.metrics(format => 'prometheus') ~ '# EOF' AS prometheus;

DROP TABLE line, family, sample;
SELECT pooldiag.drop_pool('metered');
SELECT eventually('(SELECT count(*) = 0 FROM pooldiag.pools WHERE declared)');
