# A fleet: a primary and two standbys, scraped by a real Prometheus, behind a real HAProxy, both with the files of monitoring/, of
# which nothing but addresses, paths and times is changed. Every rule and every query of the dashboard gives something, figures
# are those of SQL, and when the primary goes and a standby is promoted, series, alerts and routing follow.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Daemon qw(missing_programs substitute);
use PoolDiag::HAProxy;
use PoolDiag::Prometheus;
use PoolDiag::Server;
use PoolDiag::Session qw(wait_until);

if (my @missing = missing_programs(qw(prometheus haproxy)))
{
	plan skip_all => "not installed: @missing; nothing of monitoring/ is run";
}

my $shipped = "$FindBin::RealBin/../../monitoring";
my $work = PostgreSQL::Test::Utils::tempdir_short();
my $token = 'the token of the fleet';
append_to_file("$work/token", "$token\n");
chmod 0600, "$work/token";

# ------------------------------------------------------------------------------------------------------- the fleet

# Each node is on a loopback address of its own, which is its name in Prometheus.
my %port;
my @names = qw(db1 db2 db3);
my %address = (db1 => '127.0.0.1', db2 => '127.0.0.2', db3 => '127.0.0.3');
my %http = map { $_ => PostgreSQL::Test::Cluster::get_free_port() } @names;

sub place
{
	my ($name) = @_;

	return <<"EOC";
listen_addresses = '$address{$name}'
pooldiag.http_port = $http{$name}
pooldiag.http_listen_addresses = '$address{$name}'
EOC
}

my $db1 = new_server('db1', <<'EOC' . place('db1'), allows_streaming => 1);
max_connections = 20
superuser_reserved_connections = 3
pooldiag.sample_interval = 100ms
pooldiag.operation_interval = 1s
pooldiag.leak_threshold = 500ms
pooldiag.failure_threshold = 2
pooldiag.pools = 'web(application_name=web*, size=2, max_overflow=2)'
EOC
# The file of the token has to be the server's own.
$db1->append_conf('postgresql.conf', "pooldiag.http_token_file = '$work/token'");
reload($db1);
my %node = (db1 => $db1);
$db1->safe_psql('postgres', 'CREATE ROLE narrow LOGIN CONNECTION LIMIT 0');
$db1->backup('copy');
for my $name (qw(db2 db3))
{
	$node{$name} = PostgreSQL::Test::Cluster->new($name);
	$node{$name}->init_from_backup($db1, 'copy', has_streaming => 1);
	$node{$name}->append_conf('postgresql.conf', place($name));
	$node{$name}->start;
	$db1->wait_for_catchup($node{$name}, 'replay', $db1->lsn('insert'));
}
my %eye = map { $_ => observer($node{$_}) } @names;

# What /metrics says to who has the token.
sub exposition
{
	my ($name) = @_;
	my $answer = HTTP::Tiny->new->get("http://$address{$name}:$http{$name}/metrics",
		{ headers => { Authorization => "Bearer $token", Accept => 'text/plain' } });

	die "$answer->{status} $answer->{content}" unless $answer->{success};
	return $answer->{content};
}
wait_until("$_ answers", sub { return eval { exposition($_) }; }) for @names;

# ------------------------------------------------------------------------------------- Prometheus and HAProxy

my $token_path = qr{/etc/prometheus/pooldiag\.token};
substitute("$shipped/prometheus.yml", "$work/prometheus.yml",
	qr/(?<=_interval: )15s/ => '1s', qr/(?<=scrape_timeout: )5s/ => '1s', $token_path => "$work/token",
	map { qr/\Q$_\E\.example\.com:8000/ => "$address{$_}:$http{$_}" } @names);
# Rates over seconds in place of minutes, and no patience.
substitute("$shipped/rules.yml", "$work/rules.yml",
	qr/(?<=interval: )15s/ => '1s', qr/\[5m\]/ => '[10s]', qr/(?<=for: )\w+/ => '2s');
my $prometheus = PoolDiag::Prometheus->new(config => "$work/prometheus.yml", data => "$work/prometheus",
	port => PostgreSQL::Test::Cluster::get_free_port());

