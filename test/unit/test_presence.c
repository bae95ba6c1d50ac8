/*
 * link: presence.c peaks.c ring.c pools.c grammar.c scanner.c glob.c presets.c tally.c state.c
 *
 * Who is connected at every moment: what sessions tell, against a model that keeps a list of them; words that are
 * lost, unfinished or late, new definitions, a full directory, another sampler.
 */
#include "server.h"

#include "presence.h"

#define SLOTS 12
#define MAX_DEFS 8

static const PoolDiagPoolDefaults defaults = {
	.environment = POOLDIAG_ENV_STAGING, .pool_size = -1, .max_overflow = -1, .leak_ms = 60000};

/* The model: what each slot's session goes by. */
typedef struct Session
{
	int pid;
	char application_name[NAMEDATALEN];
} Session;

static PoolDiagPresence *presence;
static PoolDiagPools *pools;
static PoolDiagPeakTable databases;
static PoolDiagPeakTable roles;
static PoolDiagAudience audience = {NULL, &databases, &roles};
static Session sessions[SLOTS];
static int64 now;
static int next_pid;

static void
configure(const char *text)
{
	PoolDiagPoolDef defs[MAX_DEFS];
	PoolDiagParseError error = {0};
	int n = pooldiag_grammar_parse_pools(text, defs, MAX_DEFS, &error);

	assert_true(n >= 0);
	pooldiag_pools_configure(pools, defs, n, &defaults);
	pooldiag_presence_release(presence, pools);
}

static void
begin_with(int capacity, const char *definitions)
{
	presence = calloc(1, pooldiag_presence_size(SLOTS));
	pools = malloc(pooldiag_pools_size(capacity));
	audience.pools = pools;
	memset(&databases, 0, sizeof(databases));
	memset(&roles, 0, sizeof(roles));
	pooldiag_presence_init(presence, SLOTS);
	pooldiag_pools_init(pools, capacity);
	memset(sessions, 0, sizeof(sessions));
	now = 1000;
	next_pid = 100;
	configure(definitions);
}

static void
end(void)
{
	free(presence);
	free(pools);
}

static void
tell(int slot, int pid, const char *application_name)
{
	PoolDiagWord word;

	memset(&word, 0, sizeof(word));
	word.at = ++now;
	word.procno = slot;
	word.pid = pid;
	word.databaseid = 1;
	word.roleid = (uint32) slot % 3 + 1;
	word.leaves = application_name == NULL;
	strcpy(word.user, "u");
	strcpy(word.database, "d");
	if (application_name != NULL)
		strncpy(word.application_name, application_name, NAMEDATALEN - 1);
	(void) pooldiag_presence_tell(presence, &word);
}

static void
come(int slot, const char *application_name)
{
	sessions[slot].pid = ++next_pid;
	strcpy(sessions[slot].application_name, application_name);
	tell(slot, sessions[slot].pid, application_name);
}

static void
rename_to(int slot, const char *application_name)
{
	strcpy(sessions[slot].application_name, application_name);
	tell(slot, sessions[slot].pid, application_name);
}

static void
leave(int slot)
{
	tell(slot, sessions[slot].pid, NULL);
	sessions[slot].pid = 0;
}

/* The pool of that name, or NULL; one without an @ is declared. */
static PoolDiagPool *
row(const char *name)
{
	char found[POOLDIAG_POOL_NAME_LEN];

	for (int i = 0; i <= pools->capacity; i++)
		if (pools->rows[i].used)
		{
			pooldiag_pools_name(pools, i, found);
			if (strcmp(found, name) == 0)
				return &pools->rows[i];
		}
	return NULL;
}

static void
assert_row(const char *name, int connected, int most, int peak)
{
	PoolDiagPool *found = row(name);

	if (found == NULL)
		fail_msg("there is no pool %s", name);
	assert_int_equal(found->connected, connected);
	assert_int_equal(found->most_connected, most);
	assert_int_equal(found->connections_peak.value, peak);
}

static bool
hear(void)
{
	return pooldiag_presence_hear(presence, &audience, 0);
}

static void
compare(int slot, int pid, int pool, uint64 since, TimestampTz at)
{
	PoolDiagSeat seen = {pool, -1, -1};

	if (pid != 0)
	{
		seen.database = pooldiag_peaks_row(&databases, 1);
		seen.role = pooldiag_peaks_row(&roles, (uint32) slot % 3 + 1);
	}
	pooldiag_presence_compare(presence, &audience, slot, pid, &seen, since, at);
}

