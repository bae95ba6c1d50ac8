# The journal of alerts: what is in it outlives every end of the server, each alert once; damage costs what it has hit;
# a disk that is full, or hangs, silences nobody. The sampler takes a tick only when that is asked for.

use strict;
use warnings;

use Config;
use FindBin;
use lib "$FindBin::RealBin/../lib";

use File::Copy;
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Journal qw(content records alert_ids header_size);
use PoolDiag::Server;
use PoolDiag::Session qw(wait_until);

my $node = new_server('journal', <<'EOC');
max_connections = 20
max_wal_senders = 3
wal_level = replica
restart_after_crash = on
pooldiag.sample_interval = 1h
pooldiag.evaluation_interval = 1h
pooldiag.pools = 'web(application_name=web, size=5)'
EOC
my $journal = $node->data_dir . '/pg_stat/pooldiag.journal';
my $eye = observer($node);

# Opens a breaker by hand and closes it, so many times: two alerts each.
sub raise
{
	my ($times, $breaker) = @_;
	$breaker //= 'slots';
	$eye->query("SELECT pooldiag.breaker_force_open('$breaker'), pooldiag.breaker_reset('$breaker')") for 1 .. $times // 1;
	return;
}

sub ids
{
	return [ $eye->column('SELECT id FROM pooldiag.alerts ORDER BY id') ];
}

sub alerts
{
	return [ map { join '|', map { $_ // '' } @$_ } $eye->query('SELECT * FROM pooldiag.alerts') ];
}

sub last_id
{
	return $eye->value('SELECT coalesce(max(id), 0) FROM pooldiag.alerts');
}

# Alerts that the server's log has, from there on.
sub logged
{
	my ($from) = @_;
	return map { decode_json($_)->{id} } slurp_file($node->logfile, $from // 0) =~ /LOG:  pooldiag alert: (\{.*\})$/mg;
}

sub journal
{
	return $eye->row(q{SELECT * FROM pooldiag.operations WHERE operation = 'journal'});
}

# Waits until everything is written and synced.
sub written
{
	my $last = last_id();
	wait_until("alert $last is written", sub
		{
			my @records = grep { $_->{kind} == 1 } records(content($journal));
			return $last == 0 || @records && $records[-1]{id} >= $last && journal()->{state} eq 'idle';
		});
	return;
}

is(-e $journal ? 1 : 0, 0, 'without alerts there is no journal');
is_deeply([ @{ journal() }{qw(state succeeded last_error)} ], [ 'idle', 0, undef ], 'and nobody has tried');
raise(3);
raise(1, 'pool:web');
written();
is_deeply(ids(), [ 1 .. 8 ], 'alerts');
is_deeply([ alert_ids(slurp_file($journal)) ], [ 1 .. 8 ], 'are in the journal');
is_deeply([ logged() ], [ 1 .. 8 ], 'and in the log');
cmp_ok(journal()->{succeeded}, '>=', 1, 'operations tells of it');
isnt(journal()->{last_ms}, undef, 'and how long it took');

# A disk that is full: the limit on a file's size stands in for it, for the keeper alone. It is above the size of the
# server's log, which is subject to it too.
raise(200);
written();
cmp_ok(-s $journal, '>', -s $node->logfile, 'the journal is longer than the log');
my %prlimit64 = (x86_64 => 302, aarch64 => 261);
my ($machine) = $Config{archname} =~ /^([^-]+)/;
SKIP:
{
	skip 'no known way to limit a file of another process here', 11 unless exists $prlimit64{$machine};
	my $keeper = 0 + $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'keeper_pid'});
	my $size = -s $journal;
	my ($logged, $before) = (-s $node->logfile, last_id());

	my ($limit, $no_limit) = map { pack 'QQ', $_, ~0 } $size + 100, ~0;
	is(syscall($prlimit64{$machine}, $keeper, 1, $limit, 0), 0, 'a file may grow no further');
	raise();
	$eye->poll(q{SELECT failed > 0 FROM pooldiag.operations WHERE operation = 'journal'}, 't');
	is(journal()->{last_error}, 'could not write file: File too large', 'operations tells why');
	cmp_ok(journal()->{consecutive_failures}, '>=', 1, 'and that it has not been mended');
	is(-s $journal, $size, 'nothing that is half is left in the file');
	is(last_id(), $before + 2, 'alerts are shown');
	wait_until('they are logged', sub { return scalar(my @lines = logged($logged)) == 2; });
	pass('and logged');
	$node->wait_for_log(qr/HINT: +See to space and permissions/, $logged);
	my $log = slurp_file($node->logfile, $logged);
	is(scalar(() = $log =~ /LOG: +Failed to write pooldiag's journal asynchronously: could not write file: File too large/g), 1,
		'the failure once');
	pass('with a hint');
	is(syscall($prlimit64{$machine}, $keeper, 1, $no_limit, 0), 0, 'it may grow again');
	written();
	is_deeply([ map { $_->{id} } (records(slurp_file($journal)))[ -2, -1 ] ], [ $before + 1, $before + 2 ], 'then it is written');
	$node->wait_for_log(qr/LOG: +pooldiag's journal is written again, after \d+ failures?/, $logged);
	pass('which is said');
}

# Every end.
sub outlives
{
	my ($what, $end) = @_;
	my ($before, $logged) = (alerts(), -s $node->logfile);

	$end->();
	$eye = observer($node);
	is_deeply(alerts(), $before, "$what: all are there, each once");
	is_deeply([ logged($logged) ], [], "$what: none is logged again");
	my $last = last_id();
	raise();
	is(last_id(), $last + 2, "$what: ids go on");
	written();
	is_deeply([ logged($logged) ], [ $last + 1, $last + 2 ], "$what: and the log");
	unlike(slurp_file($node->logfile, $logged), qr/WARNING: .*journal/, "$what: nothing was damaged");
	return;
}

outlives('a restart', sub { $eye->quit; $node->restart; });
outlives('a stop without a shutdown', sub { $node->stop('immediate'); $node->start; });
outlives('a backend that is killed', sub { crash_backend($node); });
outlives('a server that is killed', sub { kill_server($node, $eye); $node->start; });
outlives(
	'another keeper',
	sub {
		my $keeper = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'keeper_pid'});
		kill 'TERM', $keeper;
		$eye->poll("SELECT value NOT IN (0, $keeper) FROM pooldiag.self WHERE name = 'keeper_pid'", 't');
		$eye->quit;
	});
outlives(
	'another operations worker',
	sub {
		my $worker = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'operations_pid'});
		kill 'TERM', $worker;
		$eye->poll("SELECT value NOT IN (0, $worker) FROM pooldiag.self WHERE name = 'operations_pid'", 't');
		$eye->quit;
	});

