# Application.pm: an application with SQLAlchemy's connection pools, in a process of its own.
package PoolDiag::Application;

use strict;
use warnings;

use Carp;
use File::Basename;
use IO::Handle;
use IO::Select;
use IPC::Open2;
use JSON::PP;

# The Python that has the Debian packages, or whichever there is.
my $python = $ENV{PYTHON} // (-x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3');

# Starts it. Nothing comes of it where Python has no SQLAlchemy or psycopg2.
sub new
{
	my ($class) = @_;
	my $self = bless {}, $class;

	$self->{pid} = open2($self->{from}, $self->{to}, $python, dirname(__FILE__) . '/../queuepool.py');
	$self->{to}->autoflush;
	my $hello = readline $self->{from};
	return $self if defined $hello;
	$self->stop;
	return;
}

# Has the application do something with one of its pools, and returns its answer; see queuepool.py.
sub do
{
	my ($self, $what, $pool, %params) = @_;

	print { $self->{to} } encode_json({ do => $what, pool => $pool, %params }), "\n";
	croak 'the application does not answer'
	  unless IO::Select->new($self->{from})->can_read($PostgreSQL::Test::Utils::timeout_default);
	my $answer = readline $self->{from};
	croak 'the application has gone' unless defined $answer;
	return decode_json($answer);
}

# Ends the application, and its sessions with it.
sub stop
{
	my ($self) = @_;

	close $self->{to};
	waitpid $self->{pid}, 0;
	return;
}

1;
