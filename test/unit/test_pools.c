/*
 * link: pools.c grammar.c scanner.c glob.c presets.c tally.c state.c
 *
 * The directory of pools: matching, discovery, names, room and eviction, new definitions; and long
 * random histories, driven as the sampler drives it, against a model that only searches lists.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pools.h"

#define LENGTH(array) ((int) (sizeof(array) / sizeof((array)[0])))
#define MAX_DEFS 16

static const PoolDiagPoolDefaults defaults = {
	.environment = POOLDIAG_ENV_STAGING,
	.pool_size = -1,
	.max_overflow = -1,
	.timeout_ms = 30000,
	.recycle_ms = 3600000,
	.slow_ms = 31000,
	.leak_ms = 60000,
};

static PoolDiagPools *
make(int capacity)
{
	PoolDiagPools *pools = malloc(pooldiag_pools_size(capacity));

	assert_non_null(pools);
	/* Shared memory that was used before is no zeroed memory. */
	memset(pools, 0xA5, pooldiag_pools_size(capacity));
	pooldiag_pools_init(pools, capacity);
	return pools;
}

static int
parse(const char *text, PoolDiagPoolDef *defs)
{
	PoolDiagParseError error = {0};
	int n = pooldiag_grammar_parse_pools(text, defs, MAX_DEFS, &error);

	if (n < 0)
		fail_msg("\"%s\": position %d: %s", text, error.position, error.message);
	return n;
}

static void
configure(PoolDiagPools *pools, const char *text)
{
	PoolDiagPoolDef defs[MAX_DEFS];

	pooldiag_pools_configure(pools, defs, parse(text, defs), &defaults);
}

/* Assigns one connection and counts it, as pooldiag_sample_add does. */
static int
connect_as(PoolDiagPools *pools, const char *user, const char *database, const char *application)
{
	int index = pooldiag_pools_assign(pools, user, database, application);

	pools->rows[index].tally.connections++;
	return index;
}

/* What pooldiag_sample_clear_counts does to the directory when a tick begins. */
static void
begin_tick(PoolDiagPools *pools)
{
	for (int i = 0; i <= pools->capacity; i++)
	{
		pools->rows[i].before = pools->rows[i].tally.connections;
		memset(&pools->rows[i].tally, 0, sizeof(PoolDiagTally));
	}
}

/* What pooldiag_sample_raise_peaks does to it when all are counted. */
static void
end_tick(PoolDiagPools *pools, int64_t now)
{
	for (int i = 0; i <= pools->capacity; i++)
	{
		PoolDiagPool *row = &pools->rows[i];

		if (!row->used)
			continue;
		if (row->tally.connections > 0)
			row->empty_since = 0;
		else if (row->empty_since == 0)
			row->empty_since = now;
	}
}

static void
assert_name(const PoolDiagPools *pools, int index, const char *want)
{
	char name[POOLDIAG_POOL_NAME_LEN];
	int length = pooldiag_pools_name(pools, index, name);

	assert_string_equal(name, want);
	assert_int_equal(length, strlen(want));
}

static int
find(const PoolDiagPools *pools, const char *name)
{
	char found[POOLDIAG_POOL_NAME_LEN];

	for (int i = 0; i <= pools->capacity; i++)
		if (pools->rows[i].used && (pooldiag_pools_name(pools, i, found), strcmp(found, name) == 0))
			return i;
	return POOLDIAG_NO_POOL;
}

/* The first of the setting's definitions that matches, not the most specific, has the connection.
 */
static void
test_first_match_wins(void **state)
{
	PoolDiagPools *pools = make(8);

	(void) state;
	configure(pools, "narrow(application_name=web-1, user=app), wide(application_name=web*), "
					 "jobs(user=jobs), all_of_stage(database=stage)");
	assert_name(pools, connect_as(pools, "app", "prod", "web-1"), "narrow");
	assert_name(pools, connect_as(pools, "root", "prod", "web-1"), "wide");
	assert_name(pools, connect_as(pools, "app", "stage", "web"), "wide");
	assert_name(pools, connect_as(pools, "jobs", "stage", "cron"), "jobs");
	assert_name(pools, connect_as(pools, "app", "stage", "cron"), "all_of_stage");
	assert_name(pools, connect_as(pools, "app", "prod", "cron"), "app@prod/cron");

	/* In another order the same connections are others'. */
	configure(pools, "all_of_stage(database=stage), jobs(user=jobs), wide(application_name=web*), "
					 "narrow(application_name=web-1, user=app)");
	assert_name(pools, pooldiag_pools_assign(pools, "app", "prod", "web-1"), "wide");
	assert_name(pools, pooldiag_pools_assign(pools, "app", "stage", "web"), "all_of_stage");
	assert_name(pools, pooldiag_pools_assign(pools, "jobs", "stage", "cron"), "all_of_stage");
	free(pools);
}

