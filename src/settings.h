/*
 * settings.h
 *	  The settings, as pg_settings shows them under "pooldiag.".
 */
#ifndef POOLDIAG_SETTINGS_H
#define POOLDIAG_SETTINGS_H

#include "grammar.h"
#include "presets.h"

/* What pooldiag.pools says, parsed. */
typedef struct PoolDiagPoolDefs
{
	int count;
	PoolDiagPoolDef defs[];
} PoolDiagPoolDefs;

extern int pooldiag_max_pools;
extern int pooldiag_sample_interval;   /* milliseconds */
extern int pooldiag_operation_timeout; /* milliseconds */
extern bool pooldiag_track_query_text;
extern const PoolDiagPoolDefs *pooldiag_pool_defs;

extern void pooldiag_settings_define(void);
extern PoolDiagPoolDefaults pooldiag_settings_pool_defaults(void);

#endif /* POOLDIAG_SETTINGS_H */
