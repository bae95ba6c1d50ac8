# Recommendations on a standby: remedies work there, and those that write a catalog, which it can't, say where to run them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Advice;
use PoolDiag::Server;
use PoolDiag::Session qw(wait_gone);

my $primary = new_server('primary', <<'EOC', allows_streaming => 1);
max_connections = 30
pooldiag.sample_interval = 100ms
pooldiag.advice_window = 2s
pooldiag.pools = 'app(user=app, slow=1ms, size=10, max_overflow=0, leak=100ms), small(user=small, size=5, max_overflow=0)'
idle_in_transaction_session_timeout = 1h
statement_timeout = 1h
EOC
my $master = observer($primary);
$master->query('CREATE ROLE app LOGIN; CREATE ROLE small LOGIN CONNECTION LIMIT 5');
$master->query(q{CREATE TABLE filtered AS SELECT g AS id, g % 5000 AS "group", repeat('z', 200) AS padding FROM generate_series(1, 60000) g});
$master->query('ANALYZE filtered; GRANT ALL ON filtered TO app');
$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
my $eye = observer($standby);
quiet($eye);

sub clients { my ($role, $count) = @_; return map { PoolDiag::Session->connect($standby, user => $role, application_name => $role) } 1 .. $count; }

# Pasted on the standby it is refused; on the primary it works, and when that has been replayed, the rule leaves.
sub directed
{
	my ($row) = @_;
	my $stderr;

	like($row->{remedy}, qr/^-- on the primary:\n[A-Z]/, "$row->{rule}: the remedy says where to run it");
	isnt($standby->psql('postgres', $row->{remedy}, stderr => \$stderr, on_error_stop => 1), 0, "$row->{rule}: on a standby it can not be run");
	like($stderr, qr/read-only transaction|during recovery/, "$row->{rule}: as it writes");
	paste($primary, $row);
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	leaves($eye, $row->{rule});
	return;
}

# What needs no catalog.
my @clients = clients('app', 2);
$clients[0]->query('BEGIN');
my $row = fires($eye, 'leak_suspects', 'warning');
unlike($row->{remedy}, qr/primary/, 'leak_suspects: the remedy is for where it is read');
is(paste($standby, $row), $clients[0]->pid . '|t', 'and works there');
leaves($eye, 'leak_suspects');
wait_gone($clients[0]->pid);
$clients[1]->send('SELECT pg_sleep(3600)');
$row = fires($eye, 'slow_holders', 'warning');
paste($standby, $row);
is($clients[1]->finish->{error}{C}, '57014', 'slow_holders: the statement is canceled');
leaves($eye, 'slow_holders');

# Settings are files, also on a standby.
$eye->query(q{SELECT pooldiag.set_pool('app', instances => 3)});
$row = fires($eye, 'pool_exceeds_server', 'warning');
unlike($row->{remedy}, qr/primary/, 'pool_exceeds_server: the remedy is for where it is read');
paste($standby, $row);
is($eye->value(q{SELECT count(*) FROM pg_file_settings WHERE name = 'max_connections' AND sourcefile ~ 'auto'}), 1, 'and works there');
$eye->query(q{SELECT pooldiag.set_pool('app', instances => 1)});
leaves($eye, 'pool_exceeds_server');

# What writes a catalog.
$clients[1]->query(q{SELECT count(*) FROM filtered WHERE "group" = 7}) for 1 .. 3;
directed(fires($eye, 'missing_index', 'info'));
push @clients, clients('small', 4);
directed(fires($eye, 'role_or_database_limit', 'warning'));
is($master->value(q{SELECT rolconnlimit FROM pg_roles WHERE rolname = 'small'}), 10, 'the limit is raised');
for my $session ($eye, $master)
{
	$session->query('ALTER SYSTEM SET statement_timeout = 0');
}
reload($_) for $standby, $primary;
my $on_primary = PoolDiag::Session->connect($primary, user => 'app');
unlike(fires($master, 'missing_timeouts', 'info')->{remedy}, qr/primary/, 'on a primary nobody is sent elsewhere');
directed(fires($eye, 'missing_timeouts', 'info'));
leaves($master, 'missing_timeouts');

$on_primary->quit;
$_->drop for @clients;
$_->quit for $eye, $master;
$standby->stop;
$primary->stop;
done_testing();
