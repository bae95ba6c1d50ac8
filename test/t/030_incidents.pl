# Incidents: what is frozen when a breaker opens, compared with what the server itself says; remedies, run as they are
# pasted; which openings make one and which don't; what outlives a crash; who may see it. The sampler takes a tick only
# when that is asked for.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Journal qw(records);
use PoolDiag::Server;
use PoolDiag::Session qw(wait_until wait_gone);

my $node = new_server('incidents', <<'EOC');
max_connections = 20
superuser_reserved_connections = 3
max_prepared_transactions = 2
pooldiag.sample_interval = 1h
pooldiag.evaluation_interval = 1h
pooldiag.slow_query_threshold = 40ms
pooldiag.leak_threshold = 40ms
pooldiag.failure_threshold = 1
pooldiag.half_open_samples = 1
pooldiag.reset_timeout = 1s
pooldiag.pools = 'web(application_name=web*, size=50), batch(application_name=batch, size=50)'
pooldiag.breakers = 'slots(limit=80), lock_waits(limit=2), leaks(mode=metrics_only), slow_queries(limit=100), errors(mode=metrics_only)'
EOC
my $journal = $node->data_dir . '/pg_stat/pooldiag.journal';
my $eye = observer($node);
$eye->query('CREATE TABLE thing (n int); CREATE TABLE other (n int); INSERT INTO thing VALUES (1)');
$eye->query('CREATE ROLE limited LOGIN CONNECTION LIMIT 0');

sub tick
{
	$eye->query('SELECT pooldiag.sample_now()');
	return;
}

sub state
{
	my ($name) = @_;
	return $eye->value("SELECT state FROM pooldiag.breakers WHERE breaker = '$name'");
}

sub incidents
{
	return $eye->rows('SELECT * FROM pooldiag.incidents ORDER BY id');
}

sub last_id
{
	return $eye->value('SELECT coalesce(max(id), 0) FROM pooldiag.incidents');
}

# The only incident since that one, with its report decoded.
sub incident_after
{
	my ($id, $breaker) = @_;
	my @rows = $eye->rows("SELECT * FROM pooldiag.incidents WHERE id > $id");
	is(scalar @rows, 1, "$breaker: one incident");
	my ($row) = @rows;
	is($row->{breaker}, $breaker, "$breaker: its name");
	$row->{report} = decode_json($row->{report});
	return $row;
}

sub sessions
{
	my ($count, $name, @statements) = @_;
	my @sessions = map { PoolDiag::Session->connect($node, application_name => $name) } 1 .. $count;
	for my $session (@sessions)
	{
		$session->query($_) for @statements;
	}
	return @sessions;
}

sub pids
{
	my ($where, $order) = @_;
	$order //= 'pid';
	return [ $eye->column("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND $where ORDER BY $order") ];
}

# The pids that it has ended, or whose statement it has canceled.
sub run
{
	my ($remedy) = @_;
	my @rows = $eye->query($remedy);
	is(scalar(grep { $_->[1] ne 't' } @rows), 0, 'the remedy works on each that it names');
	return [ sort { $a <=> $b } map { $_->[0] } @rows ];
}

# Until the journal has all incidents.
sub written
{
	my $last = last_id();
	wait_until("incident $last is written", sub
		{
			my @records = grep { $_->{kind} == 3 } -e $journal ? records(slurp_file($journal)) : ();
			return @records && $records[-1]{id} >= $last
			  && $eye->value(q{SELECT state FROM pooldiag.operations WHERE operation = 'journal'}) eq 'idle';
		});
	return;
}

tick();
is(scalar(incidents()), 0, 'nothing has opened, and there is no incident');

# Slots, held in transactions in which nothing happens.
my @batch = sessions(2, 'batch');
my @web = sessions(11, 'web', 'BEGIN', q{SELECT 'S3CR3T'});
$eye->poll(q{SELECT bool_and(clock_timestamp() - state_change > '100 ms') FROM pg_stat_activity WHERE state = 'idle in transaction'});
my $oldest = pids(q{state = 'idle in transaction'}, 'state_change LIMIT 8');
my $transactions = pids(q{state = 'idle in transaction'}, 'xact_start LIMIT 5');
my $newest = [ $eye->query(q{
	SELECT CASE WHEN application_name LIKE 'web%' THEN 'web' ELSE application_name END, count(*) FROM
		(SELECT application_name FROM pg_stat_activity WHERE backend_type = 'client backend' ORDER BY backend_start DESC LIMIT 4) AS newest
	GROUP BY 1}) ];
