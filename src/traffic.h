/*
 * traffic.h
 *	  The paths of the HTTP endpoint, and how much has been asked for at each.
 */
#ifndef POOLDIAG_TRAFFIC_H
#define POOLDIAG_TRAFFIC_H

typedef enum PoolDiagPath
{
	POOLDIAG_PATH_PAGE,
	POOLDIAG_PATH_LIVEZ,
	POOLDIAG_PATH_READYZ,
	POOLDIAG_PATH_METRICS,
	POOLDIAG_PATH_HEALTH,
	POOLDIAG_PATH_DETAILED,
	POOLDIAG_PATH_HISTORY,
	POOLDIAG_PATH_POOLS,
	POOLDIAG_PATH_RECOMMENDATIONS,
	POOLDIAG_PATH_ALERTS,
	POOLDIAG_PATH_OTHER, /* all at which there is nothing */
	POOLDIAG_PATHS
} PoolDiagPath;

/* What answers there are. */
#define POOLDIAG_HTTP_STATUSES 8

/* Since the server's start, as a reader gets it. */
typedef struct PoolDiagTraffic
{
	int connections;
	uint64 accepted;
	uint64 dropped; /* of them, those that had to make way, or took too long */
	uint64 requests;
} PoolDiagTraffic;

extern Size pooldiag_traffic_size(void);
extern void pooldiag_traffic_attach(char *at, bool made);
extern const char *pooldiag_traffic_path(PoolDiagPath path);
extern PoolDiagPath pooldiag_traffic_find(const char *path);

/* In the http worker. */
extern void pooldiag_traffic_begin(void);
extern void pooldiag_traffic_connected(void);
extern void pooldiag_traffic_disconnected(void);
extern void pooldiag_traffic_dropped(void);
extern void pooldiag_traffic_answered(PoolDiagPath path, int status);

/* Anywhere. */
extern void pooldiag_traffic_read(PoolDiagTraffic *traffic);
extern uint64 pooldiag_traffic_answers(PoolDiagPath path, int which, int *status);

#endif /* POOLDIAG_TRAFFIC_H */