# The server is killed while alerts are raised, again and again: what was whole in the file is there, each once.
for my $round (1 .. 5)
{
	my $session = PoolDiag::Session->connect($node);
	my $from = last_id();
	my $logged = -s $node->logfile;
	$session->send(q{DO $$ BEGIN LOOP
		PERFORM pooldiag.breaker_force_open('errors'); PERFORM pooldiag.breaker_reset('errors');
	END LOOP; END $$});
	wait_until('alerts are raised', sub { return last_id() > $from + 20 * $round; });
	kill_server($node, $eye);
	my @whole = map { $_->{id} } grep { $_->{kind} == 1 } map { records(slurp_file($_)) } grep { -e $_ } "$journal.old", $journal;
	splice @whole, 0, @whole - 1024 if @whole > 1024;
	$node->start;
	$eye = observer($node);
	is_deeply(ids(), \@whole, "round $round: what was written is there, each once");
	cmp_ok($whole[-1], '>', $from + 10, "round $round: and there was some");
	my %shown = map { $_ => 1 } @whole;
	my @told = grep { $_ >= $whole[0] } logged($logged);
	is_deeply([ grep { !$shown{$_} } @told ], [], "round $round: with all that the log has told of");
	cmp_ok(scalar @told, '>', 10, "round $round: which was some");
}
$eye->query(q{SELECT pooldiag.reset('alerts')});
is_deeply(ids(), [], 'all is forgotten by a reset');
raise();
my @kept = @{ ids() };
is(scalar @kept, 2, 'what comes after it stays');
written();
wait_until('the reset is written', sub { return grep { $_->{kind} == 2 } records(slurp_file($journal)); });
kill_server($node, $eye);
$node->start;
$eye = observer($node);
is_deeply(ids(), \@kept, 'and what was forgotten does not come back');

# Damage, in a server that is down.
raise(4);
written();
$eye->quit;
$node->stop;
my $good = slurp_file($journal);
my @records = records($good);
my @shown = grep { $_->{kind} == 1 && $_->{id} >= $kept[0] } @records;

sub start_with
{
	my ($bytes) = @_;
	my $logged = -s $node->logfile;

	# The same file, or it would be somebody else's.
	open my $file, '+<:raw', $journal or die "$journal: $!";
	truncate $file, 0;
	print {$file} $bytes;
	close $file or die "$journal: $!";
	$node->start;
	$eye = observer($node);
	return slurp_file($node->logfile, $logged);
}