my $held = $eye->value(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'web' AND state = 'idle in transaction'});
tick();
is(state('slots'), 'open', 'slots is open');
my $incident = incident_after(0, 'slots');
is($incident->{id}, 1, 'the first id');
is($incident->{scope}, 'server', 'scope');
is($incident->{verdict}, "$held of 17 slots are held by web, idle in transaction", 'slots: verdict');
is($incident->{at}, $eye->value(q{SELECT opened_at FROM pooldiag.breakers WHERE breaker = 'slots'}), 'when it opened');
my $alert = $eye->row(q{SELECT * FROM pooldiag.alerts WHERE breaker = 'slots' AND event = 'opened'});
is(decode_json($alert->{evidence})->{incident}, 1, 'the alert names it');
my $report = $incident->{report};
is_deeply($report->{server}{states}, activity($eye), 'the report: states as in pg_stat_activity');
is($report->{server}{connections}, 14, 'connections');
is_deeply([ @{$report->{server}}{qw(usable_slots reserved_slots)} ], [ 17, 3 ], 'slots');
my %slots = map { $_->{pool} => $_->{states} } @{ $report->{slots} };
is_deeply($slots{web}, { 'idle in transaction' => 11 }, 'slots by pool and state: web');
is_deeply($slots{batch}, { 'idle' => 2 }, 'and batch');
is_deeply([ @{$report}{qw(slots_pools_not_listed slots_connections_not_listed)} ], [ 0, 0 ], 'all are listed');
is_deeply([ map { [ $_->{pool}, $_->{connections} ] } @{ $report->{last_fifth} } ], $newest, 'who took the last fifth');
is($report->{last_fifth_connections}, 4, 'which is so many');
is_deeply([ map { $_->{pid} } @{ $report->{transactions} } ], $transactions, 'the longest transactions');
is($report->{transactions_not_listed}, 11 - 5 + 1, 'and how many more there are, the observer\'s own included');
is_deeply($report->{root_blockers}, [], 'nobody waits for anybody');
is($report->{history}{step_seconds}, 5, 'history in steps of');
is(scalar(@{ $report->{history}{max_connections} }), 24, 'two minutes of it');
is($report->{history}{max_connections}[-1], 14, 'up to now');
unlike(encode_json($report) . $incident->{verdict} . $incident->{remedy}, qr/S3CR3T/, 'there is no query text in it');

# What has gone on is spared, also if it is idle in a transaction again.
my ($spared) = grep { $_->pid == $oldest->[0] } @web;
$spared->query('COMMIT');
$spared->query('BEGIN');
shift @$oldest;
is_deeply(run($incident->{remedy}), [ sort { $a <=> $b } @$oldest ], 'the remedy ends those that were idle for longest, as far as they still are');
wait_gone(@$oldest);
is_deeply(run($incident->{remedy}), [], 'pasted again it ends nobody');
is_deeply(pids(q{pid = } . $spared->pid), [ $spared->pid ], 'who has gone on is there');
wait_until('slots is closed', sub { tick(); return state('slots') eq 'closed'; });
$_->drop for @web, @batch;

# Locks: one holds, two wait for it, and one waits behind one of them.
my $id = last_id();
sub queue
{
	my ($holder) = @_;
	my @waiters = sessions(4, 'batch');
	$waiters[0]->send('TABLE thing');
	$waiters[1]->send('TRUNCATE other');
	$eye->poll(q{SELECT count(*) FROM pg_locks WHERE NOT granted}, 2);
	$waiters[2]->send('TABLE other');
	$waiters[3]->send(q{UPDATE other SET n = 2});
	$eye->poll(q{SELECT count(*) FROM pg_locks WHERE NOT granted AND waitstart IS NOT NULL}, 4);
	return @waiters;
}
my ($holder) = sessions(1, 'web', 'BEGIN', 'LOCK TABLE thing', 'TABLE other');
my @waiters = queue();
my $roots = {
	map { @$_ } $eye->query(q{
		WITH RECURSIVE way AS (
			SELECT pid AS waiter, unnest(pg_blocking_pids(pid)) AS blocker FROM pg_locks WHERE NOT granted
			UNION
			SELECT waiter, unnest(pg_blocking_pids(blocker)) FROM way)
		SELECT blocker, count(DISTINCT waiter) FROM way WHERE cardinality(pg_blocking_pids(blocker)) = 0 GROUP BY blocker})
};
is_deeply($roots, { $holder->pid => 4 }, 'pg_blocking_pids knows one root');
tick();
is(state('lock_waits'), 'open', 'lock_waits is open');
$incident = incident_after($id, 'lock_waits');
like($incident->{verdict}, qr/^4 sessions wait for locks, 4 of 4 behind pid @{[ $holder->pid ]} \(idle in transaction for \d+ s\)$/,
	'lock_waits: verdict');
