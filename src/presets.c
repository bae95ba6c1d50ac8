/*
 * presets.c
 *	  The environments' pool sizes, and what a pool's limits are in the end: what its definition
 *	  states, else what the settings say, else the environment's preset.
 *
 * Pure: nothing of the server, no data of its own that changes.
 */
#include "presets.h"

#include <stddef.h>

/* Returns what a pool has in that environment where nothing else says it. */
PoolDiagPreset
pooldiag_preset(PoolDiagEnvironment environment)
{
	static const PoolDiagPreset presets[] = {
		[POOLDIAG_ENV_DEVELOPMENT] = {5, 10},
		[POOLDIAG_ENV_STAGING] = {20, 30},
		[POOLDIAG_ENV_PRODUCTION] = {50, 100},
	};

	return presets[environment];
}

/* The first of two figures that is stated. */
static int64_t
either(int64_t stated, int64_t fallback)
{
	return stated >= 0 ? stated : fallback;
}

/*
 * Works out the limits of a declared pool, or with def NULL of a discovered one, of which nobody
 * states how large it may be.
 */
void
pooldiag_preset_resolve(const PoolDiagPoolDef *def, const PoolDiagPoolDefaults *defaults,
						PoolDiagPoolLimits *out)
{
	PoolDiagPreset preset = pooldiag_preset(defaults->environment);

	*out = (PoolDiagPoolLimits){
		.size = POOLDIAG_UNSTATED,
		.max_overflow = POOLDIAG_UNSTATED,
		.instances = POOLDIAG_UNSTATED,
		.capacity = POOLDIAG_UNSTATED,
		.timeout_ms = defaults->timeout_ms,
		.recycle_ms = defaults->recycle_ms,
		.slow_ms = defaults->slow_ms,
		.leak_ms = defaults->leak_ms,
	};
	if (def == NULL)
		return;

	out->size = (int) either(def->size, either(defaults->pool_size, preset.size));
	out->max_overflow =
		(int) either(def->max_overflow, either(defaults->max_overflow, preset.max_overflow));
	out->instances = (int) either(def->instances, 1);
	out->capacity = (int64_t) out->instances * (out->size + out->max_overflow);
	out->timeout_ms = either(def->timeout_ms, defaults->timeout_ms);
	out->recycle_ms = either(def->recycle_ms, defaults->recycle_ms);
	out->slow_ms = either(def->slow_ms, defaults->slow_ms);
	out->leak_ms = either(def->leak_ms, defaults->leak_ms);
}
