# The breakers: each through its whole cycle against its own cause, what is told of it and where; what persons order;
# new definitions; the sampler's and the server's ends. The sampler takes a tick, and breakers are evaluated, only when
# that is asked for.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

use PoolDiag::Server;
use PoolDiag::Session qw(wait_until wait_gone);

my $node = new_server('breakers', <<'EOC');
max_connections = 20
superuser_reserved_connections = 3
pooldiag.sample_interval = 1h
pooldiag.evaluation_interval = 1h
pooldiag.slow_query_threshold = 40ms
pooldiag.leak_threshold = 40ms
pooldiag.failure_threshold = 3
pooldiag.half_open_samples = 2
pooldiag.reset_timeout = 1s
pooldiag.pools = 'web(application_name=web*, size=2, max_overflow=2), "my app"(application_name="my app", size=50)'
pooldiag.breakers = 'slow_queries(limit=2), lock_waits(limit=2), pool:web(limit=75)'
EOC
my $eye = observer($node);
$eye->query('CREATE TABLE thing (n int); INSERT INTO thing VALUES (1)');
$eye->query('CREATE ROLE limited LOGIN CONNECTION LIMIT 0');

sub tick
{
	$eye->query('SELECT pooldiag.sample_now()');
	return;
}

sub breaker
{
	my ($name) = @_;
	return $eye->row("SELECT * FROM pooldiag.breakers WHERE breaker = '$name'");
}

sub state
{
	my ($name) = @_;
	return breaker($name)->{state};
}

sub alerts_after
{
	my ($id, $name) = @_;
	return $eye->rows("SELECT * FROM pooldiag.alerts WHERE id > $id AND breaker = '$name' ORDER BY id");
}

sub last_alert
{
	return $eye->value('SELECT coalesce(max(id), 0) FROM pooldiag.alerts');
}

# What the server's log has, of all alerts up to the last one that there is.
sub logged
{
	my $last = last_alert();
	my @lines;
	wait_until("alert $last is logged", sub
		{
			@lines = map { decode_json($_) } slurp_file($node->logfile) =~ /LOG:  pooldiag alert: (\{.*\})$/mg;
			return $last == 0 || grep { $_->{id} == $last } @lines;
		});
	return @lines;
}

