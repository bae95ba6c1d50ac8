# Recommendations on what sessions do to others: each fires, its remedy is pasted, and it fires no more.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Test::More;

use PoolDiag::Advice;
use PoolDiag::Server;
use PoolDiag::Session qw(wait_gone wait_until);

my $node = new_server('advice_sessions', <<'EOC');
max_connections = 40
max_prepared_transactions = 2
wal_level = logical
listen_addresses = '127.0.0.1'
pooldiag.sample_interval = 100ms
pooldiag.advice_window = 2s
pooldiag.pools = 'leaky(user=leaky, leak=200ms), swallows(user=swallows, leak=500ms), slow(user=slow, slow=200ms), far(user=far, recycle=1s), long(user=long, slow=200ms), app(user=app), loses(user=loses)'
pooldiag.environment = development
pooldiag.pool_size = 2
pooldiag.max_overflow = 2
idle_in_transaction_session_timeout = 1h
statement_timeout = 1h
EOC
my $eye = observer($node);
$eye->query("CREATE ROLE $_ LOGIN; GRANT ALL ON SCHEMA public TO $_") for qw(leaky swallows slow far long app loses);
$eye->query('CREATE TABLE accounts (id int PRIMARY KEY, balance int); INSERT INTO accounts SELECT g, 0 FROM generate_series(1, 50) g; GRANT ALL ON accounts TO PUBLIC');
quiet($eye);

sub client { my ($role, %params) = @_; return PoolDiag::Session->connect($node, user => $role, application_name => $role, %params); }
sub pids { my ($row) = @_; return [ sort map { $_->{pid} } @{ $row->{evidence}{processes} } ]; }
sub lives { my ($session) = @_; return $eye->value('SELECT count(*) FROM pg_stat_activity WHERE pid = ' . $session->pid); }