my %door = (writes => PostgreSQL::Test::Cluster::get_free_port(), reads => PostgreSQL::Test::Cluster::get_free_port());
my %given = (db1 => '192.0.2.11', db2 => '192.0.2.12', db3 => '192.0.2.13');
substitute("$shipped/haproxy.cfg", "$work/haproxy.cfg",
	qr{/run/haproxy/admin\.sock} => "$work/admin.sock",
	qr/bind :5000/ => "bind 127.0.0.1:$door{writes}", qr/bind :5001/ => "bind 127.0.0.1:$door{reads}",
	qr/inter 2s fastinter 1s downinter 2s/ => 'inter 200ms fastinter 100ms downinter 200ms',
	map { qr/\Q$given{$_}\E:5432 check port 8000/ => "$address{$_}:" . $node{$_}->port . " check port $http{$_}" } @names);
my $haproxy = PoolDiag::HAProxy->new(config => "$work/haproxy.cfg", socket => "$work/admin.sock", log => "$work/haproxy.log");

# Prometheus and SQL agree on something, at last.
sub agree
{
	my ($what, $expr, $sql) = @_;
	my ($measured, $said);

	my $ok = eval {
		wait_until($what, sub {
			($measured, $said) = map { ref $_ eq 'CODE' ? $_->() : $_ } $expr, $sql;
			return defined $measured && defined $said && $measured == $said;
		});
	};
	ok($ok, $what) or diag "Prometheus: " . ($measured // 'nothing') . ", SQL: " . ($said // 'nothing');
	return;
}

# The same of a node: a query, with the node's name as instance, and the SQL.
sub same
{
	my ($name, $what, $expr, $sql) = @_;

	$expr =~ s/NODE/instance="$address{$name}"/g;
	agree("$name: $what", sub { return $prometheus->value($expr); }, sub { return $eye{$name}->value($sql); });
	return;
}

# A session through HAProxy; which node it is with, and in which role. Nothing if nobody is there.
sub through
{
	my ($door) = @_;
	my $session = eval { PoolDiag::Session->connect(bless({ port => $door{$door} }, 'Door'), host => '127.0.0.1', user => getpwuid($<)); };

	return unless $session;
	my ($port, $recovers) = @{ ($session->query(q{SELECT current_setting('port'), pg_is_in_recovery()}))[0] };
	$session->quit;
	my ($name) = grep { $node{$_}->port == $port } @names;
	return $name . ($recovers eq 't' ? ', a standby' : ', the primary');
}
sub Door::port { return $_[0]{port}; }

# Many sessions, one after the other: where they came to, each once.
sub routes
{
	my ($door) = @_;
	my %seen = map { $_ => 1 } map { through($door) // 'nobody' } 1 .. 6;

	return join '; ', sort keys %seen;
}

# Waits for routing to be so, and then it has to hold.
sub routed
{
	my ($door, $expected, $what) = @_;
	my $now = '';

	eval { wait_until($what, sub { $now = routes($door); return $now eq $expected; }); };
	is($now, $expected, $what);
	return;
}

sub fires
{
	my ($alert, $labels, $what) = @_;
	my $wanted = join ', ', map { "$_=$labels->{$_}" } sort keys %$labels;
	my @now;

	my $ok = eval {
		wait_until($what, sub {
			@now = map { my $is = $_->{labels}; join ', ', map { "$_=" . ($is->{$_} // '') } sort keys %$labels } $prometheus->firing($alert);
			return grep { $_ eq $wanted } @now;
		});
	};
	ok($ok, $what) or diag "$alert fires for: @now";
	return;
}

sub quiet
{
	my ($alert, $what) = @_;

	ok(eval { wait_until($what, sub { return !$prometheus->firing($alert); }) }, $what);
	return;
}

# ------------------------------------------------------------------------------------------------------------ all is well

is_deeply(
	do {
		wait_until('all are scraped', sub { return ($prometheus->value('sum(up{job="pooldiag"})') // 0) == 3; });
		$prometheus->by(instance => 'up{job="pooldiag"}');
	},
	{ map { $_ => 1 } values %address },
	'every node is scraped, under its own name');
wait_until('HAProxy knows all', sub { return $haproxy->up('primary') eq 'db1' && $haproxy->up('standbys') eq 'db2 db3'; });
is($haproxy->up('primary') . ' | ' . $haproxy->up('standbys'), 'db1 | db2 db3', 'HAProxy knows who is what');
routed(writes => 'db1, the primary', 'writes go to the primary');
routed(reads => 'db2, a standby; db3, a standby', 'reads to the standbys');

# Sessions that stay as they are: two idle in transaction, one idle, one at work.
my %held;
for my $name (@names)
{
	$held{$name} = [ map { PoolDiag::Session->connect($node{$name}, application_name => "web-$_") } 1 .. 4 ];
	$held{$name}[$_]->query('BEGIN') for 0, 1;
	$held{$name}[3]->send('SELECT pg_sleep(3600)');
}
for my $name (@names)
{
	same($name, 'the role', 'pooldiag_server_in_recovery{NODE}', 'SELECT pg_is_in_recovery()::int');
	same($name, 'max_connections', 'pooldiag_server_max_connections{NODE}', q{SELECT current_setting('max_connections')});
	same($name, 'usable slots', 'pooldiag_server_usable_slots{NODE}', q{SELECT capacity FROM pooldiag.utilization WHERE scope = 'server'});
	same($name, 'connections', 'instance:pooldiag_connections:sum{NODE}', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'});
	same($name, 'idle in transaction', 'pooldiag_server_connections{NODE, state="idle in transaction"}',
		q{SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'});
	same($name, 'the share of slots', 'round(1000 * instance:pooldiag_slots_utilization:ratio{NODE})',
		q{SELECT round((10 * utilization_percent)::numeric) FROM pooldiag.utilization WHERE scope = 'server'});
	same($name, 'a pool\'s capacity', 'pooldiag_pool_capacity{NODE, pool="web"}', q{SELECT capacity FROM pooldiag.pools WHERE pool = 'web'});
	same($name, 'its saturation', '100 * instance_pool:pooldiag_saturation:ratio{NODE, pool="web"}',
		q{SELECT saturation_percent FROM pooldiag.pools WHERE pool = 'web'});
	same($name, 'its utilization', '100 * instance_pool:pooldiag_utilization:ratio{NODE, pool="web"}',
		q{SELECT utilization_percent FROM pooldiag.pools WHERE pool = 'web'});
	same($name, 'leak suspects', 'pooldiag_pool_leak_suspects{NODE, pool="web"}', q{SELECT leaks FROM pooldiag.pools WHERE pool = 'web'});
	same($name, 'its transactions', 'pooldiag_pool_transactions_total{NODE, pool="web"}', q{SELECT xacts FROM pooldiag.pools WHERE pool = 'web'});
}
same('db1', 'walsenders', 'pooldiag_server_walsenders{NODE}', 'SELECT count(*) FROM pg_stat_replication');
agree('the cluster: one primary', sub { $prometheus->value('cluster:pooldiag_primaries:sum{cluster="main"}') }, 1);
agree('two standbys', sub { $prometheus->value('cluster:pooldiag_standbys:sum{cluster="main"}') }, 2);
fires('PooldiagLeakSuspects', { instance => $address{$_}, pool => 'web' }, "$_: leaks are an alert") for @names;
fires('PooldiagPoolSaturated', { instance => $address{$_}, pool => 'web' }, "$_: and so is a full pool") for @names;
for my $alert (qw(PooldiagEndpointDown PooldiagEndpointAbsent PooldiagNoPrimary PooldiagTwoPrimaries PooldiagStandbyLost
	PooldiagStandbyNotStreaming PooldiagSlotsNearlyFull PooldiagSamplerSilent PooldiagCanaryFailing PooldiagConnectionsRefused))
{
	quiet($alert, "no $alert");
}

# ------------------------------------------------------------------------------------- every query, and every rule

# Something of everything happens: statements, failures and cancels, sessions that come and go or are turned away, a breaker
# that opens.
sub stir
{
	my ($name) = @_;
	my $session = PoolDiag::Session->connect($node{$name}, application_name => 'web-passing');

	$session->query('SELECT 1') for 1 .. 3;
	$session->try('SELECT 1/0');
	$session->query(q{SET statement_timeout = '1ms'});
	$session->try('SELECT pg_sleep(10)');
	$session->quit;
	PoolDiag::Session->refusal($node{$name}, user => 'narrow');
	$eye{$name}->query(q{SELECT pooldiag.breaker_reset('refusals')});
	return;
}

# Of a server that is well these have nothing to show.
my %may_be_empty = map { $_ => 1 } ('pooldiag_operation_consecutive_failures{NODE} > 0');

my $dashboard = decode_json(slurp_file("$shipped/dashboard.json"));
my @queries;
for my $panel (grep { $_->{targets} } @{ $dashboard->{panels} })
{
	push @queries, map { [ "$panel->{title} $_->{refId}", $_->{expr} ] } @{ $panel->{targets} };
}
push @queries, map { [ "annotation $_->{name}", $_->{expr} ] } grep { $_->{expr} } @{ $dashboard->{annotations}{list} };
cmp_ok(scalar @queries, '>', 60, 'the dashboard asks much');

sub ask_all
{
	my ($name) = @_;
	my @left = map {
		my ($title, $expr) = @$_;
		$expr =~ s/instance="\$instance"/NODE/g;
		$expr =~ s/\$pool/.*/g;
		$expr =~ s/\$__rate_interval|\$__range/10s/g;
		[ $title, $expr ];
	} @queries;

	is(scalar(grep { $_->[1] =~ /\$/ } @left), 0, "$name: no variable is left");
	my (%empty, %wrong);
	eval {
		wait_until("$name: every query has given something", sub {
			stir($name);
			@left = grep {
				my ($title, $expr) = @$_;
				my $asked = $expr =~ s/NODE/instance="$address{$name}"/gr;
				my @samples = eval { $prometheus->query($asked) };
				$wrong{$title} = $@ if $@;
				!$@ && !(grep { $_->{value} ne 'NaN' } @samples) && !$may_be_empty{$expr};
			} @left;
			return !@left;
		});
	};
	is_deeply(\%wrong, {}, "$name: no query of the dashboard is wrong");
	is_deeply([ map { "$_->[0]: $_->[1]" } @left ], [], "$name: every one of them gives something");
	return;
}
ask_all($_) for qw(db1 db2);

# Its variables.
for my $variable (grep { $_->{type} eq 'query' } @{ $dashboard->{templating}{list} })
{
	my ($match, $label) = $variable->{definition} =~ /^label_values\((.*), (\w+)\)$/;
	$match =~ s/\$instance/$address{db1}/;
	my $values = $prometheus->api("label/$label/values", 'match[]' => $match);
	if ($variable->{name} eq 'instance') { is_deeply([ sort @$values ], [ sort values %address ], 'there are servers to choose from') }
	else { is(scalar(grep { $_ eq 'web' } @$values), 1, 'and pools') }
}

# Rules: none has failed, and every series that one records is there.
my @rules = map { @{ $_->{rules} } } @{ $prometheus->api('rules')->{groups} };
is_deeply([ map { "$_->{name}: " . ($_->{lastError} // $_->{health}) } grep { $_->{health} ne 'ok' } @rules ], [], 'every rule is evaluated');
my @unrecorded = grep { $_->{type} eq 'recording' } @rules;
eval {
	wait_until('everything has been recorded', sub {
		stir('db1');
		@unrecorded = grep { !(grep { $_->{value} ne 'NaN' } $prometheus->query($_->{name})) } @unrecorded;
		return !@unrecorded;
	});
};
is_deeply([ map { $_->{name} } @unrecorded ], [], 'every rule records something');
is_deeply([ grep { /<error|no value/ } map { values %{ $_->{annotations} } } $prometheus->firing ], [], 'the texts of alerts are whole');

# Names: whatever rules and dashboard name is served, and every reason that they name is one.
my %served;
for (split /\n/, exposition('db1'))
{
	$served{$1} = $2 if /^# TYPE (\S+) (\S+)/;
}
my $asked = join "\n", (map { $_->{query} } @rules), map { $_->[1] } @queries;
# Neither what is recorded, which has a colon before or behind it, nor labels.
my %named = map { $_ => 1 } $asked =~ /(?<![\w:"])(pooldiag_\w+)(?=[{\[\s)]|$)/gm;
cmp_ok(scalar keys %named, '>', 40, 'rules and dashboard name many metrics');
is_deeply([ grep { my $family = $_ =~ s/_(?:bucket|sum|count)$//r; !$served{$_} && !$served{$family} } sort keys %named ], [],
	'all of which are served');
my %reason = map { $_ => 1 } $eye{db1}->column('SELECT reason FROM pooldiag.refusals');
is_deeply([ grep { !$reason{$_} } map { split /\|/ } $asked =~ /reason=~?"([^"]+)"/g ], [], 'there are such reasons');
fires('PooldiagConnectionsRefused', { instance => $address{db1}, reason => 'role limit' }, 'refused connections are an alert');
fires('PooldiagBreakerOpen', { instance => $address{db1}, breaker => 'leaks' }, 'and so is an open breaker');
# Counters stand still again.
same($_, 'refused connections', 'sum(pooldiag_refused_connections_total{NODE})', 'SELECT sum(refused) FROM pooldiag.refusals') for @names;

# --------------------------------------------------------------------------------------------------- the primary goes

$_->quit for @{ $held{db1} }[ 0 .. 2 ];
$eye{db1}->quit;
$node{db1}->stop('fast');
$held{db1}[3]->drop;

fires('PooldiagEndpointDown', { instance => $address{db1} }, 'the primary goes: its endpoint is down');
fires('PooldiagNoPrimary', { cluster => 'main' }, 'the cluster has no primary');
is($prometheus->value(qq(pooldiag_server_in_recovery{instance="$address{db1}"})), undef, 'what is down has no role');
for my $name (qw(db2 db3))
{
	agree("$name is up", sub { $prometheus->value(qq(up{instance="$address{$name}"})) }, 1);
	agree("$name: nobody says that it is down", sub { scalar grep { $_->{labels}{instance} eq $address{$name} } $prometheus->firing('PooldiagEndpointDown') }, 0);
}
wait_until('HAProxy has no primary', sub { return $haproxy->up('primary') eq ''; });
is(through('writes'), undef, 'writes go nowhere');
routed(reads => 'db2, a standby; db3, a standby', 'reads go on');

# ------------------------------------------------------------------------------------------------- a standby is promoted

$node{db2}->promote;
same('db2', 'promoted: the series follows', 'pooldiag_server_in_recovery{NODE}', 'SELECT pg_is_in_recovery()::int');
agree('and it is the primary', sub { $prometheus->value(qq(pooldiag_server_in_recovery{instance="$address{db2}"})) }, 0);
agree('the other is a standby still', sub { $prometheus->value(qq(pooldiag_server_in_recovery{instance="$address{db3}"})) }, 1);
quiet('PooldiagNoPrimary', 'that there is no primary is resolved');
fires('PooldiagEndpointDown', { instance => $address{db1} }, 'the old one is down still');
fires('PooldiagStandbyLost', { cluster => 'main' }, 'there is a standby less');
fires('PooldiagStandbyNotStreaming', { cluster => 'main' }, 'and the one that is left gets nothing');
routed(writes => 'db2, the primary', 'writes go to the new primary');
routed(reads => 'db3, a standby', 'reads to the standby that is left');

# The old primary comes back as one: that is an alert, and gets no clients.
$node{db1}->start;
fires('PooldiagTwoPrimaries', { cluster => 'main' }, 'two primaries are an alert');
quiet('PooldiagEndpointDown', 'all are up');
wait_until('HAProxy sees two', sub { return $haproxy->up('primary') eq 'db1 db2'; });
routed(writes => 'db2, the primary', 'and writes stay where they were');
$node{db1}->stop('fast');
quiet('PooldiagTwoPrimaries', 'until it is gone');

# Without a standby reads are for the primary.
$_->quit for @{ $held{db3} }[ 0 .. 2 ], $eye{db3};
$node{db3}->stop('fast');
$held{db3}[3]->drop;
routed(reads => 'db2, the primary', 'without a standby reads go to the primary');
routed(writes => 'db2, the primary', 'as writes do');

for my $name (@names)
{
	unlike(slurp_file($node{$name}->logfile), qr/PANIC|TRAP/, "$name: nothing else went wrong");
}
done_testing();
