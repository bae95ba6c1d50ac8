/*
 * advisor.h
 *	  The rules: what deserves attention, why, and what to do about it.
 */
#ifndef POOLDIAG_ADVISOR_H
#define POOLDIAG_ADVISOR_H

#include "nodes/pg_list.h"

#include "live.h"
#include "sample.h"
#include "severity.h"

/* A rule that fires for a subject. All texts are palloc'd or constant. */
typedef struct PoolDiagAdvice
{
	PoolDiagSeverity severity;
	const char *rule;
	char *subject;
	char *title;
	char *evidence; /* JSON, an object */
	char *advice;
	char *remedy;			/* SQL to paste, or NULL */
	TimestampTz first_seen; /* 0: not known */
} PoolDiagAdvice;

extern void pooldiag_advisor_watch(PoolDiagSample *sample, TimestampTz now);
extern List *pooldiag_advisor_advise(PoolDiagLive *live);

#endif /* POOLDIAG_ADVISOR_H */