/* A pattern that is not stated matches all, one that is stated as empty only the empty name. */
static void
test_empty_patterns(void **state)
{
	PoolDiagPools *pools = make(4);

	(void) state;
	configure(pools, "nameless(application_name=\"\"), rest()");
	assert_name(pools, pooldiag_pools_assign(pools, "u", "d", ""), "nameless");
	assert_name(pools, pooldiag_pools_assign(pools, "u", "d", "x"), "rest");
	free(pools);
}

/* One discovered pool for each (user, database, application name); the parts don't run together. */
static void
test_discovery(void **state)
{
	static const char *const identities[][3] = {
		{"a", "b", "c"}, {"b", "a", "c"}, {"a", "c", "b"},	{"ab", "", "c"},
		{"a", "bc", ""}, {"", "ab", "c"}, {"A", "b", "c"},	{"a", "b", "C"},
		{"a", "b", ""},	 {"", "", ""},	  {"a ", "b", "c"}, {"a", "b", " c"}};
	PoolDiagPools *pools = make(LENGTH(identities));
	int rows[LENGTH(identities)];

	(void) state;
	configure(pools, "");
	for (int i = 0; i < LENGTH(identities); i++)
	{
		rows[i] = connect_as(pools, identities[i][0], identities[i][1], identities[i][2]);
		assert_in_range(rows[i], 0, pools->capacity - 1);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(rows[i], rows[j]);
	}
	for (int i = 0; i < LENGTH(identities); i++)
	{
		const PoolDiagPool *row = &pools->rows[rows[i]];

		assert_int_equal(connect_as(pools, identities[i][0], identities[i][1], identities[i][2]),
						 rows[i]);
		assert_false(row->declared);
		assert_int_equal(row->tally.connections, 2);
		assert_string_equal(row->def.user, identities[i][0]);
		assert_string_equal(row->def.database, identities[i][1]);
		assert_string_equal(row->def.application_name, identities[i][2]);
		/* Nobody states how large a discovered pool may be. */
		assert_int_equal(row->limits.size, POOLDIAG_UNSTATED);
		assert_true(row->limits.capacity == POOLDIAG_UNSTATED);
		assert_true(row->limits.leak_ms == defaults.leak_ms);
		assert_true(row->limits.slow_ms == defaults.slow_ms);
	}
	free(pools);
}

static void
test_names(void **state)
{
	static const struct
	{
		const char *user, *database, *application_name, *name;
	} cases[] = {
		{"app", "shop", "web", "app@shop/web"},
		{"app", "shop", "", "app@shop/\"\""},
		{"", "", "", "\"\"@\"\"/\"\""},
		{"a@b", "shop", "web", "\"a@b\"@shop/web"},
		{"app", "sh/op", "web", "app@\"sh/op\"/web"},
		{"app", "shop", "we\"b", "app@shop/\"we\"\"b\""},
		{"app", "shop", "\"", "app@shop/\"\"\"\""},
		{"app", "shop", "pg_regress/names", "app@shop/\"pg_regress/names\""},
		/* Nothing else is a reason for quotes. */
		{"my app", "(other)", "a,b=c:d", "my app@(other)/a,b=c:d"},
		{"\xC3\xA9", "\xE2\x82\xAC", "\xFF", "\xC3\xA9@\xE2\x82\xAC/\xFF"},
	};
	PoolDiagPools *pools = make(LENGTH(cases));

	(void) state;
	configure(pools, "");
	for (int i = 0; i < LENGTH(cases); i++)
		assert_name(pools,
					connect_as(pools, cases[i].user, cases[i].database, cases[i].application_name),
					cases[i].name);
	assert_name(pools, pools->capacity, "(other)");
	configure(pools, "\"my pool\"(user=x), \"a \"\"b\"\"\"(user=y)");
	assert_name(pools, pooldiag_pools_assign(pools, "x", "", ""), "my pool");
	assert_name(pools, pooldiag_pools_assign(pools, "y", "", ""), "a \"b\"");
	free(pools);
}

