# What has been counted: it outlives the server, and is forgotten when that is asked for. The sampler takes a tick
# only when it is told to.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Server;
use PoolDiag::Session qw(wait_until);

my $node = new_server('outlives', <<'EOC');
max_connections = 30
compute_query_id = on
restart_after_crash = on
pooldiag.sample_interval = 1h
pooldiag.evaluation_interval = 1h
pooldiag.slow_query_threshold = 20ms
pooldiag.pools = 'web(application_name=web*, size=5)'
EOC
my $eye = observer($node);

# All there is of two pools, and of what has none. What the observer holds is in no figure of these, so that they stay.
my %query = (
	pools => q{SELECT pool, xacts, statements, hold_p50_ms, hold_p95_ms, hold_p99_ms, hold_efficiency_percent, statement_p95_ms,
		sessions_opened, refused, peak_checked_out FROM pooldiag.pools WHERE pool ~ 'web|jobs' ORDER BY pool},
	peaks => q{SELECT name, peak_connections, peak_at FROM pooldiag.utilization
		WHERE scope = 'pool' AND name ~ 'web|jobs' ORDER BY name},
	churn => q{SELECT pool, opened, closed, lifetime_p50_ms, connect_p95_ms, xacts_per_session, stats_reset FROM pooldiag.churn
		WHERE pool ~ 'web|jobs' ORDER BY pool},
	latency => q{SELECT * FROM pooldiag.latency WHERE pool ~ 'web|jobs' ORDER BY pool, kind, lower_ms},
	waits => q{SELECT * FROM pooldiag.waits WHERE pool ~ 'web|jobs' ORDER BY pool, wait_event_type, wait_event},
	refusals => q{SELECT * FROM pooldiag.refusals WHERE refused > 0 AND reason <> 'shutting down' ORDER BY reason},
	refusal_log => q{SELECT * FROM pooldiag.refusal_log WHERE reason <> 'shutting down'},
	refusal_sources => q{SELECT * FROM pooldiag.refusal_sources WHERE reason <> 'shutting down' ORDER BY 1, 2, 3, 4, 5},
	slow_query_log => q{SELECT * FROM pooldiag.slow_query_log WHERE application_name !~ 'observer'},
	slow_query_stats => q{SELECT query_id, datname, calls, failures, total_ms, mean_ms, max_ms, last_at, query, stats_reset
		FROM pooldiag.slow_query_stats WHERE query !~ 'pooldiag' ORDER BY query},
);

