# What differs between the versions of the server: each has what it offers, and the older ones go without.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Test::More;

use PoolDiag::Server;
use PoolDiag::Session qw(wait_gone);

my $node = new_server('versions', <<'EOC');
max_connections = 13
superuser_reserved_connections = 2
max_worker_processes = 7
autovacuum_max_workers = 2
max_wal_senders = 2
wal_level = replica
autovacuum = on
pooldiag.sample_interval = 100ms
EOC
my $eye = observer($node);
my $major = int($eye->value(q{SELECT current_setting('server_version_num')}) / 10000);
note("PostgreSQL $major");

# Slots of workers and walsenders follow those of autovacuum, of which each version has another number.
my @walsenders = map { PoolDiag::Session->connect($node, parameters => { replication => 'true' }) } 1 .. 2;
my $launcher = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'logical replication launcher'};
$eye->poll($launcher, 1);
is_deeply(
	[ $eye->query(q{SELECT scope, connections, capacity FROM pooldiag.utilization
		WHERE scope IN ('walsenders', 'workers') ORDER BY 1}) ],
	[ [ 'walsenders', 2, 2 ], [ 'workers', 5, 7 ] ],
	'walsenders, and as workers the launcher and pooldiag\'s four');
$_->quit for @walsenders;
is($eye->value(q{SELECT connections FROM pooldiag.utilization WHERE scope = 'walsenders'}), 0, 'walsenders that have gone');

# Slots reserved for others than superusers, from 16 on.
my $reserved = 2;
if ($major >= 16)
{
	$reserved = 5;
	$node->append_conf('postgresql.conf', 'reserved_connections = 3');
	$eye->quit;
	$node->restart;
	$eye = observer($node);
}
my $usable = 13 - $reserved;
is_deeply(
	[ $eye->query(q{SELECT scope, connections, capacity FROM pooldiag.utilization
		WHERE scope IN ('server', 'reserved slots') ORDER BY scope DESC}) ],
	[ [ 'server', 1, $usable ], [ 'reserved slots', 0, $reserved ] ], 'reserved slots are not usable');
is(document($eye, 'SELECT pooldiag.health_detailed()')->{server}{reserved_slots}, $reserved, 'health_detailed() has them');
$eye->query('CREATE ROLE app LOGIN');
my @app = map { PoolDiag::Session->connect($node, user => 'app') } 2 .. $usable;
is(PoolDiag::Session->refusal($node, user => 'app')->{C}, '53300', 'when the others are taken, the server refuses');
is($eye->value(q{SELECT utilization_percent FROM pooldiag.utilization WHERE scope = 'server'}), 100, 'and is full');
SKIP:
{
	skip "PostgreSQL $major has no pg_use_reserved_connections", 1 if $major < 16;
	$eye->query('CREATE ROLE preferred LOGIN IN ROLE pg_use_reserved_connections');
	push @app, PoolDiag::Session->connect($node, user => 'preferred');
	is_deeply(
		[ $eye->query(q{SELECT connections, capacity FROM pooldiag.utilization WHERE scope = 'reserved slots'}) ],
		[ [ 1, $reserved ] ], 'who may use reserved slots does');
}
$_->quit for @app;

# Waits have names from 17 on.
my $sampler = $eye->value(q{SELECT value::int FROM pooldiag.self WHERE name = 'sampler_pid'});
my $asking = PoolDiag::Session->connect($node);
kill 'STOP', $sampler;
$asking->send('SELECT pooldiag.sample_now()');
$eye->poll(q{SELECT wait_event_type FROM pg_stat_activity WHERE pid = } . $asking->pid, 'Extension');
is($eye->value(q{SELECT wait_event FROM pooldiag.connections WHERE pid = } . $asking->pid),
	$major >= 17 ? 'PoolDiagSampleNow' : 'Extension', 'what a session that asks for a sample waits for');
kill 'CONT', $sampler;
is($asking->finish->{error}, undef, 'and gets');
$asking->quit;
SKIP:
{
	skip "PostgreSQL $major has no view of wait events", 1 if $major < 17;
	is_deeply(
		[ $eye->column(q{SELECT name FROM pg_wait_events WHERE type = 'Extension' AND name LIKE 'PoolDiag%' ORDER BY 1}) ],
		[ map { "PoolDiag$_" } qw(HttpMain KeeperMain OperationsMain SampleNow SamplerMain) ], 'the server lists them');
}

# A session that has not authenticated has an entry from 18 on.
my $starting = PoolDiag::Session->start($node, user => hesitant($node, $eye), application_name => 'hesitant');
$starting->message;
my $row = $eye->row(q{SELECT * FROM pooldiag.connections WHERE state = 'starting'});
is_deeply([ @$row{qw(pool datname usename application_name query)} ],
	[ undef, undef, undef, undef, undef ], 'of a session that is starting nobody knows whose it is');
if ($major >= 18)
{
	is_deeply(
		[ @$row{qw(pid backend_start)} ],
		[ @{ $eye->row(q{SELECT pid, backend_start FROM pg_stat_activity WHERE state = 'starting'}) }{qw(pid backend_start)} ],
		'the process and its age are those of pg_stat_activity');
	is($row->{state_change}, $row->{backend_start}, 'it has been starting since it began');
	isnt($eye->value(q{SELECT oldest FROM pooldiag.connection_states WHERE state = 'starting'}), undef,
		'and the oldest is known');
}
else
{
	is_deeply([ @$row{qw(backend_start state_change state_age)} ], [ undef, undef, undef ], 'nor since when');
	is($eye->value(q{SELECT oldest FROM pooldiag.connection_states WHERE state = 'starting'}), undef,
		'the oldest is not known');
}
$starting->drop;
wait_gone($row->{pid});

# ALTER SYSTEM can be forbidden from 17 on, and then set_pool() is too.
SKIP:
{
	skip "PostgreSQL $major has no allow_alter_system", 2 if $major < 17;
	$node->append_conf('postgresql.conf', 'allow_alter_system = off');
	reload($node);
	$eye->poll('SHOW allow_alter_system', 'off');
	is($eye->try(q{SELECT pooldiag.set_pool('web', size => 5)})->{error}{C},
		$eye->try(q{ALTER SYSTEM SET pooldiag.pools = 'web(size=5)'})->{error}{C}, 'set_pool() is refused as ALTER SYSTEM is');
	is($eye->value('SHOW pooldiag.pools'), '', 'and changes nothing');
}

# The clock of the server's timings can be changed from 19 on; the sampler has its own.
SKIP:
{
	skip "PostgreSQL $major has one clock", 2 if $major < 19;
	skip 'this machine has one clock', 2 if $eye->try(q{SET timing_clock_source = 'tsc'})->{error};
	$eye->query('RESET timing_clock_source');
	my $ticks = q{SELECT value FROM pooldiag.self WHERE name = 'ticks'};
	for my $source (qw(system tsc system))
	{
		$node->append_conf('postgresql.conf', "timing_clock_source = '$source'");
		reload($node);
		$eye->poll('SHOW timing_clock_source', $source);
		my $before = $eye->value($ticks);
		$eye->poll("SELECT ($ticks) > $before + 3", 't');
	}
	pass('ticks go on');
	cmp_ok($eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'ticks_missed'}), '<', 100, 'in their time');
}

$node->stop;
unlike(slurp_log(), qr/PANIC|TRAP|terminated by signal/, 'nothing went wrong');
done_testing();

sub slurp_log { return PostgreSQL::Test::Utils::slurp_file($node->logfile); }
