-- report(): what stands where, and that it fits a terminal of 80 columns.
SELECT alone();

-- Without what changes from run to run: clock, bar, figures, the padding behind names.
CREATE FUNCTION masked(line text) RETURNS text
LANGUAGE sql AS $$
	SELECT regexp_replace(regexp_replace(regexp_replace(regexp_replace(line,
		'up \d+ \w+  +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+$', 'up <time> <clock>'),
		'^slots  [^ ]{46} ', 'slots <bar>'),
		'[0-9]+(\.[0-9]+)?', 'N', 'g'),
		' +', ' ', 'g')
$$;
-- A character of the Chinese script takes two columns.
CREATE FUNCTION columns(line text) RETURNS int
LANGUAGE sql AS $$ SELECT length(regexp_replace(line, '[\u4e00-\u9fff]', 'xx', 'g')) $$;

SELECT pooldiag.set_pool('everybody', size => 5, max_overflow => 0);
SELECT eventually('(SELECT count(*) = 1 FROM pooldiag.pools WHERE declared)');
SELECT masked(line), max(columns(line)) OVER () <= 80 AS fits FROM pooldiag.report() line;
SELECT (regexp_match(line, '\S+ \S+ \S+$'))[1]::timestamptz
	BETWEEN date_trunc('second', statement_timestamp()) AND clock_timestamp() AS clock
FROM pooldiag.report() line LIMIT 1;
-- The clock is the session's own.
SET TimeZone = 'Asia/Kathmandu';
SELECT right(line, 6) AS zone, columns(line) FROM pooldiag.report() line LIMIT 1;
-- One of its own making is told whole, however long.
SELECT set_config('TimeZone', format('<%s>0', repeat('ZONE', 62)), false) <> '' AS set;
SELECT line ~ '^[-0-9]{10} [0-9:]{8} (ZONE){62}$' AS clock FROM pooldiag.report() line LIMIT 1;
SELECT line ~ ' to [-0-9]{10} [0-9:]{8} (ZONE){62}$' AS clock FROM pooldiag.chart('connections') line LIMIT 1;
RESET TimeZone;

-- A rule that fires, with its advice in place of the all clear; and names too long for a line.
SELECT count(pooldiag.set_pool(name, size => 1000, max_overflow => 0))
FROM unnest(array['everybody', repeat('long-name', 7), repeat('長', 21), 'nobody']) name;
SELECT eventually('(SELECT count(*) = 4 FROM pooldiag.pools WHERE declared)');
SELECT masked(line), max(columns(line)) OVER () <= 80 AS fits FROM pooldiag.report() line;

-- More pools than there is room for.
SELECT count(pooldiag.set_pool(format('pool %s', i), size => 1, max_overflow => 0)) FROM generate_series(1, 8) i;
SELECT eventually('(SELECT count(*) = 12 FROM pooldiag.pools WHERE declared)');
SELECT masked(line), max(columns(line)) OVER () <= 80 AS fits FROM pooldiag.report() line;

-- A discovered pool with a long name, which is in the title of what is wrong.
ALTER SYSTEM SET pooldiag.slow_query_threshold = '1ms';
ALTER SYSTEM RESET pooldiag.pools;
SELECT pg_reload_conf();
SELECT eventually('(SELECT count(*) = 0 FROM pooldiag.pools WHERE declared)');
SELECT set_config('application_name', repeat('long-name', 7), false);
CREATE FUNCTION report_after_a_while() RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_sleep(0.01);
	RETURN QUERY SELECT * FROM pooldiag.report();
END
$$;
SELECT max(columns(line)) <= 80 AS fits, bool_or(line LIKE 'degraded %') AS degraded,
	count(*) FILTER (WHERE line LIKE 'warning %') AS warnings
FROM report_after_a_while() line;
RESET application_name;
ALTER SYSTEM RESET pooldiag.slow_query_threshold;
SELECT pg_reload_conf();
\c -
DROP FUNCTION report_after_a_while();
DROP FUNCTION masked(text);
DROP FUNCTION columns(text);