sub stop
{
	$eye->quit;
	$node->stop;
	return;
}

# A torn end: the last record is cut at its beginning, in its header, at its end, in what it holds; with THOROUGH=1 at
# each of its bytes.
my $last = $records[-1];
my @without = map { $_->{id} } @shown[ 0 .. $#shown - 1 ];
my $size = $last->{end} - $last->{at};
for my $cut (map { $last->{at} + $_ } $ENV{THOROUGH} ? 0 .. $size - 1 : (0, 1, 8, 23, 24, 25, 500, $size - 1))
{
	my $log = start_with(substr $good, 0, $cut);
	my $behind = $cut - $last->{at};
	is_deeply(ids(), \@without, "$behind bytes of the last record: the others are there");
	if ($behind > 0)
	{
		like($log, qr/WARNING: +the end of pooldiag's journal ".*pooldiag\.journal" is torn and was cut off\n.*DETAIL: +$behind bytes/,
			"$behind bytes of it: a warning says so");
	}
	else
	{
		unlike($log, qr/WARNING: .*journal/, 'none of it: nobody can know');
	}
	is(-s $journal, $last->{at}, "$behind bytes of it: cut off");
	raise();
	is(last_id(), $last->{id} + 1, "$behind bytes of it: ids go on");
	written();
	is((records(slurp_file($journal)))[-1]{id}, $last->{id} + 1, "$behind bytes of it: and so does the journal");
	stop();
}

# Damage in the middle, to each part of a record, or to each byte.
my $hit = $shown[2];
my @others = grep { $_ != $hit->{id} } map { $_->{id} } @shown;
for my $part ($ENV{THOROUGH} ? map { [ "byte $_" => $_ ] } 0 .. $hit->{end} - $hit->{at} - 1
	: ([ magic => 0 ], [ kind => 4 ], [ length => 8 ], [ content => 12 ], [ unused => 16 ], [ checksum => 20 ], [ id => 24 ],
	[ breaker => 90 ], [ end => $hit->{end} - $hit->{at} - 1 ]))
{
	my $bytes = $good;
	my ($name, $offset) = @$part;
	substr($bytes, $hit->{at} + $offset, 1) ^= "\x55";
	my $log = start_with($bytes);
	is_deeply(ids(), \@others, "a wrong byte in $name: the others are there");
	like($log, qr/WARNING: +pooldiag's journal ".*" is damaged/, "a wrong byte in $name: a warning says so");
	stop();
}

# What can't be used is set aside, and the server starts.
unlink "$journal.old";
sub set_aside
{
	my ($what, $kind, $detail, $log) = @_;
	is_deeply(ids(), [], "$what: nothing is read");
	like($log, qr/WARNING: +pooldiag's journal "pg_stat\/pooldiag\.journal" is $kind and was set aside/, "$what: a warning");
	like($log, qr/DETAIL: +$detail/, "$what: says why");
	like($log, qr/HINT: +The server goes on without what was in it: alerts begin anew\./, "$what: and what comes of it");
	ok(-e "$journal.$kind", "$what: it is kept");
	raise();
	is_deeply(ids(), [ 1, 2 ], "$what: alerts go on");
	written();
	stop();
	return;
}

for my $field ([ magic => 0, 'damaged', 'It does not begin as a journal does' ], [ format => 12, 'damaged', 'The checksum of its header' ],
	[ checksum => 52, 'damaged', 'The checksum of its header' ])
{
	my ($name, $offset, $kind, $detail) = @$field;
	my $bytes = $good;
	substr($bytes, $offset, 1) ^= "\x55";
	set_aside("a wrong byte in the header's $name", $kind, $detail, start_with($bytes));
}
set_aside('a short file', 'damaged', 'Its length is that of no journal', start_with(substr $good, 0, header_size() - 1));
set_aside('an empty file', 'damaged', 'Its length is that of no journal', start_with(''));
{
	copy($journal, "$journal.copy") or die $!;
	rename "$journal.copy", $journal or die $!;
	my $logged = -s $node->logfile;
	$node->start;
	$eye = observer($node);
	set_aside('a copy', 'foreign', 'It is a copy of a file that was written elsewhere', slurp_file($node->logfile, $logged));
	unlink $journal;
	POSIX::mkfifo($journal, 0600) or die $!;
	$logged = -s $node->logfile;
	$node->start;
	$eye = observer($node);
	set_aside('a FIFO', 'damaged', 'It is not a regular file', slurp_file($node->logfile, $logged));
}

# Rotation: two files at the most, of bounded size; the newest alerts are there.
$node->append_conf('postgresql.conf', 'pooldiag.alert_log_size = 16');
$node->start;
$eye = observer($node);
my $first = last_id();
$eye->query(q{DO $$ BEGIN FOR i IN 1 .. 800 LOOP
	PERFORM pooldiag.breaker_force_open('errors'); PERFORM pooldiag.breaker_reset('errors');
	IF i % 4 = 0 THEN PERFORM pg_sleep(0.001); END IF;
END LOOP; END $$});
is(last_id(), $first + 1600, 'many alerts');
is($eye->value('SELECT count(*) FROM pooldiag.alerts'), 16, 'of which as many are kept as there is room for');
is($eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'alert_log_dropped'}), last_id() - 16, 'which can be seen');
written();
ok(-e "$journal.old", 'the journal has begun a new file');
cmp_ok($_, '<=', 1024 * 1024, 'none is longer than it may be') for -s $journal, -s "$journal.old";
my @newest = @{ ids() };
kill_server($node, $eye);
$node->start;
$eye = observer($node);
is_deeply(ids(), \@newest, 'the newest are there after a crash');
$eye->query(q{ALTER SYSTEM SET pooldiag.alert_log_size = 4096});
$eye->quit;
$node->restart;
$eye = observer($node);
my @all = map { alert_ids(slurp_file($_)) } "$journal.old", $journal;
is_deeply(ids(), \@all, 'with more room there is all that both files have');
cmp_ok(scalar @all, '>', 1000, 'which is much');

# A disk that hangs: a FIFO that nobody reads stands in for it. Everybody else goes on.
$eye->query(q{ALTER SYSTEM SET pooldiag.operation_timeout = '200ms'});
reload($node);
written();
my $whole = slurp_file($journal);
unlink $journal;
POSIX::mkfifo($journal, 0600) or die $!;
my ($logged, $before) = (-s $node->logfile, last_id());
raise(5);
$eye->poll(q{SELECT state FROM pooldiag.operations WHERE operation = 'journal'}, 'overdue');
is(journal()->{timed_out}, 1, 'it is judged to have timed out');
is(journal()->{last_error}, 'timed out, and has not ended yet', 'and operations says so');
is(last_id(), $before + 10, 'alerts are raised');
wait_until('they are logged', sub { return scalar(my @lines = logged($logged)) == 10; });
pass('and logged, though the journal hangs');
my $ticks = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'ticks'});
$eye->query('SELECT pooldiag.sample_now()') for 1 .. 5;
is($eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'ticks'}), $ticks + 5, 'ticks go on');
is(journal()->{timed_out}, 1, 'it is counted once');
like(slurp_file($node->logfile, $logged), qr/Failed to write pooldiag's journal asynchronously: it has been at it for longer than pooldiag\.operation_timeout/,
	'and logged');
