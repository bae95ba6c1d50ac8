# Recommendations on indexes, settings, and what becomes of them: since when, for whom, and by whom.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";

use JSON::PP;
use Test::More;

use PoolDiag::Advice;
use PoolDiag::Server;
use PoolDiag::Session qw(wait_until);

my $node = new_server('advice_schema', <<'EOC');
max_connections = 30
pooldiag.sample_interval = 100ms
pooldiag.advice_window = 2s
pooldiag.pools = 'app(user=app, slow=1ms, size=10, max_overflow=0, leak=100ms), other(user=other, size=2, max_overflow=0, leak=100ms)'
idle_in_transaction_session_timeout = 1h
statement_timeout = 1h
EOC
my $eye = observer($node);
$eye->query('CREATE ROLE app LOGIN; CREATE ROLE other LOGIN; GRANT ALL ON SCHEMA public TO app, other');
quiet($eye);

sub client { my ($role, %params) = @_; return PoolDiag::Session->connect($node, user => $role, application_name => $role, %params); }
sub settle { $eye->query('SELECT pooldiag.sample_now()') for 1 .. 2; return; }

# A table whose names have to be quoted, that is read from end to end for few of its rows.
my $app = client('app');
$app->query(q{CREATE TABLE "Large one" (id int PRIMARY KEY, "the owner" text, made timestamptz, padding text)});
$app->query(q{INSERT INTO "Large one" SELECT g, 'owner ' || g % 1000, now() - make_interval(secs => g), repeat('x', 200) FROM generate_series(1, 60000) g});
$app->query(q{CREATE TABLE small AS SELECT g AS id FROM generate_series(1, 1000) g});
$app->query('ANALYZE');
my $index = qr/Large one/;
my $query = q{SELECT count(*) FROM "Large one" WHERE "the owner" = 'owner 7' AND made > now() - interval '1 hour'};
$app->query($query) for 1 .. 2;
$app->query('SELECT pg_sleep(0.005) FROM small WHERE id = 7') for 1 .. 5;
$app->query('SELECT count(*) FROM "Large one" WHERE padding IS NOT NULL') for 1 .. 5;
$app->query('SELECT count(*) FROM "Large one" WHERE id > 10 OFFSET 0') for 1 .. 5;
settle();
ok(!advice_on($eye, 'missing_index'), 'nothing yet: called too seldom, too small, or nothing to be gained');
$app->query($query);
my $row = fires($eye, 'missing_index', 'info');
is($row->{subject}, 'public."Large one" ("the owner", made)', 'missing_index: equal ones first');
is_deeply([ @{ $row->{evidence} }{qw(slow_statements columns)} ], [ 3, [ 'the owner', 'made' ] ], 'with what it goes by');
is($row->{evidence}{table_pages}, $eye->value(q{SELECT relpages FROM pg_class WHERE relname = 'Large one'}), 'and the table\'s size');
unlike($row->{title} . JSON::PP::encode_json($row->{evidence}) . $row->{advice}, qr/owner 7/, 'and no value of anybody\'s');

# Since when holds, whoever asks, and however seldom; in another database the rule is silent.
$eye->query('CREATE DATABASE elsewhere');
my $elsewhere = observer($node, database => 'elsewhere');
$elsewhere->query('CREATE EXTENSION pooldiag');
ok(!advice_on($elsewhere, 'missing_index'), 'not from another database');
is(advice_on($eye, 'missing_index')->{first_seen}, $row->{first_seen}, 'which forgets nothing that it can not see');
my $second = observer($node);
is(advice_on($second, 'missing_index')->{first_seen}, $row->{first_seen}, 'since when is the same for another session');
$second->quit;
paste($node, $row);
leaves($eye, 'missing_index');
like($app->value("EXPLAIN $query") . join('', $app->column("EXPLAIN $query")), qr/Large one_the owner_made_idx/, 'the index serves the statement');

