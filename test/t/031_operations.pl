# What needs a database: the canary, what it writes, and its breaker; notifications; the limits of roles and databases. What
# stops them: a database that is not there, is locked, or gone; no worker slot; processes that were stopped. All else
# goes on meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Server;
use PoolDiag::Session qw(wait_until wait_gone);

my $node = new_server('operations', <<'EOC');
max_connections = 20
max_worker_processes = 6
max_logical_replication_workers = 0
pooldiag.sample_interval = 100ms
pooldiag.operation_interval = 1s
pooldiag.operation_timeout = 1s
pooldiag.reset_timeout = 2s
pooldiag.half_open_samples = 2
pooldiag.breakers = 'operations(failures=3)'
checkpoint_timeout = 1h
bgwriter_delay = 10s
wal_level = replica
max_wal_senders = 2
EOC
my $eye = observer($node);

sub operation
{
	my ($name) = @_;
	return $eye->row("SELECT * FROM pooldiag.operations WHERE operation = '$name'");
}

sub breaker
{
	return $eye->value(q{SELECT state FROM pooldiag.breakers WHERE breaker = 'operations'});
}

sub health { return document($eye, 'SELECT pooldiag.health()'); }

sub set
{
	my (%settings) = @_;
	$eye->query("ALTER SYSTEM SET $_ = '$settings{$_}'") for sort keys %settings;
	reload($node);
	return;
}

# The canary has succeeded, or failed, so many times more. Returns its row.
sub canaries
{
	my ($how, $more) = @_;
	my $before = operation('canary')->{$how};
	wait_until("the canary has $how", sub { return operation('canary')->{$how} >= $before + $more; });
	return operation('canary');
}

sub ticks { return $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'ticks'}); }

# Whatever else hangs: samples are taken, alerts are raised and logged, sessions work, health answers.
sub goes_on
{
	my ($when) = @_;
	my $before = ticks();
	my $logged = -s $node->logfile;

	wait_until("$when: samples are taken", sub { return ticks() > $before + 3; });
	pass("$when: samples are taken");
	$eye->query(q{SELECT pooldiag.breaker_force_open('lock_waits')});
	is($eye->value('SELECT event FROM pooldiag.alerts ORDER BY id DESC LIMIT 1'), 'forced', "$when: alerts are raised");
	$eye->query(q{SELECT pooldiag.breaker_reset('lock_waits')});
	is($eye->value(q{SELECT count(*) FROM pg_class WHERE relname = 'pg_class'}), 1, "$when: sessions work");
	ok(defined health()->{status}, "$when: health answers");
	return $logged;
}

sub logs
{
	my ($when, $logged) = @_;
	$node->wait_for_log(qr/pooldiag alert: .*"event":"forced"/, $logged);
	pass("$when: alerts are logged");
	return;
}

# The canary as it should be.
my $canary = canaries(succeeded => 2);
is($canary->{consecutive_failures}, 0, 'the canary succeeds');
is($canary->{last_error}, undef, 'without an error');
ok(health()->{database_connected}, 'the database is connected');
is(breaker(), 'closed', 'and its breaker closed');

# What it writes. Nobody else does here.
sub wal { return $eye->value(q{SELECT pg_current_wal_insert_lsn()}); }
sub xid { return $eye->value(q{SELECT pg_snapshot_xmax(pg_current_snapshot())}); }

# What was written before is vacuumed by whoever reads it.
my ($wal, $xid) = ('', 0);
wait_until('all is quiet', sub {
	my $before = $wal;
	canaries(succeeded => 2);
	($wal, $xid) = (wal(), xid());
	return $wal eq $before;
});
canaries(succeeded => 3);
is(xid(), $xid, 'where nobody writes, the canary assigns no transaction id');
is(wal(), $wal, 'and writes no WAL');

$eye->query('CHECKPOINT');
canaries(succeeded => 2);
$xid = xid();
canaries(succeeded => 2);
is(xid(), $xid, 'a checkpoint is nobody who writes');