/* The session tables say what the model has. */
static void
assert_tables(void)
{
	int of_role[3] = {0};
	int all = 0;

	for (int i = 0; i < SLOTS; i++)
		if (sessions[i].pid != 0)
		{
			of_role[i % 3]++;
			all++;
		}
	for (int i = 0; i < databases.used; i++)
		assert_int_equal(databases.rows[i].connected, all);
	for (int i = 0; i < roles.used; i++)
		assert_int_equal(roles.rows[i].connected, of_role[roles.rows[i].oid - 1]);
}

/* A tick: the scan sees what the model has. */
static void
tick(void)
{
	uint64 since;
	int found[SLOTS];

	assert_true(hear());
	since = pooldiag_presence_next(presence);
	for (int i = 0; i <= pools->capacity; i++)
	{
		pools->rows[i].before = pools->rows[i].tally.connections;
		memset(&pools->rows[i].tally, 0, sizeof(PoolDiagTally));
	}
	for (int i = 0; i < SLOTS; i++)
	{
		found[i] = POOLDIAG_NO_POOL;
		if (sessions[i].pid == 0)
			continue;
		found[i] = pooldiag_pools_assign(pools, "u", "d", sessions[i].application_name);
		pools->rows[found[i]].tally.connections++;
	}
	assert_true(hear());
	for (int i = 0; i < SLOTS; i++)
		compare(i, sessions[i].pid, found[i], since, ++now);
	for (int i = 0; i <= pools->capacity; i++)
	{
		assert_int_equal(pools->rows[i].connected, pools->rows[i].tally.connections);
		pools->rows[i].most_connected = pools->rows[i].connected;
	}
	assert_tables();
}

static uint64
mended(void)
{
	return pg_atomic_read_u64(&presence->mended);
}

static uint64
lost(void)
{
	return pg_atomic_read_u64(&presence->lost);
}

/* A spike that is over when it is heard of, in a declared pool and in one that nobody knew. */
static void
test_spike(void **state)
{
	begin_with(4, "web(application_name=web*)");
	come(0, "web-1");
	come(1, "web-2");
	come(2, "jobs");
	leave(0);
	come(0, "web-1");
	come(3, "web-3");
	leave(1);
	leave(0);
	leave(3);
	leave(2);
	come(5, "jobs");
	assert_int_equal(pooldiag_presence_waiting(presence), 11);
	assert_true(hear());
	assert_int_equal(pooldiag_presence_waiting(presence), 0);
	assert_row("web", 0, 3, 3);
	assert_row("u@d/jobs", 1, 1, 1);
	/* It was when the third came, and ended when the last one left. */
	assert_true(row("web")->connections_peak.at == 1006);
	assert_int_equal(databases.rows[0].peak.value, 4);
	assert_true(databases.rows[0].peak.at == 1006);
	assert_int_equal(pooldiag_peaks_find(&roles, 1)->value, 2);
	assert_int_equal(pooldiag_peaks_find(&roles, 2)->value, 1);
	assert_null(pooldiag_peaks_find(&roles, 4));
	assert_true(row("web")->empty_since == 1009);
	assert_true(row("u@d/jobs")->empty_since == 0);

	/* The most of each tick begins with what there is. */
	tick();
	assert_row("web", 0, 0, 3);
	assert_row("u@d/jobs", 1, 1, 1);
	assert_int_equal(mended(), 0);
	assert_int_equal(lost(), 0);
	end();
}

static void
test_rename(void **state)
{
	begin_with(4, "web(application_name=web*)");
	come(0, "a");
	come(1, "a");
	rename_to(0, "web");
	rename_to(1, "web-2");
	rename_to(1, "web-3");
	rename_to(0, "a");
	assert_true(hear());
	assert_row("u@d/a", 1, 2, 2);
	assert_row("web", 1, 2, 2);
	tick();
	assert_int_equal(mended(), 0);
	end();
}

