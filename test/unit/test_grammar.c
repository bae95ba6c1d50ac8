/*
 * link: grammar.c scanner.c glob.c
 *
 * The grammar of pooldiag.pools and pooldiag.breakers: what it takes, each error with its position,
 * the canonical form, and globs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "glob.h"
#include "grammar.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define MAX_DEFS 8

#define A10 "aaaaaaaaaa"
#define A40 A10 A10 A10 A10
#define A63 A40 A10 A10 "aaa"
#define EURO "\xE2\x82\xAC" /* 3 bytes */
#define EURO7 EURO EURO EURO EURO EURO EURO EURO
#define EURO13 EURO7 EURO EURO EURO EURO EURO EURO
#define EURO21 EURO7 EURO7 EURO7

#define POOL_KEYS                                                                                \
	"a key (application_name, user, database, size, max_overflow, instances, timeout, recycle, " \
	"slow, leak)"
#define BREAKER_KEYS "a key (limit, failures, reset, mode)"
#define BREAKERS                                                                        \
	"the name of a breaker (slots, refusals, slow_queries, leaks, lock_waits, errors, " \
	"operations, pool:NAME)"
#define COUNT_RANGE "a whole number from 1 to 262143"
#define TIME "a time with a unit (ms, s, min, h or d)"

typedef struct ErrorCase
{
	const char *text;
	int position;
	const char *message;
} ErrorCase;

typedef struct NumberCase
{
	const char *text;
	double value;
} NumberCase;

/* A small generator, so that every run sees the same texts. */
static uint32_t
next_random(void)
{
	static uint64_t state = 20240229;

	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t) (state >> 33);
}

static int
pools(const char *text, PoolDiagPoolDef *defs)
{
	PoolDiagParseError error = {0};
	int n = pooldiag_grammar_parse_pools(text, defs, MAX_DEFS, &error);

	if (n < 0)
		print_message("\"%s\": position %d: %s\n", text, error.position, error.message);
	return n;
}

static PoolDiagPoolDef
pool(const char *text)
{
	PoolDiagPoolDef defs[MAX_DEFS];

	assert_int_equal(pools(text, defs), 1);
	return defs[0];
}

static PoolDiagBreakerDef
breaker(const char *text)
{
	PoolDiagBreakerDef defs[MAX_DEFS];
	PoolDiagParseError error = {0};
	int n = pooldiag_grammar_parse_breakers(text, defs, MAX_DEFS, &error);

	if (n < 0)
		print_message("\"%s\": position %d: %s\n", text, error.position, error.message);
	assert_int_equal(n, 1);
	return defs[0];
}

/* Fails the test, showing both, unless the text is refused there with that message. */
static void
assert_refused(const ErrorCase *c, int n, const PoolDiagParseError *error)
{
	if (n != -1 || error->position != c->position || strcmp(error->message, c->message) != 0)
		fail_msg("\"%s\" gave %d, position %d: %s\nexpected -1, position %d: %s", c->text, n,
				 error->position, error->message, c->position, c->message);
}

static void
assert_pools_refused(const ErrorCase *cases, size_t n)
{
	PoolDiagPoolDef defs[MAX_DEFS];
	PoolDiagParseError error;

	for (size_t i = 0; i < n; i++)
	{
		error = (PoolDiagParseError){0};
		assert_refused(&cases[i],
					   pooldiag_grammar_parse_pools(cases[i].text, defs, MAX_DEFS, &error), &error);
	}
}

static void
assert_breakers_refused(const ErrorCase *cases, size_t n)
{
	PoolDiagBreakerDef defs[MAX_DEFS];
	PoolDiagParseError error;

	for (size_t i = 0; i < n; i++)
	{
		error = (PoolDiagParseError){0};
		assert_refused(&cases[i],
					   pooldiag_grammar_parse_breakers(cases[i].text, defs, MAX_DEFS, &error),
					   &error);
	}
}

static void
test_no_definitions(void **state)
{
	static const char *const texts[] = {"", " ", "\t\n  \n"};
	PoolDiagPoolDef defs[MAX_DEFS];
	PoolDiagBreakerDef breaker_defs[MAX_DEFS];
	PoolDiagParseError error;

	(void) state;
	for (size_t i = 0; i < LENGTH(texts); i++)
	{
		assert_int_equal(pools(texts[i], defs), 0);
		assert_int_equal(pooldiag_grammar_parse_breakers(texts[i], breaker_defs, MAX_DEFS, &error),
						 0);
	}
}

static void
test_every_key_of_a_pool(void **state)
{
	static const char text[] =
		" web ( application_name = web*,user=alice , database=\"my db\",\n\tsize=50,"
		"max_overflow=100, instances=2, timeout=30s, recycle=1h, slow=5s, leak=10s ) "
		", jobs(user=jobs, size=5)\n";
	PoolDiagPoolDef defs[MAX_DEFS];

	(void) state;
	assert_int_equal(pools(text, defs), 2);
	assert_string_equal(defs[0].name, "web");
	assert_true(defs[0].has_application_name);
	assert_string_equal(defs[0].application_name, "web*");
	assert_true(defs[0].has_user);
	assert_string_equal(defs[0].user, "alice");
	assert_true(defs[0].has_database);
	assert_string_equal(defs[0].database, "my db");
	assert_int_equal(defs[0].size, 50);
	assert_int_equal(defs[0].max_overflow, 100);
	assert_int_equal(defs[0].instances, 2);
	assert_int_equal(defs[0].timeout_ms, 30000);
	assert_int_equal(defs[0].recycle_ms, 3600000);
	assert_int_equal(defs[0].slow_ms, 5000);
	assert_int_equal(defs[0].leak_ms, 10000);

	assert_string_equal(defs[1].name, "jobs");
	assert_false(defs[1].has_application_name);
	assert_true(defs[1].has_user);
	assert_string_equal(defs[1].user, "jobs");
	assert_false(defs[1].has_database);
	assert_int_equal(defs[1].size, 5);
	assert_int_equal(defs[1].max_overflow, POOLDIAG_UNSTATED);
}