# Pids that have gone to other sessions before the remedy is pasted, as far as the server can tell; then a session that has gone
# on, and is idle in a transaction again. statements are how.
sub spares
{
	my ($row, $session, @statements) = @_;

	is(paste($node, { %$row, remedy => $row->{remedy} =~ s/\((\d+), '[^']*', /($1, '2001-01-01', /gr }), '',
		"$row->{rule}: sessions with another start are left alone");
	@statements = ('COMMIT', 'BEGIN') unless @statements;
	$session->try($_) for @statements;
	my @ended = paste($node, $row) =~ /^(\d+)\|/mg;
	wait_gone(@ended);
	is_deeply([ grep { $_ == $session->pid } @ended ], [], "$row->{rule}: who has gone on is spared");
	is(lives($session), 1, "$row->{rule}: and lives");
	return;
}

# Left open.
my @clients = map { client('leaky') } 1 .. 3;
$_->query('BEGIN') for @clients[ 0, 1 ];
my $row = fires($eye, 'leak_suspects', 'warning');
wait_until('both are suspected', sub { $row = advice_on($eye, 'leak_suspects'); return $row->{evidence}{connections} == 2; });
is_deeply(pids($row), [ sort map { $_->pid } @clients[ 0, 1 ] ], 'leak_suspects: by name');
spares($row, $clients[0]);
is_deeply([ lives($clients[0]), lives($clients[1]) ], [ 1, 0 ], 'the other one is ended');
wait_until('one is left', sub { $row = advice_on($eye, 'leak_suspects'); return $row->{evidence}{connections} == 1; });
like(paste($node, $row), qr/^@{[ $clients[0]->pid ]}\|t$/, 'one row: one ended');
leaves($eye, 'leak_suspects');
is(lives($clients[2]), 1, 'who does nothing wrong stays');
$_->drop for @clients;

# Failed, and nobody rolls back.
@clients = map { client('swallows') } 1 .. 2;
$clients[0]->try('BEGIN; SELECT 1 / 0');
$clients[1]->query('BEGIN');
$row = fires($eye, 'aborted_transactions', 'warning');
is_deeply([ pids($row), $row->{evidence}{threshold_seconds} ], [ [ $clients[0]->pid ], 0.5 ], 'aborted_transactions: the one that has failed');
spares($row, $clients[0], 'ROLLBACK', 'BEGIN; SELECT 1 / 0');
$row = wait_until('it is told of again', sub { return advice_on($eye, 'aborted_transactions'); });
paste($node, $row);
leaves($eye, 'aborted_transactions');
is(lives($clients[1]), 1, 'not the one that is open');
$_->drop for @clients;

# At work for long.
@clients = map { client('slow') } 1 .. 2;
$_->send('SELECT pg_sleep(3600)') for @clients;
$row = fires($eye, 'slow_holders', 'warning');
wait_until('both are slow', sub { $row = advice_on($eye, 'slow_holders'); return $row->{evidence}{connections} == 2; });
is_deeply(pids($row), [ sort map { $_->pid } @clients ], 'slow_holders: by name');
paste($node, $row);
is($_->finish->{error}{C}, '57014', 'the statement is canceled') for @clients;
leaves($eye, 'slow_holders');
is(lives($_), 1, 'and not its session') for @clients;

# Canceled, again and again: by timeouts.
$clients[0]->query('SET statement_timeout = 250');
for (1 .. 5)
{
	is($clients[0]->try('SELECT pg_sleep(60)')->{error}{C}, '57014', 'ran into its timeout');
}
$row = fires($eye, 'canceled_statements', 'warning');
cmp_ok($row->{evidence}{canceled}, '>=', 5, 'canceled_statements: so many');
is($row->{subject}, 'slow', 'of its pool');
like(paste($node, $row), qr/^57014\|\d+\|\d+\|SELECT pg_sleep\(60\)$/m, 'which ones');
leaves($eye, 'canceled_statements');

# Work that is lost: errors, and what was written and rolled back; not what only read, and not what a pool sends.
my $loses = client('loses');
$loses->query('BEGIN; SELECT 1; ROLLBACK') for 1 .. 30;
$eye->query('SELECT pooldiag.sample_now()');
ok(!advice_on($eye, 'rollback_rate'), 'rolling back what only read loses nothing');
# All that the pool does lies within a window, whatever the machine is at: those before it have left it when it begins.
$eye->query(q{ALTER SYSTEM SET pooldiag.advice_window = '1h'});
reload($node);
$loses->query('BEGIN; UPDATE accounts SET balance = 1; ROLLBACK') for 1 .. 12;
$loses->try('SELECT 1 / 0') for 1 .. 12;
$row = wait_until('rollback_rate has all of it', sub {
	my $of = advice_on($eye, 'rollback_rate');
	return $of && $of->{evidence}{xacts_lost} >= 24 && $of->{evidence}{statements_failed} >= 12 && $of;
});
is($row->{severity}, 'warning', 'rollback_rate fires');
is_deeply([ $row->{subject}, @{ $row->{evidence} }{qw(xacts_lost statements_failed)} ], [ 'loses', 24, 12 ], 'with what was lost, and what has failed');
like(paste($node, $row), qr/^postgres\|/, 'as the server counts them');
$eye->query('ALTER SYSTEM RESET pooldiag.advice_window');
reload($node);
leaves($eye, 'rollback_rate');
$_->quit for @clients, $loses;

# A queue behind one that is at work.
my $root = client('app');
$root->query('BEGIN; LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE');
$root->send('SELECT pg_sleep(3600)');
@clients = map { client('app') } 1 .. 6;
$_->send('SELECT count(*) FROM accounts') for @clients;
$row = fires($eye, 'lock_pileup', 'warning');
wait_until('all wait', sub { $row = advice_on($eye, 'lock_pileup'); return $row->{evidence}{sessions_waiting_behind_root} == 6; });
is_deeply([ pids($row), $row->{evidence}{root_state} ], [ [ $root->pid ], 'active' ], 'lock_pileup: the root');
ok(!advice_on($eye, 'blocked_by_idle'), 'it is not idle');
paste($node, $row);
is($root->finish->{error}{C}, '57014', 'the root is canceled');
$_->finish for @clients;
leaves($eye, 'lock_pileup');
$root->query('ROLLBACK');

# Behind one that is idle, which is waited for for five seconds at the least.
$root->query('BEGIN; UPDATE accounts SET balance = 2 WHERE id = 1');
$_->send('UPDATE accounts SET balance = 3 WHERE id = 1') for @clients;
$row = fires($eye, 'lock_pileup', 'warning');
is($row->{evidence}{root_state}, 'idle in transaction', 'lock_pileup: a root that is idle');
spares($row, $root, 'SELECT 1');
spares(scalar(fires($eye, 'blocked_by_idle', 'critical')), $root, 'SELECT 1');
$row = fires($eye, 'blocked_by_idle', 'critical');
is_deeply([ $row->{subject}, pids($row), $row->{evidence}{sessions_waiting} ], [ 'app', [ $root->pid ], 6 ], 'blocked_by_idle: who, and how many wait');
cmp_ok($row->{evidence}{longest_wait_seconds}, '>=', 5, 'for long');
paste($node, $row);
is($_->finish->{error}, undef, 'who waited gets through') for @clients;
leaves($eye, $_) for qw(blocked_by_idle lock_pileup);
$root->drop;

# At the root a transaction that no process holds.
$clients[0]->query(q{BEGIN; UPDATE accounts SET balance = 4 WHERE id = 2; PREPARE TRANSACTION 'o''nobody'});
$_->send('UPDATE accounts SET balance = 5 WHERE id = 2') for @clients;
$row = fires($eye, 'lock_pileup', 'warning');
my ($statement) = paste($node, $row) =~ /\|([^|]*)$/;
is($statement, q{ROLLBACK PREPARED 'o''nobody';}, 'lock_pileup: what to say');
$eye->query($statement);
is($_->finish->{error}, undef, 'who waited gets through') for @clients;
leaves($eye, 'lock_pileup');
$_->quit for @clients;

# What nobody hears of.
my $far = client('far', host => '127.0.0.1');
my $near = client('far');
$row = fires($eye, 'stale_clients', 'info');
is_deeply([ @{ $row->{evidence} }{qw(connections tcp_keepalives_idle_seconds client_connection_check_interval_seconds)} ], [ 1, 0, 0 ],
	'stale_clients: over TCP only');
paste($node, $row);
leaves($eye, 'stale_clients');
is($eye->value(q{SELECT string_agg(setting, ' ' ORDER BY name COLLATE "C") FROM pg_file_settings WHERE name ~ '^tcp_keep|^client_connection'}), '10s 6 60 10',
	'what is to be set is set');
$_->quit for $far, $near;

# Vacuum held back: by a session, a prepared transaction, a replication slot.
# A subtransaction that writes takes an XID.
$eye->query('CREATE TABLE burnt (i int)');
sub burn
{
	$eye->query(q{DO $$ BEGIN FOR i IN 1 .. 101000 LOOP BEGIN INSERT INTO burnt VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$});
	return;
}
my $long = client('long');
$long->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
$eye->query('SELECT pooldiag.sample_now()');
ok(!advice_on($eye, 'horizon_held'), 'nothing has happened since');
burn();
$row = fires($eye, 'horizon_held', 'warning', qr/^long$/);
is_deeply(pids($row), [ $long->pid ], 'horizon_held: by a session');
cmp_ok($row->{evidence}{transactions_since}, '>=', 101000, 'for so long');
paste($node, $row);
leaves($eye, 'horizon_held', qr/^long$/);
$long->drop;

$eye->query(q{SELECT pg_create_logical_replication_slot('unread', 'pgoutput')});
$long = client('long');
$long->query(q{BEGIN; UPDATE accounts SET balance = 4 WHERE id = 3; PREPARE TRANSACTION 'forgotten'});
burn();
$row = fires($eye, 'horizon_held', 'warning', qr/^prepared/);
($statement) = paste($node, $row) =~ /\|([^|]*)$/;
$eye->query($statement);
leaves($eye, 'horizon_held', qr/^prepared/);
$row = fires($eye, 'horizon_held', 'warning', qr/^replication slot unread$/);
ok(!$row->{evidence}{active}, 'of which nobody reads');
paste($node, $row);
leaves($eye, 'horizon_held');
is($eye->value('SELECT count(*) FROM pg_replication_slots'), 0, 'the slot is gone');
$long->quit;

$eye->poll(q{SELECT count(*) = 1 AND min(rule) = 'all_clear' FROM pooldiag.recommendations});
$eye->quit;
$node->stop;
done_testing();
