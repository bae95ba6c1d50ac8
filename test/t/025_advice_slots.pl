# Recommendations on slots, limits, and who was turned away: each fires, its remedy is pasted, and it fires no more.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Test::More;

use PoolDiag::Advice;
use PoolDiag::Server;
use PoolDiag::Session qw(wait_gone);

# psql needs a slot for each remedy; what it says itself is nothing for a pool.
my $node = new_server('advice_slots', <<'EOC');
max_connections = 20
superuser_reserved_connections = 3
pooldiag.sample_interval = 100ms
pooldiag.advice_window = 2s
pooldiag.pools = 'app(user=app, size=10, max_overflow=7)'
idle_in_transaction_session_timeout = 1h
statement_timeout = 1h
EOC
my $eye = observer($node);
$eye->query(q{CREATE ROLE app LOGIN; CREATE ROLE "it's ""quoted""" LOGIN CONNECTION LIMIT 5; CREATE ROLE nologin});
$eye->query('CREATE DATABASE "Small one" CONNECTION LIMIT 4');
quiet($eye);

sub clients { my ($count, %params) = @_; return map { PoolDiag::Session->connect($node, user => 'app', %params) } 1 .. $count; }

sub restart
{
	$eye->quit;
	$node->restart;
	$eye = observer($node);
	return;
}

sub pids { return [ sort { $a <=> $b } map { $_->pid } @_ ]; }
sub named { my ($row) = @_; return [ sort { $a <=> $b } map { $_->{pid} } @{ $row->{evidence}{processes} } ]; }
sub alive { my ($pids) = @_; return [ sort { $a <=> $b } $eye->column('SELECT pid FROM pg_stat_activity WHERE pid IN (' . join(',', @$pids) . ')') ]; }