# As many sessions, of which each has sent that.
sub busy
{
	my ($count, @statements) = @_;
	my @sessions = map { PoolDiag::Session->connect($node, application_name => 'busy') } 1 .. $count;
	for my $session (@sessions)
	{
		$session->query($_) for @statements[ 0 .. $#statements - 1 ];
		$session->send($statements[-1]);
	}
	return @sessions;
}

sub end
{
	my @sessions = @_;
	my $pids = join ',', map { $_->pid } @sessions;
	$eye->query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid IN ($pids)");
	$_->drop for @sessions;
	return;
}

is_deeply([ map { join ' ', @$_ } $eye->query('SELECT breaker, scope, mode, limit_value, failure_threshold FROM pooldiag.breakers') ],
	[
		'slots server normal 90 3',
		'pool:web pool normal 75 3',
		'pool:my app pool normal 100 3',
		'refusals server normal 1 1',
		'slow_queries server normal 2 3',
		'leaks server normal 1 3',
		'lock_waits server normal 2 3',
		'errors server normal 50 3',
		'operations server normal 1 3'
	],
	'all breakers, and their rules');
is($eye->value(q{SELECT count(*) FROM pooldiag.breakers WHERE state <> 'closed' OR trips <> 0 OR last_change IS NOT NULL}),
	0, 'closed when the server starts');
is($eye->value('SELECT count(*) FROM pooldiag.alerts'), 0, 'and nothing has happened');

# Each cause: how it begins, how many failing evaluations it takes, what is seen then by another way, how it ends; or,
# for what happens rather than lasts, how it happens once.
my %cause = (
	'slots' => {
		begin => sub { return map { PoolDiag::Session->connect($node, application_name => 'many') } 1 .. 15; },
		value => sub { return $eye->value(q{SELECT 100.0 * count(*) / 17 FROM pg_stat_activity WHERE backend_type = 'client backend'}); },
		message => qr{^slots opened: 16 of 17 usable slots are taken \(94\.1 %, limit 90 %\)$},
		evidence => { connections => 16, usable_slots => 17 },
		severity => 'critical',
	},
	'pool:web' => {
		begin => sub { return map { PoolDiag::Session->connect($node, application_name => "web $_") } 1 .. 3; },
		value => sub { return $eye->value(q{SELECT 100.0 * count(*) / 4 FROM pg_stat_activity WHERE application_name ~ '^web'}); },
		message => qr{^pool:web opened: 3 connections of a capacity of 4 \(75\.0 %, limit 75 %\)$},
		evidence => { connections => 3, capacity => 4 },
	},
	'slow_queries' => {
		begin => sub { return busy(2, 'SELECT pg_sleep(1000)'); },
		value => sub {
			return $eye->value(q{SELECT count(*) FROM pg_stat_activity WHERE query ~ 'pg_sleep.1000' AND state = 'active'
				AND application_name = 'busy'});
		},
		message => qr{^slow_queries opened: 2 statements are running past the threshold \(limit 2\)$},
		evidence => { statements => 2, longest_seconds => qr/^\d+(\.\d)?$/ },
	},
	'leaks' => {
		begin => sub { my @leak = busy(1, 'BEGIN'); $leak[0]->finish; return @leak; },
		value => sub { return $eye->value(q{SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'}); },
		message => qr{^leaks opened: 1 connection is idle in transaction past the threshold \(limit 1\)$},
		evidence => { connections => 1, longest_seconds => qr/^\d+(\.\d)?$/ },
	},
	'lock_waits' => {
		begin => sub {
			my @sessions = map { PoolDiag::Session->connect($node, application_name => 'locks') } 1 .. 3;
			$sessions[0]->query('BEGIN');
			$sessions[0]->query('LOCK TABLE thing');
			$_->send('TABLE thing') for @sessions[ 1, 2 ];
			$eye->poll(q{SELECT count(*) FROM pg_locks WHERE NOT granted}, 2);
			return @sessions;
		},
		value => sub { return $eye->value('SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted'); },
		message => qr{^lock_waits opened: 2 sessions wait for locks \(limit 2\)$},
		evidence => { sessions => 2 },
	},
	'refusals' => {
		failures => 1,
		once => sub {
			PoolDiag::Session->refusal($node, user => 'limited') for 1 .. 2;
			PoolDiag::Session->refusal($node, database => 'nowhere');
			$eye->poll(q{SELECT sum(refused) % 3 = 0 FROM pooldiag.refusals}, 't');
		},
		value => sub { return 3; },
		message => qr{^refusals opened: 3 connections were refused since the evaluation before \(limit 1\)$},
		evidence => { refused => 3, by_reason => { 'role limit' => 2, 'no such database' => 1 } },
		severity => 'critical',
	},
	'errors' => {
		once => sub {
			# With those, the observer's own statements aren't half of them.
			my $session = PoolDiag::Session->connect($node, application_name => 'failing');
			$session->try('SELECT 1 / 0') for 1 .. 40;
			$session->quit;
		},
		message => qr{^errors opened: 40 of 4\d statements have failed \(\d\d\.\d %, limit 50 %\)$},
		evidence => { failed => 40, finished => qr/^4\d$/ },
	},
);

sub like_evidence
{
	my ($got, $expected, $what) = @_;
	my %fixed = %$expected;
	for my $key (grep { ref $fixed{$_} eq 'Regexp' } keys %fixed)
	{
		like($got->{$key}, $fixed{$key}, "$what: evidence, $key");
		$fixed{$key} = $got->{$key};
	}
	is_deeply($got, \%fixed, "$what: evidence");
	return;
}

sub wait_half_open
{
	my ($name, $cause) = @_;
	wait_until("$name is half open", sub { tick(); return state($name) eq 'half_open'; });
	return;
}

for my $name ('slots', 'pool:web', 'slow_queries', 'leaks', 'lock_waits', 'refusals', 'errors')
{
	my $cause = $cause{$name};
	my $failures = $cause->{failures} // 3;
	my $first = last_alert();
	my $fails = sub { $cause->{once}->() if $cause->{once}; tick(); };
	my @sessions;

	# What was before is in the past.
	tick();
	is(state($name), 'closed', "$name: closed");
	@sessions = $cause->{begin}->() if $cause->{begin};
	if ($name eq 'slow_queries' || $name eq 'leaks')
	{
		# The first tick that sees it begins to count its age.
		tick();
		is(breaker($name)->{consecutive_failures}, 0, "$name: is not old enough yet");
		wait_until('the first failure', sub { tick(); return breaker($name)->{consecutive_failures} == 1; });
	}
	else
	{
		$fails->();
	}
	if ($failures > 1)
	{
		is(breaker($name)->{consecutive_failures}, 1, "$name: one failure");
		is(state($name), 'closed', "$name: is not enough");
		$fails->();
		$fails->();
	}
	my $seen = breaker($name);
	is($seen->{state}, 'open', "$name: opens");
	is($seen->{trips}, 1, "$name: trips");
	is($seen->{consecutive_failures}, $failures, "$name: after so many failures");
	cmp_ok(abs($seen->{value} - $cause->{value}->()), '<', 0.001, "$name: what it saw is true") if $cause->{value};
	is($seen->{last_change}, $seen->{opened_at}, "$name: since when it is open");
	is($eye->value("SELECT round(extract(epoch FROM retry_at - opened_at), 1) FROM pooldiag.breakers WHERE breaker = '$name'"), '1.0',
		"$name: when it is tried again");
	$fails->();
	is(scalar(my @told = alerts_after($first, $name)), 1, "$name: what lasts is told once");
	wait_half_open($name);
	is(breaker($name)->{retry_at}, undef, "$name: it is tried now");
	$fails->();
	is(state($name), 'open', "$name: half open, it opens at the first failure");
	is(breaker($name)->{trips}, 1, "$name: which is no trip");
	wait_half_open($name);
	end(@sessions) if @sessions;
	tick();
	is(state($name), 'half_open', "$name: one healthy evaluation is not enough");
	tick();
	is(state($name), 'closed', "$name: two are");
	is(breaker($name)->{opened_at}, undef, "$name: it is open no more");

	my @alerts = alerts_after($first, $name);
	is_deeply([ map { $_->{event} } @alerts ], [qw(opened half_opened reopened half_opened closed)], "$name: alerts");
	is_deeply([ map { $_->{severity} } @alerts[ 0, 1, 4 ] ], [ $cause->{severity} // 'warning', 'info', 'info' ],
		"$name: how grave");
	like($alerts[0]{message}, $cause->{message}, "$name: in a sentence");
	my $evidence = decode_json($alerts[0]{evidence});
	is(delete $evidence->{incident}, $eye->value("SELECT max(id) FROM pooldiag.incidents WHERE breaker = '$name'"),
		"$name: evidence, incident");
	like_evidence($evidence, $cause->{evidence}, $name);
	is($alerts[0]{scope}, $name =~ /^pool:/ ? 'pool' : 'server', "$name: scope");
	is($alerts[0]{at}, $seen->{opened_at}, "$name: when");

	# The log has the same, each once.
	my @lines = grep { $_->{breaker} eq $name } logged();
	is_deeply([ map { $_->{id} } @lines ], [ map { $_->{id} } @alerts ], "$name: each is in the server's log");
	is_deeply($lines[0]{evidence}, decode_json($alerts[0]{evidence}), "$name: with its evidence");
	is($lines[0]{message}, $alerts[0]{message}, "$name: and its message");
}
is_deeply([ $eye->column('SELECT id FROM pooldiag.alerts ORDER BY id') ], [ 1 .. last_alert() ], 'ids have no gaps');
is($eye->value("SELECT breaker_state FROM pooldiag.pools WHERE pool = 'web'"), 'closed', 'pools shows it too');

# Too few statements say nothing of errors.
{
	tick();
	my $session = PoolDiag::Session->connect($node);
	$session->try('SELECT 1 / 0') for 1 .. 12;
	$session->quit;
	tick();
	is(breaker('errors')->{value}, undef, 'of a dozen statements no share is told');
	is(breaker('errors')->{consecutive_failures}, 0, 'nor held against it');
}

# Persons.
my $first = last_alert();
$eye->query(q{SELECT pooldiag.breaker_force_open('leaks')});
is(state('leaks'), 'forced_open', 'forced open');
isnt(breaker('leaks')->{opened_at}, undef, 'since when');
is(breaker('leaks')->{retry_at}, undef, 'for good');
tick() for 1 .. 3;
is(state('leaks'), 'forced_open', 'it stays');
$eye->query(q{SELECT pooldiag.breaker_reset('leaks')});
is(state('leaks'), 'closed', 'until it is reset');
$eye->query(q{SELECT pooldiag.breaker_disable('pool:web')});
is(state('pool:web'), 'disabled', 'disabled');
my @web = $cause{'pool:web'}{begin}->();
tick() for 1 .. 4;
is(state('pool:web'), 'disabled', 'it does nothing');
is(breaker('pool:web')->{value}, undef, 'and sees nothing');
$eye->query(q{SELECT pooldiag.breaker_reset('pool:web')});
$eye->query(q{SELECT pooldiag.breaker_silence('pool:web', '1 h')});
isnt(breaker('pool:web')->{silenced_until}, undef, 'silenced');
tick() for 1 .. 3;
is(state('pool:web'), 'open', 'it opens');
is(breaker('pool:web')->{value}, 75, 'and sees');
is_deeply([ map { $_->{event} } alerts_after($first, 'pool:web') ], [ 'disabled', 'reset' ], 'and tells nobody');
$eye->query(q{SELECT pooldiag.breaker_silence('pool:web', '0')});
is_deeply([ map { $_->{event} } alerts_after($first, 'pool:web') ], [ 'disabled', 'reset', 'opened' ],
	'but when the silence is over');
is(breaker('pool:web')->{silenced_until}, undef, 'it is silent no more');
is_deeply([ map { $_->{event} } alerts_after($first, 'leaks') ], [ 'forced', 'reset' ], 'what persons do is told');
is($eye->try(q{SELECT pooldiag.breaker_reset('slot')})->{error}{C}, '42704', 'a breaker that there is not');
is($eye->try(q{SELECT pooldiag.breaker_reset('pool:nobody')})->{error}{C}, '42704', 'of a pool that there is not');
like($eye->try(q{SELECT pooldiag.breaker_reset('slot')})->{error}{H}, qr/slots, .*operations, pool:web, pool:my app\.$/,
	'the hint names all');
is($eye->try(q{SELECT pooldiag.breaker_reset(repeat('x', 1000))})->{error}{C}, '42704', 'nor is there one with such a name');
for my $what ('NULL', "'-1 s'", "'366 days'", "'1000000 years'", "'1 day -25 h'")
{
	is($eye->try("SELECT pooldiag.breaker_silence('slots', $what)")->{error}{C}, '22023', "no silence of $what");
}
is($eye->try('SELECT pooldiag.breaker_disable(NULL)')->{error}{C}, '22023', 'no order to nobody');
is(breaker('slots')->{silenced_until}, undef, 'nothing has come of these');

# Many at once: each is done.
my @many = map { PoolDiag::Session->connect($node) } 1 .. 6;
for my $round (1 .. 5)
{
	$_->send(q{SELECT pooldiag.breaker_force_open('errors'), pooldiag.breaker_reset('errors')}) for @many;
	is(scalar(grep { defined $_->finish->{error} } @many), 0, 'orders from several sessions at once');
}
is(state('errors'), 'closed', 'and all was done');
$_->quit for @many;

# New definitions: what stays keeps its state, what has changed too, by its new rules; others come and go.
sub define
{
	my ($breakers, $pools) = @_;
	$eye->query("ALTER SYSTEM SET pooldiag.breakers = '$breakers'");
	$eye->query("ALTER SYSTEM SET pooldiag.pools = '$pools'") if defined $pools;
	reload($node);
	return;
}
is(state('pool:web'), 'open', 'open before a reload');
define('pool:web(limit=60, failures=7, reset=1d), leaks(mode=metrics_only), pool:none(limit=3)');
wait_until('the sampler has the definitions', sub { tick(); return breaker('leaks')->{mode} eq 'metrics_only'; });
is(state('pool:web'), 'open', 'open after it');
is(breaker('pool:web')->{failure_threshold}, 7, 'by its new rules');
is(breaker('pool:web')->{trips}, 2, 'with its past');
is(breaker('lock_waits')->{limit_value}, 5, 'what is stated no more has its default');
is(breaker('lock_waits')->{trips}, 1, 'and keeps its past too');
$node->wait_for_log(qr/pooldiag.breakers has a breaker "pool:none" for a pool that pooldiag.pools doesn't declare/);
$first = last_alert();
my $trips = breaker('leaks')->{trips};
my @leak = $cause{leaks}{begin}->();
wait_until('leaks is open', sub { tick(); return state('leaks') eq 'open'; });
is(breaker('leaks')->{trips}, $trips + 1, 'metrics only: it counts');
is(scalar(my @told = alerts_after($first, 'leaks')), 0, 'metrics only: it tells nobody');
end(@leak);
define('pool:web(limit=60, reset=1d)', 'new(application_name=new, size=1), web(application_name=web*, size=2, max_overflow=2)');
wait_until('the sampler has the pools', sub { tick(); return scalar($eye->column(q{SELECT 1 FROM pooldiag.breakers WHERE breaker = 'pool:new'})); });
is_deeply([ $eye->column(q{SELECT breaker FROM pooldiag.breakers WHERE scope = 'pool'}) ], [ 'pool:new', 'pool:web' ],
	'pools come and go, and their breakers');
is(state('pool:web'), 'open', 'one that stays keeps its state in another place');
is(state('pool:new'), 'closed', 'a new one is closed');

# Another sampler knows how things stand; another server begins with all closed.
$eye->query(q{SELECT pooldiag.breaker_force_open('slots')});
$eye->query(q{SELECT pooldiag.breaker_disable('errors')});
$first = last_alert();
my $sampler = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'sampler_pid'});
kill 'TERM', $sampler;
wait_gone($sampler);
tick();
is_deeply([ map { state($_) } qw(slots errors pool:web) ], [ 'forced_open', 'disabled', 'open' ], 'another sampler goes on');
is_deeply([ map { alerts_after($first, $_) } qw(slots errors pool:web) ], [], 'and has nothing to tell of them');
end(@web);
$eye->quit;
$node->restart;
$eye = observer($node);
tick();
is($eye->value(q{SELECT count(*) FROM pooldiag.breakers WHERE state <> 'closed' OR trips <> 0}), 0, 'another server begins with all closed');

# With more than a sample a second, a second fails if one of its samples does, and each second is evaluated once.
$eye->query(q{ALTER SYSTEM SET pooldiag.sample_interval = '100ms'});
$eye->query(q{ALTER SYSTEM SET pooldiag.evaluation_interval = '1s'});
$eye->query(q{ALTER SYSTEM SET pooldiag.failure_threshold = 1000});
reload($node);
@web = $cause{'pool:web'}{begin}->();
my $since;
wait_until('evaluations of themselves', sub
	{
		$since = $eye->row(q{SELECT consecutive_failures AS failures, extract(epoch FROM clock_timestamp()) AS at
			FROM pooldiag.breakers WHERE breaker = 'pool:web'});
		return $since->{failures} > 0;
	});
my $ticks = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'ticks'});
$eye->poll("SELECT value >= $ticks + 35 FROM pooldiag.self WHERE name = 'ticks'", 't');
my $until = $eye->row(q{SELECT consecutive_failures AS failures, extract(epoch FROM clock_timestamp()) AS at
	FROM pooldiag.breakers WHERE breaker = 'pool:web'});
my $seconds = $until->{at} - $since->{at};
my $evaluations = $until->{failures} - $since->{failures};
cmp_ok($evaluations, '<=', $seconds + 1.2, "no more evaluations than seconds ($evaluations in $seconds)");
cmp_ok($evaluations, '>=', 1, 'and there are some');

# With less than one, what the last sample has seen counts in each second; refused connections are known without a sample.
$eye->query(q{ALTER SYSTEM SET pooldiag.sample_interval = '1h'});
$eye->query(q{ALTER SYSTEM SET pooldiag.evaluation_interval = '100ms'});
$eye->query(q{ALTER SYSTEM SET pooldiag.breakers = 'slots(limit=1), slow_queries(limit=2), lock_waits(limit=2), pool:web(limit=75)'});
reload($node);
tick();
my $failures = $eye->value(q{SELECT consecutive_failures FROM pooldiag.breakers WHERE breaker = 'pool:web'});
$eye->poll("SELECT consecutive_failures >= $failures + 3 FROM pooldiag.breakers WHERE breaker = 'pool:web'", 't');
# By now the interval that had begun before has ended, with a sample.
my $last_tick = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'ticks'});
$eye->poll("SELECT consecutive_failures >= $failures + 6 FROM pooldiag.breakers WHERE breaker = 'pool:web'", 't');
is($eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'ticks'}), $last_tick, 'breakers are evaluated between two samples');
sub evaluated
{
	my ($more) = @_;
	my $before = breaker('slots')->{consecutive_failures};
	$eye->poll("SELECT consecutive_failures >= $before + $more FROM pooldiag.breakers WHERE breaker = 'slots'", 't');
	return;
}
# A share of the statements that have failed says nothing of those that end later.
$cause{errors}{once}->();
tick();
$last_tick++;
$eye->poll(q{SELECT consecutive_failures FROM pooldiag.breakers WHERE breaker = 'errors'}, 1);
evaluated(4);
is(breaker('errors')->{consecutive_failures}, 1, 'a share of failures is evaluated once');
cmp_ok(breaker('errors')->{value}, '>=', 50, 'and is shown');
is(breaker('operations')->{consecutive_failures}, 0, 'the canary is judged by its own tries');
# An order holds against what was seen before it.
$eye->query(q{SELECT pooldiag.breaker_reset('pool:web')});
evaluated(4);
is($eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'ticks'}), $last_tick, 'no sample was taken since');
is_deeply([ @{ breaker('pool:web') }{qw(state consecutive_failures)} ], [ 'closed', 0 ], 'a reset between two samples holds');
$eye->query(q{SELECT pooldiag.breaker_disable('pool:web'), pooldiag.breaker_reset('pool:web')});
evaluated(4);
is_deeply([ @{ breaker('pool:web') }{qw(state consecutive_failures)} ], [ 'closed', 0 ], 'after others, too');
tick();
$last_tick++;
evaluated(4);
cmp_ok(breaker('pool:web')->{consecutive_failures}, '>', 3, 'until there is a sample');
is($eye->value(q{SELECT state FROM pooldiag.breakers WHERE breaker = 'refusals'}), 'closed', 'nobody was refused yet');
my @all = map { PoolDiag::Session->connect($node) } 1 .. $eye->value(q{SELECT current_setting('max_connections')::int - connections
	FROM pooldiag.utilization WHERE scope = 'server'});
