# The HTTP endpoint: what is answered at which path, to whom; that it is what SQL says; what is wrong with its settings, and
# what changes with a reload.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use JSON::PP;
use MIME::Base64;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Http qw(ask fetch json_of open_socket read_answer);
use PoolDiag::Server;
use PoolDiag::Session qw(wait_until);

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $node = new_server('http', <<"EOC");
max_connections = 20
superuser_reserved_connections = 3
pooldiag.sample_interval = 100ms
pooldiag.failure_threshold = 1000
pooldiag.leak_threshold = 100ms
pooldiag.pools = 'secretpool(application_name=secretapp, size=2, max_overflow=1)'
pooldiag.http_port = $port
EOC
my $eye = observer($node);
my @open = qw(/livez /readyz /api/v1/health/database /api/v1/health/detailed);
my @closed = qw(/metrics /api/v1/history /api/v1/pools /api/v1/recommendations /api/v1/alerts);

sub set
{
	my (%settings) = @_;
	$eye->query("ALTER SYSTEM SET $_ = '$settings{$_}'") for sort keys %settings;
	reload($node);
	return;
}

sub status_of
{
	my ($path, %headers) = @_;
	return ask($port, $path, headers => \%headers)->{status};
}

# Until an answer has that status: a reload reaches the worker in its own time.
sub becomes
{
	my ($status, $path, $what, %headers) = @_;
	wait_until($what, sub { return status_of($path, %headers) == $status; });
	pass($what);
	return;
}

sub sql_document
{
	my ($sql) = @_;
	return document($eye, $sql);
}

# The names of all members, however deep; of an array those of its first element.
sub shape
{
	my ($value) = @_;
	return { map { $_ => shape($value->{$_}) } keys %$value } if ref $value eq 'HASH';
	return [ @$value ? shape($value->[0]) : () ] if ref $value eq 'ARRAY';
	return '';
}

# Somebody to be named: a pool with a leak, of a role, in a database, who waits for another.
$eye->query('CREATE ROLE secretrole LOGIN CONNECTION LIMIT 4');
$eye->query('CREATE DATABASE secretdb OWNER secretrole');
my @leaks = map {
	PoolDiag::Session->connect($node, application_name => 'secretapp', user => 'secretrole', database => 'secretdb')
} 1 .. 3;
$_->query('BEGIN') for @leaks;
my $secret_name = qr/secret(pool|app|role|db)/;
$eye->poll(q{SELECT count(*) FROM pooldiag.recommendations WHERE rule = 'leak_suspects'}, 1);

# Without a token: what names nobody.
is(status_of($_), 200, "$_ is open") for @open;
is(status_of($_), 401, "$_ is not") for @closed, '/';
for my $path (@open)
{
	my $content = ask($port, $path)->{content};
	unlike($content, $secret_name, "$path names nobody");
	unlike($content, qr/observer|postgres@/, "$path names nobody else");
}
my $answer = ask($port, '/api/v1/pools');
like(json_of($answer)->{hint}, qr/http_token_file/, 'who is turned away is told what to set');
is($answer->{headers}{'www-authenticate'}, 'Bearer realm="pooldiag"', 'and no browser asks for a token that there is not');
ok(scalar(grep { $_ eq 'Connections are idle in transaction for too long' } @{ json_of(ask($port, $open[2]))->{recommendations} }),
	'a recommendation says what it is about');
is(ask($port, '/livez')->{content}, "ok\n", 'livez says ok');

# A token.
my $file = $node->data_dir . '/token';
my $token = 'sesame-' . join '', map { chr(97 + int rand 26) } 1 .. 32;
sub write_token
{
	my ($text, $mode) = @_;
	-d $file ? rmdir $file : unlink $file;
	append_to_file($file, $text);
	chmod $mode, $file or die $!;
	return;
}

write_token("$token\nand what follows\n", 0600);
set('pooldiag.http_token_file' => 'token');
becomes(200, '/api/v1/pools', 'the token opens everything', Authorization => "Bearer $token");
for my $path (@closed)
{
	is(status_of($path, Authorization => "Bearer $token"), 200, "$path: as a bearer");
	is(status_of($path, Authorization => "bearer   $token"), 200, "$path: the scheme's case and blanks do not matter");
	is(status_of($path, Authorization => 'Basic ' . encode_base64("oncall:$token", '')), 200, "$path: as a password");
	for my $wrong ("Bearer ${token}x", 'Bearer ' . substr($token, 0, -1), 'Bearer ' . uc $token, 'Bearer', 'Bearer ', "Token $token",
		'Basic ' . encode_base64("$token:oncall", ''), 'Basic ' . encode_base64($token, ''), 'Basic ***', "Basic $token", $token)
	{
		is(status_of($path, Authorization => $wrong), 401, "$path: not with " . substr $wrong, 0, 12);
	}
}
is_deeply(ask($port, '/api/v1/pools')->{headers}{'www-authenticate'}, [ 'Bearer realm="pooldiag"', 'Basic realm="pooldiag", charset="UTF-8"' ],
	'a browser can ask for it');