# The column may stand to the right, and the statement may write.
$app->query(q{CREATE TABLE updated AS SELECT g AS id, g % 5000 AS "group", repeat('y', 200) AS padding FROM generate_series(1, 60000) g});
$app->query('ANALYZE updated');
$app->query(qq{UPDATE updated SET padding = padding WHERE $_ = "group" AND padding <> 'z'}) for 1 .. 4;
$row = fires($eye, 'missing_index', 'info');
is($row->{subject}, 'public.updated ("group")', 'missing_index: of an UPDATE');
# Fetched in parts, a statement is one, and took what all of its parts took together; to its end, or not.
sub fetch_in_parts
{
	my ($sql, $rows, $parts) = @_;
	my $message = sub { my ($type, $body) = @_; return $type . pack('N', length($body) + 4) . $body; };

	$app->put($message->('P', "\0$sql\0" . pack('n', 0)) . $message->('B', "\0\0" . pack('n3', 0, 0, 0))
		. $message->('E', "\0" . pack('N', $rows)) x $parts . $message->('S', ''));
	return scalar @{ $app->finish->{rows} };
}
$app->query(q{CREATE TABLE fetched AS SELECT g AS id, g % 5000 AS "group", repeat('y', 200) AS padding FROM generate_series(1, 60000) g});
$app->query('ANALYZE fetched');
is(fetch_in_parts(q{SELECT id FROM fetched WHERE "group" = 7}, 2, 7), 12, 'a statement in parts');
settle();
ok(!advice_on($eye, 'missing_index', qr/fetched/), 'is one');
is(fetch_in_parts(q{SELECT id FROM fetched WHERE "group" = 8}, 2, 5), 10, 'one that is not fetched to its end');
settle();
ok(!advice_on($eye, 'missing_index', qr/fetched/), 'is one, too');
is(fetch_in_parts(q{SELECT id FROM fetched WHERE "group" = 9}, 2, 7), 12, 'the third one');
$row = fires($eye, 'missing_index', 'info', qr/fetched/);
is($row->{evidence}{slow_statements}, 3, 'makes three');
my $ended = $eye->value(q{SELECT sum(duration_ms) / 1000 FROM pooldiag.slow_query_log WHERE query ~ 'FROM fetched WHERE'});
cmp_ok($row->{evidence}{total_seconds}, '>=', 0.003, 'with the time that they took');
cmp_ok($row->{evidence}{total_seconds}, '<=', $ended + 0.001, 'and not more: the log of slow statements has the commit too');
$app->query('DROP TABLE fetched');
leaves($eye, 'missing_index', qr/fetched/);
# Without the table there is nothing to say.
$app->query('DROP TABLE updated');
leaves($eye, 'missing_index');
$app->query($query);
$eye->query(q{SELECT pooldiag.reset('slow_queries')});
is($eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'scans_used'}), 0, 'a reset forgets scans as well');

# Memory: as the machine has it.
SKIP:
{
	skip 'no /proc here', 1 unless -r '/proc/meminfo';
	my $kb = $eye->value(q{SELECT max((regexp_match(line, '^MemTotal: +([0-9]+) kB'))[1]::bigint) FROM regexp_split_to_table(pg_read_file('/proc/meminfo', 0, 10000), E'\n') line});
	for my $file (qw(/sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes))
	{
		open my $cgroup, '<', $file or next;
		my ($bytes) = readline($cgroup) =~ /^(\d+)$/ or next;
		$kb = int($bytes / 1024) if $bytes > 0 && $bytes / 1024 < $kb;
	}
	$eye->query('SELECT pooldiag.reset()');
	my @clients = map { client('other') } 1 .. 2;
	settle();
	ok(!advice_on($eye, 'memory_at_risk'), 'memory is enough for a few');
	my $peak = $eye->value(q{SELECT peak_connections FROM pooldiag.utilization WHERE scope = 'server'});
	my $multiplier = $eye->value('SHOW hash_mem_multiplier');
	$eye->query("ALTER SYSTEM SET work_mem = '" . int($kb / $peak / $multiplier * 1.1) . "kB'");
	reload($node);
	$row = fires($eye, 'memory_at_risk', 'info');
	is($row->{evidence}{memory_mb}, int($kb / 1024 + 0.5), 'memory_at_risk: as much as the system says');
	is($row->{evidence}{peak_connections}, $peak, 'for as many');
	$eye->query("ALTER SYSTEM SET work_mem = '" . int($kb / $peak / $multiplier * 2.2) . "kB'");
	reload($node);
	$row = fires($eye, 'memory_at_risk', 'warning');
	paste($node, $row);
	leaves($eye, 'memory_at_risk');
	$eye->query('ALTER SYSTEM RESET work_mem');
	reload($node);
	$_->quit for splice @clients;
}

# Timeouts that nobody has set.
$eye->query('ALTER SYSTEM SET statement_timeout = 0');
reload($node);
$row = fires($eye, 'missing_timeouts', 'info');
is_deeply([ $row->{subject}, [ sort @{ $row->{evidence}{roles} } ] ], [ 'statement_timeout', [ sort 'app', $eye->value('SELECT session_user') ] ],
	'missing_timeouts: whose');