/* The longest name fits in what the header says, and what is longer than a name can be is cut. */
static void
test_longest_name(void **state)
{
	PoolDiagPools *pools = make(2);
	char quotes[POOLDIAG_NAME_LEN];
	char overlong[POOLDIAG_NAME_LEN + 10];
	char name[POOLDIAG_POOL_NAME_LEN];
	int length = 3 * (2 * (POOLDIAG_NAME_LEN - 1) + 2) + 2;
	int index;

	(void) state;
	memset(quotes, '"', sizeof(quotes) - 1);
	quotes[sizeof(quotes) - 1] = '\0';
	memset(overlong, 'x', sizeof(overlong) - 1);
	overlong[sizeof(overlong) - 1] = '\0';

	index = connect_as(pools, quotes, quotes, quotes);
	assert_in_range(length, 0, POOLDIAG_POOL_NAME_LEN - 1);
	assert_int_equal(pooldiag_pools_name(pools, index, name), length);
	assert_int_equal(strlen(name), length);

	index = connect_as(pools, "u", "d", overlong);
	assert_int_equal(strlen(pools->rows[index].def.application_name), POOLDIAG_NAME_LEN - 1);
	free(pools);
}

/* With every row taken by a pool that has connections, the rest is (other), and each is counted. */
static void
test_full(void **state)
{
	PoolDiagPools *pools = make(3);
	int a;

	(void) state;
	configure(pools, "web(application_name=web)");
	assert_true(pooldiag_pools_has_room(pools));
	a = connect_as(pools, "u", "d", "a");
	connect_as(pools, "u", "d", "b");
	assert_false(pools->rows[a].declared);
	assert_false(pooldiag_pools_has_room(pools));
	assert_int_equal(connect_as(pools, "u", "d", "c"), pools->capacity);
	assert_int_equal(connect_as(pools, "u", "d", "d"), pools->capacity);
	/* Who has a row keeps it, and a declared pool matches as ever. */
	assert_int_equal(connect_as(pools, "u", "d", "a"), a);
	assert_name(pools, connect_as(pools, "u", "d", "web"), "web");
	assert_int_equal(pools->rows[pools->capacity].tally.connections, 2);
	assert_int_equal(pools->overflows, 2);
	assert_int_equal(pools->evictions, 0);
	assert_int_equal(pools->used, 3);
	free(pools);
}

static void
test_longest_empty_is_evicted(void **state)
{
	PoolDiagPools *pools = make(3);
	int b;

	(void) state;
	configure(pools, "");
	connect_as(pools, "u", "d", "a");
	b = connect_as(pools, "u", "d", "b");
	connect_as(pools, "u", "d", "c");
	end_tick(pools, 1);
	/* b leaves first, then a; c stays. */
	begin_tick(pools);
	connect_as(pools, "u", "d", "c");
	connect_as(pools, "u", "d", "a");
	/* Its last connection was there a tick ago, and this tick has not come to it yet: no room. */
	assert_false(pooldiag_pools_has_room(pools));
	assert_int_equal(connect_as(pools, "u", "d", "early"), pools->capacity);
	end_tick(pools, 2);
	begin_tick(pools);
	connect_as(pools, "u", "d", "c");
	end_tick(pools, 3);
	begin_tick(pools);
	connect_as(pools, "u", "d", "c");
	assert_true(pooldiag_pools_has_room(pools));
	assert_int_equal(connect_as(pools, "u", "d", "e"), b);
	assert_int_equal(find(pools, "u@d/b"), POOLDIAG_NO_POOL);
	assert_int_not_equal(find(pools, "u@d/a"), POOLDIAG_NO_POOL);
	assert_int_not_equal(find(pools, "u@d/c"), POOLDIAG_NO_POOL);
	assert_int_equal(pools->evictions, 1);
	assert_int_equal(pools->used, 3);
	/* What it knew of the pool before it is gone. */
	assert_true(pools->rows[b].empty_since == 0);
	assert_int_equal(pools->rows[b].before, 0);
	free(pools);
}

/* A declared pool without a single connection never makes way. */
static void
test_declared_stays(void **state)
{
	PoolDiagPools *pools = make(2);

	(void) state;
	configure(pools, "web(application_name=web)");
	for (int tick = 1; tick < 10; tick++)
	{
		char name[16];

		begin_tick(pools);
		snprintf(name, sizeof(name), "app-%d", tick);
		connect_as(pools, "u", "d", name);
		end_tick(pools, tick);
		assert_int_not_equal(find(pools, "web"), POOLDIAG_NO_POOL);
	}
	free(pools);
}

