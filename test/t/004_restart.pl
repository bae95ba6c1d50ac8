# A restart, in order or after a crash: what was set stays, and so do peaks, and pools with nobody in them, that
# were saved; see also 015_history.pl.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use IPC::SysV qw(IPC_RMID);
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Server;
use PoolDiag::Session qw(wait_gone wait_until);

my $node = new_server('restart', <<'EOC');
max_connections = 30
restart_after_crash = on
pooldiag.sample_interval = 100ms
EOC
my $eye = observer($node);
$eye->query(q{SELECT pooldiag.set_pool('kept', application_name => 'kept*',
	size => 2, max_overflow => 7, leak => interval '90 s')});

my $declared = q{SELECT size, max_overflow, capacity, connections, peak_checked_out
	FROM pooldiag.pools WHERE pool = 'kept'};
my $self = q{SELECT name, value FROM pooldiag.self};

# Makes peaks of 8 and leaves them behind. Returns what the sampler says of itself then.
sub make_peaks
{
	my @sessions = map { PoolDiag::Session->connect($node, application_name => "kept-$_") } 1 .. 6;
	push @sessions, PoolDiag::Session->connect($node, application_name => 'passing');
	$_->query('BEGIN') for @sessions;

	$eye->poll(q{SELECT count(*) FROM pooldiag.pools WHERE pool = 'kept'}, 1);
	$eye->query('SELECT pooldiag.sample_now()');
	$_->quit for @sessions;
	is_deeply($eye->row($declared),
		{ size => 2, max_overflow => 7, capacity => 9, connections => 0, peak_checked_out => 6 },
		'a declared pool, its peak');
	is($eye->value(q{SELECT peak_connections FROM pooldiag.utilization WHERE scope = 'server'}), 8,
		'the peak of the server');
	is($eye->value(q{SELECT peak_connections FROM pooldiag.utilization WHERE scope = 'pool' AND name LIKE '%/passing'}),
		1, 'and of a pool that has gone');
	return { map { @$_ } $eye->query($self) };
}

# All that there is after a restart, before any other session than the observer. All peaks are those of the first
# time, as later ones were no higher.
sub check_fresh
{
	my ($how, $before) = @_;

	$eye->query('SELECT pooldiag.sample_now()');
	is_deeply(states($eye), { active => 1 }, "after $how: states have nobody but the observer");
	is_deeply(states($eye), activity($eye), "after $how: as in pg_stat_activity");
	is_deeply($eye->row($declared),
		{ size => 2, max_overflow => 7, capacity => 9, connections => 0, peak_checked_out => 6 },
		"after $how: the pool is still declared, with its peak");
	is_deeply(
		$eye->row(q{SELECT connections, peak_connections, peak_at < pg_postmaster_start_time() AS former
			FROM pooldiag.utilization WHERE scope = 'server'}),
		{ connections => 1, peak_connections => 8, former => 't' },
		"after $how: the server has its peak");
	is_deeply([ $eye->column(q{SELECT connections FROM pooldiag.pools WHERE pool LIKE '%/passing'}) ], [0],
		"after $how: a discovered pool is known, with nobody in it");

	my %now = map { @$_ } $eye->query($self);
	isnt($now{sampler_pid}, $before->{sampler_pid}, "after $how: there is a new sampler");
	cmp_ok($now{sampler_started}, '>', $before->{sampler_started}, "after $how: which has started later");
	ok(kill(0, $now{sampler_pid}), "after $how: and lives");
	is($now{pools_evicted} + $now{pools_overflowed}, 0, "after $how: its counters begin anew");
	# Who tried to connect before the server was back was turned away.
	$eye->query(q{SELECT pooldiag.breaker_reset('refusals')});
	is(document($eye, 'SELECT pooldiag.health()')->{status}, 'healthy', "after $how: the server is healthy");
	return;
}

my $before = make_peaks();
$eye->quit;
# A smart shutdown waits for clients, and for nobody else.
$node->stop('smart');
$node->start;
$eye = observer($node);
check_fresh('a restart', $before);
is($eye->value('SHOW pooldiag.pools'), 'kept(application_name=kept*, size=2, max_overflow=7, leak=90s)',
	'the setting to the letter');

$before = make_peaks();
$eye->drop;
$node->stop('immediate');
$node->start;
$eye = observer($node);
check_fresh('a stop without a shutdown', $before);

# A worker that attaches to shared memory and is killed takes every session with it, and the server comes
# back by itself.
$before = make_peaks();
my $witness = PoolDiag::Session->connect($node, application_name => 'kept-witness');
my $logged = -s $node->logfile;
is(kill('KILL', $before->{sampler_pid}), 1, 'the sampler is killed');
$node->wait_for_log(qr/all server processes terminated; reinitializing/, $logged);
like($witness->finish->{error}{M}, qr/terminating connection because of crash|connection was closed/,
	'its server lets sessions go');
$eye->drop;
$witness->drop;
$eye = wait_until('the server lets sessions in', sub { return eval { observer($node) }; });
$eye->poll(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'}, 1);
check_fresh('the sampler was killed', $before);
for my $view (views($eye))
{
	is($eye->try("SELECT * FROM $view")->{error}, undef, "after the sampler was killed: $view answers");
}

# Without a postmaster there is nothing to sample.
my ($orphan) = $eye->column(q{SELECT value FROM pooldiag.self WHERE name = 'sampler_pid'});
my ($segment) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^ *\d+ +(\d+)$/m;
$node->kill9;
wait_gone($orphan);
pass('the sampler ends when the postmaster is gone');
# Nobody else would take away the segment by which a server tells that it is the only one here.
shmctl $segment, IPC_RMID, 0;

unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'nothing else went wrong');
done_testing();
