# Connections by state are what pg_stat_activity has, held still in every state and while clients come and
# go as fast as they can; and connections that are still starting, which it doesn't have, are counted.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use IPC::Run ();
use List::Util qw(sum0);
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Server;
use PoolDiag::Session qw(wait_gone wait_until);

my $node = new_server('states', <<'EOC');
max_connections = 60
superuser_reserved_connections = 5
pooldiag.sample_interval = 100ms
EOC
my $usable = 55;
my $eye = observer($node);

my @order = ('starting', 'active', 'idle', 'idle in transaction', 'idle in transaction (aborted)',
	'fastpath function call', 'disabled');

# All that pooldiag says at once of how many connections there are in each state; the observer's own is active.
sub reported
{
	my $got = states($eye);

	is_deeply(
		{ map { $_->[0] => $_->[1] } $eye->query('SELECT state, count(*) FROM pooldiag.connections GROUP BY 1') },
		$got, 'connections has as many rows');
	is($eye->value("SELECT connections FROM pooldiag.utilization WHERE scope = 'server'"),
		sum0(values %$got), 'utilization has their sum');

	my $document = document($eye, 'SELECT pooldiag.health_detailed()');
	my $states = $document->{metrics}{connection_pool}{states};
	is_deeply({ map { $_ => $states->{$_} } grep { $states->{$_} } keys %$states }, $got,
		'and so has health_detailed()');
	is($document->{connection_pool}{checked_out}, sum0(values %$got), 'with their sum');
	is_deeply(
		$eye->row('SELECT sum(connections) AS started, sum(checked_out) AS out, sum(idle) AS idle FROM pooldiag.pools'),
		{
			started => sum0(values %$got) - ($got->{starting} // 0),
			out => sum0(map { $got->{$_} // 0 } @order[ 1, 3, 4, 5 ]),
			idle => $got->{idle} // 0
		},
		'pools add up to those that have started, and those that are in use');
	is($eye->value('SELECT sum(connections) FROM pooldiag.connection_groups'), sum0(values %$got), 'groups add up');
	return $got;
}

is_deeply([ $eye->column('SELECT state FROM pooldiag.connection_states') ], \@order,
	'a row for each state, in order');
is_deeply(reported(), { active => 1 }, 'with nobody but the observer');

# Sessions held still. The keeper has the advisory locks that others wait for.
my $keeper = PoolDiag::Session->connect($node, application_name => 'keeper');
$keeper->query('SELECT pg_advisory_lock(1)');
my @idle = map { PoolDiag::Session->connect($node) } 1 .. 4;
my @in_transaction = map { PoolDiag::Session->connect($node) } 1 .. 3;
$_->query('BEGIN') for @in_transaction;
my @aborted = map { PoolDiag::Session->connect($node) } 1 .. 2;
$_->query('BEGIN'), $_->try('SELECT 1/0') for @aborted;
my @waiting = map { PoolDiag::Session->connect($node) } 1 .. 3;
$_->send('SELECT pg_advisory_lock(1)') for @waiting;
my @sleeping = map { PoolDiag::Session->connect($node) } 1 .. 2;
$_->send('SELECT pg_sleep(3600)') for @sleeping;
my @disabled = map { PoolDiag::Session->connect($node) } 1 .. 2;
$_->query('SET track_activities = off') for @disabled;
my @fastpath = map { PoolDiag::Session->connect($node) } 1 .. 2;
my $lock_function = $eye->value("SELECT 'pg_advisory_lock(bigint)'::regprocedure::oid");
$_->send_fastpath($lock_function, 1) for @fastpath;

my @held = (@idle, @in_transaction, @aborted, @waiting, @sleeping, @disabled, @fastpath, $keeper);
my %held = (
	active => 5,
	idle => 5,
	'idle in transaction' => 3,
	'idle in transaction (aborted)' => 2,
	'fastpath function call' => 2,
	disabled => 2);

# Statements that were sent without an answer arrive in their own time.
$eye->poll(q{SELECT count(*) FROM pg_locks WHERE NOT granted}, @waiting + @fastpath);
$eye->poll(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'}, scalar @sleeping);

my %with_observer = (%held, active => $held{active} + 1);
is_deeply(activity($eye), \%with_observer, 'pg_stat_activity has the sessions held in every state');
is_deeply(reported(), \%with_observer, 'and so has pooldiag');
is_deeply(
	[ $eye->column('SELECT pid FROM pooldiag.connections ORDER BY pid') ],
	[ sort { $a <=> $b } map { $_->pid } @held, $eye ],
	'with the pids that the clients were told');

# What one statement sees of each connection through either view; its own row moves on as it is read.
my $columns = join ', ', qw(pid datname usename application_name client_addr backend_start state
  state_change xact_start wait_event_type wait_event query);
is($eye->value(qq{
	SELECT count(*) FROM (
		(SELECT $columns FROM pooldiag.connections EXCEPT SELECT $columns FROM pg_stat_activity)
		UNION ALL
		(SELECT $columns FROM pg_stat_activity WHERE backend_type = 'client backend'
		 EXCEPT SELECT $columns FROM pooldiag.connections)
	) AS differences}), 0, 'every column that both views have is the same');

is($eye->value(qq{
	SELECT count(*) FROM pooldiag.connection_states
	WHERE abs(slots_percent - 100.0 * connections / $usable) > 1e-9 OR slots_percent IS NULL}),
	0, 'percentages are of the usable slots');
is($eye->value(q{
	WITH reported AS MATERIALIZED (SELECT state, oldest FROM pooldiag.connection_states WHERE connections > 0),
	bounds AS MATERIALIZED (
		SELECT a.state, min(a.state_change) AS since, clock_timestamp() AS after
		FROM pg_stat_activity AS a, (SELECT count(*) FROM reported) AS first
		WHERE a.backend_type = 'client backend' GROUP BY 1)
	SELECT count(*) FROM reported LEFT JOIN bounds USING (state)
	WHERE state <> 'disabled'
	  AND (oldest BETWEEN statement_timestamp() - since AND after - since) IS NOT TRUE}),
	0, 'and the oldest of each state is as old as pg_stat_activity has it');

# Connections that have not authenticated: they hold a slot, and pg_stat_activity doesn't know of them.

my $hesitant = hesitant($node, $eye);
my $speechless = PoolDiag::Session->open_socket($node);
my @starting = map { PoolDiag::Session->start($node, user => $hesitant, application_name => 'hesitant') } 1 .. 3;
for my $session (@starting)
{
	# The question for a password; a process that has got this far holds its slot.
	my ($type, $body) = $session->message;
	is("$type " . unpack('N', $body), 'R 10', 'the server waits for a password');
}

is_deeply(activity($eye), \%with_observer, 'pg_stat_activity does not have those that are starting');
is_deeply(reported(), { %with_observer, starting => 3 }, 'pooldiag has, and not one that has sent nothing yet');
my @unfinished = $eye->rows(q{SELECT * FROM pooldiag.connections WHERE state = 'starting'});
is(scalar(grep { kill 0, $_->{pid} } @unfinished), 3, 'their processes exist');
is(scalar(grep { defined $_->{pool} || defined $_->{application_name} || defined $_->{query} } @unfinished),
	0, 'they have neither pool, application name nor query');
is_deeply(
	$eye->row(q{SELECT connections, checked_out, utilization_percent FROM pooldiag.utilization WHERE scope = 'server'}),
	{
		connections => @held + 4,
		checked_out => @held + 4,
		utilization_percent => $eye->value('SELECT 100.0::float8 * ' . (@held + 4) . " / $usable")
	},
	'they use up slots of the server');
$eye->query('SELECT pooldiag.sample_now()');
is($eye->value(q{SELECT peak_connections FROM pooldiag.utilization WHERE scope = 'server'}),
	@held + 4, 'the sampler counts them too');

$_->drop for @starting;
close $speechless;
wait_gone(map { $_->{pid} } @unfinished);
is_deeply(reported(), \%with_observer, 'they are gone when their clients are');

# Clients that come and go. pgbench's are active, idle or starting, and never in a transaction, so that all
# other counts must stand still, and the sum keeps between those held and the server's slots.
append_to_file($node->basedir . '/churn.sql', "SELECT 1;\n");
my ($out, $err) = ('', '');
my $pgbench = do
{
	local $ENV{PGAPPNAME} = 'pgbench';
	IPC::Run::start(
		[
			'pgbench', '--no-vacuum', '--connect', '--client=8', '--jobs=2', '--time=2',
			'--host=' . $node->host, '--port=' . $node->port,
			'--file=' . $node->basedir . '/churn.sql', 'postgres'
		],
		'>', \$out, '2>', \$err);
};

my $readings = 0;
my $seen = 0;
my @wrong;
while ($pgbench->pumpable)
{
	$pgbench->pump_nb;
	my $got = states($eye);
	my $all = sum0(values %$got);
	my %still = map { $_ => $got->{$_} // 0 } @order[ 3 .. 6 ];

	$readings++;
	$seen++ if $all > @held + 1;
	push @wrong, $got
	  if $all < @held + 1
	  || $all > 60
	  || $got->{active} < $with_observer{active}
	  || $got->{idle} < $with_observer{idle}
	  || grep { $still{$_} != $held{$_} } keys %still;
}
ok($pgbench->finish, 'pgbench had no error') or diag $err;
like($out, qr{number of transactions actually processed: [1-9]}, 'its clients were served');
like($out, qr{number of failed transactions: 0 }, 'each time');
is_deeply(\@wrong, [], 'under churn each reading is within its bounds');
cmp_ok($seen, '>', 0, "its clients were seen ($seen of $readings readings)");

wait_until('churn is over',
	sub { $eye->value(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'}) == 0
		&& !exists states($eye)->{starting} });
is_deeply(activity($eye), \%with_observer, 'after churn pg_stat_activity has those held');
is_deeply(reported(), \%with_observer, 'and so has pooldiag: nothing is stuck');
$eye->query('SELECT pooldiag.sample_now()');
my $peak = $eye->value(q{SELECT peak_connections FROM pooldiag.utilization WHERE scope = 'server'});
ok($peak >= @held + 4 && $peak <= 60, "the peak is within what the server can hold: $peak");

# Let go of what is held: each state empties.
$keeper->quit;
$eye->query(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'});
wait_gone(map { $_->pid } @held);
is_deeply(reported(), { active => 1 }, 'when all have ended nothing is left but the observer');

$node->stop;
done_testing();
