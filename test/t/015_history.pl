# History: what it holds against what was there, and what is left of it after every kind of end: in order, after
# a crash, without a disk to write to, and from state files in which something has changed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Config;
use Errno;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use PoolDiag::Server;
use PoolDiag::Session qw(wait_until);
use PoolDiag::StateFile;

my $node = new_server('history', <<'EOC', allows_streaming => 1);
max_connections = 40
restart_after_crash = on
fsync = off
pooldiag.sample_interval = 100ms
pooldiag.pools = 'web(application_name=web*, size=4, max_overflow=4)'
EOC
my $eye = observer($node);
my $state = $node->data_dir . '/pg_stat/pooldiag.state';

sub self
{
	my ($name) = @_;
	return $eye->value("SELECT value FROM pooldiag.self WHERE name = '$name'");
}

# Has the state file written: the worker does it when it is ended, and comes back.
sub save
{
	my $writes = self('state_file_writes') + self('state_file_failures');
	my $pid = $eye->poll(q{SELECT value > 0 FROM pooldiag.self WHERE name = 'keeper_pid'})
	  && self('keeper_pid');

	kill 'TERM', $pid;
	$eye->poll("SELECT sum(value) > $writes FROM pooldiag.self WHERE name IN ('state_file_writes', 'state_file_failures')");
	$eye->poll("SELECT value <> $pid FROM pooldiag.self WHERE name = 'keeper_pid'");
	return;
}

