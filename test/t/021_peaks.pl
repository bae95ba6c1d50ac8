# Peaks of pools, databases and roles are exact: spikes between two ticks, against what the clients have held open at once. The sampler
# takes a tick only when it is told to.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Server;
use PoolDiag::Session qw(wait_gone wait_until);

my $node = new_server('peaks', <<'EOC');
max_connections = 80
pooldiag.sample_interval = 1h
pooldiag.evaluation_interval = 1h
pooldiag.pools = 'web(application_name=web*), team(user=team_*)'
EOC
my $me = getpwuid $<;
my $eye = observer($node);
my $folder = PostgreSQL::Test::Utils::tempdir();
local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
$eye->query("CREATE ROLE $_ LOGIN") for qw(team_a team_b team_c);
$eye->query('CREATE ROLE limited LOGIN CONNECTION LIMIT 2');

sub tick { $eye->query('SELECT pooldiag.sample_now()'); return; }
sub of_self { return $eye->value("SELECT value FROM pooldiag.self WHERE name = '$_[0]'"); }
sub discovered { return "$me\@postgres/" . ($_[0] =~ m{/} ? qq{"$_[0]"} : $_[0]); }

# The peak of a pool, or of something else, as the last tick has left it.
sub peak
{
	my ($name, $scope) = @_;
	$scope //= 'pool';
	return ($eye->column("SELECT peak_connections FROM pooldiag.utilization WHERE scope = '$scope' AND name = '$name'"))[0];
}

sub open_all { my ($count, @params) = @_; return map { PoolDiag::Session->connect($node, @params) } 1 .. $count; }
sub close_all { my @pids = map { $_->pid } @_; $_->quit for @_; wait_gone(@pids); return; }

# So many at once and no more, while no tick is taken.
sub spike
{
	my ($count, @params) = @_;
	close_all(open_all($count, @params));
	return;
}

# Where counts have drifted, one session more than ever makes another peak than one more.
sub one_more
{
	my ($pool, $what, @params) = @_;
	my $before = peak($pool);

	spike($before + 1, @params);
	tick();
	is(peak($pool), $before + 1, "$what: one more than ever is one more");
	return;
}

tick();
my $ticks = of_self('ticks');

