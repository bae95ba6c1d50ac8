# Settings that are reloaded: bad ones are refused and the old ones stay in force, good ones match the live
# connections anew.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Server;
use PoolDiag::Session;

my $node = new_server('reload', <<'EOC');
max_connections = 30
pooldiag.sample_interval = 100ms
pooldiag.max_pools = 5
pooldiag.pools = 'web(application_name=web*, size=2, max_overflow=3), rest(size=4)'
EOC
my $eye = observer($node);
my @web = map { PoolDiag::Session->connect($node, application_name => "web-$_") } 1 .. 3;
$_->query('BEGIN') for @web;

# The declared pools as those have them that look at the sampler's, each with its connections.
my $declared = 'SELECT pool, size, max_overflow, connections FROM pooldiag.pools WHERE declared';
my $in_force = [ [ 'web', 2, 3, 3 ], [ 'rest', 4, 30, 1 ] ];

is_deeply([ $eye->query($declared) ], $in_force, 'pools as the configuration file has them');

# ALTER SYSTEM refuses what does not parse, with where and why.
my @bad = (
	[ 'web(size=1), web(size=2)', 14, 'expected a name that no definition before it has, found "web"' ],
	[ 'web(colour=red)', 5,
		'expected a key (application_name, user, database, size, max_overflow, instances, timeout, recycle, slow, leak), found "colour"' ],
	[ 'web(size=0)', 10, 'expected a whole number from 1 to 262143, found "0"' ],
	[ 'web(size=262144)', 10, 'expected a whole number from 1 to 262143, found "262144"' ],
	[ 'web(max_overflow=-1)', 18, 'expected a whole number from 0 to 262143, found "-1"' ],
	[ 'web(size=many)', 10, 'expected a whole number, found "many"' ],
	[ 'web(leak=0s)', 10, 'expected a time with a unit (ms, s, min, h or d) from 1ms to 365d, found "0s"' ],
	[ 'web(leak=366d)', 10, 'expected a time with a unit (ms, s, min, h or d) from 1ms to 365d, found "366d"' ],
	[ 'web(leak=10)', 10, 'expected a time with a unit (ms, s, min, h or d), found "10"' ],
	[ 'web(size=1', 11, 'expected "," or ")", found the end of the text: the parenthesis of "web" is not closed' ],
	[ 'web(size=1, size=2)', 13, 'expected a key that this definition has not stated yet, found "size"' ],
	[ 'web', 4, 'expected "(" behind a name, found the end of the text' ],
	[ 'web() jobs()', 7, 'expected "," or the end of the text, found "jobs"' ],
	[ 'web(),', 7, 'expected a name, found the end of the text' ],
	[ '"web', 1, 'expected a name, found a quote that is not closed' ],
	[ '"(other)"()', 1, 'expected a name that is not reserved, found "(other)"' ],
	[ 'web(size=100000, max_overflow=100000, instances=100000)', 49,
		'expected instances * (size + max_overflow) of at most 2147483647, found "100000"' ],
);
for my $case (@bad)
{
	my ($value, $position, $what) = @$case;
	my $error = $eye->try("ALTER SYSTEM SET pooldiag.pools = '$value'")->{error};
	is_deeply(
		[ @$error{qw(C M D)} ],
		[ '22023', qq{invalid value for parameter "pooldiag.pools": "$value"}, "At position $position: $what." ],
		"refused: $value");
	like($error->{H}, qr/^The form is a comma-separated list, such as: /, 'with the form');
}
my $error = $eye->try(q{ALTER SYSTEM SET pooldiag.pools = 'a(), b(), c(), d(), e(), f()'})->{error};
is($error->{D}, 'At position 26: expected at most 5 definitions, found "f".',
	'more pools than there is room for are refused');
like($error->{H}, qr/pooldiag\.max_pools .* restart/, 'with what to do');
$error = $eye->try(q{ALTER SYSTEM SET pooldiag.breakers = 'slots(limit=101)'})->{error};
is_deeply([ @$error{qw(C D)} ],
	[ '22023', 'At position 13: expected a percentage above 0 and up to 100, found "101".' ],
		'breakers are checked too');
