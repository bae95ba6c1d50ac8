# Who may see what: nobody anything without a grant, pg_monitor all, and whoever is granted the views sees of
# other roles' sessions what pg_stat_activity shows of them, and not a word more.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Test::More;

use PoolDiag::Server;
use PoolDiag::Session qw(wait_gone);

my $node = new_server('privileges', <<'EOC');
max_connections = 30
listen_addresses = '127.0.0.1'
compute_query_id = on
pooldiag.pools = 'mixed(application_name=mixed, size=1, max_overflow=0)'
pooldiag.slow_query_threshold = 1ms
pooldiag.leak_threshold = 1ms
EOC
my $eye = observer($node);
$eye->query(q{
	CREATE ROLE nobody LOGIN;
	CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
	CREATE ROLE vault LOGIN;
	CREATE ROLE viewer LOGIN;
	CREATE ROLE formal LOGIN NOINHERIT IN ROLE vault, viewer;
	CREATE TABLE safe (thing int);
	CREATE TABLE shelf (thing int);
	GRANT ALL ON safe, shelf TO vault, viewer;
});
my $hesitant = hesitant($node, $eye);

# All there is in the schema, whatever there will be: what reads it, and what calls it with any arguments.
my @relations = $eye->column(q{
	SELECT oid::regclass FROM pg_class
	WHERE relnamespace = 'pooldiag'::regnamespace AND relkind IN ('v', 'm', 'r', 'p', 'f', 'S') ORDER BY 1});
my %call = map { @$_ } $eye->query(q{
	SELECT p.oid::regprocedure, format('SELECT * FROM pooldiag.%I(%s)', proname, (
		SELECT string_agg(CASE type
			WHEN 'text'::regtype THEN quote_literal('x')
			WHEN 'int4'::regtype THEN '1'
			WHEN 'interval'::regtype THEN quote_literal('1 s')
			END || '::' || type::regtype, ', ' ORDER BY n)
		FROM unnest(proargtypes::oid[]) WITH ORDINALITY AS arguments(type, n)))
	FROM pg_proc AS p WHERE pronamespace = 'pooldiag'::regnamespace});
cmp_ok(scalar @relations, '>=', 10, 'there are views');
cmp_ok(scalar keys %call, '>=', 15, 'there are functions');
is($eye->value(q{SELECT count(*) FROM pg_proc WHERE pronamespace = 'pooldiag'::regnamespace AND prosecdef}),
	0, 'none of them runs with its owner\'s rights');

# Without a grant.
my $nobody = PoolDiag::Session->connect($node, user => 'nobody');
for my $grant (undef, 'GRANT USAGE ON SCHEMA pooldiag TO nobody')
{
	$eye->query($grant) if defined $grant;
	my $with = defined $grant ? 'with nothing but USAGE' : 'without a grant';
	is($nobody->try("SELECT * FROM $_")->{error}{C}, '42501', "$with: no $_") for @relations;
	is($nobody->try($call{$_})->{error}{C}, '42501', "$with: no $_") for sort keys %call;
}
$eye->query('GRANT SELECT ON pooldiag.connections TO nobody');
like($nobody->try('SELECT * FROM pooldiag.connections')->{error}{M},
	qr/permission denied for function connections/, 'a view alone is not enough');
is($eye->value('SHOW pooldiag.pools'), 'mixed(application_name=mixed, size=1, max_overflow=0)',
	'nothing has been set by trying');

# Sessions with something to hide: over TCP, with words in their statements.
my %vault = (user => 'vault', host => '127.0.0.1');
my $holder = PoolDiag::Session->connect($node, %vault, application_name => 'mixed');
$holder->query('BEGIN');
$holder->query('LOCK TABLE safe; SELECT $$S3CR3T$$');
my $waiter = PoolDiag::Session->connect($node, %vault, application_name => 'mixed');
$waiter->send('SELECT thing AS "S3CR3T" FROM safe');
my $sleeper = PoolDiag::Session->connect($node, %vault, application_name => 'night shift');
$sleeper->send('SELECT pg_sleep(3600) AS "S3CR3T"');
my $failed = PoolDiag::Session->connect($node, %vault, application_name => 'night shift');
$failed->query('BEGIN');
$failed->try('SELECT S3CR3T');
my @vault = ($holder, $waiter, $sleeper, $failed);