like(ask($port, '/api/v1/health/detailed', headers => { Authorization => "Bearer $token" })->{content}, $secret_name,
	'with the token health has names');
unlike(ask($port, '/api/v1/health/detailed', headers => { Authorization => 'Bearer wrong' })->{content}, $secret_name,
	'with a wrong one it has not');

# A file that is no good closes what it opened, and says so; a good one opens it again.
sub bad_token
{
	my ($what, $detail) = @_;
	my $logged = -s $node->logfile;
	reload($node);
	becomes(401, '/api/v1/pools', "$what: no access", Authorization => "Bearer $token");
	$node->wait_for_log(qr/WARNING:  the file "token" has no token for pooldiag's HTTP endpoint\n.*DETAIL:  $detail.*\n.*HINT:  Have the server's user own it/,
		$logged);
	is(status_of('/livez'), 200, "$what: and no harm");
	write_token($token, 0600);
	reload($node);
	becomes(200, '/api/v1/pools', "$what: mended with a reload", Authorization => "Bearer $token");
	return;
}
chmod 0644, $file;
bad_token('others can read it', q{Others than the server's user can read it});
chmod 0640, $file;
bad_token('the group can read it', q{Others than the server's user can read it});
unlink $file;
bad_token('it is gone', 'It could not be opened: No such file or directory');
write_token("\n$token\n", 0600);
bad_token('its first line is empty', 'Its first line is empty');
write_token('', 0600);
bad_token('it is empty', 'Its first line is empty');
write_token('x' x 513, 0600);
bad_token('it is too long', 'Its first line is longer than 512 bytes');
write_token(" \t \n$token\n", 0600);
bad_token('its first line is blank', 'Its first line is empty');
unlink $file;
mkdir $file;
bad_token('it is a folder', 'It is not a regular file');
unlink $file;
POSIX::mkfifo($file, 0600) or die $!;
bad_token('it is a FIFO', 'It is not a regular file');

# The longest token; one with blanks around it, which no header could have; and whatever comes behind the first line.
my $longest = 'l' x 512;
for my $case ([ 'the longest one', $longest, "$longest\n" ], [ 'with blanks around it', $token, " $token \t\r\n" ],
	[ 'with a lot behind it', $longest, "$longest\n" . 'x' x 100_000 ])
{
	my ($what, $expected, $text) = @$case;
	write_token('other', 0600);
	reload($node);
	becomes(401, '/api/v1/pools', "$what: it is another one", Authorization => "Bearer $expected");
	write_token($text, 0600);
	reload($node);
	becomes(200, '/api/v1/pools', "$what: it opens everything", Authorization => "Bearer $expected");
}

# Everything to everybody.
set('pooldiag.http_access' => 'all');
becomes(200, '/api/v1/pools', 'access to all needs no token');
like(ask($port, '/api/v1/health/detailed')->{content}, $secret_name, 'and has names');

# What is answered is what SQL says.
for my $which ([ '/api/v1/health/database', 'health' ], [ '/api/v1/health/detailed', 'health_detailed' ])
{
	my ($path, $function) = @$which;
	my $http = json_of(ask($port, $path));
	my $sql = sql_document("SELECT pooldiag.$function()");
	is_deeply($http->{connection_pool}, $sql->{connection_pool}, "$path: slots as in SQL");
	is_deeply($http->{async_operations}, $sql->{async_operations}, "$path: operations");
	is($http->{status}, $sql->{status}, "$path: status");
	# A second may have passed in between.
	s/\d+ s\b/N s/ for @{ $http->{recommendations} }, @{ $sql->{recommendations} };
	is_deeply([ sort @{ $http->{recommendations} } ], [ sort grep { !/^No (statement|idle_in_transaction_session)_timeout/ } @{ $sql->{recommendations} } ],
		"$path: recommendations, but those that need a catalog");
	is_deeply([ sort keys %$http ], [ sort keys %$sql ], "$path: the same keys");
	is_deeply([ sort keys %{ $http->{metrics} } ], [ sort keys %{ $sql->{metrics} } ], "$path: and figures") if $http->{metrics};
	is_deeply([ grep { $_->{declared} } @{ $http->{pools} } ], [ grep { $_->{declared} } @{ $sql->{pools} } ], "$path: pools") if $http->{pools};
}
is_deeply([ sort keys %{ json_of(ask($port, '/api/v1/health/database')) } ],
	[qw(async_operations connection_pool database_connected recommendations status)], 'exactly the keys of the guide');

sub columns
{
	my ($view) = @_;
	return [ sort $eye->column("SELECT attname FROM pg_attribute WHERE attrelid = 'pooldiag.$view'::regclass AND attnum > 0") ];
}
for my $view (qw(pools recommendations alerts))
{
	$eye->query(q{SELECT pooldiag.breaker_force_open('errors')}) if $view eq 'alerts';
	my $rows = json_of(ask($port, "/api/v1/$view"))->{$view};
	ok(@$rows > 0, "$view: there are some");
	is_deeply([ sort keys %{ $rows->[0] } ], columns($view), "$view: the columns of the view");
}
is_deeply([ sort keys %{ json_of(ask($port, '/api/v1/history'))->{history}[0] } ],
	[ sort $eye->column(q{SELECT unnest(proargnames[4:]) FROM pg_proc WHERE oid = 'pooldiag.history'::regproc}) ],
	'history: the columns of the function');

# Figures of a pool, as its row has them.
my ($pool) = grep { $_->{pool} eq 'secretpool' } @{ json_of(ask($port, '/api/v1/pools'))->{pools} };
my $row = sql_document(q{SELECT to_jsonb(p) FROM pooldiag.pools p WHERE pool = 'secretpool'});
for my $column (qw(declared instances size max_overflow capacity connections checked_out idle overflow utilization_percent
	saturation_percent leaks xacts statements sessions_opened refused breaker_state))
{
	is($pool->{$column}, $row->{$column}, "pools: $column");
}
my ($advice) = grep { $_->{rule} eq 'leak_suspects' } @{ json_of(ask($port, '/api/v1/recommendations'))->{recommendations} };
my $told = $eye->row(q{SELECT severity, subject, advice, remedy FROM pooldiag.recommendations WHERE rule = 'leak_suspects'});
is($advice->{$_}, $told->{$_}, "recommendations: $_") for qw(severity subject advice);
like($advice->{first_seen}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'instants are in UTC');
is_deeply([ sort map { $_->[0] } $eye->query($advice->{remedy}) ], [ sort map { $_->pid } @leaks ], 'a remedy from there works');
my ($limit) = grep { $_->{rule} eq 'role_or_database_limit' } @{ json_of(ask($port, '/api/v1/recommendations'))->{recommendations} };
is($limit, undef, 'nobody is near a limit');
$_->drop for @leaks;
my $alert = json_of(ask($port, '/api/v1/alerts?limit=1'))->{alerts};
is(scalar @$alert, 1, 'as many alerts as are asked for');
is($alert->[0]{id}, $eye->value('SELECT max(id) FROM pooldiag.alerts'), 'the newest');
is($alert->[0]{message}, $eye->value('SELECT message FROM pooldiag.alerts ORDER BY id DESC LIMIT 1'), 'with its message');
$eye->query(q{SELECT pooldiag.breaker_reset('errors')});

# Limits, as the process that has a catalog has left them.
my @limited = map { PoolDiag::Session->connect($node, user => 'secretrole', database => 'secretdb') } 1 .. 4;
set('pooldiag.operation_interval' => '1s');
my $read = $eye->value(q{SELECT succeeded FROM pooldiag.operations WHERE operation = 'limits'});
wait_until('a role at its limit is told of', sub {
	return grep { $_->{rule} eq 'role_or_database_limit' && $_->{subject} eq 'role secretrole' }
	  @{ json_of(ask($port, '/api/v1/recommendations'))->{recommendations} };
});
pass('limits of roles are known without a catalog');
$_->quit for @limited;

# History.
my $history = json_of(ask($port, '/api/v1/history?since=60&step=10'));
is($history->{step_seconds}, 10, 'a step that was asked for');
cmp_ok(scalar @{ $history->{history} }, '<=', 7, 'makes as many rows');
is(json_of(ask($port, '/api/v1/history?pool=secretpool'))->{pool}, 'secretpool', 'of a pool');
for my $bad ('since=0', 'since=-5', 'since=1e3', 'since=nan', 'since=', 'since=99999999', 'step=x', 'since=10%20min')
{
	$answer = ask($port, "/api/v1/history?$bad");
	is($answer->{status}, 400, "history?$bad: not understood");
	like(json_of($answer)->{hint}, qr/since=3600/, "history?$bad: and what would be");
}
is(status_of('/api/v1/history?pool=nobody'), 404, 'a pool that there is not');
is(status_of('/api/v1/alerts?limit=0'), 400, 'no alert at all');
is(status_of('/api/v1/alerts?limit=99999'), 400, 'more than are kept');

# What is not answered.
$answer = ask($port, '/api/v1/nothing');
is($answer->{status}, 404, 'no such path');
like(json_of($answer)->{hint}, qr{/livez}, 'and which there are');
is(status_of("$_"), 404, "$_: nor this one") for '/livez/', '/LIVEZ', '//livez', '/../livez', '/%ff';
like(status_of('/%'), qr/^40[04]$/, 'a path that is none is nowhere, or no request, as the library has it');
for my $method (qw(POST PUT DELETE OPTIONS PATCH TRACE BREW))
{
	$answer = ask($port, '/livez', method => $method, content => 'x=1');
	is($answer->{status}, 405, "$method is not answered");
	is($answer->{headers}{allow}, 'GET, HEAD', "$method: what is");
}
$answer = ask($port, '/api/v1/health/database', method => 'HEAD');
is($answer->{status}, 200, 'HEAD is');
is($answer->{content} // '', '', 'without a body');
cmp_ok($answer->{headers}{'content-length'}, '>', 100, 'but with its length');
is($answer->{headers}{'cache-control'}, 'no-store', 'nothing is to be kept');
is($answer->{headers}{'content-type'}, 'application/json', 'and said what it is');

# The Host: a page from elsewhere has another.
sub status_with_host
{
	my ($host) = @_;
	my $socket = open_socket($port);
	print {$socket} "GET /livez HTTP/1.1\r\n" . (defined $host ? "Host: $host\r\n" : '') . "Connection: close\r\n\r\n";
	my ($status) = read_answer($socket) =~ m{^HTTP/1\.1 (\d+)};
	return $status;
}
is(status_with_host($_), 200, "Host $_") for 'localhost', "localhost:$port", 'LOCALHOST', '127.0.0.1', '10.1.2.3:80', '[::1]', '[::1]:8000', '[fe80::1]';
is(status_with_host($_), 421, "not Host $_") for 'evil.example', 'localhost.evil.example', 'evil.example:80', '127.0.0.1.evil.example', '[evil]',
	'[::1', '::1', 'localhost:80:90', 'localhost:x', '999.1.1.1', '0x7f.1', 'evil.example, localhost';
set('pooldiag.http_hosts' => 'db1.internal, DB2.internal');
wait_until('a name is known', sub { return status_with_host('db1.internal') == 200; });
is(status_with_host('db2.INTERNAL:8000'), 200, 'in any case, with a port');
is(status_with_host('db3.internal'), 421, 'and no other is');

# Readiness.
is(status_of('/readyz?role=primary'), 200, 'a primary is ready as one');
is(status_of('/readyz?role=standby'), 503, 'and not as a standby');
is(json_of(ask($port, '/readyz?role=standby'))->{reason}, 'this server is a primary', 'and says why');
is(status_of('/readyz?role=master'), 400, 'there are two roles');
my @taken = map { PoolDiag::Session->connect($node) } 1 .. 20 - 1;
is(PoolDiag::Session->refusal($node)->{C}, '53300', 'every slot is taken');
is(status_of('/livez'), 200, 'every slot taken: it lives');
is(status_of('/readyz'), 503, 'every slot taken: it is not ready');
is(json_of(ask($port, '/readyz'))->{reason}, 'no connection slot is left', 'every slot taken: and says why');
$answer = ask($port, '/api/v1/health/database');
is($answer->{status}, 503, 'every slot taken: unhealthy is 503');
is(json_of($answer)->{status}, 'unhealthy', 'every slot taken: and the document says so');
is(json_of($answer)->{connection_pool}{checked_out}, 20, 'every slot taken: with all of them');
is(status_of('/api/v1/pools'), 200, 'every slot taken: and all else is answered');
$_->quit for @taken;
becomes(200, '/readyz', 'ready again');

# Settings that can't be.
for my $bad ('localhost, example.org', '1.2.3', '::1::', '127.0.0.1/8')
{
	my $error = $eye->try("ALTER SYSTEM SET pooldiag.http_listen_addresses = '$bad'")->{error};
	is($error->{C}, '22023', "addresses '$bad' are refused");
	like($error->{D}, qr/is not an address/, "'$bad': which is none");
	like($error->{H}, qr/localhost; or \* for all/, "'$bad': and what would be");
}

for my $bad ('db1:8000', 'db1, *.internal', "b\xc3\xbccher.de", 'http://db1')
{
	my $error = $eye->try("ALTER SYSTEM SET pooldiag.http_hosts = '$bad'")->{error};
	is($error->{C}, '22023', "hosts '$bad' are refused");
	like($error->{D}, qr/"\Q@{[ $bad =~ s{^db1, }{}r ]}\E" is not the name of a host/, "'$bad': which is none");
	like($error->{H}, qr/without a port/, "'$bad': and what would be");
}

# A port that is taken, an address that is another's: said, and tried again with a reload. The server is unharmed.
my $taken = IO::Socket::IP->new(LocalHost => '127.0.0.1', LocalPort => PostgreSQL::Test::Cluster::get_free_port(), Listen => 1, ReuseAddr => 0)
  or die $@;
my $logged = -s $node->logfile;
my $old = $port;
$port = $taken->sockport;
$eye->query("ALTER SYSTEM SET pooldiag.http_port = $port");
reload($node);
$node->wait_for_log(qr/WARNING:  pooldiag can't answer HTTP at address 127\.0\.0\.1, port $port: could not bind: Address already in use\n.*HINT:  Another process listens there, or another of "pooldiag\.http_listen_addresses" has it already: choose another "pooldiag\.http_port", or see to these\. It is tried again/, $logged);
ok(!fetch($old, '/livez'), 'the old port is closed');
close $taken;
reload($node);
wait_until('the port is free', sub { return fetch($port, '/livez'); });
pass('it is tried again with a reload');
$logged = -s $node->logfile;
set('pooldiag.http_listen_addresses' => '192.0.2.1, 127.0.0.1');
$node->wait_for_log(qr/WARNING:  pooldiag can't answer HTTP at address 192\.0\.2\.1, port $port: could not bind: Cannot assign requested address\n.*HINT:  This machine has no such address/, $logged);
is(status_of('/livez'), 200, 'other addresses are answered');
$logged = -s $node->logfile;
set('pooldiag.http_listen_addresses' => 'localhost');
$node->wait_for_log(qr/pooldiag answers HTTP at address 127\.0\.0\.1, port $port/, $logged);
is(status_of('/livez'), 200, 'localhost');

# What does not change stays open through a reload.
$logged = -s $node->logfile;
set('pooldiag.http_listen_addresses' => '127.0.0.1');
$node->wait_for_log(qr/pooldiag answers HTTP at address 127\.0\.0\.1, port $port/, $logged);
my $kept = open_socket($port);
print {$kept} "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
like(read_answer($kept, sub { return $_[0] =~ /ok\n/; }), qr/^HTTP.*200/, 'a connection');
set('pooldiag.http_hosts' => 'db4.internal');
wait_until('the reload has come', sub { return status_with_host('db4.internal') == 200; });
print {$kept} "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
like(read_answer($kept, sub { return $_[0] =~ /ok\n/; }), qr/^HTTP.*200/, 'is still open after a reload');
set('pooldiag.http_port' => 0);
wait_until('it is off', sub { return !fetch($port, '/livez'); });
is(read_answer($kept), '', 'port 0 closes everything');
set('pooldiag.http_port' => $port);
wait_until('it is on again', sub { return fetch($port, '/livez'); });

# The worker is killed softly, and comes back; what it has counted stays.
my $requests = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'http_requests'});
cmp_ok($requests, '>', 100, 'requests are counted');
my $worker = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'http_pid'});
kill 'TERM', $worker;
wait_until('it is back', sub {
	my $new = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'http_pid'});
	return $new && $new != $worker && fetch($port, '/livez');
});
cmp_ok($eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'http_requests'}), '>', $requests, 'and goes on counting');
is($eye->value(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'pooldiag http'}), 0, 'it holds no connection');

# A server that shuts down, and waits for its sessions.
system_or_bail('pg_ctl', '-D', $node->data_dir, '-m', 'smart', '--no-wait', '-s', 'stop');
becomes(503, '/readyz', 'a server that shuts down is not ready');
is(json_of(ask($port, '/api/v1/health/database'))->{status}, 'starting', 'says health');
is(status_of('/livez'), 200, 'but lives');
$eye->quit;
$node->stop('fast', fail_ok => 1);
ok(!fetch($port, '/livez'), 'and then does not');

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|segfault/, 'nothing else went wrong');
done_testing();