# As a setting that there is not, or, from 17 on, as a name that there cannot be.
like($eye->try(q{ALTER SYSTEM SET pooldiag.nonsense = 1})->{error}{C}, qr/^(42704|42602)$/, 'what is no setting is refused');
is($eye->try(q{ALTER SYSTEM SET pooldiag.max_pools = 1025})->{error}{C}, '22023', 'and what is out of range');
is($eye->try(q{ALTER SYSTEM SET pooldiag.sample_interval = '99ms'})->{error}{C}, '22023', 'also in its unit');
is($eye->try(q{SET pooldiag.pools = ''})->{error}{C}, '55P02', 'no session has pools of its own');
is($eye->value(q{SELECT count(*) FROM pg_file_settings WHERE sourcefile LIKE '%auto.conf' AND name LIKE 'pooldiag.%'}),
	0, 'nothing of that was written');

$eye->query('SELECT pooldiag.sample_now()');
is_deeply([ $eye->query($declared) ], $in_force, 'the old definitions are in force');

# What somebody writes into the file by hand is found at the reload.
sub write_pools
{
	my ($value) = @_;
	$node->adjust_conf('postgresql.conf', 'pooldiag.pools', "'$value'");
	return;
}

my $logged = -s $node->logfile;
write_pools('web(size=1), web(size=2)');
reload($node);
$node->wait_for_log(
	qr/LOG:  invalid value for parameter "pooldiag\.pools": "web\(size=1\), web\(size=2\)"\n.*DETAIL:  At position 14: expected a name that no definition before it has, found "web"\.\n.*HINT:  /,
	$logged);
$node->wait_for_log(qr/contains errors; unaffected changes were applied/, $logged);
is_deeply(
	$eye->row(q{SELECT applied, error IS NOT NULL AS failed FROM pg_file_settings WHERE name = 'pooldiag.pools'}),
	{ applied => 'f', failed => 't' },
	'pg_file_settings has it as failed');
my $ticks = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'ticks'});
$eye->poll("SELECT value > $ticks + 2 FROM pooldiag.self WHERE name = 'ticks'");
is_deeply([ $eye->query($declared) ], $in_force, 'a bad value in the file changes nothing at a reload');
my $newcomer = PoolDiag::Session->connect($node, application_name => 'web-4');
is($newcomer->value('SHOW pooldiag.pools'), 'web(application_name=web*, size=2, max_overflow=3), rest(size=4)',
	'also for who comes later');
is($eye->value(q{SELECT pool FROM pooldiag.connections WHERE pid = } . $newcomer->pid), 'web',
	'and is matched by the old value');
$newcomer->quit;

# A good value: what is connected is matched anew.
my @others = map { PoolDiag::Session->connect($node, application_name => $_) } qw(one two);
write_pools('first(application_name=web-1, size=1, max_overflow=1, instances=3), '
	  . 'web(application_name=web*, size=7, max_overflow=0)');
reload($node);
$eye->poll(q{SELECT count(*) FROM pooldiag.pools WHERE pool = 'first'}, 1);
is_deeply([ $eye->query($declared) ], [ [ 'first', 1, 1, 1 ], [ 'web', 7, 0, 2 ] ],
	'a pool came, one changed, one went');
cmp_ok($eye->value(q{SELECT peak_checked_out FROM pooldiag.pools WHERE pool = 'web'}), '>=', 3,
	'what was counted of one that changed stays');
is_deeply(
	$eye->row(q{SELECT capacity, overflow, utilization_percent FROM pooldiag.pools WHERE pool = 'first'}),
	{ capacity => 6, overflow => 0, utilization_percent => $eye->value('SELECT 100.0::float8 / 3') },
	'with new limits');
is_deeply(
	{ map { @$_ } $eye->query('SELECT pid, pool FROM pooldiag.connections') },
	{
		$web[0]->pid => 'first',
		$web[1]->pid => 'web',
		$web[2]->pid => 'web',
		map { $_->[0]->pid => getpwuid($<) . "\@postgres/$_->[1]" }
		  [ $others[0], 'one' ], [ $others[1], 'two' ], [ $eye, 'observer' ]
	},
	'each connection is in its new pool');
is($eye->value('SELECT sum(connections) FROM pooldiag.pools'), activity($eye)->{active} + activity($eye)->{idle} + @web,
	'none is lost, none counted twice');

