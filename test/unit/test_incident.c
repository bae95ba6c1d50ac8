/*
 * link: incident.c state.c
 *
 * What an incident says: a verdict for each breaker, with and without somebody at the root, and a remedy that ends
 * nobody but those it names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "incident.h"

#define START "2026-11-24 12:00:00.000001+00"
#define SINCE "2026-11-24 12:19:01.123456+00"
#define LOOK_AT_SLOTS                                                         \
	"SELECT pool, state, count(*), max(state_age) FROM pooldiag.connections " \
	"GROUP BY pool, state ORDER BY count(*) DESC;"
#define LOOK_ON_PRIMARY                                        \
	"-- on the primary:\n"                                     \
	"SELECT pid, locktype, relation::regclass FROM pg_locks\n" \
	"WHERE mode = 'AccessExclusiveLock' AND granted;"
#define LOOK_AT_BLOCKING                                                   \
	"SELECT DISTINCT root_blocker, root_state, root_idle_for, root_query " \
	"FROM pooldiag.blocking;"
#define ENDING(function, rows)                              \
	"SELECT pid, " function "(pid) FROM pg_stat_activity\n" \
	"WHERE (pid, backend_start, state_change) IN (" rows ");"
#define NAMED(pid) "(" #pid ", '" START "', '" SINCE "')"

#define CULPRIT(pid, state, seconds)            \
	{                                           \
		(pid), (state), START, SINCE, (seconds) \
	}

typedef struct Case
{
	PoolDiagFacts facts;
	const char *verdict;
	const char *remedy;
} Case;

static const Case cases[] = {
	/* Slots: idle in transaction, with leaks to be named. */
	{{.kind = POOLDIAG_BREAKER_SLOTS,
	  .count = 95,
	  .whole = 97,
	  .usable = 97,
	  .holder = "web",
	  .holder_state = POOLDIAG_IDLE_IN_TRANSACTION,
	  .held = 38,
	  .culprits = {CULPRIT(11, POOLDIAG_IDLE_IN_TRANSACTION, 60),
				   CULPRIT(12, POOLDIAG_IDLE_IN_TRANSACTION, 50)},
	  .culprit_count = 2},
	 "38 of 97 slots are held by web, idle in transaction",
	 ENDING("pg_terminate_backend", NAMED(11) ",\n  " NAMED(12))},
	/* Nobody past a threshold: nobody to be ended. */
	{{.kind = POOLDIAG_BREAKER_SLOTS,
	  .usable = 97,
	  .holder = "web",
	  .holder_state = POOLDIAG_IDLE,
	  .held = 90},
	 "90 of 97 slots are held by web, idle",
	 LOOK_AT_SLOTS},
	/* They wait behind one. */
	{{.kind = POOLDIAG_BREAKER_SLOTS,
	  .usable = 97,
	  .holder = "web",
	  .holder_state = POOLDIAG_ACTIVE,
	  .held = 38,
	  .held_behind = 20,
	  .has_root = true,
	  .root = CULPRIT(4711, POOLDIAG_IDLE_IN_TRANSACTION, 72),
	  .waiting = 21,
	  .waiters = 21,
	  .culprits = {CULPRIT(11, POOLDIAG_ACTIVE, 60)},
	  .culprit_count = 1},
	 "38 of 97 slots are held by web, active, behind pid 4711 (idle in transaction for 72 s)",
	 ENDING("pg_terminate_backend", NAMED(4711))},
	/* Half of them do, which is not why. */
	{{.kind = POOLDIAG_BREAKER_SLOTS,
	  .usable = 97,
	  .holder = "web",
	  .holder_state = POOLDIAG_ACTIVE,
	  .held = 38,
	  .held_behind = 19,
	  .has_root = true,
	  .root = CULPRIT(4711, POOLDIAG_IDLE_IN_TRANSACTION, 72),
	  .culprits = {CULPRIT(11, POOLDIAG_ACTIVE, 60)},
	  .culprit_count = 1},
	 "38 of 97 slots are held by web, active",
	 ENDING("pg_cancel_backend", NAMED(11))},
	{{.kind = POOLDIAG_BREAKER_SLOTS, .usable = 97},
	 "the 97 usable slots are held by nobody that was seen",
	 LOOK_AT_SLOTS},
	/* A pool. */
	{{.kind = POOLDIAG_BREAKER_POOL,
	  .pool = "web",
	  .count = 4,
	  .whole = 4,
	  .usable = 97,
	  .holder = "web",
	  .holder_state = POOLDIAG_IDLE_IN_TRANSACTION_ABORTED,
	  .held = 3,
	  .culprits = {CULPRIT(11, POOLDIAG_IDLE_IN_TRANSACTION_ABORTED, 60)},
	  .culprit_count = 1},
	 "4 connections of web fill a capacity of 4; 3 of them are idle in transaction (aborted)",
	 ENDING("pg_terminate_backend", NAMED(11))},
	{{.kind = POOLDIAG_BREAKER_POOL, .pool = "web", .count = 1, .whole = 1},
	 "1 connection of web fills a capacity of 1",
	 LOOK_AT_SLOTS},
	/* Refusals. */
	{{.kind = POOLDIAG_BREAKER_REFUSALS, .count = 3, .reason = "role limit", .reason_count = 2},
	 "3 connections were refused, 2 of them for one reason (role limit)",
	 "SELECT * FROM pooldiag.refusal_sources ORDER BY last_at DESC LIMIT 20;"},
	{{.kind = POOLDIAG_BREAKER_REFUSALS,
	  .count = 1,
	  .reason = "no free slot",
	  .reason_count = 1,
	  .reason_is_slots = true,
	  .usable = 97,
	  .holder = "web",
	  .holder_state = POOLDIAG_IDLE,
	  .held = 90},
	 "1 connection was refused (no free slot); 90 of 97 slots are held by web, idle",
	 LOOK_AT_SLOTS},
	{{.kind = POOLDIAG_BREAKER_REFUSALS, .count = 2},
	 "2 connections were refused",
	 "SELECT * FROM pooldiag.refusal_sources ORDER BY last_at DESC LIMIT 20;"},
	/* Slow statements, at work and waiting. */
	{{.kind = POOLDIAG_BREAKER_SLOW_QUERIES,
	  .count = 5,
	  .culprits = {CULPRIT(11, POOLDIAG_ACTIVE, 63)},
	  .culprit_count = 1,
	  .culprit_pool = "web"},
	 "5 statements are running past the threshold, the longest, pid 11 of web, for 63 s",
	 ENDING("pg_cancel_backend", NAMED(11))},
	{{.kind = POOLDIAG_BREAKER_SLOW_QUERIES,
	  .count = 5,
	  .culprits = {CULPRIT(11, POOLDIAG_ACTIVE, 63)},
	  .culprit_count = 1,
	  .culprits_waiting = 3,
	  .has_root = true,
	  .root = CULPRIT(12, POOLDIAG_ACTIVE, 64)},
	 "5 statements are running past the threshold, the longest, pid 11 of no known pool, for 63 s; "
	 "3 wait for locks, behind pid 12 (active for 64 s)",
	 ENDING("pg_cancel_backend", NAMED(12))},
	{{.kind = POOLDIAG_BREAKER_SLOW_QUERIES, .count = 1},
	 "1 statement is running past the threshold",
	 "SELECT * FROM pooldiag.slow_queries;"},
	/* Leaks. */
	{{.kind = POOLDIAG_BREAKER_LEAKS,
	  .count = 1,
	  .culprits = {CULPRIT(11, POOLDIAG_IDLE_IN_TRANSACTION, 63)},
	  .culprit_count = 1,
	  .culprit_pool = "web"},
	 "1 connection is idle in transaction past the threshold, the longest, pid 11 of web, for 63 s",
	 ENDING("pg_terminate_backend", NAMED(11))},
	{{.kind = POOLDIAG_BREAKER_LEAKS, .count = 2},
	 "2 connections are idle in transaction past the threshold",
	 "SELECT * FROM pooldiag.leaks;"},
	/* Lock waits. */
	{{.kind = POOLDIAG_BREAKER_LOCK_WAITS,
	  .count = 7,
	  .waiters = 7,
	  .waiting = 6,
	  .has_root = true,
	  .root = CULPRIT(4711, POOLDIAG_IDLE_IN_TRANSACTION, 30)},
	 "7 sessions wait for locks, 6 of 7 behind pid 4711 (idle in transaction for 30 s)",
	 ENDING("pg_terminate_backend", NAMED(4711))},
	{{.kind = POOLDIAG_BREAKER_LOCK_WAITS,
	  .count = 7,
	  .waiters = 7,
	  .waiting = 7,
	  .has_root = true,
	  .root_is_prepared = true},
	 "7 sessions wait for locks, 7 of 7 behind a prepared transaction",
	 "SELECT gid, prepared, owner, database FROM pg_prepared_xacts ORDER BY prepared;"},
	{{.kind = POOLDIAG_BREAKER_LOCK_WAITS,
	  .count = 2,
	  .waiters = 2,
	  .waiting = 2,
	  .has_root = true,
	  .root_is_replay = true},
	 "2 sessions wait for locks, 2 of 2 behind the replay of WAL",
	 LOOK_ON_PRIMARY},
	{{.kind = POOLDIAG_BREAKER_SLOTS,
	  .usable = 97,
	  .holder = "web",
	  .holder_state = POOLDIAG_ACTIVE,
	  .held = 90,
	  .held_behind = 80,
	  .has_root = true,
	  .root_is_replay = true},
	 "90 of 97 slots are held by web, active, behind the replay of WAL",
	 LOOK_ON_PRIMARY},
	{{.kind = POOLDIAG_BREAKER_LOCK_WAITS, .count = 1},
	 "1 session waits for locks",
	 LOOK_AT_BLOCKING},
	/* A root whose state is not known since when is not ended; nor is what only begins. */
	{{.kind = POOLDIAG_BREAKER_LOCK_WAITS,
	  .count = 1,
	  .waiters = 1,
	  .waiting = 1,
	  .has_root = true,
	  .root = {12, POOLDIAG_DISABLED, START, "", 0}},
	 "1 session waits for locks, 1 of 1 behind pid 12 (disabled for 0 s)",
	 LOOK_AT_BLOCKING},
	{{.kind = POOLDIAG_BREAKER_LOCK_WAITS,
	  .count = 1,
	  .waiters = 1,
	  .waiting = 1,
	  .has_root = true,
	  .root = CULPRIT(12, POOLDIAG_STARTING, 1)},
	 "1 session waits for locks, 1 of 1 behind pid 12 (starting for 1 s)",
	 LOOK_AT_BLOCKING},
	{{.kind = POOLDIAG_BREAKER_ERRORS, .count = 40, .whole = 44},
	 "40 of 44 statements have failed",
	 "SELECT datname, xact_commit, xact_rollback FROM pg_stat_database "
	 "ORDER BY xact_rollback DESC;"},
	{{.kind = POOLDIAG_BREAKER_OPERATIONS, .error = "timed out"},
	 "the canary's tries fail: timed out",
	 "SELECT * FROM pooldiag.operations WHERE consecutive_failures > 0;"},
	{{.kind = POOLDIAG_BREAKER_OPERATIONS},
	 "the canary's tries fail",
	 "SELECT * FROM pooldiag.operations WHERE consecutive_failures > 0;"},
};

