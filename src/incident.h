/*
 * incident.h
 *	  From what was seen when a breaker opened to a verdict in one sentence, and a remedy to paste.
 *
 * Pure: unit tests link it.
 */
#ifndef POOLDIAG_INCIDENT_H
#define POOLDIAG_INCIDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "breakers.h"
#include "state.h"

#define POOLDIAG_VERDICT_LEN 768
#define POOLDIAG_REMEDY_LEN 1024

/* As many processes are named in a remedy. */
#define POOLDIAG_CULPRITS 8

/* Room for an instant with its zone, as a literal has it. */
#define POOLDIAG_INSTANT_LEN 40

/* A process, and since when it is at what it is at; both instants tell it from whatever comes after. */
typedef struct PoolDiagCulprit
{
	int pid; /* 0: none */
	PoolDiagState state;
	char backend_start[POOLDIAG_INSTANT_LEN];
	char state_change[POOLDIAG_INSTANT_LEN]; /* empty: not known, and nothing is done to it */
	double seconds;							 /* in its state */
} PoolDiagCulprit;

typedef struct PoolDiagFacts
{
	PoolDiagBreakerKind kind;
	const char *pool; /* of a pool's breaker */
	int64_t count;	  /* what the breaker saw; of a share the part, */
	int64_t whole;	  /* and the whole */

	/* The pool and state that hold most slots; of a pool's breaker, the state. */
	const char *holder; /* NULL: none is known */
	PoolDiagState holder_state;
	int held;
	int usable;		 /* slots */
	int held_behind; /* of them wait behind root */

	/* Who keeps most sessions waiting, and waits for nobody. */
	bool has_root;
	bool root_is_prepared; /* a prepared transaction: no process */
	bool root_is_replay;   /* on a standby, the replay of WAL: no session */
	PoolDiagCulprit root;
	int waiting; /* behind it */
	int waiters; /* all that wait for locks */

	/* Slow statements, or those idle in transaction past the threshold, of the holder where slots are short; oldest first. */
	PoolDiagCulprit culprits[POOLDIAG_CULPRITS];
	int culprit_count;
	const char *culprit_pool; /* of the first */
	int culprits_waiting;	  /* slow ones that wait behind root */

	const char *reason; /* for which most connections were refused; NULL: not known */
	int64_t reason_count;
	bool reason_is_slots;
	const char *error; /* of the canary; NULL: not known */
} PoolDiagFacts;

extern void pooldiag_incident_verdict(const PoolDiagFacts *facts, char *verdict, size_t size);
extern void pooldiag_incident_remedy(const PoolDiagFacts *facts, char *remedy, size_t size);

#endif /* POOLDIAG_INCIDENT_H */
