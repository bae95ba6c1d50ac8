# The sampler is ended, comes back and goes on; it is stopped, and nobody but those who ask for a sample
# waits for it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use PoolDiag::Server;
use PoolDiag::Session qw(wait_gone wait_until);

my $node = new_server('sampler', <<'EOC');
max_connections = 30
pooldiag.sample_interval = 100ms
pooldiag.pools = 'shop(application_name=shop, size=4, max_overflow=4)'
EOC
my $eye = observer($node);
my $other = observer($node, application_name => 'other observer');

sub self
{
	my ($name) = @_;
	return $eye->value("SELECT value FROM pooldiag.self WHERE name = '$name'");
}

# Ticks come by themselves.
$eye->poll(q{SELECT value > 3 FROM pooldiag.self WHERE name = 'ticks'});
my $first = self('sampler_pid');
ok(kill(0, $first), 'the sampler runs');
is($eye->value("SELECT count(*) FROM pg_stat_activity WHERE pid = $first"), 0,
	'and is in nobody\'s way in pg_stat_activity');
is($eye->value(q{SELECT connections FROM pooldiag.utilization WHERE scope = 'server'}), 2,
	'nor in a slot for connections');

# Peaks, and pools without connections, for what comes to remember.
my @shop = map { PoolDiag::Session->connect($node, application_name => 'shop') } 1 .. 5;
my @passing = map { PoolDiag::Session->connect($node, application_name => "passing $_") } 1 .. 3;
$_->query('BEGIN') for @shop;
$eye->query('SELECT pooldiag.sample_now()');
$_->quit for @passing, splice(@shop, 2);
$eye->query('SELECT pooldiag.sample_now()');

my $peaks = q{SELECT scope, name, peak_connections, peak_at FROM pooldiag.utilization
	WHERE scope IN ('server', 'database', 'role', 'pool') ORDER BY 1, 2};
# Without the observers' own, who are at work whenever a tick happens to meet them.
my $directory = q{SELECT pool, declared, size, connections, peak_checked_out FROM pooldiag.pools
	WHERE pool NOT LIKE '%observer%' ORDER BY 1};
my @peaks = $eye->query($peaks);
my @directory = $eye->query($directory);
is(scalar(grep { $_->[0] =~ m{/"?passing \d"?$} } @directory), 3, 'pools that have gone are remembered');
is($eye->value(q{SELECT peak_connections FROM pooldiag.utilization WHERE scope = 'server'}), 10,
	'and the peak of the server');

# Someone asks for a sample while there is no sampler: the next one serves it.
is(kill('TERM', $first), 1, 'the sampler is ended');
wait_gone($first);
is_deeply(states($eye), activity($eye), 'live views answer without a sampler');
is_deeply([ $eye->query($directory) ], \@directory, 'pools are as the last sample has them');
$other->send('SELECT pooldiag.sample_now()');
is($other->finish->{error}, undef, 'sample_now() is served by the next sampler');
my $second = self('sampler_pid');
isnt($second, $first, 'which is another process');
ok(kill(0, $second), 'that runs');
cmp_ok(self('ticks'), '<', 1000, 'and counts its own ticks');
is_deeply([ $eye->query($peaks) ], \@peaks, 'peaks have outlived it');
is_deeply([ $eye->query($directory) ], \@directory, 'and so has the directory of pools');
is_deeply(
	$eye->row(q{SELECT connections, checked_out, peak_checked_out FROM pooldiag.pools WHERE pool = 'shop'}),
	{ connections => 2, checked_out => 2, peak_checked_out => 5 },
	'with what has a connection still');

# It is stopped: only its samples are missing.
$eye->query('SELECT pooldiag.sample_now()');
my $healthy = document($eye, 'SELECT pooldiag.health()')->{status};
is($healthy, 'healthy', 'with a sampler the server is healthy');
is(kill('STOP', $second), 1, 'the sampler is stopped');
my $stopped = time();
$other->send('SELECT pooldiag.sample_now()');
$eye->poll(q{SELECT state FROM pg_stat_activity WHERE pid = } . $other->pid, 'active');

