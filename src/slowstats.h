/*
 * slowstats.h
 *	  Slow statements, added up by statement and database in bounded memory.
 *
 * Pure: unit tests link it. Instants are the server's, microseconds since 2000-01-01 UTC.
 */
#ifndef POOLDIAG_SLOWSTATS_H
#define POOLDIAG_SLOWSTATS_H

#include <stdbool.h>
#include <stdint.h>

#include "grammar.h"

/* Statements that are told apart, and bytes that are kept of a statement's text. */
#define POOLDIAG_SLOW_STATS_ROOM 512
#define POOLDIAG_SLOW_TEXT_ROOM 1024

/* In place of an encoding: the text is not known. */
#define POOLDIAG_NO_TEXT (-1)

/* A statement's text, or as much of it as there is room for, in whole characters. */
typedef struct PoolDiagSlowText
{
	int32_t encoding; /* the server's number for it, or POOLDIAG_NO_TEXT */
	int32_t length;
	int32_t cut; /* there is more of it */
	char bytes[POOLDIAG_SLOW_TEXT_ROOM];
} PoolDiagSlowText;

/* Which statement, in which database. */
typedef struct PoolDiagSlowKey
{
	uint64_t statement; /* its query id, or a hash of its text */
	uint32_t database;
	uint32_t has_id;
} PoolDiagSlowKey;

/* All that was counted of a statement since it has had this row. */
typedef struct PoolDiagSlowRow
{
	PoolDiagSlowKey key;
	uint64_t calls;
	uint64_t failures; /* calls that ended in an error */
	uint64_t total_us;
	uint64_t max_us;
	uint64_t weight_us; /* total_us, and what the row weighed when this statement got it */
	int64_t first_at;
	int64_t last_at;
	int chain; /* first row whose hash is this row's index, or -1 */
	int next;  /* of its hash chain, or -1 */
} PoolDiagSlowRow;

typedef struct PoolDiagSlowStats
{
	int used;
	uint64_t replaced; /* statements that made way for another */
	PoolDiagSlowRow rows[POOLDIAG_SLOW_STATS_ROOM];
	char databases[POOLDIAG_SLOW_STATS_ROOM][POOLDIAG_NAME_LEN];
	PoolDiagSlowText texts[POOLDIAG_SLOW_STATS_ROOM];
} PoolDiagSlowStats;

/* One statement that has ended. */
typedef struct PoolDiagSlowCall
{
	PoolDiagSlowKey key;
	uint64_t us;
	bool failed;
	int64_t finished_at;
	const char *database; /* its name */
	const PoolDiagSlowText *text;
} PoolDiagSlowCall;

extern void pooldiag_slowstats_init(PoolDiagSlowStats *stats);
extern void pooldiag_slowstats_add(PoolDiagSlowStats *stats, const PoolDiagSlowCall *call);

#endif /* POOLDIAG_SLOWSTATS_H */
