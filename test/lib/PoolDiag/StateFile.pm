# StateFile.pm: the state file's layout, and changes to it in place. Numbers are this machine's.
package PoolDiag::StateFile;

use strict;
use warnings;

my @header = (
	[ magic => 0, 'a8' ], [ byte_order => 8, 'L' ], [ format => 12, 'L' ], [ major => 16, 'L' ],
	[ pointer_size => 20, 'L' ], [ system_identifier => 24, 'Q' ], [ inode => 32, 'Q' ], [ birth => 40, 'Q' ],
	[ saved_at => 48, 'q' ], [ length => 56, 'Q' ], [ sections => 64, 'L' ], [ checksum => 68, 'L' ]);
my @section = (
	[ name => 0, 'Z16' ], [ length => 16, 'Q' ], [ version => 24, 'L' ], [ content => 28, 'L' ], [ unused => 32, 'L' ],
	[ checksum => 36, 'L' ]);
my ($header_size, $section_size) = (72, 40);

# The checksum that the server calls CRC-32C.
my @crc = map {
	my $crc = $_;
	$crc = $crc & 1 ? $crc >> 1 ^ 0x82F63B78 : $crc >> 1 for 1 .. 8;
	$crc;
} 0 .. 255;

sub crc32c
{
	my ($bytes) = @_;
	my $crc = 0xFFFFFFFF;
	$crc = $crc[ ($crc ^ $_) & 255 ] ^ $crc >> 8 for unpack 'C*', $bytes;
	return $crc ^ 0xFFFFFFFF;
}

sub new
{
	my ($class, $path) = @_;
	return bless { path => $path }, $class;
}

sub bytes
{
	my ($self, $at, $length) = @_;
	my $bytes;

	open my $file, '<:raw', $self->{path} or die "$self->{path}: $!";
	seek $file, $at, 0;
	read($file, $bytes, $length) == $length or die "$self->{path} ends before $at + $length";
	return $bytes;
}

# Writes over what is there, so that it stays the same file.
sub overwrite
{
	my ($self, $at, $bytes) = @_;

	open my $file, '+<:raw', $self->{path} or die "$self->{path}: $!";
	seek $file, $at, 0;
	print {$file} $bytes;
	close $file or die "$self->{path}: $!";
	return;
}

sub flip
{
	my ($self, $at) = @_;
	return $self->overwrite($at, $self->bytes($at, 1) ^ "\x10");
}

# What sections there are: name, where they begin, how long they are.
sub sections
{
	my ($self) = @_;
	my @sections;
	my $at = $header_size;

	for (1 .. unpack('L', $self->bytes(64, 4)))
	{
		my ($name, $length) = unpack('Z16 Q', $self->bytes($at, 24));
		push @sections, { name => $name, at => $at, length => $length };
		$at += $section_size + $length;
	}
	return @sections;
}

# A byte of everything in it, as [what, where].
sub places
{
	my ($self) = @_;
	my @places = map { [ "the header's $_->[0]", $_->[1] ] } @header;

	for my $section ($self->sections)
	{
		my ($name, $at, $length) = @$section{qw(name at length)};
		push @places, map { [ "the $_->[0] of the section $name", $at + $_->[1] ] } @section;
		$at += $section_size;
		push @places, [ "the first byte of the section $name", $at ],
		  [ "a byte of the section $name", $at + int($length / 3) ],
		  [ "the last byte of the section $name", $at + $length - 1 ];
	}
	return @places;
}

sub set
{
	my ($self, $fields, $start, $size, %change) = @_;
	my $bytes = $self->bytes($start, $size);

	for my $field (@$fields)
	{
		my ($name, $at, $format) = @$field;
		my $value = $name eq 'checksum' ? crc32c(substr $bytes, 0, $at) : $change{$name};
		next unless defined $value;
		my $packed = pack $format, $value;
		substr $bytes, $at, length $packed, $packed;
	}
	return $self->overwrite($start, $bytes);
}

# Changes fields of the header, or of a section's, and sets the checksum right.
sub set_header
{
	my ($self, %change) = @_;
	return $self->set(\@header, 0, $header_size, %change);
}

sub set_section
{
	my ($self, $index, %change) = @_;
	return $self->set(\@section, ($self->sections)[$index]{at}, $section_size, %change);
}

# A gauge in the 16 bits in which a point keeps it: exactly, if it is a whole number below 32.
sub packed
{
	my ($value) = @_;
	my $units = $value * 256;
	my $shift = 0;

	$shift++ while $units >> $shift >= 8192;
	return $units if $units < 4096;
	return ($shift + 1) << 12 | ($units >> $shift) - 4096;
}

sub point
{
	my ($number, $seconds, %figures) = @_;
	my @gauges = map { packed($figures{$_} // 0) } qw(connections active waiting utilization idle idle_in_transaction);
	my $count = sub { return substr pack('L', $_[0]), 0, 3; };

	# No percentiles are known: 511 in 9 bits.
	return pack('L L L L', $number, $figures{xacts} // 0, $figures{xacts} // 0, $seconds | 511 << 10 | 511 << 19)
	  . $count->($figures{connections}) . $count->(0) x 3 . pack('S S6 S3', packed($seconds), @gauges, @gauges[ 1 .. 3 ]);
}

# Writes a past into the section history: for a pool, by its name, or the server (''), a function that has for each point, of
# so many seconds ago and for so many seconds, what was known then, or nothing. The server has stopped.
sub give_past
{
	my ($self, $now, %past) = @_;
	my $index = 0;
	my @sections = $self->sections;
	$index++ until $sections[$index]{name} eq 'history';
	my ($at, $length) = @{ $sections[$index] }{qw(at length)};
	my $content = $self->bytes($at + $section_size, $length);
	my ($point_size, undef, $server_size, $pool_size, @rest) = unpack 'L4 i12 l', $content;
	my @tiers = ([ @rest[ 0 .. 5 ] ], [ @rest[ 6 .. 11 ] ]);
	my @series = ([ '', 72, $server_size, $tiers[0] ]);
	my $next = 72 + $server_size;

	die 'a point is not what it was' if $point_size != 48;
	# Its name, and whether it is declared, stand before a pool's series.
	for (1 .. $rest[12])
	{
		push @series, [ unpack('Z392', substr $content, $next, 392), $next + 393, $pool_size, $tiers[1] ];
		$next += 393 + $pool_size;
	}
	die 'the history ends elsewhere' if $next != $length;
	for my $series (@series)
	{
		my ($name, $start, $size, $tiers) = @$series;
		my $what = delete $past{$name} or next;
		my $points = $tiers->[1] + $tiers->[3] + $tiers->[5];
		my $first = $start + $size - $points * $point_size;

		for my $tier (0 .. 2)
		{
			my ($seconds, $count) = @$tiers[ 2 * $tier, 2 * $tier + 1 ];

			for my $number (int($now / $seconds) - $count + 1 .. int($now / $seconds) - 1)
			{
				my $figures = $what->($now - $number * $seconds, $seconds) or next;
				substr $content, $first + ($number % $count) * $point_size, $point_size, point($number, $seconds, %$figures);
			}
			$first += $count * $point_size;
		}
	}
	die 'no history of ' . join ', ', keys %past if %past;
	$self->overwrite($at + $section_size, $content);
	return $self->set_section($index, content => crc32c($content));
}

1;
