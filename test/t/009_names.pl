# Names come from strangers: with marks that the names of pools are made of, line breaks, bytes of any
# encoding. All is shown, in the encoding of whoever looks, and nothing is taken for something else. And there
# are more of them than places.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Encode ();
use List::Util qw(sum0);
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Server;
use PoolDiag::Session;

my $node = new_server('names', <<'EOC');
max_connections = 60
pooldiag.sample_interval = 100ms
pooldiag.leak_threshold = 1ms
EOC
my $eye = observer($node);

# Roles and databases whose names are in another encoding than that of the database from which they are seen.
$eye->query(q{CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'});
$eye->query(q{CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'});
my $latin = observer($node, database => 'latin');
my $bytes = observer($node, database => 'bytes');
$_->query('CREATE EXTENSION pooldiag') for $latin, $bytes;
$latin->query(qq{CREATE ROLE "ren\xe9" LOGIN});
$bytes->query(qq{CREATE ROLE "\xff\xfe" LOGIN});
$bytes->query(qq{CREATE DATABASE "donn\xe9es" TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'});
my @utf8_roles = ("zo\xc3\xab", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e");
$eye->query(qq{CREATE ROLE "$_" LOGIN}) for @utf8_roles;

my @roles = ('plain', 'at@sign', 'sl/ash', 'qu"ote', 'comma, space', "it's", 'back\\slash');
my @databases = ('plain', 'at@sign', 'sl/ash', 'qu"ote');
my $lines = $eye->value(q{SELECT current_setting('server_version_num')}) < 190000;
if ($lines)
{
	# Later versions refuse such names.
	push @roles, "new\nline";
	push @databases, "new\nline";
}
my $quoted = sub { return '"' . $_[0] =~ s/"/""/gr . '"'; };
$eye->query('CREATE ROLE ' . $quoted->($_) . ' LOGIN') for @roles;
$eye->query('CREATE DATABASE ' . $quoted->($_) . ' TEMPLATE template0') for @databases;
$eye->query('CREATE ROLE "ren?" LOGIN');

# Who is connected: role, database, application name.
my @who = (
	(map { [ $_, 'postgres', 'app' ] } @roles),
	(map { [ 'plain', $_, 'app' ] } @databases),
	(map { [ 'plain', 'postgres', $_ ] }
		  '', 'at@sign', 'sl/ash', 'qu"ote', 'comma, space', "it's", '(other)', '""', '@', 'back\\slash'),
	[ "ren\xe9", 'latin', 'app' ],
	[ "ren\xe9", 'postgres', 'app' ],
	[ "\xff\xfe", 'bytes', 'app' ],
	[ 'plain', "donn\xe9es", 'app' ],
	map { [ $_, 'postgres', 'app' ] } @utf8_roles);
my @sessions;
for my $names (@who)
{
	my ($role, $database, $application) = @$names;
	push @sessions, PoolDiag::Session->connect($node, user => $role, database => $database, application_name => $application);
}

# The server replaces what is not ASCII in an application's name, wherever it comes from, by question marks or,
# from 16 on, by its code.
push @sessions, PoolDiag::Session->connect($node, user => 'plain', application_name => "startup \xe9\xff \xc3\xa9\n");
my $changed = PoolDiag::Session->connect($node, user => 'plain', database => 'bytes', application_name => 'before');
$changed->query("SET application_name = 'set \xe9 \xc3\xa9'");
push @sessions, $changed;
for my $session (@sessions[-2, -1])
{
	my $name = $eye->value('SELECT application_name FROM pg_stat_activity WHERE pid = ' . $session->pid);
	like($name, qr/^(startup|set) [ -~]+$/, 'an application name in ASCII');
	push @who, [ 'plain', $session == $changed ? 'bytes' : 'postgres', $name ];
}

# In a transaction, with bytes in its statement.
my ($in_latin) = grep { $who[$_][1] eq 'latin' } 0 .. $#who;
$sessions[$in_latin]->query('BEGIN');
$sessions[$in_latin]->query("SELECT '\xe9t\xe9' AS \"ann\xe9e\"");
$eye->query('SELECT pooldiag.sample_now()');

sub part
{
	my ($name) = @_;
	return $name eq '' || $name =~ m{[@/"]} ? $quoted->($name) : $name;
}

sub pool_name
{
	my ($role, $database, $application) = @_;
	return part($role) . '@' . part($database) . '/' . part($application);
}

# What a reader in UTF-8 gets of bytes that are none.
sub in_utf8
{
	my ($name) = @_;
	return Encode::encode('UTF-8', Encode::decode('UTF-8', $name, sub { '?' x @_ }));
}

my $me = getpwuid($<);
my @expected = map { pool_name(@$_) } @who, [ $me, 'postgres', 'observer' ], [ $me, 'latin', 'observer' ], [ $me, 'bytes', 'observer' ];
# Without those that have come and gone.
my $connected = 'SELECT pool FROM pooldiag.pools WHERE connections > 0';
is_deeply([ sort $eye->column($connected) ], [ sort map { in_utf8($_) } @expected ],
	'pools have the names that their users, databases and applications have');
is_deeply([ sort $bytes->column($connected) ], [ sort @expected ],
	'to the byte, where the encoding takes any');
is_deeply([ sort $latin->column($connected) ], [ sort @expected ], 'or has all of them');
is_deeply(
	{ map { @$_ } $eye->query('SELECT pid, pool FROM pooldiag.connections') },
	{
		(map { $sessions[$_]->pid => in_utf8($expected[$_]) } 0 .. $#sessions),
		$eye->pid => "$me\@postgres/observer",
		$latin->pid => "$me\@latin/observer",
		$bytes->pid => "$me\@bytes/observer"
	},
	'each connection has its own');
is_deeply(states($eye), activity($eye), 'none is missed');
my %names = map { $_->[0] => "$_->[1]\@$_->[2]" } $eye->query(
	'SELECT pid, usename, datname FROM pg_stat_activity WHERE datid IS NOT NULL AND usesysid IS NOT NULL');
is_deeply(
	{ map { $_->[0] => "$_->[1]\@$_->[2]" } $eye->query('SELECT pid, usename, datname FROM pooldiag.connections') },
	{ map { $_->pid => in_utf8($names{ $_->pid }) } @sessions, $eye, $latin, $bytes },
	'names of users and databases are those of pg_stat_activity');

# Whatever is asked, from a database of any encoding, comes in the encoding of the client.
my @sources = (
	views($eye),
	$eye->column(q{SELECT oid::regprocedure FROM pg_proc
		WHERE pronamespace = 'pooldiag'::regnamespace AND pronargs = 0 AND proname <> 'sample_now'}));
$latin->query('SET client_encoding = UTF8');
for my $session ([ $eye, 'UTF8' ], [ $latin, 'LATIN1' ], [ $bytes, 'SQL_ASCII' ])
{
	for my $source (@sources)
	{
		my $result = $session->[0]->try("SELECT r::text FROM $source AS r");
		my $text = join '', map { $_->[0] } @{ $result->{rows} };
		is($result->{error}{M}, undef, "$session->[1]: $source answers");
		ok(utf8::decode($text), "$session->[1]: $source in UTF-8") if $session->[1] ne 'SQL_ASCII';
	}
}

is($eye->value(q{SELECT last_query FROM pooldiag.leaks}), "SELECT '?t?' AS \"ann?e\"",
	'a statement in another encoding is legible');
$latin->query('SET client_encoding = LATIN1');
is($latin->value(q{SELECT last_query FROM pooldiag.leaks}), "SELECT '\xe9t\xe9' AS \"ann\xe9e\"",
	'and whole in its own');

my $detailed = document($eye, 'SELECT pooldiag.health_detailed()');
is_deeply(
	[ sort map { Encode::encode('UTF-8', $_->{pool}) } @{ $detailed->{pools} } ],
	[ sort map { in_utf8($_) } @expected ], 'health_detailed() has them all');
my ($subject) = $eye->column(q{SELECT subject FROM pooldiag.recommendations WHERE rule = 'leak_suspects'});
is($subject, 'ren?@latin/app', 'recommendations name a pool as pools does');

# A screen is made of lines, whatever a name holds; what has most connections is at its top.
my @most = map { PoolDiag::Session->connect($node, user => $_, application_name => 'app') } $lines ? "new\nline" : 'plain', $utf8_roles[1];
my @screen = $eye->column('SELECT pooldiag.report()');
utf8::decode($_) for @screen;
is(scalar(grep { /^(new\?line|plain)\@postgres\/app +2 / || /^\x{65e5}\x{672c}\x{8a9e}\@postgres\/app +2 / } @screen), 2,
	'the report has a line for each of them');
for my $line (@screen)
{
	# Some characters take two columns.
	my $wide = () = $line =~ /\p{East_Asian_Width=Wide}/g;

	unlike($line, qr/[\x00-\x1f\x7f]/, 'a line of the report');
	cmp_ok(length($line) + $wide, '<=', 80, 'fits on the screen');
}
$_->quit for @most;

# A remedy is there to be pasted: it does what it says, to those whom it names, and to nobody else.
my @untimed = $eye->rows(q{SELECT subject, remedy, evidence FROM pooldiag.recommendations WHERE rule = 'missing_timeouts'});
is(scalar @untimed, 2, 'two timeouts are missing');
for my $advice (@untimed)
{
	is($eye->try($_)->{error}{M}, undef, 'can be pasted: ' . s/\n/ /gr) for grep { /^ALTER/ } split /;\n(?=ALTER)/, $advice->{remedy};
	my %named = map { Encode::encode('UTF-8', $_) => 1 } @{ JSON::PP::decode_json($advice->{evidence})->{roles} };
	ok($named{ in_utf8($_) }, 'role is named: ' . s/\n/ /gr) for @roles, @utf8_roles;
}
is_deeply(
	[ sort $eye->column(q{SELECT rolname FROM pg_roles WHERE 'statement_timeout=5min' = ANY (rolconfig)}) ],
	[ sort @roles, @utf8_roles, $me ], 'the roles that can be named have a timeout');
is($eye->value(q{SELECT rolconfig IS NULL FROM pg_roles WHERE rolname = 'ren?'}), 't',
	'and nobody has who is only called like one that can not');

# A declared pool takes bytes as they are.
$latin->query(qq{SELECT pooldiag.set_pool('fran\xe7ais', "user" => 'ren\xe9', size => 3)});
$latin->poll(q{SELECT connections FROM pooldiag.pools WHERE declared}, 2);
is($latin->value('SELECT pool FROM pooldiag.pools WHERE declared'), "fran\xe7ais", 'also in its own name');
is($eye->value('SELECT pool FROM pooldiag.pools WHERE declared'), 'fran?ais', 'which a reader in UTF-8 can see');
is($latin->value(qq{SELECT pooldiag.drop_pool('fran\xe7ais')}), '', 'and which can be dropped');

$_->quit for @sessions, $latin, $bytes, $eye;

# More applications than places: two connections of each, and six beside the observer's.
$node->append_conf('postgresql.conf', "pooldiag.max_pools = 5\n");
$node->restart;
$eye = observer($node);
my %application;
for my $name ('a' .. 'f')
{
	$application{$name} = [ map { PoolDiag::Session->connect($node, application_name => $name) } 1, 2 ];
}

# Counts of each pool, from pools; the same from connections; and their sum.
sub check_sums
{
	my ($when) = @_;
	my %pools = map { @$_ } $eye->query('SELECT pool, connections FROM pooldiag.pools WHERE connections > 0');

	is_deeply({ map { @$_ } $eye->query('SELECT pool, count(*) FROM pooldiag.connections GROUP BY 1') },
		\%pools, "$when: each connection is in one pool");
	is(sum0(values %pools), sum0(values %{ activity($eye) }), "$when: and all are counted");
	return \%pools;
}

my @all_apps = ('observer', 'a' .. 'f');
$eye->query('SELECT pooldiag.sample_now()') for 1, 2;
my $pools = check_sums('six applications and an observer in five places');
is(scalar keys %$pools, 6, 'five places, and (other)');
my @placed = grep { $pools->{"$me\@postgres/$_"} } @all_apps;
my @unplaced = grep { !$pools->{"$me\@postgres/$_"} } @all_apps;
is($pools->{'(other)'}, sum0(map { $_ eq 'observer' ? 1 : 2 } @unplaced), '(other) has all of those without a place');
is_deeply(
	$eye->row(q{SELECT declared, size, capacity, overflow, utilization_percent FROM pooldiag.pools WHERE pool = '(other)'}),
	{ declared => 'f', size => undef, capacity => undef, overflow => undef, utilization_percent => undef },
	'(other) has no limits');
cmp_ok($eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'pools_overflowed'}), '>', 0, 'that is told');
my $newcomer = PoolDiag::Session->connect($node, application_name => 'newcomer');
is($eye->value('SELECT pool FROM pooldiag.connections WHERE pid = ' . $newcomer->pid), '(other)',
	'who comes now has no place either');
check_sums('and one more');
$newcomer->quit;

# A place that becomes free is another's.
my $evicted = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'pools_evicted'});
my ($leaving) = grep { $_ ne 'observer' } @placed;
$_->quit for @{ delete $application{$leaving} };
my $in_other = scalar @unplaced;
$eye->poll(q{SELECT count(*) FROM pooldiag.pools WHERE connections > 0}, @unplaced > 1 ? 6 : 5);
$eye->poll(qq{SELECT count(*) FROM pooldiag.pools WHERE pool = '$me\@postgres/$leaving'}, 0);
$pools = check_sums('one has left');
is(scalar(grep { $pools->{"$me\@postgres/$_"} } @unplaced), 1, 'one that had no place has got it');
$eye->poll(q{SELECT value FROM pooldiag.self WHERE name = 'pools_evicted'}, $evicted + 1);

# Declared pools always fit.
$eye->query("SELECT pooldiag.set_pool('declared $_', application_name => '$_', size => 1, max_overflow => 2)") for 'a' .. 'c';
$eye->poll('SELECT count(*) FROM pooldiag.pools WHERE declared', 3);
$pools = check_sums('three are declared');
is_deeply([ map { $pools->{"declared $_"} // 0 } 'a' .. 'c' ], [ map { $application{$_} ? 2 : 0 } 'a' .. 'c' ],
	'declared pools have their connections');
$eye->query("SELECT pooldiag.set_pool('declared $_', application_name => '$_', size => 1)") for 'd', 'e';
$eye->poll('SELECT count(*) FROM pooldiag.pools WHERE declared', 5);
$pools = check_sums('every place is declared');
is($pools->{'(other)'}, 3, '(other) has the rest');
is($eye->try(q{SELECT pooldiag.set_pool('declared f')})->{error}{C}, '22023', 'a sixth is refused');
$eye->query("SELECT pooldiag.drop_pool('declared $_')") for 'a' .. 'e';
$eye->poll('SELECT count(*) FROM pooldiag.pools WHERE declared', 0);
$eye->query('SELECT pooldiag.sample_now()') for 1, 2;
$pools = check_sums('none is declared any more');
is(scalar keys %$pools, 6, 'five places, and (other), again') or diag explain $pools;

# A terminal that can't draw in UTF-8.
$eye->query('SET client_encoding = LATIN1');
is($eye->try('SELECT pooldiag.report()')->{error}{M}, undef, 'report() answers in the encoding of the client');
$eye->query('RESET client_encoding');

# The place that has been empty longest goes first.
$_->quit for map { @$_ } values %application;
my %passing;
my $open = sub {
	$passing{$_} = PoolDiag::Session->connect($node, application_name => $_) for @_;
	$eye->query('SELECT pooldiag.sample_now()') for 1, 2;
};
my $close = sub {
	(delete $passing{ $_[0] })->quit;
	$eye->query('SELECT pooldiag.sample_now()');
};
my $remembered = q{SELECT string_agg(substring(pool FROM '[^/]*$'), ',' ORDER BY pool)
	FROM pooldiag.pools WHERE pool <> '(other)'};
$eye->query('SELECT pooldiag.sample_now()') for 1, 2;
$open->(qw(one two three four));
is($eye->value($remembered), 'four,observer,one,three,two', 'new pools take the places of empty ones');
$close->($_) for qw(two four one);
is($eye->value($remembered), 'four,observer,one,three,two', 'which stay as long as nobody wants them');
$open->('five');
is($eye->value($remembered), 'five,four,observer,one,three', 'the one that emptied first makes way');
$open->('six');
is($eye->value($remembered), 'five,observer,one,six,three', 'then the next');
$open->('one');
$open->('seven');
is($eye->value($remembered), 'five,observer,one,six,three', 'and none that has connections');
check_sums('at the end');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'nothing went wrong');
done_testing();
