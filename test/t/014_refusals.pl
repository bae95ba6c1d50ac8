# Connections that are turned away: each is counted under its reason, once, as the clients themselves and the
# server's log have it; and nothing else is.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Server;
use PoolDiag::Session qw(wait_gone wait_until);

my $node = new_server('refusals', <<'EOC', allows_streaming => 1);
max_connections = 9
superuser_reserved_connections = 2
max_wal_senders = 1
listen_addresses = '127.0.0.1, ::1'
log_hostname = on
pooldiag.sample_interval = 100ms
EOC
my $eye = observer($node);
my $version = $eye->value(q{SELECT current_setting('server_version_num')::int / 10000});
my $logged = -s $node->logfile;

my @reasons = (
	'no slot left',
	'only reserved slots left',
	'role limit',
	'database limit',
	'walsender limit',
	'authentication',
	'no such database',
	'starting up',
	'shutting down',
	'recovery',
	'protocol violation',
	'other');

# The reason by what the server says to the client or to its log. These are all that clients provoke here;
# nothing stands for those that have nothing to do with a refusal.
sub reason
{
	my ($message) = @_;

	for ($message)
	{
		return 'no slot left' if /^sorry, too many clients already/;
		return 'only reserved slots left' if /^remaining connection slots are reserved for/;
		return 'role limit' if /^too many connections for role/;
		return 'database limit' if /^too many connections for database/;
		return 'walsender limit' if /^number of requested standby connections exceeds "?max_wal_senders/;
		return 'authentication'
		  if /authentication failed|pg_hba\.conf rejects|^no pg_hba\.conf entry|^canceling authentication/
		  || /^role .* (does not exist|is not permitted to log in)|^no PostgreSQL user name/;
		return 'no such database' if /^database .* does not exist/;
		return 'shutting down' if /^the database system is shutting down/;
		return 'protocol violation'
		  if /startup packet|^unsupported frontend protocol|^received unencrypted data|^expected .* response|length of/;
		return undef if /^terminating connection|^invalid frontend message|^unexpected EOF/;
	}
	return 'other';
}

# What clients have counted, and one refusal of theirs.
my %clients = map { $_ => 0 } @reasons;

sub refused
{
	my ($what, $reason, $sqlstate, %params) = @_;
	my $error = ref $params{error} ? $params{error} : PoolDiag::Session->refusal($node, %params);

	is($error->{C}, $sqlstate, "$what: refused with $sqlstate");
	is(reason($error->{M}), $reason, "$what: $reason");
	$clients{$reason}++;
	check_last($what, $reason, $sqlstate, %params);
	return $error;
}

