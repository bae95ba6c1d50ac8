# Metrics.pm: an exposition taken apart, and what others have to say to one.
package PoolDiag::Metrics;

use strict;
use warnings;

use Carp;
use Encode ();
use Exporter 'import';
use File::Basename qw(dirname);
use IPC::Run;
use JSON::PP;
use Test::More;

our @EXPORT = qw(parse_metrics check_metrics);

my $python = $ENV{PYTHON} // (-x '/usr/bin/python3' ? '/usr/bin/python3' : 'python3');
my $parser = dirname(__FILE__) . '/../openmetrics.py';

# Takes an exposition apart, of either format; dies where a line is none of the format's. Names and values of labels are
# bytes, without what escapes them.
sub parse_metrics
{
	my ($text) = @_;
	my $self = bless { samples => {}, families => {} }, __PACKAGE__;

	croak 'the last line has no end' if $text !~ /\n\z/;
	for my $line (split /\n/, $text)
	{
		if ($line =~ /^# TYPE ([a-z_]+) (\w+)$/)
		{
			croak "twice: $line" if $self->{families}{$1};
			$self->{families}{$1} = $2;
		}
		elsif ($line =~ /^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\]|\\[\\"n])*",?)*)\})? (\S+)$/)
		{
			my ($name, $inside, $value) = ($1, $2 // '', $3);
			my %labels;

			while ($inside =~ /\G([a-z_]+)="((?:[^"\\]|\\.)*)"(?:,|$)/g)
			{
				my ($label, $escaped) = ($1, $2);
				croak "twice in a line: $label: $line" if exists $labels{$label};
				$labels{$label} = $escaped =~ s/\\(.)/$1 eq 'n' ? "\n" : $1/ger;
			}
			my $key = key($name, %labels);
			croak "twice: $line" if $self->{samples}{$key};
			$self->{samples}{$key} = { name => $name, labels => \%labels, value => $value };
		}
		elsif ($line !~ /^# (?:(?:HELP|UNIT) [a-z_]+ [^\x00-\x1f]+|EOF)$/)
		{
			croak "what is that: $line";
		}
	}
	return $self;
}

sub key
{
	my ($name, %labels) = @_;
	return join "\0", $name, map { $_, $labels{$_} } sort keys %labels;
}

# The value of a sample, or undef if there is none.
sub value
{
	my ($self, $name, %labels) = @_;
	my $sample = $self->{samples}{ key($name, %labels) };
	return $sample && $sample->{value};
}

# All samples of that name which have these labels, and maybe others.
sub samples
{
	my ($self, $name, %labels) = @_;

	return grep {
		my $sample = $_;
		$sample->{name} eq $name && !grep { ($sample->{labels}{$_} // '') ne $labels{$_} } keys %labels;
	} values %{ $self->{samples} };
}

sub sum
{
	my $self = shift;
	my $sum = 0;
	$sum += $_->{value} for $self->samples(@_);
	return $sum;
}

# The values that a label of samples of that name has, each once.
sub labels
{
	my ($self, $name, $label) = @_;
	my %seen = map { $_->{labels}{$label} => 1 } $self->samples($name);
	return sort keys %seen;
}

sub run
{
	my ($in, @command) = @_;
	my ($out, $err) = ('', '');
	my $ok = eval { IPC::Run::run(\@command, '<', \$in, '>', \$out, '2>', \$err) };
	return ($ok, $out, $err . ($@ // ''));
}

# Is that there? Where set-up has installed what the tests need, it has to be.
sub is_there
{
	my ($what, @probe) = @_;
	my ($ok) = run('', @probe);

	die "$what is not there, though set-up has installed it" if !$ok && $ENV{POOLDIAG_EQUIPPED};
	return $ok;
}

# What promtool says to the Prometheus format, which should be nothing, and the parser of Prometheus's Python client to
# OpenMetrics, which should be what is in it.
sub check_metrics
{
	my ($what, $openmetrics, $prometheus) = @_;

  SKIP:
	{
		skip "promtool is not here: nobody else has checked the Prometheus format of $what", 1
		  unless is_there('promtool', 'promtool', '--version');
		my ($ok, $out, $err) = run($prometheus, 'promtool', 'check', 'metrics');
		is(($ok ? '' : 'failed: ') . $out . $err, '', "promtool has nothing to say: $what");
	}
  SKIP:
	{
		skip "prometheus_client is not here: nobody else has read the OpenMetrics of $what", 2
		  unless is_there('prometheus_client', $python, $parser, 'probe');
		my ($ok, $out, $err) = run($openmetrics, $python, $parser);
		is($err, '', "Prometheus's own parser reads OpenMetrics: $what");
		my %read;
		for my $family ($ok ? @{ decode_json($out) } : ())
		{
			for my $sample (@{ $family->[4] })
			{
				my ($name, $labels, $value) = @$sample;
				$read{ key($name, map { Encode::encode('UTF-8', $_) } %$labels) } = $value;
			}
		}
		my $metrics = parse_metrics($openmetrics);
		my @differ = grep { !exists $read{$_} || $read{$_} != $metrics->{samples}{$_}{value} } keys %{ $metrics->{samples} };
		is_deeply([ scalar keys %read, @differ ], [ scalar keys %{ $metrics->{samples} } ], "and finds all that was written: $what");
	}
	return;
}

1;
