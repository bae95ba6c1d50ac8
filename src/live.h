/*
 * live.h
 *	  What a session that asks sees of the server, at that moment and under its own privileges.
 */
#ifndef POOLDIAG_LIVE_H
#define POOLDIAG_LIVE_H

#include "backends.h"
#include "sample.h"

typedef struct PoolDiagConnection
{
	PoolDiagBackend backend;
	bool visible; /* false: masked, as pg_stat_activity masks it for this role */
	int pool;	  /* in the sample's directory, or POOLDIAG_NO_POOL */
} PoolDiagConnection;

typedef struct PoolDiagLive
{
	TimestampTz now;
	bool sees_all; /* the caller may look into every session */
	bool sampled;  /* peaks and "since" come from a sampler, else there are none */
	TimestampTz sampled_at;
	PoolDiagSample *sample; /* counts of now; by_state counts visible connections only */
	int masked;				/* connections that this role may not look into */
	int count;
	PoolDiagConnection *connections;
} PoolDiagLive;

extern PoolDiagLive *pooldiag_live_read(int what);
extern bool pooldiag_live_may_see(Oid userid);
extern bool pooldiag_live_sampler_is_silent(const PoolDiagLive *live);
extern bool pooldiag_live_query(PoolDiagConnection *connection);
extern char *pooldiag_live_text(const PoolDiagConnection *connection);
extern char *pooldiag_live_pool_name(const PoolDiagLive *live, int pool);
extern const PoolDiagPoolLimits *
pooldiag_live_limits(const PoolDiagLive *live, const PoolDiagConnection *connection);
extern const char *pooldiag_live_user(Oid userid);
extern const char *pooldiag_live_database(Oid databaseid);
extern PoolDiagConnection *pooldiag_live_find(const PoolDiagLive *live, int pid);

#endif /* POOLDIAG_LIVE_H */
