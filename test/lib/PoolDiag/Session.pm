# Session.pm: a client that speaks the server's protocol itself.
#
# Tests hold dozens of sessions still, each in a state of their choice, send names in bytes that no
# encoding has, leave the server's question for a password unanswered, and call functions by the fastpath.
# psql does none of that, and would be one more process for each session.
#
# What a session reads and writes are bytes, not characters.
package PoolDiag::Session;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use IO::Select;
use IO::Socket::IP;
use IO::Socket::UNIX;
use Time::HiRes qw(time usleep);

our @EXPORT_OK = qw(wait_gone wait_until);

# Every wait ends after this many seconds; none is expected to come near it.
sub patience { return $PostgreSQL::Test::Utils::timeout_default; }

# Calls the code until it returns something true, and returns that; dies when patience is at an end.
sub wait_until
{
	my ($what, $code) = @_;
	my $deadline = time() + patience();

	while (1)
	{
		my $result = $code->();
		return $result if $result;
		croak "timed out waiting until $what" if time() > $deadline;
		usleep(20_000);
	}
}

# Does this process still do something? One that has ended stays until somebody asks how.
sub lives
{
	my ($pid) = @_;

	return 0 unless kill 0, $pid;
	open my $stat, '<', "/proc/$pid/stat" or return 1;
	return (readline($stat) // ') Z') !~ /\) Z/;
}

# Waits until none of these processes lives. A session's slot is free by then, which its disappearance
# from pg_stat_activity doesn't tell.
sub wait_gone
{
	my @pids = @_;

	wait_until("processes @pids are gone", sub { return !grep { lives($_) } @pids; });
	return;
}

# PoolDiag::Session->start($node, user => ..., database => ..., application_name => ...,
#     host => ADDRESS for TCP, parameters => { NAME => VALUE })
#
# Sends the startup packet, and doesn't wait for an answer.
sub start
{
	my ($class, $node, %params) = @_;
	my %startup = (
		user => $params{user} // $ENV{PGUSER} // scalar(getpwuid($<)),
		database => $params{database} // 'postgres',
		application_name => $params{application_name} // '',
		%{ $params{parameters} // {} });
	my $packet = pack('N', 196608)
	  . join('', map { "$_\0$startup{$_}\0" } sort keys %startup) . "\0";
	my $self = bless { buffer => '', notices => [], notifications => [] }, $class;

	$self->{socket} = $class->open_socket($node, $params{host});
	$self->put(pack('N', length($packet) + 4) . $packet);
	return $self;
}

# Opens a connection to the node over which nothing has been sent yet.
sub open_socket
{
	my ($class, $node, $host) = @_;
	my $socket =
	  defined $host
	  ? IO::Socket::IP->new(PeerHost => $host, PeerPort => $node->port, Proto => 'tcp')
	  : IO::Socket::UNIX->new(Type => SOCK_STREAM(), Peer => $node->host . '/.s.PGSQL.' . $node->port);

	croak "could not connect to the server: $!" unless defined $socket;
	return $socket;
}

# As start, and waits until the session is ready; dies if it is refused.
sub connect
{
	my ($class, $node, %params) = @_;
	my $self = $class->start($node, %params);
	my $result = $self->finish;

	croak "connection refused: $result->{error}{M}" if $result->{error};
	return $self;
}

# As connect, but returns the fields of the error with which the connection was refused.
sub refusal
{
	my ($class, $node, %params) = @_;
	my $self = $class->start($node, %params);
	my $result = $self->finish;

	$self->quit unless $result->{error};
	return $result->{error};
}

# The process at the other end; known once the session is ready.
sub pid { return $_[0]->{pid}; }

sub put
{
	my ($self, $bytes) = @_;

	while (length $bytes)
	{
		my $written = syswrite $self->{socket}, $bytes;
		croak "could not write to the server: $!" unless defined $written;
		substr($bytes, 0, $written, '');
	}
	return;
}

# Reads until that many bytes are in the buffer. False at the end of the stream.
sub fill
{
	my ($self, $length) = @_;
	my $deadline = time() + patience();

	while (length $self->{buffer} < $length)
	{
		my $left = $deadline - time();
		croak 'timed out waiting for the server' unless $left > 0;
		# A child's end interrupts the wait.
		next unless IO::Select->new($self->{socket})->can_read($left);
		my $read = sysread $self->{socket}, $self->{buffer}, 65536, length $self->{buffer};
		return 0 if !$read;
	}
	return 1;
}

# The next message: its type and what it holds. Nothing at the end of the stream.
sub message
{
	my ($self) = @_;

	return unless $self->fill(5);
	my ($type, $length) = unpack('a N', $self->{buffer});
	return unless $self->fill($length + 1);
	my $body = substr($self->{buffer}, 5, $length - 4);
	substr($self->{buffer}, 0, $length + 1, '');
	return ($type, $body);
}

sub fields
{
	my ($body) = @_;
	my %fields;

	$fields{$1} = $2 while $body =~ /\G([^\0])([^\0]*)\0/gs;
	return \%fields;
}

# Reads the answer to what was sent, up to the moment when the server is ready for more or has gone.
# Returns the last rows, their columns, and the first error.
sub finish
{
	my ($self) = @_;
	my %result = (columns => [], rows => [], error => undef);

	while (my ($type, $body) = $self->message)
	{
		if ($type eq 'Z') { return \%result; }
		elsif ($type eq 'E') { $result{error} //= fields($body); }
		elsif ($type eq 'N') { push @{ $self->{notices} }, fields($body); }
		elsif ($type eq 'A') { push @{ $self->{notifications} }, (unpack('x4 Z* Z*', $body))[1]; }
		elsif ($type eq 'K') { $self->{pid} = unpack('N', $body); }
		elsif ($type eq 'R' && unpack('N', $body) != 0)
		{
			croak 'the server asks for a password, and this client has none';
		}
		elsif ($type eq 'T')
		{
			my @columns;
			my $at = 2;
			for (1 .. unpack('n', $body))
			{
				my $name = unpack("x$at Z*", $body);
				push @columns, $name;
				$at += length($name) + 1 + 18;
			}
			$result{columns} = \@columns;
			$result{rows} = [];
		}
		elsif ($type eq 'D')
		{
			my @row;
			my $at = 2;
			for (1 .. unpack('n', $body))
			{
				my $length = unpack('l>', substr($body, $at, 4));
				push @row, $length < 0 ? undef : substr($body, $at + 4, $length);
				$at += 4 + ($length < 0 ? 0 : $length);
			}
			push @{ $result{rows} }, \@row;
		}
	}
	$result{error} //= { S => 'FATAL', M => 'the connection was closed' };
	return \%result;
}

# Sends a statement, and doesn't wait for its end.
sub send
{
	my ($self, $sql) = @_;

	$self->put('Q' . pack('N', length($sql) + 5) . "$sql\0");
	return;
}

# Calls a function by its OID, with arguments in text form, and doesn't wait for its end.
sub send_fastpath
{
	my ($self, $oid, @arguments) = @_;
	my $body = pack('N n n n', $oid, 1, 0, scalar @arguments)
	  . join('', map { pack('N', length) . $_ } @arguments)
	  . pack('n', 0);

	$self->put('F' . pack('N', length($body) + 4) . $body);
	return;
}

# Runs a statement, whatever comes of it; see finish.
sub try
{
	my ($self, $sql) = @_;

	$self->send($sql);
	return $self->finish;
}

# Runs a statement, and dies if it fails. Returns its rows as references to arrays.
sub query
{
	my ($self, $sql) = @_;
	my $result = $self->try($sql);

	croak "$result->{error}{M}, in: $sql" if $result->{error};
	return @{ $result->{rows} };
}

# The rows of a query, as references to hashes.
sub rows
{
	my ($self, $sql) = @_;
	my $result = $self->try($sql);
	my @rows;

	croak "$result->{error}{M}, in: $sql" if $result->{error};
	for my $row (@{ $result->{rows} })
	{
		my %hash;
		@hash{ @{ $result->{columns} } } = @$row;
		push @rows, \%hash;
	}
	return @rows;
}

# The only row of a query, as a reference to a hash.
sub row
{
	my ($self, $sql) = @_;
	my @rows = $self->rows($sql);

	croak scalar(@rows) . " rows instead of one, from: $sql" if @rows != 1;
	return $rows[0];
}

# The first column of a query.
sub column
{
	my ($self, $sql) = @_;

	return map { $_->[0] } $self->query($sql);
}

# The first column of a query's first row.
sub value
{
	my ($self, $sql) = @_;

	return ($self->column($sql))[0];
}

# Runs a query until its value is the expected one, and dies when patience is at an end.
sub poll
{
	my ($self, $sql, $expected) = @_;
	my $value;

	$expected //= 't';
	eval {
		wait_until('', sub { $value = $self->value($sql); return defined $value && $value eq $expected; });
		1;
	} or croak "$@\n$sql\nlast gave: " . ($value // 'NULL') . ", not: $expected";
	return 1;
}

# What the server has sent beside results since the last call.
sub notices
{
	my ($self) = @_;
	my @notices = @{ $self->{notices} };

	$self->{notices} = [];
	return @notices;
}

# The notifications that have come with results since the last call: their payloads.
sub notifications
{
	my ($self) = @_;
	my @notifications = @{ $self->{notifications} };

	$self->{notifications} = [];
	return @notifications;
}

# Ends the session as a client does that is done, and waits until its process has gone.
sub quit
{
	my ($self) = @_;

	return unless defined $self->{socket};
	syswrite $self->{socket}, 'X' . pack('N', 4);
	$self->drop;
	return;
}

# Closes the connection without a word, and waits until its process, if it is known, has gone.
sub drop
{
	my ($self) = @_;

	return unless defined $self->{socket};
	close $self->{socket};
	$self->{socket} = undef;
	wait_gone($self->{pid}) if $self->{pid};
	return;
}

1;
