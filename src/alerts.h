/*
 * alerts.h
 *	  What breakers have done, in shared memory: the newest alerts one by one.
 */
#ifndef POOLDIAG_ALERTS_H
#define POOLDIAG_ALERTS_H

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

#include "breakers.h"
#include "journal.h"
#include "ring.h"
#include "severity.h"

/* Texts are in the bytes of the configuration file, as far as they name pools. */
typedef struct PoolDiagAlert
{
	int64 id; /* 1 for the first, and one more for each */
	TimestampTz at;
	int32 kind; /* a PoolDiagBreakerKind */
	int32 event;
	int32 severity;
	int32 has_value;
	double value; /* percent or a count, as its kind has it */
	double limit;
	char breaker[POOLDIAG_BREAKER_NAME_LEN];
	char message[256];
	char evidence[512]; /* JSON, an object */
} PoolDiagAlert;

/* Who goes through all alerts, each once. */
typedef enum PoolDiagFollower
{
	POOLDIAG_FOLLOWER_KEEPER,	  /* writes them into the journal */
	POOLDIAG_FOLLOWER_OPERATIONS, /* has them logged */
	POOLDIAG_FOLLOWER_NOTIFIER,	  /* notifies listeners */
	POOLDIAG_FOLLOWERS
} PoolDiagFollower;

/* How full the log is. */
typedef struct PoolDiagAlertsUse
{
	uint64 waiting[POOLDIAG_FOLLOWERS]; /* raised, and not followed yet */
	uint64 newest;						/* the id of the newest one, 0: there was none */
	uint64 raised;						/* since the last reset */
	uint64 used;						/* of them still there */
	uint64 lost
		[POOLDIAG_FOLLOWERS]; /* overwritten before they were followed, since the server's start */
} PoolDiagAlertsUse;

extern Size pooldiag_alerts_size(void);
extern void pooldiag_alerts_attach(char *at, bool made);

/* In the sampler. */
extern void pooldiag_alerts_raise(PoolDiagAlert *alert);

/* In those that follow. */
extern bool pooldiag_alerts_peek(PoolDiagFollower which, PoolDiagAlert *alert);
extern void pooldiag_alerts_pass(PoolDiagFollower which);
extern bool pooldiag_alerts_is_journaled(void);
extern bool pooldiag_alerts_is_logged(void);
extern uint64 pooldiag_alerts_position(PoolDiagFollower which);
extern void pooldiag_alerts_go_back(PoolDiagFollower which, uint64 position);
extern bool pooldiag_alerts_forgotten(int64 *first);
extern void pooldiag_alerts_forgot(int64 first);

/* In the postmaster. */
extern bool pooldiag_alerts_restore(PoolDiagRecordKind kind, const void *data, uint32 length);

/* Anywhere. */
extern PoolDiagRing *pooldiag_alerts_ring(int64 *first);
extern void pooldiag_alerts_write(StringInfo json, const PoolDiagAlert *alert);
extern const char *pooldiag_alerts_scope(PoolDiagBreakerKind kind);
extern uint32 pooldiag_alerts_capacity(void);
extern PoolDiagAlertsUse pooldiag_alerts_use(void);
extern void pooldiag_alerts_reset(void);

#endif /* POOLDIAG_ALERTS_H */