/* What an earlier call left in the array must not show. */
static void
test_nothing_stated(void **state)
{
	PoolDiagPoolDef defs[MAX_DEFS];
	PoolDiagBreakerDef breaker_defs[MAX_DEFS];
	PoolDiagParseError error;

	(void) state;
	memset(defs, 0x55, sizeof(defs));
	assert_int_equal(pools("web()", defs), 1);
	assert_string_equal(defs[0].name, "web");
	assert_string_equal(defs[0].application_name, "");
	assert_string_equal(defs[0].user, "");
	assert_string_equal(defs[0].database, "");
	assert_false(defs[0].has_application_name);
	assert_false(defs[0].has_user);
	assert_false(defs[0].has_database);
	assert_int_equal(defs[0].size, POOLDIAG_UNSTATED);
	assert_int_equal(defs[0].max_overflow, POOLDIAG_UNSTATED);
	assert_int_equal(defs[0].instances, POOLDIAG_UNSTATED);
	assert_true(defs[0].timeout_ms == POOLDIAG_UNSTATED);
	assert_true(defs[0].recycle_ms == POOLDIAG_UNSTATED);
	assert_true(defs[0].slow_ms == POOLDIAG_UNSTATED);
	assert_true(defs[0].leak_ms == POOLDIAG_UNSTATED);

	memset(breaker_defs, 0x55, sizeof(breaker_defs));
	assert_int_equal(pooldiag_grammar_parse_breakers(" slots ( ) ", breaker_defs, MAX_DEFS, &error),
					 1);
	assert_string_equal(breaker_defs[0].name, "slots");
	assert_true(breaker_defs[0].limit == POOLDIAG_UNSTATED);
	assert_int_equal(breaker_defs[0].failures, POOLDIAG_UNSTATED);
	assert_true(breaker_defs[0].reset_ms == POOLDIAG_UNSTATED);
	assert_int_equal(breaker_defs[0].mode, POOLDIAG_BREAKER_MODE_UNSTATED);
	assert_int_equal(breaker_defs[0].start, 1);
	assert_int_equal(breaker_defs[0].end, 10);
}

static void
test_names(void **state)
{
	static const struct
	{
		const char *text;
		const char *name;
	} cases[] = {
		{"web()", "web"},
		{"\"web\"()", "web"},
		{"web-1.2/x:y()", "web-1.2/x:y"},
		{"a/b@c()", "a/b@c"},
		{"a@b()", "a@b"},
		{"\"my app\"()", "my app"},
		{"\"a\"\"b\"()", "a\"b"},
		{"\"\"\"\"()", "\""},
		{"\"\"\"\"\"\"()", "\"\""},
		{"\"(),=\"()", "(),="},
		{"\"other\"()", "other"},
		{"\"(others)\"()", "(others)"},
		{"'web'()", "'web'"},
		{EURO "uro()", EURO "uro"},
		{"\xFF\x80()", "\xFF\x80"},
		{"\"\xFF \x80\"()", "\xFF \x80"},
		{A63 "()", A63},
		{"\"" A63 "\"()", A63},
		{EURO21 "()", EURO21},
		{"\"" A40 A10 A10 "aa\"\"\"()", A40 A10 A10 "aa\""},
	};

	(void) state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		assert_string_equal(pool(cases[i].text).name, cases[i].name);
}

static void
test_patterns(void **state)
{
	static const struct
	{
		const char *text;
		const char *pattern;
	} cases[] = {
		{"p(user=a*b?c)", "a*b?c"},
		{"p(user=\"\")", ""},
		{"p(user=\"*\")", "*"},
		{"p(user=\" a, b \")", " a, b "},
		{"p(user=\"say \"\"hi\"\"\")", "say \"hi\""},
		{"p(user=50%)", "50%"},
		{"p(user=a@b/c)", "a@b/c"},
		{"p(user=" A63 ")", A63},
		{"p(user=" EURO21 ")", EURO21},
	};

	(void) state;
	for (size_t i = 0; i < LENGTH(cases); i++)
	{
		PoolDiagPoolDef def = pool(cases[i].text);

		assert_true(def.has_user);
		assert_string_equal(def.user, cases[i].pattern);
		assert_false(def.has_application_name);
		assert_false(def.has_database);
	}
}

static void
test_span(void **state)
{
	static const char text[] = "  \"\xC3\xA9 1\" ( size = 5 ) , web()x";
	PoolDiagPoolDef defs[MAX_DEFS];
	char good[sizeof(text)];

	(void) state;
	snprintf(good, sizeof(good), "%.*s", (int) sizeof(text) - 2, text);
	assert_int_equal(pools(good, defs), 2);
	assert_memory_equal(good + defs[0].start, "\"\xC3\xA9 1\" ( size = 5 )", 19);
	assert_int_equal(defs[0].start, 2);
	assert_int_equal(defs[0].end - defs[0].start, 19);
	assert_memory_equal(good + defs[1].start, "web()", 5);
	assert_int_equal(defs[1].end - defs[1].start, 5);
}

static void
test_counts(void **state)
{
	static const NumberCase sizes[] = {
		{"p(size=1)", 1},			{"p(size=262143)", 262143}, {"p(size=\"50\")", 50},
		{"p(size=0000000050)", 50}, {"p(size=10)", 10},
	};

	(void) state;
	for (size_t i = 0; i < LENGTH(sizes); i++)
		assert_int_equal(pool(sizes[i].text).size, (int) sizes[i].value);
	assert_int_equal(pool("p(max_overflow=0)").max_overflow, 0);
	assert_int_equal(pool("p(max_overflow=262143)").max_overflow, 262143);
	assert_int_equal(pool("p(instances=1)").instances, 1);
	assert_int_equal(pool("p(instances=262143)").instances, 262143);
	assert_int_equal(breaker("slots(failures=1)").failures, 1);
	assert_int_equal(breaker("slots(failures=1000000)").failures, 1000000);
}