/* What the scan sees of a name is newer than what was told, but not than what is told meanwhile. */
static void
test_seen_names(void **state)
{
	uint64 since;
	int a;
	int b;

	begin_with(4, "");
	come(0, "a");
	assert_true(hear());
	since = pooldiag_presence_next(presence);
	a = pooldiag_pools_assign(pools, "u", "d", "a");
	b = pooldiag_pools_assign(pools, "u", "d", "b");
	compare(0, sessions[0].pid, b, since, ++now);
	assert_row("u@d/a", 0, 1, 1);
	assert_row("u@d/b", 1, 1, 1);

	/* It has ended since, and another has its slot. */
	leave(0);
	come(0, "a");
	assert_true(hear());
	compare(0, 101, b, since, ++now);
	assert_row("u@d/a", 1, 1, 1);
	assert_row("u@d/b", 0, 1, 1);

	/* It has told that it ends, and its entry is there for a moment still. */
	leave(0);
	assert_true(hear());
	since = pooldiag_presence_next(presence);
	compare(0, 102, a, since, ++now);
	assert_row("u@d/a", 0, 1, 1);
	/* One that is there, of which no entry tells, as it is about to end. */
	come(0, "a");
	assert_true(hear());
	since = pooldiag_presence_next(presence);
	compare(0, sessions[0].pid, POOLDIAG_NO_POOL, since, ++now);
	assert_row("u@d/a", 1, 1, 1);
	assert_int_equal(mended(), 0);
	end();
}

/* Sessions without a row are (other)'s, and move when there is room; a row with sessions is nobody else's. */
static void
test_full(void **state)
{
	begin_with(2, "");
	come(0, "a");
	come(1, "b");
	come(2, "c");
	come(3, "c");
	assert_true(hear());
	assert_row("(other)", 2, 2, 2);
	assert_false(pooldiag_pools_has_room(pools));
	leave(0);
	come(4, "d");
	/* Not told of by any sample, its row is free at once. */
	assert_true(hear());
	assert_null(row("u@d/a"));
	assert_row("u@d/d", 1, 1, 1);
	assert_row("(other)", 2, 2, 2);
	leave(1);
	assert_true(hear());
	tick();
	assert_row("u@d/c", 2, 2, 2);
	assert_row("(other)", 0, 0, 2);
	assert_int_equal(mended(), 0);
	end();
}

/* Whose pool has gone is nobody's until it is seen; who ends before that is in no count. */
static void
test_definitions(void **state)
{
	begin_with(6, "web(application_name=web*), old(application_name=old)");
	for (int i = 0; i < 4; i++)
		come(i, i % 2 ? "web" : "old");
	tick();
	configure("new(application_name=old), web(application_name=web*)");
	assert_row("web", 2, 2, 2);
	assert_row("new", 0, 0, 0);
	leave(0);
	come(4, "old");
	assert_true(hear());
	assert_row("new", 1, 1, 1);
	tick();
	assert_row("new", 2, 2, 2);
	configure("first(application_name=web), web(application_name=web*), new(application_name=old)");
	leave(1);
	tick();
	assert_row("first", 1, 1, 1);
	assert_row("web", 0, 0, 2);
	assert_int_equal(mended(), 0);
	end();
}

/* A new sampler finds a directory, and what was told since. */
static void
test_new_sampler(void **state)
{
	begin_with(4, "web(application_name=web)");
	for (int i = 0; i < 5; i++)
		come(i, "web");
	tick();
	leave(0);
	come(5, "web");
	come(6, "web");
	leave(6);
	leave(5);
	for (int i = 0; i <= pools->capacity; i++)
		pools->rows[i].connected = 99;
	pooldiag_presence_recount(presence, &audience);
	configure("web(application_name=web)");
	assert_true(hear());
	assert_row("web", 4, 6, 6);
	/* One that never had a chance to publish its directory. */
	pooldiag_pools_init(pools, pools->capacity);
	pooldiag_presence_recount(presence, &audience);
	configure("");
	tick();
	assert_row("u@d/web", 4, 4, 4);
	assert_int_equal(mended(), 0);
	end();
}

/* More words than there is room for: some are lost, and the next tick has it right. */
static void
test_overrun(void **state)
{
	begin_with(4, "");
	come(0, "stays");
	come(1, "leaves");
	tick();
	leave(1);
	come(2, "comes");
	come(4, "x");
	for (int i = 0; i < POOLDIAG_PRESENCE_ROOM / 2; i++)
	{
		come(3, "y");
		leave(3);
	}
	leave(4);
	assert_true(hear());
	assert_int_equal(lost(), 4);
	assert_row("u@d/leaves", 1, 1, 1);
	tick();
	assert_int_equal(mended(), 2);
	assert_row("u@d/stays", 1, 1, 1);
	assert_row("u@d/comes", 1, 1, 1);
	tick();
	assert_int_equal(mended(), 2);
	/* Another has the slot of one whose last word is lost. */
	sessions[0].pid = 0;
	come(0, "stays");
	tick();
	assert_row("u@d/stays", 1, 1, 1);
	end();
}