# All at once: a declared pool, one that the sampler knows, one that it has never seen.
spike(1, application_name => 'known');
tick();
is(peak(discovered('known')), 1, 'one session that no sample has seen');
my $began = $eye->value('SELECT clock_timestamp()');
my @all = (open_all(12, application_name => 'web'), open_all(9, application_name => 'known'), open_all(7, application_name => 'never seen'));
my $full = $eye->value('SELECT clock_timestamp()');
close_all(splice @all, 5, 20);
push @all, open_all(6, application_name => 'web');
close_all(@all);
my $over = $eye->value('SELECT clock_timestamp()');
tick();
is(of_self('ticks'), $ticks + 2, 'no tick has seen any of it');
is(peak('web'), 12, 'a declared pool');
is(peak(discovered('known')), 9, 'a discovered pool that was known');
is(peak(discovered('never seen')), 7, 'one that was not');
is($eye->value("SELECT count(*) FROM pooldiag.utilization WHERE scope = 'pool' AND name ~ 'web|known|seen'
	AND peak_at BETWEEN '$began' AND '$full'"), 3, 'peaks are of the time when they were');
is($eye->value(q{SELECT sum(connections) FROM pooldiag.utilization WHERE scope = 'pool' AND name ~ 'web|known|seen'}), 0, 'all is over');
one_more('web', 'declared', application_name => 'web');
one_more(discovered('known'), 'discovered', application_name => 'known');

# A database.
$eye->query('CREATE DATABASE apart');
@all = map { open_all(4, database => 'apart', application_name => "app $_") } 1 .. 3;
$_->query('SET SESSION AUTHORIZATION team_a') for @all;
$_->query(q{SET application_name = 'both'}) for @all;
close_all(splice @all, 0, 7);
push @all, open_all(2, database => 'apart', user => 'team_b');
close_all(@all);
tick();
is(peak('apart', 'database'), 12, 'a database');
is(peak('team_b', 'role'), 2, 'a role');
is(peak('team_a', 'role'), undef, 'a role that others have put on');

# A pool of many names: its peak is that of the sum.
@all = map { open_all(3, user => "team_$_->[0]", application_name => "app $_->[1]") } [ a => 1 ], [ a => 2 ], [ b => 1 ], [ c => 3 ];
close_all(splice @all, 0, 4);
push @all, open_all(3, user => 'team_c', application_name => 'app 4');
close_all(@all);
tick();
is(peak('team'), 12, 'a pool of several users and applications');
is(peak('team_a', 'role'), 6, 'one of the users');
is(peak('team_c', 'role'), 6, 'another one');
one_more('team', 'several', user => 'team_b');

# Names that change.
@all = open_all(5, application_name => 'one');
$_->query(q{SET application_name = 'two'}) for @all[ 0 .. 2 ];
push @all, open_all(2, application_name => 'one');
$_->query(q{SET application_name = 'web-7'}) for @all;
close_all(@all);
tick();
is(peak(discovered('one')), 5, 'a name that sessions had');
is(peak(discovered('two')), 3, 'a name in passing');
is(peak('web'), 13, 'and their last name');
one_more(discovered('two'), 'renamed', application_name => 'two');

my ($renamed) = open_all(1, application_name => 'before');
$renamed->query('BEGIN');
$renamed->query(q{SET application_name = 'within'});
tick();
is(peak(discovered('within')), 1, 'a name that a session has in a transaction');
$renamed->query('ROLLBACK');
spike(3, application_name => 'before');
tick();
spike(2, application_name => 'within');
close_all($renamed);
tick();
is(peak(discovered('before')), 3, 'until the rollback is seen it counts there');
is(peak(discovered('within')), 2, 'and then not any more');
one_more(discovered('before'), 'rolled back', application_name => 'before');

# Sessions that don't end by themselves, and connections that never became one.
@all = open_all(4, application_name => 'victim');
$eye->query('SELECT pg_terminate_backend(' . $_->pid . ')') for @all[ 0, 1 ];
wait_gone(map { $_->pid } @all[ 0, 1 ]);
push @all, open_all(1, application_name => 'victim');
close_all(@all[ 2 .. 4 ]);
tick();
is(peak(discovered('victim')), 4, 'sessions that were terminated are gone');
one_more(discovered('victim'), 'terminated', application_name => 'victim');

@all = open_all(2, user => 'limited');
is(PoolDiag::Session->refusal($node, user => 'limited')->{C}, '53300', 'the role has no more') for 1 .. 3;
is(PoolDiag::Session->refusal($node, application_name => 'web', database => 'nowhere')->{C}, '3D000', 'there is no such database');
is(PoolDiag::Session->refusal($node, application_name => 'web', parameters => { work_mem => 'x' })->{C}, '22023', 'the start-up fails');
close_all(@all);
tick();
is(peak('limited@postgres/""'), 2, 'who is refused is in no peak');
is(peak('limited', 'role'), 2, 'nor of the role');
one_more('web', 'refused', application_name => 'web');

# New definitions: what was before belongs to the pools that there were, idle sessions move at the next tick.
sub define
{
	my ($pools, $name) = @_;
	my $sampler = of_self('sampler_pid');

	$eye->query("ALTER SYSTEM SET pooldiag.pools = '$pools'");
	# Where that can be seen, it has the settings before anybody can have asked for a tick.
	my $status = "/proc/$sampler/status";
	kill 'STOP', $sampler if -r $status;
	wait_until('the sampler is stopped', sub { return slurp_file($status) =~ /^State:\s*T/m; }) if -r $status;
	reload($node);
	wait_until('the sampler has the signal', sub
		{
			my ($pending) = slurp_file($status) =~ /^ShdPnd:\s*([0-9a-f]+)/m;
			return hex(substr $pending, -2) & 1;
		}) if -r $status;
	kill 'CONT', $sampler;
	wait_until('the sampler has read the settings', sub
		{
			tick();
			return $eye->value("SELECT count(*) > 0 FROM pooldiag.pools WHERE declared AND pool = '$name'") eq 't';
		});
	return;
}

my @moved = open_all(4, application_name => 'mover');
spike(5, application_name => 'mover');
define('moved(application_name=mover), web(application_name=web*), team(user=team_*)', 'moved');
is(peak(discovered('mover')), 9, 'the pool that they were in');
is(peak('moved'), 4, 'the pool that they are in');
spike(3, application_name => 'mover');
tick();
is(peak('moved'), 7, 'those that were moved count there');
define('later(application_name=mover), web(application_name=web*), team(user=team_*)', 'later');
is(peak('later'), 4, 'from a pool that is gone');
close_all(@moved);
one_more('later', 'moved', application_name => 'mover');
is(peak(discovered('mover')), 9, 'and none of it in the first');
one_more('web', 'reloaded', application_name => 'web');

# A spike while there is no sampler.
@all = open_all(6, application_name => 'alone');
tick();
my $sampler = of_self('sampler_pid');
kill 'TERM', $sampler;
wait_gone($sampler);
close_all(splice @all, 0, 2);
spike(5, application_name => 'alone');
tick();
isnt(of_self('sampler_pid'), $sampler, 'there is another sampler');
is(peak(discovered('alone')), 9, 'and what was without one is in the peak');
close_all(@all);
one_more(discovered('alone'), 'another sampler', application_name => 'alone');

# More comings and goings than are kept between two ticks: the sampler takes them up before.
sub start_pgbench
{
	my ($name, @options) = @_;
	my ($out, $err) = ('', '');
	my $file = "$folder/$name.sql";

	append_to_file($file, "SELECT 1;\n") unless -e $file;
	my $run = IPC::Run::start([ 'pgbench', '--no-vacuum', '--connect', '--file', $file, @options, 'postgres' ],
		'>', \$out, '2>', \$err, init => sub { $ENV{PGAPPNAME} = $name; });
	return sub { $run->finish or diag $err; };
}

@all = open_all(8, application_name => 'flood');
$ticks = of_self('ticks');
start_pgbench('stream', '--client=3', '--transactions=800')->();
close_all(@all);
tick();
is(of_self('ticks'), $ticks + 1, 'no tick between');
is(of_self('sessions_unheard'), 0, 'and nothing is lost');
is(peak(discovered('flood')), 8, 'a spike before the stream');
cmp_ok(peak(discovered('stream')), '>=', 1, 'the stream has a peak');
cmp_ok(peak(discovered('stream')), '<', 40, 'and no drift');
one_more(discovered('stream'), 'stream', application_name => 'stream');

# Churn, ticks, names that change and reloads, all at once. Not one count is wrong afterwards, nor was one at a tick.
$eye->query(q{ALTER SYSTEM SET pooldiag.sample_interval = '100ms'});
reload($node);
append_to_file("$folder/churn-3.sql", "SET application_name = 'web-churn';\nSELECT 1;\nSET application_name = 'churn-4';\n");
my @runs = map { start_pgbench("churn-$_", '--client=3', '--time=5') } 1 .. 3;
for my $round (1 .. 10)
{
	my @some = open_all(3, application_name => "some-$round");
	define("pool-$round(application_name=churn-1), web(application_name=web*), team(user=team_*)", "pool-$round");
	close_all(@some);
}
$_->() for @runs;
@all = open_all(5, application_name => 'churn-2');
wait_until('pgbench has gone', sub { $eye->value(q{SELECT count(*) FROM pg_stat_activity WHERE application_name ~ 'churn|web'}) == 5 });
tick();
is_deeply(
	{ map { @$_ } $eye->query(q{SELECT name, connections FROM pooldiag.utilization WHERE scope = 'pool' AND connections > 0}) },
	{ discovered('churn-2') => 5, discovered('observer') => 1 }, 'what is left is what pg_stat_activity has');
is($eye->value(q{SELECT count(*) FROM pooldiag.utilization WHERE scope = 'pool' AND peak_connections NOT BETWEEN 0 AND 80}), 0, 'peaks are possible ones');
is(peak(discovered("some-$_")), 3, "pool $_ of three") for 1 .. 10;
close_all(@all);
one_more('web', 'churn, declared', application_name => 'web');
one_more('pool-10', 'churn, moved', application_name => 'churn-1');
one_more(discovered("churn-$_"), "churn, discovered $_", application_name => "churn-$_") for 2, 4;
is(of_self('sessions_unheard'), 0, 'nothing was lost');
is(of_self('sessions_mended'), 0, 'and all ticks have found what was told');

$node->stop;
done_testing();