static void
test_times(void **state)
{
	static const NumberCase times[] = {
		{"1ms", 1},
		{"999ms", 999},
		{"0.001s", 1},
		{"1s", 1000},
		{"1.5s", 1500},
		{"1.500000000000000000000s", 1500},
		{"0.25min", 15000},
		{"1min", 60000},
		{"1h", 3600000},
		{"0.333h", 1198800},
		{"1d", 86400000},
		{"0.0009765625d", 84375},
		{"365d", 31536000000.0},
		{"31536000000ms", 31536000000.0},
		{"8760.000h", 31536000000.0},
		{"00000000000000000000001s", 1000},
	};
	static const char *const keys[] = {"timeout", "recycle", "slow", "leak"};

	(void) state;
	for (size_t i = 0; i < LENGTH(times); i++)
		for (size_t k = 0; k < LENGTH(keys); k++)
		{
			char text[100];
			PoolDiagPoolDef def;
			int64_t expected[LENGTH(keys)];

			for (size_t v = 0; v < LENGTH(keys); v++)
				expected[v] = v == k ? (int64_t) times[i].value : POOLDIAG_UNSTATED;
			snprintf(text, sizeof(text), "p(%s=%s)", keys[k], times[i].text);
			def = pool(text);
			assert_true(def.timeout_ms == expected[0]);
			assert_true(def.recycle_ms == expected[1]);
			assert_true(def.slow_ms == expected[2]);
			assert_true(def.leak_ms == expected[3]);
		}
	assert_true(breaker("slots(reset=1s)").reset_ms == 1000);
	assert_true(breaker("slots(reset=1d)").reset_ms == 86400000);
	assert_true(breaker("slots(reset=90s)").reset_ms == 90000);
}

static void
test_limits(void **state)
{
	static const NumberCase cases[] = {
		{"slots(limit=80)", 80},
		{"slots(limit=80%)", 80},
		{"slots(limit=\"80%\")", 80},
		{"slots(limit=66.7)", 66.7},
		{"slots(limit=0.1%)", 0.1},
		{"slots(limit=0.000001)", 0.000001},
		{"slots(limit=33.333333)", 33.333333},
		{"slots(limit=99.999999%)", 99.999999},
		{"slots(limit=100)", 100},
		{"slots(limit=100.000000000000000)", 100},
		{"errors(limit=100%)", 100},
		{"errors(limit=12.5%)", 12.5},
		{"pool:web(limit=1000%)", 1000},
		{"pool:web(limit=150.5)", 150.5},
		{"\"pool:my app\"(limit=95)", 95},
		{"refusals(limit=1)", 1},
		{"slow_queries(limit=1000000)", 1000000},
		{"leaks(limit=3)", 3},
		{"lock_waits(limit=12)", 12},
		{"operations(limit=2)", 2},
	};

	(void) state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		assert_true(breaker(cases[i].text).limit == cases[i].value);
}

static void
test_every_key_of_a_breaker(void **state)
{
	PoolDiagBreakerDef def = breaker("slots(limit=80, failures=5, reset=30s, mode=metrics_only)");

	(void) state;
	assert_string_equal(def.name, "slots");
	assert_true(def.limit == 80);
	assert_int_equal(def.failures, 5);
	assert_true(def.reset_ms == 30000);
	assert_int_equal(def.mode, POOLDIAG_BREAKER_MODE_METRICS_ONLY);
	assert_int_equal(breaker("slots(mode=normal)").mode, POOLDIAG_BREAKER_MODE_NORMAL);
}

static void
test_breaker_names(void **state)
{
	static const struct
	{
		const char *text;
		const char *name;
	} cases[] = {
		{"slots()", "slots"},
		{"refusals()", "refusals"},
		{"slow_queries()", "slow_queries"},
		{"leaks()", "leaks"},
		{"lock_waits()", "lock_waits"},
		{"errors()", "errors"},
		{"\"operations\"()", "operations"},
		{"pool:w()", "pool:w"},
		{"\"pool:my \"\"app\"\"\"()", "pool:my \"app\""},
		{"pool:" A63 "()", "pool:" A63},
		{"\"pool:" EURO21 "\"()", "pool:" EURO21},
	};
	PoolDiagBreakerDef defs[MAX_DEFS];
	PoolDiagParseError error;

	(void) state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		assert_string_equal(breaker(cases[i].text).name, cases[i].name);
	assert_int_equal(
		pooldiag_grammar_parse_breakers("pool:a(),slots(),pool:b()", defs, MAX_DEFS, &error), 3);
	assert_string_equal(defs[2].name, "pool:b");
}

static void
test_syntax_errors(void **state)
{
	static const ErrorCase cases[] = {
		{",", 1, "expected a name, found \",\""},
		{"()", 1, "expected a name, found \"(\""},
		{" =", 2, "expected a name, found \"=\""},
		{"web", 4, "expected \"(\" behind a name, found the end of the text"},
		{"web,jobs()", 4, "expected \"(\" behind a name, found \",\""},
		{"web jobs()", 5, "expected \"(\" behind a name, found \"jobs\""},
		{"my\"app\"()", 3, "expected \"(\" behind a name, found \"app\""},
		{"web(),", 7, "expected a name, found the end of the text"},
		{"web() , ", 9, "expected a name, found the end of the text"},
		{"web(),,jobs()", 7, "expected a name, found \",\""},
		{"web() jobs()", 7, "expected \",\" or the end of the text, found \"jobs\""},
		{"web())", 6, "expected \",\" or the end of the text, found \")\""},
		{"web();", 6, "expected \",\" or the end of the text, found \";\""},
		{"web(size 5)", 10, "expected \"=\" and a value, found \"5\""},
		{"web(size)", 9, "expected \"=\" and a value, found \")\""},
		{"web(size,user=a)", 9, "expected \"=\" and a value, found \",\""},
		{"web(size=)", 10, "expected a value, found \")\""},
		{"web(user=)", 10, "expected a value, found \")\""},
		{"web(user=,size=5)", 10, "expected a value, found \",\""},
		{"web(size==5)", 10, "expected a value, found \"=\""},
		{"web(size=5 user=a)", 12, "expected \",\" or \")\", found \"user\""},
		{"web(user=a\"b\")", 11, "expected \",\" or \")\", found \"b\""},
		{"web(size=5(", 11, "expected \",\" or \")\", found \"(\""},
		{"web(size=5,)", 12, "expected " POOL_KEYS ", found \")\""},
		{"web(,)", 5, "expected " POOL_KEYS ", found \",\""},
		{"web(=5)", 5, "expected " POOL_KEYS ", found \"=\""},
		/* parentheses and quotes that are not closed */
		{"web(", 5,
		 "expected " POOL_KEYS
		 ", found the end of the text: the parenthesis of \"web\" is not closed"},
		{"web(size", 9,
		 "expected \"=\" and a value, found the end of the text: the parenthesis of \"web\" is "
		 "not closed"},
		{"web(size=", 10,
		 "expected a value, found the end of the text: the parenthesis of \"web\" is not closed"},
		{"a(), web(size=5 ", 17,
		 "expected \",\" or \")\", found the end of the text: the parenthesis of \"web\" is not "
		 "closed"},
		{"\"" EURO " \"\"1\"(size=5", 15,
		 "expected \",\" or \")\", found the end of the text: the parenthesis of \"" EURO
		 " \"\"1\" is not closed"},
		{"\"web", 1, "expected a name, found a quote that is not closed"},
		{"\"", 1, "expected a name, found a quote that is not closed"},
		{"\"web\"\"", 1, "expected a name, found a quote that is not closed"},
		{"web(user=\"a)", 10, "expected a value, found a quote that is not closed"},
		{"web(user=a) \"", 13,
		 "expected \",\" or the end of the text, found a quote that is not closed"},
		/* control characters */
		{"\r", 1, "expected a name, found the control character 0x0D"},
		{"we\x01"
		 "b()",
		 3, "expected \"(\" behind a name, found the control character 0x01"},
		{"web(\x7F)", 5, "expected " POOL_KEYS ", found the control character 0x7F"},
		{"\"a\nb\"()", 3, "expected a name, found the control character 0x0A"},
		{"\"a\tb\"()", 3, "expected a name, found the control character 0x09"},
		{"web(user=\"a\x1F\")", 12, "expected a value, found the control character 0x1F"},
		/* positions are in characters, broken ones in bytes that don't continue one */
		{EURO "() x", 5, "expected \",\" or the end of the text, found \"x\""},
		{"\xC3\xA9\xF0\x9F\x98\x80(size=0)", 9, "expected " COUNT_RANGE ", found \"0\""},
		{"\xFF\xC3() x", 6, "expected \",\" or the end of the text, found \"x\""},
		{"\xC2\xA0web", 5, "expected \"(\" behind a name, found the end of the text"},
	};

	(void) state;
	assert_pools_refused(cases, LENGTH(cases));
}

