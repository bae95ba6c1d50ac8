# A standby: everything answers there as it does on a primary, from its own sessions, and a promotion changes
# nothing but the role.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use Test::More;

use PoolDiag::Server;
use PoolDiag::Session;

my $settings = <<'EOC';
max_connections = 30
pooldiag.sample_interval = 100ms
pooldiag.leak_threshold = 1ms
EOC

my $primary = new_server('primary', $settings, allows_streaming => 1);
my $on_primary = observer($primary);
$on_primary->query(q{SELECT pooldiag.set_pool('web', application_name => 'web*', size => 3, max_overflow => 1)});
$on_primary->query('CREATE TABLE things AS SELECT 1 AS thing');
$on_primary->query('CREATE TABLE other AS SELECT 2 AS thing');

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));

my $eye = observer($standby);
is($eye->value('SELECT pg_is_in_recovery()'), 't', 'a standby');
is($eye->value(q{SELECT extversion IS NOT NULL FROM pg_extension WHERE extname = 'pooldiag'}), 't',
	'has the extension replicated');

is_deeply(
	$on_primary->row(q{SELECT connections, capacity FROM pooldiag.utilization WHERE scope = 'walsenders'}),
	{ connections => $on_primary->value('SELECT count(*) FROM pg_stat_replication'), capacity => 10 },
	'the primary counts its walsender');
is($on_primary->value(q{SELECT connections FROM pooldiag.utilization WHERE scope = 'server'}), 1,
	'and not as a connection');
is($eye->value(q{SELECT connections FROM pooldiag.utilization WHERE scope = 'walsenders'}), 0,
	'the standby has none');

# A walsender that speaks SQL looks on from outside of the connections.
my $walsender = PoolDiag::Session->connect($primary, parameters => { replication => 'database' });
is($walsender->value(q{SELECT string_agg(scope || ' ' || connections, ', ' ORDER BY scope) FROM pooldiag.utilization
		WHERE scope IN ('server', 'walsenders')}),
	'server 1, walsenders 2', 'a walsender can ask, and is counted as one');
is_deeply(states($walsender), { idle => 1 }, 'and not among the states');
$walsender->quit;

# What there is to ask, each of it, whatever there will be.
my @views = views($eye);
cmp_ok(scalar @views, '>=', 10, 'there are views');

