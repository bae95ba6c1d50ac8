-- pooldiag.pools and pooldiag.breakers: what is taken, what is refused and how the refusal says why;
-- set_pool and drop_pool.

-- What the files say now; nothing but these two settings is ever there.
CREATE VIEW stated AS
	SELECT name, setting, error FROM pg_file_settings WHERE name IN ('pooldiag.pools', 'pooldiag.breakers');

ALTER SYSTEM SET pooldiag.pools = 'web(application_name=web*, size=50, max_overflow=100, instances=2, timeout=30s, recycle=1h, slow=5s, leak=10s), jobs(user=jobs, size=5)';
ALTER SYSTEM SET pooldiag.breakers = 'slots(limit=80, failures=5, reset=30s, mode=metrics_only), "pool:web"(limit=90%)';
SELECT * FROM stated ORDER BY name COLLATE "C";

-- Refused: what is no list of definitions.
ALTER SYSTEM SET pooldiag.pools = 'web';
ALTER SYSTEM SET pooldiag.pools = 'web(size=5';
ALTER SYSTEM SET pooldiag.pools = 'web(size=5))';
ALTER SYSTEM SET pooldiag.pools = 'web(size=5) jobs()';
ALTER SYSTEM SET pooldiag.pools = 'web(size=5),';
ALTER SYSTEM SET pooldiag.pools = 'web(size=5,)';
ALTER SYSTEM SET pooldiag.pools = 'web(size=5 leak=1s)';
ALTER SYSTEM SET pooldiag.pools = 'web(size)';
ALTER SYSTEM SET pooldiag.pools = 'web(size=)';
ALTER SYSTEM SET pooldiag.pools = '(size=5)';
ALTER SYSTEM SET pooldiag.pools = 'my app(size=5)';
ALTER SYSTEM SET pooldiag.pools = 'web(application_name="web)';
ALTER SYSTEM SET pooldiag.pools = E'web(application_name=web\r)';
ALTER SYSTEM SET pooldiag.pools = E'web(application_name="web\t1")';
-- Names.
ALTER SYSTEM SET pooldiag.pools = 'web(size=5), web(size=6)';
ALTER SYSTEM SET pooldiag.pools = 'web(size=5), "web"()';
ALTER SYSTEM SET pooldiag.pools = '""(size=5)';
ALTER SYSTEM SET pooldiag.pools = '"(other)"()';
ALTER SYSTEM SET pooldiag.pools = 'app@shop/web()';
ALTER SYSTEM SET pooldiag.pools = 'web5678901234567890123456789012345678901234567890123456789012345()';
-- Keys.
ALTER SYSTEM SET pooldiag.pools = 'web(pool_size=5)';
ALTER SYSTEM SET pooldiag.pools = 'web(Size=5)';
ALTER SYSTEM SET pooldiag.pools = 'web(size=5, size=5)';
ALTER SYSTEM SET pooldiag.pools = 'web(limit=5)';
-- Numbers and times.
ALTER SYSTEM SET pooldiag.pools = 'web(size=0)';
ALTER SYSTEM SET pooldiag.pools = 'web(size=-5)';
ALTER SYSTEM SET pooldiag.pools = 'web(size=five)';
ALTER SYSTEM SET pooldiag.pools = 'web(size=5.5)';
ALTER SYSTEM SET pooldiag.pools = 'web(size=5s)';
ALTER SYSTEM SET pooldiag.pools = 'web(size=262144)';
ALTER SYSTEM SET pooldiag.pools = 'web(size=99999999999999999999)';
ALTER SYSTEM SET pooldiag.pools = 'web(instances=0)';
ALTER SYSTEM SET pooldiag.pools = 'web(size=200000, instances=20000)';
ALTER SYSTEM SET pooldiag.pools = 'web(leak=10)';
ALTER SYSTEM SET pooldiag.pools = 'web(leak=10sec)';
ALTER SYSTEM SET pooldiag.pools = 'web(leak=0s)';
ALTER SYSTEM SET pooldiag.pools = 'web(leak=0.5ms)';
ALTER SYSTEM SET pooldiag.pools = 'web(leak=366d)';
ALTER SYSTEM SET pooldiag.pools = 'web(leak=1 min)';
-- The position counts characters, not bytes.
ALTER SYSTEM SET pooldiag.pools = '"büro für öl"(leak=10)';
-- More than there is room for.
SELECT current_setting('pooldiag.max_pools') AS room,
	string_agg(format('p%s()', i), ',') AS too_many