static void
test_name_errors(void **state)
{
	static const ErrorCase cases[] = {
		{"\"\"()", 1, "expected a name that is not empty, found \"\""},
		{A63 "a()", 1, "expected a name of at most 63 bytes (not 64), found \"" A40 "...\""},
		{"\"" A63 "\"\"\"()", 1,
		 "expected a name of at most 63 bytes (not 64), found \"" A40 "...\""},
		{"a(), " EURO21 EURO "()", 6,
		 "expected a name of at most 63 bytes (not 66), found \"" EURO13 "...\""},
		{"\"(other)\"()", 1, "expected a name that is not reserved, found \"(other)\""},
		{"a@b/c()", 1,
		 "expected a name unlike a discovered pool's, which has a / behind an @, found "
		 "\"a@b/c\""},
		{"@/()", 1,
		 "expected a name unlike a discovered pool's, which has a / behind an @, found \"@/\""},
		{"x(), \"a/b@c /\"()", 6,
		 "expected a name unlike a discovered pool's, which has a / behind an @, found "
		 "\"a/b@c /\""},
		{"jobs(), web(), web()", 16,
		 "expected a name that no definition before it has, found \"web\""},
		{"web(),\"web\"(size=1)", 7,
		 "expected a name that no definition before it has, found \"web\""},
		{"a(),b(),c(),d(),e(),f(),g(),h(),i()", 33, "expected at most 8 definitions, found \"i\""},
	};
	PoolDiagPoolDef defs[MAX_DEFS];

	(void) state;
	assert_pools_refused(cases, LENGTH(cases));
	assert_int_equal(pools("web(),Web(),webs(),we()", defs), 4);
	assert_int_equal(pools("a(),b(),c(),d(),e(),f(),g(),h()", defs), 8);
}

static void
test_key_errors(void **state)
{
	static const ErrorCase cases[] = {
		{"web(nam=x)", 5, "expected " POOL_KEYS ", found \"nam\""},
		{"web(Size=5)", 5, "expected " POOL_KEYS ", found \"Size\""},
		{"web(siz=5)", 5, "expected " POOL_KEYS ", found \"siz\""},
		{"web(sizes=5)", 5, "expected " POOL_KEYS ", found \"sizes\""},
		{"web(\"\"=5)", 5, "expected " POOL_KEYS ", found \"\""},
		{"web(limit=5)", 5, "expected " POOL_KEYS ", found \"limit\""},
		{"web(" A63 "=1)", 5, "expected " POOL_KEYS ", found \"" A40 "...\""},
		{"web(user=a, size=1, user=a)", 21,
		 "expected a key that this definition has not stated yet, found \"user\""},
		{"web(leak=1s,leak=1s)", 13,
		 "expected a key that this definition has not stated yet, found \"leak\""},
		{"a(user=x),b(application_name=" A63 "b)", 30,
		 "expected a pattern of at most 63 bytes (not 64), found \"" A40 "...\""},
		{"a(database=\"" EURO21 "b\")", 12,
		 "expected a pattern of at most 63 bytes (not 64), found \"" EURO13 "...\""},
	};

	(void) state;
	assert_pools_refused(cases, LENGTH(cases));
}

