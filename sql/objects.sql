-- The extension's objects: complete, commented, and for whom they are meant.
CREATE TEMP VIEW member AS
	SELECT classid, objid
	FROM pg_depend
	WHERE refclassid = 'pg_extension'::regclass
		AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pooldiag')
		AND deptype = 'e'
		AND classid <> 'pg_type'::regclass;  -- a view's row type, where the server lists it

SELECT pg_describe_object(classid, objid, 0) COLLATE "C" AS object FROM member ORDER BY 1;

-- What has no comment: objects, and columns of views.
CREATE TEMP VIEW uncommented AS
	SELECT pg_describe_object(o.classid, o.objid, o.objsubid) COLLATE "C" AS object
	FROM (
		SELECT classid, objid, 0 AS objsubid FROM member
		UNION ALL
		SELECT 'pg_class'::regclass, attrelid, attnum
		FROM pg_attribute JOIN member ON classid = 'pg_class'::regclass AND objid = attrelid
		WHERE attnum > 0 AND NOT attisdropped
		UNION ALL
		SELECT 'pg_extension'::regclass, oid, 0 FROM pg_extension WHERE extname = 'pooldiag'
	) o
	LEFT JOIN pg_description d
		ON (d.classoid, d.objoid, d.objsubid) = (o.classid, o.objid, o.objsubid)
	WHERE coalesce(btrim(description), '') = '';
SELECT * FROM uncommented;

-- It would see one that is missing.
BEGIN;
COMMENT ON VIEW pooldiag.pools IS NULL;
COMMENT ON COLUMN pooldiag.leaks.holds_xmin IS NULL;
COMMENT ON FUNCTION pooldiag.health() IS NULL;
CREATE FUNCTION pooldiag.added() RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER EXTENSION pooldiag ADD FUNCTION pooldiag.added();
SELECT * FROM uncommented ORDER BY 1;
ROLLBACK;

-- The columns, on which dashboards and scripts rest: names, order and types.
SELECT c.relname AS view, a.attname AS "column", format_type(a.atttypid, a.atttypmod) AS type
FROM member m
JOIN pg_class c ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname COLLATE "C", a.attnum;

-- Each view shows all of its function, in the same order.
SELECT c.relname,
	array_agg(a.attname::text ORDER BY a.attnum) = p.proargnames AS names,
	array_agg(a.atttypid ORDER BY a.attnum) = p.proallargtypes AS types
FROM member m
JOIN pg_class c ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
LEFT JOIN pg_proc p ON p.pronamespace = 'pooldiag'::regnamespace AND p.proname = c.relname
GROUP BY c.relname, p.proargnames, p.proallargtypes
ORDER BY c.relname COLLATE "C";

-- What the planner and who may call is told of each function. set_pool and drop_pool ask for the
-- privilege on the setting that they change, so anybody may call them.
SELECT p.proname, p.provolatile AS volatile, p.proisstrict AS strict, p.proparallel AS parallel,
	p.proretset AS set, p.prosecdef AS definer, p.proconfig AS config, l.lanname AS language,
	(SELECT string_agg(CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, ', ')
		FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner)))
		WHERE grantee <> p.proowner) AS granted_to
FROM member m
JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
JOIN pg_language l ON l.oid = p.prolang
ORDER BY p.proname COLLATE "C";

SELECT pg_get_function_arguments('pooldiag.set_pool'::regproc);
SELECT pg_get_function_arguments('pooldiag.drop_pool'::regproc);

SELECT c.relname, c.reloptions,
	(SELECT string_agg(format('%s: %s', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
			privilege_type), ', ')
		FROM aclexplode(coalesce(c.relacl, acldefault('r', c.relowner)))
		WHERE grantee <> c.relowner) AS granted
FROM member m
JOIN pg_class c ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
ORDER BY c.relname COLLATE "C";

SELECT format('%s: %s', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
	privilege_type) AS schema_granted
FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner)))
WHERE nspname = 'pooldiag' AND grantee <> nspowner;

