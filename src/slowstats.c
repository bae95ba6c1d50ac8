/*
 * slowstats.c
 *	  Slow statements, added up by statement and database in bounded memory.
 *
 * A statement without a row takes a free one; when there is none, the row that weighs least. This is
 * Space-Saving, as in hitters.c, by time instead of by events: a row's weight is the time of the statement
 * that has it, and of those that had it before. So a statement that takes more than (all time / rows) has a
 * row, however many others come and go. What it is said to have taken is what it took since it has had the
 * row, and never too much.
 */
#include <string.h>

#include "slowstats.h"

#define NONE (-1)

/* To be called on any memory. */
void
pooldiag_slowstats_init(PoolDiagSlowStats *stats)
{
	memset(stats, 0, sizeof(*stats));
	for (int i = 0; i < POOLDIAG_SLOW_STATS_ROOM; i++)
		stats->rows[i].chain = NONE;
}

/* The head of the chain on which a key is, if it is anywhere. */
static int *
chain_of(PoolDiagSlowStats *stats, const PoolDiagSlowKey *key)
{
	uint64_t hash = (key->statement ^ key->database) * UINT64_C(0x9E3779B97F4A7C15);

	return &stats->rows[(hash >> 32) % POOLDIAG_SLOW_STATS_ROOM].chain;
}

static bool
same_key(const PoolDiagSlowKey *a, const PoolDiagSlowKey *b)
{
	return a->statement == b->statement && a->database == b->database && a->has_id == b->has_id;
}

static int
find(PoolDiagSlowStats *stats, const PoolDiagSlowKey *key)
{
	int row = *chain_of(stats, key);

	while (row != NONE && !same_key(&stats->rows[row].key, key))
		row = stats->rows[row].next;
	return row;
}

/* The row that weighs least; of several the one whose statement ran longest ago. */
static int
lightest(const PoolDiagSlowStats *stats)
{
	const PoolDiagSlowRow *rows = stats->rows;
	int best = 0;

	for (int i = 1; i < stats->used; i++)
		if (rows[i].weight_us < rows[best].weight_us ||
			(rows[i].weight_us == rows[best].weight_us && rows[i].last_at < rows[best].last_at))
			best = i;
	return best;
}

/* A row for a new statement. */
static int
take_row(PoolDiagSlowStats *stats, const PoolDiagSlowCall *call)
{
	PoolDiagSlowRow *rows = stats->rows;
	uint64_t weight = 0;
	int *link;
	int row;
	int chain;

	if (stats->used < POOLDIAG_SLOW_STATS_ROOM)
		row = stats->used++;
	else
	{
		row = lightest(stats);
		weight = rows[row].weight_us;
		for (link = chain_of(stats, &rows[row].key); *link != row; link = &rows[*link].next)
			;
		*link = rows[row].next;
		stats->replaced++;
	}
	chain = rows[row].chain;
	memset(&rows[row], 0, sizeof(rows[row]));
	rows[row].chain = chain;
	rows[row].key = call->key;
	rows[row].weight_us = weight;
	rows[row].first_at = call->finished_at;
	link = chain_of(stats, &call->key);
	rows[row].next = *link;
	*link = row;
	memset(stats->databases[row], 0, POOLDIAG_NAME_LEN);
	memcpy(stats->databases[row], call->database, strnlen(call->database, POOLDIAG_NAME_LEN - 1));
	stats->texts[row].encoding = POOLDIAG_NO_TEXT;
	return row;
}

/* Adds one statement that has ended. */
void
pooldiag_slowstats_add(PoolDiagSlowStats *stats, const PoolDiagSlowCall *call)
{
	int index = find(stats, &call->key);
	PoolDiagSlowRow *row;

	if (index == NONE)
		index = take_row(stats, call);
	row = &stats->rows[index];
	row->calls++;
	row->failures += call->failed;
	row->total_us += call->us;
	row->weight_us += call->us;
	if (row->max_us < call->us)
		row->max_us = call->us;
	if (row->last_at < call->finished_at)
		row->last_at = call->finished_at;
	/* It may have been hidden before. */
	if (stats->texts[index].encoding == POOLDIAG_NO_TEXT)
		stats->texts[index] = *call->text;
}
