# The HTTP endpoint while the server lets nobody in: in recovery after a crash, on a standby and across its promotion, while the
# canary hangs, and with every slot taken and clients refused all the time.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Http qw(ask fetch json_of);
use PoolDiag::Server;
use PoolDiag::Session qw(wait_until);

my @paths = qw(/livez /readyz / /metrics /api/v1/health/database /api/v1/health/detailed /api/v1/history /api/v1/pools
	/api/v1/recommendations /api/v1/alerts);
my %ports = map { $_ => PostgreSQL::Test::Cluster::get_free_port() } qw(primary standby cold);
my $primary = new_server('primary', <<"EOC", allows_streaming => 1);
max_connections = 10
superuser_reserved_connections = 2
pooldiag.sample_interval = 100ms
pooldiag.operation_interval = 1s
pooldiag.operation_timeout = 1s
pooldiag.http_port = $ports{primary}
pooldiag.http_access = all
checkpoint_timeout = 1h
restart_after_crash = on
max_wal_size = 8GB
EOC
my $eye = observer($primary);

# All paths answer, each with one of these statuses.
sub all_answer
{
	my ($port, $when, %unfit) = @_;
	for my $path (@paths)
	{
		my $expected = $unfit{$path} // 200;
		is(ask($port, $path)->{status}, $expected, "$when: $path is $expected");
	}
	return;
}

my %not_fit = map { $_ => 503 } qw(/readyz /api/v1/health/database /api/v1/health/detailed);

sub reason { return json_of(ask($_[0], '/readyz' . ($_[1] // '')))->{reason}; }

all_answer($ports{primary}, 'a primary');

# Standbys: one that lets sessions in to read, and one that lets nobody in.
$primary->backup('copy');
my %standby = map { $_ => PostgreSQL::Test::Cluster->new($_) } qw(standby cold);
for my $name (qw(standby cold))
{
	$standby{$name}->init_from_backup($primary, 'copy', has_streaming => 1);
	$standby{$name}->append_conf('postgresql.conf', "pooldiag.http_port = $ports{$name}");
}
$standby{cold}->append_conf('postgresql.conf', 'hot_standby = off');
$standby{standby}->start;
all_answer($ports{standby}, 'a standby');
is(ask($ports{standby}, '/readyz?role=standby')->{status}, 200, 'a standby is ready as one');
is(reason($ports{standby}, '?role=primary'), 'this server is a standby', 'and not as a primary');
my $server = json_of(ask($ports{standby}, '/api/v1/health/detailed'))->{server};
is_deeply([ @$server{qw(role in_recovery)} ], [ 'standby', JSON::PP::true ], 'its document says what it is');
is(system('pg_ctl', '-D', $standby{cold}->data_dir, '-l', $standby{cold}->logfile, '-W', '-s', 'start'), 0, 'a standby that is not hot');
wait_until('it replays', sub { return -e $standby{cold}->logfile && slurp_file($standby{cold}->logfile) =~ /redo starts at/; });
wait_until('it answers', sub { return fetch($ports{cold}, '/livez'); });
wait_until('it is done with what it has', sub { return slurp_file($standby{cold}->logfile) =~ /started streaming WAL/; });
all_answer($ports{cold}, 'a standby that is not hot', %not_fit);
is(json_of(ask($ports{cold}, '/api/v1/health/database'))->{status}, 'starting', 'a standby that is not hot: starting');
system_or_bail('pg_ctl', '-D', $standby{cold}->data_dir, '-m', 'fast', '-s', 'stop');

# Across a promotion.
$standby{standby}->promote;
wait_until('it is a primary', sub { return ask($ports{standby}, '/readyz?role=primary')->{status} == 200; });
is(ask($ports{standby}, '/readyz?role=standby')->{status}, 503, 'promoted, it is no standby any more');
all_answer($ports{standby}, 'promoted');
$standby{standby}->stop;

# Every slot is taken, and clients are turned away all the time.
my @taken = map { PoolDiag::Session->connect($primary) } 1 .. 9;
my $before = json_of(ask($ports{primary}, '/api/v1/health/detailed'))->{metrics}{refused}{total};
for (1 .. 20)
{
	is(PoolDiag::Session->refusal($primary)->{C}, '53300', 'nobody gets in');
	is(ask($ports{primary}, '/livez')->{status}, 200, 'and the endpoint answers');
}
all_answer($ports{primary}, 'every slot taken', %not_fit);
wait_until('they are counted', sub {
	return json_of(ask($ports{primary}, '/api/v1/health/detailed'))->{metrics}{refused}{total} >= $before + 20;
});
is(reason($ports{primary}), 'no connection slot is left', 'every slot taken: and says so');
$_->quit for @taken;
wait_until('slots are free', sub { return ask($ports{primary}, '/readyz')->{status} == 200; });

# While the canary hangs.
$eye->query($_) for q{ALTER SYSTEM SET synchronous_standby_names = 'gone'}, q{ALTER SYSTEM SET pooldiag.canary_write = 'always'};
reload($primary);
wait_until('the canary hangs', sub { return !json_of(ask($ports{primary}, '/api/v1/health/database'))->{database_connected}; });
all_answer($ports{primary}, 'while the canary hangs', '/readyz' => 503);
is(reason($ports{primary}), 'the last try to work in a database has failed', 'while the canary hangs: and says so');
$eye->query($_) for q{ALTER SYSTEM RESET synchronous_standby_names}, q{ALTER SYSTEM RESET pooldiag.canary_write};
reload($primary);
wait_until('it is well again', sub { return ask($ports{primary}, '/readyz')->{status} == 200; });

# Recovery after a crash: the startup process is stopped in the middle of it, so that it lasts.
$eye->query('CREATE TABLE filler (t text)');
$eye->query(q{INSERT INTO filler SELECT repeat(md5(g::text), 8) FROM generate_series(1, 1200000) g});
my $logged = -s $primary->logfile;
kill 'KILL', PoolDiag::Session->connect($primary)->pid;
my $startup = wait_until('redo starts', sub {
	return slurp_file($primary->logfile, $logged) =~ /\[(\d+)\] LOG:  redo starts at/ ? $1 : 0;
});
kill 'STOP', $startup;
wait_until('the endpoint is back', sub { return fetch($ports{primary}, '/livez'); });
unlike(slurp_file($primary->logfile, $logged), qr/redo done at/, 'the endpoint is back while redo goes on');
is(PoolDiag::Session->refusal($primary)->{C}, '57P03', 'in recovery: nobody gets in');
all_answer($ports{primary}, 'in recovery', %not_fit);
is(json_of(ask($ports{primary}, '/api/v1/health/database'))->{status}, 'starting', 'in recovery: health is starting');
like(reason($ports{primary}), qr/it starts up, recovers or shuts down/, 'in recovery: not ready, and says why');
my $refused = json_of(ask($ports{primary}, '/api/v1/health/detailed'))->{metrics}{refused};
cmp_ok($refused->{total}, '>=', 1, 'in recovery: who is turned away is counted');
kill 'CONT', $startup;
wait_until('redo is done', sub { return ask($ports{primary}, '/readyz')->{status} == 200; });
pass('and ready when it is done');
$eye->drop;
$primary->stop;

unlike(slurp_file($_->logfile), qr/PANIC|TRAP/, 'nothing else went wrong') for $primary, values %standby;
done_testing();