sub all_of_it
{
	$eye->query('SELECT pooldiag.sample_now()');
	return { map { $_ => [ map { join '|', map { $_ // '' } @$_ } $eye->query($query{$_}) ] } keys %query };
}

sub be_the_same
{
	my ($before, $what) = @_;
	my $after = all_of_it();
	for my $view (sort keys %query)
	{
		cmp_ok(scalar @{ $before->{$view} }, '>', 0, "$what: there is something in $view");
		is_deeply($after->{$view}, $before->{$view}, "$what: $view");
	}
	return;
}

# Sessions of two pools, one of them declared, that do something, slowly, and are turned away.
sub work
{
	my @sessions = map { PoolDiag::Session->connect($node, application_name => $_) } 'web 1', 'web 2', 'jobs';
	$_->query('SELECT pg_sleep(0.03)') for @sessions;
	$_->query('SELECT 1') for @sessions;
	$_->try('SELECT 1/0') for @sessions;
	$sessions[0]->send('SELECT pg_advisory_lock(1), pg_sleep(60)');
	$sessions[1]->send('SELECT pg_advisory_lock(1)');
	$eye->poll('SELECT count(*) FROM pg_locks WHERE NOT granted', 1);
	$eye->query('SELECT pooldiag.sample_now()') for 1 .. 5;
	for my $session (@sessions)
	{
		$eye->query('SELECT pg_cancel_backend(' . $session->pid . q{) WHERE EXISTS (SELECT FROM pg_stat_activity WHERE state = 'active' AND pid = } . $session->pid . ')');
	}
	my $before = $eye->value(q{SELECT sum(refused) FROM pooldiag.refusals});
	for my $name ('web 1', 'stranger')
	{
		ok(!eval { PoolDiag::Session->connect($node, application_name => $name, database => 'nosuch'); 1 }, 'turned away');
	}
	$eye->poll("SELECT sum(refused) - $before FROM pooldiag.refusals", 2);
	$_->quit for @sessions;
	return;
}

work();
my $before = all_of_it();
is_deeply([ map { (split /\|/)[0] } @{ $before->{pools} } ], [ 'postgres@postgres/jobs', 'web' ], 'the pools');
is($eye->value(q{SELECT sum(refused) FROM pooldiag.pools}), 2, 'refused connections have pools');
is($eye->value(q{SELECT refused FROM pooldiag.pools WHERE pool = 'web'}), 1, 'by the names that they came with');

# An orderly restart.
$eye->quit;
$node->restart;
$eye = observer($node);
be_the_same($before, 'a restart');
$eye->quit;
$node->restart;
$eye = observer($node);
be_the_same($before, 'another one');

# It goes on from there.
my $xacts = $eye->value(q{SELECT xacts FROM pooldiag.pools WHERE pool = 'web'});
work();
$eye->query('SELECT pooldiag.sample_now()');
is($eye->value(q{SELECT xacts FROM pooldiag.pools WHERE pool = 'web'}), 2 * $xacts, 'what comes is added');
is($eye->value(q{SELECT sum(refused) FROM pooldiag.refusals WHERE reason = 'no such database'}), 4, 'to refusals too');
is($eye->value(q{SELECT count(*) FROM pooldiag.refusal_log WHERE reason = 'no such database'}), 4, 'and to their log');
is($eye->value(q{SELECT sum(calls) FROM pooldiag.slow_query_stats WHERE query ~ 'pg_sleep\(0.03'}), 6, 'and to slow statements');
is($eye->value(q{SELECT bool_and(hold_share_percent BETWEEN 0 AND 100) FROM pooldiag.slow_query_stats}), 't', 'whose shares are shares');

# Sessions that are there when the server is told to stop are in it.
my $last = PoolDiag::Session->connect($node, application_name => 'web last');
$last->query('SELECT 1');
$eye->quit;
$node->stop('fast');
$last->drop;
$node->start;
$eye = observer($node);
is($eye->value(q{SELECT opened - closed FROM pooldiag.churn WHERE pool = 'web'}), 0, 'whoever was ended by the stop has ended');
is($eye->value(q{SELECT xacts FROM pooldiag.pools WHERE pool = 'web'}), 2 * $xacts + 1, 'and what it did is counted');

# A crash takes no more than what came after the last save.
$before = all_of_it();
my $operations = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'keeper_pid'});
kill 'TERM', $operations;
$eye->poll("SELECT value NOT IN (0, $operations) FROM pooldiag.self WHERE name = 'keeper_pid'");
$eye->quit;
$node->stop('immediate');
$node->start;
$eye = observer($node);
be_the_same($before, 'a stop without a shutdown');

# Other sizes, of which the log of slow statements has one: it begins anew.
my $logged = -s $node->logfile;
$eye->quit;
$node->append_conf('postgresql.conf', 'pooldiag.slow_query_log_size = 500');
$node->restart;
$eye = observer($node);
like(slurp_file($node->logfile, $logged), qr/LOG: +the log of slow queries begins anew/, 'a log of another size says so');
is($eye->value(q{SELECT count(*) FROM pooldiag.slow_query_log WHERE application_name !~ 'observer'}), 0, 'it is empty');
cmp_ok($eye->value(q{SELECT count(*) FROM pooldiag.slow_query_stats WHERE query !~ 'pooldiag'}), '>', 0, 'sums are not');
work();

# To forget: one part leaves the others alone.
sub forget
{
	my ($what, @views) = @_;
	my $kept = all_of_it();
	$eye->query("SELECT pooldiag.reset('$what')");
	my $after = all_of_it();
	my %forgotten = map { $_ => 1 } @views;
	for my $view (sort keys %query)
	{
		is_deeply($after->{$view}, $forgotten{$view} ? [] : $kept->{$view}, "$what: $view is "
			  . ($forgotten{$view} ? 'empty' : 'as it was'));
	}
	return;
}

my $since = $eye->row(q{SELECT (SELECT max(stats_reset) FROM pooldiag.churn) AS churn,
	(SELECT max(stats_reset) FROM pooldiag.slow_query_stats) AS slow, (SELECT max(stats_reset) FROM pooldiag.refusals) AS refusals});
forget('slow_queries', 'slow_query_log', 'slow_query_stats');
$query{pools} =~ s/refused, //;
forget('refusals', 'refusals', 'refusal_log', 'refusal_sources');
is($eye->value(q{SELECT sum(refused) FROM pooldiag.pools}), 0, 'refusals of pools are forgotten with them');
cmp_ok($eye->value(q{SELECT count(*) FROM pooldiag.history('10 min', 'web', '1 s')}), '>', 1, 'there is a history');
forget('history');
is($eye->value(q{SELECT count(*) <= 2 FROM pooldiag.history('10 min', 'web', '1 s')}), 't', 'history: it begins anew');
work();
my $web = PoolDiag::Session->connect($node, application_name => 'web');
delete $query{$_} for qw(pools peaks churn);
forget('all', keys %query);
is_deeply(
	$eye->row(q{SELECT xacts, statements, hold_p50_ms, refused, peak_checked_out FROM pooldiag.pools WHERE pool = 'web'}),
	{ xacts => 0, statements => 0, hold_p50_ms => undef, refused => 0, peak_checked_out => 0 }, 'all: pools');
is($eye->value(q{SELECT peak_connections FROM pooldiag.utilization WHERE name = 'web'}), 1, 'all: peaks begin with who is connected');
is($eye->value(q{SELECT peak_connections FROM pooldiag.utilization WHERE scope = 'server'}), 2, 'that of the server too');
for my $view (qw(churn slow_query_stats refusals))
{
	my $name = { churn => 'churn', slow_query_stats => 'slow', refusals => 'refusals' }->{$view};
	$eye->query('SELECT pg_sleep(0.03)');
	is($eye->value("SELECT max(stats_reset) > '$since->{$name}' FROM pooldiag.$view"), 't', "all: stats_reset of $view");
}
$web->query('SELECT 1');
$web->quit;
$eye->query('SELECT pooldiag.sample_now()');
is($eye->value(q{SELECT xacts FROM pooldiag.pools WHERE pool = 'web'}), 1, 'all: counting goes on');

# What a transaction does after a reset counts, and so far none of what it did before.
my $long = PoolDiag::Session->connect($node, application_name => 'web long');
$long->query('BEGIN');
$long->query('SELECT 1') for 1 .. 3;
$eye->query('SELECT pooldiag.reset()');
$long->query('SELECT 1') for 1 .. 5;
is($eye->value(q{SELECT statements FROM pooldiag.pools WHERE pool = 'web'}), 5, 'a reset in a transaction: its statements since');
$long->query('COMMIT');
is_deeply($eye->row(q{SELECT xacts, statements FROM pooldiag.pools WHERE pool = 'web'}), { xacts => 1, statements => 6 },
	'and its end');

# What is idle counts when the transaction does.
$long->query('BEGIN');
$eye->query('SELECT pg_sleep(0.1)');
$long->query('SELECT 1');
is($eye->value(q{SELECT hold_efficiency_percent BETWEEN 0 AND 100 FROM pooldiag.pools WHERE pool = 'web'}), 't',
	'efficiency stays one while a transaction runs');
$long->query('COMMIT');
is($eye->value(q{SELECT hold_efficiency_percent BETWEEN 0 AND 50 FROM pooldiag.pools WHERE pool = 'web'}), 't',
	'and has what was idle when it is over');
$long->quit;

# What was refused while there was no sampler has pools when there is another one.
my $sampler = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'sampler_pid'});
kill 'TERM', $sampler;
$eye->poll(q{SELECT count(*) FROM pooldiag.self WHERE name = 'sampler_pid' AND value > 0}, 0);
for (1 .. 4)
{
	PoolDiag::Session->refusal($node, application_name => 'web refused', database => 'nosuch');
}
$eye->poll(q{SELECT refused FROM pooldiag.refusals WHERE reason = 'no such database'}, 4);
$eye->poll("SELECT value NOT IN (0, $sampler) FROM pooldiag.self WHERE name = 'sampler_pid'");
$eye->query('SELECT pooldiag.sample_now()');
is($eye->value(q{SELECT refused FROM pooldiag.pools WHERE pool = 'web'}), 4, 'refused without a sampler');

# A crash brings nothing back that was forgotten.
my $writes = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'state_file_writes'});
$eye->query('SELECT pooldiag.reset()');
$eye->poll("SELECT value > $writes FROM pooldiag.self WHERE name = 'state_file_writes'");
$eye->quit;
$node->stop('immediate');
$node->start;
$eye = observer($node);
$eye->query('SELECT pooldiag.sample_now()');
is($eye->value(q{SELECT coalesce(sum(refused), 0) FROM pooldiag.refusals}), 0, 'what was forgotten stays so');
is($eye->value(q{SELECT coalesce(sum(xacts), 0) FROM pooldiag.pools WHERE pool = 'web'}), 0, 'after a crash, too');