# The history by the second, by instant; of seconds that are over and will not be added to.
sub seconds
{
	my ($pool, $since) = @_;
	$pool = defined $pool ? "'$pool'" : 'NULL';
	$since //= '10 min';
	return { map { shift(@$_) => join('|', map { $_ // '' } @$_) }
		  $eye->query("SELECT at, connections, active, idle, idle_in_transaction, waiting, max_connections_seen
			FROM pooldiag.history('$since', $pool, '1 s')
			WHERE connections IS NOT NULL AND at < clock_timestamp() - interval '2 s'") };
}

# Those of one history that are not so in another.
sub missing
{
	my ($before, $after) = @_;
	return grep { ($after->{$_} // '') ne $before->{$_} } sort keys %$before;
}

sub peak
{
	my ($pool, $step) = @_;
	# More than one step, as the last one may have begun just now.
	my $since = $step eq '15 min' ? '30 min' : '10 min';
	return $eye->value("SELECT max(max_connections_seen) FROM pooldiag.history('$since', '$pool', '$step')");
}

sub start
{
	$node->start;
	$eye = observer($node);
	return;
}

# Waits until a whole second has passed, from now on.
sub whole_second
{
	my ($from) = $eye->value("SELECT date_trunc('second', clock_timestamp()) + interval '1 s'");
	$eye->poll("SELECT count(*) > 0 FROM pooldiag.history('10 s', NULL, '1 s') WHERE at > '$from' AND connections IS NOT NULL");
	return $from;
}

# Connections in each state, and the second that they have all been in it.
my @web = map { PoolDiag::Session->connect($node, application_name => "web $_") } 1 .. 7;
$web[$_]->query('BEGIN') for 0 .. 3;
$web[0]->query('SELECT pg_advisory_xact_lock(7)');
$web[1]->try('SELECT 1/0');
$web[4]->send('SELECT pg_advisory_lock(7)');
$web[5]->send('SELECT pg_sleep(3600)');
$eye->poll('SELECT count(*) FROM pg_locks WHERE NOT granted', 1);
$eye->poll(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'}, 1);
my $second = whole_second();
is_deeply(
	$eye->row("SELECT connections, active, idle, idle_in_transaction, waiting, max_connections_seen, max_active,
		max_waiting, round(utilization_percent) AS utilization, xact_rate, hold_p95_ms, refused
		FROM pooldiag.history('10 s', 'web', '1 s') WHERE at = '$second'"),
	{
		%{
			$eye->row(q{SELECT count(*) AS connections, count(*) FILTER (WHERE state = 'active') AS active,
				count(*) FILTER (WHERE state = 'idle') AS idle,
				count(*) FILTER (WHERE state LIKE 'idle in%') AS idle_in_transaction,
				count(*) FILTER (WHERE wait_event_type = 'Lock') AS waiting,
				count(*) AS max_connections_seen, count(*) FILTER (WHERE state = 'active') AS max_active,
				count(*) FILTER (WHERE wait_event_type = 'Lock') AS max_waiting
				FROM pg_stat_activity WHERE application_name LIKE 'web%'})
		},
		utilization => 150, xact_rate => 0, hold_p95_ms => undef, refused => 0
	},
	'a second of a pool is as in pg_stat_activity');
is_deeply(
	$eye->row("SELECT connections, max_connections_seen, round(utilization_percent::numeric, 1) AS utilization
		FROM pooldiag.history('10 s', step => '1 s') WHERE at = '$second'"),
	$eye->row(q{SELECT count(*) AS connections, count(*) AS max_connections_seen,
		round(100.0 * count(*) / 37, 1) AS utilization
		FROM pg_stat_activity WHERE backend_type = 'client backend'}),
	'and so is one of the server');
is($eye->value("SELECT connections FROM pooldiag.history('10 s', 'web', '1 s') WHERE at = '$second'"), 7,
	'which had seven connections');

is($eye->value(q{SELECT sum(opened) FROM pooldiag.history('10 s', 'web', '1 s')}), 7, 'each of them opened once');

# A spike that one sample sees is in the highest values of every tier, and hardly in a mean, unless a step begins with it.
wait_until('no step begins', sub { return time() % 300 > 5 && time() % 300 < 290; });
my @spike = map { PoolDiag::Session->connect($node, application_name => 'web spike') } 1 .. 10;
$eye->query('SELECT pooldiag.sample_now()');
$_->quit for @spike;
whole_second();
for my $step ('1 s', '1 min', '15 min')
{
	is(peak('web', $step), 17, "a spike is seen in steps of $step");
}
cmp_ok($eye->value(q{SELECT max(connections) FROM pooldiag.history('10 min', 'web', '15 min')}), '<', 16,
	'and not in the mean');
is($eye->value(q{SELECT max_connections_seen >= 18 FROM pooldiag.history('1 day') ORDER BY at DESC LIMIT 1}), 't',
	'it is in the server\'s coarsest points too');

# A discovered pool, and one that has never been.
my $passing = PoolDiag::Session->connect($node, application_name => 'passing');
my ($discovered) = $eye->column(q{SELECT pool FROM pooldiag.pools WHERE pool LIKE '%/passing'});
is($eye->try("SELECT * FROM pooldiag.history('1 min', '$discovered')")->{error}, undef,
	'a pool of this moment is no error');
whole_second();
is($eye->value("SELECT max(connections) FROM pooldiag.history('1 min', '$discovered')"), 1, 'and has a history soon');
$passing->quit;
is($eye->try(q{SELECT * FROM pooldiag.history('1 min', 'nobody')})->{error}{C}, '42704',
	'a pool that has never been is one');

# A sampler that is stopped keeps nobody waiting who asks what has been.
my $sampler = self('sampler_pid');
kill 'STOP', $sampler;
is($eye->try('SELECT * FROM pooldiag.history()')->{error}, undef, 'history answers while the sampler is stopped');
is(scalar($eye->column(q{SELECT pooldiag.chart('connections', '1 min', 'web')})), 17, 'and so does a chart');
kill 'CONT', $sampler;

# In order: nothing is lost, and the time between is not known.
whole_second();
my %before = (web => seconds('web'), server => seconds(), discovered => seconds($discovered));
my $peaks = $eye->row(q{SELECT peak_connections, peak_at FROM pooldiag.utilization WHERE name = 'web'});
$eye->quit;
$node->stop('fast');
$_->drop for @web;
my $stopped = time();
wait_until('the clock has passed three seconds', sub { return time() > $stopped + 3.2; });
start();
ok(self('state_file_restored_from') <= $stopped + 1, 'a restart finds what was saved');
whole_second();
is_deeply([ missing($before{web}, seconds('web')) ], [], 'a restart in order loses no second of a declared pool');
is_deeply([ missing($before{server}, seconds()) ], [], 'nor of the server');
is_deeply([ missing($before{discovered}, seconds($discovered)) ], [], 'nor of a discovered pool');
cmp_ok(
	$eye->value("SELECT count(*) FROM pooldiag.history('1 min', NULL, '1 s')
		WHERE connections IS NULL AND active IS NULL AND max_connections_seen IS NULL
			AND at > to_timestamp($stopped) AND at < to_timestamp($stopped + 2.2)"),
	'>=', 1, 'seconds in which there was no server are not known');
is(peak('web', $_), 17, "the spike has outlived it in steps of $_") for '1 s', '1 min', '15 min';
is_deeply($eye->row(q{SELECT peak_connections, peak_at FROM pooldiag.utilization WHERE name = 'web'}), $peaks,
	'and so has the peak');
is($eye->value("SELECT connections FROM pooldiag.pools WHERE pool = '$discovered'"), 0,
	'the discovered pool is known, with nobody in it');

# In a crash only what came after the file was written is lost.
sub crash
{
	my ($how, $code) = @_;
	whole_second();
	my $saved = seconds('web');
	save();
	$code->();
	$eye->drop;
	$eye = wait_until('the server lets sessions in', sub { return eval { observer($node) }; });
	whole_second();
	is_deeply([ missing($saved, seconds('web')) ], [], "$how loses nothing of what was saved");
	is(peak('web', '1 min'), 17, "and after $how the spike is there");
	return;
}

crash('a backend that is killed', sub { crash_backend($node, application_name => 'web victim'); });
crash('a stop without a shutdown', sub { $node->stop('immediate'); $node->start; });
crash('a server that is killed', sub { kill_server($node, $eye); $node->start; });
unlike(slurp_file($node->logfile), qr/set aside/, 'none of that has made a file that can\'t be used');

# With less room for pools those that are declared come first; with more again, they are still there.
my @many = map { PoolDiag::Session->connect($node, application_name => "many $_") } 1 .. 5;
whole_second();
$_->quit for @many;
$eye->quit;
$node->append_conf('postgresql.conf', 'pooldiag.max_pools = 2');
my $logged = -s $node->logfile;
$node->restart;
$eye = observer($node);
like(slurp_file($node->logfile, $logged), qr/LOG: .* do not fit into pooldiag\.max_pools = 2/, 'a smaller directory says so');
unlike(slurp_file($node->logfile, $logged), qr/WARNING: .*pooldiag/, 'and is no reason to set anything aside');
is(peak('web', '1 min'), 17, 'the declared pool has kept its history');
is($eye->value(q{SELECT count(*) <= 3 AND bool_or(pool = 'web') FROM pooldiag.pools}), 't', 'and its place');
$eye->quit;
$node->append_conf('postgresql.conf', 'pooldiag.max_pools = 9');
$node->restart;
$eye = observer($node);
is(peak('web', '1 min'), 17, 'in a larger directory as well');

# A disk that is full: the limit on a file's size stands in for it, for the worker alone.
my %prlimit64 = (x86_64 => 302, aarch64 => 261);
my ($machine) = $Config{archname} =~ /^([^-]+)/;
SKIP:
{
	skip 'no known way to limit a file of another process here', 5 unless exists $prlimit64{$machine};
	$logged = -s $node->logfile;
	my $saved = -M $state;
	my $failures = self('state_file_failures');
	my $limit = pack('QQ', 65536, 65536);

	for (1 .. 3)
	{
		$eye->poll(q{SELECT value > 0 FROM pooldiag.self WHERE name = 'keeper_pid'});
		is(syscall($prlimit64{$machine}, 0 + self('keeper_pid'), 1, $limit, 0), 0, 'a file may grow no further');
		save();
	}
	is(self('state_file_failures'), $failures + 3, 'each failure is counted');
	my $log = slurp_file($node->logfile, $logged);
	is(scalar(() = $log =~ /LOG: +Failed to write pooldiag's state file asynchronously: could not write file: File too large/g),
		1, 'and the first one is in the log');
	like($log, qr/HINT: +See to space and permissions/, 'with a hint');
	ok(!-e "$state.tmp", 'what was begun does not stay');
	is_deeply([ $eye->query('SELECT severity, rule, subject FROM pooldiag.recommendations') ], [ [ 'warning', 'operations_failing', 'state_file' ] ],
		'the third one is worth a recommendation');
	is($eye->value(q{SELECT pooldiag.health() ->> 'status'}), 'degraded', 'and is all that is wrong with the server');
	save();
	is($eye->value(q{SELECT pooldiag.health() ->> 'status'}), 'healthy', 'which is over when there is room again');
	like(slurp_file($node->logfile, $logged), qr/LOG: +pooldiag's state file is written again, after 3 failures/,
		'when there is room again, the log says so');
	is(self('state_file_failures'), $failures + 3, 'and no failure is counted');
}

# Nor can it be written where something else has its temporary name.
mkdir "$state.tmp" or die $!;
my $failures = self('state_file_failures');
save();
is(self('state_file_failures'), $failures + 1, 'a folder in the way of a file is a failure');
rmdir "$state.tmp" or die $!;
save();
is(self('state_file_failures'), $failures + 1, 'which is over when the folder has gone');

# A standby has its own: the file that came with the base backup is somebody else's.
save();
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
my $foreign = $standby->data_dir . '/pg_stat/pooldiag.state';
ok(-s $foreign, 'a base backup brings the state file along');
$standby->start;
like(slurp_file($standby->logfile), qr/WARNING: +pooldiag's state file "pg_stat\/pooldiag\.state" is foreign and was set aside/,
	'which another node does not take for its own');
like(slurp_file($standby->logfile), qr/DETAIL: +It is a copy of a file that was written elsewhere/, 'and says why');
like(slurp_file($standby->logfile), qr/HINT: +The server goes on without what was in it/, 'and what comes of it');
ok(-s "$foreign.foreign", 'it is kept');
my $primary_eye = $eye;
$eye = observer($standby);
is(self('state_file_restored_from'), undef, 'nothing was read from it');
isnt(peak('web', '1 min'), 17, 'so there is no spike of another node');
whole_second();
my $of_standby = seconds();
$eye->quit;
$logged = -s $standby->logfile;
$standby->restart;
$eye = observer($standby);
whole_second();
is_deeply([ missing($of_standby, seconds()) ], [], 'a standby keeps a history of its own over a restart');
unlike(slurp_file($standby->logfile, $logged), qr/set aside/, 'from a file of its own');
$eye->quit;
$standby->stop;
$primary_eye->quit;

# Where this node's own file is not as it was written, it is set aside and the server starts. The file stays the
# same, by its inode, as only its bytes are changed.
sub damaged
{
	my ($what, $how, $kind, $why) = @_;
	$kind //= 'damaged';
	my $aside = "$state.$kind";

	$how->();
	my $from = -s $node->logfile;
	my $started = $node->start(fail_ok => 1);
	my $log = slurp_file($node->logfile, $from);

	ok($started, "$what: the server starts");
	is(scalar(() = $log =~ /WARNING: .*pooldiag/g), 1, "$what: one warning");
	like($log, qr/WARNING: +pooldiag's state file "pg_stat\/pooldiag\.state" is $kind and was set aside/,
		"$what: which says so");
	like($log, $why, "$what: and why") if defined $why;
	ok(-e $aside && !-e $state, "$what: the file is set aside");
	$eye = observer($node);
	is(self('state_file_restored_from'), undef, "$what: nothing was read");
	$eye->quit;
	$node->stop('fast');
	return;
}

$node->stop('fast');
my $file = PoolDiag::StateFile->new($state);
is_deeply([ map { $_->{name} } $file->sections ], [ qw(sample counters refusals slow_queries history) ], 'the sections of the file');
for my $what (map { $_->[0] } $file->places)
{
	# Where that is changes with what is in it.
	damaged("a bit of $what", sub { $file->flip((map { $_->[1] } grep { $_->[0] eq $what } $file->places)[0]) });
}
my $length = -s $state;
for my $to (0, 1, 71, 72, 100, int($length / 2), $length - 1)
{
	damaged("cut to $to bytes", sub { truncate $state, $to or die $! }, 'damaged');
}
damaged('one byte more', sub { append_to_file($state, "\0") }, 'damaged', qr/DETAIL: +It is \d+ bytes long, and was \d+/);
damaged('as much again', sub { append_to_file($state, slurp_file($state)) }, 'damaged');
srand 20261123;
damaged('noise', sub { $file->overwrite(0, join '', map { chr int rand 256 } 1 .. 4096) }, 'damaged',
	qr/DETAIL: +It does not begin as a state file does/);
damaged('nothing but zeros', sub { $file->overwrite(0, "\0" x $length) }, 'damaged');
damaged('a folder', sub { unlink $state; unlink "$state.damaged"; mkdir $state or die $! }, 'damaged', qr/DETAIL: +It is not a regular file/);
rmdir "$state.damaged" or die $!;
damaged('a file that nobody may read', sub { chmod 0, $state or die $! }, 'damaged', qr/DETAIL: +It could not be opened: Permission denied/);
damaged('a FIFO', sub { unlink $state; system_or_bail('mkfifo', $state); }, 'damaged', qr/DETAIL: +It is not a regular file/);

# Files that are whole, but not this server's.
damaged('a copy', sub { my $bytes = slurp_file($state); unlink $state; append_to_file($state, $bytes); }, 'foreign',
	qr/DETAIL: +It is a copy of a file that was written elsewhere/);
damaged('another system', sub { $file->set_header(system_identifier => 7) }, 'foreign', qr/DETAIL: +.*another system identifier/);
damaged('another major version', sub { $file->set_header(major => 99) }, 'foreign', qr/DETAIL: +It has format 1, of PostgreSQL 99 /);
damaged('another format', sub { $file->set_header(format => 2) }, 'foreign', qr/DETAIL: +It has format 2/);
damaged('another machine', sub { $file->set_header(byte_order => unpack('L', reverse pack('L', 0x01020304))) }, 'foreign',
	qr/DETAIL: +It was written by a machine with another byte order/);

# A section that this version does not know, or knows otherwise, is left out alone.
for my $change ([ name => 'sampled' ], [ version => 99 ])
{
	$file->set_section(0, @$change);
	$logged = -s $node->logfile;
	start();
	my $log = slurp_file($node->logfile, $logged);
	like($log, qr/LOG: +the section "sample\w*" of pooldiag's state file is left out/, "a section of another $change->[0] is left out");
	unlike($log, qr/set aside/, 'the file is not set aside for that');
	isnt(self('state_file_restored_from'), undef, 'the others are read');
	$eye->quit;
	$node->stop('fast');
}

# A full disk that is one: a small file system of the server's own, where this user may make one.
my $uid = $<;
my @alone = ('unshare', '--user', '--map-root-user', '--mount', 'sh', '-c');
my $possible = system("@alone[0 .. 3] sh -c 'mount -t tmpfs tmpfs /mnt && unshare --user --map-user=$uid true' >/dev/null 2>&1") == 0;
SKIP:
{
	skip 'this user can mount nothing', 5 unless $possible;
	my $pg_stat = $node->data_dir . '/pg_stat';
	my $pg_ctl = "pg_ctl -w -D '" . $node->data_dir . "' -l '" . $node->logfile . "' start";
	$logged = -s $node->logfile;
	system_or_bail(@alone, "mount -t tmpfs -o size=128k,mode=700 tmpfs '$pg_stat' && exec unshare --user --map-user=$uid $pg_ctl");
	$node->_update_pid(1);
	$eye = observer($node);
	save();
	save();
	is(self('state_file_writes'), 0, 'on a full disk nothing is written');
	is(self('state_file_failures'), 2, 'which is counted');
	is(scalar(() = slurp_file($node->logfile, $logged) =~ /could not write file: No space left on device/g), 1,
		'and logged once');
	is($eye->value(q{SELECT string_agg(f, ',') FROM pg_ls_dir('pg_stat') AS f WHERE f LIKE 'pooldiag%'}), undef,
		'nothing is left there');
	whole_second();
	$eye->quit;
	ok($node->stop('fast'), 'and the server stops as ever');
}

unlike(slurp_file($node->logfile), qr/PANIC|TRAP/, 'nothing else went wrong');
done_testing();
