# Recommendations on pools, of now and of days: each fires, its remedy is pasted, and it fires no more.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Test::More;
use Time::HiRes qw(time usleep);

use PoolDiag::Advice;
use PoolDiag::Server;
use PoolDiag::Session qw(wait_gone wait_until);
use PoolDiag::StateFile;

my $node = new_server('advice_pools', <<'EOC');
max_connections = 240
pooldiag.sample_interval = 100ms
pooldiag.advice_window = 2s
pooldiag.pools = 'tight(user=tight, size=2, max_overflow=1, timeout=1s), wide(user=wide, size=40, max_overflow=0), old(user=old, size=9, max_overflow=0, recycle=1s), growing(user=growing, size=5, max_overflow=20)'
idle_in_transaction_session_timeout = 1h
statement_timeout = 1h
EOC
my $eye = observer($node);
$eye->query("CREATE ROLE $_ LOGIN") for qw(tight wide old growing stormy streaming);
quiet($eye);

sub clients { my ($role, $count) = @_; return map { PoolDiag::Session->connect($node, user => $role, application_name => $role) } 1 .. $count; }

# All that a pool may have, at work, up to its timeout and past it.
my @clients = clients('tight', 3);
$_->send('SELECT pg_sleep(3600)') for @clients;
my $row = fires($eye, 'pool_saturated', 'critical');
is_deeply([ @{ $row->{evidence} }{qw(checked_out capacity timeout_seconds idle_in_transaction)} ], [ 3, 3, 1, 0 ], 'past its timeout');
cmp_ok($row->{evidence}{saturated_seconds}, '>=', 1, 'for so long');
paste($node, $row);
leaves($eye, 'pool_saturated');
is($eye->value(q{SELECT capacity FROM pooldiag.pools WHERE pool = 'tight'}), 4, 'it may have one more now');
$eye->query('SELECT pg_terminate_backend(' . $_->pid . ')') for @clients;
$_->drop for @clients;