# The sampler has them there too: of who leaves, the peak stays.
$eye->query('SELECT pooldiag.sample_now()');
$web[0]->quit;
is($eye->value(q{SELECT peak_checked_out FROM pooldiag.pools WHERE pool = 'first'}), 1, 'the new pool has a peak');
$web[0] = PoolDiag::Session->connect($node, application_name => 'web-1');
$web[0]->query('BEGIN');

# Order matters, and the last pool can go.
write_pools('web(application_name=web*, size=7), first(application_name=web-1)');
reload($node);
$eye->poll(q{SELECT connections FROM pooldiag.pools WHERE pool = 'web'}, 3);
is_deeply([ $eye->query($declared) ], [ [ 'web', 7, 30, 3 ], [ 'first', 20, 30, 0 ] ],
	'the first that matches has it');
write_pools('');
reload($node);
$eye->poll('SELECT count(*) FROM pooldiag.pools WHERE declared', 0);
is($eye->value('SELECT sum(connections) FROM pooldiag.pools'), @web + @others + 1,
	'without definitions all are discovered');

# What pools that state nothing have, and thresholds.
write_pools('web(application_name=web*)');
reload($node);
$eye->poll(q{SELECT size || '+' || max_overflow FROM pooldiag.pools WHERE pool = 'web'}, '20+30');
$node->append_conf('postgresql.conf', "pooldiag.environment = production\n");
reload($node);
$eye->poll(q{SELECT size || '+' || max_overflow FROM pooldiag.pools WHERE pool = 'web'}, '50+100');
$node->append_conf('postgresql.conf', "pooldiag.max_overflow = 1\npooldiag.leak_threshold = 1ms\n");
reload($node);
$eye->poll(q{SELECT size || '+' || max_overflow || ' ' || leaks FROM pooldiag.pools WHERE pool = 'web'}, '50+1 3');
is($eye->value('SELECT count(*) FROM pooldiag.leaks'), 3, 'a threshold holds for all views at once');
write_pools('web(application_name=web*, leak=1h)');
reload($node);
$eye->poll(q{SELECT leaks FROM pooldiag.pools WHERE pool = 'web'}, 0);
is($eye->value('SELECT count(*) FROM pooldiag.leaks'), 0, 'a pool\'s own comes before it');
$node->append_conf('postgresql.conf', "pooldiag.sample_interval = 1h\n");
reload($node);
$eye->poll(q{SELECT value FROM pooldiag.self WHERE name = 'sampler_interval'}, 3600000);
$node->append_conf('postgresql.conf', "pooldiag.sample_interval = 100ms\n");
reload($node);
$eye->poll(q{SELECT value FROM pooldiag.self WHERE name = 'sampler_interval'}, 100);
pass('the time between two samples can be changed both ways, at once');

# At a start there is no old value.
$_->quit for @web, @others;
$eye->quit;
write_pools('web(size=1');
$logged = -s $node->logfile;
$node->restart;
like(slurp_file($node->logfile, $logged),
	qr/WARNING:  invalid value for parameter "pooldiag\.pools": "web\(size=1"\n.*DETAIL:  At position 11: expected "," or "\)", found the end of the text/,
	'a bad value at a start is a warning');
$eye = observer($node);
$eye->query('SELECT pooldiag.sample_now()');
is($eye->value('SHOW pooldiag.pools'), '', 'and the default is in force');
is($eye->value('SELECT count(*) FROM pooldiag.pools WHERE declared'), 0, 'no pool is declared');
write_pools('a(), b(), c(), d(), e(), f()');
$eye->quit;
$logged = -s $node->logfile;
$node->restart;
like(slurp_file($node->logfile, $logged), qr/WARNING:  invalid value for parameter "pooldiag\.pools"/,
	'and so are more pools than there is room for');

# The room is what the files say, whichever comes first in them.
$node->append_conf('postgresql.conf', "pooldiag.max_pools = 6\n");
$logged = -s $node->logfile;
$node->restart;
unlike(slurp_file($node->logfile, $logged), qr/WARNING/, 'room that stands behind the pools counts for them');
$eye = observer($node);
is($eye->value('SELECT count(*) FROM pooldiag.pools WHERE declared'), 6, 'and all are declared');

$node->stop;
done_testing();