$report = $incident->{report};
is_deeply([ map { [ @$_{qw(pid pool state waiting)} ] } @{ $report->{root_blockers} } ],
	[ [ $holder->pid, 'web', 'idle in transaction', 4 ] ], 'the report: the root');
is_deeply([ sort { $a <=> $b } @{ $report->{root_blockers}[0]{waiting_pids} } ], [ sort { $a <=> $b } map { $_->pid } @waiters ],
	'and what waits behind it');
is($report->{root_blockers}[0]{backend_start},
	$eye->value(q{SELECT to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00' FROM pg_stat_activity WHERE pid = } . $holder->pid),
	'it is known by its start too');
is_deeply([ @$report{qw(lock_waiters lock_waiters_without_root lock_waiters_not_read root_blockers_not_listed)} ], [ 4, 0, 0, 0 ],
	'all was read');
is_deeply([ map { [ @$_{qw(type event connections)} ] } grep { $_->{type} eq 'Lock' } @{ $report->{waits} } ], [ [ 'Lock', 'relation', 4 ] ], 'waits');
is_deeply(run($incident->{remedy}), [ $holder->pid ], 'the remedy ends the root');
is(scalar(grep { defined $_->finish->{error} } @waiters), 0, 'and all the others go on');
wait_until('lock_waits is closed', sub { tick(); return state('lock_waits') eq 'closed'; });

# A root that is at work: its statement is canceled, and it stays.
$id = last_id();
$holder->drop;
($holder) = sessions(1, 'web', 'BEGIN', 'LOCK TABLE thing', 'TABLE other');
$holder->send('SELECT pg_sleep(1000)');
$eye->poll(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'}, 1);
$_->quit for @waiters;
@waiters = queue();
tick();
$incident = incident_after($id, 'lock_waits');
like($incident->{verdict}, qr/behind pid @{[ $holder->pid ]} \(active for \d+ s\)$/, 'a root at work: verdict');
is_deeply(run($incident->{remedy}), [ $holder->pid ], 'its statement is canceled');
is($holder->finish->{error}{C}, '57014', 'and it stays');
is(scalar(grep { defined $_->finish->{error} } @waiters), 0, 'its locks are free');
$_->quit for $holder, @waiters;
wait_until('lock_waits is closed', sub { tick(); return state('lock_waits') eq 'closed'; });

# A prepared transaction.
$id = last_id();
$eye->query('BEGIN');
$eye->query('LOCK TABLE thing, other');
$eye->query(q{PREPARE TRANSACTION 'kept'});
@waiters = queue();
tick();
$incident = incident_after($id, 'lock_waits');
is($incident->{verdict}, '4 sessions wait for locks, 4 of 4 behind a prepared transaction', 'a prepared transaction: verdict');
is_deeply($incident->{report}{root_blockers}[0]{prepared_transaction}, JSON::PP::true, 'and report');
is($eye->row($incident->{remedy})->{gid}, 'kept', 'the remedy shows which');

# The cause lasts: it opens again, which is none. Nor is a metrics-only breaker that opens, or one that is forced; one
# that is silenced is.
$id = last_id();
wait_until('it is half open', sub { tick(); return state('lock_waits') eq 'half_open'; });
tick();
is(state('lock_waits'), 'open', 'half open, it opens again');
$eye->query(q{SELECT pooldiag.breaker_force_open('slots'), pooldiag.breaker_reset('slots')});
my ($leak) = sessions(1, 'web', 'BEGIN');
wait_until('leaks is open', sub { tick(); return state('leaks') eq 'open'; });
is(last_id(), $id, 'an opening again, a forced one, and one of metrics only make no incident');
$eye->query(q{SELECT pooldiag.breaker_silence('lock_waits', '1 h'), pooldiag.breaker_reset('lock_waits')});
my $alerts = $eye->value('SELECT max(id) FROM pooldiag.alerts');
tick();
is(state('lock_waits'), 'open', 'silenced, it opens');
incident_after($id, 'lock_waits');
is($eye->value(q{SELECT count(*) FROM pooldiag.alerts WHERE breaker = 'lock_waits' AND id > } . $alerts), 0, 'without an alert');
$eye->query(q{SELECT pooldiag.breaker_silence('lock_waits', '0')});
incident_after($id, 'lock_waits');
$leak->quit;

# As many are kept, the newest.
$id = last_id();
for (1 .. 18)
{
	$eye->query(q{SELECT pooldiag.breaker_reset('lock_waits')});
	tick();
}
is_deeply([ $eye->column('SELECT id FROM pooldiag.incidents') ], [ reverse $id + 3 .. $id + 18 ], 'the newest 16, newest first');
is_deeply({ map { @$_ } $eye->query(q{SELECT name, value FROM pooldiag.self WHERE name ~ '^incident'}) },
	{ incident_log_used => 16, incident_log_room => 16, incidents_unjournaled => 0 }, 'self tells how full the log is');

# While the keeper hangs, those that the log has lost meanwhile are counted; what a reset has forgotten is not written.
sub unjournaled { return $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'incidents_unjournaled'}); }
sub journaled { return map { $_->{id} } grep { $_->{kind} == 3 } records(slurp_file($journal)); }
written();
$id = last_id();
my $keeper = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'keeper_pid'});
kill 'STOP', $keeper;
for (1 .. 20)
{
	$eye->query(q{SELECT pooldiag.breaker_reset('lock_waits')});
	tick();
}
is(last_id(), $id + 20, 'incidents go on while the keeper hangs');
kill 'CONT', $keeper;
written();
is_deeply([ (journaled())[ -16 .. -1 ] ], [ $id + 5 .. $id + 20 ], 'the journal has those that were left');
is(unjournaled(), 4, 'and the others are counted');
kill 'STOP', $keeper;
for (1 .. 2)
{
	$eye->query(q{SELECT pooldiag.breaker_reset('lock_waits')});
	tick();
}
$eye->query(q{SELECT pooldiag.reset('alerts')});
is($eye->value('SELECT count(*) FROM pooldiag.incidents'), 0, 'a reset while the keeper hangs');
kill 'CONT', $keeper;
$eye->query(q{SELECT pooldiag.breaker_reset('lock_waits')});
tick();
written();
is_deeply([ (journaled())[ -2, -1 ] ], [ $id + 20, $id + 23 ], 'what it has forgotten is not in the journal');
is_deeply([ $eye->column('SELECT id FROM pooldiag.incidents') ], [ $id + 23 ], 'and what comes after it is');
for (1 .. 15)
{
	$eye->query(q{SELECT pooldiag.breaker_reset('lock_waits')});
	tick();
}

