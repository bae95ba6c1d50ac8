/*
 * settings.h
 *	  The settings, as pg_settings shows them under "pooldiag.".
 */
#ifndef POOLDIAG_SETTINGS_H
#define POOLDIAG_SETTINGS_H

#include "breakers.h"
#include "grammar.h"
#include "presets.h"

/* When the canary commits something. */
typedef enum PoolDiagCanaryWrite
{
	POOLDIAG_CANARY_WRITE_AUTO, /* if others have since its last try */
	POOLDIAG_CANARY_WRITE_ALWAYS,
	POOLDIAG_CANARY_WRITE_OFF
} PoolDiagCanaryWrite;

/* What is answered over HTTP to who has no token. */
typedef enum PoolDiagHttpAccess
{
	POOLDIAG_HTTP_ACCESS_SUMMARY, /* what names nobody */
	POOLDIAG_HTTP_ACCESS_ALL
} PoolDiagHttpAccess;

extern int pooldiag_max_pools;
extern int pooldiag_sample_interval;	 /* milliseconds */
extern int pooldiag_evaluation_interval; /* milliseconds */
extern int pooldiag_advice_window;		 /* seconds */
extern int pooldiag_operation_timeout;	 /* milliseconds */
extern int pooldiag_operation_interval;	 /* milliseconds */
extern char *pooldiag_database;
extern int pooldiag_canary_write;	  /* a PoolDiagCanaryWrite */
extern char *pooldiag_notify_channel; /* empty: none */
extern bool pooldiag_track_query_text;
extern int pooldiag_slow_query_threshold; /* milliseconds */
extern int pooldiag_slow_query_log_size;
extern int pooldiag_alert_log_size;
extern int pooldiag_http_port; /* 0: none */
extern char *pooldiag_http_listen_addresses;
extern int pooldiag_http_access; /* a PoolDiagHttpAccess */
extern char *pooldiag_http_token_file;
extern char *pooldiag_http_hosts;

extern void pooldiag_settings_define(void);
extern PoolDiagPoolDef *pooldiag_settings_pool_defs(int *count);
extern PoolDiagPoolDefaults pooldiag_settings_pool_defaults(void);
extern PoolDiagBreakerDef *pooldiag_settings_breaker_defs(int *count);
extern PoolDiagBreakerDefaults pooldiag_settings_breaker_defaults(void);
extern void pooldiag_settings_complain(void);

#endif /* POOLDIAG_SETTINGS_H */
