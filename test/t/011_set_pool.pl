# set_pool and drop_pool: of many callers at once each has its way, what is refused changes nothing, and
# what was done can't be rolled back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Server;
use PoolDiag::Session;

my $node = new_server('setpool', <<'EOC');
max_connections = 30
work_mem = 5MB
pooldiag.sample_interval = 100ms
pooldiag.max_pools = 80
pooldiag.pools = 'from_file(application_name=file*, size=3)'
EOC
my $auto = $node->data_dir . '/postgresql.auto.conf';
my $eye = observer($node);
$eye->query('CREATE DATABASE second');
my $second = observer($node, database => 'second');
$second->query('CREATE EXTENSION pooldiag');

# The setting as the file has it, or nothing.
sub in_file
{
	my ($line) = slurp_file($auto) =~ /^pooldiag\.pools = '(.*)'$/m;
	return defined $line ? $line =~ s/''/'/gr =~ s/\\\\/\\/gr : undef;
}

sub calls
{
	my ($session, $call) = @_;
	my $error = $session->try("SELECT pooldiag.$call")->{error};
	die "$error->{M}, in: $call" if $error;
	return;
}

# The names of the declared pools as the server has them in force, when it has read the file.
sub declared
{
	my ($expected) = @_;
	$eye->poll(q{SELECT coalesce(string_agg(pool, ',' ORDER BY pool), '') FROM pooldiag.pools WHERE declared}, $expected);
	return 1;
}

# The first call starts from what postgresql.conf says, and the file has the result.
is(in_file(), undef, 'nothing is set');
my $set = $eye->value(q{SELECT pooldiag.set_pool('web', application_name => 'web*', "user" => 'app', database => 'shop',
	size => 5, max_overflow => 0, instances => 2, timeout => '30 s', recycle => '1 day 1 h', slow => '1500 ms', leak => '2 min')});
is($set, 'from_file(application_name=file*, size=3), web(application_name=web*, user=app, database=shop, size=5, '
	  . 'max_overflow=0, instances=2, timeout=30s, recycle=25h, slow=1500ms, leak=2min)',
		'set_pool returns the new setting');
is(in_file(), $set, 'which postgresql.auto.conf has');
ok(declared('from_file,web'), 'and which is in force');
is_deeply(
	$eye->row(q{SELECT size, max_overflow, instances, capacity FROM pooldiag.pools WHERE pool = 'web'}),
	{ size => 5, max_overflow => 0, instances => 2, capacity => 10 }, 'as it was given');

# What is not given stays.
is($eye->value(q{SELECT pooldiag.set_pool('web', size => 6)}), $set =~ s/size=5/size=6/r, 'one figure is changed');
is($eye->value(q{SELECT pooldiag.set_pool('web')}), $set =~ s/size=5/size=6/r, 'or none');
is($eye->value(q{SELECT pooldiag.drop_pool('from_file')}), $set =~ s/^.*?\), //r =~ s/size=5/size=6/r,
	'drop_pool takes one out');

# Outside of the transaction.
$eye->query('BEGIN');
$eye->query(q{SELECT pooldiag.set_pool('lasting')});
$eye->query('ROLLBACK');
like(in_file(), qr/, lasting\(\)$/, 'ROLLBACK undoes nothing');
ok(declared('lasting,web'), 'and the server has it');
$eye->query('BEGIN READ ONLY');
is($eye->try(q{SELECT pooldiag.drop_pool('lasting')})->{error}, undef, 'as ALTER SYSTEM in a read-only transaction');
$eye->query('COMMIT');
is($eye->value(q{SELECT count(*) FROM (
		SELECT pooldiag.set_pool('many ' || n, size => n) FROM generate_series(1, 10) AS n) AS calls}),
	10, 'ten calls in one statement');
is(() = in_file() =~ /"many \d+"\(size=\d+\)/g, 10, 'all last');
$eye->query(q{SELECT pooldiag.drop_pool('many ' || n) FROM generate_series(1, 10) AS n});
$eye->query(q{SELECT pooldiag.drop_pool('web')});
is(in_file(), '', 'when all are dropped the setting is empty');
ok(declared(''), 'and not what postgresql.conf says');

