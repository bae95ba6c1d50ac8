# monitoring/: what its files say, without a server. Their own programs accept them, the rules' unit tests pass, and what they
# share with one another is the same.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use CPAN::Meta::YAML;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Daemon qw(find_program missing_programs substitute);

my $shipped = "$FindBin::RealBin/../../monitoring";
missing_programs(qw(promtool haproxy));
my ($promtool, $haproxy) = map { find_program($_) } qw(promtool haproxy);
my $work = PostgreSQL::Test::Utils::tempdir();

# Runs a program that has to be content, and shows what it says if it isn't.
sub accepts
{
	my ($name, @command) = @_;
	my $output = '';
	my $ok = IPC::Run::run(\@command, '<', \undef, '>&', \$output);
	ok($ok, $name) or diag $output;
	return;
}

sub yaml { return CPAN::Meta::YAML->read_string(slurp_file("$shipped/$_[0]"))->[0]; }

SKIP:
{
	skip 'prometheus is not installed: what promtool says is not known', 4 unless defined $promtool;
	accepts('the rules', $promtool, 'check', 'rules', "$shipped/rules.yml");
	accepts("the rules' unit tests", $promtool, 'test', 'rules', "$shipped/rules_test.yml");
	append_to_file("$work/token", "secret\n");
	substitute("$shipped/prometheus.yml", "$work/prometheus.yml", qr{/etc/prometheus/pooldiag.token} => "$work/token");
	substitute("$shipped/rules.yml", "$work/rules.yml");
	accepts('the scrape configuration', $promtool, 'check', 'config', "$work/prometheus.yml");
	accepts('the scrape configuration as it is', $promtool, 'check', 'config', '--syntax-only', "$shipped/prometheus.yml");
}
SKIP:
{
	skip 'haproxy is not installed: what it says is not known', 1 unless defined $haproxy;
	accepts("HAProxy's configuration", $haproxy, '-c', '-q', '-f', "$shipped/haproxy.cfg");
}

# Rates are those of counters: of names that end as a counter's do, or of a recorded sum of such.
sub counters_only
{
	my ($what, $expr) = @_;
	my @bad = grep { !/(?:_total|_bucket|_sum|_count)(?::sum)?$/ } $expr =~ /\b(?:rate|irate|increase)\(\s*([\w:]+)/g;

	is("@bad", '', "$what: rates of counters only");
	return;
}

# Rules.
my $rules_text = slurp_file("$shipped/rules.yml");
my $tests_text = slurp_file("$shipped/rules_test.yml");
my @rules = map { @{ $_->{rules} } } @{ yaml('rules.yml')->{groups} };
my @alerts = grep { $_->{alert} } @rules;
cmp_ok(scalar @alerts, '>', 20, 'there are alerts');
my %listed = map { /^#   (Pooldiag\w+)\s+((?:[<>=]+ [\d.]+)?)\s*for (\w+)/ ? ($1 => [ $2, $3 ]) : () } split /\n/, $rules_text;
is(join(' ', sort keys %listed), join(' ', sort map { $_->{alert} } @alerts), 'the list of thresholds has all alerts');
for my $alert (@alerts)
{
	my $name = $alert->{alert};
	subtest $name => sub { check_alert($alert); };
}

sub check_alert
{
	my ($alert) = @_;
	my $name = $alert->{alert};
	my ($threshold, $for) = @{ $listed{$name} // [ '', '' ] };
	is($alert->{for}, $for, "$name: as long as the list says");
	ok(index($alert->{expr}, $threshold) >= 0, "$name: the threshold that the list says");
	like($alert->{labels}{severity}, qr/^(?:critical|warning|info)$/, "$name: a severity");
	ok(length $alert->{annotations}{$_}, "$name: has $_") for qw(summary description runbook);
	like($alert->{annotations}{runbook}, qr/\bpooldiag\.[a-z_]+/, "$name: the runbook has somewhere to look");
	counters_only($name, $alert->{expr});
	like($tests_text, qr/alertname="$name", alertstate="firing"/, "$name: a unit test in which it fires");
	return;
}

subtest 'recording rules' => sub { check_record($_) for grep { $_->{record} } @rules; };

sub check_record
{
	my ($rule) = @_;

	like($rule->{record}, qr/^(?:instance|instance_pool|instance_reason|instance_wait|instance_type|cluster):pooldiag_\w+:\w+$/,
		"$rule->{record}: named as level:metric:operation");
	counters_only($rule->{record}, $rule->{expr});
	return;
}

# The dashboard.
my $dashboard = decode_json(slurp_file("$shipped/dashboard.json"));
cmp_ok($dashboard->{schemaVersion}, '>=', 39, 'the dashboard: a current version of its schema');
is_deeply([ map { $_->{name} } @{ $dashboard->{templating}{list} } ], [qw(datasource instance pool)], 'its variables');
my ($pool) = grep { $_->{name} eq 'pool' } @{ $dashboard->{templating}{list} };
ok($pool->{multi} && $pool->{includeAll} && $pool->{allValue} eq '.*', 'of pools any number, or all');
my (%id, %title, %cell, @expressions);
subtest 'its panels' => sub { check_panel($_) for @{ $dashboard->{panels} }; };

sub check_panel
{
	my ($panel) = @_;
	my ($title, $grid) = @$panel{qw(title gridPos)};
	is($id{ $panel->{id} }++, 0, "$title: an id of its own");
	is($title{$title}++, 0, "$title: a title of its own");
	my @cells = map { my $y = $_; map { "$_,$y" } $grid->{x} .. $grid->{x} + $grid->{w} - 1 } $grid->{y} .. $grid->{y} + $grid->{h} - 1;
	ok(!(grep { $cell{$_}++ } @cells) && $grid->{x} + $grid->{w} <= 24, "$title: a place of its own");
	return if $panel->{type} eq 'row';
	is($panel->{datasource}{uid}, '${datasource}', "$title: asks the chosen Prometheus");
	ok(length $panel->{fieldConfig}{defaults}{unit}, "$title: has a unit");
	for my $target (@{ $panel->{targets} })
	{
		is($target->{datasource}{uid}, '${datasource}', "$title $target->{refId}: asks the chosen Prometheus");
		counters_only("$title $target->{refId}", $target->{expr});
		push @expressions, $target->{expr};
	}
	return;
}
SKIP:
{
	skip 'prometheus is not installed: whether queries parse is not known', 1 unless defined $promtool;
	my $number = 0;
	s/\$__(?:rate_interval|range|interval)/5m/g for @expressions;
	append_to_file("$work/queries.yml", "groups:\n- name: queries\n  rules:\n"
		  . join('', map { "  - record: query" . $number++ . "\n    expr: '" . s/'/''/gr . "'\n" } @expressions));
	accepts("the dashboard's queries parse", $promtool, 'check', 'rules', "$work/queries.yml");
}

# Kubernetes: what restarts a server must not ask whether it is ready.
my ($container) = @{ yaml('kubernetes.yaml')->{spec}{template}{spec}{containers} };
is_deeply({ map { $_ => $container->{$_}{httpGet}{path} } grep { /Probe$/ } keys %$container },
	{ startupProbe => '/livez', livenessProbe => '/livez', readinessProbe => '/readyz' }, "Kubernetes' probes");
is_deeply([ grep { $container->{$_}{httpGet}{port} ne 'pooldiag' } grep { /Probe$/ } keys %$container ], [], 'at the port that is named');

done_testing();
