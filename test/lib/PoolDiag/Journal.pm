# Journal.pm: reads the journal's records, by its layout, without pooldiag. Numbers are this machine's.
package PoolDiag::Journal;

use strict;
use warnings;

use Exporter 'import';

use PoolDiag::StateFile;

our @EXPORT_OK = qw(content records alert_ids header_size);

my ($header_size, $record_header) = (56, 24);

sub header_size { return $header_size; }

# The bytes of a journal; none where there is no file, as for a moment when a new one is begun.
sub content
{
	my ($path) = @_;
	open my $file, '<:raw', $path or return '';
	local $/;
	return readline($file) // '';
}

# The records of these bytes that are whole: where each begins and ends, its kind, and of an alert id and message.
sub records
{
	my ($bytes) = @_;
	my @records;
	my $at = $header_size;

	while ($at + $record_header <= length $bytes)
	{
		my ($magic, $kind, $length, $content, undef, $checksum) = unpack 'L6', substr $bytes, $at, $record_header;
		my $end = $at + $record_header + 8 * int(($length + 7) / 8);
		if (   $magic != 0x44524c50
			|| $checksum != PoolDiag::StateFile::crc32c(substr $bytes, $at, $record_header - 4)
			|| $end > length $bytes
			|| $content != PoolDiag::StateFile::crc32c(substr $bytes, $at + $record_header, $length))
		{
			$at += 8;
			next;
		}
		push @records, { at => $at, end => $end, kind => $kind, id => unpack 'q', substr $bytes, $at + $record_header, 8 };
		$at = $end;
	}
	return @records;
}

# The ids of the alerts among them, in their order.
sub alert_ids
{
	my ($bytes) = @_;
	return map { $_->{id} } grep { $_->{kind} == 1 } records($bytes);
}

1;