static void
test_new_definitions(void **state)
{
	PoolDiagPools *pools = make(4);
	uint64_t generation;
	int web;
	int jobs;
	int cron;

	(void) state;
	configure(pools, "web(application_name=web, size=5), old(application_name=old)");
	web = connect_as(pools, "u", "d", "web");
	cron = connect_as(pools, "u", "d", "cron");
	end_tick(pools, 1);
	pools->rows[web].connections_peak.value = 17;
	generation = pools->generation;

	configure(pools, "jobs(application_name=cron), web(application_name=www, size=6)");
	jobs = find(pools, "jobs");
	/* Matches have changed, so what was matched before is out of date. */
	assert_true(pools->generation > generation);
	/* A name that stays keeps its row with all that is counted there; what it means is new. */
	assert_int_equal(find(pools, "web"), web);
	assert_int_equal(pools->rows[web].connections_peak.value, 17);
	assert_int_equal(pools->rows[web].tally.connections, 1);
	assert_int_equal(pools->rows[web].limits.size, 6);
	assert_name(pools, pooldiag_pools_assign(pools, "u", "d", "www"), "web");
	assert_name(pools, pooldiag_pools_assign(pools, "u", "d", "web"), "u@d/web");
	/* A name that is gone leaves its row. */
	assert_int_equal(find(pools, "old"), POOLDIAG_NO_POOL);
	/* What a new definition matches goes there, and what was discovered of it stays counted. */
	assert_int_equal(pooldiag_pools_assign(pools, "u", "d", "cron"), jobs);
	assert_int_equal(find(pools, "u@d/cron"), cron);
	assert_int_equal(pools->rows[cron].tally.connections, 1);
	assert_int_equal(pools->declared, 2);

	/* The same definitions change nothing but the generation. */
	generation = pools->generation;
	configure(pools, "jobs(application_name=cron), web(application_name=www, size=6)");
	assert_int_equal(find(pools, "jobs"), jobs);
	assert_int_equal(find(pools, "web"), web);
	assert_true(pools->generation > generation);

	configure(pools, "");
	assert_int_equal(pools->declared, 0);
	assert_int_equal(pools->first_declared, POOLDIAG_NO_POOL);
	assert_int_equal(find(pools, "jobs"), POOLDIAG_NO_POOL);
	assert_int_equal(pooldiag_pools_assign(pools, "u", "d", "cron"), cron);
	free(pools);
}

/* New defaults reach the pools that state nothing themselves, discovered ones and (other) too. */
static void
test_new_defaults(void **state)
{
	PoolDiagPools *pools = make(3);
	PoolDiagPoolDefaults changed = defaults;
	PoolDiagPoolDef defs[MAX_DEFS];
	int n = parse("some(application_name=some, leak=1s), none(application_name=none)", defs);
	int cron;

	(void) state;
	pooldiag_pools_configure(pools, defs, n, &defaults);
	cron = connect_as(pools, "u", "d", "cron");
	changed.environment = POOLDIAG_ENV_PRODUCTION;
	changed.leak_ms = 7;
	pooldiag_pools_configure(pools, defs, n, &changed);
	assert_true(pools->rows[find(pools, "some")].limits.leak_ms == 1000);
	assert_true(pools->rows[find(pools, "none")].limits.leak_ms == 7);
	assert_int_equal(pools->rows[find(pools, "none")].limits.size, 50);
	assert_true(pools->rows[cron].limits.leak_ms == 7);
	assert_true(pools->rows[pools->capacity].limits.leak_ms == 7);
	assert_int_equal(pools->rows[pools->capacity].limits.size, POOLDIAG_UNSTATED);
	free(pools);
}

/* Declared pools always fit: discovered ones make way, empty ones first, then the smallest. */
static void
test_declared_always_fit(void **state)
{
	PoolDiagPools *pools = make(3);

	(void) state;
	configure(pools, "");
	connect_as(pools, "u", "d", "empty");
	end_tick(pools, 1);
	begin_tick(pools);
	for (int i = 0; i < 3; i++)
		connect_as(pools, "u", "d", "large");
	connect_as(pools, "u", "d", "small");
	end_tick(pools, 2);
	begin_tick(pools);
	for (int i = 0; i < 3; i++)
		connect_as(pools, "u", "d", "large");
	connect_as(pools, "u", "d", "small");
	end_tick(pools, 3);

	configure(pools, "one(user=none)");
	assert_int_not_equal(find(pools, "one"), POOLDIAG_NO_POOL);
	assert_int_equal(find(pools, "u@d/empty"), POOLDIAG_NO_POOL);
	assert_int_not_equal(find(pools, "u@d/small"), POOLDIAG_NO_POOL);

	configure(pools, "one(user=none), two(user=none)");
	assert_int_not_equal(find(pools, "two"), POOLDIAG_NO_POOL);
	assert_int_equal(find(pools, "u@d/small"), POOLDIAG_NO_POOL);
	assert_int_not_equal(find(pools, "u@d/large"), POOLDIAG_NO_POOL);

	configure(pools, "three(user=none), two(user=none), one(user=none)");
	assert_int_not_equal(find(pools, "three"), POOLDIAG_NO_POOL);
	assert_int_equal(find(pools, "u@d/large"), POOLDIAG_NO_POOL);
	assert_int_equal(pools->used, 3);
	assert_int_equal(pools->evictions, 3);
	/* Nothing is left for anybody else. */
	assert_int_equal(connect_as(pools, "u", "d", "large"), pools->capacity);
	assert_name(pools, connect_as(pools, "none", "d", "x"), "three");
	free(pools);
}

