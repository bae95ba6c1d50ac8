# Without preloading all that is live answers, as each session finds it; what needs the sampler says so.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Server;
use PoolDiag::Session qw(wait_until);

my $node = PostgreSQL::Test::Cluster->new('bare');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', <<'EOC');
max_connections = 30
log_statement = none
autovacuum = off
pooldiag.pools = 'web(application_name=web*, size=2, max_overflow=2)'
pooldiag.leak_threshold = 1ms
pooldiag.max_pools = 2
EOC
$node->start;

my $eye = observer($node);
is($eye->value('SHOW shared_preload_libraries'), '', 'nothing is preloaded');
$eye->query('CREATE EXTENSION pooldiag');

my @web = map { PoolDiag::Session->connect($node, application_name => "web-$_") } 1 .. 3;
$web[0]->query('BEGIN');
$web[0]->query('SELECT pg_advisory_xact_lock(1)');
$web[1]->query('BEGIN');
$web[1]->try('SELECT 1/0');
$web[2]->send('SELECT pg_advisory_lock(1)');
my @others = map { PoolDiag::Session->connect($node, application_name => "other-$_") } 1 .. 5;
$eye->poll('SELECT count(*) FROM pg_locks WHERE NOT granted', 1);

# What needs shared memory of its own.
my @preloaded = qw(self churn latency waits slow_query_log slow_query_stats refusals refusal_log refusal_sources breakers alerts incidents operations);
for my $statement ((map { ("SELECT * FROM pooldiag.$_", "SELECT pooldiag.$_()") } @preloaded), 'SELECT pooldiag.sample_now()', 'SELECT pooldiag.reset()',
	(map { "SELECT pooldiag.breaker_$_('slots')" } qw(reset force_open disable)), q{SELECT pooldiag.breaker_silence('slots', '1 h')},
	'SELECT * FROM pooldiag.history()', q{SELECT pooldiag.chart('connections')})
{
	my $error = $eye->try($statement)->{error};
	is($error->{C}, '55000', "$statement fails");
	like($error->{H}, qr/shared_preload_libraries/, 'with a hint that names the setting');
}

# All else there is.
my @live = grep { my $view = $_; !grep { $view eq "pooldiag.$_" } @preloaded } views($eye);
cmp_ok(scalar @live, '>=', 9, 'there are live views');
is($eye->try("SELECT * FROM $_")->{error}, undef, "$_ answers") for @live;
is($eye->try("SELECT pooldiag.$_()")->{error}, undef, "$_() answers") for qw(health health_detailed metrics report);

is_deeply(states($eye), activity($eye), 'states as in pg_stat_activity');
is_deeply(
	$eye->row(q{SELECT declared, size, max_overflow, capacity, connections, checked_out, idle, overflow,
		utilization_percent, saturation_percent, peak_checked_out, leaks FROM pooldiag.pools WHERE pool = 'web'}),
	{
		declared => 't', size => 2, max_overflow => 2, capacity => 4, connections => 3, checked_out => 3, idle => 0,
		overflow => 1, utilization_percent => 150, saturation_percent => 75, peak_checked_out => undef, leaks => 2
	},
	'the pool from the settings, as its clients have it');
is($eye->value('SELECT count(*) FROM pooldiag.pools WHERE NOT declared'), 6,
	'each other application has its own, however many');
is($eye->value('SELECT sum(connections) FROM pooldiag.pools'), 9, 'they add up');
is_deeply(
	$eye->row(q{SELECT connections, capacity, peak_connections, peak_at FROM pooldiag.utilization WHERE scope = 'server'}),
	{ connections => 9, capacity => 27, peak_connections => undef, peak_at => undef },
	'there are no peaks');
is_deeply([ $eye->column('SELECT pid FROM pooldiag.leaks ORDER BY 1') ], [ sort { $a <=> $b } map { $_->pid } @web[ 0, 1 ] ],
	'leak suspects');
is_deeply(
	[ $eye->query('SELECT waiting_pid, root_blocker, depth FROM pooldiag.blocking') ],
	[ [ $web[2]->pid, $web[0]->pid, 1 ] ],
	'who waits for whom');