rename $journal, "$journal.fifo" or die $!;
open my $reader, '<', "$journal.fifo" or die $!;
$eye->poll(q{SELECT state <> 'overdue' FROM pooldiag.operations WHERE operation = 'journal'}, 't');
close $reader;
unlink "$journal.fifo";
wait_until('it is written', sub
	{
		raise();
		return -f $journal && grep { $_->{id} == last_id() } records(slurp_file($journal));
	});
pass('it goes on when the disk does');
is(journal()->{timed_out}, 1, 'and has timed out once');
stop();

# A standby has its own.
$node->start;
$eye = observer($node);
written();
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
like(slurp_file($standby->logfile), qr/WARNING: +pooldiag's journal "pg_stat\/pooldiag\.journal" is foreign and was set aside/,
	'a base backup brings the journal along, which another node does not take for its own');
my $there = PoolDiag::Session->connect($standby, application_name => 'observer');
is($there->value('SELECT count(*) FROM pooldiag.alerts'), 0, 'a standby has none yet');
$there->query(q{SELECT pooldiag.breaker_force_open('slots')});
is($there->value('SELECT count(*) FROM pooldiag.alerts'), 1, 'and then its own');
$standby->promote;
$there->poll('SELECT pg_is_in_recovery()', 'f');
is($there->value(q{SELECT state FROM pooldiag.breakers WHERE breaker = 'slots'}), 'forced_open', 'a promotion changes nothing');
is($there->value('SELECT count(*) FROM pooldiag.alerts'), 1, 'and tells nothing');
$there->quit;
$standby->stop;
stop();
done_testing();