static void
test_one_row(void **state)
{
	PoolDiagPools *pools = make(1);

	(void) state;
	configure(pools, "");
	assert_int_equal(connect_as(pools, "u", "d", "a"), 0);
	assert_int_equal(connect_as(pools, "u", "d", "b"), 1);
	end_tick(pools, 1);
	configure(pools, "web(application_name=b)");
	begin_tick(pools);
	assert_int_equal(connect_as(pools, "u", "d", "a"), 1);
	assert_int_equal(connect_as(pools, "u", "d", "b"), 0);
	free(pools);
}

/* ---------------------------------------------------------------- random histories --------------
 *
 * A handful of slots, in which sessions come, go and rename themselves; ticks that remember each
 * slot's row as the sampler does, and come to slots in any order; reloads with other definitions.
 * The model knows the same pools by name, in a list, and searches it from the front.
 */

#define SLOTS 24
#define ROWS 10
#define OPERATIONS 200000

typedef struct Session
{
	bool here;
	bool changed; /* since the last tick */
	char user[3];
	char database[3];
	char application_name[3];
	int pool; /* where the last tick counted it */
	uint64_t generation;
} Session;

typedef struct ModelPool
{
	char name[POOLDIAG_POOL_NAME_LEN];
	bool declared;
	int index;
	int connections; /* of the tick under way or over last */
	int before;		 /* of the one before */
	int64_t empty_since;
} ModelPool;

typedef struct Model
{
	int capacity;
	int count;
	ModelPool pools[ROWS];
	int ndefs;
	PoolDiagPoolDef defs[ROWS];
	uint64_t evictions;
	uint64_t overflows;
} Model;

static uint32_t
next_random(void)
{
	static uint64_t state = 20250131;

	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t) (state >> 33);
}

static int
below(int n)
{
	return (int) (next_random() % (uint32_t) n);
}

/* Few names, so that sessions meet; also such as only quotes tell apart. */
static void
random_name(char *name)
{
	static const char *const names[] = {"", "a", "b", "c", "\"", "/", "@", "ab"};

	strcpy(name, names[below(LENGTH(names))]);
}

static bool
naive_match(const char *pattern, const char *text)
{
	if (*pattern == '\0')
		return *text == '\0';
	if (*pattern == '*')
		return naive_match(pattern + 1, text) || (*text != '\0' && naive_match(pattern, text + 1));
	return *text != '\0' && (*pattern == '?' || *pattern == *text) &&
		   naive_match(pattern + 1, text + 1);
}

static void
append_quoted(char *name, const char *part)
{
	char *to = name + strlen(name);
	bool quoted = *part == '\0';

	for (const char *c = part; *c != '\0'; c++)
		quoted = quoted || *c == '@' || *c == '/' || *c == '"';
	if (!quoted)
	{
		strcpy(to, part);
		return;
	}
	*to++ = '"';
	for (; *part != '\0'; *to++ = *part++)
		if (*part == '"')
			*to++ = '"';
	*to++ = '"';
	*to = '\0';
}

static ModelPool *
model_find(Model *model, const char *name)
{
	for (int i = 0; i < model->count; i++)
		if (strcmp(model->pools[i].name, name) == 0)
			return &model->pools[i];
	return NULL;
}

static ModelPool *
model_find_index(Model *model, int index)
{
	for (int i = 0; i < model->count; i++)
		if (model->pools[i].index == index)
			return &model->pools[i];
	return NULL;
}

static void
model_remove(Model *model, ModelPool *pool)
{
	*pool = model->pools[--model->count];
}

