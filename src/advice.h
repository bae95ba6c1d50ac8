/*
 * advice.h
 *	  Building one advice: what a rule has to say about a subject.
 */
#ifndef POOLDIAG_ADVICE_H
#define POOLDIAG_ADVICE_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

#include "findings.h"
#include "json.h"
#include "live.h"
#include "locks.h"
#include "severity.h"

/* Processes, roles and the like that one piece of evidence or remedy names; how many more there are is said. */
#define POOLDIAG_MAX_NAMED 20

/* In place of a row of the directory: the server. */
#define POOLDIAG_SUBJECT_SERVER (-1)

/* A rule that fires for a subject. All texts are palloc'd or constant. */
typedef struct PoolDiagAdvice
{
	PoolDiagSeverity severity;
	const char *rule;
	const char *subject;
	const char *title;
	const char *plain;	  /* instead of the title, for who is not to know names */
	const char *evidence; /* JSON, an object */
	const char *advice;
	const char *remedy;		/* to paste, or NULL */
	bool on_primary;		/* it writes a catalog, which a standby can't */
	TimestampTz first_seen; /* 0: not known */
	PoolDiagFinding finding;
} PoolDiagAdvice;

/* What rules are given, and where they leave what they have to say. */
typedef struct PoolDiagCase
{
	PoolDiagLive *live;
	PoolDiagLocks *locks; /* once somebody has needed them */
	int rule;			  /* the one that is at it: its number, and name */
	const char *name;
	const char *plain;
	bool on_primary;
	List *advice; /* of PoolDiagAdvice */
} PoolDiagCase;

/* By what a process is named, beside its pid and its own start. */
typedef enum PoolDiagNamedBy
{
	POOLDIAG_BY_START,	   /* nothing else */
	POOLDIAG_BY_STATEMENT, /* the start of its statement */
	POOLDIAG_BY_STATE	   /* since when it is in its state */
} PoolDiagNamedBy;

/* Processes that evidence and remedy name. */
typedef struct PoolDiagNamed
{
	int count;
	PoolDiagNamedBy by;
	StringInfoData json; /* elements of an array */
	StringInfoData rows; /* row constructors, safe against reused pids */
} PoolDiagNamed;

extern PoolDiagAdvice *
pooldiag_advice_add(PoolDiagCase *c, PoolDiagSeverity severity, const char *subject, uint64 key);
extern PoolDiagAdvice *
pooldiag_advice_on(PoolDiagCase *c, PoolDiagSeverity severity, int pool, StringInfo evidence);
extern void pooldiag_advice_done(PoolDiagAdvice *advice, StringInfo evidence);
extern uint64 pooldiag_advice_key_of_pool(const PoolDiagPools *pools, int pool);
extern uint64 pooldiag_advice_key(const char *subject);
extern const PoolDiagLocks *pooldiag_advice_locks(PoolDiagCase *c);

extern const char *pooldiag_plural(int64 count);
extern double pooldiag_seconds_since(TimestampTz since, TimestampTz now);
extern char *pooldiag_advice_pool_literal(const PoolDiagCase *c, int pool);
extern char *pooldiag_advice_set_pool(const PoolDiagCase *c, int pool, const char *arguments);

extern void pooldiag_named_begin(PoolDiagNamed *named, PoolDiagNamedBy by);
extern void
pooldiag_named_add(PoolDiagNamed *named, const PoolDiagBackend *backend, double seconds);
extern void pooldiag_named_idle(PoolDiagNamed *named, const PoolDiagCase *c, int pool,
								bool in_transaction, int count);
extern void pooldiag_named_put(const PoolDiagNamed *named, StringInfo json);
extern char *
pooldiag_named_end(const PoolDiagNamed *named, const char *function, const char *condition);

#endif /* POOLDIAG_ADVICE_H */
