# A server whose slots are taken: it is told, by whoever is still let in, and clients are refused in the words
# in which a server without pooldiag refuses them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Test::More;

use PoolDiag::Server;
use PoolDiag::Session qw(wait_gone);

my $node = new_server('slots', <<'EOC');
max_connections = 13
superuser_reserved_connections = 3
pooldiag.sample_interval = 100ms
pooldiag.advice_window = 1s
EOC
my $usable = 10;
my $eye = observer($node);
$eye->query(q{CREATE ROLE app LOGIN; CREATE ROLE bounded LOGIN CONNECTION LIMIT 1});
my $hesitant = hesitant($node, $eye);

my @app;

sub open_app { push @app, PoolDiag::Session->connect($node, user => 'app', application_name => 'app'); return; }

# What is said of the slots in every place, and what the clients and pg_stat_activity count.
sub check
{
	my ($when, $status, $severity, $starting) = @_;
	my $connections = 1 + @app + ($starting // 0);
	my $reserved = $connections > $usable ? $connections - $usable : 0;

	is($eye->value(q{SELECT count(*) FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND coalesce(state, '') <> 'starting'}),
		$connections - ($starting // 0), "$when: pg_stat_activity has as many sessions as there are clients");
	is_deeply(
		[ $eye->query(q{SELECT scope, connections, checked_out, capacity FROM pooldiag.utilization
			WHERE scope IN ('server', 'reserved slots') ORDER BY scope DESC}) ],
		[ [ 'server', $connections, $connections, $usable ], [ 'reserved slots', $reserved, $reserved, 3 ] ],
		"$when: utilization");

	my $health = document($eye, 'SELECT pooldiag.health()');
	is($health->{status}, $status, "$when: health");
	is_deeply([ @{ $health->{connection_pool} }{qw(size checked_out overflow)} ], [ $usable, $connections, $reserved ],
		"$when: the slots as a pool");
	is(sprintf('%.1f', $health->{connection_pool}{utilization_percent}), sprintf('%.1f', 100 * $connections / $usable),
		"$when: in percent");
	is($eye->value(q{SELECT severity FROM pooldiag.recommendations WHERE rule = 'slots_nearly_full'}), $severity,
		"$when: recommendation");
	return;
}

check('nearly empty', 'healthy', undef);
open_app() for 1 .. 6;
check('7 of 10', 'healthy', undef);
open_app();
check('8 of 10', 'degraded', 'warning');
open_app();
check('9 of 10', 'degraded', 'warning');
my $evidence = document($eye, q{SELECT evidence FROM pooldiag.recommendations WHERE rule = 'slots_nearly_full'});
is_deeply([ @$evidence{qw(connections usable_slots slots_percent)} ], [ 9, 10, 90 ], 'with its evidence');

# The last slot is held by a client that doesn't say who it is.
my $starting = PoolDiag::Session->start($node, user => $hesitant);
$starting->message;
check('the last slot is held by one that has not authenticated', 'unhealthy', 'critical', 1);
$eye->query('SELECT pooldiag.sample_now()');
my ($unborn) = $eye->column(q{SELECT pid FROM pooldiag.connections WHERE state = 'starting'});
$starting->drop;
wait_gone($unborn);
check('until it goes', 'degraded', 'warning');

open_app();
check('no slot is left', 'unhealthy', 'critical');
my %refusal = (ordinary => PoolDiag::Session->refusal($node, user => 'app'));
is($refusal{ordinary}{C}, '53300', 'an ordinary role is refused');
$eye->query('SELECT pooldiag.sample_now()');
isnt($eye->value(q{SELECT first_seen FROM pooldiag.recommendations WHERE rule = 'slots_nearly_full'}), undef,
	'it is known since when');

# Superusers come in by the reserved slots, and report from there.
my @superusers = map { observer($node) } 1 .. 3;
push @app, @superusers;
check('superusers are in the reserved slots', 'unhealthy', 'critical');
$refusal{superuser} = PoolDiag::Session->refusal($node);
is($refusal{superuser}{C}, '53300', 'when these are taken too nobody comes in');
$eye->query('SELECT pooldiag.sample_now()');
is_deeply(
	[ $eye->query(q{SELECT scope, peak_connections FROM pooldiag.utilization
		WHERE scope IN ('server', 'reserved slots') ORDER BY 1 DESC}) ],
	[ [ 'server', 13 ], [ 'reserved slots', 3 ] ], 'the sampler needs no slot, and has the peaks');
like(($eye->column('SELECT pooldiag.report()'))[0], qr/^unhealthy /, 'report() says so');
my $remedy = $eye->value(q{SELECT remedy FROM pooldiag.recommendations WHERE rule = 'slots_nearly_full'});
like($remedy, qr/pg_terminate_backend/, 'there is something to do about it');
is($eye->try($remedy =~ s/pg_terminate_backend/pg_stat_get_backend_pid/r)->{error}, undef,
	'in SQL that can be pasted');

splice @app, -3;
$_->quit for @superusers;
check('they have gone', 'unhealthy', 'critical');
$app[0]->quit;
shift @app;
check('one slot is free', 'degraded', 'warning');
is(PoolDiag::Session->refusal($node, user => 'app'), undef, 'and is given');
$_->quit for splice @app, 0, 4;
is(document($eye, 'SELECT pooldiag.health()')->{status}, 'degraded', 'while the breaker of refusals is open, the server is not well');
$eye->query(qq{SELECT pooldiag.breaker_reset('$_')}) for qw(refusals slots);
# Who was refused is told of for as long as the window goes.
$eye->poll(q{SELECT NOT EXISTS (SELECT FROM pooldiag.recommendations WHERE rule = 'refused_connections')});
check('most have gone', 'healthy', undef);

# A role's own limit.
my $bounded = PoolDiag::Session->connect($node, user => 'bounded');
is_deeply(
	$eye->row(q{SELECT connections, capacity, utilization_percent FROM pooldiag.utilization
		WHERE scope = 'role' AND name = 'bounded'}),
	{ connections => 1, capacity => 1, utilization_percent => 100 }, 'a role at its limit');
$refusal{bounded} = PoolDiag::Session->refusal($node, user => 'bounded');
is($refusal{bounded}{C}, '53300', 'is refused too');
$bounded->quit;

# The same without pooldiag.
$_->quit for @app, $eye;
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', q{''});
$node->restart;
$bounded = PoolDiag::Session->connect($node, user => 'bounded');
is_deeply(PoolDiag::Session->refusal($node, user => 'bounded'), $refusal{bounded},
	'a bare server refuses for a role\'s limit in the same words');
@app = ($bounded, map { PoolDiag::Session->connect($node, user => 'app') } 1 .. 9);
is_deeply(PoolDiag::Session->refusal($node, user => 'app'), $refusal{ordinary}, 'for want of a slot too');
push @app, map { PoolDiag::Session->connect($node) } 1 .. 3;
is_deeply(PoolDiag::Session->refusal($node), $refusal{superuser}, 'and for want of a reserved one');

$node->stop;
done_testing();
