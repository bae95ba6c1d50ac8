/*
 * ledger.h
 *	  The refused connections, in shared memory: counted by reason, the newest one by one, and by source.
 *
 * Needs nothing of the server but its atomics: unit tests link it.
 */
#ifndef POOLDIAG_LEDGER_H
#define POOLDIAG_LEDGER_H

#include "datatype/timestamp.h"

#include "hitters.h"
#include "ring.h"

/* Why a connection was refused; in this order everywhere. */
typedef enum PoolDiagReason
{
	POOLDIAG_REFUSED_NO_SLOT,
	POOLDIAG_REFUSED_RESERVED_SLOTS,
	POOLDIAG_REFUSED_ROLE_LIMIT,
	POOLDIAG_REFUSED_DATABASE_LIMIT,
	POOLDIAG_REFUSED_WALSENDER_LIMIT,
	POOLDIAG_REFUSED_AUTHENTICATION,
	POOLDIAG_REFUSED_NO_DATABASE,
	POOLDIAG_REFUSED_STARTING_UP,
	POOLDIAG_REFUSED_SHUTTING_DOWN,
	POOLDIAG_REFUSED_RECOVERY,
	POOLDIAG_REFUSED_PROTOCOL,
	POOLDIAG_REFUSED_OTHER,
	POOLDIAG_REASONS
} PoolDiagReason;

/* How long the sampler waits for an entry that is being written, in milliseconds. */
#define POOLDIAG_REFUSAL_PATIENCE INT64CONST(1000)

/* Refused connections that the log has, and sources that are told apart. */
#define POOLDIAG_REFUSAL_LOG_ROOM 4096
#define POOLDIAG_REFUSAL_SOURCES_ROOM 256

/* One refused connection. Names are the bytes that the client sent; empty: not known. */
typedef struct PoolDiagRefusal
{
	TimestampTz at;
	int sqlstate;
	PoolDiagSource source;
} PoolDiagRefusal;

/* forgotten: there was a reset since. */
typedef void (*PoolDiagRefusalCallback)(const PoolDiagRefusal *refusal, bool forgotten,
										void *context);

/* What was made of the log, entry by entry, up to one of them. */
typedef struct PoolDiagRefusalSources
{
	uint64 since;		 /* number of the first entry that counts: the next one at the last reset */
	uint64 drained;		 /* number of the first entry that is not in it yet */
	uint64 handed_out;	 /* number of the first entry that no callback has been given yet */
	uint64 unattributed; /* entries that were overwritten before they were read */
	uint64 torn;		 /* entries whose writer ended in the middle, or spoilt by another */
	uint64 unfinished;	 /* number of an entry that is waited for */
	int64 patient_until; /* milliseconds of a monotonic clock; 0: none is waited for */
	PoolDiagRefusal last[POOLDIAG_REASONS]; /* the last one of each reason; at 0: none */
	PoolDiagHitters hitters;				/* variable length, so the last */
} PoolDiagRefusalSources;

/* What is counted where a connection is refused. */
typedef struct PoolDiagRefusalCounter
{
	pg_atomic_uint64 refused;
	pg_atomic_uint64 first_at;
	pg_atomic_uint64 last_at;
} PoolDiagRefusalCounter;

typedef struct PoolDiagLedger
{
	PoolDiagRefusalCounter counters[POOLDIAG_REASONS];
	pg_atomic_uint64 counted_since;
	pg_atomic_uint64 since;		/* see PoolDiagRefusalSources */
	pg_atomic_uint64 published; /* how many times sources were; the last are in buffer N % 2 */
	pg_atomic_uint64 drained;	/* how far the last ones go */
} PoolDiagLedger;				/* the log and two PoolDiagRefusalSources after it */

extern Size pooldiag_ledger_size(void);
extern Size pooldiag_ledger_sources_size(void);
extern void pooldiag_ledger_init(PoolDiagLedger *ledger, TimestampTz now);
extern PoolDiagRing *pooldiag_ledger_log(PoolDiagLedger *ledger);
extern uint64 pooldiag_ledger_record(PoolDiagLedger *ledger, const PoolDiagRefusal *refusal);
extern void pooldiag_ledger_reset(PoolDiagLedger *ledger, TimestampTz now);
extern bool pooldiag_ledger_copy(PoolDiagLedger *ledger, PoolDiagLedger *copy);
extern uint64 pooldiag_ledger_waiting(PoolDiagLedger *ledger);
extern void pooldiag_ledger_begin(PoolDiagRefusalSources *sources);
extern bool pooldiag_ledger_read(PoolDiagLedger *ledger, PoolDiagRefusalSources *sources);
extern void pooldiag_ledger_catch_up(PoolDiagLedger *ledger, PoolDiagRefusalSources *sources);
extern void pooldiag_ledger_drain(PoolDiagLedger *ledger, PoolDiagRefusalSources *sources,
								  int64 now_ms, PoolDiagRefusalCallback each, void *context);

#endif /* POOLDIAG_LEDGER_H */
