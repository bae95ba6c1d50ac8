# Http.pm: a client of the HTTP endpoint: what a well-behaved one sends, and, over a socket, whatever a test likes.
package PoolDiag::Http;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use HTTP::Tiny;
use IO::Select;
use IO::Socket::IP;
use JSON::PP;
use PoolDiag::Session;

our @EXPORT_OK = qw(ask fetch json_of open_socket read_answer);

my $client = HTTP::Tiny->new(timeout => PoolDiag::Session::patience(), keep_alive => 0, max_redirect => 0);

# The answer of the endpoint at that port: { status, headers, content }. Options: method, headers, content.
sub ask
{
	my ($port, $path, %options) = @_;
	my $method = delete $options{method} // 'GET';
	my $answer = $client->request($method, "http://127.0.0.1:$port$path", \%options);

	croak "no answer from port $port: $answer->{content}" if $answer->{status} == 599;
	return $answer;
}

# Has it an answer? Undefined where nobody listens.
sub fetch
{
	my ($port, $path, %options) = @_;

	return eval { ask($port, $path, %options) };
}

# The document of an answer.
sub json_of
{
	my ($answer) = @_;

	return JSON::PP->new->utf8->decode($answer->{content});
}

sub open_socket
{
	my ($port) = @_;

	return IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $port) // croak "port $port: $@";
}

# All that comes until the other side closes the connection, or until there is nothing any more for what the code says
# is enough; undefined if patience ends.
sub read_answer
{
	my ($socket, $is_enough) = @_;
	my $select = IO::Select->new($socket);
	my $deadline = time() + PoolDiag::Session::patience();
	my $text = '';

	while (time() < $deadline)
	{
		return $text if $is_enough && $is_enough->($text);
		next unless $select->can_read(1);
		my $read = sysread $socket, $text, 65536, length $text;
		return $text unless $read;
	}
	return;
}

1;
