-- history and chart: what they return, and what they refuse.
SELECT alone();
SELECT pooldiag.sample_now();

-- Columns and their types.
SELECT a.name, format_type(a.type, NULL) AS type
FROM pg_proc, unnest(proallargtypes, proargmodes, proargnames) WITH ORDINALITY AS a(type, mode, name, n)
WHERE oid = 'pooldiag.history'::regproc AND a.mode = 'o' ORDER BY n;

-- The server as it was a moment ago; what nobody counts yet is not known.
SELECT at BETWEEN now() - interval '10 s' AND clock_timestamp() AS at, connections > 0 AS connections,
	active + idle + idle_in_transaction <= connections + 0.01 AS states, max_connections_seen >= connections AS highest,
	utilization_percent > 0 AS utilization, max_utilization_percent >= utilization_percent AS highest_utilization,
	max_active >= active AS highest_active, waiting >= 0 AS waiting, max_waiting >= waiting AS highest_waiting
FROM pooldiag.history('5 s') AS h ORDER BY h.at DESC LIMIT 1;
SELECT count(*) > 0 AS rows, bool_and(at = date_trunc('minute', at)) AS whole_minutes
FROM pooldiag.history('1 hour', step => '1 min');
-- Each row's at is the one before and a step, the last is the present.
SELECT bool_and(gap IS NULL OR gap = interval '10 s') AS steps, max(at) > clock_timestamp() - interval '20 s' AS present
FROM (SELECT at, at - lag(at) OVER (ORDER BY at) AS gap FROM pooldiag.history('10 min', step => '10 s')) AS h;
-- A step that is finer than what is kept of so long a time is widened.
SELECT count(*) BETWEEN 1 AND 2 AS rows, bool_and(extract(epoch FROM at)::bigint % 300 = 0) AS five_minutes
FROM pooldiag.history('30 days', step => '1 s') WHERE at > clock_timestamp() - interval '10 min';
SELECT bool_and(extract(epoch FROM at)::bigint % 900 = 0) AS fifteen_minutes, max(max_connections_seen) >= 1 AS seen
FROM pooldiag.history('7 days', (SELECT min(pool) FROM pooldiag.pools WHERE connections > 0));
-- (other) is there from the start.
SELECT max(connections) AS connections FROM pooldiag.history('1 min', '(other)');

-- What is refused, and how it says what would do.
\set VERBOSITY default
SELECT * FROM pooldiag.history('0');
SELECT * FROM pooldiag.history('-1 min');
SELECT * FROM pooldiag.history('31 days');
SELECT * FROM pooldiag.history('100000000 years');
SELECT * FROM pooldiag.history('8 days', '(other)');
SELECT * FROM pooldiag.history(NULL);
SELECT * FROM pooldiag.history(step => '0 s');
SELECT * FROM pooldiag.history(step => '-1 day');
SELECT * FROM pooldiag.history(pool => 'no such pool');
SELECT pooldiag.chart('uptime');
SELECT pooldiag.chart(NULL);
SELECT pooldiag.chart('connections', '0 s');
SELECT pooldiag.chart('connections', '31 days');
SELECT pooldiag.chart('connections', '1 min', 'no such pool');
\set VERBOSITY terse

-- Each metric has its picture, of as many lines, none of them wider than a terminal, at every length of time.
SELECT since, count(*) AS metrics, min(lines) AS fewest, max(lines) AS most, max(width) <= 80 AS fits
FROM unnest(ARRAY['1 s', '10 s', '1 min', '10 min', '61 min', '6 h', '1 day', '7 days', '30 days']::interval[]) WITH ORDINALITY AS s(since, n),
	(SELECT a.name FROM pg_proc, unnest(proargmodes, proargnames) AS a(mode, name)
	WHERE oid = 'pooldiag.history'::regproc AND a.mode = 'o' AND a.name <> 'at') AS m,
	LATERAL (SELECT count(*) AS lines, max(length(line)) AS width FROM pooldiag.chart(name, since) AS line) AS c
GROUP BY since, n ORDER BY n;

-- The picture of connections, without figures and bars.
SELECT regexp_replace(line, '[0-9].*', '...') AS line FROM pooldiag.chart('connections', '10 min') WITH ORDINALITY AS c(line, n)
WHERE n IN (1, 16);
-- A client whose encoding has no blocks gets one in ASCII.
SET client_encoding = 'LATIN1';
SELECT count(*) FILTER (WHERE line ~ '[^ -~]') AS beyond_ascii, count(*) FILTER (WHERE line LIKE '%|%') > 6 AS axis
FROM pooldiag.chart('connections') AS line;
RESET client_encoding;
