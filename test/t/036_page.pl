# The status page in a real browser: what it shows is what SQL says, quickly, to everybody and without asking anybody else;
# test/web/page.py does it. POOLDIAG_PICTURES names a folder for the pictures that it takes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use IPC::Run qw(run);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Server;
use PoolDiag::Session;

my ($python) = grep { -x } '/usr/bin/python3', map { "$_/python3" } split /:/, $ENV{PATH};

# All that a browser's test needs comes with the profile "web", and with "ci", of scripts/setup.sh.
my @missing = grep {
	my $program = $_;
	!grep { -x "$_/$program" } split /:/, $ENV{PATH}
} qw(chromium chromedriver);
push @missing, 'selenium and psycopg2 for Python'
  unless defined $python && run([ $python, '-c', 'import selenium, psycopg2' ], '>&', \my $ignored);
plan skip_all => 'no ' . join(', no ', @missing) . '; scripts/setup.sh web installs what is missing' if @missing;

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $node = new_server('page', <<"EOC");
max_connections = 40
pooldiag.http_port = $port
pooldiag.http_access = all
pooldiag.failure_threshold = 2
pooldiag.leak_threshold = 500ms
pooldiag.pools = 'web(application_name=web, size=6, max_overflow=6), jobs(application_name=jobs, size=2, max_overflow=0)'
EOC

# What a browser would ask a person for.
my $token = 'a2c7-4e1f';
my $file = $node->data_dir . '/token';
append_to_file($file, "$token\n");
chmod 0600, $file or die "chmod $file: $!";
$node->append_conf('postgresql.conf', "pooldiag.http_token_file = '$file'");
reload($node);

# Sessions that stay as they are: a pool in overflow that leaks, one that is full, one that nobody has declared. Two wait for a
# row that a leak holds.
my %as = (web => 9, jobs => 2, reports => 1);
my @sessions = map { my $name = $_; map { PoolDiag::Session->connect($node, application_name => $name) } 1 .. $as{$name} } sort keys %as;
my @web = grep { $_->value('SHOW application_name') eq 'web' } @sessions;
$web[0]->query('CREATE TABLE stock AS SELECT 1 AS item');
$_->query('BEGIN; SELECT 1') for @web[ 0 .. 2 ];
$web[0]->query('UPDATE stock SET item = 2');
$_->send('UPDATE stock SET item = 3') for @web[ 3 .. 4 ];

# Somebody is turned away.
my $refused = PoolDiag::Session->refusal($node, database => 'nowhere');
like($refused->{M}, qr/does not exist/, 'a connection is refused');

my $eye = observer($node);
$eye->poll(q{SELECT count(*) FROM pooldiag.breakers WHERE state = 'open'}, 2);
$eye->quit;

# A browser wants a home, and one that nobody else has.
local $ENV{HOME} = PostgreSQL::Test::Utils::tempdir();
local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
local $ENV{PGDATABASE} = 'postgres';
my $pictures = $ENV{POOLDIAG_PICTURES} // "$PostgreSQL::Test::Utils::log_path/036_page";
my $pg_ctl = 'pg_ctl --wait --pgdata=' . $node->data_dir;
my $output;
my $finished = run(
	[
		$python, "$FindBin::RealBin/../web/page.py", "http://127.0.0.1:$port", $pictures, '--token', $token,
		'--stop', "$pg_ctl --mode=immediate stop",
		'--start', "$pg_ctl --log=" . $node->logfile . ' start'
	],
	'>', \$output, '2>&1');

# Its tests are ours.
my $tests = 0;
for (split /\n/, $output)
{
	if (/^(not )?ok \d+ - (.*)/)
	{
		ok(!$1, $2);
		$tests++;
	}
	elsif (!/^1\.\.\d+$/)
	{
		s/^# //;
		note($_);
	}
}
ok($finished && $output =~ /^1\.\.$tests$/m, 'it has come to its end');
note("pictures are in $pictures");

# The server was stopped and started behind the node's back.
$node->_update_pid(1);
$node->stop;
done_testing();
