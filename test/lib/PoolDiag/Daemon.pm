# Daemon.pm: programs of others that a test runs beside its servers, as its own child processes, on loopback. They end with
# the test, however it ends.
package PoolDiag::Daemon;

use strict;
use warnings;

use Carp;
use Exporter 'import';
use POSIX qw(:sys_wait_h _exit);

use PoolDiag::Session qw(wait_until);

our @EXPORT_OK = qw(find_program missing_programs substitute);

my %running;

# Where a program is, the folders of administrators' programs included; undef if it isn't installed.
sub find_program
{
	my ($name) = @_;

	for my $folder (split(/:/, $ENV{PATH}), qw(/usr/local/sbin /usr/sbin /sbin))
	{
		return "$folder/$name" if -x "$folder/$name" && -f _;
	}
	return;
}

# Which of these programs are not there. Where set-up has installed what the tests need, all have to be.
sub missing_programs
{
	my @missing = grep { !defined find_program($_) } @_;

	die "not there, though set-up has installed it: @missing" if @missing && $ENV{POOLDIAG_EQUIPPED};
	return @missing;
}

# A shipped file with some of its text replaced: pairs of a pattern and what takes its place. Each has to be found.
sub substitute
{
	my ($from, $to, @pairs) = @_;
	open my $in, '<', $from or croak "$from: $!";
	my $text = do { local $/; readline $in };

	while (my ($pattern, $replacement) = splice @pairs, 0, 2)
	{
		$text =~ s/$pattern/ref $replacement ? $replacement->() : $replacement/ge
		  or croak "$from has no $pattern";
	}
	open my $out, '>', $to or croak "$to: $!";
	print {$out} $text;
	close $out or croak "$to: $!";
	return $text;
}

# Starts a program with its output in a file.
sub start
{
	my ($class, $log, @command) = @_;
	my $setpriv = find_program('setpriv');
	# Should the test be killed, the system ends it.
	unshift @command, $setpriv, '--pdeathsig', 'TERM' if defined $setpriv;
	defined(my $pid = fork) or croak "fork: $!";
	if ($pid == 0)
	{
		open STDIN, '<', '/dev/null';
		open STDOUT, '>', $log;
		open STDERR, '>&', \*STDOUT;
		exec @command or _exit(127);
	}
	$running{$pid} = 1;
	return bless { pid => $pid, log => $log, name => $command[-1] }, $class;
}

# Has it ended by itself?
sub has_ended
{
	my ($self) = @_;
	return 1 if !$running{ $self->{pid} };
	return 0 if waitpid($self->{pid}, WNOHANG) == 0;
	delete $running{ $self->{pid} };
	return 1;
}

# Waits until the code returns something true, as long as the program runs.
sub await
{
	my ($self, $what, $code) = @_;

	return wait_until($what, sub {
		croak "$self->{log}:\n" . $self->output . "ended, waiting until $what" if $self->has_ended;
		return $code->();
	});
}

sub output
{
	my ($self) = @_;
	open my $log, '<', $self->{log} or return '';
	local $/;
	return readline($log) // '';
}

sub end
{
	my ($pid) = @_;
	# What it was ended by is nobody's exit status.
	local $?;

	return unless delete $running{$pid};
	kill 'TERM', $pid;
	for (1 .. 500)
	{
		return if waitpid($pid, WNOHANG) != 0;
		select undef, undef, undef, 0.02;
	}
	kill 'KILL', $pid;
	waitpid $pid, 0;
	return;
}

sub stop
{
	my ($self) = @_;
	end($self->{pid});
	return;
}

# END blocks run when a signal is something to die of.
$SIG{$_} //= sub { die "SIG$_[0]\n" } for qw(INT TERM HUP);
my $parent = $$;
END { if ($$ == $parent) { end($_) for keys %running; } }

1;
