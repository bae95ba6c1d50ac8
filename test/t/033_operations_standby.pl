# The canary, notifications and breakers where they can't do all that they do: on a standby, across its promotion, in recovery,
# and with every connection slot taken.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Server;
use PoolDiag::Session qw(wait_until);

my $primary = new_server('primary', <<'EOC', allows_streaming => 1);
max_connections = 10
superuser_reserved_connections = 2
pooldiag.sample_interval = 100ms
pooldiag.operation_interval = 1s
pooldiag.canary_write = always
pooldiag.failure_threshold = 3
EOC
$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
my $eye = observer($standby);

sub canary
{
	return $eye->row(q{SELECT * FROM pooldiag.operations WHERE operation = 'canary'});
}

sub figure
{
	my ($name) = @_;
	return $eye->value("SELECT value FROM pooldiag.self WHERE name = '$name'");
}

sub health { return document($eye, 'SELECT pooldiag.health()'); }

sub more_canaries
{
	my ($more) = @_;
	my $before = canary()->{succeeded};
	wait_until('the canary has succeeded', sub { return canary()->{succeeded} >= $before + $more; });
	return;
}

sub force
{
	$eye->query(q{SELECT pooldiag.breaker_force_open('errors'), pooldiag.breaker_reset('errors')});
	return;
}

# On a standby there is the statement only, and nobody can be notified.
more_canaries(3);
is(canary()->{failed} + canary()->{timed_out}, 0, 'on a standby the canary succeeds');
ok(health()->{database_connected}, 'the database is connected');
is(health()->{status}, 'healthy', 'and all is well');
force();
wait_until('alerts are passed', sub { return figure('notifications_waiting') == 0; });
is(figure('notifications_skipped'), 2, 'what could not be notified is counted');
is(figure('notifications_sent'), 0, 'and was not');
is($eye->value(q{SELECT succeeded + failed FROM pooldiag.operations WHERE operation = 'notify'}), 0, 'nor tried');
is($eye->value(q{SELECT state FROM pooldiag.operations WHERE operation = 'limits'}), 'idle', 'limits are read');
is($eye->value(q{SELECT failed FROM pooldiag.operations WHERE operation = 'limits'}), 0, 'without a failure');

# Behind what is replayed: no session holds what the primary's transaction has locked.
my $there = PoolDiag::Session->connect($primary);
$there->query('CREATE TABLE locked (n int)');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
$there->query('BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE');
my $writer = PoolDiag::Session->connect($primary);
$writer->query('CREATE TABLE written (n int)');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
$eye->query(q{ALTER SYSTEM SET pooldiag.breakers = 'lock_waits(limit=1, failures=1)'});
reload($standby);
my $reader = PoolDiag::Session->connect($standby);
$reader->send('TABLE locked');
$eye->poll(q{SELECT count(*) FROM pooldiag.incidents WHERE breaker = 'lock_waits'}, 1);
my $incident = $eye->row(q{SELECT * FROM pooldiag.incidents WHERE breaker = 'lock_waits'});
is($incident->{verdict}, '1 session waits for locks, 1 of 1 behind the replay of WAL', 'who waits for the replay of WAL is told so');
my ($root) = @{ decode_json($incident->{report})->{root_blockers} };
ok($root->{replay}, 'in the report too');
is($root->{pid}, $eye->value(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'}), 'with its process');
my ($directed, $remedy) = split /\n/, $incident->{remedy}, 2;
is($directed, '-- on the primary:', 'the remedy is for the primary');
is($writer->row($remedy)->{pid}, $there->pid, 'and shows who it is there');
$there->query('COMMIT');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
is($reader->finish->{error}, undef, 'who waited gets through');
$_->quit for $reader, $there, $writer;
$eye->query('ALTER SYSTEM RESET pooldiag.breakers');
reload($standby);
$eye->poll(q{SELECT value FROM pooldiag.breakers WHERE breaker = 'lock_waits'}, 0);

# A breaker that is open stays so when the standby is promoted.
$eye->query(q{SELECT pooldiag.breaker_force_open('leaks')});
my $listener = PoolDiag::Session->connect($standby);
$standby->promote;
$eye->poll('SELECT pg_is_in_recovery()', 'f');
is($eye->value(q{SELECT state FROM pooldiag.breakers WHERE breaker = 'leaks'}), 'forced_open', 'a promotion changes no breaker');
$listener->query('LISTEN pooldiag');
force();
my @notified;
wait_until('alerts are notified', sub {
	$listener->query('SELECT 1');
	push @notified, map { decode_json($_) } $listener->notifications;
	return @notified >= 2;
});
is_deeply([ map { $_->{event} } @notified ], [qw(forced reset)], 'after it alerts are notified');
my $xid = $eye->value('SELECT pg_snapshot_xmax(pg_current_snapshot())');
more_canaries(2);
cmp_ok($eye->value('SELECT pg_snapshot_xmax(pg_current_snapshot())'), '>', $xid, 'and the canary writes');
$eye->query(q{SELECT pooldiag.breaker_reset('leaks')});

# Every slot taken, the reserved ones too: the canary needs none.
my @taken = map { PoolDiag::Session->connect($standby) } 1 .. 8;
is(PoolDiag::Session->refusal($standby)->{C}, '53300', 'every slot is taken');
more_canaries(3);
is(canary()->{failed}, 0, 'the canary needs none');
ok(health()->{database_connected}, 'and says that the database works');
is(health()->{status}, 'unhealthy', 'though nobody gets in');
@notified = ();
force();
wait_until('alerts are notified', sub {
	$listener->query('SELECT 1');
	push @notified, map { decode_json($_) } $listener->notifications;
	return grep { $_->{breaker} eq 'errors' } @notified;
});
pass('alerts are notified');
$_->quit for @taken;

unlike(slurp_file($standby->logfile), qr/PANIC|TRAP/, 'nothing else went wrong');
$eye->quit;
$listener->quit;
$standby->stop;

# A standby that lets nobody in: no canary is tried, for as long as one elsewhere takes for its tries, and none is missed.
my $closed = PostgreSQL::Test::Cluster->new('closed');
$closed->init_from_backup($primary, 'copy', has_streaming => 1);
$closed->append_conf('postgresql.conf', "hot_standby = off\npooldiag.operation_timeout = 1s\npooldiag.failure_threshold = 1\n");
$closed->start;
ok(PoolDiag::Session->refusal($closed), 'hot_standby = off: nobody gets in');
$eye = observer($primary);
more_canaries(5);
$eye->quit;
$closed->promote;
$closed->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'not promoted';
$eye = observer($closed);
more_canaries(1);
is(canary()->{failed} + canary()->{timed_out}, 0, 'no try has failed there');
is($eye->value(q{SELECT count(*) FROM pooldiag.alerts WHERE breaker = 'operations'}), 0, 'the breaker of operations has nothing to tell');
unlike(slurp_file($closed->logfile), qr/Failed to |"breaker":"operations"/, 'nor has the log');
ok(health()->{database_connected}, 'and the database is connected');
$eye->quit;
$closed->stop;
done_testing();
