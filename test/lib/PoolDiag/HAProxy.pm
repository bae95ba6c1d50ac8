# HAProxy.pm: a real HAProxy, run by a test, and what it says of its servers on its socket.
package PoolDiag::HAProxy;

use strict;
use warnings;

use parent -norequire, 'PoolDiag::Daemon';

use IO::Socket::UNIX;

use PoolDiag::Daemon qw(find_program);

# Starts it with this configuration file, whose stats socket is at that path; returns when it answers there.
sub new
{
	my ($class, %params) = @_;
	my $self = $class->start($params{log}, find_program('haproxy'), '-db', '-f', $params{config});

	$self->{socket} = $params{socket};
	$self->await('HAProxy answers', sub { return $self->ask('show info'); });
	return $self;
}

sub ask
{
	my ($self, $command) = @_;
	my $socket = IO::Socket::UNIX->new(Peer => $self->{socket}) or return;

	print {$socket} "$command\n";
	$socket->shutdown(1);
	local $/;
	return readline $socket;
}

# Which servers of a backend are up, by their names.
sub up
{
	my ($self, $backend) = @_;
	my @lines = split /\n/, $self->ask('show stat') // '';
	my @names = split /,/, substr(shift @lines, 2);
	my @up;

	for my $line (@lines)
	{
		my %server;
		@server{@names} = split /,/, $line, -1;
		push @up, $server{svname}
		  if $server{pxname} eq $backend && $server{svname} ne 'BACKEND' && $server{check_status} && $server{status} =~ /^UP/
		  && $server{check_status} =~ /^L7OK/;
	}
	return join ' ', sort @up;
}

1;
