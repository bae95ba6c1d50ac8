/*
 * findings.h
 *	  Since when each rule of the advisor has fired, for each subject.
 */
#ifndef POOLDIAG_FINDINGS_H
#define POOLDIAG_FINDINGS_H

#include "datatype/timestamp.h"

/* Findings that are remembered; what is found beyond that has no beginning, and is counted. */
#define POOLDIAG_FINDINGS_ROOM 512

/* What fires: a rule, by its number in the advisor's table, for a subject. */
typedef struct PoolDiagFinding
{
	int rule;
	Oid database;	/* the one in which it was found, of rules that look into one; else invalid */
	uint64 subject; /* 0: the server; else whatever tells it apart from the rule's others */
} PoolDiagFinding;

typedef struct PoolDiagFindingsUse
{
	int used;
	uint64 dropped; /* findings that found no room, since the server's start */
} PoolDiagFindingsUse;

extern Size pooldiag_findings_size(void);
extern void pooldiag_findings_attach(char *at, bool made);
extern void pooldiag_findings_request(void);

/* In the sampler: all that fires of the rules that it judges. */
extern void pooldiag_findings_confirm(const PoolDiagFinding *found, int count, TimestampTz now);

/* In a session that asks. */
extern void pooldiag_findings_note(int rule, Oid database, const PoolDiagFinding *found, int count,
								   TimestampTz now);
extern TimestampTz pooldiag_findings_since(const PoolDiagFinding *finding, TimestampTz now);
extern PoolDiagFindingsUse pooldiag_findings_use(void);

#endif /* POOLDIAG_FINDINGS_H */