# The refusal that came last is the first of the log, and the last of its reason.
sub check_last
{
	my ($what, $reason, $sqlstate, %params) = @_;
	my $named = !exists $params{error};
	my %expected = (
		sqlstate => $sqlstate,
		usename => $params{user} // ($named ? scalar getpwuid($<) : undef),
		datname => $params{database} // ($named ? 'postgres' : undef),
		application_name => $params{application_name} // ($named ? '' : undef),
		client => $params{host} // '[local]');

	is_deeply($eye->row(q{SELECT reason, sqlstate, usename, datname, application_name, client
			FROM pooldiag.refusal_log LIMIT 1}),
		{ %expected, reason => $reason }, "$what: logged with its names");
	is_deeply($eye->row(qq{SELECT sqlstate, last_user AS usename, last_database AS datname,
				last_application_name AS application_name, last_client AS client
			FROM pooldiag.refusals WHERE reason = '$reason'}),
		\%expected, "$what: the last one of its reason");
	return;
}

# All that is counted anywhere is what clients have counted.
sub check_counts
{
	my ($when) = @_;
	my %logged = map { $_ => 0 } @reasons;
	my $log = substr(slurp_file($node->logfile), $logged);

	is_deeply([ $eye->query('SELECT reason, refused FROM pooldiag.refusals') ],
		[ map { [ $_, $clients{$_} ] } @reasons ], "$when: as clients have counted");
	while ($log =~ /^\S+ \S+ \S+ .*?\[\d+\] .*?(FATAL|LOG):  (.*)$/mg)
	{
		my $reason = reason($2);
		$logged{$reason}++ if defined $reason && ($1 eq 'FATAL' || $reason eq 'protocol violation');
	}
	is_deeply(\%logged, \%clients, "$when: as the server's log has it");
	my %by_log = map { @$_ } $eye->query('SELECT reason, count(*) FROM pooldiag.refusal_log GROUP BY 1');
	is_deeply({ map { $_ => $by_log{$_} // 0 } @reasons }, \%clients, "$when: refusal_log has each of them");
	my %by_source = map { @$_ } $eye->query(
		'SELECT reason, sum(refused) FROM pooldiag.refusal_sources WHERE at_most_over = 0 GROUP BY 1');
	is_deeply({ map { $_ => $by_source{$_} // 0 } @reasons }, \%clients, "$when: and so have the sources");
	return;
}

# Sends bytes in place of a start-up packet and reads what comes until the server closes.
sub raw
{
	my ($bytes, $then_close) = @_;
	my $session = bless { buffer => '', notices => [], socket => PoolDiag::Session->open_socket($node) },
	  'PoolDiag::Session';

	$session->put($bytes);
	shutdown $session->{socket}, 1 if $then_close;
	my $answer = '';
	while ($session->fill(1))
	{
		$answer .= $session->{buffer};
		$session->{buffer} = '';
	}
	return $answer =~ /^N?E....(.*)$/s ? PoolDiag::Session::fields($1) : undef;
}

sub startup { return pack('N', length($_[0]) + 4) . $_[0]; }

check_counts('nothing yet');
is_deeply([ $eye->query(q{SELECT DISTINCT sqlstate, first_at, last_at, last_user, last_client,
		pg_postmaster_start_time() - stats_reset < '1 min' AND stats_reset < now() FROM pooldiag.refusals}) ],
	[ [ (undef) x 5, 't' ] ], 'nothing but zeros, since the server started');

# Who, and where to.
my $hesitant = hesitant($node, $eye);
my $hba = $node->data_dir . '/pg_hba.conf';
my $rules = slurp_file($hba);
unlink $hba;
append_to_file($hba, "local all rejected reject\nlocal all clear password\nlocal nowhere all reject\n$rules");
reload($node);
$eye->query($_) for 'CREATE ROLE app LOGIN', 'CREATE ROLE rejected LOGIN', 'CREATE ROLE resting NOLOGIN',
  q{CREATE ROLE clear LOGIN PASSWORD 'right'}, 'CREATE ROLE bounded LOGIN CONNECTION LIMIT 1',
  'CREATE DATABASE small CONNECTION LIMIT 1', 'CREATE DATABASE closed ALLOW_CONNECTIONS false',
  'CREATE DATABASE private', 'REVOKE CONNECT ON DATABASE private FROM PUBLIC';
refused('no such database', 'no such database', '3D000', database => 'no such', application_name => 'web');
refused('no such role', 'authentication', '28000', user => 'nobody');
refused('a role that may not log in', 'authentication', '28000', user => 'resting');
refused('pg_hba.conf', 'authentication', '28000', user => 'rejected', application_name => 'a b');
refused('over TCP', 'authentication', '28000', user => 'nobody', host => '127.0.0.1');
# Where there is no IPv6 the server listens to the rest.
my $ipv6 = eval { PoolDiag::Session->open_socket($node, '::1') };
refused('over IPv6', 'authentication', '28000', user => 'nobody', host => '::1') if $ipv6;
close $ipv6 if $ipv6;
my $guess = PoolDiag::Session->start($node, user => 'clear', application_name => 'guess');
is(($guess->message)[0], 'R', 'the server asks for a password');
$guess->put('p' . startup("wrong\0"));
my $wrong = $guess->finish->{error};
is("$wrong->{C} $wrong->{M}", '28P01 password authentication failed for user "clear"', 'a wrong one is refused');
$clients{authentication}++;
check_last('a wrong password', 'authentication', '28P01', user => 'clear', application_name => 'guess');
my $mute = PoolDiag::Session->start($node, user => 'clear');
$mute->message;
$mute->put('Q' . startup("SELECT 1\0"));
refused('something else than a password', 'protocol violation', '08P01',
	error => $mute->finish->{error}, user => 'clear', database => 'postgres', application_name => '');
my $shy = PoolDiag::Session->start($node, user => $hesitant);
$shy->message;
my $pid = wait_until('it shows', sub { return $eye->value(q{SELECT pid FROM pooldiag.connections WHERE state = 'starting'}); });
$shy->drop;
wait_gone($pid);
check_counts('one that left when it was asked for a password was not turned away');

# Authentication takes too long.
$eye->query(q{ALTER SYSTEM SET authentication_timeout = '1s'});
reload($node);
my $slow = PoolDiag::Session->start($node, user => $hesitant, application_name => 'slow');
$slow->message;
is($slow->message, undef, 'one that is too slow is left without a word');
$clients{authentication}++;
check_last('too slow', 'authentication', '57014', user => $hesitant, application_name => 'slow');
$eye->query('ALTER SYSTEM RESET authentication_timeout');
reload($node);

# Limits of roles, databases, walsenders.
my $bounded = PoolDiag::Session->connect($node, user => 'bounded');
refused('a role at its limit', 'role limit', '53300', user => 'bounded');
$bounded->quit;
my $small = PoolDiag::Session->connect($node, user => 'app', database => 'small');
refused('a database at its limit', 'database limit', '53300', user => 'app', database => 'small');
$small->quit;
my $walsender = PoolDiag::Session->connect($node, parameters => { replication => 'true' });
refused('walsenders', 'walsender limit', '53300', parameters => { replication => 'database' });
my $error = PoolDiag::Session->refusal($node, parameters => { replication => 'true' });
is(reason($error->{M}), 'walsender limit', 'one that wants no database');
$clients{'walsender limit'}++;
is($eye->value('SELECT datname FROM pooldiag.refusal_log LIMIT 1'), undef, 'has none');
$walsender->quit;

# All else that the server doesn't like.
refused('no privilege', 'other', '42501', user => 'app', database => 'private');
refused('no connections allowed', 'other', '55000', database => 'closed');
refused('no such setting', 'other', '42704', parameters => { no_such_setting => 1 });
refused('a bad value', 'other', '22023', parameters => { work_mem => 'much' });
if ($version >= 17)
{
	$eye->query($_) for 'CREATE DATABASE guarded',
	  q{CREATE FUNCTION guard() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'};
	my $guard = observer($node, database => 'guarded');
	$guard->query(q{CREATE FUNCTION guard() RETURNS event_trigger LANGUAGE plpgsql AS
		'BEGIN IF session_user = $$app$$ THEN RAISE EXCEPTION $$not you$$; END IF; END'});
	$guard->query('CREATE EVENT TRIGGER guard ON login EXECUTE FUNCTION guard()');
	$guard->quit;
	refused('a login trigger', 'other', 'P0001', user => 'app', database => 'guarded');
}
check_counts('who and where to');

# Bytes that are no start-up packet.
my $version3 = pack('N', 196608);
for (
	[ 'too short', pack('N', 5) . 'x', 0 ],
	[ 'too long', pack('N', 0x7fffffff), 0 ],
	[ 'text', "GET / HTTP/1.0\r\n\r\n", 0 ],
	[ 'half of a length', "\0\0", 1 ],
	[ 'half of a packet', pack('N', 100) . $version3 . "user\0", 1 ])
{
	is(raw($_->[1], $_->[2]), undef, "$_->[0]: the server closes without a word");
	$clients{'protocol violation'}++;
	check_last($_->[0], 'protocol violation', '08P01', error => undef);
}
refused('no terminator', 'protocol violation', '08P01', error => raw(startup("${version3}user\0someone\0")),
	user => 'someone', application_name => '');
refused('another protocol', 'protocol violation', '0A000', error => raw(startup(pack('N', 4 << 16) . "user\0someone\0\0")));
refused('nobody', 'authentication', '28000', error => raw(startup("${version3}application_name\0phantom\0\0")),
	application_name => 'phantom');
refused('plain text after a request for encryption', 'protocol violation', '08P01',
	error => raw(startup(pack('N', 80877103)) . startup("${version3}user\0someone\0\0")));
# Neither of these wanted a session, or was refused one.
raw('', 1);
raw(startup(pack('N', 80877103)), 1);
raw(startup(pack('N3', 80877102, 1, 2)), 0);
check_counts('strange bytes');

# Sessions that have begun are not refused, whatever ends them.
for my $end (
	[ 'terminated', sub { $eye->query("SELECT pg_terminate_backend($_[1])") } ],
	[ 'idle', sub { $_[0]->query(q{SET idle_session_timeout = '1ms'}) } ],
	[ 'idle in transaction', sub { $_[0]->query(q{SET idle_in_transaction_session_timeout = '1ms'; BEGIN}) } ],
	[ 'off the protocol', sub { $_[0]->put("\x01\0\0\0\x04") } ],
	[ 'canceled', sub { $_[0]->try(q{SET statement_timeout = '1ms'; SELECT pg_sleep(3600)}); $_[0]->quit } ],
	[ 'failed', sub { $_[0]->try('SELECT 1/0'); $_[0]->quit } ],
	[ 'lost', sub { $_[0]->query('BEGIN'); $_[0]->drop } ])
{
	my $session = PoolDiag::Session->connect($node, user => 'app');
	my $process = $session->pid;
	$end->[1]->($session, $process);
	wait_gone($process);
}
check_counts('ended sessions are none');

# Slots. Ordinary roles get 7 of the 9; from 16 on some of these can be reserved for others, too.
my @held = map { PoolDiag::Session->connect($node, user => 'app') } 1 .. 6;
refused('ordinary slots', 'only reserved slots left', '53300', user => 'app');
push @held, observer($node), observer($node);
refused('every slot', 'no slot left', '53300', user => 'app', application_name => 'late');
refused('every slot, for a superuser', 'no slot left', '53300');
check_counts('without a slot');

# What strangers call themselves. Text is in whichever encoding; the server itself cuts names off at 63 bytes.
my $hostile = qq{x"';\n\r\x01\x1b[2J\xff\xfe\xc3\xa9%s\\};
is(PoolDiag::Session->refusal($node, user => $hostile, database => $hostile, application_name => "a\xe9\n\"b")->{C}, '53300',
	'a name that is none');
is(PoolDiag::Session->refusal($node, user => 'u' x 100, database => "\xc3\xa9" x 100, application_name => 'p' x 100)->{C},
	'53300', 'names that are too long');
$clients{'no slot left'} += 2;
my @strange = $eye->rows('SELECT * FROM pooldiag.refusal_log LIMIT 2');
is($strange[1]{usename}, qq{x"';\n\r\x01\x1b[2J??\xc3\xa9%s\\}, 'bytes that the encoding has not are replaced');
is($strange[1]{datname}, $strange[1]{usename}, 'wherever they are');
like($strange[1]{application_name}, qr/^a[ -~]+"b$/, 'application names are in ASCII');
is($strange[0]{usename}, 'u' x 63, 'a long name is cut off');
is($strange[0]{datname}, "\xc3\xa9" x 31 . '?', 'anywhere');
is($strange[0]{application_name}, 'p' x 63, 'so is an application\'s');
check_counts('strange names');
shift(@held)->quit;
$eye->query(q{CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'});
my $latin = observer($node, database => 'latin');
$latin->query('CREATE EXTENSION pooldiag');
is($latin->try("SELECT * FROM pooldiag.$_")->{error}, undef, "$_ in another encoding")
  for qw(refusals refusal_log refusal_sources);
$latin->quit;

# Who may see whom: names, as those of sessions, by membership; counts are for all who were granted the view.
$_->quit for @held;
$eye->query($_) for 'CREATE ROLE viewer LOGIN', 'GRANT USAGE ON SCHEMA pooldiag TO viewer',
  'GRANT SELECT ON pooldiag.refusals, pooldiag.refusal_log, pooldiag.refusal_sources TO viewer',
  'GRANT EXECUTE ON FUNCTION pooldiag.refusals(), pooldiag.refusal_log(), pooldiag.refusal_sources() TO viewer';
my $viewer = PoolDiag::Session->connect($node, user => 'viewer');
my $names = q{SELECT DISTINCT usename FROM pooldiag.refusal_log
	UNION SELECT usename FROM pooldiag.refusal_sources UNION SELECT last_user FROM pooldiag.refusals ORDER BY 1};
my $all_names = q{SELECT concat(usename, datname, application_name, client) FROM pooldiag.refusal_log
	UNION ALL SELECT concat(usename, datname, application_name, client) FROM pooldiag.refusal_sources
	UNION ALL SELECT concat(last_user, last_database, last_application_name, last_client) FROM pooldiag.refusals};
is(join('', $viewer->column($all_names)), '', 'without membership no name, database, application or client');
is_deeply([ $viewer->query('SELECT reason, sqlstate, refused, first_at, last_at FROM pooldiag.refusals') ],
	[ $eye->query('SELECT reason, sqlstate, refused, first_at, last_at FROM pooldiag.refusals') ], 'but how many there were');
is($viewer->value('SELECT sum(refused) FROM pooldiag.refusal_sources'),
	$eye->value('SELECT sum(refused) FROM pooldiag.refusal_sources'), 'by source as well');
$eye->query('GRANT app TO viewer');
is_deeply([ $viewer->column($names) ], [ 'app', undef ], 'a member of a role sees who asked for it');
$eye->query('GRANT pg_read_all_stats TO viewer');
is_deeply([ $viewer->column($all_names) ], [ $eye->column($all_names) ], 'pg_read_all_stats sees all');
$viewer->quit;
check_counts('looking is none');

if ($version >= 16)
{
	$node->append_conf('postgresql.conf', "reserved_connections = 2\nsuperuser_reserved_connections = 1\n");
	$eye->quit;
	$node->restart;
	$eye = observer($node);
	check_counts('a restart forgets none');
	@held = map { PoolDiag::Session->connect($node, user => 'app') } 1 .. 5;
	like(refused('slots for those with a privilege', 'only reserved slots left', '53300', user => 'app')->{M},
		qr/pg_use_reserved_connections/, 'in other words');
	push @held, observer($node), observer($node);
	like(refused('slots for superusers', 'only reserved slots left', '53300', user => 'app')->{M},
		qr/SUPERUSER/, 'and in others again');
	$_->quit for @held;
	check_counts('two kinds of reserved slots');
}

# A server that has been told to stop when its clients are done.
my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
is(kill('TERM', $postmaster), 1, 'a smart shutdown');
$node->wait_for_log(qr/received smart shutdown request/, $logged);
refused('shutting down', 'shutting down', '57P03', user => 'app');
refused('shutting down for all', 'shutting down', '57P03');
check_counts('before the end');
$eye->quit;
wait_gone($postmaster);
$node->_update_pid(0);

my $log = slurp_file($node->logfile);
unlike($log, qr/PANIC|TRAP|terminated by signal/, 'nothing went wrong');
done_testing();
