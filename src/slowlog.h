/*
 * slowlog.h
 *	  Slow statements that have ended, in shared memory: the newest one by one, and added up.
 */
#ifndef POOLDIAG_SLOWLOG_H
#define POOLDIAG_SLOWLOG_H

#include "datatype/timestamp.h"
#include "libpq/pqcomm.h"

#include "outcome.h"
#include "ring.h"
#include "slowstats.h"
#include "statefile.h"

/* Where a statement's text is. */
typedef enum PoolDiagTextSource
{
	POOLDIAG_TEXT_LOST,	   /* nowhere */
	POOLDIAG_TEXT_MESSAGE, /* what the session is known to be at is the message that it came in */
	POOLDIAG_TEXT_AT_HAND, /* in text */
	POOLDIAG_TEXT_TAKEN	   /* pooldiag_slowlog_take_text() has it */
} PoolDiagTextSource;

/* Which statement. Of the text, that many bytes (0: all) from there (-1: from its beginning). */
typedef struct PoolDiagQuery
{
	const char *text;
	int location;
	int length;
	uint64 id; /* 0: none was computed */
	PoolDiagTextSource source;
} PoolDiagQuery;

/* What of a slow statement's end is known where it ends. */
typedef struct PoolDiagSlowEnd
{
	const PoolDiagQuery *query;
	int64 us;
	TimestampTz at;
	PoolDiagOutcome outcome;
	int sqlstate; /* 0: none, or not known */
	uint64 rows;
} PoolDiagSlowEnd;

/* One of them. Names are in bytes of whatever encoding. */
typedef struct PoolDiagSlowStatement
{
	TimestampTz finished_at;
	int64 us;
	uint64 rows;
	PoolDiagSlowKey key;
	int32 pid;
	int32 outcome;
	int32 sqlstate;
	Oid userid;
	int32
		pool_is_known; /* else what these names belong to; and if its name is empty, it was a discovered one */
	SockAddr client;
	char user[NAMEDATALEN];
	char database[NAMEDATALEN];
	char application_name[NAMEDATALEN];
	char pool[NAMEDATALEN];
	PoolDiagSlowText text;
} PoolDiagSlowStatement;

typedef struct PoolDiagSlowSelf
{
	uint64 logged; /* since the last reset */
	uint64 lost;   /* in no statistics since then */
	int stats_used;
	uint64 stats_replaced;
} PoolDiagSlowSelf;

extern Size pooldiag_slowlog_size(void);
extern void pooldiag_slowlog_attach(char *at, bool made);
extern void pooldiag_slowlog_request(void);

/* In a session. */
extern void pooldiag_slowlog_take_text(PoolDiagQuery *query);
extern void pooldiag_slowlog_record(const PoolDiagSlowEnd *end);

/* In the sampler. */
extern void pooldiag_slowlog_drain(void);

/* Anywhere. */
extern PoolDiagRing *pooldiag_slowlog_ring(uint64 *oldest);
extern TimestampTz pooldiag_slowlog_read_stats(PoolDiagSlowStats *stats);
extern PoolDiagSlowSelf pooldiag_slowlog_self(void);
extern void pooldiag_slowlog_reset(void);

/* For what outlives the server. */
extern void pooldiag_slowlog_save(PoolDiagStateWriter *writer);
extern bool pooldiag_slowlog_load(PoolDiagStateReader *reader);

#endif /* POOLDIAG_SLOWLOG_H */