ok(PoolDiag::Session->refusal($node), 'a connection is refused');
end(@all);
$eye->poll(q{SELECT state FROM pooldiag.breakers WHERE breaker = 'refusals'}, 'open');
is($eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'ticks'}), $last_tick, 'the breaker of refusals opens without a sample');
end(@web);
tick();
$eye->poll(q{SELECT consecutive_failures FROM pooldiag.breakers WHERE breaker = 'pool:web'}, 0);
$eye->query(q{ALTER SYSTEM RESET pooldiag.breakers});
$eye->query(q{ALTER SYSTEM SET pooldiag.evaluation_interval = '1h'});
$eye->query(q{ALTER SYSTEM SET pooldiag.sample_interval = '100ms'});
reload($node);
$eye->query(q{SELECT pooldiag.breaker_reset('refusals')});

# Reset.
$eye->query(q{SELECT pooldiag.breaker_force_open('slots')});
my $kept = last_alert();
$eye->query(q{SELECT pooldiag.reset('alerts')});
is($eye->value('SELECT count(*) FROM pooldiag.alerts'), 0, 'reset forgets alerts');
is(state('slots'), 'forced_open', 'and not how breakers stand');
$eye->query(q{SELECT pooldiag.breaker_reset('slots')});
is($eye->value('SELECT id FROM pooldiag.alerts'), $kept + 1, 'ids go on');

