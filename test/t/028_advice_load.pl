# Recommendations on load: each fires, its remedy is pasted, and it fires no more.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use IO::Select;
use Test::More;

use PostgreSQL::Test::Utils;

use PoolDiag::Advice;
use PoolDiag::Server;
use PoolDiag::Session qw(wait_until);

my $node = new_server('advice_load', <<'EOC');
max_connections = 60
pooldiag.sample_interval = 100ms
pooldiag.advice_window = 2s
pooldiag.pools = 'app(user=app, size=40, max_overflow=0)'
idle_in_transaction_session_timeout = 1h
statement_timeout = 1h
wal_level = replica
max_wal_senders = 2
jit = off
max_parallel_workers_per_gather = 0
EOC
my $eye = observer($node);
$eye->query('CREATE ROLE app LOGIN; CREATE TABLE accounts (id int PRIMARY KEY, balance int); INSERT INTO accounts VALUES (1, 1); GRANT ALL ON accounts TO app');
quiet($eye);

chomp(my $cores = qx(getconf _NPROCESSORS_ONLN));

sub clients { my ($count) = @_; return map { PoolDiag::Session->connect($node, user => 'app', application_name => 'app') } 1 .. $count; }

# Ends them, whatever they are at.
sub gone
{
	my @clients = @_;

	$eye->query('SELECT pg_terminate_backend(' . $_->pid . ')') for @clients;
	$_->drop for @clients;
	return;
}

# Locks.
my @clients = clients(6);
$eye->query('BEGIN; UPDATE accounts SET balance = 2');
$_->send('UPDATE accounts SET balance = 3') for @clients;
my $row = fires($eye, 'wait_bound', 'warning');
is_deeply([ @{ $row->{evidence} }{qw(wait_event_type)} ], ['Lock'], 'wait_bound: what they wait for');
cmp_ok($row->{evidence}{active_mean}, '>=', 4, 'so many');
cmp_ok($row->{evidence}{active_mean}, '<=', 7, 'of so many');
cmp_ok($row->{evidence}{share_percent}, '>=', 50, 'most of them');
like(paste($node, $row), qr/^@{[ $eye->pid ]}\|.*\|6\|/, 'who is at the root');
$eye->query('ROLLBACK');
is($_->finish->{error}, undef, 'they get through') for @clients;
leaves($eye, 'wait_bound');

# Commits that wait for a standby that isn't there.
$eye->query(q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'});
reload($node);
# All processes hear of it in their own time: the first one tries until it waits.
my $id = 1000;
my ($first) = @clients;
$first->send("INSERT INTO accounts VALUES ($id, 1)");
wait_until(
	'commits wait',
	sub {
		if (IO::Select->new($first->{socket})->can_read(0))
		{
			$first->finish;
			$first->send('INSERT INTO accounts VALUES (' . ++$id . ', 1)');
		}
		return ($eye->value('SELECT wait_event FROM pooldiag.connections WHERE pid = ' . $first->pid) // '') eq 'SyncRep';
	});
$_->send('INSERT INTO accounts VALUES (' . ++$id . ', 1)') for @clients[ 1 .. $#clients ];
$row = fires($eye, 'wait_bound', 'warning');
is_deeply([ @{ $row->{evidence} }{qw(wait_event_type wait_event)} ], [qw(IPC SyncRep)], 'wait_bound: for a standby');
is(paste($node, $row), '||||||nobody', 'which is not connected');
$eye->query('ALTER SYSTEM RESET synchronous_standby_names');
reload($node);
$_->finish for @clients;
leaves($eye, 'wait_bound');
gone(splice @clients);

# More that want to run than there are processors; all of them only read.
@clients = clients(2 * $cores + 4);
my $spin = q{SELECT count(*) FROM generate_series(1, 3000) a, generate_series(1, 1000) b};

# Keeps each of them at it, statement after statement, until the code returns something true.
sub at_work
{
	my ($what, $code) = @_;
	my $answer;

	$_->send("$spin; " x 3) for @clients;
	$answer = wait_until(
		$what,
		sub {
			for my $client (@clients)
			{
				next unless IO::Select->new($client->{socket})->can_read(0);
				$client->finish;
				$client->send($spin);
			}
			return $code->();
		});
	return $answer;
}

$row = at_work('cpu_oversubscribed fires', sub { return advice_on($eye, 'cpu_oversubscribed'); });
is($row->{severity}, 'warning', 'cpu_oversubscribed');
is($row->{evidence}{cores}, $cores, 'on so many cores');
cmp_ok($row->{evidence}{active_on_cpu_mean}, '>=', 2 * $cores, 'more than twice as many');
cmp_ok($row->{evidence}{active_mean}, '<=', @clients + 2, 'and not more than there are');
like(paste($node, $row), qr/^app\|\d+\|/, 'whose they are');

$row = advice_on($eye, 'statement_logging') // at_work('statement_logging fires', sub { return advice_on($eye, 'statement_logging'); });
is($row->{severity}, 'info', 'statement_logging');
my $logged = -s $node->logfile;
paste($node, $row);
leaves($eye, 'statement_logging');
is($eye->value(q{SELECT count(*) FROM pg_file_settings WHERE name ~ '^log_(min_duration|statement_sample)' AND sourcefile ~ 'auto'}), 3, 'it is on');
ok(at_work('it logs', sub { return slurp_file($node->logfile, $logged) =~ /duration: \d+.*generate_series/; }), 'and logs');
# The lines that switch it off again are there, behind comment signs.
my $off = join "\n", map { /^-- (ALTER.*|SELECT.*)/ ? $1 : () } split /\n/, $row->{remedy};
paste($node, { rule => 'statement_logging, off again', remedy => $off });
is($eye->value(q{SELECT count(*) FROM pg_file_settings WHERE name ~ '^log_(min_duration|statement_sample)' AND sourcefile ~ 'auto'}), 0, 'it is off');
gone(splice @clients);
leaves($eye, 'cpu_oversubscribed');

# Short ones, of which nearly all only read.
@clients = clients($cores + 3);
$spin = q{SELECT count(*) FROM generate_series(1, 200000)};
$row = at_work('read_heavy fires', sub { return advice_on($eye, 'read_heavy'); });
is($row->{severity}, 'info', 'read_heavy');
cmp_ok($row->{evidence}{reads_percent}, '>=', 90, 'nearly all');
cmp_ok($row->{evidence}{xacts}, '>=', 100, 'of so many');
like(paste($node, $row), qr/^app\|/m, 'whose they are');
gone(splice @clients);
leaves($eye, 'read_heavy');

$eye->poll(q{SELECT count(*) = 1 AND min(rule) = 'all_clear' FROM pooldiag.recommendations});
$eye->quit;
$node->stop;
done_testing();
