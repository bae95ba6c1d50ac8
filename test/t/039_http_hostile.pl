# The HTTP endpoint and those who mean it no good, or know no better: halves of requests, slow ones, many at once, headers and
# paths that are too long, methods that there are not, several requests in one piece, bytes that are no UTF-8, names that
# try to break out of a document. Whoever behaves is answered meanwhile, nothing is lost, and no text of a statement is told.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Encode ();
use IO::Socket::IP;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use Socket qw(SOL_SOCKET SO_RCVBUF);
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Http qw(ask fetch json_of open_socket read_answer);
use PoolDiag::Server;
use PoolDiag::Session qw(wait_until);

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $node = new_server('hostile', <<"EOC");
max_connections = 30
pooldiag.sample_interval = 100ms
pooldiag.slow_query_threshold = 50ms
pooldiag.leak_threshold = 50ms
pooldiag.failure_threshold = 1
pooldiag.breakers = 'leaks(limit=1), lock_waits(limit=1), slow_queries(limit=1)'
pooldiag.http_port = $port
pooldiag.http_listen_addresses = localhost
pooldiag.http_access = all
EOC
my $eye = observer($node);
my @paths = qw(/livez /readyz /metrics /api/v1/health/database /api/v1/health/detailed /api/v1/history /api/v1/pools
	/api/v1/recommendations /api/v1/alerts / /nowhere);

sub figure { return $eye->value("SELECT value FROM pooldiag.self WHERE name = '$_[0]'"); }

my $worker = figure('http_pid');
# Where nothing tells of processes, nothing is told of these.
my $is_told = -d "/proc/$worker";
note('descriptors and memory of the worker are not looked at: there is no /proc') unless $is_told;
sub descriptors { return 0 unless $is_told; opendir my $dir, "/proc/$worker/fd" or die $!; return scalar grep { !/^\./ } readdir $dir; }
# A sanitizer keeps what was given back.
my $is_bare = $is_told && slurp_file("/proc/$worker/maps") !~ /libasan/;
sub resident { return 0 unless $is_bare; return slurp_file("/proc/$worker/status") =~ /^VmRSS:\s+(\d+) kB/m ? $1 : die; }

# As many descriptors as at first, once the worker has closed what others have.
my $descriptors;
sub none_left
{
	my ($what) = @_;
	wait_until($what, sub { return descriptors() == $descriptors; });
	pass($what);
	return;
}

sub is_well
{
	my ($when) = @_;
	is(ask($port, '/livez')->{status}, 200, "$when: who behaves is answered");
	is(figure('http_pid'), $worker, "$when: by the same worker");
	return;
}

# What comes back for some bytes, when the other side has closed, or enough is there.
sub send_bytes
{
	my ($bytes, $is_enough) = @_;
	local $SIG{PIPE} = 'IGNORE';
	my $socket = open_socket($port);
	syswrite $socket, $bytes;
	return read_answer($socket, $is_enough);
}
sub statuses { my @all = $_[0] =~ m{HTTP/1\.[01] (\d{3}) [A-Z]}g; return @all; }

my $get = "GET /livez HTTP/1.1\r\nHost: localhost\r\n";
ask($port, $_) for @paths, @paths;
wait_until('nobody is connected', sub { return figure('http_connections') == 0; });
# A connection is no longer counted a moment before its descriptor is closed; once the next one is answered, it is.
my $alone = open_socket($port);
syswrite $alone, "$get\r\n";
read_answer($alone, sub { return statuses($_[0]); });
$descriptors = $is_told ? descriptors() - 1 : 0;
close $alone;

