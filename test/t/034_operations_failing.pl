# Operations that fail, hang, or are not tried at all: what is counted, what health and the recommendations say of it, the whole
# cycle of their breaker; and all that under settings that keep the server's log silent.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Advice;
use PoolDiag::Server;
use PoolDiag::Session qw(wait_until);

my $node = new_server('operations_failing', <<'EOC');
max_connections = 20
pooldiag.sample_interval = 100ms
pooldiag.operation_interval = 1s
pooldiag.operation_timeout = 1s
pooldiag.reset_timeout = 1h
pooldiag.half_open_samples = 2
pooldiag.breakers = 'operations(failures=3)'
idle_in_transaction_session_timeout = 1h
statement_timeout = 1h
wal_level = replica
max_wal_senders = 2
EOC
my $eye = observer($node);

sub operation
{
	my ($name) = @_;
	return $eye->row("SELECT * FROM pooldiag.operations WHERE operation = '$name'");
}

sub canaries
{
	my ($how, $more) = @_;
	my $before = operation('canary')->{$how};
	wait_until("the canary has $how", sub { return operation('canary')->{$how} >= $before + $more; });
	return;
}

sub breaker { return $eye->row(q{SELECT * FROM pooldiag.breakers WHERE breaker = 'operations'}); }

sub is_connected { return document($eye, 'SELECT pooldiag.health()')->{database_connected}; }

sub set
{
	my (%settings) = @_;
	$eye->query("ALTER SYSTEM SET $_ = '$settings{$_}'") for sort keys %settings;
	reload($node);
	return;
}

# Its breaker is closed, and it succeeds.
sub mended
{
	$eye->query(q{SELECT pooldiag.breaker_reset('operations')});
	canaries(succeeded => 1);
	leaves($eye, 'operations_failing', qr/^$_$/) for qw(canary notify);
	ok(is_connected(), 'the database is connected again');
	return;
}

canaries(succeeded => 2);
quiet($eye);
ok(is_connected(), 'the database is connected');

# The worker that sees to them is stopped while no canary runs: nobody tries, and that shows.
my $operations = $eye->value(q{SELECT value::int FROM pooldiag.self WHERE name = 'operations_pid'});
wait_until('it is stopped between two tries', sub {
	kill 'STOP', $operations;
	return 1 if operation('canary')->{state} eq 'idle';
	kill 'CONT', $operations;
	return 0;
});
my $canary = operation('canary');
ok(is_connected(), 'a try that is not due yet is not missed');
wait_until('that shows', sub { return !is_connected(); });
is_deeply([ @{ operation('canary') }{qw(state last_started failed timed_out)} ], [ @$canary{qw(state last_started failed timed_out)} ], 'a canary that nobody tries: the database counts as not connected');
is($eye->value(qq{SELECT clock_timestamp() - '$canary->{last_started}' >= interval '4 s'}), 't', 'after its interval, its timeout, and some grace');
is(document($eye, 'SELECT pooldiag.health()')->{status}, 'degraded', 'health says so');
my $row = fires($eye, 'operations_failing', 'warning');
is($row->{subject}, 'canary', 'operations_failing: whose');
like($row->{title}, qr/^The canary has not been tried for \d+ s$/, 'that nobody tries');
cmp_ok($row->{evidence}{silent_seconds}, '>=', 4, 'for how long');
like(paste($node, $row), qr/^canary\|idle\|/m, 'how they stand');
kill 'CONT', $operations;
leaves($eye, 'operations_failing');
ok(is_connected(), 'when somebody tries it is connected');

# A database that is not there. Held by its breaker, the canary is none that nobody tries.
set('pooldiag.database' => 'nowhere');
$row = fires($eye, 'operations_failing', 'warning', qr/^canary$/);
like($row->{title}, qr/^Operation canary has failed \d+ times in a row$/, 'operations_failing: how often');
cmp_ok($row->{evidence}{consecutive_failures}, '>=', 3, 'at least three times');
is($row->{evidence}{last_error}, 'database "nowhere" does not exist', 'and why');
wait_until('the breaker opens', sub { return breaker()->{state} eq 'open'; });
$row = fires($eye, 'operations_failing', 'warning', qr/^notify$/);
like($row->{advice}, qr/pooldiag\.alerts/, 'advice for each');
like(paste($node, $row), qr/^notify\|.*database "nowhere" does not exist$/m, 'how they stand');
$eye->poll(q{SELECT clock_timestamp() > last_started + interval '4.5 s' FROM pooldiag.operations WHERE operation = 'canary'});
like(advice_on($eye, 'operations_failing', qr/^canary$/)->{title}, qr/ has failed /, 'an open breaker holds it: it is not missed');
set('pooldiag.database' => 'postgres');
mended();

