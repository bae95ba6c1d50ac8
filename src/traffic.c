/*
 * traffic.c
 *	  The paths of the HTTP endpoint, and how much has been asked for at each.
 *
 * In shared memory: atomics that the http worker alone writes, for whoever asks.
 */
#include "postgres.h"

#include "port/atomics.h"

#include "traffic.h"

static const char *const paths[POOLDIAG_PATHS] = {
	[POOLDIAG_PATH_PAGE] = "/",
	[POOLDIAG_PATH_LIVEZ] = "/livez",
	[POOLDIAG_PATH_READYZ] = "/readyz",
	[POOLDIAG_PATH_METRICS] = "/metrics",
	[POOLDIAG_PATH_HEALTH] = "/api/v1/health/database",
	[POOLDIAG_PATH_DETAILED] = "/api/v1/health/detailed",
	[POOLDIAG_PATH_HISTORY] = "/api/v1/history",
	[POOLDIAG_PATH_POOLS] = "/api/v1/pools",
	[POOLDIAG_PATH_RECOMMENDATIONS] = "/api/v1/recommendations",
	[POOLDIAG_PATH_ALERTS] = "/api/v1/alerts",
	[POOLDIAG_PATH_OTHER] = "other",
};

static const int statuses[POOLDIAG_HTTP_STATUSES] = {200, 400, 401, 404, 405, 421, 500, 503};

typedef struct Shared
{
	pg_atomic_uint32 connections;
	pg_atomic_uint64 accepted;
	pg_atomic_uint64 dropped;
	pg_atomic_uint64 answers[POOLDIAG_PATHS][POOLDIAG_HTTP_STATUSES];
} Shared;

static Shared *shared = NULL;

Size
pooldiag_traffic_size(void)
{
	return sizeof(Shared);
}

void
pooldiag_traffic_attach(char *at, bool made)
{
	shared = (Shared *) at;
	if (!made)
		return;
	pg_atomic_init_u32(&shared->connections, 0);
	pg_atomic_init_u64(&shared->accepted, 0);
	pg_atomic_init_u64(&shared->dropped, 0);
	for (int path = 0; path < POOLDIAG_PATHS; path++)
		for (int which = 0; which < POOLDIAG_HTTP_STATUSES; which++)
			pg_atomic_init_u64(&shared->answers[path][which], 0);
}

const char *
pooldiag_traffic_path(PoolDiagPath path)
{
	return paths[path];
}

PoolDiagPath
pooldiag_traffic_find(const char *path)
{
	int found = 0;

	while (found < POOLDIAG_PATH_OTHER && strcmp(paths[found], path) != 0)
		found++;
	return (PoolDiagPath) found;
}

/* A new worker has no connections yet. */
void
pooldiag_traffic_begin(void)
{
	pg_atomic_write_u32(&shared->connections, 0);
}

void
pooldiag_traffic_connected(void)
{
	pg_atomic_fetch_add_u32(&shared->connections, 1);
	pg_atomic_fetch_add_u64(&shared->accepted, 1);
}

void
pooldiag_traffic_disconnected(void)
{
	pg_atomic_fetch_sub_u32(&shared->connections, 1);
}

void
pooldiag_traffic_dropped(void)
{
	pg_atomic_fetch_add_u64(&shared->dropped, 1);
}

void
pooldiag_traffic_answered(PoolDiagPath path, int status)
{
	for (int which = 0; which < POOLDIAG_HTTP_STATUSES; which++)
		if (statuses[which] == status)
			pg_atomic_fetch_add_u64(&shared->answers[path][which], 1);
}

void
pooldiag_traffic_read(PoolDiagTraffic *traffic)
{
	traffic->connections = (int) pg_atomic_read_u32(&shared->connections);
	traffic->accepted = pg_atomic_read_u64(&shared->accepted);
	traffic->dropped = pg_atomic_read_u64(&shared->dropped);
	traffic->requests = 0;
	for (int path = 0; path < POOLDIAG_PATHS; path++)
		for (int which = 0; which < POOLDIAG_HTTP_STATUSES; which++)
			traffic->requests += pg_atomic_read_u64(&shared->answers[path][which]);
}

/* How many requests at a path were answered with one of the statuses, which that is. */
uint64
pooldiag_traffic_answers(PoolDiagPath path, int which, int *status)
{
	*status = statuses[which];
	return pg_atomic_read_u64(&shared->answers[path][which]);
}
