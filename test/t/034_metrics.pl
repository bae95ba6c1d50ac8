# metrics(): its figures are those of the views, of the clients' own counts, and of each other; names stay in their
# labels, whatever they are; there are as many pools as there is room for, and nothing that was counted is lost when one makes
# way for another. Prometheus's own tools read it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use Encode ();
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Metrics;
use PoolDiag::Server;
use PoolDiag::Session qw(wait_until);

# The sampler takes a tick when it is told to.
my $node = new_server('metrics', <<'EOC');
max_connections = 40
pooldiag.sample_interval = 1h
pooldiag.evaluation_interval = 1h
pooldiag.leak_threshold = 1ms
pooldiag.pools = 'web(application_name=web*, size=2, max_overflow=3, instances=2), idle(application_name=idle)'
EOC
my $eye = observer($node);
my $version = $eye->value(q{SELECT current_setting('server_version_num')::int / 10000});
my $me = getpwuid($<);

# Both formats, read by us and by others.
sub metrics
{
	my ($what, $session) = @_;
	my ($openmetrics, $prometheus) =
	  @{ ($session // $eye)->row(q{SELECT pooldiag.metrics() AS o, pooldiag.metrics('prometheus') AS p}) }{qw(o p)};

	check_metrics($what, $openmetrics, $prometheus);
	parse_metrics($prometheus);
	return parse_metrics($openmetrics);
}

# ---- Figures.

$eye->query(q{
	CREATE ROLE limited LOGIN CONNECTION LIMIT 0;
	CREATE TABLE locked (i int);
});
my ($web, $leak, $waits) = map { PoolDiag::Session->connect($node, application_name => "web-$_") } 1 .. 3;
my $other = PoolDiag::Session->connect($node, application_name => 'other');
my %count = (statements => 0, failures => 0, cancels => 0, transactions => 0);

# What the client does, and what it makes of it.
sub statement
{
	my ($session, $sql, %counts) = @_;
	my $error = $session->try($sql)->{error};

	$count{statements}++;
	$count{failures}++ if $error;
	$count{cancels}++ if $error && $error->{C} eq '57014';
	$count{transactions} += $counts{transactions} // 1;
	return;
}
statement($web, 'SELECT 1') for 1 .. 50;
statement($web, 'SELECT 1/0') for 1 .. 3;
statement($web, q{SET statement_timeout = '10ms'});
statement($web, 'SELECT pg_sleep(600)') for 1 .. 2;
statement($web, 'RESET statement_timeout');
statement($web, 'BEGIN', transactions => 0);
statement($web, 'SELECT pg_sleep(0.03)', transactions => 0) for 1 .. 2;
statement($web, 'COMMIT');
statement($leak, 'BEGIN', transactions => 0);
statement($leak, 'LOCK TABLE locked', transactions => 0);
$waits->send('SELECT * FROM locked');
$eye->poll('SELECT count(*) FROM pg_locks WHERE NOT granted', 1);
$other->query('SELECT 1') for 1 .. 4;

my %refused = ('role limit' => 3, authentication => 2, 'no such database' => 1);
is(PoolDiag::Session->refusal($node, user => 'limited', application_name => 'web-9')->{C}, '53300', 'refused') for 1 .. 3;
is(PoolDiag::Session->refusal($node, user => 'nobody at all')->{C}, '28000', 'refused') for 1 .. 2;
is(PoolDiag::Session->refusal($node, database => 'nowhere')->{C}, '3D000', 'refused');
$eye->query(q{SELECT pooldiag.breaker_force_open('errors')});
$eye->query('SELECT pooldiag.sample_now()') for 1, 2;
$eye->poll(q{SELECT last_finished IS NOT NULL FROM pooldiag.operations WHERE operation = 'canary'});
# A try that ends between two looks would be in one only.
$eye->query(q{ALTER SYSTEM SET pooldiag.operation_interval = '1h'});
reload($node);

# All of one statement, which counts once it has ended.
my $row = $eye->row(q{
	SELECT pooldiag.metrics() AS metrics,
		(SELECT json_agg(p) FROM pooldiag.pools p) AS pools,
		(SELECT json_agg(p) FROM pooldiag.churn p) AS churn,
		(SELECT json_agg(l) FROM pooldiag.latency l) AS latency,
		(SELECT json_agg(b) FROM pooldiag.breakers b) AS breakers,
		(SELECT json_agg(s) FROM pooldiag.connection_states s) AS states,
		(SELECT json_agg(r) FROM pooldiag.refusals r) AS refusals,
		(SELECT json_agg(w) FROM (SELECT coalesce(wait_event_type, 'CPU') AS type, coalesce(wait_event, 'CPU') AS event,
			sum(samples) AS samples FROM pooldiag.waits GROUP BY 1, 2) w) AS waits,
		(SELECT json_agg(o) FROM pooldiag.operations o) AS operations,
		(SELECT json_agg(r) FROM (SELECT rule, severity, count(*) AS subjects FROM pooldiag.recommendations
			GROUP BY 1, 2) r) AS recommendations,
		(SELECT json_object_agg(name, value) FROM pooldiag.self) AS self,
		(SELECT json_object_agg(scope, u) FROM pooldiag.utilization u WHERE name IS NULL) AS utilization,
		(SELECT max(id) FROM pooldiag.alerts) AS alert,
		extract(epoch FROM pg_postmaster_start_time()) AS started,
		pooldiag.health() ->> 'status' AS status});
my $m = parse_metrics(delete $row->{metrics});
my %view = map { $_ => $row->{$_} =~ /^[\[{]/ ? decode_json($row->{$_}) : $row->{$_} } keys %$row;

is($m->value('pooldiag_server_connections', state => $_->{state}), $_->{connections}, "connections: $_->{state}")
  for @{ $view{states} };
is($m->value('pooldiag_server_max_connections'), 40, 'slots');
is($m->value('pooldiag_server_usable_slots'), $view{utilization}{server}{capacity}, 'usable slots');
is($m->value('pooldiag_server_reserved_slots'), $view{utilization}{'reserved slots'}{capacity}, 'reserved slots');
is($m->value('pooldiag_server_peak_connections'), $view{utilization}{server}{peak_connections}, 'their peak');
is($m->value('pooldiag_server_overflow_connections'), 0, 'none beyond');
is($m->value("pooldiag_server_$_"), $view{utilization}{$_}{connections}, $_) for qw(walsenders workers);
is($m->value('pooldiag_server_waiting_connections'), 1, 'one waits for a lock');
is($m->value('pooldiag_server_leak_suspects'), 1, 'one is a leak suspect');
is($m->value('pooldiag_server_in_recovery'), 0, 'a primary');
is($m->value('pooldiag_database_connected'), 1, 'the canary is well');
is($m->value('pooldiag_health_status', pooldiag_health_status => $_), $_ eq $view{status} ? 1 : 0, "status: $_")
  for qw(starting healthy degraded unhealthy);
is($view{status}, 'degraded', 'which is so');
cmp_ok($m->value('pooldiag_server_start_time_seconds'), '==', $view{started}, 'when it was started, to the microsecond');

# Pools, all columns; the eye's own included.
my %pool = map { $_->{pool} => $_ } @{ $view{pools} };
is_deeply([ $m->labels('pooldiag_pool_connections', 'pool') ], [ sort keys %pool ], 'the pools are those of the view');
my %column = (
	size => 'size', max_overflow => 'max_overflow', instances => 'instances', capacity => 'capacity', overflow => 'overflow',
	checked_out => 'checked_out', peak_checked_out => 'peak_checked_out', leak_suspects => 'leaks', over_recycle => 'over_recycle',
	transactions_total => 'xacts', statements_total => 'statements', connections_opened_total => 'sessions_opened',
	connections_refused_total => 'refused');
for my $name (sort keys %column)
{
	is_deeply(
		{ map { $_ => $m->value("pooldiag_pool_$name", pool => $_) } keys %pool },
		{ map { $_ => $pool{$_}{ $column{$name} } } keys %pool }, "pools: $name");
}
is($m->sum('pooldiag_pool_connections', pool => $_), $pool{$_}{connections}, "$_: connections") for keys %pool;
is($m->value('pooldiag_pool_connections_closed_total', pool => $_->{pool}), $_->{closed}, "$_->{pool}: closed") for @{ $view{churn} };

# What the client has counted itself.
is($m->value("pooldiag_pool_$_->[0]_total", pool => 'web'), $count{ $_->[1] }, "the client has counted as many $_->[1]")
  for [ statements => 'statements' ], [ statement_failures => 'failures' ], [ statement_cancels => 'cancels' ],
  [ transactions => 'transactions' ];
is($m->value('pooldiag_pool_connections_refused_total', pool => 'web'), 3, 'and refused connections');
is($m->value('pooldiag_pool_connections', pool => 'web', state => $_->[0]), $_->[1], "and states: $_->[0]")
  for [ active => 1 ], [ idle => 1 ], [ 'idle in transaction' => 1 ], [ starting => 0 ];
is($m->value('pooldiag_pool_statements_total', pool => "$me\@postgres/other"), 4, 'of a discovered pool too');
cmp_ok($m->value('pooldiag_pool_hold_seconds_sum', pool => 'web'), '>=', 0.06, 'it was held for as long as it slept');
cmp_ok($m->value('pooldiag_pool_statement_duration_seconds_sum', pool => 'web'), '>=', 0.06, 'by statements');
cmp_ok($m->value('pooldiag_pool_hold_idle_seconds_total', pool => 'web'),
	'<', $m->value('pooldiag_pool_hold_seconds_sum', pool => 'web'), 'a part of it idle');

# Histograms: each bound has exactly what is below in the view, whose buckets are finer.
my %kind = (
	statement_duration => 'statement', hold => 'transaction', connect_duration => 'connect', session_lifetime => 'lifetime');
for my $family (sort keys %kind)
{
	my $name = "pooldiag_pool_${family}_seconds";
	my (@bounds, @differ, %counted, %sum);

	for my $bucket ($m->samples("${name}_bucket"))
	{
		my ($pool, $le) = @{ $bucket->{labels} }{qw(pool le)};
		my $below = 0;

		push @bounds, $le if $pool eq 'web';
		for my $b (grep { $_->{pool} eq $pool && $_->{kind} eq $kind{$family} } @{ $view{latency} })
		{
			$below += $b->{count} if $le eq '+Inf' || ($b->{upper_ms} // 9e99) <= $le * 1000 + 0.0011;
			push @differ, "a bound within a bucket: $le"
			  if $le ne '+Inf' && $b->{lower_ms} <= $le * 1000 && ($b->{upper_ms} // 9e99) > $le * 1000 + 0.0011;
		}
		push @differ, "$pool: $le: $bucket->{value}, not $below" if $bucket->{value} != $below;
		$counted{$pool} = $bucket->{value} if $le eq '+Inf';
	}
	is_deeply(\@differ, [], "$family: as the view latency has it");
	cmp_ok(scalar @bounds, '>=', 9, 'with bounds enough');
	is_deeply({ map { $_->{labels}{pool} => $_->{value} } $m->samples("${name}_count") }, \%counted, 'and the count of all');
	for my $pool (keys %counted)
	{
		my ($least, $most) = (0, 0);

		for my $b (grep { $_->{pool} eq $pool && $_->{kind} eq $kind{$family} } @{ $view{latency} })
		{
			$least += $b->{count} * $b->{lower_ms} / 1000;
			$most += $b->{count} * ($b->{upper_ms} // 9e99) / 1000;
		}
		my $sum = $m->value("${name}_sum", pool => $pool);
		ok($sum >= $least - 1e-6 && $sum <= $most, "$family of $pool: the sum is one of such durations");
	}
}
is($m->value('pooldiag_pool_statement_duration_seconds_count', pool => $_), $pool{$_}{statements}, "$_: a duration for each statement")
  for keys %pool;

# Breakers, refusals, waits, operations, recommendations.
for my $breaker (@{ $view{breakers} })
{
	my %of = (breaker => $breaker->{breaker});

	is($m->value('pooldiag_breaker_state', %of, pooldiag_breaker_state => $breaker->{state}), 1, "$of{breaker}: its state");
	is($m->sum('pooldiag_breaker_state', %of), 1, 'and no other');
	my $value = $m->value('pooldiag_breaker_value', %of);
	is(defined $value, defined $breaker->{value}, 'its value is there if it is known');
	cmp_ok($value, '==', $breaker->{value}, 'and is that') if defined $value;
	is($m->value('pooldiag_breaker_limit', %of), $breaker->{limit_value}, 'its limit');
	is($m->value('pooldiag_breaker_consecutive_failures', %of), $breaker->{consecutive_failures}, 'its failures');
	is($m->value('pooldiag_breaker_trips_total', %of), $breaker->{trips}, 'its trips');
}
is_deeply([ $m->labels('pooldiag_breaker_limit', 'breaker') ], [ sort map { $_->{breaker} } @{ $view{breakers} } ], 'all breakers');
is($m->value('pooldiag_breaker_state', breaker => 'errors', pooldiag_breaker_state => 'forced_open'), 1, 'one is forced open');
for my $refusal (@{ $view{refusals} })
{
	my ($sample) = $m->samples('pooldiag_refused_connections_total', reason => $refusal->{reason});

	is($sample->{value}, $refusal->{refused}, "$refusal->{reason}: as the view has it");
	# Whoever waited for this server to start may have been refused.
	is($sample->{value}, $refused{ $refusal->{reason} } // 0, 'and the client')
	  unless $refusal->{reason} =~ /^(starting up|recovery|shutting down)$/;
	is($sample->{labels}{sqlstate}, $refusal->{sqlstate}, 'with the SQLSTATE of all of them')
	  if defined $refusal->{sqlstate} && $sample->{labels}{sqlstate} ne '';
}
# What extensions have named goes by its type.
my %waits;
$waits{ "$_->{type} " . ($_->{type} =~ /^(Extension|InjectionPoint)$/ || $_->{event} =~ /^(pooldiag|extension)$/ ? $_->{type} : $_->{event}) } += $_->{samples}
  for @{ $view{waits} };
is_deeply(
	{ map { ("$_->{labels}{wait_event_type} $_->{labels}{wait_event}" => $_->{value}) } $m->samples('pooldiag_wait_samples_total') },
	\%waits, 'waits');
cmp_ok($m->value('pooldiag_wait_samples_total', wait_event_type => 'Lock', wait_event => 'relation'), '>=', 1, 'one was seen waiting');
for my $operation (@{ $view{operations} })
{
	my %of = (operation => $operation->{operation});
	my $last = $m->value('pooldiag_operation_last_duration_seconds', %of);

	is($m->value('pooldiag_operation_runs_total', %of, outcome => $_), $operation->{$_}, "$of{operation}: $_") for qw(succeeded failed timed_out);
	is($m->value('pooldiag_operation_consecutive_failures', %of), $operation->{consecutive_failures}, 'in a row');
	is(defined $last, defined $operation->{last_ms}, 'its last try');
	cmp_ok(abs($last - $operation->{last_ms} / 1000), '<', 1e-9, 'how long it took') if defined $last;
}
is_deeply(
	{ map { ("$_->{labels}{rule} $_->{labels}{severity}" => $_->{value}) } $m->samples('pooldiag_recommendations') },
	{ map { ("$_->{rule} $_->{severity}" => $_->{subjects}) } @{ $view{recommendations} } }, 'recommendations');
is($m->value('pooldiag_recommendations', rule => 'leak_suspects', severity => 'warning')
	// $m->value('pooldiag_recommendations', rule => 'leak_suspects', severity => 'critical'), 1, 'one is about a pool');
is($m->value('pooldiag_alerts_total'), $view{alert}, 'the newest alert');
cmp_ok($view{alert}, '>=', 1, 'that there is');
is($m->value('pooldiag_self_ticks_total'), $view{self}{ticks}, 'ticks');
is($m->value('pooldiag_self_shared_memory_bytes'), $view{self}{shared_memory}, 'memory');
is($m->value('pooldiag_self_sampler_silent'), 0, 'the sampler is not silent');
cmp_ok($m->value('pooldiag_self_last_sample_age_seconds'), '>=', 0, 'and has an age');
cmp_ok(abs($m->value('pooldiag_self_tick_cpu_seconds_total') - $view{self}{tick_cpu_mean} * ($view{self}{ticks} - 1) / 1e6), '<', 1e-5, 'CPU of ticks');
metrics('figures');

# All that a reader without the right to look into all sessions is told: what is there now, and nothing of the past of pools.
$eye->query(q{
	CREATE ROLE reader LOGIN;
	GRANT USAGE ON SCHEMA pooldiag TO reader;
	GRANT EXECUTE ON FUNCTION pooldiag.metrics(text) TO reader;
});
my $reader = PoolDiag::Session->connect($node, user => 'reader', application_name => 'reader');
my $masked = metrics('a reader who may not see all', $reader);
is_deeply([ $masked->labels('pooldiag_pool_checked_out', 'pool') ], [ 'idle', 'reader@postgres/reader', 'web' ], 'declared pools, and his own');
is($masked->value('pooldiag_pool_checked_out', pool => 'web'), 0, 'without what others have in them');
is($masked->value('pooldiag_server_connections', state => 'masked'), 5, 'whose connections are counted');
is($masked->sum('pooldiag_server_connections'), 6, 'with his own');
is_deeply([ grep { /pool_.*_(total|count|sum|bucket)$|peak_checked_out|wait_samples/ } map { $_->{name} } values %{ $masked->{samples} } ],
	[], 'nothing is told of what has been');
is($m->value('pooldiag_server_connections', state => 'masked'), undef, 'who may see all misses none');
$_->quit for $reader, $other, $web, $leak, $waits;

# ---- Names.

$eye->query(q{CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'});
my $bytes = observer($node, database => 'bytes');
$bytes->query('CREATE EXTENSION pooldiag');
$bytes->query(qq{CREATE ROLE "\xff" LOGIN; CREATE ROLE "\xfe" LOGIN});
my @roles = ('end"} 1', 'back\\', 'back\\"', '\\n', "tab\there", "bell\a", 'bell?', "bell\x01", "zo\xc3\xab", 'a{b="c"}', '# EOF', "it's");
push @roles, "line\nevil_metric{a=\"b\"} 1\n# EOF" if $version < 19;
$eye->query('CREATE ROLE "' . s/"/""/gr . '" LOGIN') for @roles;
my @named = map { PoolDiag::Session->connect($node, user => $_, application_name => 'app') } @roles, "\xff", "\xfe";
push @named, map { PoolDiag::Session->connect($node, application_name => $_) } "say \"\\\xe9\xff\n", 'x' x 63;
$eye->query(qq{SELECT pooldiag.set_pool('"\\', application_name => 'nobody else', size => 1)});
# The sampler hears of it in its own time, and acts at a tick.
wait_until('the pool is declared', sub
	{
		$eye->query('SELECT pooldiag.sample_now()');
		return $eye->value('SELECT count(*) FROM pooldiag.pools WHERE declared') == 3;
	});
$eye->query('SELECT pooldiag.sample_now()');
$m = metrics('names');
my @shown = $eye->column('SELECT pool FROM pooldiag.pools');
my %twice;
# What is no character, and what would spoil a line, is a question mark; the second of a name that is then the same has a number.
my @expected = map { $twice{$_}++ ? "$_ ($twice{$_})" : $_ } map { s/[\x00-\x09\x0b-\x1f\x7f]/?/gr } @shown;
is_deeply([ $m->labels('pooldiag_pool_connections', 'pool') ], [ sort @expected ], 'each pool is called as the view calls it');
is(scalar(grep { / \(2\)$/ } @expected), 2, 'some have the same name for us');
is(scalar(grep { / \(3\)$/ } @expected), 1, 'one of them three times');
for my $format (qw(openmetrics prometheus))
{
	my %seen;
	my @again = grep { $seen{$_}++ } map { s/ [^ ]+$//r } grep { !/^#/ } split /\n/, $eye->value("SELECT pooldiag.metrics('$format')");
	is_deeply(\@again, [], "$format: no series is there twice");
}
is($m->value('pooldiag_breaker_limit', breaker => 'pool:"\\'), 100, 'and each breaker');
for my $role (@roles)
{
	my ($pool) = grep { index($_, $role =~ s/"/""/gr =~ s/[\t\a\x01]/?/gr) >= 0 } $m->labels('pooldiag_pool_connections', 'pool');
	is($pool && $m->sum('pooldiag_pool_connections', pool => $pool) <= 1, 1, 'one pool has it: ' . $role =~ s/\n/ /gr);
}
is_deeply([ grep { /^evil|^b$/ } map { $_->{name} } values %{ $m->{samples} } ], [], 'no name has become a metric');
# From a database of another encoding.
my $latin_text = $bytes->value('SELECT pooldiag.metrics()');
like($latin_text, qr/pool="\xff\@postgres\/app"/, 'where any byte may be, it is as it is');
$_->quit for @named, $bytes;
$eye->query(q{SELECT pooldiag.drop_pool('"\')});

# ---- More names than places: sums never fall, whoever has to make way, between ticks too.

$eye->quit;
$node->append_conf('postgresql.conf', "pooldiag.max_pools = 8\n");
$node->restart;
$eye = observer($node);
$eye->query('SELECT pooldiag.reset()');
my @counters = qw(statements transactions connections_opened connections_closed hold_idle_seconds);
my %before = map { $_ => 0 } @counters;
my %most_of;
my @fallen;
my ($most, $mine) = (0, 0);
for my $round (1 .. 30)
{
	for my $n (1 .. 8)
	{
		my $session = PoolDiag::Session->connect($node, application_name => "passer-by $round $n");
		$session->query('SELECT 1') for 1 .. 3;
		$session->query('BEGIN; SELECT 1; COMMIT');
		$mine += 6;
		# Before it goes, and afterwards, with and without a tick in between.
		$eye->query('SELECT pooldiag.sample_now()') if $n == 3 || $n == 6;
		look($round) if $n % 2;
		$session->quit;
		look($round) if $n % 2;
	}
}

sub look
{
	my ($round) = @_;
	my $now = parse_metrics($eye->value(q{SELECT pooldiag.metrics('prometheus')}));
	my @pools = $now->labels('pooldiag_pool_statements_total', 'pool');

	$most = @pools if @pools > $most;
	for my $counter (@counters)
	{
		my $sum = $now->sum("pooldiag_pool_${counter}_total");
		push @fallen, "$counter: from $before{$counter} to $sum in round $round" if $sum < $before{$counter} - 1e-9;
		$before{$counter} = $sum;
	}
	return;
}
is_deeply(\@fallen, [], 'no sum over pools has ever fallen');
cmp_ok($most, '<=', 9, '240 names, and never more pools than places, and (other)');
$eye->query('SELECT pooldiag.sample_now()') for 1, 2;
$m = metrics('more names than places');
is($m->sum('pooldiag_pool_statements_total') - $m->value('pooldiag_pool_statements_total', pool => "$me\@postgres/observer"),
	$mine, 'each statement is counted, once');
is($m->sum('pooldiag_pool_connections_opened_total'), 240, 'and each session');
cmp_ok($m->value('pooldiag_pool_statements_total', pool => '(other)'), '>=', $mine - 8 * 6, '(other) has those of names that had to go');
is($m->sum('pooldiag_pool_session_lifetime_seconds_count'), 240, 'how long each lasted');
is($m->sum('pooldiag_pool_connect_duration_seconds_count'), 240, 'and took to start');
# What the views have.
is($eye->value('SELECT sum(closed) FROM pooldiag.churn'), 240, 'the views agree');

# A new name before the next tick: the reader's own directory gives it the place of another, whose counts stay in the sum.
my $newcomer = PoolDiag::Session->connect($node, application_name => 'newcomer');
is($eye->value('SELECT sum(closed) FROM pooldiag.churn'), 240, 'also when a pool has to make way before the next tick');
$newcomer->quit;

# ---- Without preloading.

$eye->quit;
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
$eye = observer($node);
$m = metrics('without preloading');
is($m->value('pooldiag_server_connections', state => 'active'), 1, 'what is live is there');
is_deeply([ $m->labels('pooldiag_pool_capacity', 'pool') ], [qw(idle web)], 'declared pools too');
is_deeply([ grep { /_total$|_bucket$|breaker|peak|operation|self/ } sort keys %{ $m->{families} } ], [], 'and nothing of the past');

$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|terminated by signal/, 'nothing went wrong');
done_testing();
