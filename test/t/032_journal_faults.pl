# The journal when things go wrong at the wrong moment: a sync that fails, a disk that fills up before a reset, resets and new
# files, a server that stops while the keeper hangs. And what is told of alerts then. The sampler takes a tick only when that is
# asked for.

use strict;
use warnings;

use Config;
use FindBin;
use lib "$FindBin::RealBin/../lib";

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Journal qw(content records alert_ids);
use PoolDiag::Server;
use PoolDiag::Session qw(wait_until);

my $node = new_server('faults', <<'EOC');
max_connections = 20
fsync = on
pooldiag.sample_interval = 1h
pooldiag.evaluation_interval = 1h
pooldiag.max_pools = 64
pooldiag.alert_log_size = 2048
pooldiag.pools = 'web(application_name=web, size=5)'
EOC
my $journal = $node->data_dir . '/pg_stat/pooldiag.journal';
my $eye = observer($node);

# Two alerts each.
sub raise
{
	my ($times) = @_;
	$eye->query("DO \$\$ BEGIN FOR i IN 1 .. $times LOOP
		PERFORM pooldiag.breaker_force_open('errors'); PERFORM pooldiag.breaker_reset('errors');
	END LOOP; END \$\$");
	return;
}

sub ids { return [ $eye->column('SELECT id FROM pooldiag.alerts ORDER BY id') ]; }

sub journal { return $eye->row(q{SELECT * FROM pooldiag.operations WHERE operation = 'journal'}); }

sub keeper { return $eye->value(q{SELECT value::int FROM pooldiag.self WHERE name = 'keeper_pid'}); }

sub written
{
	my $last = $eye->value('SELECT coalesce(max(id), 0) FROM pooldiag.alerts');
	wait_until("alert $last is written", sub {
		my @ids = alert_ids(content($journal));
		return @ids && $ids[-1] >= $last && journal()->{state} eq 'idle' && journal()->{consecutive_failures} == 0;
	});
	return;
}

sub restart
{
	my ($mode) = @_;
	$eye->quit;
	$node->stop($mode);
	$node->start;
	$eye = observer($node);
	return;
}

# A sync that fails: what it was for is written anew, as the system may have taken it for written and lost it.
raise(2);
written();
my $good = content($journal);
rename $journal, "$journal.kept" or die $!;
symlink '/dev/null', $journal or die $!;
raise(2);
wait_until('the sync fails', sub { return journal()->{failed} > 0; });
like(journal()->{last_error}, qr/could not fsync file/, 'a sync fails');
unlink $journal;
rename "$journal.kept", $journal or die $!;
is(content($journal), $good, 'its records are not there');
written();
is_deeply([ alert_ids(content($journal)) ], [ 1 .. 8 ], 'when it works again, they are written anew, each once');
$node->wait_for_log(qr/pooldiag's journal is written again, after \d+ failure/);
kill_server($node, $eye);
$node->start;
$eye = observer($node);
is_deeply(ids(), [ 1 .. 8 ], 'and outlive a crash');

# As many as are shown outlive a restart, wherever files begin.
raise(2100);
written();
ok(-e "$journal.old", 'a new file was begun');
my $shown = ids();
is(scalar @$shown, 2048, 'as many are shown as was said');
restart('fast');
is_deeply(ids(), $shown, 'all of them after a restart');

# What a reset has taken away stays away, whatever becomes of the file that says so.
$eye->query(q{SELECT pooldiag.reset('alerts')});
is_deeply(ids(), [], 'after a reset there are none');
raise(1);
$shown = ids();
is($shown->[0], 4209, 'ids go on after a reset');
written();
restart('immediate');
is_deeply(ids(), $shown, 'nor are there after a crash');
my $keeper = keeper();
kill 'STOP', $keeper;
raise(10);
$eye->query(q{SELECT pooldiag.reset('alerts')});
raise(10);
$shown = ids();
kill 'CONT', $keeper;
written();
restart('immediate');
is_deeply(ids(), $shown, 'nor what was not written yet');
raise(2000);
written();
$shown = ids();
restart('immediate');
is_deeply(ids(), $shown, 'nor when the file that says so is gone');

# A disk on which there is room for a reset, and for no alert.
my %prlimit64 = (x86_64 => 302, aarch64 => 261);
my ($machine) = $Config{archname} =~ /^([^-]+)/;
SKIP:
{
	skip 'no known way to limit a file of another process here', 4 unless exists $prlimit64{$machine};
	# The log, which the server appends to, is subject to the limit too.
	truncate $node->logfile, 0 or die $!;
	my ($limit) = pack 'QQ', (-s $journal) + 100, ~0;
	syscall($prlimit64{$machine}, 0 + keeper(), 1, $limit, 0);
	raise(3);
	# What a reset has forgotten before the keeper got to it, it doesn't try to write.
	wait_until('alerts can not be written', sub { return journal()->{failed} > 0; });
	$eye->query(q{SELECT pooldiag.reset('alerts')});
	wait_until('the reset is written', sub { return (records(content($journal)))[-1]{kind} != 1; });
	cmp_ok(journal()->{failed}, '>', 0, 'there is room for a reset, and not for alerts');
	restart('immediate');
	is_deeply(ids(), [], 'alerts that were lost behind a reset');
	raise(2);
	is(scalar @{ ids() }, 4, 'hide none that come after it');
	is($eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'alert_log_used'}), 4, 'which are counted');
}

