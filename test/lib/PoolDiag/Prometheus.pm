# Prometheus.pm: a real Prometheus, run by a test, and what tests ask it over its HTTP API.
package PoolDiag::Prometheus;

use strict;
use warnings;

use parent -norequire, 'PoolDiag::Daemon';

use Carp;
use HTTP::Tiny;
use JSON::PP;

use PoolDiag::Daemon qw(find_program);

# Starts it with this configuration file, with its data in a folder, on a port of 127.0.0.1; returns when it is ready.
sub new
{
	my ($class, %params) = @_;
	my $self = $class->start("$params{data}.log", find_program('prometheus'), "--config.file=$params{config}",
		"--storage.tsdb.path=$params{data}", "--web.listen-address=127.0.0.1:$params{port}", '--log.level=warn');

	$self->{url} = "http://127.0.0.1:$params{port}";
	$self->{http} = HTTP::Tiny->new(timeout => 30);
	$self->await('Prometheus is ready', sub { return $self->{http}->get("$self->{url}/-/ready")->{success}; });
	return $self;
}

# What the API answers at a path; dies of an error, which a wrong query is.
sub api
{
	my ($self, $path, %params) = @_;
	my $answer = $self->{http}->post_form("$self->{url}/api/v1/$path", \%params);

	# Not all of it takes POST.
	$answer = $self->{http}->get("$self->{url}/api/v1/$path?" . $self->{http}->www_form_urlencode(\%params))
	  if $answer->{status} == 405;
	my $document = eval { decode_json($answer->{content}) };
	croak "$path: $answer->{status} $answer->{content}" if !$document;
	croak "$path: $document->{error}" if $document->{status} ne 'success';
	return $document->{data};
}

# The samples that a query gives now: references to hashes, with labels and value.
sub query
{
	my ($self, $expr) = @_;
	my $data = $self->api('query', query => $expr);

	return { labels => {}, value => $data->{result}[1] } if $data->{resultType} eq 'scalar';
	return map { { labels => $_->{metric}, value => $_->{value}[1] } } @{ $data->{result} };
}

# The value of a query that gives one sample; undef if there is none.
sub value
{
	my ($self, $expr) = @_;
	my @samples = $self->query($expr);

	croak scalar(@samples) . " samples instead of one, from: $expr" if @samples > 1;
	return @samples ? $samples[0]{value} : undef;
}

# The values of a query by those of one label.
sub by
{
	my ($self, $label, $expr) = @_;

	return { map { ($_->{labels}{$label} // '') => $_->{value} } $self->query($expr) };
}

# The alerts that fire: references to hashes, with labels and annotations.
sub firing
{
	my ($self, $name) = @_;

	return grep { $_->{state} eq 'firing' && (!defined $name || $_->{labels}{alertname} eq $name) }
	  @{ $self->api('alerts')->{alerts} };
}

1;