# Requests that are none, or too much.
is_deeply([ statuses(send_bytes("$get\r\n" x 20, sub { return statuses($_[0]) >= 20; })) ], [ (200) x 20 ], 'twenty requests in one piece have twenty answers');
is((statuses(send_bytes("$get" . 'X: ' . 'y' x 40000 . "\r\n\r\n")))[0], 431, 'a header that is too long');
like((statuses(send_bytes('GET /' . 'y' x 40000 . " HTTP/1.1\r\nHost: localhost\r\n\r\n")))[0], qr/^(414|431)$/, 'a path that is too long');
is((statuses(send_bytes("$get" . join('', map { "X$_: y\r\n" } 1 .. 5000) . "\r\n")))[0], 431, 'too many headers');
is((statuses(send_bytes("BREW /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")))[0], 405, 'a method that there is not');
is((statuses(send_bytes("POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n", sub { return statuses($_[0]); })))[0], 405, 'a body without an end');
is((statuses(send_bytes("GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")))[0], 200, 'a body where none belongs');
is((statuses(send_bytes("GET /nowhere\xff\xfe?pool=\xff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")))[0], 404, 'a path that is no UTF-8');
my $answer = send_bytes("GET /api/v1/history?pool=%ff%01%22%5c%3cscript%3e HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
is((statuses($answer))[0], 404, 'a pool whose name is no UTF-8');
ok(eval { decode_json($answer =~ s/^.*?\r\n\r\n//sr) }, 'and the answer is a document');
# What a proxy in front of this one may understand in another way is refused, and nothing that comes behind it is answered.
my $behind = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
for my $case ([ 400, 'two Hosts', "GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n" ],
	[ 400, 'two lengths', "${get}Content-Length: 0\r\nContent-Length: 40\r\n\r\n" ],
	[ 400, 'a length and chunks', "${get}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ],
	[ 400, 'chunks', "${get}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ],
	# Newer versions of the library say themselves that they don't know it.
	[ '400|501', 'an encoding that there is not', "${get}Transfer-Encoding: gzip\r\n\r\n" ],
	[ 400, 'a zero byte in the path', "GET /livez%00/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" ],
	[ 400, 'a zero byte in an argument', "GET /readyz?role=primary%00x HTTP/1.1\r\nHost: localhost\r\n\r\n" ],
	[ 405, 'a method with chunks', "POST /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ])
{
	my ($status, $what, $request) = @$case;
	like(join(' ', statuses(send_bytes($request . $behind))), qr/^(?:$status)$/, "$what: refused, and nothing behind it is answered");
}
for my $bytes ("\0" x 100, "\r\n\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 'SSH-2.0-x' . "\r\n", "GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
	"GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\n\r\n", "GET /livez HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", join('', map { chr } 0 .. 255) x 4)
{
	send_bytes($bytes . "\r\n\r\n", sub { return 1; });
	is(ask($port, '/livez')->{status}, 200, 'bytes that are no request do no harm');
}

# More connections than there is room for, none of which asks for anything to the end.
sub crowd
{
	my ($count, $bytes) = @_;
	local $SIG{PIPE} = 'IGNORE';
	return map { my $socket = open_socket($port); syswrite $socket, $bytes if length $bytes; $socket } 1 .. $count;
}
for my $case ([ 'silent', '' ], [ 'with half a request', $get ], [ 'with half a line', 'GET /li' ])
{
	my ($what, $bytes) = @$case;
	my @crowd = crowd(400, $bytes);
	is_well("400 that are $what");
	is(scalar(grep { ask($port, $_)->{status} =~ /^(200|404)$/ } @paths), scalar @paths, "400 that are $what: all paths");
	cmp_ok(figure('http_connections'), '<=', 256, "400 that are $what: there is room for so many");
	cmp_ok(descriptors(), '<=', $descriptors + 256, "400 that are $what: in descriptors, too");
	close $_ for @crowd;
	wait_until('they are gone', sub { return figure('http_connections') == 0; });
	none_left("400 that are $what: no descriptor is left");
}
cmp_ok(figure('http_connections_dropped'), '>=', 3 * 144, 'those that made way are counted');

# More than there is room for who ask for a lot, and take none of it; the page fills any buffer.
my $before_greed = resident();
my @greedy = map {
	local $SIG{PIPE} = 'IGNORE';
	my $socket = IO::Socket::IP->new(PeerHost => '127.0.0.1', PeerPort => $port, Sockopts => [ [ SOL_SOCKET, SO_RCVBUF, pack 'i', 2048 ] ])
	  // die $@;
	syswrite $socket, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" x 200;
	$socket
} 1 .. 300;
for (1 .. 20)
{
	is(scalar(grep { ask($port, $_)->{status} =~ /^(200|404)$/ } @paths), scalar @paths, 'among those that read nothing who behaves is answered');
}
cmp_ok(resident(), '<=', $before_greed + 64 * 1024, 'and memory is bounded');
close $_ for @greedy;
wait_until('they are gone', sub { return figure('http_connections') == 0; });
none_left('those that read nothing: no descriptor is left');

# Names from strangers, in all documents.
my @names = ("a\"b\\c/d", '</script><img src=x onerror=alert(1)>', "tab\there", "latin-\xe9", "\xff\xfe\x80", "x\"} 1\npooldiag_fake 1", '{"a":', '%s%n', "\xe2\x80\xae\xf0\x9f\x98\x80");
my @sessions = map { PoolDiag::Session->connect($node, application_name => $_) } @names;
PoolDiag::Session->refusal($node, user => $_, application_name => $_) for @names;
$_->query('BEGIN') for @sessions;
$eye->poll(sprintf('SELECT count(*) >= %d FROM pooldiag.pools', scalar @names), 't');
$eye->poll(q{SELECT count(*) > 0 FROM pooldiag.recommendations WHERE rule = 'leak_suspects'}, 't');
for my $path (grep { m{^/api} } @paths)
{
	my $content = ask($port, $path)->{content};
	ok(eval { JSON::PP->new->utf8->decode($content) }, "$path: a document, whatever names there are") or diag $@;
	unlike($content, qr/[\x00-\x09\x0b-\x1f]/, "$path: without a control character");
}
my %shown = map { $_->{pool} => 1 } @{ json_of(ask($port, '/api/v1/pools'))->{pools} };
ok((grep { index($_, 'onerror=alert(1)>') >= 0 } keys %shown) > 0, 'a name is shown as it is');

# Names of any bytes, always the same: each document is one, and has the name with each byte that is no UTF-8 as a question mark.
{
	my $seed = 20261128;
	my $rand = sub { $seed = ($seed * 1103515245 + 12345) % 2147483648; return int($seed / 65536) % $_[0]; };
	my @units = ('"', '\\', "\xc3\xa9", "\xf0\x9f\x98\x80", "\xe2\x82", "\xff", "\xc0\x80", "\xed\xa0\x80", '<', '&', "'", 'a', '{', '}', "\x7f", ' ', '/', '@');
	my @bad;
	for (1 .. 40)
	{
		my $name = join '', map { $units[ $rand->(scalar @units) ] } 1 .. 1 + $rand->(14);
		my $named = PoolDiag::Session->connect($node, application_name => $name);
		$eye->query('SELECT pooldiag.sample_now()');
		my %sql = map { $_ => 1 } $eye->column('SELECT pool FROM pooldiag.pools WHERE connections > 0');
		for my $path ('/api/v1/pools', '/api/v1/health/detailed')
		{
			my $document = eval { json_of(ask($port, $path)) } // {};
			my %http = map { Encode::encode_utf8($_->{pool}) => 1 } grep { $_->{connections} > 0 } @{ $document->{pools} };
			push @bad, unpack 'H*', $name if join("\n", sort keys %http) ne join("\n", sort keys %sql);
		}
		$named->quit;
	}
	is_deeply(\@bad, [], 'names of any bytes: documents, with the names that SQL has');
}

# No text of a statement, wherever it has been.
my $marker = 'never_to_be_told';
$eye->query(qq{CREATE TABLE t (n int); INSERT INTO t VALUES (1)});
$sessions[0]->query(qq{UPDATE t SET n = 2 /* $marker */});
$sessions[1]->send(qq{UPDATE t SET n = 3 /* $marker */});
my $slow = PoolDiag::Session->connect($node, application_name => 'slow');
$slow->send(qq{SELECT pg_sleep(1000) /* $marker */});
$eye->query(qq{SELECT pg_sleep(0.1) /* $marker */});
$eye->try(qq{SELECT $marker});
$eye->poll(q{SELECT count(*) > 0 FROM pooldiag.incidents WHERE breaker IN ('lock_waits', 'slow_queries')}, 't');
$eye->poll(qq{SELECT count(*) > 0 FROM pooldiag.slow_query_log WHERE query LIKE '%$marker%'}, 't');
for my $path (@paths)
{
	unlike(ask($port, $path)->{content}, qr/$marker/, "$path: no text of a statement");
}
$eye->query('SELECT pg_terminate_backend(' . $_->pid . ')') for $slow, @sessions;
$_->drop for $slow, @sessions;

# Memory and descriptors, over some thousand requests.
sub many
{
	my ($rounds) = @_;
	for (1 .. $rounds)
	{
		my $request = join '', map { "GET $_ HTTP/1.1\r\nHost: localhost\r\n\r\n" } @paths;
		my $text = send_bytes($request . "GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
		return 0 if statuses($text) != @paths + 1;
	}
	return 1;
}
ok(many(100), 'a thousand requests are answered');
my $resident = resident();
ok(many(300), 'and some thousand more');
cmp_ok(resident(), '<=', $resident + 1024, 'memory does not grow by a megabyte');
none_left('nor descriptors at all');
is_well('in the end');
$eye->quit;
$node->stop;

unlike(slurp_file($node->logfile), qr/PANIC|TRAP|segfault|could not answer/, 'nothing went wrong');
done_testing();
