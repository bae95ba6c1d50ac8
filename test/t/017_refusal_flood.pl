# Refusals in numbers: from several clients at once, as fast as they come, none is missed and none counted twice,
# and what is kept of them stays within its bounds. Then a server that lets nobody in yet.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use List::Util qw(sum0);
use POSIX qw(mkfifo);
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Crowd;
use PoolDiag::Server;
use PoolDiag::Session qw(wait_gone wait_until);

my $room = 4096;
my $sources_room = 256;
my $too_many = 'sorry, too many clients already';

# A sampler that would be late by far if nobody called it.
my $node = new_server('flood', <<'EOC');
max_connections = 6
superuser_reserved_connections = 2
wal_level = replica
pooldiag.sample_interval = 1h
pooldiag.evaluation_interval = 1h
EOC
my $eye = observer($node);
$eye->query('CREATE ROLE app LOGIN');
my @held = map { PoolDiag::Session->connect($node, user => 'app') } 1 .. 3;
push @held, map { observer($node) } 1 .. 2;

my $refused = q{SELECT refused FROM pooldiag.refusals WHERE reason = 'no slot left'};
my $attributed = 'SELECT coalesce(sum(refused), 0) FROM pooldiag.refusal_sources';
my $figure = sub { return $eye->value("SELECT value FROM pooldiag.self WHERE name = '$_[0]'"); };

# Lines of the server's log that say so.
sub logged
{
	my $lines = () = slurp_file($node->logfile) =~ /FATAL:  \Q$too_many\E$/mg;
	return $lines;
}

# Every slot is taken, and four applications try fifty times each.
my ($counted, $seconds) =
  crowd($node, 4, 50, sub { return (user => 'app', application_name => "web-$_[0]"); });
note(sprintf '%.0f attempts a second', 200 / $seconds);
is_deeply($counted, { $too_many => 200 }, 'two hundred attempts are refused');
is($eye->value($refused), 200, 'and counted');
is($eye->value('SELECT sum(refused) FROM pooldiag.refusals'), 200, 'under no other reason');
is(logged(), 200, 'as the server\'s log has them');
is($eye->value('SELECT count(*) FROM pooldiag.refusal_log'), 200, 'each is logged');
is_deeply(
	[ $eye->query(q{SELECT reason, usename, datname, application_name, client, refused, at_most_over
		FROM pooldiag.refusal_sources ORDER BY application_name}) ],
	[ map { [ 'no slot left', 'app', 'postgres', "web-$_", '[local]', 50, 0 ] } 1 .. 4 ],
	'and attributed');
is_deeply(
	[ $eye->query('SELECT application_name, max(last_at) FROM pooldiag.refusal_sources GROUP BY 1 ORDER BY 1') ],
	[ $eye->query('SELECT application_name, max(refused_at) FROM pooldiag.refusal_log GROUP BY 1 ORDER BY 1') ],
	'with the time of the last');
is($eye->value(q{SELECT bool_and(first_at <= last_at AND first_at = first AND last_at = last)
	FROM pooldiag.refusals, (SELECT min(refused_at) AS first, max(refused_at) AS last FROM pooldiag.refusal_log) AS log
	WHERE refused > 0}), 't', 'so has the reason, and that of the first');

# So many that the sampler, whose next tick is far away, is called.
my $all = 200;
my $flood = sub {
	my ($client, $attempt) = @_;
	return (user => 'app', application_name => $attempt % 3 ? 'n' . $attempt % 200 . "-$client" : 'heavy');
};
my $sums = sub {
	my ($when) = @_;
	is($eye->value($refused), $all, "$when: counted");
	is(logged(), $all, "$when: as in the server's log");
	is($eye->value($attributed) + $figure->('refusals_unattributed') + $figure->('refusals_torn'), $all,
		"$when: each has a source, or is known to have none");
};
($counted) = crowd($node, 4, 225, $flood);
$all += 900;
$sums->('a thousand');
$eye->poll(q{SELECT value < 1024 FROM pooldiag.self WHERE name = 'refusals_waiting'});
pass('the sampler has seen to them');
$eye->query('SELECT pooldiag.sample_now()');
is($figure->('refusals_waiting'), 0, 'in a tick it sees to the rest');
$sums->('then');
is($figure->('refusals_unattributed'), 0, 'every one has a source');
is($figure->('refusals_torn'), 0, 'none was torn');

