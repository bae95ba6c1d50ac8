# Advice.pm: what tests ask of recommendations again and again: that a rule fires, that its remedy, pasted as it is, works, and
# that it fires no more.
package PoolDiag::Advice;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use JSON::PP;
use Test::More;

use PoolDiag::Session qw(wait_until);

our @EXPORT = qw(fires quiet paste leaves advice_on);

# The row of a rule, with its evidence decoded; undef if it doesn't fire. subject is a pattern.
sub advice_on
{
	my ($eye, $rule, $subject) = @_;
	my @rows = grep { !defined $subject || $_->{subject} =~ $subject }
	  $eye->rows("SELECT * FROM pooldiag.recommendations WHERE rule = '$rule'");

	croak "$rule fires for " . join(', ', map { $_->{subject} } @rows) if @rows > 1;
	return unless @rows;
	$rows[0]{evidence} = decode_json($rows[0]{evidence});
	return $rows[0];
}

# Waits until the rule fires, and checks what every row has.
sub fires
{
	my ($eye, $rule, $severity, $subject) = @_;
	my $row;

	eval {
		wait_until("$rule fires", sub { $row = advice_on($eye, $rule, $subject); return $row && $row->{severity} eq $severity; });
		1;
	} or croak "$@: " . join('; ', map { "$_->[0] $_->[1] $_->[2]" } $eye->query('SELECT severity, rule, title FROM pooldiag.recommendations'));
	subtest "$rule fires" => sub {
		is($row->{severity}, $severity, 'severity');
		ok(length $row->{$_}, "has $_: $row->{$_}") for qw(title advice remedy);
		cmp_ok(length $row->{title}, '<=', 160, 'the title is short');
		my $since = $row->{first_seen};
		isnt($since, undef, 'since when');
		# A beginning holds, from when it was first noted: at the sampler's next judgement.
		$eye->query('SELECT pooldiag.sample_now()');
		my $noted = advice_on($eye, $rule, $subject);
		$eye->query('SELECT pooldiag.sample_now()');
		my $again = advice_on($eye, $rule, $subject);
		is($again && $again->{first_seen}, $noted && $noted->{first_seen}, 'which holds');
		cmp_ok($again->{last_seen}, 'gt', $noted->{last_seen}, 'and when last') if $again && $noted;
	};
	return $row;
}

# Runs what is in the column remedy as it is, with psql; returns what psql printed.
sub paste
{
	my ($node, $row, $database) = @_;
	my ($out, $err);
	my $rc = $node->psql($database // 'postgres', $row->{remedy}, stdout => \$out, stderr => \$err, on_error_stop => 1);

	is($rc, 0, "$row->{rule}: the remedy can be pasted");
	is($err, '', "$row->{rule}: without a complaint");
	return $out;
}

sub leaves
{
	my ($eye, $rule, $subject) = @_;

	wait_until("$rule fires no more", sub { return !advice_on($eye, $rule, $subject); });
	pass("$rule fires no more");
	return;
}

# A server at which nothing is wrong.
sub quiet
{
	my ($eye) = @_;

	for (1 .. 3)
	{
		$eye->query('SELECT pooldiag.sample_now()');
		is_deeply([ $eye->query('SELECT severity, rule, title FROM pooldiag.recommendations') ],
			[ [ 'info', 'all_clear', 'All systems operating normally' ] ], 'a quiet server: all clear');
	}
	return;
}

1;