# Whoever may not has no say.
$eye->query('CREATE ROLE monitor LOGIN IN ROLE pg_monitor');
my $monitor = PoolDiag::Session->connect($node, user => 'monitor');
is($monitor->try(q{SELECT pooldiag.breaker_reset('slots')})->{error}{C}, '42501', 'a monitor may not');
is(scalar($monitor->column('SELECT breaker FROM pooldiag.breakers')), 9, 'but look');
$eye->query('GRANT EXECUTE ON FUNCTION pooldiag.breaker_reset(text) TO monitor');
is($monitor->try(q{SELECT pooldiag.breaker_reset('slots')})->{error}, undef, 'unless that is granted');
$monitor->quit;

# While the sampler is stopped, an order waits, and can be canceled; it is done when the sampler goes on.
$sampler = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'sampler_pid'});
my $waiting = PoolDiag::Session->connect($node);
kill 'STOP', $sampler;
$waiting->send(q{SELECT pooldiag.breaker_force_open('leaks')});
$eye->poll('SELECT wait_event_type FROM pg_stat_activity WHERE pid = ' . $waiting->pid, 'Extension');
$eye->query('SELECT pg_cancel_backend(' . $waiting->pid . ')');
is($waiting->finish->{error}{C}, '57014', 'an order can be canceled');
is(state('leaks'), 'closed', 'that was not done');
kill 'CONT', $sampler;
$eye->poll(q{SELECT state FROM pooldiag.breakers WHERE breaker = 'leaks'}, 'forced_open');
pass('it is done when there is somebody to do it');
is($waiting->try(q{SELECT pooldiag.breaker_reset('leaks')})->{error}, undef, 'and others are heard after it');
$waiting->quit;
$eye->quit;
$node->stop;
done_testing();