my $newcomer = PoolDiag::Session->connect($node, application_name => 'shop');
$newcomer->query('BEGIN');
is_deeply(states($eye), activity($eye), 'live views see who comes while it is stopped');
is_deeply(
	$eye->row(q{SELECT connections, checked_out FROM pooldiag.pools WHERE pool = 'shop'}),
	{ connections => 3, checked_out => 3 },
	'and to which pool');
for my $view (views($eye))
{
	is($eye->try("SELECT * FROM $view")->{error}, undef, "$view answers while it is stopped");
}

# How long the sampler has been silent is read before and after.
my $age = q{(SELECT value FROM pooldiag.self WHERE name = 'sampler_last_tick_age')};
my @wrong;
wait_until(
	'the server is unhealthy',
	sub {
		my ($reading) = $eye->query("SELECT $age, pooldiag.health() ->> 'status', $age");
		my ($before, $status, $after) = @$reading;
		push @wrong, $reading if $status eq 'unhealthy' ? $after <= 1 : $before > 1;
		return $status eq 'unhealthy';
	});
is_deeply(\@wrong, [], 'after ten intervals without a sample the server is unhealthy, and not before');
is($eye->value(q{SELECT pooldiag.health_detailed() -> 'self' ->> 'sampler_silent'}), 'true',
	'health_detailed() says why');
like(($eye->column('SELECT pooldiag.report()'))[0], qr/^unhealthy /, 'and report() that it is');

$eye->query(q{SET statement_timeout = '300ms'});
is($eye->try('SELECT pooldiag.sample_now()')->{error}{C}, '57014', 'who waits for a sample can be canceled');
$eye->query('RESET statement_timeout');
is($eye->value('SELECT 1'), 1, 'and works on');

my $error = $other->finish->{error};
my $waited = time() - $stopped;
is("$error->{C} $error->{M}", '55000 the sampler took no tick within 10 seconds', 'sample_now() gives up');
like($error->{H}, qr/pooldiag sampler/, 'with a hint');
ok($waited > 9.9 && $waited < 10 + PoolDiag::Session::patience(), "after ten seconds ($waited)");

is(kill('CONT', $second), 1, 'the sampler goes on');
$eye->poll(q{SELECT pooldiag.health() ->> 'status'}, 'healthy');
is(self('sampler_pid'), $second, 'the same one');
is($other->try('SELECT pooldiag.sample_now()')->{error}, undef, 'and serves who asks');
cmp_ok(self('ticks_missed'), '>', 10, 'it has counted the ticks it missed');

# Many at once who ask for a sample are all served, whether the sampler lives or not.
my @asking = map { PoolDiag::Session->connect($node) } 1 .. 8;
$_->send('SELECT pooldiag.sample_now()') for @asking[ 0 .. 3 ];
kill 'TERM', $second;
$_->send('SELECT pooldiag.sample_now()') for @asking[ 4 .. 7 ];
is_deeply([ map { $_->finish->{error} } @asking ], [ (undef) x 8 ], 'many who ask at once are all served');
wait_gone($second);
$eye->poll(q{SELECT value IS NOT NULL FROM pooldiag.self WHERE name = 'sampler_pid'});
isnt(self('sampler_pid'), $second, 'and there is a sampler again');

# A server that has no room for a worker has no sampler, and says so instead of being well.
$_->quit for $eye, $other, $newcomer, @shop, @asking;
$node->append_conf('postgresql.conf', "max_worker_processes = 0\n");
$node->restart;
$eye = observer($node);
is_deeply(states($eye), activity($eye), 'without a sampler since the start live views answer');
is($eye->value(q{SELECT declared FROM pooldiag.pools WHERE pool = 'shop'}), 't', 'and have the pools of the settings');
$eye->poll(q{SELECT clock_timestamp() > pg_postmaster_start_time() + interval '2 s'});
is($eye->value(q{SELECT pooldiag.health() ->> 'status'}), 'unhealthy', 'after ten intervals the server is unhealthy');
is($eye->value(q{SELECT pooldiag.health_detailed() -> 'self' ->> 'sampler_silent'}), 'true', 'and health_detailed() says why');
# With nobody else connected there is nothing but the sampler to complain of.
unlike(join("\n", $eye->value('SELECT pooldiag.health()'), $eye->column('SELECT pooldiag.report()')),
	qr/All systems operating normally/, 'and nobody says that all is well');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|reinitializing/, 'the server was never the worse for it');
done_testing();
