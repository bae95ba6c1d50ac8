# What SQLAlchemy's QueuePool says of itself is what pooldiag reports of it, at every step.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use List::Util qw(max sum0);
use Test::More;

use PoolDiag::Application;
use PoolDiag::Server;
use PoolDiag::Session qw(wait_gone);

my $application = PoolDiag::Application->new;
plan skip_all => 'Python has no SQLAlchemy or no psycopg2' unless defined $application;

my $node = new_server('queuepool', <<'EOC');
max_connections = 40
pooldiag.pools = 'shop(application_name=shop, size=5, max_overflow=5), jobs(application_name=jobs-?, user=jobs, size=2, max_overflow=1, instances=2)'
EOC
my $eye = observer($node);
$eye->query('CREATE ROLE jobs LOGIN');

my %declared = (
	shop => { size => 5, max_overflow => 5, instances => 1 },
	jobs => { size => 2, max_overflow => 1, instances => 2 });
my %role = (shop => scalar getpwuid($<), jobs => 'jobs');

# The figures of each SQLAlchemy pool after its last step, below the declared pool that it belongs to.
my %own;

sub create
{
	my ($declared, $name) = @_;

	$own{$declared}{$name} = $application->do(
		'create', $name,
		url => sprintf('postgresql://%s@/postgres?host=%s&port=%d', $role{$declared}, $node->host, $node->port),
		application_name => $name,
		size => $declared{$declared}{size},
		max_overflow => $declared{$declared}{max_overflow});
	return;
}

# One step of a pool. Where it closes the connection, its session has to be gone for it not to count.
sub step
{
	my ($declared, $name, $what) = @_;
	my $before = $own{$declared}{$name};
	my $after = $own{$declared}{$name} = $application->do($what, $name);

	wait_gone($after->{pid})
	  if $what eq 'give' && $after->{checked_in} == $before->{checked_in};
	return $after;
}

sub close_to
{
	my ($got, $expected) = @_;
	return abs($got - $expected) < 1e-9;
}

# Compares the rows of every declared pool with its SQLAlchemy pools' own figures.
sub check
{
	my ($when) = @_;
	my %row = map { $_->{pool} => $_ } $eye->rows('SELECT * FROM pooldiag.pools WHERE declared');

	for my $name (sort keys %declared)
	{
		my $limits = $declared{$name};
		my @pools = values %{ $own{$name} };
		my $out = sum0 map { $_->{checked_out} } @pools;
		my $in = sum0 map { $_->{checked_in} } @pools;
		my $size = $limits->{instances} * $limits->{size};
		my $capacity = $limits->{instances} * ($limits->{size} + $limits->{max_overflow});
		my $row = $row{$name};

		is_deeply(
			{ map { $_ => $row->{$_} } qw(instances size max_overflow capacity connections checked_out idle overflow) },
			{
				%$limits,
				capacity => $capacity,
				connections => $out + $in,
				checked_out => $out,
				idle => $in,
				overflow => max(0, $out + $in - $size)
			},
			"$when: $name as SQLAlchemy counts it");
		# A pool's own overflow is below zero until the pool has filled up once.
		is($row->{overflow}, max(0, $pools[0]{overflow}), "$when: overflow of $name as SQLAlchemy counts it")
		  if @pools == 1;
		ok(close_to($row->{utilization_percent}, 100 * $out / $size)
			  && close_to($row->{saturation_percent}, 100 * ($out + $in) / $capacity),
			"$when: utilization and saturation of $name");
	}
	return;
}

create('shop', 'shop');
create('jobs', "jobs-$_") for 1, 2;
check('at first');

for my $n (1 .. 10)
{
	step('shop', 'shop', 'take');
	check("shop has taken $n");
}
is($own{shop}{shop}{overflow}, 5, 'the pool has overflowed as far as it may');
like(step('shop', 'shop', 'take')->{error}, qr/QueuePool limit of size 5 overflow 5 reached/, 'and gives no more');
check('shop was refused by its own pool');

my $full = $eye->row(q{SELECT utilization_percent, saturation_percent FROM pooldiag.pools WHERE pool = 'shop'});
is_deeply($full, { utilization_percent => '200', saturation_percent => '100' }, 'a full pool in percent');
is_deeply(
	$eye->row(q{SELECT connections, checked_out, capacity, utilization_percent
		FROM pooldiag.utilization WHERE scope = 'pool' AND name = 'shop'}),
	{ connections => 10, checked_out => 10, capacity => 10, utilization_percent => '200' },
	'utilization says the same');
my ($detailed) = grep { $_->{pool} eq 'shop' } @{ document($eye, 'SELECT pooldiag.health_detailed()')->{pools} };
is_deeply(
	{ map { $_ => $detailed->{$_} } qw(connections checked_out idle overflow) },
	{ connections => 10, checked_out => 10, idle => 0, overflow => 5 },
	'and so does health_detailed()');
is($eye->value(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'shop' AND state = 'idle in transaction'}),
	10, 'as pg_stat_activity has it');

# Two processes with a pool each, filled by turns and one of them beyond its size first.
for my $name (qw(jobs-1 jobs-1 jobs-1 jobs-2 jobs-2 jobs-2))
{
	step('jobs', $name, 'take');
	check("$name has taken one more");
}
$eye->query('SELECT pooldiag.sample_now()');

for my $n (reverse 0 .. 9)
{
	step('shop', 'shop', 'give');
	check("shop has kept $n");
}
for my $name (qw(jobs-2 jobs-1 jobs-2 jobs-1 jobs-1 jobs-2))
{
	step('jobs', $name, 'give');
	check("$name has given one back");
}
$eye->query('SELECT pooldiag.sample_now()');
is_deeply(
	[ $eye->query(q{SELECT pool, peak_checked_out FROM pooldiag.pools WHERE declared ORDER BY pool}) ],
	[ [ 'jobs', 6 ], [ 'shop', 10 ] ],
	'peaks stay');

# What the server can't tell: handed to code that has not begun a transaction.
my $borrowed = step('shop', 'shop', 'borrow');
is_deeply(
	[ $borrowed->{checked_out}, $eye->value(q{SELECT checked_out FROM pooldiag.pools WHERE pool = 'shop'}) ],
	[ 1, 0 ],
	'a connection outside of a transaction is idle to the server, whoever has it');
step('shop', 'shop', 'give');

$application->stop;
$eye->poll(q{SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^(shop|jobs)'}, 0);
is($eye->value('SELECT sum(connections) FROM pooldiag.pools WHERE declared'), 0,
	'none is left when the application has gone');

$node->stop;
done_testing();