$eye->query(q{ROLLBACK PREPARED 'kept'});
is(scalar(grep { defined $_->finish->{error} } @waiters), 0, 'the others go on');
$_->quit for @waiters;

# Refusals.
$id = last_id();
tick();
PoolDiag::Session->refusal($node, user => 'limited') for 1 .. 3;
PoolDiag::Session->refusal($node, database => 'nowhere');
$eye->poll('SELECT sum(refused) FROM pooldiag.refusals', 4);
tick();
$incident = incident_after($id, 'refusals');
is($incident->{verdict}, '4 connections were refused, 3 of them for one reason (role limit)', 'refusals: verdict');
is_deeply($incident->{report}{refused}, { 'role limit' => 3, 'no such database' => 1 }, 'the report: by reason');
is_deeply([ map { [ @$_{qw(reason usename)} ] } @{ $incident->{report}{refusals} } ],
	[ $eye->query('SELECT reason, usename FROM pooldiag.refusal_log ORDER BY refused_at DESC LIMIT 5') ], 'and the newest');
is($eye->try($incident->{remedy})->{error}, undef, 'the remedy is a query');

# Names that are as long, and as ugly, as can be: what is not listed is counted, and the rest is a document.
$id = last_id();
$eye->query(q{SELECT pooldiag.breaker_reset('slots')});
$eye->query(sprintf 'CREATE ROLE "%s" LOGIN', '""' x 31 . $_) for 1 .. 13;
my @ugly = map { PoolDiag::Session->connect($node, user => '"' x 31 . $_, application_name => '"' x 63) } 1 .. 13;
$_->query('BEGIN; SELECT 1') for @ugly;
tick();
is(state('slots'), 'open', 'slots is open again');
$incident = incident_after($id, 'slots');
$report = $incident->{report};
my $listed = 0;
$listed += $_->{connections} for @{ $report->{slots} };
is($listed + $report->{slots_connections_not_listed}, 14, 'each connection is listed, or is not');
cmp_ok($report->{slots_pools_not_listed}, '>', 0, 'of these names not all fit');
is(@{ $report->{slots} } + $report->{slots_pools_not_listed}, 14, 'all pools are counted');
is(@{ $report->{transactions} } + $report->{transactions_not_listed}, 14, 'and all transactions');
$_->quit for @ugly;

