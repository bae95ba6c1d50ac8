# Crowd.pm: many clients at once, each in a process of its own, that try to connect again and again.
package PoolDiag::Crowd;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use IO::Handle;
use JSON::PP;
use POSIX ();
use Time::HiRes qw(time);

use PoolDiag::Session;

our @EXPORT = qw(crowd);

# crowd($node, CLIENTS, ATTEMPTS, sub { my ($client, $attempt) = @_; return parameters of connect })
#
# All of them begin together. Returns what they counted, { MESSAGE => refusals }, and how many seconds it took.
# A connection that is made is ended again, and counted under ''.
sub crowd
{
	my ($node, $clients, $attempts, $params) = @_;
	my @answers;
	my %refused;

	pipe my $start, my $starter or croak "pipe: $!";
	for my $client (1 .. $clients)
	{
		pipe my $from, my $to or croak "pipe: $!";
		my $pid = fork // croak "fork: $!";
		if ($pid == 0)
		{
			# Nothing of the parent's, such as its servers' end, may run here.
			eval { close $starter; work($node, $client, $attempts, $params, $start, $to); 1 } or warn $@;
			POSIX::_exit(0);
		}
		push @answers, [ $pid, $from ];
	}
	my $began = time();
	close $start;
	close $starter;
	for my $answer (@answers)
	{
		my $counted = readline $answer->[1] // croak 'a client ended without an answer';
		waitpid $answer->[0], 0;
		my $of_one = decode_json($counted);
		$refused{$_} += $of_one->{$_} for keys %$of_one;
	}
	return (\%refused, time() - $began);
}

# What one client does.
sub work
{
	my ($node, $client, $attempts, $params, $start, $to) = @_;
	my %refused;

	# Returns when the parent has closed the other end.
	readline $start;
	for my $attempt (1 .. $attempts)
	{
		my $error = PoolDiag::Session->refusal($node, $params->($client, $attempt));
		$refused{ $error ? $error->{M} : '' }++;
	}
	print $to encode_json(\%refused), "\n";
	$to->flush;
	return;
}

1;