/* A word that is being written holds up those after it, for a while. */
static void
test_unfinished(void **state)
{
	PoolDiagRing *ring;

	begin_with(4, "");
	come(0, "a");
	assert_true(hear());
	ring = (PoolDiagRing *) ((char *) presence + pooldiag_presence_size(SLOTS) -
							 pooldiag_ring_size(POOLDIAG_PRESENCE_ROOM, sizeof(PoolDiagWord)));
	pg_atomic_fetch_add_u64(&ring->next, 1);
	come(1, "a");
	assert_false(pooldiag_presence_hear(presence, &audience, 5000));
	assert_row("u@d/a", 1, 1, 1);
	assert_false(pooldiag_presence_hear(presence, &audience, 5000 + POOLDIAG_PRESENCE_PATIENCE));
	assert_int_equal(lost(), 0);
	assert_int_equal(pooldiag_presence_waiting(presence), 2);
	assert_true(pooldiag_presence_hear(presence, &audience, 5001 + POOLDIAG_PRESENCE_PATIENCE));
	assert_int_equal(lost(), 1);
	assert_row("u@d/a", 2, 2, 2);
	end();
}

static uint32
any(uint32 below)
{
	static uint32 seed = 12345;

	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

/*
 * Long histories of sessions, ticks, reloads and new samplers. Counts are the model's at every tick; with room
 * for all, each pool's most since the tick before is what the model has had.
 */
static void
test_histories(void **state)
{
	static const char *const names[] = {"web", "web-1", "jobs", "cron", "a", "b", "c"};
	static const char *const definitions[] = {
		"", "web(application_name=web*)", "w1(application_name=web-1), web(application_name=web*)",
		"jobs(application_name=jobs), all()"};

	for (int capacity = 4; capacity <= 16; capacity += 12)
	{
		begin_with(capacity, "");
		for (int step = 0; step < 200000; step++)
		{
			int slot = (int) any(SLOTS);
			const char *name = names[any(lengthof(names))];

			if (any(500) == 0)
			{
				assert_true(hear());
				configure(definitions[any(lengthof(definitions))]);
				tick();
			}
			else if (any(50) == 0)
				tick();
			else if (any(500) == 0)
				pooldiag_presence_recount(presence, &audience);
			else if (sessions[slot].pid == 0)
				come(slot, name);
			else if (any(3) == 0)
				rename_to(slot, name);
			else
				leave(slot);
			if (any(5) == 0)
				assert_true(hear());
		}
		tick();
		assert_int_equal(lost(), 0);
		assert_int_equal(mended(), 0);
		end();
	}
}

/* The most at once, of three names, against the model's own count after each word. */
static void
test_most(void **state)
{
	static const char *const names[] = {"web", "jobs", "cron"};

	begin_with(8, "web(application_name=web)");
	for (int round = 0; round < 2000; round++)
	{
		int most[lengthof(names)] = {0};
		int count[lengthof(names)];

		for (uint32 step = 0, steps = any(60); step <= steps; step++)
		{
			int slot = (int) any(SLOTS);

			memset(count, 0, sizeof(count));
			for (int i = 0; i < SLOTS; i++)
				for (size_t n = 0; n < lengthof(names); n++)
					if (sessions[i].pid != 0 && strcmp(sessions[i].application_name, names[n]) == 0)
						count[n]++;
			for (size_t n = 0; n < lengthof(names); n++)
				most[n] = Max(most[n], count[n]);
			if (step == steps)
				break;
			if (sessions[slot].pid == 0)
				come(slot, names[any(lengthof(names))]);
			else if (any(3) == 0)
				rename_to(slot, names[any(lengthof(names))]);
			else
				leave(slot);
		}
		assert_true(hear());
		for (size_t n = 0; n < lengthof(names); n++)
		{
			PoolDiagPool *found = row(n == 0 ? "web" : n == 1 ? "u@d/jobs" : "u@d/cron");

			assert_int_equal(found == NULL ? 0 : found->most_connected, most[n]);
			if (found != NULL)
				assert_true(found->connections_peak.value >= most[n]);
		}
		tick();
	}
	end();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spike),		cmocka_unit_test(test_rename),
		cmocka_unit_test(test_seen_names),	cmocka_unit_test(test_full),
		cmocka_unit_test(test_definitions), cmocka_unit_test(test_new_sampler),
		cmocka_unit_test(test_overrun),		cmocka_unit_test(test_unfinished),
		cmocka_unit_test(test_histories),	cmocka_unit_test(test_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