static ModelPool *
model_add(Model *model, const char *name, bool declared, int index)
{
	ModelPool *pool = &model->pools[model->count];

	assert_in_range(index, 0, model->capacity - 1);
	assert_null(model_find_index(model, index));
	model->count++;
	memset(pool, 0, sizeof(*pool));
	strcpy(pool->name, name);
	pool->declared = declared;
	pool->index = index;
	return pool;
}

static bool
model_evictable(const ModelPool *pool)
{
	return !pool->declared && pool->connections == 0 && pool->before == 0;
}

/* Since when the pool is empty that must make way, or -1: none may. */
static int64_t
model_longest_empty(const Model *model)
{
	int64_t longest = -1;

	for (int i = 0; i < model->count; i++)
		if (model_evictable(&model->pools[i]) &&
			(longest < 0 || model->pools[i].empty_since < longest))
			longest = model->pools[i].empty_since;
	return longest;
}

/* Takes out the pool whose row was given to another; it must be one that was to make way. */
static void
model_evict(Model *model, int index)
{
	ModelPool *victim = model_find_index(model, index);

	assert_non_null(victim);
	assert_true(model_evictable(victim));
	assert_true(victim->empty_since == model_longest_empty(model));
	model_remove(model, victim);
	model->evictions++;
}

/* Checks the row that the directory has given this session, and counts it there. */
static void
model_assign(Model *model, const Session *session, int index)
{
	char name[POOLDIAG_POOL_NAME_LEN] = "";
	ModelPool *pool = NULL;

	for (int d = 0; d < model->ndefs && pool == NULL; d++)
	{
		const PoolDiagPoolDef *def = &model->defs[d];

		if ((!def->has_user || naive_match(def->user, session->user)) &&
			(!def->has_database || naive_match(def->database, session->database)) &&
			(!def->has_application_name ||
			 naive_match(def->application_name, session->application_name)))
			pool = model_find(model, def->name);
	}
	if (pool == NULL)
	{
		append_quoted(name, session->user);
		strcat(name, "@");
		append_quoted(name, session->database);
		strcat(name, "/");
		append_quoted(name, session->application_name);
		pool = model_find(model, name);
	}
	if (pool == NULL && model->count == model->capacity)
	{
		if (model_longest_empty(model) < 0)
		{
			assert_int_equal(index, model->capacity);
			model->overflows++;
			return;
		}
		model_evict(model, index);
	}
	if (pool == NULL)
		pool = model_add(model, name, false, index);
	assert_int_equal(index, pool->index);
	pool->connections++;
}

/* Makes room for a declared pool; row indexes come from the directory itself. */
static void
model_configure(Model *model, const PoolDiagPools *pools, const PoolDiagPoolDef *defs, int ndefs)
{
	for (int i = model->count - 1; i >= 0; i--)
	{
		bool stays = !model->pools[i].declared;

		for (int d = 0; d < ndefs; d++)
			stays = stays || strcmp(defs[d].name, model->pools[i].name) == 0;
		if (!stays)
			model_remove(model, &model->pools[i]);
	}
	for (int d = 0; d < ndefs; d++)
	{
		int index = find(pools, defs[d].name);
		ModelPool *old = model_find(model, defs[d].name);

		assert_int_not_equal(index, POOLDIAG_NO_POOL);
		if (old != NULL)
		{
			assert_int_equal(old->index, index);
			continue;
		}
		if (model->count == model->capacity)
		{
			if (model_longest_empty(model) >= 0)
				model_evict(model, index);
			else
			{
				ModelPool *victim = model_find_index(model, index);

				assert_non_null(victim);
				assert_false(victim->declared);
				for (int i = 0; i < model->count; i++)
					assert_true(model->pools[i].declared ||
								model->pools[i].connections >= victim->connections);
				model_remove(model, victim);
				model->evictions++;
			}
		}
		model_add(model, defs[d].name, true, index);
	}
	memcpy(model->defs, defs, sizeof(PoolDiagPoolDef) * (size_t) ndefs);
	model->ndefs = ndefs;
}