# More than there is room for, in the log and among the sources: hundreds of names, and one that comes every
# third time. And a sampler that doesn't run: what is overwritten meanwhile is lost, and known to be.
my $sampler = $figure->('sampler_pid');
is(kill('STOP', $sampler), 1, 'the sampler is stopped');
($counted, $seconds) = crowd($node, 4, $room / 4 + 10, $flood);
note(sprintf '%.0f attempts a second', ($room + 40) / $seconds);
is_deeply($counted, { $too_many => $room + 40 }, 'meanwhile thousands are refused');
$all += $room + 40;
$sums->('without a sampler');
is($figure->('refusals_waiting'), $room + 40, 'the sampler has not seen to them');
is($figure->('refusals_unattributed'), 40, 'a session knows what is lost');
is($figure->('refusal_log_used'), $room, 'the log is full');
is($figure->('refusal_log_room'), $room, 'it has that much room');
is($figure->('refusal_log_dropped'), $all - $room, 'the others have left it');
is($eye->value('SELECT count(*) FROM pooldiag.refusal_log'), $room, 'it shows all it has');
is($figure->('refusal_sources_used'), $sources_room, 'sources are full');
is($figure->('refusal_sources_room'), $sources_room, 'they have that much room');
cmp_ok($figure->('refusal_sources_replaced'), '>', 0, 'some made way');
is(kill('CONT', $sampler), 1, 'the sampler goes on');
$eye->query('SELECT pooldiag.sample_now()');
$sums->('with it');
is($figure->('refusals_unattributed'), 40, 'it has lost as much');
my $heavy = $eye->row('SELECT application_name, refused, at_most_over FROM pooldiag.refusal_sources LIMIT 1');
my $exact = 4 * (int(225 / 3) + int(($room / 4 + 10) / 3));
is($heavy->{application_name}, 'heavy', 'the heaviest source is there');
cmp_ok($heavy->{refused}, '>=', $exact - 40, 'with no less than it had, but for what was lost');
cmp_ok($heavy->{refused} - $heavy->{at_most_over}, '<=', $exact, 'and no more, but for its error');

# A sampler that is started again goes on from there.
my $sources = 'SELECT * FROM pooldiag.refusal_sources ORDER BY application_name, refused';
my @before = $eye->query($sources);
is(kill('TERM', $sampler), 1, 'the sampler ends');
wait_gone($sampler);
is_deeply([ $eye->query($sources) ], \@before, 'without one all is as it was');
($counted) = crowd($node, 2, 5, sub { return (user => 'app', application_name => 'meanwhile'); });
$all += sum0(values %$counted);
$sums->('before there is another');
wait_until('there is another', sub { my $pid = $figure->('sampler_pid'); return $pid && $pid != $sampler; });
$eye->query('SELECT pooldiag.sample_now()');
$sums->('when there is another');
my $now = $eye->value(q{SELECT refused - at_most_over FROM pooldiag.refusal_sources WHERE application_name = 'meanwhile'});
is($now, 10, 'those that came between the two are there');
$eye->query('SELECT pooldiag.reset()');
is($eye->value('SELECT sum(refused) FROM pooldiag.refusals'), 0, 'all is forgotten when that is asked for');
$_->quit for @held, $eye;
$node->stop;

# The same server as a standby that nobody may ask, held where it starts up.
my ($gate, $go) = map { $node->basedir . "/$_" } qw(gate go);
mkfifo($gate, 0600) or die "mkfifo: $!";
$node->append_conf('postgresql.conf', "hot_standby = off\nrestore_command = 'test -e \"$go\" || cat \"$gate\"; false'\n");
$node->set_standby_mode;
# Does not wait until it is ready, as start would.
system_or_bail('pg_ctl', '--no-wait', '--pgdata', $node->data_dir, '--log', $node->logfile, 'start');
wait_until('it listens', sub { return eval { PoolDiag::Session->open_socket($node); }; });
$node->_update_pid(1);
my %standby;
my $meet = sub {
	my ($message) = @_;
	wait_until("it says $message", sub {
		my $error = PoolDiag::Session->refusal($node, user => 'app', application_name => 'early');
		$standby{"$error->{C} $error->{M}"}++;
		return $error->{M} =~ /$message/;
	});
	($counted) = crowd($node, 4, 5, sub { return (user => 'app', application_name => 'early'); });
	$standby{"57P03 $_"} += $counted->{$_} for keys %$counted;
};
$meet->('is starting up');
# The command waits for whoever writes, and ends when that has gone; those after it don't wait.
my $end;
wait_until('it waits', sub { return sysopen $end, $gate, POSIX::O_WRONLY() | POSIX::O_NONBLOCK(); });
append_to_file($go, '');
close $end;
$meet->('is not accepting connections');
# What comes before the postmaster knows of the promotion is refused, and would count.
my $logged = -s $node->logfile;
$node->promote;
$node->wait_for_log(qr/database system is ready to accept connections/, $logged);
$eye = observer($node);
is_deeply({ map { @$_ } $eye->query('SELECT reason, refused FROM pooldiag.refusals WHERE refused > 0') },
	{
		'starting up' => $standby{'57P03 the database system is starting up'},
		'recovery' => $standby{'57P03 the database system is not accepting connections'}
	},
	'what it refused before anybody could ask is told when somebody can');
cmp_ok(sum0(values %standby), '>=', 42, 'and that was much');
is($eye->value(q{SELECT string_agg(DISTINCT concat(usename, datname, application_name, client), ', ') FROM pooldiag.refusal_log}),
	'apppostgresearly[local]', 'with names that nobody could look up');
$eye->quit;
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'nothing went wrong');
done_testing();