# As many hangs, as many failures: each has timed out, and no try was missed beside it. Its breaker goes through its cycle.
my $first = $eye->value('SELECT coalesce(max(id), 0) FROM pooldiag.alerts');
$canary = operation('canary');
set('synchronous_standby_names' => 'gone', 'pooldiag.canary_write' => 'always');
wait_until('the breaker opens', sub { return breaker()->{state} eq 'open'; });
wait_until('the last one has ended', sub { return operation('canary')->{state} eq 'idle'; });
is(operation('canary')->{timed_out}, $canary->{timed_out} + 3, 'three hangs open the breaker');
is(operation('canary')->{failed}, $canary->{failed}, 'none of which has failed as well');
is(operation('canary')->{consecutive_failures}, 3, 'three failures in a row');
is(breaker()->{consecutive_failures}, 3, 'the breaker counts as many');
$row = fires($eye, 'operations_failing', 'warning', qr/^canary$/);
is_deeply([ @{ $row->{evidence} }{qw(consecutive_failures timed_out)} ], [ 3, $canary->{timed_out} + 3 ], 'so does the rule');

sub events
{
	return join ' ', $eye->column("SELECT event FROM pooldiag.alerts WHERE id > $first AND breaker = 'operations' ORDER BY id");
}
set('pooldiag.reset_timeout' => '1s');
wait_until('it is tried again, and opens again', sub { return events() =~ /reopened/; });
set('synchronous_standby_names' => '', 'pooldiag.canary_write' => 'auto');
wait_until('the breaker closes', sub { return breaker()->{state} eq 'closed'; });
like(events(), qr/^opened half_opened reopened( half_opened reopened)* half_opened closed$/, 'the whole cycle');
my $reopened = () = events() =~ /reopened/g;
is(operation('canary')->{timed_out} + operation('canary')->{failed}, $canary->{timed_out} + $canary->{failed} + 3 + $reopened, 'each failure is one');
is(breaker()->{trips}, 2, 'which tripped once more');
set('pooldiag.reset_timeout' => '1h');
mended();

# A log that takes nothing, by the server's setting and the database's: errors are known all the same, and it takes nothing still.
$eye->query('ALTER SYSTEM SET log_min_messages = panic');
$eye->query('ALTER DATABASE postgres SET log_min_messages = panic');
set('pooldiag.operation_timeout' => '1h', 'pooldiag.canary_write' => 'always', 'synchronous_standby_names' => 'gone');
my $waiting = wait_until('a canary waits', sub {
	return $eye->value(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'pooldiag canary' AND wait_event = 'SyncRep'});
});
my $logged = -s $node->logfile;
my $failed = operation('canary')->{failed};
$eye->query("SELECT pg_cancel_backend($waiting)");
wait_until('it has failed', sub { return operation('canary')->{failed} > $failed; });
like(operation('canary')->{last_error}, qr/^canceling wait for synchronous replication due to user request/, 'a wait for a standby that is canceled is a failure');
$eye->query(q{ALTER SYSTEM SET synchronous_standby_names = ''});
$eye->query(q{ALTER SYSTEM SET pooldiag.database = 'nowhere'});
$node->reload;
wait_until('it fails', sub { return operation('canary')->{last_error} eq 'database "nowhere" does not exist'; });
pass('the reason is known');
$eye->query('ALTER SYSTEM RESET pooldiag.database');
$node->reload;
canaries(succeeded => 2);
is(slurp_file($node->logfile, $logged), '', 'the log has nothing of it');
$eye->query('ALTER DATABASE postgres RESET log_min_messages');
$eye->query('ALTER SYSTEM RESET ALL');
$node->reload;
canaries(succeeded => 2);
$eye->quit;
$node->stop;
done_testing();
