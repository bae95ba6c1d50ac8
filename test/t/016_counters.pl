# What a statement and a transaction are, clause by clause: each scene under an application name of its own,
# and what pools has counted under that name when its session has ended.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Server;
use PoolDiag::Session qw(wait_gone);

my $node = new_server('counters', <<'EOC', allows_streaming => 1);
max_connections = 40
max_prepared_transactions = 2
pooldiag.max_pools = 200
synchronous_standby_names = 'nobody'
synchronous_commit = local
EOC
my $eye = observer($node);
my $scene = 0;

$eye->query($_) for (
	'CREATE TABLE t (id int PRIMARY KEY)',
	'CREATE TABLE child (id int REFERENCES t DEFERRABLE INITIALLY DEFERRED)',
	'CREATE TABLE big AS SELECT generate_series(1, 50000) AS i',
	'CREATE FUNCTION nested() RETURNS bigint LANGUAGE plpgsql AS $$
		BEGIN PERFORM count(*) FROM t; PERFORM 1; RETURN (SELECT count(*) FROM big); END $$',
	'CREATE PROCEDURE steps() LANGUAGE plpgsql AS $$
		BEGIN INSERT INTO big VALUES (1); COMMIT; INSERT INTO big VALUES (2); ROLLBACK; END $$');

# Messages of the extended protocol.
sub message { my ($type, $body) = @_; return $type . pack('N', length($body) + 4) . $body; }
sub parse { my ($sql, $name) = @_; return message('P', ($name // '') . "\0$sql\0" . pack('n', 0)); }
sub bind_to { my ($portal, $name) = @_; return message('B', ($portal // '') . "\0" . ($name // '') . "\0" . pack('n n n', 0, 0, 0)); }
sub execute { my ($rows, $portal) = @_; return message('E', ($portal // '') . "\0" . pack('N', $rows // 0)); }
sub close_portal { return message('C', "P$_[0]\0"); }
sub sync { return message('S', ''); }

# What was counted under a name.
sub counted
{
	my ($name) = @_;
	$eye->query('SELECT pooldiag.sample_now()');
	my ($row) = $eye->rows("SELECT coalesce(sum(xacts), 0) AS xacts, coalesce(sum(statements), 0) AS statements
		FROM pooldiag.pools WHERE pool LIKE '%/$name'");
	return "$row->{xacts} transactions, $row->{statements} statements";
}

# Plays a scene, and says how many transactions and statements there were in it. Returns its name.
sub scene
{
	my ($what, $xacts, $statements, @steps) = @_;
	my $name = 'scene' . ++$scene;
	my $session = PoolDiag::Session->connect($node, application_name => $name);

	for my $step (@steps)
	{
		if (ref $step eq 'CODE') { $step->($session); }
		elsif ($step =~ /^[PBES]\0/) { $session->put($step); $session->finish; }
		else { $session->try($step); }
	}
	$session->quit;
	is(counted($name), "$xacts transactions, $statements statements", $what);
	return $name;
}

# Of a scene: how many of a kind took that long or longer, by the upper ends of their buckets.
sub at_least
{
	my ($name, $kind, $ms) = @_;
	return $eye->value("SELECT coalesce(sum(count), 0) FROM pooldiag.latency
		WHERE pool LIKE '%/$name' AND kind = '$kind' AND coalesce(upper_ms, 'infinity') > $ms");
}

# The session's process waits for something of that name.
sub waits_for
{
	my ($session, $event) = @_;
	$eye->poll("SELECT wait_event FROM pg_stat_activity WHERE pid = " . $session->pid, $event);
	return;
}

# It has been like that for so long.
sub lasts
{
	my ($session, $seconds) = @_;
	$eye->poll("SELECT clock_timestamp() - state_change >= interval '$seconds s' FROM pg_stat_activity WHERE pid = " . $session->pid);
	return;
}

scene('a session that does nothing', 0, 0);
scene('a statement', 1, 1, 'SELECT 1');
scene('a message with nothing in it', 0, 0, ';');
scene('three statements in one message are one transaction', 1, 3, 'SELECT 1; SELECT 2; SELECT 3');
scene('two messages', 2, 2, 'SELECT 1', 'SELECT 2');
scene('a block', 1, 3, 'BEGIN', 'SELECT 1', 'COMMIT');
scene('a block in one message', 1, 3, 'BEGIN; SELECT 1; COMMIT');
scene('a block that is rolled back', 1, 3, 'BEGIN', 'SELECT 1', 'ROLLBACK');
scene('a block that its session leaves', 1, 2, 'BEGIN', 'SELECT 1');
scene('blocks that are chained', 3, 5, 'BEGIN', 'COMMIT AND CHAIN', 'SELECT 1', 'ROLLBACK AND CHAIN', 'COMMIT');
scene('COMMIT where there is no block', 1, 1, 'COMMIT');
scene('utility commands', 4, 4, 'SET work_mem = 1000', 'SHOW work_mem', 'CHECKPOINT', 'DISCARD ALL');
scene('data that is changed', 3, 3, 'INSERT INTO t VALUES (1)', 'UPDATE t SET id = 2 WHERE id = 1 RETURNING id', 'DELETE FROM t');
scene('data that is changed inside a query', 1, 1, 'WITH i AS (INSERT INTO t VALUES (3) RETURNING id) SELECT * FROM i');
scene('COPY', 1, 1, 'COPY (SELECT generate_series(1, 10)) TO STDOUT');
scene('functions, and what they run', 1, 1, 'SELECT nested()');
scene('DO', 1, 1, 'DO $$ BEGIN PERFORM nested(); END $$');
scene('a procedure that commits and rolls back: the client began one', 1, 1, 'CALL steps()');
scene('PREPARE and EXECUTE', 3, 3, 'PREPARE p AS SELECT nested()', 'EXECUTE p', 'EXECUTE p');
scene('EXPLAIN ANALYZE', 1, 1, 'EXPLAIN ANALYZE SELECT nested()');
scene('parallel workers', 4, 4, 'SET parallel_setup_cost = 0', 'SET parallel_tuple_cost = 0',
	'SET min_parallel_table_scan_size = 0', 'SELECT count(*) FROM big');
scene('prepared transactions', 2, 4, 'BEGIN', 'INSERT INTO t VALUES (10)', "PREPARE TRANSACTION 'p'", "ROLLBACK PREPARED 'p'");

scene('a cursor', 1, 6, 'BEGIN', 'DECLARE c CURSOR FOR SELECT * FROM big', 'FETCH 3 FROM c', 'FETCH 3 FROM c', 'CLOSE c', 'COMMIT');
scene('a cursor that is open at the commit', 1, 4, 'BEGIN', 'DECLARE c CURSOR FOR SELECT * FROM big', 'FETCH 3 FROM c', 'COMMIT');
scene('a cursor that outlives its transaction', 2, 4, 'BEGIN', 'DECLARE c CURSOR WITH HOLD FOR SELECT * FROM big', 'COMMIT', 'FETCH 3 FROM c');

scene('a statement that fails', 1, 1, 'SELECT 1/0');
scene('a statement that does not parse', 1, 1, 'SELEC 1');
scene('a statement about what is not there', 1, 1, 'SELECT * FROM nowhere');
scene('the second of three fails', 1, 2, 'SELECT 1; SELECT i/0 FROM big; SELECT 3');
scene('a block that fails, a statement that it refuses, its rollback', 1, 4, 'BEGIN', 'SELECT 1/0', 'SELECT 1', 'ROLLBACK');
scene('a block that has failed, and is committed', 1, 3, 'BEGIN', 'SELECT 1/0', 'COMMIT');
scene('a block that has failed, and is left', 1, 2, 'BEGIN', 'SELECT 1/0');
scene('a savepoint that is gone back to', 1, 5, 'BEGIN', 'SAVEPOINT s', 'SELECT 1', 'ROLLBACK TO s', 'COMMIT');
scene('an error behind a savepoint', 1, 6, 'BEGIN', 'SAVEPOINT s', 'SELECT 1/0', 'ROLLBACK TO s', 'SELECT 1', 'COMMIT');
scene('an error that PL/pgSQL catches', 1, 1, q{DO $$ BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN PERFORM nested(); END $$});
scene('one that it does not catch', 1, 1, q{DO $$ BEGIN PERFORM 1/0; END $$});
scene('a statement after it', 2, 2, q{DO $$ BEGIN PERFORM nested(); PERFORM 1/0; END $$}, 'SELECT 1');
scene('a commit that fails', 1, 1, 'INSERT INTO child VALUES (99)');
scene('the commit of a block that fails', 1, 3, 'BEGIN', 'INSERT INTO child VALUES (99)', 'COMMIT');
scene('a commit with triggers', 2, 2, 'INSERT INTO t VALUES (5)', 'INSERT INTO child VALUES (5)');
for my $level (qw(debug5 info notice warning error log fatal panic))
{
	scene("errors while log_min_messages is $level", 2, 2, "SET log_min_messages = $level", 'SELECT 1/0');
}

# The extended protocol.
scene('Parse and nothing else', 0, 0, parse('SELECT 1') . sync());
scene('Parse, Bind, Execute', 1, 1, parse('SELECT 1') . bind_to() . execute() . sync());
scene('Parse once, Execute twice', 2, 2, parse('SELECT 1', 's') . sync(), map { bind_to('', 's') . execute() . sync() } 1, 2);
scene('two statements before the Sync', 1, 2, (parse('SELECT 1') . bind_to() . execute()) x 2 . sync());
scene('a Parse that fails', 1, 1, parse('SELEC') . sync());
scene('a Bind that fails', 1, 1, parse('SELECT $1::int') . bind_to() . sync());
scene('an Execute that fails', 1, 1, parse('SELECT i/0 FROM big') . bind_to() . execute() . sync());
scene('a portal that is suspended, and resumed to its end', 1, 1,
	parse('SELECT i FROM big LIMIT 5') . bind_to('p') . execute(2, 'p') . execute(2, 'p') . execute(2, 'p') . sync());
scene('one that is closed before', 1, 1,
	parse('SELECT i FROM big LIMIT 5') . bind_to('p') . execute(2, 'p') . close_portal('p') . sync());
scene('one that is suspended, and left at the commit', 1, 1, parse('SELECT i FROM big LIMIT 5') . bind_to('p') . execute(2, 'p') . sync());
scene('two that are suspended in turn', 1, 4, 'BEGIN',
	parse('SELECT i FROM big LIMIT 5', 'a') . bind_to('p', 'a') . bind_to('q', 'a')
	  . join('', map { execute(2, $_) } qw(p q p q p q)) . sync(), 'COMMIT');
scene('RETURNING, in parts', 1, 1, parse('INSERT INTO t SELECT generate_series(20, 24) RETURNING id') . bind_to('p') . execute(2, 'p') . execute(9, 'p') . sync());
scene('a block', 1, 3, map { parse($_) . bind_to() . execute() . sync() } 'BEGIN', 'SELECT 1', 'COMMIT');

# Sessions that are told to stop.
scene('a statement that is canceled', 1, 1, sub
	{
		my ($session) = @_;
		$session->send('SELECT pg_sleep(600)');
		waits_for($session, 'PgSleep');
		$eye->query('SELECT pg_cancel_backend(' . $session->pid . ')');
		is($session->finish->{error}{C}, '57014', 'it is canceled');
	});
scene('a statement timeout', 2, 2, "SET statement_timeout = '10ms'", 'SELECT pg_sleep(600)');
scene('a session that is terminated in a statement', 1, 1, sub
	{
		my ($session) = @_;
		$session->send('SELECT pg_sleep(600)');
		waits_for($session, 'PgSleep');
		$eye->query('SELECT pg_terminate_backend(' . $session->pid . ')');
		wait_gone($session->pid);
	});
scene('a session that is terminated while idle', 1, 1, 'SELECT 1', sub { terminate($_[0]) });
scene('a session that is terminated while idle in transaction', 1, 2, 'BEGIN', 'SELECT 1', sub { terminate($_[0]) });

sub terminate
{
	my ($session) = @_;
	$eye->query('SELECT pg_terminate_backend(' . $session->pid . ')');
	wait_gone($session->pid);
	return;
}

# Where time goes.
my $name = scene('a statement after a slow one in the same message', 1, 2, 'SELECT pg_sleep(2); SELECT 1');
is(at_least($name, 'statement', 2000), 1, 'only the slow one is slow');
is(at_least($name, 'transaction', 2000), 1, 'and the transaction');

$name = scene('the same in the extended protocol', 1, 2,
	join('', map { parse($_) . bind_to() . execute() } 'SELECT pg_sleep(2)', 'SELECT 1') . sync());
is(at_least($name, 'statement', 2000), 1, 'only the slow one is slow');

$name = scene('a client that takes its time before the Sync', 1, 1, sub
	{
		my ($session) = @_;
		$session->put(parse('SELECT 1') . bind_to() . execute() . message('H', ''));
		waits_for($session, 'ClientRead');
		lasts($session, 2);
		$session->put(sync());
		$session->finish;
	});
is(at_least($name, 'statement', 2000), 0, 'that is no statement time');
is(at_least($name, 'transaction', 2000), 1, 'but the connection is held');

# Not the eye's own transaction: in one, pg_stat_activity shows the instants of its first look.
my $locker = PoolDiag::Session->connect($node);
$locker->query($_) for 'BEGIN', 'LOCK TABLE t';
$name = scene('a lock that parsing waits for', 1, 1, sub
	{
		my ($session) = @_;
		$session->send('SELECT * FROM t');
		waits_for($session, 'relation');
		lasts($session, 0.5);
		$locker->query('ROLLBACK');
		$session->finish;
	});
$locker->quit;
is(at_least($name, 'statement', 500), 1, 'the wait is in the statement');

$name = scene('a block that waits for its client', 1, 3, 'BEGIN', 'SELECT 1', sub { lasts($_[0], 0.5) }, 'COMMIT');
is(at_least($name, 'transaction', 500), 1, 'the connection was held');
is(at_least($name, 'statement', 500), 0, 'by no statement');
cmp_ok($eye->value("SELECT hold_efficiency_percent FROM pooldiag.pools WHERE pool LIKE '%/$name'"), '<', 50,
	'most of the hold was idle');

$name = scene('a block that has failed waits for its client', 1, 3, 'BEGIN', 'SELECT 1/0', sub { lasts($_[0], 0.5) }, 'ROLLBACK');
is(at_least($name, 'transaction', 500), 1, 'held until the ROLLBACK, not until the error');

# Waits for a synchronous standby that is not there: completed, and interrupted.
for my $end ('canceled', 'over')
{
	$name = scene("a wait for a synchronous standby that is $end", 2, 2, 'SET synchronous_commit = on', sub
		{
			my ($session) = @_;
			$session->send('INSERT INTO big VALUES (1)');
			waits_for($session, 'SyncRep');
			lasts($session, 0.5);
			if ($end eq 'canceled')
			{
				$eye->query('SELECT pg_cancel_backend(' . $session->pid . ')');
			}
			else
			{
				$eye->query(q{ALTER SYSTEM SET synchronous_standby_names = ''});
				reload($node);
			}
			is($session->finish->{error}, undef, 'the statement has completed');
		});
	is(at_least($name, 'statement', 500), 1, 'the wait is in the statement');
}

# Who did it: a transaction is of the name that the session has at its end, what came before stays where it was.
my $renamed = PoolDiag::Session->connect($node, application_name => 'before');
$renamed->query('SELECT 1') for 1 .. 3;
$renamed->query(q{SET application_name = 'after'});
$renamed->query('SELECT 1') for 1 .. 5;
is(counted('before'), '3 transactions, 4 statements', 'a name that a session had');
is(counted('after'), '6 transactions, 5 statements', 'a name that it has');
$renamed->query('SELECT 1');
$renamed->quit;
is(counted('after'), '7 transactions, 6 statements', 'when it has ended');
is_deeply(
	[ $eye->query(q{SELECT substring(pool from '/(.*)'), opened, closed FROM pooldiag.churn WHERE pool ~ '/(before|after)' ORDER BY 1}) ],
	[ [ 'after', 0, 1 ], [ 'before', 1, 0 ] ], 'it was opened under the one name, and closed under the other');

$node->stop;
done_testing();