static void
test_count_errors(void **state)
{
	static const ErrorCase cases[] = {
		{"p(size=0)", 8, "expected " COUNT_RANGE ", found \"0\""},
		{"p(size=262144)", 8, "expected " COUNT_RANGE ", found \"262144\""},
		{"p(size=-1)", 8, "expected " COUNT_RANGE ", found \"-1\""},
		{"p(size=99999999999999999999999999)", 8,
		 "expected " COUNT_RANGE ", found \"99999999999999999999999999\""},
		{"p(size=4294967297)", 8, "expected " COUNT_RANGE ", found \"4294967297\""},
		{"p(max_overflow=-1)", 16, "expected a whole number from 0 to 262143, found \"-1\""},
		{"p(max_overflow=262144)", 16,
		 "expected a whole number from 0 to 262143, found \"262144\""},
		{"p(instances=0)", 13, "expected " COUNT_RANGE ", found \"0\""},
		{"p(instances=262144)", 13, "expected " COUNT_RANGE ", found \"262144\""},
		{"p(size=ten)", 8, "expected a whole number, found \"ten\""},
		{"p(size=\"\")", 8, "expected a whole number, found \"\""},
		{"p(size=-)", 8, "expected a whole number, found \"-\""},
		{"p(size=+5)", 8, "expected a whole number, found \"+5\""},
		{"p(size=\" 5\")", 8, "expected a whole number, found \" 5\""},
		{"p(size=\"5 \")", 8, "expected a whole number, found \"5 \""},
		{"p(size=5%)", 8, "expected a whole number, found \"5%\""},
		{"p(size=5s)", 8, "expected a whole number, found \"5s\""},
		{"p(size=0x10)", 8, "expected a whole number, found \"0x10\""},
		{"p(size=1e2)", 8, "expected a whole number, found \"1e2\""},
		{"p(size=1.5)", 8, "expected a whole number, found \"1.5\""},
		{"p(size=1.0)", 8, "expected a whole number, found \"1.0\""},
		{"p(size=1.00000000001)", 8, "expected a whole number, found \"1.00000000001\""},
		{"p(size=1.)", 8, "expected a whole number, found \"1.\""},
		{"p(size=.5)", 8, "expected a whole number, found \".5\""},
		{"p(size=\xD9\xA1)", 8, "expected a whole number, found \"\xD9\xA1\""},
		/* the value that takes the capacity past an int */
		{"p(instances=131072, size=16384)", 26,
		 "expected instances * (size + max_overflow) of at most 2147483647, found \"16384\""},
		{"p(instances=262143, size=8193)", 26,
		 "expected instances * (size + max_overflow) of at most 2147483647, found \"8193\""},
		{"p(size=8000, max_overflow=193, instances=262143)", 42,
		 "expected instances * (size + max_overflow) of at most 2147483647, found \"262143\""},
		{"p(instances=262143, max_overflow=262143)", 34,
		 "expected instances * (size + max_overflow) of at most 2147483647, found \"262143\""},
	};

	(void) state;
	assert_pools_refused(cases, LENGTH(cases));
	assert_int_equal(pool("p(instances=49981, size=42966)").size, 42966); /* one below */
	assert_int_equal(pool("p(instances=262143, size=8192)").size, 8192);
	assert_int_equal(pool("p(size=8000, max_overflow=192, instances=262143)").size, 8000);
	assert_int_equal(pool("p(instances=1, size=262143, max_overflow=262143)").size, 262143);
}

static void
test_time_errors(void **state)
{
	static const ErrorCase cases[] = {
		{"p(slow=30)", 8, "expected " TIME ", found \"30\""},
		{"p(slow=30m)", 8, "expected " TIME ", found \"30m\""},
		{"p(slow=30us)", 8, "expected " TIME ", found \"30us\""},
		{"p(slow=30S)", 8, "expected " TIME ", found \"30S\""},
		{"p(slow=30sec)", 8, "expected " TIME ", found \"30sec\""},
		{"p(slow=s)", 8, "expected " TIME ", found \"s\""},
		{"p(slow=\"30 s\")", 8, "expected " TIME ", found \"30 s\""},
		{"p(slow=\"\")", 8, "expected " TIME ", found \"\""},
		{"p(slow=1.s)", 8, "expected " TIME ", found \"1.s\""},
		{"p(slow=1.5.5s)", 8, "expected " TIME ", found \"1.5.5s\""},
		{"p(slow=30 s)", 8, "expected " TIME ", found \"30\""},
		{"p(slow=1.5ms)", 8, "expected a time in whole milliseconds, found \"1.5ms\""},
		{"p(slow=0.0001s)", 8, "expected a time in whole milliseconds, found \"0.0001s\""},
		{"p(slow=0.00048828125d)", 8,
		 "expected a time in whole milliseconds, found \"0.00048828125d\""},
		{"p(slow=364.9999999d)", 8,
		 "expected a time in whole milliseconds, found \"364.9999999d\""},
		{"p(slow=0s)", 8, "expected " TIME " from 1ms to 365d, found \"0s\""},
		{"p(timeout=0ms)", 11, "expected " TIME " from 1ms to 365d, found \"0ms\""},
		{"p(recycle=0.0h)", 11, "expected " TIME " from 1ms to 365d, found \"0.0h\""},
		{"p(leak=-1s)", 8, "expected " TIME " from 1ms to 365d, found \"-1s\""},
		{"p(leak=366d)", 8, "expected " TIME " from 1ms to 365d, found \"366d\""},
		{"p(leak=31536000001ms)", 8, "expected " TIME " from 1ms to 365d, found \"31536000001ms\""},
		{"p(leak=99999999999999999999d)", 8,
		 "expected " TIME " from 1ms to 365d, found \"99999999999999999999d\""},
		{"p(leak=213503982334.7h)", 8,
		 "expected " TIME " from 1ms to 365d, found \"213503982334.7h\""},
	};
	static const ErrorCase resets[] = {
		{"slots(reset=999ms)", 13, "expected " TIME " from 1s to 1d, found \"999ms\""},
		{"slots(reset=86400001ms)", 13, "expected " TIME " from 1s to 1d, found \"86400001ms\""},
		{"slots(reset=60)", 13, "expected " TIME ", found \"60\""},
	};

	(void) state;
	assert_pools_refused(cases, LENGTH(cases));
	assert_breakers_refused(resets, LENGTH(resets));
}