is($eye->value(q{SELECT count(*) FROM pooldiag.recommendations 
		WHERE rule = 'leak_suspects' AND first_seen IS NULL AND last_seen IS NOT NULL}),
	1, 'recommendations don\'t know since when');

my $health = document($eye, 'SELECT pooldiag.health()');
is_deeply([ sort keys %$health ],
	[qw(async_operations connection_pool database_connected recommendations status)], 'health() has its keys');
is($health->{status}, 'degraded', 'is degraded by leak suspects');
ok($health->{database_connected}, 'is connected');
ok(!$health->{async_operations}{circuit_breaker_open}, 'and its breaker closed');
is_deeply(
	$health->{connection_pool},
	{ size => 27, checked_out => 9, overflow => 0, utilization_percent => $health->{connection_pool}{utilization_percent} },
	'with the slots');
cmp_ok(abs($health->{connection_pool}{utilization_percent} - 100 * 9 / 27), '<', 0.06, 'to a decimal');
my $self = document($eye, 'SELECT pooldiag.health_detailed()')->{self};
is_deeply([ %$self ], [ preloaded => JSON::PP::false ], 'health_detailed() says why there is no more');

# Who has only just loaded the library finds the same settings.
my $fresh = observer($node, application_name => 'fresh');
is($fresh->value('SHOW pooldiag.pools'), $eye->value('SHOW pooldiag.pools'),
	'the setting before the library is there');
is($fresh->value(q{SELECT connections FROM pooldiag.pools WHERE pool = 'web'}), 3, 'is in force at the first look');
is_deeply([ $fresh->notices ], [], 'without a word');

# set_pool works from a session that has loaded nothing yet.
my $setter = observer($node, application_name => 'setter');
is($setter->value(q{SELECT pooldiag.set_pool('others', application_name => 'other-*', size => 9)}),
	'web(application_name=web*, size=2, max_overflow=2), others(application_name=other-*, size=9)', 'set_pool');
for my $session ($setter, $eye, $fresh)
{
	$session->poll(q{SELECT connections FROM pooldiag.pools WHERE pool = 'others'}, 5);
}
pass('each session has it when it has reloaded');
my $drop = $setter->value(q{SELECT pooldiag.drop_pool('others')});
is($drop, 'web(application_name=web*, size=2, max_overflow=2)', 'drop_pool');
$eye->poll(q{SELECT count(*) FROM pooldiag.pools WHERE pool = 'others'}, 0);

# A value that nobody could check when it was set.
$eye->query('ALTER SYSTEM RESET pooldiag.pools');
$node->adjust_conf('postgresql.conf', 'pooldiag.pools', q{'web(size=0)'});
$node->reload;
$fresh->poll(q{SELECT error IS NOT NULL FROM pg_file_settings WHERE name = 'pooldiag.pools'});
is($eye->value(q{SELECT count(*) FROM pooldiag.pools WHERE pool = 'web'}), 1, 'who had a good value keeps it');
my $late = wait_late();
is($late->value('SELECT count(*) FROM pooldiag.pools WHERE declared'), 0, 'who comes later has the default');
my ($warning) = $late->notices;
is("$warning->{S} $warning->{M}", 'WARNING invalid value for parameter "pooldiag.pools": "web(size=0)"',
	'and is told');
is($warning->{D}, 'At position 10: expected a whole number from 1 to 262143, found "0".', 'why');
my $error = $late->try(q{SELECT pooldiag.set_pool('x')})->{error};
is($error, undef, 'and can put it right');
$late->poll(q{SELECT count(*) FROM pooldiag.pools WHERE pool = 'x'}, 1);

# A session that starts when the postmaster has read the file.
sub wait_late
{
	wait_until(
		'the postmaster has reloaded',
		sub {
			my $session = observer($node, application_name => 'late');
			return $session if $session->value('SHOW pooldiag.pools') eq 'web(size=0)';
			$session->quit;
			return;
		});
}

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'and nothing else went wrong');
done_testing();