# A remedy that frees slots: those that have been at it for longest are named, and ended unless they go on, or another has come.
sub frees
{
	my ($what, $row, $go_on, @clients) = @_;
	my $pids = named($row);
	is_deeply($pids, pids(@clients[ 0 .. $#$pids ]), "$what: those that have been for longest are named");
	is($row->{evidence}{processes_not_listed}, 0, "$what: all that it takes");
	my $reused = { %$row, remedy => $row->{remedy} =~ s/\((\d+), '[^']*', /($1, '2001-01-01', /gr };
	is(paste($node, $reused), '', "$what: sessions with another start are left alone");
	$go_on->($clients[0]);
	my $ended = [ sort { $a <=> $b } paste($node, $row) =~ /^(\d+)\|t$/mg ];
	my @spared = ($clients[0]->pid);
	is_deeply($ended, [ grep { $_ != $spared[0] } @$pids ], "$what: they are ended, but for the one that has gone on");
	wait_gone(@$ended);
	is_deeply(alive([ $clients[0]->pid, map { $_->pid } @clients[ @$pids .. $#clients ] ]),
		pids($clients[0], @clients[ @$pids .. $#clients ]), "$what: nobody else is");
	return;
}

# Nearly all slots, held idle in transaction, each for less than makes a leak of it.
my @clients = clients(14);
$_->query('BEGIN') for @clients;
my $row = fires($eye, 'slots_nearly_full', 'warning');
is($row->{evidence}{connections}, 1 + @clients, 'with the figure that pg_stat_activity has');
is($eye->value(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'}), 1 + @clients, 'too');
is($eye->value('SELECT count(*) FROM pooldiag.leaks'), 0, 'nobody is suspected of leaking');
frees('idle in transaction', $row, sub { my ($client) = @_; $client->query('COMMIT'); $client->query('BEGIN'); }, @clients);
$eye->poll('SELECT count(*) FROM pooldiag.connections', 14);
paste($node, advice_on($eye, 'slots_nearly_full'));
leaves($eye, 'slots_nearly_full');
$eye->poll('SELECT count(*) FROM pooldiag.connections', 13);
pass('no more are ended than it takes');
$_->drop for splice @clients;

# Idle.
@clients = clients(14);
$_->query('SELECT 1') for @clients;
$row = fires($eye, 'slots_nearly_full', 'warning');
frees('idle', $row, sub { my ($client) = @_; $client->query('SELECT 1'); }, @clients);
$eye->poll('SELECT count(*) FROM pooldiag.connections', 14);
paste($node, advice_on($eye, 'slots_nearly_full'));
leaves($eye, 'slots_nearly_full');
$eye->poll('SELECT count(*) FROM pooldiag.connections', 13);
pass('no more are ended than it takes');
$_->drop for splice @clients;

# At work: nobody is ended.
@clients = clients(14);
$_->send('SELECT pg_sleep(3600)') for @clients;
$eye->poll(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'}, 14);
$row = fires($eye, 'slots_nearly_full', 'warning');
is($row->{evidence}{processes}, undef, 'who is at work is not named');
paste($node, $row);
$eye->query('SELECT pg_terminate_backend(' . $_->pid . ')') for @clients;
$_->drop for splice @clients;
restart();
@clients = clients(14);
leaves($eye, 'slots_nearly_full');
is($eye->value('SHOW max_connections'), 30, 'there is room');
$_->quit for splice @clients;
$eye->query('ALTER SYSTEM RESET max_connections');
restart();
quiet($eye);

# Refused for want of a slot. What lies further back than the window is forgotten.
@clients = clients(16);
is(PoolDiag::Session->refusal($node, user => 'app')->{C}, '53300', 'no slot is left for an ordinary role');
$row = fires($eye, 'refused_connections', 'warning');
is_deeply($row->{evidence}{reasons}, { 'only reserved slots left' => 1 }, 'by its reason');
is($row->{evidence}{refused}, $eye->value('SELECT sum(refused) FROM pooldiag.refusals'), 'as many as refusals has');
$eye->poll(q{SELECT NOT EXISTS (SELECT FROM pooldiag.recommendations WHERE rule = 'refused_connections')});
is(PoolDiag::Session->refusal($node, user => 'app')->{C}, '53300', 'one more');
paste($node, fires($eye, 'refused_connections', 'warning'));
$_->quit for splice @clients;
restart();
@clients = clients(17);
leaves($eye, 'refused_connections');
is($eye->value('SHOW max_connections'), 30, 'after the restart there is room for them');
$_->quit for splice @clients;
$eye->query('ALTER SYSTEM RESET max_connections');

# Limits of roles and databases, with names that have to be quoted.
@clients = clients(4, user => q{it's "quoted"});
$row = fires($eye, 'role_or_database_limit', 'warning');
is_deeply([ $row->{subject}, @{ $row->{evidence} }{qw(connections connection_limit)} ], [ q{role it's "quoted"}, 4, 5 ], 'a role near its limit');
push @clients, clients(1, user => q{it's "quoted"});
paste($node, fires($eye, 'role_or_database_limit', 'critical'));
leaves($eye, 'role_or_database_limit');
is($eye->value(q{SELECT rolconnlimit FROM pg_roles WHERE rolname LIKE 'it%'}), 10, 'the limit is raised');
$_->quit for splice @clients;
@clients = clients(4, database => 'Small one');
$row = fires($eye, 'role_or_database_limit', 'critical');
is($row->{subject}, 'database Small one', 'a database at its limit');
paste($node, $row);
leaves($eye, 'role_or_database_limit');
push @clients, clients(1, database => 'Small one');
$_->quit for splice @clients;

# Pools that may open more than there is, all instances counted.
$eye->query(q{SELECT pooldiag.set_pool('app', instances => 2)});
$row = fires($eye, 'pool_exceeds_server', 'warning');
is_deeply([ @{ $row->{evidence} }{qw(capacity pools)} ], [ 34, { app => 34 } ], 'instances are counted');
paste($node, $row);
restart();
leaves($eye, 'pool_exceeds_server');
is($eye->value(q{SELECT capacity FROM pooldiag.utilization WHERE scope = 'server'}), 34, 'they just fit');
$eye->query(q{SELECT pooldiag.set_pool('app', instances => 1)});
$eye->query('ALTER SYSTEM RESET max_connections');

# Those who may not come in.
is(PoolDiag::Session->refusal($node, user => 'nologin')->{C}, '28000', 'may not log in') for 1 .. 9;
$eye->query('SELECT pooldiag.sample_now()');
ok(!advice_on($eye, 'authentication_failures'), 'nine are not enough');
PoolDiag::Session->refusal($node, user => 'nologin') for 1 .. 10;
$row = fires($eye, 'authentication_failures', 'warning');
unlike($row->{title} . $row->{advice}, qr/nologin/, 'what a stranger calls itself is not in it');
like(paste($node, $row), qr/^nologin\|postgres\|/, 'who tries');
leaves($eye, 'authentication_failures');

# No slot for who is to mend it.
$node->append_conf('postgresql.conf', "superuser_reserved_connections = 0\n");
restart();
# Peaks outlive a restart: all that was before is forgotten.
$eye->query('SELECT pooldiag.reset()');
@clients = clients(5);
quiet_of($eye, 'no_reserved_slots');
push @clients, clients(5);
fires($eye, 'no_reserved_slots', 'info');
push @clients, clients(6);
$eye->query('SELECT pooldiag.sample_now()');
$row = fires($eye, 'no_reserved_slots', 'warning');
is($row->{evidence}{peak_connections}, 17, 'with the peak');
paste($node, $row);
$_->quit for splice @clients;
$node->adjust_conf('postgresql.conf', 'superuser_reserved_connections', undef);
restart();
leaves($eye, 'no_reserved_slots');
is($eye->value('SHOW superuser_reserved_connections'), 3, 'there is a reserve');

sub quiet_of
{
	my ($session, $rule) = @_;

	$session->query('SELECT pooldiag.sample_now()');
	ok(!advice_on($session, $rule), "$rule does not fire yet");
	return;
}

$eye->quit;
$node->stop;
done_testing();
