/*
 * presets.h
 *	  What a pool's limits are once its definition, the settings and the environment's preset are
 *	  put together.
 *
 * Pure: nothing of the server, so that unit tests link it.
 */
#ifndef POOLDIAG_PRESETS_H
#define POOLDIAG_PRESETS_H

#include <stdint.h>

#include "grammar.h"

/* The values of pooldiag.environment. */
typedef enum PoolDiagEnvironment
{
	POOLDIAG_ENV_DEVELOPMENT,
	POOLDIAG_ENV_STAGING,
	POOLDIAG_ENV_PRODUCTION
} PoolDiagEnvironment;

/* Connections of one process's pool: those it keeps, and those it may add. */
typedef struct PoolDiagPreset
{
	int size;
	int max_overflow;
} PoolDiagPreset;

/* The settings that stand in for what a definition doesn't state. */
typedef struct PoolDiagPoolDefaults
{
	PoolDiagEnvironment environment;
	int pool_size;	  /* up to POOLDIAG_MAX_COUNT; negative: the environment's */
	int max_overflow; /* the same */
	int64_t timeout_ms;
	int64_t recycle_ms;
	int64_t slow_ms;
	int64_t leak_ms;
} PoolDiagPoolDefaults;

/* A pool's limits. Of a discovered pool the first four are POOLDIAG_UNSTATED. */
typedef struct PoolDiagPoolLimits
{
	int size; /* this and max_overflow: of one instance */
	int max_overflow;
	int instances;
	int64_t capacity; /* of all instances: instances * (size + max_overflow) */
	int64_t timeout_ms;
	int64_t recycle_ms;
	int64_t slow_ms;
	int64_t leak_ms;
} PoolDiagPoolLimits;

extern PoolDiagPreset pooldiag_preset(PoolDiagEnvironment environment);
extern void pooldiag_preset_resolve(const PoolDiagPoolDef *def,
									const PoolDiagPoolDefaults *defaults, PoolDiagPoolLimits *out);

#endif /* POOLDIAG_PRESETS_H */
