-- What the tests behind this one share.
CREATE EXTENSION pooldiag;
SELECT extname, nspname, extrelocatable
FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'pooldiag';
ALTER EXTENSION pooldiag SET SCHEMA public;

-- Waits until a condition holds: other processes take their time to start, end, wait or reload. Each
-- try is preceded by a tick, as what the sampler publishes is a tick old.
CREATE FUNCTION eventually(condition text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	deadline timestamptz := clock_timestamp() + interval '2 min';
	holds boolean;
BEGIN
	LOOP
		PERFORM pooldiag.sample_now();
		PERFORM pg_stat_clear_snapshot();
		EXECUTE 'SELECT ' || condition INTO holds;
		IF holds OR clock_timestamp() > deadline THEN
			RETURN holds;
		END IF;
		PERFORM pg_sleep(0.01);
	END LOOP;
END
$$;

-- Waits until this session is the only one: the test before may still be leaving.
CREATE FUNCTION alone() RETURNS boolean
LANGUAGE sql AS $$ SELECT eventually('(SELECT count(*) = 1 FROM pooldiag.connections)') $$;

-- Names of the role and database that run the tests, which are not the tests' to choose.
CREATE FUNCTION anonymous(name text) RETURNS text
LANGUAGE sql AS $$
	SELECT replace(name, format('%s@%s/', session_user, current_database()), 'user@database/')
$$;

-- Who asked whether the server was up was turned away until it was.
SELECT pooldiag.sample_now();
SELECT pooldiag.breaker_reset('refusals');