static void
test_breaker_errors(void **state)
{
	static const ErrorCase cases[] = {
		{"slot()", 1, "expected " BREAKERS ", found \"slot\""},
		{"Slots()", 1, "expected " BREAKERS ", found \"Slots\""},
		{"pool()", 1, "expected " BREAKERS ", found \"pool\""},
		{"\"\"()", 1, "expected " BREAKERS ", found \"\""},
		{"\"slots \"()", 1, "expected " BREAKERS ", found \"slots \""},
		{A63 A63 "()", 1, "expected " BREAKERS ", found \"" A40 "...\""},
		{"slots(),pool:()", 9,
		 "expected a pool's name in it, as in pool:web or \"pool:my app\", found \"pool:\""},
		{"pool:\"my app\"()", 1,
		 "expected a pool's name in it, as in pool:web or \"pool:my app\", found \"pool:\""},
		{"pool:" A63 "a()", 1,
		 "expected a name of at most 68 bytes (not 69), found \"pool:" A10 A10 A10 "aaaaa...\""},
		{"\"pool:(other)\"()", 1, "expected a name that is not reserved, found \"pool:(other)\""},
		{"pool:u@d/a()", 1,
		 "expected a name unlike a discovered pool's, which has a / behind an @, found "
		 "\"pool:u@d/a\""},
		{"slots(), slots()", 10,
		 "expected a name that no definition before it has, found \"slots\""},
		{"pool:a(), \"pool:a\"()", 11,
		 "expected a name that no definition before it has, found \"pool:a\""},
		{"pool:a(),pool:b(),pool:c(),pool:d(),slots(),leaks(),errors(),refusals(),operations()", 73,
		 "expected at most 8 definitions, found \"operations\""},
		{"slots(size=5)", 7, "expected " BREAKER_KEYS ", found \"size\""},
		{"slots(limit=1,limit=1)", 15,
		 "expected a key that this definition has not stated yet, found \"limit\""},
		{"slots(mode=Normal)", 12, "expected normal or metrics_only, found \"Normal\""},
		{"slots(mode=metrics)", 12, "expected normal or metrics_only, found \"metrics\""},
		{"slots(mode=\"\")", 12, "expected normal or metrics_only, found \"\""},
		{"slots(mode)", 11, "expected \"=\" and a value, found \")\""},
		{"slots(failures=0)", 16, "expected a whole number from 1 to 1000000, found \"0\""},
		{"slots(failures=1000001)", 16,
		 "expected a whole number from 1 to 1000000, found \"1000001\""},
		{"slots(limit=0)", 13, "expected a percentage above 0 and up to 100, found \"0\""},
		{"slots(limit=0.0%)", 13, "expected a percentage above 0 and up to 100, found \"0.0%\""},
		{"slots(limit=-5%)", 13, "expected a percentage above 0 and up to 100, found \"-5%\""},
		{"slots(limit=100.000001)", 13,
		 "expected a percentage above 0 and up to 100, found \"100.000001\""},
		{"slots(limit=101%)", 13, "expected a percentage above 0 and up to 100, found \"101%\""},
		{"errors(limit=101)", 14, "expected a percentage above 0 and up to 100, found \"101\""},
		{"pool:a(limit=0)", 14, "expected a percentage above 0 and up to 1000, found \"0\""},
		{"pool:a(limit=1000.000001)", 14,
		 "expected a percentage above 0 and up to 1000, found \"1000.000001\""},
		{"pool:a(limit=1000.1)", 14,
		 "expected a percentage above 0 and up to 1000, found \"1000.1\""},
		{"slots(limit=99999999999999999999)", 13,
		 "expected a percentage above 0 and up to 100, found \"99999999999999999999\""},
		{"slots(limit=many)", 13, "expected a percentage, found \"many\""},
		{"slots(limit=5%%)", 13, "expected a percentage, found \"5%%\""},
		{"slots(limit=5s)", 13, "expected a percentage, found \"5s\""},
		{"slots(limit=%)", 13, "expected a percentage, found \"%\""},
		{"slots(limit=0.0000001)", 13, "expected at most 6 decimals, found \"0.0000001\""},
		{"slots(limit=1.00000000000001)", 13,
		 "expected at most 6 decimals, found \"1.00000000000001\""},
		{"leaks(limit=5%)", 13, "expected a whole number, found \"5%\""},
		{"refusals(limit=0)", 16, "expected a whole number from 1 to 1000000, found \"0\""},
		{"slow_queries(limit=1.5)", 20, "expected a whole number, found \"1.5\""},
		{"lock_waits(limit=1000001)", 18,
		 "expected a whole number from 1 to 1000000, found \"1000001\""},
		{"operations(limit=0)", 18, "expected a whole number from 1 to 1000000, found \"0\""},
	};

	(void) state;
	assert_breakers_refused(cases, LENGTH(cases));
}

/* The bound is what callers allocate by: it must hold for the densest of texts. */
static void
test_count_upper(void **state)
{
	static const char *const texts[] = {"", "a()", "a(),b()", "a( ), \"((\"() ,c()", "((("};
	static const int bounds[] = {1, 2, 3, 6, 4};

	(void) state;
	for (size_t i = 0; i < LENGTH(texts); i++)
	{
		int bound = pooldiag_grammar_count_upper(texts[i]);
		PoolDiagPoolDef *defs = malloc((size_t) bound * sizeof(*defs));
		PoolDiagParseError error;

		assert_int_equal(bound, bounds[i]);
		assert_true(pooldiag_grammar_parse_pools(texts[i], defs, bound, &error) < bound);
		free(defs);
	}
}

static void
test_no_room(void **state)
{
	PoolDiagPoolDef def;
	PoolDiagParseError error;

	(void) state;
	assert_int_equal(pooldiag_grammar_parse_pools("", &def, 0, &error), 0);
	assert_int_equal(pooldiag_grammar_parse_pools(" a()", &def, 0, &error), -1);
	assert_int_equal(error.position, 2);
	assert_string_equal(error.message, "expected at most 0 definitions, found \"a\"");
}

static void
test_format(void **state)
{
	static const struct
	{
		const char *text;
		const char *canonical;
	} cases[] = {
		{" web ( ) ", "web()"},
		{"\"web\"(size=005)", "web(size=5)"},
		{"p(leak=1000ms,slow=90s,recycle=120min,timeout=48h,instances=1,max_overflow=0,size=1,"
		 "database=d,user=u,application_name=a)",
		 "p(application_name=a, user=u, database=d, size=1, max_overflow=0, instances=1, "
		 "timeout=2d, recycle=2h, slow=90s, leak=1s)"},
		{"p(slow=1ms,leak=1001ms)", "p(slow=1ms, leak=1001ms)"},
		{"p(slow=60s,leak=1.5d)", "p(slow=1min, leak=36h)"},
		{"\"a b\"(user=\"\")", "\"a b\"(user=\"\")"},
		{"\"a\"\"b\"(user=\"x*?\")", "\"a\"\"b\"(user=x*?)"},
		{"\"(\"(user=\",\",database=\"=\",application_name=\")\")",
		 "\"(\"(application_name=\")\", user=\",\", database=\"=\")"},
		{EURO "(user=\"\xFF\")", EURO "(user=\xFF)"},
	};
	PoolDiagPoolDef def;
	char out[1000];

	(void) state;
	for (size_t i = 0; i < LENGTH(cases); i++)
	{
		def = pool(cases[i].text);
		assert_int_equal(pooldiag_grammar_format_pool(&def, out, sizeof(out)),
						 (int) strlen(cases[i].canonical));
		assert_string_equal(out, cases[i].canonical);
	}
}