# A storm: more breakers open at once than incidents are kept. What is told of the server is the newest of it.
$eye->query(q{SELECT pooldiag.breaker_reset('slots')});
my ($pools, $breakers) = map { $eye->value("SHOW pooldiag.$_") } qw(pools breakers);
$eye->query(q{ALTER SYSTEM SET pooldiag.pools = '} . join(', ', map { "p$_(application_name=p$_, size=1)" } 1 .. 18) . q{'});
$eye->query(q{ALTER SYSTEM SET pooldiag.breakers = '} . join(', ', map { "pool:p$_(limit=1)" } 1 .. 18) . q{'});
reload($node);
wait_until('the pools are declared', sub { tick(); return $eye->value(q{SELECT count(*) FROM pooldiag.breakers WHERE scope = 'pool'}) == 18; });
my @storm = map { sessions(1, "p$_") } 1 .. 18;
tick();
is($eye->value(q{SELECT count(*) FROM pooldiag.breakers WHERE state = 'open' AND (breaker = 'slots' OR scope = 'pool')}), 19, 'all open at once');
is_deeply([ $eye->column('SELECT breaker FROM pooldiag.incidents ORDER BY id DESC') ], [ 'slots', map { "pool:p$_" } reverse 4 .. 18 ],
	'the incident of slots is kept when pools storm');
is($eye->value('SELECT breaker FROM pooldiag.alerts ORDER BY id DESC LIMIT 1'), 'slots', 'and alerted last');
$_->quit for @storm;
$eye->query("ALTER SYSTEM SET pooldiag.pools = '$pools'");
$eye->query("ALTER SYSTEM SET pooldiag.breakers = '$breakers, pool:web(limit=1)'");

# Between two samples the ages are those of the moment at which the breaker opens.
$eye->query('ALTER SYSTEM SET pooldiag.failure_threshold = 3');
reload($node);
my ($old) = sessions(1, 'web', 'BEGIN');
wait_until('the pool is declared', sub { tick(); return $eye->value(q{SELECT count(*) FROM pooldiag.breakers WHERE breaker = 'pool:web'}); });
$eye->query('SELECT pooldiag.breaker_reset(breaker) FROM pooldiag.breakers');
$id = last_id();
tick();
is($eye->value(q{SELECT consecutive_failures FROM pooldiag.breakers WHERE breaker = 'pool:web'}), 1, 'one failure in a sample');
my $sampled = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'ticks'});
$eye->query(q{ALTER SYSTEM SET pooldiag.evaluation_interval = '400ms'});
reload($node);
$eye->poll(q{SELECT state FROM pooldiag.breakers WHERE breaker = 'pool:web'}, 'open');
is($eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'ticks'}), $sampled, 'the others without one');
$incident = incident_after($id, 'pool:web');
my ($of) = grep { $_->{pid} == $old->pid } @{ $incident->{report}{transactions} };
my $age = $eye->value("SELECT extract(epoch FROM '$incident->{at}' - state_change) FROM pg_stat_activity WHERE pid = " . $old->pid);
cmp_ok(abs($of->{state_seconds} - $age), '<=', 0.06, "the age of a transaction is that of the opening ($age)");
cmp_ok($age, '>=', 0.4, 'which was later than the sample');
$old->quit;
$eye->query('ALTER SYSTEM RESET pooldiag.evaluation_interval');
$eye->query("ALTER SYSTEM SET pooldiag.breakers = '$breakers'");
$eye->query('ALTER SYSTEM SET pooldiag.failure_threshold = 1');
reload($node);
tick();

