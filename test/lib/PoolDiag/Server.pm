# Server.pm: the servers that the tests run, and what they ask of them again and again.
package PoolDiag::Server;

use strict;
use warnings;

use Exporter 'import';
use IPC::SysV qw(IPC_RMID);
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

use PoolDiag::Session qw(wait_gone);

our @EXPORT = qw(new_server observer reload hesitant kill_server crash_backend views states activity document);

# A running server with pooldiag preloaded and created in the database postgres. conf is added to
# postgresql.conf, init are parameters of PostgreSQL::Test::Cluster's init.
sub new_server
{
	my ($name, $conf, %init) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	# The locale of who runs the tests has no say.
	$node->init(%init, extra => [ '--encoding=UTF8', '--locale=C', @{ $init{extra} // [] } ]);
	$node->append_conf('postgresql.conf',
		"shared_preload_libraries = 'pooldiag'\nautovacuum = off\nlog_statement = none\n" . ($conf // ''));
	$node->start;
	my $session = PoolDiag::Session->connect($node);
	$session->query('CREATE EXTENSION pooldiag');
	$session->quit;
	return $node;
}

# A superuser's session to look at the server with.
sub observer
{
	my ($node, %params) = @_;

	return PoolDiag::Session->connect($node, application_name => 'observer', %params);
}

# Has the server read its configuration files again. The postmaster has, when this returns; who has nothing
# to do reads them in its own time.
sub reload
{
	my ($node) = @_;
	my $logged = -s $node->logfile;

	$node->reload;
	$node->wait_for_log(qr/received SIGHUP, reloading configuration files/, $logged);
	return;
}

# A role that the server asks for a password. Sessions that are started for it, and don't answer, stay where
# they are: they hold a slot, and are nobody's yet.
sub hesitant
{
	my ($node, $session) = @_;
	my $hba = $node->data_dir . '/pg_hba.conf';
	my $rules = slurp_file($hba);

	$session->query(q{CREATE ROLE hesitant LOGIN PASSWORD 'never told'});
	unlink $hba;
	append_to_file($hba, "local all hesitant scram-sha-256\n$rules");
	reload($node);
	return 'hesitant';
}

# Kills the server with all its processes gone, as a power cut would, but for what it has left to the system. The session
# is of no use any more.
sub kill_server
{
	my ($node, $session) = @_;
	my @workers = $session->column(q{SELECT value FROM pooldiag.self WHERE name IN ('sampler_pid', 'keeper_pid', 'operations_pid', 'http_pid')});
	my ($segment) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^ *\d+ +(\d+)$/m;

	$node->kill9;
	wait_gone(@workers);
	shmctl $segment, IPC_RMID, 0;
	# Where nobody has asked how it ended, its pid is still taken.
	unlink $node->data_dir . '/postmaster.pid', $node->host . '/.s.PGSQL.' . $node->port . '.lock';
	return;
}

# Kills one of the server's processes, and waits until the server has ended the others for it and accepts connections again.
sub crash_backend
{
	my ($node, %params) = @_;
	my $victim = PoolDiag::Session->connect($node, %params);
	my $logged = -s $node->logfile;

	kill 'KILL', $victim->pid;
	$node->wait_for_log(qr/all server processes terminated; reinitializing.*database system is ready to accept connections/s, $logged);
	$victim->drop;
	return;
}

# The views there are, whatever there will be.
sub views
{
	my ($session) = @_;

	return $session->column(
		q{SELECT oid::regclass FROM pg_class WHERE relnamespace = 'pooldiag'::regnamespace AND relkind = 'v'});
}

# Connections by state, as pooldiag counts them; states without any are left out.
sub states
{
	my ($session) = @_;

	return {
		map { ($_->[0] // 'masked') => $_->[1] }
		  $session->query('SELECT state, connections FROM pooldiag.connection_states WHERE connections > 0')
	};
}

# The same, as the server itself counts them.
sub activity
{
	my ($session) = @_;

	return {
		map { ($_->[0] // 'masked') => $_->[1] } $session->query(
			"SELECT state, count(*) FROM pg_stat_activity
			 WHERE datid IS NOT NULL AND usesysid IS NOT NULL
			   AND coalesce(backend_type, 'client backend') = 'client backend'
			 GROUP BY state")
	};
}

# The JSON document that a query returns.
sub document
{
	my ($session, $sql) = @_;

	return decode_json($session->value($sql));
}

1;
