# Counters and percentiles against who did the work: pgbench's own count and log, and pg_stat_database. The
# sampler takes a tick only when it is told to, so that most sessions have come and gone unseen.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use IPC::Run;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Server;
use PoolDiag::Session;

my $node = new_server('attribution', <<'EOC');
max_connections = 60
pooldiag.sample_interval = 1h
pooldiag.evaluation_interval = 1h
restart_after_crash = on
pooldiag.pools = 'web(application_name=web*, size=5)'
EOC
my $eye = observer($node);
my $folder = PostgreSQL::Test::Utils::tempdir();
local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;

sub counters
{
	my ($pool) = @_;
	$eye->query('SELECT pooldiag.sample_now()');
	return $eye->row("SELECT p.xacts, p.statements, c.opened, c.closed FROM pooldiag.pools p JOIN pooldiag.churn c USING (pool)
		WHERE p.pool ~ '$pool'");
}

# Starts pgbench under a name; what it reports is what it returns.
sub start_pgbench
{
	my ($name, $script, @options) = @_;
	my ($out, $err) = ('', '');
	my $file = "$folder/$name.sql";

	append_to_file($file, $script);
	my $run = IPC::Run::start([ 'pgbench', '--no-vacuum', '--file', $file, @options, 'postgres' ],
		'>', \$out, '2>', \$err, init => sub { $ENV{PGAPPNAME} = $name; });
	return sub {
		$run->finish or diag $err;
		my ($count) = $out =~ /actually processed: (\d+)/;
		return $count;
	};
}

# The sessions of the database as the server itself counts them; it is told of one when that has ended.
sub sessions { return $eye->value("SELECT sessions FROM pg_stat_database WHERE datname = 'postgres'"); }

# Thousands of short sessions of several applications at once, each transaction and session attributed.
my $sessions_before = sessions();
my %run = map { ("app-$_" => start_pgbench("app-$_", 'SELECT 1;', '--connect', '--client=4', '--transactions=150')) } 1 .. 5;
$run{web} = start_pgbench('web', "BEGIN;\nSELECT 1;\nEND;\n", '--connect', '--client=4', '--transactions=150');
my %count = map { $_ => $run{$_}->() } sort keys %run;
for my $name (sort keys %count)
{
	my $counters = counters($name eq 'web' ? '^web$' : "/\"?$name\"?\$");
	my $statements = $name eq 'web' ? 3 : 1;

	is($count{$name}, 600, "$name: pgbench has run");
	is($counters->{xacts}, $count{$name}, "$name: its transactions");
	is($counters->{statements}, $count{$name} * $statements, "$name: its statements");
	# pgbench connects once more to look at the server.
	is($counters->{opened}, $count{$name} + 1, "$name: its sessions");
	is($counters->{closed}, $count{$name} + 1, "$name: all have ended");
}
$eye->poll("SELECT sessions - $sessions_before FROM pg_stat_database WHERE datname = 'postgres'", 6 * 601);
is($eye->value(q{SELECT sum(opened) FROM pooldiag.churn WHERE pool ~ 'app-|web'}), 6 * 601, 'as many sessions as pg_stat_database has');

# Many names between two ticks, more than there is room for among sessions that nobody has seen: a pool that is declared
# gets what they do all the same.
my $web = counters('^web$');
my $names = start_pgbench('web-names', "\\set n random(1, 300)\nSET application_name = 'web-:n';\nSELECT 1;\n", '--client=4', '--transactions=300');
my $done = $names->();
for my $n (1 .. 200)
{
	PoolDiag::Session->connect($node, application_name => "web session $n")->quit;
}
$eye->poll(q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'web%'}, 0);
my $after = counters('^web$');
is($after->{xacts} - $web->{xacts}, 2 * $done, 'many names of a declared pool: its transactions');
is($after->{opened} - $web->{opened}, 4 + 1 + 200, 'its sessions');
is($eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'sessions_unattributed'}), 0, 'none is without a pool');