/* Like snprintf: no byte behind the end, the terminator kept, the whole length returned. */
static void
test_format_in_little_room(void **state)
{
	static const char canonical[] = "\"a b\"(size=5, slow=1min)";
	PoolDiagPoolDef def = pool(canonical);
	int len = (int) strlen(canonical);

	(void) state;
	assert_int_equal(pooldiag_grammar_format_pool(&def, NULL, 0), len);
	for (int size = 1; size <= len + 1; size++)
	{
		char out[sizeof(canonical) + 1];

		memset(out, '#', sizeof(out));
		assert_int_equal(pooldiag_grammar_format_pool(&def, out, size), len);
		assert_int_equal(out[size - 1], '\0');
		assert_int_equal(out[size], '#');
		assert_memory_equal(out, canonical, (size_t) size - 1);
	}
}

/* A word of min..63 bytes, of characters that are awkward more often than not. */
static void
random_word(char *out, int min)
{
	static const char *const parts[] = {
		"a", "Z", "0", "*",		   "?",	 "\"",	 "\"\"", " ",
		"(", ")", ",", "=",		   ".",	 "-",	 "\\",	 "'",
		":", "%", "@", "\xC3\xA9", EURO, "\xFF", "\x80", "\xF0\x9F\x98\x80"};
	int len = 0;
	int wanted = min + (int) (next_random() % 8 == 0 ? next_random() % 64 : next_random() % 8);

	while (len < wanted)
	{
		const char *part = parts[next_random() % LENGTH(parts)];

		if (len + strlen(part) >= POOLDIAG_NAME_LEN)
			break;
		memcpy(out + len, part, strlen(part));
		len += (int) strlen(part);
	}
	out[len] = '\0';
}

static int64_t
random_time(void)
{
	static const int64_t units[] = {1, 1000, 60000, 3600000, 86400000};
	int64_t unit = units[next_random() % LENGTH(units)];

	return unit * (1 + (int64_t) (next_random() % (uint64_t) (POOLDIAG_MAX_MS / unit)));
}

static bool
one_in_two(void)
{
	return next_random() % 2 == 0;
}

static void
random_pool(PoolDiagPoolDef *def)
{
	memset(def, 0, sizeof(*def));
	random_word(def->name, 1);
	def->has_application_name = one_in_two();
	if (def->has_application_name)
		random_word(def->application_name, 0);
	def->has_user = one_in_two();
	if (def->has_user)
		random_word(def->user, 0);
	def->has_database = one_in_two();
	if (def->has_database)
		random_word(def->database, 0);
	def->size = one_in_two() ? 1 + (int) (next_random() % 8000) : POOLDIAG_UNSTATED;
	def->max_overflow = one_in_two() ? (int) (next_random() % 190) : POOLDIAG_UNSTATED;
	def->instances =
		one_in_two() ? 1 + (int) (next_random() % POOLDIAG_MAX_COUNT) : POOLDIAG_UNSTATED;
	def->timeout_ms = one_in_two() ? random_time() : POOLDIAG_UNSTATED;
	def->recycle_ms = one_in_two() ? random_time() : POOLDIAG_UNSTATED;
	def->slow_ms = one_in_two() ? random_time() : POOLDIAG_UNSTATED;
	def->leak_ms = one_in_two() ? random_time() : POOLDIAG_UNSTATED;
}

static void
assert_same_pool(const PoolDiagPoolDef *a, const PoolDiagPoolDef *b)
{
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->has_application_name, b->has_application_name);
	assert_string_equal(a->application_name, b->application_name);
	assert_int_equal(a->has_user, b->has_user);
	assert_string_equal(a->user, b->user);
	assert_int_equal(a->has_database, b->has_database);
	assert_string_equal(a->database, b->database);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->max_overflow, b->max_overflow);
	assert_int_equal(a->instances, b->instances);
	assert_true(a->timeout_ms == b->timeout_ms);
	assert_true(a->recycle_ms == b->recycle_ms);
	assert_true(a->slow_ms == b->slow_ms);
	assert_true(a->leak_ms == b->leak_ms);
}

static void
test_format_round_trip(void **state)
{
	(void) state;
	for (int i = 0; i < 1000; i++)
	{
		PoolDiagPoolDef def;
		PoolDiagPoolDef again;
		char text[1000];
		char canonical[1000];
		int len;

		random_pool(&def);
		len = pooldiag_grammar_format_pool(&def, text, sizeof(text));
		assert_in_range(len, 1, sizeof(text) - 1);
		again = pool(text);
		assert_same_pool(&again, &def);
		assert_int_equal(again.start, 0);
		assert_int_equal(again.end, len);
		pooldiag_grammar_format_pool(&again, canonical, sizeof(canonical));
		assert_string_equal(canonical, text);
	}
}

/* Random texts, made of what the grammar knows and of plain bytes: a verdict, within bounds. */
static void
test_random_texts(void **state)
{
	static const char *const parts[] = {
		"web",	"pool:a", "slots",			"(",		  ")", ",",	 "=",	"\"",  " ",	  "size",
		"user", "slow",	  "limit",			"mode",		  "5", "5s", "0.1", "50%", "max", "\n",
		"\"\"", "a()",	  "slots(limit=5)", "web(size=5",
	};
	PoolDiagPoolDef pool_defs[MAX_DEFS];
	PoolDiagBreakerDef breaker_defs[MAX_DEFS];
	PoolDiagParseError error;
	int parsed = 0;

	(void) state;
	for (int i = 0; i < 20000; i++)
	{
		char text[200] = "";
		size_t len = 0;
		int n[2];

		for (uint32_t left = next_random() % 16; left > 0; left--)
		{
			const char *part = parts[next_random() % LENGTH(parts)];

			if (next_random() % 16 == 0)
				text[len++] = (char) (1 + next_random() % 255);
			memcpy(text + len, part, strlen(part));
			len += strlen(part);
			assert_true(len < sizeof(text) - 20);
			if (len > sizeof(text) - 50)
				break;
		}
		text[len] = '\0';
		for (int which = 0; which < 2; which++)
		{
			memset(&error, 0xAA, sizeof(error));
			n[which] = which == 0
						   ? pooldiag_grammar_parse_pools(text, pool_defs, MAX_DEFS, &error)
						   : pooldiag_grammar_parse_breakers(text, breaker_defs, MAX_DEFS, &error);
			assert_in_range(n[which] + 1, 0, MAX_DEFS + 1);
			parsed += n[which] > 0;
			if (n[which] >= 0)
				continue;
			assert_in_range(error.position, 1, len + 1);
			assert_non_null(memchr(error.message, '\0', sizeof(error.message) - 1));
			assert_memory_equal(error.message, "expected ", 9);
			assert_non_null(strstr(error.message, ", found "));
		}
	}
	assert_true(parsed > 100);
}

