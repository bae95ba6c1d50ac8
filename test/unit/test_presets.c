/*
 * link: presets.c
 *
 * A pool's limits: what its definition states, else the settings, else the environment's preset.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "presets.h"

#define U POOLDIAG_UNSTATED
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const PoolDiagPoolDef nothing_stated = {
	.name = "web",
	.size = U,
	.max_overflow = U,
	.instances = U,
	.timeout_ms = U,
	.recycle_ms = U,
	.slow_ms = U,
	.leak_ms = U,
};

static const PoolDiagPoolDefaults usual = {
	.environment = POOLDIAG_ENV_STAGING,
	.pool_size = -1,
	.max_overflow = -1,
	.timeout_ms = 30000,
	.recycle_ms = 3600000,
	.slow_ms = 31000,
	.leak_ms = 60000,
};

static void
assert_limits(const PoolDiagPoolLimits *limits, int size, int max_overflow, int instances,
			  int64_t capacity)
{
	assert_int_equal(limits->size, size);
	assert_int_equal(limits->max_overflow, max_overflow);
	assert_int_equal(limits->instances, instances);
	assert_true(limits->capacity == capacity);
}

static void
assert_times(const PoolDiagPoolLimits *limits, int64_t timeout, int64_t recycle, int64_t slow,
			 int64_t leak)
{
	assert_true(limits->timeout_ms == timeout);
	assert_true(limits->recycle_ms == recycle);
	assert_true(limits->slow_ms == slow);
	assert_true(limits->leak_ms == leak);
}

static void
test_presets(void **state)
{
	(void) state;
	assert_int_equal(pooldiag_preset(POOLDIAG_ENV_DEVELOPMENT).size, 5);
	assert_int_equal(pooldiag_preset(POOLDIAG_ENV_DEVELOPMENT).max_overflow, 10);
	assert_int_equal(pooldiag_preset(POOLDIAG_ENV_STAGING).size, 20);
	assert_int_equal(pooldiag_preset(POOLDIAG_ENV_STAGING).max_overflow, 30);
	assert_int_equal(pooldiag_preset(POOLDIAG_ENV_PRODUCTION).size, 50);
	assert_int_equal(pooldiag_preset(POOLDIAG_ENV_PRODUCTION).max_overflow, 100);
}

static void
test_sizes(void **state)
{
	static const struct
	{
		int size, max_overflow, instances; /* stated */
		PoolDiagEnvironment environment;
		int pool_size, default_overflow; /* settings */
		int want_size, want_overflow, want_instances;
		int64_t want_capacity;
	} cases[] = {
		{U, U, U, POOLDIAG_ENV_DEVELOPMENT, -1, -1, 5, 10, 1, 15},
		{U, U, U, POOLDIAG_ENV_STAGING, -1, -1, 20, 30, 1, 50},
		{U, U, U, POOLDIAG_ENV_PRODUCTION, -1, -1, 50, 100, 1, 150},
		{U, U, U, POOLDIAG_ENV_PRODUCTION, 7, -1, 7, 100, 1, 107},
		{U, U, U, POOLDIAG_ENV_PRODUCTION, -1, 0, 50, 0, 1, 50},
		{U, U, U, POOLDIAG_ENV_PRODUCTION, 7, 3, 7, 3, 1, 10},
		{12, U, U, POOLDIAG_ENV_STAGING, -1, -1, 12, 30, 1, 42},
		{12, U, U, POOLDIAG_ENV_STAGING, 7, 3, 12, 3, 1, 15},
		{U, 4, U, POOLDIAG_ENV_STAGING, -1, -1, 20, 4, 1, 24},
		{U, 0, U, POOLDIAG_ENV_STAGING, 7, 3, 7, 0, 1, 7},
		{U, U, 4, POOLDIAG_ENV_STAGING, -1, -1, 20, 30, 4, 200},
		{50, 100, 2, POOLDIAG_ENV_DEVELOPMENT, 7, 3, 50, 100, 2, 300},
		/* beyond an int */
		{U, U, 262143, POOLDIAG_ENV_STAGING, 262143, 262143, 262143, 262143, 262143,
		 INT64_C(137437904898)},
	};

	(void) state;
	for (size_t i = 0; i < LENGTH(cases); i++)
	{
		PoolDiagPoolDef def = nothing_stated;
		PoolDiagPoolDefaults defaults = usual;
		PoolDiagPoolLimits limits;

		def.size = cases[i].size;
		def.max_overflow = cases[i].max_overflow;
		def.instances = cases[i].instances;
		defaults.environment = cases[i].environment;
		defaults.pool_size = cases[i].pool_size;
		defaults.max_overflow = cases[i].default_overflow;
		pooldiag_preset_resolve(&def, &defaults, &limits);
		assert_limits(&limits, cases[i].want_size, cases[i].want_overflow, cases[i].want_instances,
					  cases[i].want_capacity);
		assert_times(&limits, 30000, 3600000, 31000, 60000);
	}
}

static void
test_times(void **state)
{
	PoolDiagPoolLimits limits;
	PoolDiagPoolDef def = nothing_stated;

	(void) state;
	def.timeout_ms = 1;
	pooldiag_preset_resolve(&def, &usual, &limits);
	assert_times(&limits, 1, 3600000, 31000, 60000);
	def.recycle_ms = 2;
	pooldiag_preset_resolve(&def, &usual, &limits);
	assert_times(&limits, 1, 2, 31000, 60000);
	def.slow_ms = 3;
	pooldiag_preset_resolve(&def, &usual, &limits);
	assert_times(&limits, 1, 2, 3, 60000);
	def.leak_ms = POOLDIAG_MAX_MS;
	pooldiag_preset_resolve(&def, &usual, &limits);
	assert_times(&limits, 1, 2, 3, POOLDIAG_MAX_MS);
	assert_limits(&limits, 20, 30, 1, 50);
}

static void
test_discovered_pool(void **state)
{
	PoolDiagPoolDefaults defaults = usual;
	PoolDiagPoolLimits limits;

	(void) state;
	defaults.pool_size = 7;
	defaults.max_overflow = 3;
	pooldiag_preset_resolve(NULL, &defaults, &limits);
	assert_limits(&limits, U, U, U, U);
	assert_times(&limits, 30000, 3600000, 31000, 60000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_presets),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_discovered_pool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