/* The directory has the model's pools, in sound lists, and nothing else. */
static void
assert_same(PoolDiagPools *pools, const Model *model)
{
	bool reached[ROWS] = {false};
	int index = pools->first_declared;
	int used = 0;

	assert_int_equal(pools->used, model->count);
	assert_int_equal(pools->declared, model->ndefs);
	assert_int_equal(pools->evictions, model->evictions);
	assert_int_equal(pools->overflows, model->overflows);
	for (int d = 0; d < model->ndefs; d++, index = pools->rows[index].next)
	{
		assert_in_range(index, 0, pools->capacity - 1);
		assert_string_equal(pools->rows[index].def.name, model->defs[d].name);
		assert_false(reached[index]);
		reached[index] = true;
	}
	assert_int_equal(index, POOLDIAG_NO_POOL);

	for (int chain = 0; chain < pools->capacity; chain++)
		for (index = pools->rows[chain].chain; index != POOLDIAG_NO_POOL;
			 index = pools->rows[index].next)
		{
			assert_in_range(index, 0, pools->capacity - 1);
			assert_true(pools->rows[index].used);
			assert_false(pools->rows[index].declared);
			assert_false(reached[index]);
			reached[index] = true;
		}
	for (int i = 0; i < pools->capacity; i++)
	{
		assert_int_equal(reached[i], pools->rows[i].used);
		used += pools->rows[i].used;
	}
	assert_int_equal(used, pools->used);

	for (int i = 0; i < model->count; i++)
	{
		const ModelPool *pool = &model->pools[i];
		const PoolDiagPool *row = &pools->rows[pool->index];
		char name[POOLDIAG_POOL_NAME_LEN];

		pooldiag_pools_name(pools, pool->index, name);
		assert_string_equal(name, pool->name);
		assert_int_equal(row->declared, pool->declared);
		assert_int_equal(row->tally.connections, pool->connections);
		assert_int_equal(row->before, pool->before);
	}
}