FROM generate_series(1, current_setting('pooldiag.max_pools')::int + 1) i \gset
ALTER SYSTEM SET pooldiag.pools = :'too_many';
-- Refused breakers.
ALTER SYSTEM SET pooldiag.breakers = 'slot(limit=80)';
ALTER SYSTEM SET pooldiag.breakers = 'pool(limit=80)';
ALTER SYSTEM SET pooldiag.breakers = 'pool:(limit=80)';
ALTER SYSTEM SET pooldiag.breakers = '"pool:(other)"(limit=80)';
ALTER SYSTEM SET pooldiag.breakers = 'slots(limit=80), slots(limit=90)';
ALTER SYSTEM SET pooldiag.breakers = 'slots(size=80)';
ALTER SYSTEM SET pooldiag.breakers = 'slots(limit=0)';
ALTER SYSTEM SET pooldiag.breakers = 'slots(limit=100.5)';
ALTER SYSTEM SET pooldiag.breakers = 'slots(limit=0.0000001)';
ALTER SYSTEM SET pooldiag.breakers = 'pool:web(limit=1000.1%)';
ALTER SYSTEM SET pooldiag.breakers = 'leaks(limit=50%)';
ALTER SYSTEM SET pooldiag.breakers = 'leaks(limit=0)';
ALTER SYSTEM SET pooldiag.breakers = 'slots(failures=0)';
ALTER SYSTEM SET pooldiag.breakers = 'slots(reset=30)';
ALTER SYSTEM SET pooldiag.breakers = 'slots(reset=500ms)';
ALTER SYSTEM SET pooldiag.breakers = 'slots(mode=off)';
ALTER SYSTEM SET pooldiag.breakers = 'slots(mode=normal';

-- None of it has changed what the files say.
SELECT * FROM stated ORDER BY name COLLATE "C";

-- Taken: the breakers that there are, with every key.
ALTER SYSTEM SET pooldiag.breakers = 'slots(), refusals(limit=1), slow_queries(limit=5), leaks(limit=1000000), lock_waits(failures=1), errors(limit=0.5%), operations(reset=1d, mode=normal), pool:web(limit=1000), "pool:my app"(mode=metrics_only)';
ALTER SYSTEM RESET pooldiag.breakers;

-- Taken: names and patterns in quotes, with a comma or an equals sign in them; blanks between words;
-- no definition at all. In force after a reload, in the order of the setting.
ALTER SYSTEM SET pooldiag.pools = ' "my app, first"( application_name = "my app, v2=*" , size = 7 ) ,"say ""hi"""(user="a""b"),last(database=*,leak=1.5min) ';
SELECT pg_reload_conf();
SELECT eventually('(SELECT count(*) = 3 FROM pooldiag.pools WHERE declared)');
SELECT pool, size, max_overflow, instances, capacity FROM pooldiag.pools WHERE declared;
SET application_name = 'my app, v2=beta';
SELECT pool FROM pooldiag.connections WHERE pid = pg_backend_pid();
RESET application_name;
SELECT pool FROM pooldiag.connections WHERE pid = pg_backend_pid();
ALTER SYSTEM SET pooldiag.pools = ' ';
SELECT pg_reload_conf();
SELECT eventually('(SELECT count(*) = 0 FROM pooldiag.pools WHERE declared)');
ALTER SYSTEM RESET pooldiag.pools;
SELECT * FROM stated;

-- set_pool declares, and returns the setting as it is now.
SELECT pooldiag.set_pool('web');
SELECT pooldiag.set_pool('jobs', application_name => 'cron*', "user" => 'jobs', database => 'shop',
	size => 5, max_overflow => 0, instances => 2,
	timeout => '30 s', recycle => '90 min', slow => '1.5 s', leak => '365 days');
