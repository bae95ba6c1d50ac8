-- Refused connections, where there was none: what each view has then. The rest takes clients: see test/t. Whoever
-- waits for this server to start may have been too early.
SELECT alone();

-- All reasons, in an order of their own.
SELECT reason FROM pooldiag.refusals;
SELECT sqlstate, refused, first_at, last_at, last_user, last_database, last_application_name, last_client
FROM pooldiag.refusals WHERE reason <> 'starting up' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;
SELECT * FROM pooldiag.refusal_log WHERE reason <> 'starting up';
SELECT reason, usename, datname, application_name, client, refused, at_most_over, last_at FROM pooldiag.refusal_sources
WHERE reason <> 'starting up';

-- Counted since the server has its memory, which is a moment before it says that it has started.
SELECT count(DISTINCT stats_reset), bool_and(stats_reset < now()) AS past,
	bool_and(stats_reset > pg_postmaster_start_time() - interval '1 min') AS with_server
FROM pooldiag.refusals;

-- How full the buffers are.
SELECT name, value - CASE name WHEN 'refusal_log_used' THEN (SELECT count(*) FROM pooldiag.refusal_log)
	WHEN 'refusal_sources_used' THEN (SELECT count(*) FROM pooldiag.refusal_sources) ELSE 0 END AS value
FROM pooldiag.self WHERE name LIKE 'refusal%' AND name <> 'refusals_waiting';

-- A statement that fails is no refusal, whatever it says.
SELECT sum(refused) AS before FROM pooldiag.refusals \gset
DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'too_many_connections', MESSAGE = 'sorry, too many clients already'; END $$;
SELECT pooldiag.sample_now();
SELECT sum(refused) - :before AS refused FROM pooldiag.refusals;
SELECT value AS waiting FROM pooldiag.self WHERE name = 'refusals_waiting';
