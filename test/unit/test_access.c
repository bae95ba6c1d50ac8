/*
 * test_access.c
 *	  What a request's headers say: tokens, hosts, what is preferred, arguments.
 *
 * link: access.c
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "access.h"

static void
test_bearer(void **unused)
{
	assert_string_equal(pooldiag_access_bearer("Bearer abc"), "abc");
	assert_string_equal(pooldiag_access_bearer("bEARER \t abc def"), "abc def");
	assert_string_equal(pooldiag_access_bearer("Bearer "), "");
	assert_null(pooldiag_access_bearer("Bearer"));
	assert_null(pooldiag_access_bearer("Bearerabc"));
	assert_null(pooldiag_access_bearer("Basic abc"));
	assert_null(pooldiag_access_bearer(""));
	assert_null(pooldiag_access_bearer(NULL));
}

static void
test_token(void **unused)
{
	assert_true(pooldiag_access_is_token("abc", "abc"));
	assert_false(pooldiag_access_is_token("abd", "abc"));
	assert_false(pooldiag_access_is_token("ab", "abc"));
	assert_false(pooldiag_access_is_token("abcd", "abc"));
	/* As long as the token, or a multiple of it, is none. */
	assert_false(pooldiag_access_is_token("abcabc", "abc"));
	assert_false(pooldiag_access_is_token("", "abc"));
	assert_false(pooldiag_access_is_token("", ""));
	assert_false(pooldiag_access_is_token("abc", ""));
	assert_false(pooldiag_access_is_token(NULL, "abc"));
	assert_false(pooldiag_access_is_token("abc", NULL));
}

static void
test_host(void **unused)
{
	static const char *const good[] = {
		"localhost", "LocalHost:8000", "127.0.0.1",	 "10.0.0.1:80",
		"[::1]",	 "[fe80::1]:8000", "localhost:", /* RFC 3986: a port may be empty */
	};
	static const char *const bad[] = {
		"",
		"evil.example",
		"localhost.evil.example",
		"localhost:x",
		"::1",
		"[::1",
		"[evil]",
		"[::1]evil",
		"127.0.0.1.evil",
		"127.1",
		"[]",
		":80",
		"localhost:80:80",
		"[::1]:80:80",
		"[127.0.0.1]",
		"256.0.0.1",
		"1.2.3.4 ",
		"0x7f000001",
	};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(pooldiag_access_is_host(good[i], ""));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(pooldiag_access_is_host(bad[i], ""));
	assert_true(pooldiag_access_is_host(NULL, ""));
	assert_true(pooldiag_access_is_host("db1", " db1,db2 "));
	assert_true(pooldiag_access_is_host("DB2:80", " db1,db2 "));
	assert_false(pooldiag_access_is_host("db", " db1,db2 "));
	assert_false(pooldiag_access_is_host("db1,db2", " db1,db2 "));
	assert_false(pooldiag_access_is_host("", ",,"));
	assert_false(pooldiag_access_is_host("db1", NULL));
}

static void
test_hosts(void **state)
{
	static const char *const good[] = {"", " , ,", "db1", "db1.example.com, DB-2,\tdb_3.",
									   "10.0.0.1"};
	static const struct
	{
		const char *list;
		const char *bad;
	} bad[] = {{"db1:8000", "db1:8000"},
			   {"db1, *.example.com", "*.example.com"},
			   {"b\xc3\xbc"
				"cher.de,db1",
				"b\xc3\xbc"
				"cher.de"},
			   {"http://db1", "http://db1"},
			   {"db1;db2", "db1;db2"}};
	const char *found;
	size_t length;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(pooldiag_access_are_hosts(good[i], &found, &length));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		assert_false(pooldiag_access_are_hosts(bad[i].list, &found, &length));
		assert_int_equal(length, strlen(bad[i].bad));
		assert_memory_equal(found, bad[i].bad, length);
	}
}

static void
test_what_is_preferred(void **unused)
{
	static const char *const openmetrics[] = {
		"application/openmetrics-text",
		"application/openmetrics-text; version=1.0.0; charset=utf-8",
		"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		"text/plain;q=0.5, APPLICATION/openmetrics-text;q=0.6",
		"text/plain;q=0.5,application/openmetrics-text;q=0.5",
	};
	static const char *const plain[] = {
		"",
		"*/*",
		"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
		"text/plain;version=0.0.4;q=1,application/openmetrics-text;q=0.9",
		"application/openmetrics-text;q=0",
		"application/openmetrics-text;q=0.000",
		"application/openmetrics-textual",
		"x-application/openmetrics-text",
		"text/plain, application/openmetrics-text;q=x",
	};

	for (size_t i = 0; i < sizeof(openmetrics) / sizeof(openmetrics[0]); i++)
		assert_true(pooldiag_access_wants_openmetrics(openmetrics[i]));
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		assert_false(pooldiag_access_wants_openmetrics(plain[i]));
	assert_false(pooldiag_access_wants_openmetrics(NULL));
}

static void
test_seconds(void **unused)
{
	static const char *const bad[] = {"",	 "-1", "0",	 "11", "1e0",	"nan", "inf",
									  "0x5", " 5", "5 ", "5s", "1.2.3", ".",   "10.01"};
	double seconds;

	assert_true(pooldiag_access_seconds("1", 1, 10, &seconds));
	assert_true(seconds == 1);
	assert_true(pooldiag_access_seconds("10", 1, 10, &seconds));
	assert_true(pooldiag_access_seconds("2.5", 1, 10, &seconds));
	assert_true(seconds == 2.5);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(pooldiag_access_seconds(bad[i], 1, 10, &seconds));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bearer),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_what_is_preferred),
		cmocka_unit_test(test_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
