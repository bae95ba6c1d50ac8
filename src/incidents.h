/*
 * incidents.h
 *	  What led to the opening of breakers, in shared memory: the newest incidents one by one.
 */
#ifndef POOLDIAG_INCIDENTS_H
#define POOLDIAG_INCIDENTS_H

#include "datatype/timestamp.h"

#include "breakers.h"
#include "incident.h"
#include "journal.h"
#include "ring.h"

/* As many are kept. */
#define POOLDIAG_INCIDENT_ROOM 16

#define POOLDIAG_INCIDENT_SIZE 12288
#define POOLDIAG_REPORT_LEN                                                           \
	(POOLDIAG_INCIDENT_SIZE - 24 - POOLDIAG_BREAKER_NAME_LEN - POOLDIAG_VERDICT_LEN - \
	 POOLDIAG_REMEDY_LEN)

/* Texts are in the bytes of those who gave the names in them. */
typedef struct PoolDiagIncident
{
	int64 id; /* 1 for the first, and one more for each */
	TimestampTz at;
	int32 kind; /* a PoolDiagBreakerKind */
	int32 unused;
	char breaker[POOLDIAG_BREAKER_NAME_LEN];
	char verdict[POOLDIAG_VERDICT_LEN];
	char remedy[POOLDIAG_REMEDY_LEN];
	char report[POOLDIAG_REPORT_LEN]; /* JSON, an object */
} PoolDiagIncident;

typedef struct PoolDiagIncidentsUse
{
	uint64 used; /* that are shown */
	uint64 lost; /* overwritten before they were in the journal, since the server's start */
} PoolDiagIncidentsUse;

extern Size pooldiag_incidents_size(void);
extern void pooldiag_incidents_attach(char *at, bool made);

/* In the sampler. */
extern void pooldiag_incidents_add(PoolDiagIncident *incident);

/* In the keeper. */
extern bool pooldiag_incidents_peek(PoolDiagIncident *incident);
extern void pooldiag_incidents_pass(void);
extern uint64 pooldiag_incidents_position(void);
extern void pooldiag_incidents_go_back(uint64 position);
extern bool pooldiag_incidents_forgotten(int64 *first);
extern void pooldiag_incidents_forgot(int64 first);

/* In the postmaster. */
extern bool pooldiag_incidents_restore(PoolDiagRecordKind kind, const void *data, uint32 length);

/* Anywhere. */
extern PoolDiagRing *pooldiag_incidents_ring(int64 *first);
extern PoolDiagIncidentsUse pooldiag_incidents_use(void);
extern void pooldiag_incidents_reset(void);

#endif /* POOLDIAG_INCIDENTS_H */