$eye->query('CREATE TABLE written (n int)');
$xid = xid();
canaries(succeeded => 2);
is(xid(), $xid + 1, 'after somebody has written, it does so once');
canaries(succeeded => 2);
is(xid(), $xid + 1, 'and not again');

set('pooldiag.canary_write' => 'always');
canaries(succeeded => 1);
$xid = xid();
canaries(succeeded => 2);
cmp_ok(xid(), '>=', $xid + 2, 'always: each time');

set('pooldiag.canary_write' => 'off');
canaries(succeeded => 1);
$eye->query('DROP TABLE written');
$xid = xid();
canaries(succeeded => 2);
is(xid(), $xid, 'off: never');
set('pooldiag.canary_write' => 'auto');

is($eye->value(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'pooldiag%' AND datname IS NOT NULL
		AND xact_start < now() - interval '1 s'}), 0, 'nothing holds the database open');

# A database that is not there, then one that is locked, then one that is dropped while it is used.
my $logged = -s $node->logfile;
set('pooldiag.database' => 'nowhere');
canaries(failed => 3);
is(operation('canary')->{last_error}, 'database "nowhere" does not exist', 'no such database');
wait_until('the breaker opens', sub { return breaker() eq 'open'; });
my $health = health();
is($health->{status}, 'unhealthy', 'without a canary the server is not healthy');
ok(!$health->{database_connected}, 'nor connected');
ok($health->{async_operations}{circuit_breaker_open}, 'the breaker is open, says health');
cmp_ok($health->{async_operations}{failure_count}, '>=', 3, 'with the failures');
my $failed = operation('canary')->{failed};
my $first = $eye->value(q{SELECT last_started FROM pooldiag.operations WHERE operation = 'canary'});
wait_until('it is tried again', sub { return operation('canary')->{failed} > $failed; });
is($eye->value(qq{SELECT last_started - '$first' >= interval '1.9 s' FROM pooldiag.operations WHERE operation = 'canary'}),
	't', 'an open breaker is left alone for its reset_timeout');