# Who judges it is whoever asks: when nobody has for as long as the window, it begins anew, and is not remembered.
sub unasked
{
	my ($seen) = @_;
	$eye->poll("SELECT clock_timestamp() > '$seen'::timestamptz + interval '2.1 s'");
	return;
}
my $asked = advice_on($eye, 'missing_timeouts');
is($asked->{first_seen}, $row->{first_seen}, 'asked again and again it has fired all the time');
unasked($asked->{last_seen});
cmp_ok(advice_on($eye, 'missing_timeouts')->{first_seen}, 'gt', $asked->{last_seen}, 'what nobody has asked for in the window begins anew');
$elsewhere->query('GRANT ALL ON SCHEMA public TO app');
my $there = client('app', database => 'elsewhere');
$there->query(q{CREATE TABLE filtered AS SELECT g AS id, g % 5000 AS "group", repeat('z', 200) AS padding FROM generate_series(1, 60000) g});
$there->query('ANALYZE filtered');
$there->query(q{SELECT count(*) FROM filtered WHERE "group" = 7}) for 1 .. 3;
fires($elsewhere, 'missing_index', 'info');
$there->quit;
$elsewhere->quit;
$eye->query('DROP DATABASE elsewhere');
cmp_ok($eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'findings_used'}), '>=', 2, 'what was found in a database that is gone');
$eye->poll(q{SELECT value FROM pooldiag.self WHERE name = 'findings_used'}, 0);
pass('makes room, as what nobody asks for does');
$row = fires($eye, 'missing_timeouts', 'info');
paste($node, $row);
leaves($eye, 'missing_timeouts');
$eye->query('ALTER ROLE app RESET statement_timeout');
$eye->query('ALTER SYSTEM RESET statement_timeout');
$eye->query('ALTER ROLE CURRENT_USER RESET statement_timeout');
reload($node);

# Whoever was granted the view sees what it may see: nothing of others, and what others do is not in it.
$eye->query('CREATE ROLE viewer LOGIN; GRANT USAGE ON SCHEMA pooldiag TO viewer; GRANT SELECT ON pooldiag.recommendations TO viewer;
	GRANT EXECUTE ON FUNCTION pooldiag.recommendations() TO viewer');
my $viewer = client('viewer');
my $other = client('other');
$other->query('BEGIN');
for (1 .. 30) { $app->try('SELECT 1 / 0'); }
fires($eye, 'leak_suspects', 'warning');
settle();
my $since = advice_on($eye, 'leak_suspects')->{first_seen};
is_deeply([ $viewer->query('SELECT rule, subject FROM pooldiag.recommendations') ], [ [ 'all_clear', 'server' ] ], 'who may not look into them is told nothing of pools');
is(advice_on($eye, 'leak_suspects')->{first_seen}, $since, 'and takes nothing away');
$eye->query('GRANT other TO viewer');
is_deeply([ $viewer->query('SELECT rule, subject FROM pooldiag.recommendations') ], [ [ 'leak_suspects', 'other' ] ], 'who may, is told of those');

# A sampler that is stopped confirms nothing; what fires still does, and since when stays.
my $sampler = $eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'sampler_pid'});
kill 'STOP', $sampler;
$row = fires_without_sampler('sampler_silent');
is($row->{severity}, 'critical', 'a sampler that is silent is told of');
is(advice_on($eye, 'leak_suspects')->{first_seen}, $since, 'since when stays');
ok(!advice_on($eye, 'rollback_rate'), 'what nobody counts any more is not judged');
is(paste($node, $row) =~ /^sampler_pid\|$sampler$/m, 1, 'which process it is');
kill 'CONT', $sampler;
leaves($eye, 'sampler_silent');

sub fires_without_sampler
{
	my ($rule) = @_;

	return wait_until("$rule fires", sub { return advice_on($eye, $rule); });
}

$other->query('ROLLBACK');
leaves($eye, 'leak_suspects');
$eye->query('SELECT pooldiag.sample_now()');
$other->query('BEGIN');
fires($eye, 'leak_suspects', 'warning');
cmp_ok(advice_on($eye, 'leak_suspects')->{first_seen}, 'gt', $since, 'a rule that had left begins anew');
is($eye->value(q{SELECT value FROM pooldiag.self WHERE name = 'findings_dropped'}), 0, 'no finding was lost');

$_->quit for $viewer, $other, $app;
$eye->quit;
$node->stop;
done_testing();
