# The extension in many databases: created and dropped at once, dumped and restored.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Server;
use PoolDiag::Session;

my $node = new_server('databases', <<'EOC');
max_connections = 40
pooldiag.sample_interval = 100ms
EOC
my $eye = observer($node);
my @databases = map { "db$_" } 1 .. 6;
$eye->query("CREATE DATABASE $_") for @databases;
$eye->query(q{CREATE ROLE "a reader" LOGIN});

# What the catalog says of the extension's objects: their definitions, comments, owners and privileges.
# Oids differ between databases, so objects go by their descriptions.
my $objects = q{
	SELECT pg_describe_object(d.classid, d.objid, d.objsubid), coalesce(obj_description(d.objid, d.classid::regclass::name), ''),
		coalesce(r.relacl, p.proacl, n.nspacl)::text,
		coalesce(r.relowner, p.proowner, n.nspowner)::regrole,
		CASE r.relkind WHEN 'v' THEN pg_get_viewdef(r.oid) ELSE pg_get_functiondef(p.oid) END,
		(SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || ' '
				|| coalesce(attacl::text, '-') || ' ' || coalesce(col_description(attrelid, attnum), '-'), E'\n' ORDER BY attnum)
			FROM pg_attribute WHERE attrelid = r.oid)
	FROM pg_depend AS d
		LEFT JOIN pg_class AS r ON d.classid = 'pg_class'::regclass AND r.oid = d.objid
		LEFT JOIN pg_proc AS p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
		LEFT JOIN pg_namespace AS n ON d.classid = 'pg_namespace'::regclass AND n.oid = d.objid
	WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
		AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pooldiag')
	ORDER BY 1};
my @original = $eye->query($objects);
cmp_ok(scalar @original, '>', 20, 'the extension has objects');

# All at once, again and again: each step is sent to every database before any answer is read.
my @sessions = map { PoolDiag::Session->connect($node, database => $_) } @databases;
for my $round (1 .. 4)
{
	for my $step ('CREATE EXTENSION pooldiag', 'SELECT pooldiag.sample_now(), pooldiag.health()', 'DROP EXTENSION pooldiag')
	{
		$_->send($step) for @sessions;
		my @errors = grep { defined } map { my $error = $_->finish->{error}; $error && $error->{M} } @sessions;
		is_deeply(\@errors, [], "round $round: $step, in all databases at once");
	}
}
# The schema stays, as it does with any extension whose control file names one; it is empty.
is($_->value(q{SELECT count(*) FROM pg_depend
		WHERE refclassid = 'pg_namespace'::regclass AND refobjid = 'pooldiag'::regnamespace}),
	0, 'nothing is left behind in ' . $_->value('SELECT current_database()'))
  for @sessions;

# Half of them drop it while the others create it, and the one that has it all the time is not disturbed.
$_->query('CREATE EXTENSION pooldiag') for @sessions[ 0 .. 2 ];
for my $round (1 .. 4)
{
	my $drops = $round % 2;
	$sessions[$_]->send(($_ < 3) == $drops ? 'DROP EXTENSION pooldiag' : 'CREATE EXTENSION pooldiag') for 0 .. $#sessions;
	my @errors = grep { defined } map { my $error = $_->finish->{error}; $error && $error->{M} } @sessions;
	is_deeply(\@errors, [], "round $round: half of the databases drop it, half create it");
	is_deeply(states($eye), activity($eye), "round $round: another database has it as before");
}
is_deeply([ $sessions[0]->query($objects) ], \@original, 'it is the same in each database');

# Who has planned a query on a view that is dropped and made again finds the new one.
my $planner = $sessions[1];
$planner->query('PREPARE look AS SELECT sum(connections) FROM pooldiag.connection_states');
my $server = q{SELECT connections FROM pooldiag.utilization WHERE scope = 'server'};
is($planner->value('EXECUTE look'), $eye->value($server), 'a prepared statement');
my $dropper = PoolDiag::Session->connect($node, database => 'db2');
$dropper->query('DROP EXTENSION pooldiag; CREATE EXTENSION pooldiag');
is($planner->value('EXECUTE look'), $eye->value($server), 'outlives the extension\'s being made anew');
$dropper->quit;