$eye->poll(q{SELECT count(*) > 0 FROM pooldiag.alerts WHERE breaker = 'operations' AND event = 'reopened'}, 't');
my $log = slurp_file($node->logfile, $logged);
is(scalar(my @told = $log =~ /Failed to run pooldiag's canary asynchronously: database "nowhere" does not exist/g), 1, 'the log has it once');
unlike($log, qr/FATAL/, 'and no last words of its processes');
set('pooldiag.database' => 'postgres');
wait_until('the breaker closes', sub { return breaker() eq 'closed'; });
is_deeply([ $eye->column(q{SELECT event FROM pooldiag.alerts WHERE breaker = 'operations' AND event IN ('opened', 'closed') ORDER BY id}) ],
	[qw(opened closed)], 'and closes again when it succeeds');
$node->wait_for_log(qr/pooldiag's canary is well again, after \d+ failures/, $logged);
ok(health()->{database_connected}, 'connected again');
is(health()->{async_operations}{failure_count}, 0, 'no failures any more');

$eye->query('CREATE DATABASE guarded ALLOW_CONNECTIONS false');
set('pooldiag.database' => 'guarded');
canaries(failed => 1);
like(operation('canary')->{last_error}, qr/database "guarded" is not currently accepting connections/, 'a locked database');
$eye->query('ALTER DATABASE guarded ALLOW_CONNECTIONS true');
canaries(succeeded => 2);
$eye->query('DROP DATABASE guarded');
pass('a database in which the canary runs can be dropped');
canaries(failed => 1);
like(operation('canary')->{last_error}, qr/database "guarded" does not exist/, 'and then is not there');
set('pooldiag.database' => 'postgres');
wait_until('the breaker closes', sub { return breaker() eq 'closed' && health()->{database_connected}; });

is($eye->try(q{ALTER SYSTEM SET pooldiag.database = ''})->{error}{D}, 'It must name a database.', 'no name is none');
is($eye->try(q{ALTER SYSTEM SET pooldiag.notify_channel = '} . ('x' x 64) . q{'})->{error}{D},
	'The name of a channel has at most 63 bytes.', 'nor one that the server would cut');

# The operations worker needs slots for its own.
my $taker = observer($node);
$eye->query('CREATE TABLE big AS SELECT g FROM generate_series(1, 1000) g');
$eye->query('ALTER SYSTEM SET max_worker_processes = 4');
$eye->quit;
$taker->quit;
$node->restart;
$eye = observer($node);
wait_until('there is no slot', sub { return operation('canary')->{failed} > 0; });
like(operation('canary')->{last_error}, qr/no free worker slot: all of "max_worker_processes" are taken/, 'no worker slot');
goes_on('without a worker slot');
$eye->query('ALTER SYSTEM RESET max_worker_processes');
$eye->quit;
$node->restart;
$eye = observer($node);
canaries(succeeded => 1);

# A synchronous standby that is gone: the canary's commit waits, as everybody's does, until it is told to stop.
sub running_canary
{
	return $eye->column(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'pooldiag canary' AND wait_event = 'SyncRep'});
}

set('synchronous_standby_names' => 'gone', 'pooldiag.canary_write' => 'always');
wait_until('it times out', sub { return operation('canary')->{timed_out} >= 2; });
wait_until('it says why', sub { return operation('canary')->{last_error} =~ /canceling wait for synchronous replication/; });
pass('a canary that waits for a standby times out, and is told to stop');
wait_until('the breaker opens', sub { return breaker() eq 'open'; });
logs('without a standby', goes_on('without a standby'));
set('pooldiag.canary_write' => 'off');
wait_until('the breaker closes', sub { return breaker() eq 'closed'; });
pass('a canary that does not write does not wait');

# One that was stopped heeds nobody: judged from when it began, and no other begins beside it.
set('pooldiag.canary_write' => 'always');
my $timed_out = operation('canary')->{timed_out};
my $stopped = wait_until('a canary waits', sub { return (running_canary())[0]; });
kill 'STOP', $stopped;
wait_until('it has timed out', sub { return operation('canary')->{timed_out} > $timed_out; });
wait_until('it is overdue', sub { return operation('canary')->{state} eq 'overdue'; });
ok(!health()->{database_connected}, 'while it hangs the database counts as not connected');
logs('while the canary hangs', goes_on('while the canary hangs'));
wait_until('the breaker opens', sub { return breaker() eq 'open'; });
pass('tries that are due, and can not begin, fail');
is(operation('canary')->{last_error}, 'timed out, and has not ended yet', 'and say why');
is_deeply([ running_canary() ], [$stopped], 'there is no second one beside it');
is(operation('canary')->{timed_out}, $timed_out + 1, 'which has timed out once');
set('synchronous_standby_names' => '', 'pooldiag.canary_write' => 'auto');
kill 'CONT', $stopped;
wait_gone($stopped);
wait_until('the breaker closes', sub { return breaker() eq 'closed' && health()->{database_connected}; });
unlike(slurp_file($node->logfile), qr/pooldiag canary.*was terminated by signal/, 'no process was killed');

# The operations worker that was stopped: nothing waits for it.
my ($operations) = $eye->column(q{SELECT value FROM pooldiag.self WHERE name = 'operations_pid'});
kill 'STOP', $operations;
my $since = goes_on('while operations are stopped');
kill 'CONT', $operations;
logs('when operations go on', $since);
my $tried = operation('canary')->{succeeded};
kill 'TERM', $operations;
wait_gone($operations);
wait_until('operations are back', sub {
	my ($new) = $eye->column(q{SELECT value FROM pooldiag.self WHERE name = 'operations_pid'});
	return $new && $new != $operations;
});
wait_until('and try again', sub { return operation('canary')->{succeeded} > $tried; });
pass('a new operations worker goes on');

# Notifications: each alert once, as the view has it.
my $listener = PoolDiag::Session->connect($node);
$listener->query('LISTEN pooldiag');
my $last = $eye->value('SELECT coalesce(max(id), 0) FROM pooldiag.alerts');
for (1 .. 20)
{
	$eye->query(q{SELECT pooldiag.breaker_force_open('errors'), pooldiag.breaker_reset('errors')});
}
my @expected = $eye->column("SELECT id FROM pooldiag.alerts WHERE id > $last ORDER BY id");
is(@expected, 40, 'forty alerts');
my @notified;
wait_until('all are notified', sub {
	$listener->query('SELECT 1');
	push @notified, map { decode_json($_) } $listener->notifications;
	return @notified >= 40;
});
is_deeply([ map { $_->{id} } @notified ], \@expected, 'each is notified once, in order');
is($notified[0]{breaker}, 'errors', 'with what the view has');
is_deeply([ sort keys %{ $notified[0] } ],
	[qw(at breaker event evidence id limit_value message scope severity value)], 'all its columns');

# A disk that hangs keeps nobody from being notified.
my $keeper = $eye->value(q{SELECT value::int FROM pooldiag.self WHERE name = 'keeper_pid'});
kill 'STOP', $keeper;
$eye->query(q{SELECT pooldiag.breaker_force_open('errors'), pooldiag.breaker_reset('errors')});
wait_until('notified while the keeper is stopped', sub {
	$listener->query('SELECT 1');
	push @notified, map { decode_json($_) } $listener->notifications;
	return @notified >= 42;
});
is_deeply([ map { $_->{event} } @notified[ 40, 41 ] ], [qw(forced reset)], 'while the keeper is stopped alerts are notified');
kill 'CONT', $keeper;
splice @notified, 40;

# Another's commit that waits keeps them from being notified, and nothing else.
my $hog = observer($node);
$hog->query(q{BEGIN; NOTIFY elsewhere});
$hog->query('SELECT pg_advisory_xact_lock(1)');
$eye->query(q{SELECT pooldiag.breaker_force_open('errors')});
wait_until('notified beside an open transaction', sub {
	$listener->query('SELECT 1');
	push @notified, map { decode_json($_) } $listener->notifications;
	return @notified >= 41;
});
$hog->query('ROLLBACK');
pass('an open transaction that notifies keeps nobody waiting');

# Switched off, nobody is notified, and nothing piles up.
set('pooldiag.notify_channel' => '');
$eye->query(q{SELECT pooldiag.breaker_reset('errors')});
$eye->poll(q{SELECT value = 0 FROM pooldiag.self WHERE name = 'notifications_waiting'});
my $sent = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'notifications_sent'});
set('pooldiag.notify_channel' => 'other "channel"');
$listener->query('LISTEN "other ""channel"""');
$eye->query(q{SELECT pooldiag.breaker_force_open('errors')});
my @other;
wait_until('notified on another channel', sub {
	$listener->query('SELECT 1');
	push @other, map { decode_json($_) } $listener->notifications;
	return @other > 0;
});
is(scalar(@other), 1, 'what was raised while it was off is not notified later');
is($other[0]{event}, 'forced', 'what is raised now is');
$eye->poll(q{SELECT value FROM pooldiag.self WHERE name = 'notifications_sent'}, $sent + 1);
pass('and counted');
$eye->query(q{SELECT pooldiag.breaker_reset('errors')});

# A server that shuts down, and waits for its sessions, lets nobody in any more.
$_->quit for $listener, $hog;
is(health()->{status}, 'healthy', 'in the end all is well');
system_or_bail('pg_ctl', '-D', $node->data_dir, '-m', 'smart', '--no-wait', '-s', 'stop');
wait_until('the server shuts down', sub { return health()->{status} ne 'healthy'; });
is(health()->{status}, 'starting', 'a server that shuts down is not ready');
ok(PoolDiag::Session->refusal($node), 'and refuses who comes');
$eye->quit;
$node->stop('fast', fail_ok => 1);

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|segfault/, 'nothing else went wrong');
done_testing();