# What can't be.
my $error = $eye->try(q{SELECT pooldiag.reset('everything')})->{error};
is($error->{C}, '22023', 'what there is not');
is($error->{M}, 'there is nothing called "everything" to reset', 'is said');
is($error->{H}, 'What can be reset is: all, history, refusals, slow_queries, alerts.', 'with what there is');
is($eye->try(q{SELECT pooldiag.reset(NULL)})->{error}{M}, '"what" must not be null', 'nothing');
$eye->query('CREATE ROLE monitor LOGIN IN ROLE pg_monitor');
my $monitor = PoolDiag::Session->connect($node, user => 'monitor');
is($monitor->try(q{SELECT pooldiag.reset('history')})->{error}{C}, '42501', 'who may monitor may not reset');
$eye->query('GRANT EXECUTE ON FUNCTION pooldiag.reset TO monitor');
is($monitor->try(q{SELECT pooldiag.reset('history')})->{error}, undef, 'until that is granted');
is($monitor->try(q{SELECT * FROM pooldiag.history('1 min', 'web')})->{error}, undef, 'it sees the history of a pool');
$eye->query('CREATE ROLE plain LOGIN');
$eye->query('GRANT USAGE ON SCHEMA pooldiag TO plain');
$eye->query('GRANT EXECUTE ON FUNCTION pooldiag.history, pooldiag.chart TO plain');
my $plain = PoolDiag::Session->connect($node, user => 'plain');
is($plain->try('SELECT * FROM pooldiag.history()')->{error}, undef, 'who is granted that sees the history of the server');
is($plain->try($_)->{error}{C}, '42501', 'and of no pool')
	for q{SELECT * FROM pooldiag.history('1 min', 'web')}, q{SELECT pooldiag.chart('connections', '1 min', 'nobody')};
$plain->quit;
$monitor->quit;

$eye->quit;
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|set aside/, 'nothing went wrong');
done_testing();