static void
test_glob(void **state)
{
	static const struct
	{
		const char *pattern;
		const char *text;
		bool matches;
	} cases[] = {
		{"", "", true},
		{"", "a", false},
		{"a", "", false},
		{"a", "a", true},
		{"a", "A", false},
		{"ab", "a", false},
		{"a", "ab", false},
		{"*", "", true},
		{"*", "anything at all", true},
		{"**", "", true},
		{"***", "x", true},
		{"?", "", false},
		{"?", "x", true},
		{"?", "xy", false},
		{"web*", "web", true},
		{"web*", "webs", true},
		{"web*", "we", false},
		{"web*", " web", false},
		{"*web", "my web", true},
		{"*web", "web2", false},
		{"w*b", "wb", true},
		{"w*b", "wxb", true},
		{"w*b", "wbx", false},
		{"w*b", "wbxb", true},
		{"*a*b*", "xxaxxbxx", true},
		{"*a*b*", "xxbxxaxx", false},
		{"*ab*ab", "abab", true},
		{"*ab*ab", "ab", false},
		{"*aab", "aaaab", true},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"?*", "", false},
		{"?*", "a", true},
		{"*?", "a", true},
		{"*??", "a", false},
		{"a*?", "a", false},
		{"a*?", "ab", true},
		{"?*?b", "aab", true},
		/* nothing else is special */
		{"[a]", "a", false},
		{"[a]", "[a]", true},
		{"a.c", "abc", false},
		{"\\*", "\\x", true},
		{"\\?", "?", false},
		{"{a,b}", "a", false},
		{"%", "x", false},
		{"_", "x", false},
		{"*", "*", true},
		/* characters of several bytes */
		{"?", "\xC3\xA9", true},
		{"?", EURO, true},
		{"?", "\xF0\x9F\x98\x80", true},
		{"??", EURO, false},
		{"???", EURO, false},
		{"caf?", "caf\xC3\xA9", true},
		{"*??", "\xC3\xA9", false},
		{"*??", "\xC3\xA9x", true},
		{"*?x", "\xC3\xA9x", true},
		{"?*?x", "\xC3\xA9x", false},
		{"*" EURO, EURO EURO, true},
		{EURO "?" EURO, EURO EURO, false},
		{"*??x*", EURO "xzz", false},
		/* bytes that are no character count one by one */
		{"?", "\xFF", true},
		{"?", "\x80", true},
		{"?", "\xC3", true},
		{"??", "\xC3x", true},
		{"?", "\xC3x", false},
		{"??", "\xE2\x82", true},
		{"?", "\xE2\x82", false},
		{"???", "\xF0\x9F\x98", true},
		{"??", "\xC0\x80", true},
		{"????", "\xF5\x80\x80\x80", true},
		{"\xFF*", "\xFF\xFE", true},
	};

	(void) state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		if (pooldiag_glob_match(cases[i].pattern, cases[i].text) != cases[i].matches)
			fail_msg("\"%s\" and \"%s\": expected %s match", cases[i].pattern, cases[i].text,
					 cases[i].matches ? "a" : "no");
}

/* What a glob means, by its definition: exponential, of no use but here. */
static bool
slow_match(const char *pattern, const char *text)
{
	if (*pattern == '\0')
		return *text == '\0';
	if (*pattern == '*')
		return slow_match(pattern + 1, text) || (*text != '\0' && slow_match(pattern, text + 1));
	return *text != '\0' && (*pattern == '?' || *pattern == *text) &&
		   slow_match(pattern + 1, text + 1);
}

static void
test_glob_by_definition(void **state)
{
	int matches = 0;

	(void) state;
	for (int i = 0; i < 50000; i++)
	{
		char pattern[9] = "";
		char text[9] = "";
		bool match;

		for (uint32_t c = next_random() % 9; c > 0; c--)
			strcat(pattern, (const char *[]){"a", "b", "?", "*"}[next_random() % 4]);
		for (uint32_t c = next_random() % 9; c > 0; c--)
			strcat(text, one_in_two() ? "a" : "b");
		match = slow_match(pattern, text);
		matches += match;
		if (pooldiag_glob_match(pattern, text) != match)
			fail_msg("\"%s\" and \"%s\": expected %s match", pattern, text, match ? "a" : "no");
	}
	assert_in_range(matches, 5000, 45000);
}

/* Tries every way to share the text among the stars would outlast the machine. */
static void
test_glob_of_many_stars(void **state)
{
	char pattern[POOLDIAG_NAME_LEN] = "";
	char text[20001];

	(void) state;
	for (int i = 0; i < 31; i++)
		strcat(pattern, "*a");
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_true(pooldiag_glob_match(pattern, text));
	text[sizeof(text) - 2] = 'b';
	assert_false(pooldiag_glob_match(pattern, text));
	strcpy(pattern, "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*aaaaaaaaaaaaaaac*");
	assert_false(pooldiag_glob_match(pattern, text));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_definitions),
		cmocka_unit_test(test_every_key_of_a_pool),
		cmocka_unit_test(test_nothing_stated),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_span),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_every_key_of_a_breaker),
		cmocka_unit_test(test_breaker_names),
		cmocka_unit_test(test_syntax_errors),
		cmocka_unit_test(test_name_errors),
		cmocka_unit_test(test_key_errors),
		cmocka_unit_test(test_count_errors),
		cmocka_unit_test(test_time_errors),
		cmocka_unit_test(test_breaker_errors),
		cmocka_unit_test(test_count_upper),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_format_in_little_room),
		cmocka_unit_test(test_format_round_trip),
		cmocka_unit_test(test_random_texts),
		cmocka_unit_test(test_glob),
		cmocka_unit_test(test_glob_by_definition),
		cmocka_unit_test(test_glob_of_many_stars),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