my @web = map { PoolDiag::Session->connect($standby, application_name => "web-$_") } 1 .. 4;
$web[0]->query('BEGIN');
$web[0]->query('SELECT * FROM things');
$web[1]->query('BEGIN');
$web[1]->try('SELECT 1/0');
$web[2]->send('SELECT pg_sleep(3600)');
$eye->poll(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'}, 1);

# Asks everything of a node, and compares what can be compared with the node itself.
sub check
{
	my ($role) = @_;

	is($eye->try("SELECT count(*) FROM $_")->{error}, undef, "$role: $_ answers") for @views;
	is($eye->try("SELECT pooldiag.$_()")->{error}, undef, "$role: $_() answers") for qw(health report sample_now);
	is_deeply(states($eye), activity($eye), "$role: states as in pg_stat_activity");
	is_deeply(
		$eye->row(q{SELECT declared, size, connections, checked_out, idle, overflow, utilization_percent, peak_checked_out, leaks
			FROM pooldiag.pools WHERE pool = 'web'}),
		{
			declared => 't', size => 3, connections => 4, checked_out => 3, idle => 1, overflow => 1,
			utilization_percent => 100, peak_checked_out => 3, leaks => 2
		},
		"$role: a declared pool as its clients have it");
	is_deeply(
		[ $eye->query('SELECT pid, state FROM pooldiag.leaks ORDER BY pid') ],
		[ sort { $a->[0] <=> $b->[0] } [ $web[0]->pid, 'idle in transaction' ], [ $web[1]->pid, 'idle in transaction (aborted)' ] ],
		"$role: leak suspects");
	is($eye->value('SELECT locks_held FROM pooldiag.leaks WHERE pid = ' . $web[0]->pid),
		$eye->value('SELECT count(*) FROM pg_locks WHERE granted AND pid = ' . $web[0]->pid),
		"$role: with their locks as in pg_locks");

	my $document = document($eye, 'SELECT pooldiag.health_detailed()');
	is_deeply(
		{ map { $_ => "$document->{server}{$_}" } qw(role in_recovery) },
		{ role => $role, in_recovery => $role eq 'standby' ? 1 : 0 },
		"$role: health_detailed() says so");
	is($document->{status}, 'degraded', "$role: with leak suspects it is degraded");
	like(($eye->column('SELECT pooldiag.report()'))[0], qr/^degraded  $role, up /, "$role: report() says so");
	return;
}

check('standby');

# The sampler works without the primary's doing, and remembers.
my $most = 1 + @web;
is($eye->value(q{SELECT peak_connections FROM pooldiag.utilization WHERE scope = 'server'}), $most,
	'the peak of the standby');
my @more = map { PoolDiag::Session->connect($standby) } 1 .. 3;
$eye->query('SELECT pooldiag.sample_now()');
$_->quit for @more;
$most += @more;
is_deeply(
	$eye->row(q{SELECT connections, peak_connections FROM pooldiag.utilization WHERE scope = 'server'}),
	{ connections => $most - @more, peak_connections => $most },
	'a peak stays when its sessions have gone');

# ALTER SYSTEM works on a standby, and so do these.
like($eye->value(q{SELECT pooldiag.set_pool('standby only', size => 1)}), qr/"standby only"\(size=1\)/,
	'set_pool works on a standby');
$eye->poll(q{SELECT count(*) FROM pooldiag.pools WHERE pool = 'standby only'}, 1);
is($on_primary->value(q{SELECT count(*) FROM pooldiag.pools WHERE pool = 'standby only'}), 0,
	'and is its own affair');
$eye->query(q{SELECT pooldiag.drop_pool('standby only')});
$eye->poll(q{SELECT count(*) FROM pooldiag.pools WHERE pool = 'standby only'}, 0);

# Who waits behind a lock that recovery holds has the startup process at its root, which is no connection.
$on_primary->query('BEGIN');
$on_primary->query('LOCK TABLE other IN ACCESS EXCLUSIVE MODE');
my $writer = PoolDiag::Session->connect($primary);
$writer->query('CREATE TABLE flushed AS SELECT 1 AS thing');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
my $reader = PoolDiag::Session->connect($standby);
$reader->send('SELECT * FROM other');
$eye->poll('SELECT count(*) FROM pg_locks WHERE NOT granted', 1);
my $startup = $eye->value(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'});
is_deeply(
	[ $eye->query('SELECT waiting_pid, relation, direct_blockers, root_blocker, root_state, depth FROM pooldiag.blocking') ],
	[ [ $reader->pid, 'other', "{$startup}", $startup, undef, 1 ] ],
	'blocking shows who waits for the startup process');
is($eye->value('SELECT pg_blocking_pids(' . $reader->pid . ')'), "{$startup}", 'as the server has it');
$on_primary->query('COMMIT');
is_deeply($reader->finish->{rows}, [ [2] ], 'until it lets go');
$_->quit for $reader, $writer;

my $self = q{SELECT name, value FROM pooldiag.self
	WHERE name IN ('sampler_pid', 'sampler_started', 'ticks', 'sampler_last_tick_age')};
my %before = map { @$_ } $eye->query($self);
$standby->promote;
is($eye->value('SELECT pg_is_in_recovery()'), 'f', 'promoted, under the same session');
check('primary');
my %after = map { @$_ } $eye->query($self);
is("@after{qw(sampler_pid sampler_started)}", "@before{qw(sampler_pid sampler_started)}", 'the sampler is the same');
cmp_ok($after{ticks}, '>', $before{ticks}, 'and has gone on');
is($eye->value(q{SELECT peak_connections FROM pooldiag.utilization WHERE scope = 'server'}), $most, 'with its peaks');

$eye->query('DROP EXTENSION pooldiag');
is($on_primary->value('SELECT count(*) > 0 FROM pooldiag.pools'), 't', 'the former primary still has its own');

$standby->stop;
$primary->stop;
done_testing();