# A server that stops while the keeper hangs: alerts are in its log all the same.
my $logged = -s $node->logfile;
$keeper = keeper();
kill 'STOP', $keeper;
$eye->query(q{SELECT pooldiag.breaker_force_open('errors')});
$eye->quit;
system_or_bail('pg_ctl', '-D', $node->data_dir, '-m', 'fast', '--no-wait', '-s', 'stop');
$node->wait_for_log(qr/pooldiag alert: .*"event":"forced"/, $logged);
pass('what is raised just before the end is logged');
kill 'CONT', $keeper;
$node->wait_for_log(qr/database system is shut down/, $logged);
$node->stop('fast', fail_ok => 1);

# A log that is small, and a keeper that hangs: nothing is lost that all breakers can raise at once. And a name that is no UTF-8.
append_to_file($node->data_dir . '/postgresql.auto.conf', "pooldiag.alert_log_size = 16\npooldiag.pools = 'caf\xe9(application_name=web, size=1, max_overflow=0)'\n");
$node->start;
$eye = observer($node);
$logged = -s $node->logfile;
$keeper = keeper();
kill 'STOP', $keeper;
raise(30);
wait_until('all are logged', sub { return 60 == (() = slurp_file($node->logfile, $logged) =~ /pooldiag alert: /g); });
pass('a keeper that hangs keeps no alert from being logged');
kill 'CONT', $keeper;
is(scalar @{ ids() }, 16, 'though few are shown');

# Its pool leaves while its breaker is open.
my @web = map { PoolDiag::Session->connect($node, application_name => 'web') } 1 .. 2;
$eye->query('SELECT pooldiag.sample_now()') for 1 .. 10;
is($eye->value(q{SELECT breaker FROM pooldiag.alerts ORDER BY id DESC LIMIT 1}), 'pool:caf?', 'a name that is no UTF-8');
$eye->query(q{ALTER SYSTEM SET pooldiag.pools = 'leaving(application_name=web, size=1, max_overflow=0)'});
$eye->query(q{ALTER SYSTEM SET pooldiag.breakers = 'pool:leaving(failures=1)'});
reload($node);
wait_until('the pool is declared', sub {
	$eye->query('SELECT pooldiag.sample_now()');
	return $eye->value(q{SELECT coalesce(max(state), '') FROM pooldiag.breakers WHERE breaker = 'pool:leaving'}) eq 'open';
});
is($eye->value(q{SELECT message FROM pooldiag.alerts ORDER BY id DESC LIMIT 1}),
	'pool:leaving opened: 2 connections of a capacity of 1 (200.0 %, limit 100 %)', 'a breaker opens');
$eye->query(q{ALTER SYSTEM SET pooldiag.pools = ''});
reload($node);
$eye->poll(q{SELECT message FROM pooldiag.alerts ORDER BY id DESC LIMIT 1},
	'pool:leaving is no more: its pool is not declared any longer');
is($eye->value(q{SELECT event FROM pooldiag.alerts ORDER BY id DESC LIMIT 1}), 'reset', 'and is told to be no more when its pool leaves');
$_->quit for @web;

$node->wait_for_log(qr/pooldiag alert: .*"breaker":"pool:caf\?"/, $logged);
my @lines = slurp_file($node->logfile) =~ /LOG:  pooldiag alert: (\{.*\})$/mg;
is(scalar(grep { !eval { decode_json($_) } } @lines), 0, 'each line of the log is JSON, in UTF-8');
unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'nothing else went wrong');
done_testing();