static void
random_tick(PoolDiagPools *pools, Model *model, Session *sessions, int64_t now)
{
	int order[SLOTS] = {0};
	int here = 0;
	int counted = 0;

	begin_tick(pools);
	for (int i = 0; i < model->count; i++)
	{
		model->pools[i].before = model->pools[i].connections;
		model->pools[i].connections = 0;
	}
	for (int i = 0; i < SLOTS; i++)
	{
		int j = below(i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (int i = 0; i < SLOTS; i++)
	{
		Session *session = &sessions[order[i]];

		if (!session->here)
			continue;
		here++;
		if (session->changed || session->generation != pools->generation ||
			(session->pool == pools->capacity && pooldiag_pools_has_room(pools)))
		{
			session->pool = pooldiag_pools_assign(pools, session->user, session->database,
												  session->application_name);
			session->generation = pools->generation;
			session->changed = false;
			model_assign(model, session, session->pool);
		}
		else if (session->pool < pools->capacity)
		{
			/* The row that a tick before found is still that pool's. */
			ModelPool *pool = model_find_index(model, session->pool);

			assert_non_null(pool);
			pool->connections++;
			if (!pool->declared)
			{
				assert_string_equal(pools->rows[session->pool].def.user, session->user);
				assert_string_equal(pools->rows[session->pool].def.database, session->database);
				assert_string_equal(pools->rows[session->pool].def.application_name,
									session->application_name);
			}
		}
		pools->rows[session->pool].tally.connections++;
	}
	end_tick(pools, now);
	for (int i = 0; i < model->count; i++)
		if (model->pools[i].connections > 0)
			model->pools[i].empty_since = 0;
		else if (model->pools[i].empty_since == 0)
			model->pools[i].empty_since = now;
	for (int i = 0; i <= pools->capacity; i++)
		counted += pools->rows[i].tally.connections;
	assert_int_equal(counted, here);
}

static void
random_configure(PoolDiagPools *pools, Model *model)
{
	static const char *const patterns[] = {"a", "?", "a*", "*b", "\"*", "", "c"};
	PoolDiagPoolDef defs[ROWS];
	int ndefs = below(model->capacity + 1);

	memset(defs, 0, sizeof(defs));
	for (int d = 0; d < ndefs; d++)
	{
		PoolDiagPoolDef *def = &defs[d];
		bool fresh;

		do
		{
			fresh = true;
			snprintf(def->name, sizeof(def->name), "pool-%d", below(2 * ROWS));
			for (int other = 0; other < d; other++)
				fresh = fresh && strcmp(defs[other].name, def->name) != 0;
		} while (!fresh);
		def->size = def->max_overflow = def->instances = POOLDIAG_UNSTATED;
		def->timeout_ms = def->recycle_ms = def->slow_ms = def->leak_ms = POOLDIAG_UNSTATED;
		/* All three more often than not, lest the first one match everybody. */
		def->has_user = below(4) > 0;
		def->has_database = below(4) > 0;
		def->has_application_name = below(4) > 0;
		strcpy(def->user, patterns[below(LENGTH(patterns))]);
		strcpy(def->database, patterns[below(LENGTH(patterns))]);
		strcpy(def->application_name, patterns[below(LENGTH(patterns))]);
	}
	pooldiag_pools_configure(pools, defs, ndefs, &defaults);
	model_configure(model, pools, defs, ndefs);
}

static void
random_session(Session *session)
{
	switch (session->here ? below(3) : 0)
	{
		case 0:
			session->here = true;
			random_name(session->user);
			random_name(session->database);
			random_name(session->application_name);
			break;
		case 1:
			random_name(session->application_name);
			break;
		case 2:
			session->here = false;
			break;
	}
	session->changed = true;
}

static void
test_random_histories(void **state)
{
	static const int capacities[] = {1, 2, 3, 5, ROWS};
	int64_t now = 1;

	(void) state;
	for (int c = 0; c < LENGTH(capacities); c++)
	{
		PoolDiagPools *pools = make(capacities[c]);
		Model model = {.capacity = capacities[c]};
		Session sessions[SLOTS] = {{.here = false}};

		configure(pools, "");
		for (int i = 0; i < OPERATIONS / LENGTH(capacities); i++)
		{
			int what = below(100);

			if (what < 2)
				random_configure(pools, &model);
			else if (what < 40)
				random_tick(pools, &model, sessions, now++);
			else
				random_session(&sessions[below(what < 70 ? SLOTS : 4)]);
			assert_same(pools, &model);
		}
		/* The histories went where they were to go. */
		assert_true(model.overflows > 1000);
		assert_true(model.evictions > 100);
		free(pools);
	}
}

/* What a server that stops leaves behind, in a directory with other room. */
static void
rows_are_taken_over(void **state)
{
	PoolDiagPools *before = make(4);
	PoolDiagPools *after = make(4);
	PoolDiagPools *smaller = make(2);
	int web;
	int one;
	int two;

	(void) state;
	configure(before, "web(application_name=web)");
	web = pooldiag_pools_assign(before, "u", "d", "web");
	one = pooldiag_pools_assign(before, "u", "d", "one");
	two = pooldiag_pools_assign(before, "u", "d", "two");
	before->rows[one].tally.connections = 3;
	before->rows[one].empty_since = 7;
	pooldiag_peak_raise(&before->rows[one].connections_peak, 9, 5);
	pooldiag_peak_raise(&before->rows[before->capacity].connections_peak, 4, 5);

	/* Each where it was, with its peak and without its connections. */
	assert_true(pooldiag_pools_adopt(after, -1, &before->rows[before->capacity]));
	assert_true(pooldiag_pools_adopt(after, web, &before->rows[web]));
	assert_true(pooldiag_pools_adopt(after, two, &before->rows[two]));
	assert_true(pooldiag_pools_adopt(after, one, &before->rows[one]));
	assert_int_equal(after->used, 3);
	assert_int_equal(after->rows[after->capacity].connections_peak.value, 4);
	assert_int_equal(after->rows[one].connections_peak.value, 9);
	assert_int_equal(after->rows[one].tally.connections, 0);
	assert_int_equal(after->rows[one].empty_since, 7);
	configure(after, "web(application_name=web)");
	assert_int_equal(pooldiag_pools_assign(after, "u", "d", "web"), web);
	assert_int_equal(pooldiag_pools_assign(after, "u", "d", "one"), one);
	assert_int_equal(pooldiag_pools_assign(after, "u", "d", "two"), two);
	/* What is no more declared goes, and its place with it. */
	configure(after, "");
	assert_int_equal(after->used, 2);
	assert_int_equal(pooldiag_pools_assign(after, "u", "d", "three"), web);

	/* Where there is less room, wherever that is, as long as it lasts. */
	assert_true(pooldiag_pools_adopt(smaller, 3, &before->rows[two]));
	assert_true(pooldiag_pools_adopt(smaller, 0, &before->rows[one]));
	assert_false(pooldiag_pools_adopt(smaller, 1, &before->rows[web]));
	configure(smaller, "");
	assert_int_equal(pooldiag_pools_assign(smaller, "u", "d", "two"), 0);
	assert_int_equal(pooldiag_pools_assign(smaller, "u", "d", "one"), 1);
	free(before);
	free(after);
	free(smaller);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_match_wins),
		cmocka_unit_test(test_empty_patterns),
		cmocka_unit_test(test_discovery),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_longest_name),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_longest_empty_is_evicted),
		cmocka_unit_test(test_declared_stays),
		cmocka_unit_test(test_new_definitions),
		cmocka_unit_test(test_new_defaults),
		cmocka_unit_test(test_declared_always_fit),
		cmocka_unit_test(test_one_row),
		cmocka_unit_test(test_random_histories),
		cmocka_unit_test(rows_are_taken_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