# Dumped with what an administrator has granted, and restored.
my $source = $sessions[0];
$source->query(q{
	GRANT USAGE ON SCHEMA pooldiag TO "a reader";
	GRANT SELECT ON pooldiag.pools TO "a reader";
	GRANT EXECUTE ON FUNCTION pooldiag.pools() TO "a reader";
	GRANT EXECUTE ON FUNCTION pooldiag.sample_now() TO "a reader";
	REVOKE SELECT ON pooldiag.leaks FROM pg_monitor;
	REVOKE EXECUTE ON FUNCTION pooldiag.drop_pool(text) FROM PUBLIC;
	CREATE VIEW public.mine AS SELECT pool, connections FROM pooldiag.pools WHERE declared;
});
my @granted = $source->query($objects);
isnt(join('|', map { $_->[2] // '' } @granted), join('|', map { $_->[2] // '' } @original),
	'grants have been changed');

for my $format ('custom', 'plain')
{
	my $dump = $node->basedir . "/dump.$format";
	my $target = "restored_$format";

	$node->command_ok([ 'pg_dump', '--format', $format, '--file', $dump, $node->connstr('db1') ], "pg_dump, $format");
	$eye->query("CREATE DATABASE $target TEMPLATE template0");
	$node->command_ok(
		$format eq 'custom'
		? [ 'pg_restore', '--exit-on-error', '--dbname', $node->connstr($target), $dump ]
		: [ 'psql', '-X', '--quiet', '--set=ON_ERROR_STOP=1', '--file', $dump, $node->connstr($target) ],
		"is restored");
	my $restored = PoolDiag::Session->connect($node, database => $target);
	is_deeply([ $restored->query($objects) ], \@granted, 'views, functions, comments and privileges are the same');
	is($restored->value(q{SELECT pg_get_viewdef('public.mine'::regclass)}),
		$source->value(q{SELECT pg_get_viewdef('public.mine'::regclass)}), 'a view upon them too');
	is($restored->value($server), $eye->value($server), 'and they work');
	$restored->quit;

	my $reader = PoolDiag::Session->connect($node, user => 'a reader', database => $target);
	is($reader->try('SELECT * FROM pooldiag.pools')->{error}, undef, 'who was granted a view has it');
	is($reader->try('SELECT pooldiag.sample_now()')->{error}, undef, 'and a function');
	is($reader->try('SELECT * FROM pooldiag.leaks')->{error}{C}, '42501', 'and no more');
	$reader->quit;
}

# What is built on the extension is in the way of its end, and CASCADE says so.
is($source->try('DROP EXTENSION pooldiag')->{error}{C}, '2BP01', 'a view upon it is in the way');
$source->query('DROP EXTENSION pooldiag CASCADE');
is($source->value(q{SELECT to_regclass('public.mine') IS NULL}), 't', 'CASCADE takes it along');

# Databases go while the sampler looks at them.
my ($sampler) = $eye->column(q{SELECT value FROM pooldiag.self WHERE name = 'sampler_pid'});
$eye->query('SELECT pooldiag.sample_now()');
$_->quit for @sessions;
is($eye->try("DROP DATABASE $_")->{error}, undef, "$_ can be dropped") for @databases, 'restored_custom', 'restored_plain';
$eye->query('SELECT pooldiag.sample_now()');
is($eye->value(q{SELECT string_agg(name, ',') FROM pooldiag.utilization WHERE scope = 'database'}), 'postgres',
	'and is not listed any more');
is($eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'sampler_pid'}), $sampler, 'all that with one sampler');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'nothing went wrong');
done_testing();