# The viewer's own, one of them in the way of one of the others.
my $viewer = PoolDiag::Session->connect($node, user => 'viewer', application_name => 'desk');
my $own = PoolDiag::Session->connect($node, user => 'viewer', application_name => 'mixed');
$own->query('BEGIN');
$own->query('LOCK TABLE shelf; SELECT $$OPEN$$');
my $second = PoolDiag::Session->connect($node, %vault, application_name => 'mixed');
$second->send('SELECT thing AS "S3CR3T" FROM shelf');
push @vault, $second;
$eye->poll('SELECT count(*) FROM pg_locks WHERE NOT granted', 2);
$eye->poll(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'}, 1);
$eye->query('SELECT pooldiag.sample_now()');

my @markers = ('S3CR3T', '127\.0\.0\.1', 'vault@',
	map { quotemeta } $eye->column(q{SELECT backend_start FROM pg_stat_activity WHERE usename = 'vault'}));

# All that a session can read in the schema, as one text.
sub everything
{
	my ($session) = @_;
	my $all = '';

	for my $source (@relations, map { /^(pooldiag\.\w+)\(\)$/ && $1 !~ /sample_now/ ? "$1()" : () } sort keys %call)
	{
		$all .= join("\n", $source, $session->column("SELECT r::text FROM $source AS r")) . "\n";
	}
	return $all;
}

# pooldiag.connections and pg_stat_activity of one moment, row by row; what differs.
sub differences
{
	my ($session) = @_;
	my $columns = sub {
		join ', ', map { "$_[0].$_" } qw(pid datname usename application_name client_addr backend_start state
		  state_change xact_start wait_event_type wait_event query_id query);
	};

	return $session->column('SELECT ROW(' . $columns->('c') . ')::text || ROW(' . $columns->('a') . q{)::text
		FROM pooldiag.connections AS c
		FULL JOIN (SELECT * FROM pg_stat_activity WHERE datid IS NOT NULL AND usesysid IS NOT NULL) AS a USING (pid)
		WHERE ROW(} . $columns->('c') . ') IS DISTINCT FROM ROW(' . $columns->('a') . ')');
}

# pg_monitor sees all.
my $monitor = PoolDiag::Session->connect($node, user => 'monitor');
is_deeply([ differences($monitor) ], [], 'pg_monitor: connections as in pg_stat_activity');
is_deeply(states($monitor), activity($monitor), 'pg_monitor: states as in pg_stat_activity');
my $all = everything($monitor);
like($all, qr/$_/, "pg_monitor sees: $_") for @markers;
unlike($all, qr/insufficient privilege/, 'nothing is masked');
is($monitor->value(q{SELECT connections FROM pooldiag.pools WHERE pool = 'mixed'}), 4,
	'a pool has all its connections');
is($monitor->value(q{SELECT peak_checked_out FROM pooldiag.pools WHERE pool = 'mixed'}), 4, 'and its peak');
is($monitor->try('SELECT pooldiag.sample_now()')->{error}{C}, '42501', 'but may not act');
is($monitor->try($_)->{error}{C}, '42501', "nor: $_")
  for q{SELECT pooldiag.set_pool('x')}, q{SELECT pooldiag.drop_pool('mixed')};

# Who is granted the views.
$eye->query('GRANT USAGE ON SCHEMA pooldiag TO viewer; GRANT SELECT ON ' . join(', ', @relations) . ' TO viewer');
$eye->query("GRANT EXECUTE ON FUNCTION $_ TO viewer") for grep { /\(\)$/ && !/sample_now/ } keys %call;

sub check_masked
{
	my ($session, $who, @visible) = @_;
	my %sees = map { $_->pid => 1 } @visible;

	is_deeply([ differences($session) ], [], "$who: connections as in pg_stat_activity");
	is_deeply(states($session), activity($session), "$who: states as in pg_stat_activity");
	is($session->value('SELECT string_agg(state, $$,$$) FROM pooldiag.connection_states'),
		$eye->value('SELECT string_agg(state, $$,$$) FROM pooldiag.connection_states'), "$who: all states are there");

	my %hidden = (state_age => undef, xact_age => undef, pool => undef, query => '<insufficient privilege>');
	my @rows = $session->rows('SELECT * FROM pooldiag.connections');
	is_deeply([ sort { $a <=> $b } map { $_->{pid} } grep { $_->{query} ne $hidden{query} } @rows ],
		[ sort { $a <=> $b } keys %sees ], "$who: sees the sessions that it may see");
	my @masked = grep { !$sees{ $_->{pid} } } @rows;
	for my $row (@masked)
	{
		my %got = map { $_ => $row->{$_} } keys %hidden;
		is_deeply(\%got, \%hidden, "$who: what pg_stat_activity doesn't have is masked too");
		is_deeply([ grep { defined $row->{$_} } sort keys %$row ],
			[qw(application_name datname pid query usename)], "$who: and no more is told");
	}
	is($session->value('SELECT connections FROM pooldiag.connection_states WHERE state IS NULL'),
		scalar @masked || undef, "$who: a row without a state for those");
	is($session->value('SELECT connections FROM pooldiag.pools WHERE pool IS NULL'),
		scalar @masked || undef, "$who: and one without a pool");
	is($session->value('SELECT sum(connections) FROM pooldiag.pools'), scalar @rows, "$who: pools add up");
	is($session->value(q{SELECT connections FROM pooldiag.utilization WHERE scope = 'server'}), scalar @rows,
		"$who: the server has all of them");
	return;
}

check_masked($viewer, 'viewer', $viewer, $own);
my $seen = everything($viewer);
unlike($seen, qr/$_/, "viewer doesn't see: $_") for @markers;
like($seen, qr/OPEN/, 'but its own');
is_deeply([ $viewer->column('SELECT pid FROM pooldiag.leaks') ], [ $own->pid ], 'leaks: its own');
is_deeply([ $viewer->column('SELECT pid FROM pooldiag.slow_queries WHERE pid <> pg_backend_pid()') ],
	[ $own->pid ], 'slow queries: its own');
is_deeply(
	$viewer->row(q{SELECT connections, checked_out, idle, overflow, utilization_percent, saturation_percent, peak_checked_out, leaks
		FROM pooldiag.pools WHERE pool = 'mixed'}),
	{
		connections => 1, checked_out => 1, idle => 0, overflow => 0,
		utilization_percent => 100, saturation_percent => 100, peak_checked_out => undef, leaks => 1
	},
	'a pool that it shares: its own part');
is_deeply([ $viewer->column(q{SELECT pool FROM pooldiag.pools WHERE NOT declared}) ], ['viewer@postgres/desk'],
	'discovered pools: its own');
# The reader itself may take long for this, where the server is slow.
is_deeply([ $viewer->column(q{SELECT DISTINCT subject FROM pooldiag.recommendations
		WHERE rule IN ('leak_suspects', 'slow_holders') AND subject <> 'viewer@postgres/desk'}) ],
	['mixed'], 'recommendations: on what it sees');
is_deeply(
	$viewer->row(q{SELECT connections, checked_out FROM pooldiag.utilization WHERE scope = 'role' AND name = 'vault'}),
	{ connections => scalar @vault, checked_out => undef },
	'another role\'s connections can be counted, what they do can not');
is_deeply(
	$viewer->row(q{SELECT connections, checked_out FROM pooldiag.utilization WHERE scope = 'role' AND name = 'viewer'}),
	{ connections => 2, checked_out => 2 },
	'its own can');
is_deeply(
	[ $viewer->query('SELECT waiting_pid, root_blocker, root_state, root_query, waiting_query
		FROM pooldiag.blocking ORDER BY root_query') ],
	[
		[ $waiter->pid, $holder->pid, undef, ('<insufficient privilege>') x 2 ],
		[ $second->pid, $own->pid, 'idle in transaction', 'LOCK TABLE shelf; SELECT $$OPEN$$', '<insufficient privilege>' ]
	],
	'blocking: who waits for whom, as pg_locks tells everybody, and of its own what it does');
is_deeply(
	[ grep { $_->{usename} eq 'vault' && ($_->{client_addr} || $_->{active}) }
		  $viewer->rows('SELECT * FROM pooldiag.connection_groups') ],
	[], 'groups: neither addresses nor states of others');
my $states = document($viewer, 'SELECT pooldiag.health_detailed()')->{metrics}{connection_pool}{states};
is_deeply({ map { $_ => $states->{$_} } grep { $states->{$_} } keys %$states },
	{ active => 1, 'idle in transaction' => 1 }, 'health_detailed(): its own states');

# One that has not authenticated belongs to nobody yet.
my $starting = PoolDiag::Session->start($node, user => $hesitant);
$starting->message;
is($viewer->value('SELECT connections FROM pooldiag.connection_states WHERE state IS NULL'),
	activity($viewer)->{masked} + 1, 'one that is starting is masked');
is_deeply([ $viewer->rows('SELECT count(*) FROM pooldiag.connections WHERE usename IS NULL') ], [ { count => 1 } ],
	'and has no name');
my ($unborn) = $eye->column(q{SELECT pid FROM pooldiag.connections WHERE state = 'starting'});
$starting->drop;
wait_gone($unborn);

# Membership opens what it opens in pg_stat_activity: at once with INHERIT, by SET ROLE without.
$eye->query('GRANT vault TO viewer');
check_masked($viewer, 'a member of vault', $viewer, $own, @vault);
like(everything($viewer), qr/S3CR3T/, 'and reads what it says');
$eye->query('REVOKE vault FROM viewer');
unlike(everything($viewer), qr/S3CR3T/, 'until it is none');
my $formal = PoolDiag::Session->connect($node, user => 'formal');
is($formal->try('SELECT * FROM pooldiag.connections')->{error}{C}, '42501', 'NOINHERIT: nothing by itself');
$formal->query('SET ROLE viewer');
check_masked($formal, 'NOINHERIT as viewer', $viewer, $own);
$formal->query('SET ROLE vault');
is($formal->try('SELECT * FROM pooldiag.connections')->{error}{C}, '42501', 'NOINHERIT as vault: no grant');
$eye->query('GRANT pg_read_all_stats TO viewer');
check_masked($viewer, 'pg_read_all_stats', $viewer, $own, @vault, $nobody, $monitor, $formal, $eye);
$eye->query('REVOKE pg_read_all_stats FROM viewer');
$formal->quit;

# A view under another owner's name asks for the caller's rights all the same.
$eye->query(q{
	CREATE VIEW public.showcase AS SELECT * FROM pooldiag.connections;
	GRANT SELECT ON public.showcase TO viewer});
is($viewer->value(q{SELECT count(*) FROM public.showcase WHERE query LIKE '%S3CR3T%' AND pid <> pg_backend_pid()}), 0,
	'no way around through a superuser\'s view');

# Acting.
for my $statement (q{SELECT pooldiag.set_pool('mixed', size => 5)}, q{SELECT pooldiag.drop_pool('mixed')})
{
	my $error = $viewer->try($statement)->{error};
	is("$error->{C} $error->{M}", '42501 permission denied to change "pooldiag.pools"', "denied: $statement");
	like($error->{H}, qr/GRANT ALTER SYSTEM ON PARAMETER pooldiag\.pools/, 'with what to do');
}
$eye->query('GRANT ALTER SYSTEM ON PARAMETER pooldiag.pools TO viewer');
is($viewer->value(q{SELECT pooldiag.set_pool('mixed', size => 5)}),
	'mixed(application_name=mixed, size=5, max_overflow=0)', 'set_pool with the privilege');
$eye->poll(q{SELECT size FROM pooldiag.pools WHERE pool = 'mixed'}, 5);
is($viewer->value(q{SELECT pooldiag.drop_pool('mixed')}), '', 'drop_pool too');
$eye->query('REVOKE ALTER SYSTEM ON PARAMETER pooldiag.pools FROM viewer');
is($viewer->try(q{SELECT pooldiag.set_pool('mixed')})->{error}{C}, '42501', 'and no more when it is taken away');
is($viewer->try('SELECT pooldiag.sample_now()')->{error}{C}, '42501', 'sample_now() is for superusers');
$eye->query('GRANT EXECUTE ON FUNCTION pooldiag.sample_now() TO viewer');
is($viewer->try('SELECT pooldiag.sample_now()')->{error}, undef, 'and can be granted');

$node->stop('immediate');
done_testing();