# Two callers in two databases at once: neither waits for the other's answer.
for my $n (1 .. 20)
{
	$eye->send("SELECT pooldiag.set_pool('first_$n', application_name => 'first-$n', size => $n)");
	$second->send("SELECT pooldiag.set_pool('second_$n', application_name => 'second-$n', size => $n)");
	my @errors = grep { defined } map { $_->finish->{error} } $eye, $second;
	is_deeply(\@errors, [], "both callers, round $n") if @errors || $n == 20;
}
my @all = map { my $side = $_; map { "${side}_$_" } 1 .. 20 } 'first', 'second';
my @written = in_file() =~ /(\w+)\(application_name/g;
is_deeply([ sort @written ], [ sort @all ], 'what both have set lasts');
ok(declared(join ',', sort @all), 'and is in force');
is($eye->value(q{SELECT count(*) FROM pooldiag.pools WHERE declared AND size::text = substring(pool FROM '\d+')}), 40,
	'each as it was set');

# Both at the same pool.
for my $n (1 .. 10)
{
	$eye->send("SELECT pooldiag.set_pool('shared', size => $n)");
	$second->send("SELECT pooldiag.set_pool('shared', max_overflow => $n)");
	$_->finish for $eye, $second;
}
like(in_file(), qr/, shared\(size=10, max_overflow=10\)$/, 'two callers at one pool: what each has set lasts');

# One drops what the other sets, each its own.
for my $n (1 .. 20)
{
	$eye->send("SELECT pooldiag.drop_pool('second_$n')");
	$second->send("SELECT pooldiag.drop_pool('first_$n')");
	my @errors = grep { defined } map { $_->finish->{error} } $eye, $second;
	is_deeply(\@errors, [], "both callers drop, round $n") if @errors || $n == 20;
}
is($eye->value(q{SELECT pooldiag.drop_pool('shared')}), '', 'all are gone');

# Beside a plain ALTER SYSTEM of something else, nothing of which is lost.
$second->query(q{ALTER SYSTEM SET work_mem = '6MB'});
calls($eye, q{set_pool('beside')});
like(slurp_file($auto), qr/^work_mem = '6MB'$/m, 'other settings in the file stay');
$second->query(q{ALTER SYSTEM SET pooldiag.pools = 'by_hand(size=1)'});
is($eye->value(q{SELECT pooldiag.set_pool('beside')}), 'by_hand(size=1), beside()',
	'a call starts from the file, reloaded or not');
$second->query('ALTER SYSTEM RESET pooldiag.pools');
$second->query('SELECT pg_reload_conf()');
ok(declared('from_file'), 'after RESET it is what postgresql.conf says');
calls($eye, q{set_pool('beside', application_name => 'beside')});
is(in_file(), 'from_file(application_name=file*, size=3), beside(application_name=beside)',
	'and that is what a call starts from');

# What has to be quoted comes back as it went.
my @names = (
	q{it's}, q{say "so"}, q{a, b}, q{(par)en}, q{back\\slash}, q{eq=ual}, q{ lead and trail }, q{a*b?}, qq{z\xc3\xbcrich},
	q{$HOME}, q{%s%n}, q{''}, q{#comment}, q{'; DROP}, 'x' x 63);
for my $name (@names)
{
	my $literal = "'" . $name =~ s/'/''/gr . "'";
	calls($eye, "set_pool($literal, application_name => $literal, size => 1)");
}
ok(declared($eye->value('SELECT string_agg(name, $$,$$ ORDER BY name) FROM (VALUES '
		  . join(',', map { "(E'" . s/([\\'])/\\$1/gr . "')" } 'beside', 'from_file', @names) . ') AS v(name)')),
	'names of all kinds are declared to the letter');
my @matched = map { PoolDiag::Session->connect($node, application_name => $_) } grep { !/[^ -~]/ } @names;
is_deeply(
	{ map { @$_ } $eye->query(q{SELECT pid, pool FROM pooldiag.connections WHERE application_name <> 'observer'}) },
	{ map { my $n = $_; $matched[$n]->pid => (grep { !/[^ -~]/ } @names)[$n] } 0 .. $#matched },
	'and so are their patterns');
$_->quit for @matched;
my $before = in_file();
$node->restart;
$eye = observer($node);
is($eye->value('SHOW pooldiag.pools'), $before, 'a restart reads what was written');
for my $name (@names)
{
	calls($eye, "drop_pool('" . $name =~ s/'/''/gr . "')");
}
is(in_file(), 'from_file(application_name=file*, size=3), beside(application_name=beside)',
	'all can be dropped by their names');

# What is refused.
$before = slurp_file($auto);
for my $case (
	[ q{set_pool(NULL)}, '22004', qr/name of a pool must not be null/ ],
	[ q{set_pool('')}, '22023', qr/invalid value for parameter "pooldiag.pools"/ ],
	[ q{set_pool('(other)')}, '22023', qr/invalid value/ ],
	[ q{set_pool('a@b/c')}, '22023', qr/invalid value/ ],
	[ q{set_pool('x', size => 0)}, '22023', qr/^size must be from 1 to 262143/ ],
	[ q{set_pool('x', size => -1)}, '22023', qr/^size must be from 1 to 262143/ ],
	[ q{set_pool('x', size => 262144)}, '22023', qr/^size must be from 1 to 262143/ ],
	[ q{set_pool('x', max_overflow => -1)}, '22023', qr/^max_overflow must be from 0 to 262143/ ],
	[ q{set_pool('x', instances => 0)}, '22023', qr/^instances must be from 1 to 262143/ ],
	[ q{set_pool('x', size => 262143, max_overflow => 262143, instances => 262143)}, '22023', qr/invalid value/ ],
	[ q{set_pool('x', timeout => '0 s')}, '22023', qr/^timeout must be from 1 millisecond to 365 days/ ],
	[ q{set_pool('x', recycle => '-1 s')}, '22023', qr/^recycle must be/ ],
	[ q{set_pool('x', slow => '1 month')}, '22023', qr/^slow must be/ ],
	[ q{set_pool('x', slow => '1 month -30 days')}, '22023', qr/^slow must be/ ],
	[ q{set_pool('x', leak => '366 days')}, '22023', qr/^leak must be/ ],
	[ qq{set_pool('x', application_name => E'a\\nb')}, '22023', qr/^the application_name holds a control character/ ],
	[ qq{set_pool('x', "user" => E'a\\tb')}, '22023', qr/^the user holds a control character/ ],
	[ qq{set_pool(E'a\\rb')}, '22023', qr/^the name holds a control character/ ],
	[ q{set_pool(repeat('x', 64))}, '22023', qr/^the name is longer than 63 bytes/ ],
	[ q{set_pool('x', database => repeat('x', 64))}, '22023', qr/^the database is longer than 63 bytes/ ],
	[ q{drop_pool('nowhere')}, '42704', qr/^pool "nowhere" is not declared/ ],
	[ q{drop_pool('')}, '42704', qr/is not declared/ ],
	[ q{set_pool('x', size => n) FROM generate_series(0, 3) AS n}, '22023', qr/^size/ ])
{
	my ($call, $state, $message) = @$case;
	my $error = $eye->try("SELECT pooldiag.$call")->{error};
	is($error->{C}, $state, "refused: $call");
	like($error->{M}, $message, 'for its reason');
}
is($eye->value('SELECT pooldiag.drop_pool(NULL)'), undef, 'of nothing comes nothing');
is(slurp_file($auto), $before, 'and the file is as it was, to the byte');

# More than there is room for.
calls($eye, "set_pool('p$_')") for 3 .. 80;
my $error = $eye->try(q{SELECT pooldiag.set_pool('p81')})->{error};
is($error->{C}, '22023', 'more pools than pooldiag.max_pools are refused');
is(() = in_file() =~ /\(/g, 80, 'with all places taken');
calls($eye, q{set_pool('p80', size => 2)});
calls($eye, q{drop_pool('p79')});
calls($eye, q{set_pool('p81')});
is(() = in_file() =~ /\(/g, 80, 'each can be changed, and another takes the place of one that is dropped');

# A file that somebody has spoilt by hand is not written over.
append_to_file($auto, "pooldiag.pools = 'web(size=0)'\n");
$error = $eye->try(q{SELECT pooldiag.set_pool('x')})->{error};
is_deeply([ @$error{qw(C D)} ], [ '22023', 'At position 10: expected a whole number from 1 to 262143, found "0".' ],
	'a bad value in the file is told');
like(slurp_file($auto), qr/web\(size=0\)/, 'and left to who wrote it');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'nothing went wrong');
done_testing();
