-- connection_states, connections and connection_groups, against pg_stat_activity.
SELECT alone();

-- Every state, in the order that all reports have, with one connection: this one.
SELECT state, connections, oldest IS NOT NULL AS "since" FROM pooldiag.connection_states;
SELECT sum(slots_percent) = 100.0 / (SELECT sum(setting::int * CASE name WHEN 'max_connections' THEN 1 ELSE -1 END)
	FROM pg_settings
	WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')) AS slots_percent,
	sum(connections) = (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
	max(oldest) BETWEEN '0' AND clock_timestamp() - statement_timestamp() AS oldest
FROM pooldiag.connection_states;

-- The same, column by column, as pg_stat_activity says of this session; at once and in a transaction.
CREATE VIEW differences AS
	SELECT to_jsonb(ours) AS ours, to_jsonb(theirs) AS theirs
	FROM (
		SELECT pid, datname, usename, application_name, client_addr, backend_start, state, state_change,
			xact_start, wait_event_type, wait_event, query_id, query
		FROM pooldiag.connections
	) ours
	FULL JOIN (
		SELECT pid, datname, usename, application_name, client_addr, backend_start, state, state_change,
			xact_start, wait_event_type, wait_event, query_id, query
		FROM pg_stat_activity WHERE backend_type = 'client backend'
	) theirs ON ours.pid = theirs.pid
	WHERE to_jsonb(ours) IS DISTINCT FROM to_jsonb(theirs);
SELECT * FROM differences;
BEGIN;
SELECT pg_sleep(0.001);
SELECT * FROM differences;
SELECT xact_start = now() AS xact_start, state_change >= statement_timestamp() AS state_change,
	xact_age > state_age AS xact_age, state_age BETWEEN '0' AND '1 min' AS state_age,
	state_age - xact_age = xact_start - state_change AS same_now,
	backend_start < xact_start AS backend_start, query_id IS NOT NULL AS query_id
FROM pooldiag.connections WHERE pid = pg_backend_pid();
COMMIT;

-- A statement longer than what the server keeps is cut where a character ends.
SELECT repeat('é', 1000) AS long \gset
SELECT query = (SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()) AS same,
	length(query) < 1000 AS cut
FROM pooldiag.connections WHERE :'long' IS NOT NULL;

-- A session that does not tell what it does.
SET track_activities = off;
SELECT state, connections FROM pooldiag.connection_states WHERE connections > 0;
SELECT * FROM differences;
SELECT state, state_change, state_age, query_id, query FROM pooldiag.connections;
RESET track_activities;
SELECT state, connections FROM pooldiag.connection_states WHERE connections > 0;

-- By name and client.
SET application_name = '';
SELECT datname = current_database() AS datname, usename = session_user AS usename, application_name,
	client_addr IS NOT DISTINCT FROM inet_client_addr() AS client_addr,
	connections, active, idle, idle_in_transaction, waiting,
	oldest_xact BETWEEN '0' AND clock_timestamp() - now() AS oldest_xact,
	oldest_connection > oldest_xact AS oldest_connection
FROM pooldiag.connection_groups;
RESET application_name;

-- The role that logged in, whatever it has become since.
CREATE ROLE regress_pooldiag_other SUPERUSER;
SET ROLE regress_pooldiag_other;
SELECT usename = session_user AS session_user, usename = current_user AS "current_user"
FROM pooldiag.connections;
SET SESSION AUTHORIZATION regress_pooldiag_other;
SELECT usename = session_user AS session_user,
	usename = (SELECT usename FROM pg_stat_activity WHERE pid = pg_backend_pid()) AS pg_stat_activity
FROM pooldiag.connections;
RESET SESSION AUTHORIZATION;
RESET ROLE;
DROP ROLE regress_pooldiag_other;
DROP VIEW differences;