-- Runs every view and every function without arguments, and says which of them returned something.
-- Who waited for this server to start may have been refused, which a breaker tells, or not: that is not said.
CREATE FUNCTION call_all() RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
	called pg_catalog.text;
	rows pg_catalog.int8;
BEGIN
	FOR called IN
		SELECT pg_catalog.format('pooldiag.%I', c.relname)
		FROM pg_temp.member m
		JOIN pg_catalog.pg_class c
			ON m.classid OPERATOR(pg_catalog.=) c.tableoid AND m.objid OPERATOR(pg_catalog.=) c.oid
		UNION ALL
		SELECT pg_catalog.format('pooldiag.%I()', p.proname)
		FROM pg_temp.member m
		JOIN pg_catalog.pg_proc p
			ON m.classid OPERATOR(pg_catalog.=) p.tableoid AND m.objid OPERATOR(pg_catalog.=) p.oid
		WHERE p.pronargs OPERATOR(pg_catalog.=) 0
	LOOP
		EXECUTE pg_catalog.format('SELECT pg_catalog.count(*) FROM %s', called) INTO rows;
		IF rows OPERATOR(pg_catalog.>) 0 AND called OPERATOR(pg_catalog.!~) '^pooldiag\.(refusal_|alerts|incidents)' THEN
			RETURN NEXT called;
		END IF;
	END LOOP;
END
$$;

-- What this session has done is known to be its pool's once the sampler has seen it.
SELECT pooldiag.sample_now();
-- None of them relies on the search path: it may be empty, or lead to look-alikes first.
CREATE TEMP TABLE usual AS SELECT * FROM call_all() called;
SELECT * FROM usual ORDER BY called COLLATE "C";
CREATE SCHEMA lookalike;
CREATE FUNCTION lookalike.fail(text, text) RETURNS boolean
LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a look-alike was called'; END $$;
CREATE OPERATOR lookalike.= (LEFTARG = text, RIGHTARG = text, FUNCTION = lookalike.fail);
CREATE TABLE lookalike.pg_database ();
CREATE TABLE lookalike.pg_authid ();
CREATE TABLE lookalike.pg_stat_activity ();
CREATE DOMAIN lookalike.text AS int4;
CREATE DOMAIN lookalike.jsonb AS int4;
CREATE DOMAIN lookalike.interval AS int4;
SET search_path = '';
SELECT pg_catalog.count(*) FROM pg_temp.usual
WHERE called OPERATOR(pg_catalog.=) ANY (SELECT public.call_all());
SET search_path = lookalike, pg_catalog;
SELECT pg_catalog.count(*) FROM pg_temp.usual
WHERE called OPERATOR(pg_catalog.=) ANY (SELECT public.call_all());
RESET search_path;
SELECT count(*) FROM usual;
SET client_min_messages = warning;
DROP SCHEMA lookalike CASCADE;
RESET client_min_messages;

-- A role that may monitor may call all of them but sample_now and reset; any other none.
CREATE ROLE regress_pooldiag_monitor IN ROLE pg_monitor;
CREATE ROLE regress_pooldiag_plain;
SELECT r.rolname, has_schema_privilege(r.oid, 'pooldiag', 'USAGE') AS schema,
	(SELECT string_agg(proname, ', ' ORDER BY proname COLLATE "C")
		FROM member JOIN pg_proc p ON classid = 'pg_proc'::regclass AND objid = p.oid
		WHERE NOT has_function_privilege(r.oid, p.oid, 'EXECUTE')) AS functions_not,
	(SELECT string_agg(relname, ', ' ORDER BY relname COLLATE "C")
		FROM member JOIN pg_class c ON classid = 'pg_class'::regclass AND objid = c.oid
		WHERE NOT has_table_privilege(r.oid, c.oid, 'SELECT')) AS views_not
FROM pg_roles r
WHERE rolname LIKE 'regress\_pooldiag\_%'
ORDER BY rolname COLLATE "C";
DROP ROLE regress_pooldiag_monitor, regress_pooldiag_plain;
DROP FUNCTION call_all();