# Held idle in transaction: a larger pool would be as well.
@clients = clients('tight', 4);
$_->query('BEGIN') for @clients;
$row = fires($eye, 'pool_saturated', 'critical');
is($row->{evidence}{idle_in_transaction}, 4, 'all idle in transaction');
is_deeply([ sort map { $_->{pid} } @{ $row->{evidence}{processes} } ], [ sort map { $_->pid } @clients ], 'and named');
is(paste($node, { %$row, remedy => $row->{remedy} =~ s/\((\d+), '[^']*', /($1, '2001-01-01', /gr }), '', 'sessions with another start are left alone');
# Who goes on, and begins anew, is spared.
$clients[0]->query('COMMIT');
$clients[0]->query('BEGIN');
paste($node, $row);
wait_gone(map { $_->pid } @clients[ 1 .. 3 ]);
is($clients[0]->try('SELECT 1')->{error}, undef, 'pool_saturated: who has gone on stays');
leaves($eye, 'pool_saturated');
$_->drop for @clients;

# Used when they should have been replaced; not those that only lie there.
@clients = clients('old', 2);
$eye->poll(q{SELECT over_recycle FROM pooldiag.pools WHERE pool = 'old'}, 2);
$eye->query('SELECT pooldiag.sample_now()');
ok(!advice_on($eye, 'not_recycled'), 'who is idle is not used');
wait_until('one is old', sub { $clients[0]->query('SELECT 1'); return advice_on($eye, 'not_recycled'); });
$row = fires($eye, 'not_recycled', 'info');
is_deeply([ map { $_->{pid} } @{ $row->{evidence}{processes} } ], [ $clients[0]->pid ], 'who is used is');
paste($node, $row);
leaves($eye, 'not_recycled');
is($eye->value('SELECT count(*) FROM pg_stat_activity WHERE pid = ' . $clients[1]->pid), 1, 'the other one stays');
$_->drop for @clients;

# Other work inside transactions.
@clients = clients('streaming', 3);
my $began = time();
my $xacts = 0;
while (!advice_on($eye, 'held_while_idle'))
{
	die 'held_while_idle does not fire' if time() - $began > 60;
	for (1 .. 4)
	{
		$_->query('BEGIN') for @clients;
		usleep(50_000);
		$_->query('COMMIT') for @clients;
		$xacts += @clients;
	}
}
$row = advice_on($eye, 'held_while_idle');
is_deeply([ $row->{severity}, $row->{subject} ], [ 'info', 'streaming@postgres/streaming' ], 'held_while_idle fires, for a pool that nobody declared');
cmp_ok($row->{evidence}{xacts}, '<=', $xacts, 'no more than there were');
cmp_ok($row->{evidence}{hold_idle_mean_ms}, '>=', 50, 'each idle for as long as the client slept');
cmp_ok($row->{evidence}{hold_efficiency_percent}, '<=', 50, 'inefficient');
$clients[0]->query('BEGIN');
like(paste($node, $row), qr/\|BEGIN$/, 'after which statement');
$clients[0]->query('COMMIT');
leaves($eye, 'held_while_idle');
$_->quit for @clients;

# A connection for each request.
for (1 .. 40)
{
	$_->quit for clients('stormy', 1);
}
$row = fires($eye, 'connection_storm', 'warning', qr/stormy/);
my $opened = $row->{evidence}{opened};
cmp_ok($opened, '>=', 30, 'so many');
cmp_ok($opened, '<=', 40, 'of so many');
like(paste($node, $row), qr/^stormy\@postgres\/stormy\|/, 'with its times');
leaves($eye, 'connection_storm');

# What takes days, from a state file that has them. The pools were there before. The minute at hand is not in it: were that
# to end before leak_growth is judged, its last moments, without connections, would be a dip.
wait_until('no minute is about to end', sub { return time() - 60 * int(time() / 60) < 40; });
$_->quit for clients('wide', 1), clients('growing', 1);
$eye->query('SELECT pooldiag.reset()');
$eye->query('SELECT pooldiag.sample_now()');
$eye->quit;
$node->stop;
my $file = PoolDiag::StateFile->new($node->data_dir . '/pg_stat/pooldiag.state');
my $hours = 30;
$file->give_past(
	time() - 946684800,
	'' => sub { my ($ago) = @_; return $ago < $hours * 3600 ? { connections => 12, active => 2, utilization => 5, xacts => 10 } : undef; },
	wide => sub { my ($ago) = @_; return $ago < $hours * 3600 ? { connections => 6, active => 4, utilization => 10, xacts => 10 } : undef; },
	# From 4 connections to 15 in the last hour, while 3 transactions a second go on as ever.
	growing => sub {
		my ($ago, $seconds) = @_;
		return if $ago > 7200;
		return { connections => $ago > 3600 ? 4 : 15 - int($ago / 330), active => 1, utilization => 20, xacts => 3 * $seconds };
	});
$node->start;
$eye = observer($node);
$eye->query('SELECT pooldiag.sample_now()');

ok(!advice_on($eye, 'leak_growth'), 'they have gone with the restart');
@clients = clients('growing', 16);
$row = fires($eye, 'leak_growth', 'warning');
is_deeply([ $row->{subject}, $row->{evidence}{connections}, scalar @{ $row->{evidence}{processes} } ], [ 'growing', 16, 12 ], 'leak_growth: the surplus is named');
is($row->{evidence}{xact_rate}, 3, 'transactions a second go on as ever');
paste($node, $row);
leaves($eye, 'leak_growth');
$eye->poll(q{SELECT connections FROM pooldiag.pools WHERE pool = 'growing'}, 4);
$_->drop for @clients;

$row = fires($eye, 'pool_oversized', 'info');
is_deeply([ $row->{subject}, @{ $row->{evidence} }{qw(size most_checked_out)} ], [ 'wide', 40, 4 ], 'pool_oversized: with the most that it used');
cmp_ok(abs($row->{evidence}{known_seconds} - $hours * 3600), '<=', 1800, 'in so long a time');
paste($node, $row);
leaves($eye, 'pool_oversized');
is($eye->value(q{SELECT size FROM pooldiag.pools WHERE pool = 'wide'}), 8, 'with as much room again');

# Not below what declared pools may open.
$eye->query(q{SELECT pooldiag.set_pool('wide', size => 140)});
my $declared = wait_until('it is declared', sub { return $eye->value(q{SELECT sum(capacity) FROM pooldiag.pools WHERE pool = 'wide' HAVING sum(capacity) = 140})
	&& $eye->value('SELECT sum(capacity) FROM pooldiag.pools WHERE declared'); });
$row = fires($eye, 'max_connections_oversized', 'info');
like($row->{remedy}, qr/max_connections = @{[ $declared + 3 ]};/, 'max_connections_oversized: room for all that declared pools may open');
$eye->query(q{SELECT pooldiag.set_pool('wide', size => 200)});
leaves($eye, 'max_connections_oversized');
$eye->query(q{SELECT pooldiag.set_pool('wide', size => 8)});

$row = fires($eye, 'max_connections_oversized', 'info');
cmp_ok($row->{evidence}{peak_connections}, '>=', 12, 'max_connections_oversized: with the most that there were');
paste($node, $row);
$eye->quit;
$node->restart;
$eye = observer($node);
leaves($eye, 'max_connections_oversized');
is($eye->value('SHOW max_connections'), 100, 'enough');

$eye->quit;
$node->stop;
done_testing();