-- A figure that is not given stays as it is; given ones are changed.
SELECT pooldiag.set_pool('jobs', size => 6, leak => '2 min');
SELECT pooldiag.set_pool('jobs', database => '');
SELECT pooldiag.set_pool('web', application_name => 'web "1", web*');
SELECT pooldiag.set_pool('jobs');
SELECT * FROM stated;
-- What it does not change stays to the letter, what it changes is written anew.
ALTER SYSTEM SET pooldiag.pools = '"plain"(  size=5,leak = 60000ms ),other(size=1)';
SELECT pooldiag.set_pool('other', size => 2);
SELECT pooldiag.set_pool('plain', size => 6);
-- Names that need quotes.
SELECT pooldiag.set_pool('my app, "v2"', size => 1);
SELECT pooldiag.drop_pool('my app, "v2"');
SELECT pooldiag.set_pool('o''brien', "user" => E'DOMAIN\\o''brien', database => '(a=b)');
SELECT setting FROM stated;
SELECT pooldiag.drop_pool('o''brien');
-- Two calls in one statement both last, though the session reads the setting only later.
SELECT pooldiag.drop_pool('plain'), pooldiag.drop_pool('other'), pooldiag.set_pool('a'), pooldiag.set_pool('b');
-- ROLLBACK undoes nothing.
BEGIN;
SELECT pooldiag.set_pool('c');
ROLLBACK;
SELECT * FROM stated;
-- It has reloaded, too.
SELECT eventually($$(SELECT array_agg(pool) = '{a,b,c}' FROM pooldiag.pools WHERE declared)$$);

-- What set_pool and drop_pool refuse.
SELECT pooldiag.set_pool(NULL);
SELECT pooldiag.set_pool('');
SELECT pooldiag.set_pool('(other)');
SELECT pooldiag.set_pool('app@shop/web');
SELECT pooldiag.set_pool(repeat('x', 64));
SELECT pooldiag.set_pool(E'a\nb');
SELECT pooldiag.set_pool('d', application_name => repeat('x', 64));
SELECT pooldiag.set_pool('d', "user" => E'a\x7f');
SELECT pooldiag.set_pool('d', size => 0);
SELECT pooldiag.set_pool('d', size => 262144);
SELECT pooldiag.set_pool('d', max_overflow => -1);
SELECT pooldiag.set_pool('d', instances => 0);
SELECT pooldiag.set_pool('d', size => 262143, instances => 262143);
SELECT pooldiag.set_pool('d', timeout => '0');
SELECT pooldiag.set_pool('d', recycle => '1 month 1 day');
SELECT pooldiag.set_pool('d', slow => '-1 s');
SELECT pooldiag.set_pool('d', leak => '365 days 00:00:00.001');
SELECT pooldiag.drop_pool('d');
SELECT pooldiag.drop_pool('A');
SELECT pooldiag.drop_pool(NULL) IS NULL;
-- Neither they nor their errors keep the lock that orders them.
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
-- One more than there is room for.
SELECT count(pooldiag.set_pool(format('pool-%s', i))) = :room - 3 AS declared
FROM generate_series(1, :room - 3) i;
SELECT pooldiag.set_pool('one-more');
SELECT count(pooldiag.drop_pool(format('pool-%s', i))) = :room - 3 AS dropped
FROM generate_series(1, :room - 3) i;
SELECT * FROM stated;

-- Who may: whoever may ALTER SYSTEM SET that one setting.
CREATE ROLE regress_pooldiag_deployer;
GRANT USAGE ON SCHEMA pooldiag TO regress_pooldiag_deployer;
SET ROLE regress_pooldiag_deployer;
SELECT pooldiag.set_pool('d');
SELECT pooldiag.drop_pool('a');
RESET ROLE;
GRANT ALTER SYSTEM ON PARAMETER pooldiag.pools TO regress_pooldiag_deployer;
SET ROLE regress_pooldiag_deployer;
SELECT pooldiag.set_pool('d', size => 3);
SELECT pooldiag.drop_pool('a');
RESET ROLE;
REVOKE ALTER SYSTEM ON PARAMETER pooldiag.pools FROM regress_pooldiag_deployer;
REVOKE USAGE ON SCHEMA pooldiag FROM regress_pooldiag_deployer;
DROP ROLE regress_pooldiag_deployer;

-- The last one leaves an empty setting.
SELECT pooldiag.drop_pool('d'), pooldiag.drop_pool('b'), pooldiag.drop_pool('c');
ALTER SYSTEM RESET pooldiag.pools;
SELECT pg_reload_conf();
SELECT eventually('(SELECT count(*) = 0 FROM pooldiag.pools WHERE declared)');
DROP VIEW stated;
