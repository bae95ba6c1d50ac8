# Slow statements: which of them are in the log, how they ended, what they said, and what becomes of their sums. Each
# scene has an application name of its own, and what it looks for bears a mark: any statement may be slow by chance.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Server;
use PoolDiag::Session qw(wait_gone wait_until);

my $node = new_server('slow_queries', <<'EOC', allows_streaming => 1);
max_connections = 40
compute_query_id = on
listen_addresses = '127.0.0.1'
max_prepared_transactions = 2
synchronous_standby_names = 'nobody'
synchronous_commit = local
pooldiag.max_pools = 200
pooldiag.slow_query_threshold = 1ms
pooldiag.slow_query_log_size = 150
pooldiag.pools = 'patient(application_name=patient*, size=5, slow=1h), hurried(application_name=hurried*, size=5, slow=2ms)'
EOC
my $eye = observer($node);
my $scene = 0;

$eye->query($_) for (
	'CREATE TABLE t (id int PRIMARY KEY)',
	'CREATE TABLE slow_at_commit (id int)',
	'CREATE FUNCTION sleepy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(.005); RETURN NEW; END $$',
	'CREATE CONSTRAINT TRIGGER sleepy AFTER INSERT ON slow_at_commit DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION sleepy()');

# Messages of the extended protocol.
sub message { my ($type, $body) = @_; return $type . pack('N', length($body) + 4) . $body; }
sub parse { my ($sql) = @_; return message('P', "\0$sql\0" . pack('n', 0)); }
sub bind_to { my ($portal) = @_; return message('B', ($portal // '') . "\0\0" . pack('n n n', 0, 0, 0)); }
sub execute { my ($rows, $portal) = @_; return message('E', ($portal // '') . "\0" . pack('N', $rows // 0)); }
sub close_portal { return message('C', "P$_[0]\0"); }
sub sync { return message('S', ''); }

# What the log has of an application, the oldest first; only what bears the mark.
sub logged
{
	my ($name, $columns) = @_;
	$columns //= q{outcome || coalesce(' ' || sqlstate, '') || coalesce(' ' || rows, '') || ': ' || query};
	return $eye->column("SELECT $columns FROM pooldiag.slow_query_log
		WHERE application_name = '$name' AND query LIKE '%SLOW%' ORDER BY finished_at");
}

# Plays a scene, and says what the log should have of it. Returns its name.
sub scene
{
	my ($what, $expected, @steps) = @_;
	my $name = 'scene' . ++$scene;
	my $session = PoolDiag::Session->connect($node, application_name => $name);

	for my $step (@steps)
	{
		if (ref $step eq 'CODE') { $step->($session); }
		elsif ($step =~ /^[PBES]\0/) { $session->put($step); $session->finish; }
		else { $session->try($step); }
	}
	$session->quit;
	is_deeply([ logged($name) ], $expected, $what);
	return $name;
}

# The session's statement waits for that, and is slow by now.
sub waits_for
{
	my ($session, $event) = @_;
	$eye->poll("SELECT wait_event = '$event' AND clock_timestamp() > query_start + interval '5 ms' FROM pg_stat_activity WHERE pid = "
		  . $session->pid);
	return;
}

sub figure { return $eye->value("SELECT value FROM pooldiag.self WHERE name = '$_[0]'"); }

my $nap = 'pg_sleep(.005)';

# What completes.
scene('a query', ["completed 3: SELECT 'SLOW', $nap FROM generate_series(1, 3)"], "SELECT 'SLOW', $nap FROM generate_series(1, 3)");
scene('blanks around it', ["completed 1: SELECT 'SLOW', $nap"], " \n SELECT 'SLOW', $nap \n ; ");
scene('each of several in one message, by itself',
	[ "completed 1: SELECT 'SLOW 1', $nap", "completed 1: SELECT 'SLOW 2', $nap" ],
	"SELECT 'SLOW 1', $nap; SELECT 1; SELECT 'SLOW 2', $nap; SELECT 2");
scene('in a block', ["completed 1: SELECT 'SLOW', $nap"], 'BEGIN', "SELECT 'SLOW', $nap", 'COMMIT');
scene('data that is changed',
	["completed 2: INSERT INTO t SELECT i FROM generate_series(101, 102) i, $nap /* SLOW */ RETURNING id"],
	"INSERT INTO t SELECT i FROM generate_series(101, 102) i, $nap /* SLOW */ RETURNING id");
scene('a utility command, not what it runs', ["completed 0: DO \$\$ BEGIN PERFORM 'SLOW', $nap; END \$\$"],
	"DO \$\$ BEGIN PERFORM 'SLOW', $nap; END \$\$");
scene('COPY', ["completed 1: COPY (SELECT 'SLOW', $nap) TO STDOUT"], "COPY (SELECT 'SLOW', $nap) TO STDOUT");
scene('an error that PL/pgSQL catches is none',
	["completed 0: DO \$\$ BEGIN PERFORM 'SLOW', $nap; PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN NULL; END \$\$"],
	"DO \$\$ BEGIN PERFORM 'SLOW', $nap; PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN NULL; END \$\$");
scene('the commit of a statement that was quick until then',
	['completed 1: INSERT INTO slow_at_commit VALUES (1) /* SLOW */'], 'INSERT INTO slow_at_commit VALUES (1) /* SLOW */; ');
scene('the same in the extended protocol',
	['completed 1: INSERT INTO slow_at_commit VALUES (1) /* SLOW */'],
	parse('INSERT INTO slow_at_commit VALUES (1) /* SLOW */') . bind_to() . execute() . sync());
scene('the commit of a block', ['completed 0: COMMIT /* SLOW */'], 'BEGIN', 'INSERT INTO slow_at_commit VALUES (1)', 'COMMIT /* SLOW */');
scene('a wait for a synchronous standby that is canceled', ['completed 1: INSERT INTO t VALUES (200) /* SLOW */'],
	'SET synchronous_commit = on', sub
	{
		my ($session) = @_;
		$session->send('INSERT INTO t VALUES (200) /* SLOW */');
		waits_for($session, 'SyncRep');
		$eye->query('SELECT pg_cancel_backend(' . $session->pid . ')');
		$session->finish;
	});
scene('a prepared statement', ["completed 1: EXECUTE slow -- SLOW"], "PREPARE slow AS SELECT $nap", 'EXECUTE slow -- SLOW');
scene('a cursor', ['completed 1: FETCH FROM slow -- SLOW'], 'BEGIN', "DECLARE slow CURSOR FOR SELECT $nap", 'FETCH FROM slow -- SLOW', 'COMMIT');
scene('a procedure that commits', ["completed 0: DO \$\$ BEGIN PERFORM $nap; COMMIT; PERFORM 'SLOW'; END \$\$"],
	"DO \$\$ BEGIN PERFORM $nap; COMMIT; PERFORM 'SLOW'; END \$\$");

# The extended protocol.
scene('Parse, Bind, Execute', ["completed 1: SELECT 'SLOW', $nap"], parse("SELECT 'SLOW', $nap") . bind_to() . execute() . sync());
scene('two before the Sync', [ map { "completed 1: SELECT 'SLOW $_', $nap" } 1, 2 ],
	join('', map { parse("SELECT 'SLOW $_', $nap") . bind_to() . execute() } 1, 2) . sync());
scene('a portal in parts', ["completed 4: SELECT 'SLOW', $nap FROM generate_series(1, 4)"],
	parse("SELECT 'SLOW', $nap FROM generate_series(1, 4)") . bind_to('p') . execute(3, 'p') . execute(3, 'p') . sync());
scene('one that is closed before its end', ["completed 2: SELECT 'SLOW', $nap FROM generate_series(1, 4)"],
	parse("SELECT 'SLOW', $nap FROM generate_series(1, 4)") . bind_to('p') . execute(2, 'p') . close_portal('p') . sync());
scene('one that is left at the commit', ["completed 2: SELECT 'SLOW', $nap FROM generate_series(1, 4)"],
	parse("SELECT 'SLOW', $nap FROM generate_series(1, 4)") . bind_to('p') . execute(2, 'p') . sync());
scene('an Execute that fails', ["failed 22012: SELECT 'SLOW', 1/($nap IS NULL)::int"],
	parse("SELECT 'SLOW', 1/($nap IS NULL)::int") . bind_to() . execute() . sync());

# What fails, and what is canceled.
scene('a statement that fails', ["failed 22012: SELECT 'SLOW', 1/($nap IS NULL)::int"], "SELECT 'SLOW', 1/($nap IS NULL)::int");
scene('the second of three fails', ["failed 22012: SELECT 'SLOW', 1/($nap IS NULL)::int"],
	"SELECT 1; SELECT 'SLOW', 1/($nap IS NULL)::int; SELECT 'SLOW 3'");
scene('in a block, behind a savepoint', ["failed 22012: SELECT 'SLOW', 1/($nap IS NULL)::int"],
	'BEGIN', 'SAVEPOINT s', "SELECT 'SLOW', 1/($nap IS NULL)::int", 'ROLLBACK TO s', 'COMMIT');
scene('an error that a function raises', ["failed P0001: DO \$\$ BEGIN PERFORM 'SLOW', $nap; RAISE 'no'; END \$\$"],
	"DO \$\$ BEGIN PERFORM 'SLOW', $nap; RAISE 'no'; END \$\$");
$eye->query($_) for (
	'CREATE FUNCTION sleepy_error() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(.005); RAISE unique_violation; END $$',
	'CREATE TABLE fails_at_commit (id int)',
	'CREATE CONSTRAINT TRIGGER sleepy AFTER INSERT ON fails_at_commit DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION sleepy_error()');
scene('a commit that fails', ['failed 23505: INSERT INTO fails_at_commit VALUES (1) /* SLOW */'],
	'INSERT INTO fails_at_commit VALUES (1) /* SLOW */');
scene('the same in the extended protocol', ['failed 23505: INSERT INTO fails_at_commit VALUES (1) /* SLOW */'],
	parse('INSERT INTO fails_at_commit VALUES (1) /* SLOW */') . bind_to() . execute() . sync());
my $before = -s $node->logfile;
scene('a statement timeout', [q{canceled 57014: SELECT 'SLOW', pg_sleep(600)}],
	q{SET statement_timeout = '10ms'}, q{SELECT 'SLOW', pg_sleep(600)});
scene('a statement that somebody cancels', [q{canceled 57014: SELECT 'SLOW', pg_sleep(600)}], sub
	{
		my ($session) = @_;
		$session->send(q{SELECT 'SLOW', pg_sleep(600)});
		waits_for($session, 'PgSleep');
		$eye->query('SELECT pg_cancel_backend(' . $session->pid . ')');
		$session->finish;
	});
$eye->query('BEGIN');
$eye->query('LOCK TABLE t');
scene('a lock timeout', ['canceled 55P03: LOCK TABLE t /* SLOW */'],
	q{SET lock_timeout = '10ms'}, 'BEGIN', 'LOCK TABLE t /* SLOW */');
my $parsing = scene('a lock timeout while it is parsed, where a statement is not known from others in its message',
	[q{canceled 55P03: SELECT 1; SELECT 'SLOW' FROM t}], q{SET lock_timeout = '10ms'}, q{SELECT 1; SELECT 'SLOW' FROM t});
scene('NOWAIT', ["failed 55P03: DO \$\$ BEGIN PERFORM 'SLOW', $nap; LOCK TABLE t NOWAIT; END \$\$"],
	q{SET lock_timeout = '1s'}, "DO \$\$ BEGIN PERFORM 'SLOW', $nap; LOCK TABLE t NOWAIT; END \$\$");
for my $level (qw(debug5 info notice warning error log fatal panic))
{
	scene("errors while log_min_messages is $level",
		[ "failed 22012: SELECT 'SLOW', 1/($nap IS NULL)::int", 'canceled 55P03: LOCK TABLE t /* SLOW */',
			q{canceled 57014: SELECT 'SLOW', pg_sleep(600)} ],
		"SET log_min_messages = $level", "SELECT 'SLOW', 1/($nap IS NULL)::int", q{SET lock_timeout = '10ms'},
		'BEGIN', 'LOCK TABLE t /* SLOW */', 'ROLLBACK', q{SET statement_timeout = '10ms'}, q{SELECT 'SLOW', pg_sleep(600)});
}
$eye->query('ROLLBACK');
is($eye->value(q{SELECT count(*) FROM pooldiag.slow_query_log WHERE sqlstate IN ('57014', '55P03') AND outcome = 'canceled'}) - 2 * 3,
	scalar(() = slurp_file($node->logfile, $before) =~ /ERROR:  canceling statement/g),
	'as many as the server says in its log, but for those that log, fatal and panic hide');

for my $level (qw(warning panic))
{
	scene("a session that is terminated while log_min_messages is $level",
		[ 'canceled' . ($level eq 'panic' ? '' : ' 57P01') . q{: SELECT 'SLOW', pg_sleep(600)} ],
		"SET log_min_messages = $level", sub
		{
			my ($session) = @_;
			$session->send(q{SELECT 'SLOW', pg_sleep(600)});
			waits_for($session, 'PgSleep');
			$eye->query('SELECT pg_terminate_backend(' . $session->pid . ')');
			wait_gone($session->pid);
		});
}
scene('a session that is terminated while idle in transaction', ["completed 1: SELECT 'SLOW', $nap"], 'BEGIN', "SELECT 'SLOW', $nap", sub
	{
		my ($session) = @_;
		$eye->query('SELECT pg_terminate_backend(' . $session->pid . ')');
		wait_gone($session->pid);
	});
scene('a serialization failure', [q{failed 40001: UPDATE counted SET n = 2, slept = pg_sleep(.005) IS NULL /* SLOW */}],
	'CREATE TABLE counted AS SELECT 1 AS n, false AS slept', 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT * FROM counted',
	sub { $eye->query('UPDATE counted SET n = 3'); }, 'UPDATE counted SET n = 2, slept = pg_sleep(.005) IS NULL /* SLOW */', 'ROLLBACK');

# The rest of a row, against what the session says of itself.
my $told = PoolDiag::Session->connect($node, application_name => 'told', host => '127.0.0.1');
$told->query('SELECT 1');
$eye->query('SELECT pooldiag.sample_now()');
my $user = $told->value('SELECT session_user');
$told->query(q{SELECT 'SLOW', pg_sleep(.05)});
my $seen = $eye->row(q{SELECT l.finished_at BETWEEN a.query_start + interval '50 ms' AND a.state_change AS finished_at,
		duration_ms BETWEEN 50 AND extract(epoch FROM state_change - query_start) * 1000 AS duration_ms,
		l.pool, l.datname, l.usename, l.client_addr, l.query_id = a.query_id AS query_id
	FROM pooldiag.slow_query_log l JOIN pg_stat_activity a USING (pid) WHERE l.application_name = 'told' AND l.query LIKE '%SLOW%'});
is_deeply($seen,
	{ finished_at => 't', duration_ms => 't', pool => "$user\@postgres/told", datname => 'postgres', usename => $user,
		client_addr => '127.0.0.1', query_id => 't' }, 'what a row says else');

# Texts.
my $long = "SELECT 'SLOW " . ('x' x 1500) . "', $nap";
$told->query($long);
is(($eye->column(q{SELECT query FROM pooldiag.slow_query_log LIMIT 1}))[0], substr($long, 0, 1024) . '...', 'a long text is cut');
$long = "SELECT 'SLOWx " . ("\xc3\xa4" x 1500) . "', $nap";
for my $shift ('', 'x')
{
	(my $text = $long) =~ s/SLOW/SLOW$shift/;
	$told->query($text);
	my $kept = substr($text, 0, 1024);
	$kept =~ s/\xc3$//;
	is(($eye->column(q{SELECT query FROM pooldiag.slow_query_log LIMIT 1}))[0], "$kept...", 'between two characters');
	$told->try($text =~ s/pg_sleep\(\.005\)/1 + 'x$nap'/r);
}
$eye->query('BEGIN');
$eye->query('LOCK TABLE t');
$told->query(q{SET lock_timeout = '10ms'});
$told->try("SELECT 'SLOW " . ('x' x 2000) . "' FROM t");
$eye->query('ROLLBACK');
like(($eye->column(q{SELECT query FROM pooldiag.slow_query_log WHERE sqlstate = '55P03' LIMIT 1}))[0], qr/^SELECT 'SLOW x{900,}\.\.\.$/,
	'what the server has cut is marked too');

$eye->query(q{CREATE DATABASE latin ENCODING LATIN1 LOCALE 'C' TEMPLATE template0});
my $latin = PoolDiag::Session->connect($node, database => 'latin', application_name => 'latin');
$latin->query(qq{SELECT 'SLOW \xe4\xf6', $nap});
$told->query(qq{SELECT 'SLOW \xc3\xa4 \xe2\x82\xac', $nap});
is_deeply([ logged('latin', 'query') ], [qq{SELECT 'SLOW \xc3\xa4\xc3\xb6', $nap}], 'a text of a database in LATIN1, read in UTF8');
$latin->query('CREATE EXTENSION pooldiag');
is_deeply([ $latin->column(q{SELECT query FROM pooldiag.slow_query_log WHERE application_name = 'told' ORDER BY finished_at DESC LIMIT 1}) ],
	[qq{SELECT 'SLOW \xe4 ?', $nap}], 'and the other way round: what LATIN1 has not is a question mark');
is($latin->value('SELECT count(*) FROM pooldiag.slow_query_log WHERE query IS NULL'), 0, 'none is missing');

$eye->query('ALTER SYSTEM SET pooldiag.track_query_text = off');
reload($node);
$_->poll(q{SHOW pooldiag.track_query_text}, 'off') for $eye, $told;
$told->query(q{SELECT 'HIDDEN', pg_sleep(.005)});
is($eye->value('SELECT count(query) FROM pooldiag.slow_query_log'), 0, 'track_query_text = off: no text is shown');
is($eye->value('SELECT count(query) FROM pooldiag.slow_query_stats'), 0, 'nor in the sums');
$eye->query('ALTER SYSTEM RESET pooldiag.track_query_text');
reload($node);
$_->poll(q{SHOW pooldiag.track_query_text}, 'on') for $eye, $told;
is_deeply([ $eye->query(q{SELECT query, query_id IS NOT NULL FROM pooldiag.slow_query_log WHERE application_name = 'told' LIMIT 1}) ],
	[ [ undef, 't' ] ], 'and none was kept');

# What is slow: by pool, and by the setting.
$eye->query('SELECT pooldiag.sample_now()');
my $patient = PoolDiag::Session->connect($node, application_name => 'patient 1');
my $hurried = PoolDiag::Session->connect($node, application_name => 'hurried 1');
my $fresh = PoolDiag::Session->connect($node, application_name => 'fresh');
$eye->query('SELECT pooldiag.sample_now()');
$_->query("SELECT 'SLOW', $nap") for $patient, $hurried, $fresh;
is_deeply([ logged('patient 1') ], [], 'not slow for its pool');
is_deeply([ logged('hurried 1', 'pool') ], ['hurried'], 'slow for its pool, which it names');
is_deeply([ logged('fresh', 'pool') ], ["$user\@postgres/fresh"], 'slow by the setting');
$eye->query(q{ALTER SYSTEM SET pooldiag.slow_query_threshold = '1h'});
$eye->query(q{ALTER SYSTEM SET pooldiag.pools = 'patient(application_name=patient*, size=5, slow=1ms)'});
reload($node);
$eye->poll(q{SELECT (SELECT count(*) FROM pooldiag.pools WHERE declared) = 1 AND pooldiag.sample_now() IS NOT NULL});
$eye->query('SELECT pooldiag.sample_now()');
$_->query("SELECT 'SLOW again', $nap") for $patient, $hurried, $fresh;
is_deeply([ logged('patient 1', 'pool') ], ['patient'], 'a reload reaches sessions that are connected: slow');
is_deeply([ map { scalar logged($_, '1') } 'hurried 1', 'fresh' ], [ 1, 1 ], 'no longer slow');
my ($pool) = logged('hurried 1', 'pool');
is($pool, 'hurried', 'a row keeps the name of a pool that has gone');
my $late = PoolDiag::Session->connect($node, application_name => 'late');
$late->query("SELECT 'SLOW', $nap");
is_deeply([ logged('late') ], [], 'a session that no sample has seen goes by the setting that the sampler has published');
$eye->query('ALTER SYSTEM RESET ALL');
reload($node);
$eye->poll(q{SELECT count(*) = 2 FROM pooldiag.pools WHERE declared});
$eye->query('SELECT pooldiag.sample_now()');
$_->quit for $patient, $hurried, $fresh, $late, $latin, $told;

# Masked, for who was granted the views and no more.
$eye->query($_) for ('CREATE ROLE viewer LOGIN', 'CREATE ROLE other LOGIN', 'GRANT USAGE ON SCHEMA pooldiag TO viewer',
	'GRANT SELECT ON pooldiag.slow_query_log, pooldiag.slow_query_stats TO viewer',
	'GRANT EXECUTE ON FUNCTION pooldiag.slow_query_log(), pooldiag.slow_query_stats() TO viewer');
my $viewer = PoolDiag::Session->connect($node, user => 'viewer', application_name => 'viewer');
my $other = PoolDiag::Session->connect($node, user => 'other', application_name => 'other', host => '127.0.0.1');
$_->query("SELECT 'SLOW', $nap") for $viewer, $other;
my %masked = map { $_ => undef } qw(finished_at duration_ms outcome sqlstate rows pool client_addr query_id);
is_deeply($viewer->row(q{SELECT * FROM pooldiag.slow_query_log WHERE usename = 'other'}),
	{ %masked, pid => $other->pid, datname => 'postgres', usename => 'other', application_name => 'other',
		query => '<insufficient privilege>' }, 'another role\'s statement is masked');
is_deeply([ $viewer->column(q{SELECT query FROM pooldiag.slow_query_log WHERE query LIKE '%SLOW%'}) ],
	["SELECT 'SLOW', $nap"], 'its own is not');
is_deeply([ $viewer->query('SELECT DISTINCT query_id, query FROM pooldiag.slow_query_stats') ],
	[ [ undef, '<insufficient privilege>' ] ], 'sums are of all roles: neither texts nor ids');
$eye->query('GRANT other TO viewer');
is($viewer->value(q{SELECT query FROM pooldiag.slow_query_log WHERE usename = 'other'}), "SELECT 'SLOW', $nap", 'membership opens it');
$_->quit for $viewer, $other;

# The sums. Each statement of a database of its own is slow, by a sleep of twice the threshold.
$eye->query('CREATE DATABASE sums');
my $sums = PoolDiag::Session->connect($node, database => 'sums', application_name => 'sums');
$sums->query('SELECT pg_sleep(.02)') for 1 .. 5;
$sums->try('SELECT 1/(pg_sleep(.02) IS NULL)::int') for 1 .. 2;
is_deeply(
	$eye->row(q{SELECT count(*) AS statements, sum(s.calls) AS calls, sum(failures) AS failures,
		bool_and(abs(s.total_ms - l.total_ms) < 0.01 AND abs(s.mean_ms - l.mean_ms) < 0.01 AND s.max_ms = l.max_ms) AS times,
		bool_and(s.calls = l.calls AND s.last_at = l.last_at AND s.query = l.query) AS rest
		FROM pooldiag.slow_query_stats s JOIN (
			SELECT query_id, min(query) AS query, count(*) AS calls, sum(duration_ms) AS total_ms, avg(duration_ms) AS mean_ms,
				max(duration_ms) AS max_ms, max(finished_at) AS last_at
			FROM pooldiag.slow_query_log WHERE datname = 'sums' GROUP BY 1) l USING (query_id)
		WHERE s.datname = 'sums' AND s.query LIKE '%pg_sleep(%'}),
	{ statements => 2, calls => 7, failures => 2, times => 't', rest => 't' }, 'sums are those of the log');
my $share = q{SELECT sum(hold_share_percent) FROM pooldiag.slow_query_stats WHERE datname = 'sums'};
my $all = $eye->value($share);
cmp_ok($all, '>', 50, 'a database that does nothing else was held by them');
cmp_ok($all, '<=', 100, 'and by no more than it was held');
$sums->query('BEGIN');
$sums->query('SELECT pg_sleep(.5)');
cmp_ok($eye->value($share), '<=', 100, 'as long as the transaction runs, too');
$eye->poll('SELECT clock_timestamp() - state_change > interval \'2 s\' FROM pg_stat_activity WHERE pid = ' . $sums->pid);
$sums->query('COMMIT');
cmp_ok($eye->value($share), '<', 60, 'idle in transaction is held, and by none of them');
$sums->quit;
cmp_ok($eye->value($share), '<', 60, 'and stays so when the session has ended');

# Many clients: none is missed, whatever becomes of the log.
my $script = $node->basedir . '/slow.sql';
append_to_file($script, "SELECT pg_sleep(.002) AS many;\n");
$node->command_ok(
	[ 'pgbench', '--no-vacuum', '--client=8', '--jobs=2', '--transactions=200', '--protocol=prepared', "--file=$script", 'postgres' ],
	'eight clients at once');
my $many = q{FROM pooldiag.slow_query_stats WHERE query = 'SELECT pg_sleep(.002) AS many'};
is_deeply([ $eye->query("SELECT calls, failures, total_ms >= 1600 * 2, hold_share_percent BETWEEN 0 AND 100 $many") ],
	[ [ 1600, 0, 't', 't' ] ], 'each is in the sums');
is(figure('slow_query_stats_lost'), 0, 'none is lost');
is($eye->value('SELECT count(*) FROM pooldiag.slow_query_log'), 150, 'the log has the newest ones');
is(figure('slow_query_log_used'), 150, 'it is full');
cmp_ok(figure('slow_query_log_dropped'), '>=', 1450, 'and has dropped the others');
is($eye->value(q{SELECT count(*) FROM (SELECT finished_at > lag(finished_at) OVER () AS newer FROM pooldiag.slow_query_log) x WHERE newer}),
	0, 'the newest first');

# Without query ids, statements are told apart by their texts; and there is room for so many.
my $crowd = PoolDiag::Session->connect($node, application_name => 'crowd');
$crowd->query('SET compute_query_id = off');
$crowd->query("SELECT pg_sleep(.002), $_") for 1 .. 20;
$crowd->query('SELECT pg_sleep(.002), 1');
is_deeply([ $eye->query(q{SELECT count(*), count(query_id), sum(calls) FROM pooldiag.slow_query_stats WHERE query LIKE 'SELECT pg_sleep(.002), %'}) ],
	[ [ 20, 0, 21 ] ], 'without query ids');
$crowd->query("SELECT pg_sleep(.0011), $_") for 1 .. 520;
is(figure('slow_query_stats_used'), 512, 'rows are bounded');
cmp_ok(figure('slow_query_stats_replaced'), '>', 0, 'light ones make way');
is($eye->value("SELECT calls $many"), 1600, 'the heaviest stays');
$crowd->quit;

# A standby has a log of its own, and what recovery ends there was canceled.
$eye->query($_) for (q{ALTER SYSTEM SET synchronous_standby_names = ''}, 'CREATE TABLE gone (id int)', 'INSERT INTO gone VALUES (1)');
reload($node);
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('slow_standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->append_conf('postgresql.conf', "max_standby_streaming_delay = 0\nhot_standby_feedback = off\n");
$standby->start;
$node->wait_for_catchup($standby);
my $reader = PoolDiag::Session->connect($standby, application_name => 'reader');
my $watcher = observer($standby);
$reader->send(q{SELECT 'SLOW', pg_sleep(600) FROM gone});
$watcher->poll(q{SELECT wait_event = 'PgSleep' AND clock_timestamp() > query_start + interval '5 ms' FROM pg_stat_activity
	WHERE pid = } . $reader->pid);
$eye->query('DROP TABLE gone');
is($reader->finish->{error}{C}, '40001', 'a conflict with recovery');
is_deeply([ $watcher->query(q{SELECT outcome, sqlstate, query FROM pooldiag.slow_query_log WHERE application_name = 'reader'}) ],
	[ [ 'canceled', '40001', q{SELECT 'SLOW', pg_sleep(600) FROM gone} ] ], 'is canceled');
is($watcher->value(q{SELECT count(*) FROM pooldiag.slow_query_stats WHERE query LIKE '%many%'}), 0,
	'what the primary has counted is not there');
$standby->stop;

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'and nothing went wrong');
done_testing();