# A crash, and a restart: each is there, once.
$id = last_id();
my @before = incidents();
written();
kill_server($node, $eye);
$node->start;
$eye = observer($node);
is_deeply([ incidents() ], \@before, 'all are there after a crash');
$eye->quit;
$node->restart;
$eye = observer($node);
is_deeply([ incidents() ], \@before, 'and after a restart');
unlike(slurp_file($node->logfile), qr/pooldiag's journal.*(damaged|left out|torn)/, 'nothing was wrong with the journal');

# An incident that is cut off, wherever: the others are there, and the next one is written in its place.
written();
$eye->quit;
$node->stop;
my $good = slurp_file($journal);
my ($torn) = grep { $_->{kind} == 3 } reverse records($good);
my $size = $torn->{end} - $torn->{at};
is($torn->{id}, $before[-1]{id}, 'the last incident in the journal');
sub start_with
{
	my ($bytes) = @_;

	# The same file, or it would be somebody else's.
	open my $file, '+<:raw', $journal or die "$journal: $!";
	truncate $file, 0;
	print {$file} $bytes;
	close $file or die "$journal: $!";
	my $logged = -s $node->logfile;
	$node->start;
	$eye = observer($node);
	return slurp_file($node->logfile, $logged);
}
for my $cut (1, 23, 24, 32, 200, 1000, int($size / 2), $size - 1)
{
	my $log = start_with(substr $good, 0, $torn->{at} + $cut);
	is_deeply([ grep { $_ >= $before[0]{id} } $eye->column('SELECT id FROM pooldiag.incidents ORDER BY id') ],
		[ map { $_->{id} } @before[ 0 .. $#before - 1 ] ], "$cut bytes of an incident: the others are there");
	like($log, qr/WARNING: +the end of pooldiag's journal ".*" is torn and was cut off\n.*DETAIL: +$cut bytes/, "$cut bytes of it: a warning says so");
	tick();
	PoolDiag::Session->refusal($node, user => 'limited');
	wait_until('it opens', sub { tick(); return last_id() == $torn->{id}; });
	written();
	is_deeply([ map { $_->{at} } grep { $_->{kind} == 3 && $_->{id} == $torn->{id} } records(slurp_file($journal)) ], [ $torn->{at} ],
		"$cut bytes of it: another one is written in its place");
	$eye->quit;
	$node->stop;
}
unlike(start_with($good), qr/WARNING: .*journal/, 'whole as it was');
is_deeply([ incidents() ], \@before, 'all of them are there');

# Who may see them.
$eye->query(q{
	CREATE ROLE nobody LOGIN;
	CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
	CREATE ROLE viewer LOGIN;
	GRANT USAGE ON SCHEMA pooldiag TO viewer, nobody;
	GRANT SELECT ON pooldiag.incidents TO viewer;
	GRANT EXECUTE ON FUNCTION pooldiag.incidents() TO viewer;
});
my $monitor = PoolDiag::Session->connect($node, user => 'monitor');
is_deeply([ $monitor->rows('SELECT * FROM pooldiag.incidents ORDER BY id') ], \@before, 'pg_monitor sees all');
$monitor->quit;
my $nobody = PoolDiag::Session->connect($node, user => 'nobody');
is($nobody->try('SELECT * FROM pooldiag.incidents')->{error}{C}, '42501', 'others see nothing');
$nobody->quit;
my $viewer = PoolDiag::Session->connect($node, user => 'viewer');
is_deeply([ $viewer->query('SELECT DISTINCT verdict, remedy, report FROM pooldiag.incidents') ], [ [ undef, undef, undef ] ],
	'whoever may not look into sessions does not by this way');
is($viewer->value('SELECT count(*) FROM pooldiag.incidents'), 16, 'but is told that there were incidents');
$viewer->quit;

# A reset.
$eye->query(q{SELECT pooldiag.reset('alerts')});
is(scalar(incidents()), 0, 'a reset forgets them');
is($eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'incident_log_used'}), 0, 'self says so');
wait_until('the journal has it', sub { return grep { $_->{kind} == 4 } records(slurp_file($journal)); });
kill_server($node, $eye);
$node->start;
$eye = observer($node);
is(scalar(incidents()), 0, 'for good');
tick();
PoolDiag::Session->refusal($node, user => 'limited');
$eye->poll('SELECT sum(refused) > 0 FROM pooldiag.refusals');
tick();
is(incident_after(0, 'refusals')->{id}, $id + 1, 'ids go on');
$eye->quit;
$node->stop;

done_testing();