# Percentiles, against the log of what each transaction took. It waits for a time of its own, so that what the
# client sees of it is the server's time.
for my $mode (qw(simple extended prepared))
{
	my $log = "$folder/log-$mode";
	my $finish = start_pgbench("mode-$mode", "\\set ms random_exponential(20, 300, 3)\nBEGIN;\nSELECT pg_sleep(:ms / 1000.0);\nEND;\n",
		'--client=10', '--transactions=20', "--protocol=$mode", '--log', "--log-prefix=$log", '--random-seed=1');
	my $transactions = $finish->();
	my @ms = sort { $a <=> $b } map { (split)[2] / 1000 } map { split /\n/, slurp_file($_) } glob "$log.*";
	is(scalar @ms, $transactions, "$mode: all are in the log");

	my $pool = "/\"?mode-$mode\"?\$";
	is(counters($pool)->{xacts}, $transactions, "$mode: transactions");
	my $row = $eye->row("SELECT hold_p50_ms, hold_p95_ms, hold_p99_ms FROM pooldiag.pools WHERE pool ~ '$pool'");
	for my $p (50, 95, 99)
	{
		my $logged = $ms[ POSIX::ceil($p / 100 * @ms) - 1 ];
		my $hold = $row->{"hold_p${p}_ms"};
		my $near = $eye->value("SELECT count(*) FROM pooldiag.latency WHERE pool ~ '$pool' AND kind = 'transaction'
			AND $hold BETWEEN lower_ms AND upper_ms AND $logged BETWEEN lower_ms * 7 / 8 AND upper_ms * 9 / 8");
		is($near, 1, "$mode: p$p of $hold ms is within a bucket of the log's $logged ms");
	}
	my ($full) = $eye->column("SELECT pool FROM pooldiag.pools WHERE pool ~ '$pool'");
	is($eye->value("SELECT hold_p95_ms FROM pooldiag.history('10 min', '$full', '15 min') ORDER BY at DESC LIMIT 1"),
		$row->{hold_p95_ms}, "$mode: and so is that of the history");
	is($eye->value("SELECT sum(count) FROM pooldiag.latency WHERE pool ~ '$pool' AND kind = 'statement'"),
		3 * $transactions, "$mode: each statement is in the histogram");
}

# History, by what was counted; of all applications at once, and by pool.
sub in_history
{
	my ($pool) = @_;
	$pool = defined $pool ? "'$pool'" : 'NULL';
	return $eye->row("SELECT sum(opened) AS opened, sum(closed) AS closed, sum(refused) AS refused
		FROM pooldiag.history('10 min', $pool, '1 s')");
}

$eye->query('SELECT pooldiag.sample_now()');
is_deeply(in_history('web'), { opened => 806, closed => 806, refused => 0 }, 'the history of a pool has each of its sessions');
is_deeply(in_history($eye->value(q{SELECT pool FROM pooldiag.pools WHERE pool ~ 'app-1'})),
	{ opened => 601, closed => 601, refused => 0 }, 'that of a discovered one too');
is_deeply(in_history(), $eye->row('SELECT sum(opened) AS opened, sum(closed) AS closed, sum(refused) AS refused
	FROM pooldiag.pools JOIN pooldiag.churn USING (pool)'), 'the server has those of all');

# A pool that leaves the directory leaves its counts to (other), and sums stay.
my $total = $eye->value('SELECT sum(xacts) FROM pooldiag.pools');
$eye->query(q{ALTER SYSTEM SET pooldiag.pools = 'other(application_name=nobody)'});
reload($node);
PoolDiag::Session::wait_until('the sampler has read the settings', sub
	{
		$eye->query('SELECT pooldiag.sample_now()');
		return $eye->value(q{SELECT count(*) = 0 FROM pooldiag.pools WHERE pool = 'web'}) eq 't';
	});
is($eye->value(q{SELECT xacts FROM pooldiag.pools WHERE pool = '(other)'}), 600 + 2 * $done, 'what the pool had is with (other)');
cmp_ok($eye->value('SELECT sum(xacts) FROM pooldiag.pools'), '>=', $total, 'and nothing is lost');

# A spike between two ticks is in the server's peak.
my $ticks = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'ticks'});
my @spike = map { PoolDiag::Session->connect($node, application_name => 'spike') } 1 .. 40;
$_->quit for @spike;
$eye->query('SELECT pooldiag.sample_now()');
is($eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'ticks'}), $ticks + 1, 'no tick has seen the spike');
my $peak = $eye->row(q{SELECT connections, peak_connections FROM pooldiag.utilization WHERE scope = 'server'});
is($peak->{connections}, 1, 'the spike is over');
is($peak->{peak_connections}, 41, 'and it is in the peak');

# After a backend's crash the server counts on.
my $victim = PoolDiag::Session->connect($node, application_name => 'victim');
kill 'KILL', $victim->pid;
PoolDiag::Session::wait_until('the server is back', sub
	{
		eval { $eye = observer($node); $eye->query('SELECT pooldiag.sample_now()'); 1 };
	});
is($eye->value(q{SELECT count(*) FROM pooldiag.pools WHERE xacts > 0 AND pool ~ 'observer'}), 1, 'it counts');

$node->stop;
done_testing();