static void
test_verdicts_and_remedies(void **unused)
{
	char text[POOLDIAG_REMEDY_LEN];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		pooldiag_incident_verdict(&cases[i].facts, text, sizeof(text));
		assert_string_equal(text, cases[i].verdict);
		pooldiag_incident_remedy(&cases[i].facts, text, sizeof(text));
		assert_string_equal(text, cases[i].remedy);
	}
}

/* As many as are named at the most, with the longest pids and instants that there are, fit. */
static void
test_the_longest_remedy(void **unused)
{
	PoolDiagFacts facts = {.kind = POOLDIAG_BREAKER_LEAKS, .culprit_count = POOLDIAG_CULPRITS};
	char remedy[POOLDIAG_REMEDY_LEN];

	for (int i = 0; i < POOLDIAG_CULPRITS; i++)
	{
		facts.culprits[i].pid = 2147483647;
		facts.culprits[i].state = POOLDIAG_IDLE_IN_TRANSACTION;
		memset(facts.culprits[i].backend_start, '9', POOLDIAG_INSTANT_LEN - 1);
		memset(facts.culprits[i].state_change, '9', POOLDIAG_INSTANT_LEN - 1);
	}
	pooldiag_incident_remedy(&facts, remedy, sizeof(remedy));
	assert_true(strlen(remedy) < sizeof(remedy) - 1);
	assert_string_equal(remedy + strlen(remedy) - 4, "'));");
}

/* Names are long; what is cut off stays a string. */
static void
test_a_long_name(void **unused)
{
	char name[2000];
	char verdict[POOLDIAG_VERDICT_LEN];
	PoolDiagFacts facts = {.kind = POOLDIAG_BREAKER_SLOTS, .usable = 97, .holder = name, .held = 9};

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	pooldiag_incident_verdict(&facts, verdict, sizeof(verdict));
	assert_int_equal(strlen(verdict), sizeof(verdict) - 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts_and_remedies),
		cmocka_unit_test(test_the_longest_remedy),
		cmocka_unit_test(test_a_long_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
