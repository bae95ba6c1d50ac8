/*
 * presence.h
 *	  Who is connected, at every moment: sessions tell when they come, change their name, and go.
 *
 * Needs nothing of the server but its atomics: unit tests link it.
 */
#ifndef POOLDIAG_PRESENCE_H
#define POOLDIAG_PRESENCE_H

#include "datatype/timestamp.h"

#include "peaks.h"
#include "pools.h"
#include "ring.h"

/* What sessions have told that is kept until the sampler has taken it up; it is woken at each PILE. */
#define POOLDIAG_PRESENCE_ROOM 4096
#define POOLDIAG_PRESENCE_PILE 1024

/* How long the sampler waits for a word that is being written, in milliseconds. */
#define POOLDIAG_PRESENCE_PATIENCE INT64CONST(1000)

/* What a session tells. Names, which may be empty, fill their fields with zeroes. */
typedef struct PoolDiagWord
{
	TimestampTz at;
	int32 procno;
	int32 pid;
	uint32 databaseid;
	uint32 roleid;
	int64 leaves; /* 1: it ends. 0: it is there, under these names */
	char user[NAMEDATALEN];
	char database[NAMEDATALEN];
	char application_name[NAMEDATALEN];
} PoolDiagWord;

/* Where sessions are counted. */
typedef struct PoolDiagAudience
{
	PoolDiagPools *pools;
	PoolDiagPeakTable *databases;
	PoolDiagPeakTable *roles;
} PoolDiagAudience;

/* In which rows of these a session is; each may be -1. */
typedef struct PoolDiagSeat
{
	int pool;
	int database;
	int role;
} PoolDiagSeat;

typedef struct PoolDiagPresence
{
	int slots;
	/* All that follows, and the slots, is the sampler's. */
	pg_atomic_uint64 heard;	 /* number of the first word that it has not taken up yet */
	pg_atomic_uint64 lost;	 /* words that were overwritten before, spoilt, or never finished */
	pg_atomic_uint64 mended; /* sessions found connected, or gone, of which nothing had been told */
	uint64 unfinished;		 /* number of a word that is waited for */
	int64 patient_until;	 /* milliseconds of a monotonic clock; 0: none is waited for */
} PoolDiagPresence;			 /* the slots and the ring after it */

extern Size pooldiag_presence_size(int slots);
extern void pooldiag_presence_init(PoolDiagPresence *presence, int slots);

/* In a session. */
extern uint64 pooldiag_presence_tell(PoolDiagPresence *presence, const PoolDiagWord *word);

/* In the sampler. */
extern uint64 pooldiag_presence_waiting(PoolDiagPresence *presence);
extern uint64 pooldiag_presence_next(PoolDiagPresence *presence);
extern bool
pooldiag_presence_hear(PoolDiagPresence *presence, const PoolDiagAudience *audience, int64 now_ms);
extern void
pooldiag_presence_compare(PoolDiagPresence *presence, const PoolDiagAudience *audience, int procno,
						  int pid, const PoolDiagSeat *seen, uint64 since, TimestampTz now);
extern void pooldiag_presence_recount(PoolDiagPresence *presence, const PoolDiagAudience *audience);
extern void pooldiag_presence_release(PoolDiagPresence *presence, const PoolDiagPools *pools);

#endif /* POOLDIAG_PRESENCE_H */
