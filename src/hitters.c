/*
 * hitters.c
 *	  Counting events by source in a table of fixed size, so that the heaviest sources are in it.
 *
 * This is Space-Saving (Metwally, Agrawal, El Abbadi: Efficient Computation of Frequent and Top-k
 * Elements in Data Streams, 2005). A source without a row takes a free one; when there is none, it takes
 * the row with the lowest count, goes on from that count, and keeps it as the error that its own count
 * may have. So
 *
 *	  - the counts add up to the number of events;
 *	  - count - at_most_over <= events of the source <= count, as long as it has a row;
 *	  - a source with more than (events / capacity) of the events has a row.
 *
 * Rows are ranked by count. A count grows by one, so the row changes places with the last one of those
 * that had the same count, which a binary search finds.
 */
#include <string.h>

#include "hitters.h"

#define NONE (-1)

/* The bytes of a table with room for that many sources. */
size_t
pooldiag_hitters_size(int capacity)
{
	return offsetof(PoolDiagHitters, rows) + sizeof(PoolDiagHitter) * (size_t) capacity;
}

void
pooldiag_hitters_init(PoolDiagHitters *hitters, int capacity)
{
	memset(hitters, 0, pooldiag_hitters_size(capacity));
	hitters->capacity = capacity;
	for (int i = 0; i < capacity; i++)
		hitters->rows[i].chain = NONE;
}

/* The head of the chain on which the source is, if it is anywhere. */
static int *
chain_of(PoolDiagHitters *hitters, const PoolDiagSource *source)
{
	const unsigned char *bytes = (const unsigned char *) source;
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < sizeof(PoolDiagSource); i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	return &hitters->rows[hash % (uint32_t) hitters->capacity].chain;
}

static int
find(const PoolDiagHitters *hitters, int chain, const PoolDiagSource *source)
{
	while (chain != NONE && memcmp(&hitters->rows[chain].source, source, sizeof(*source)) != 0)
		chain = hitters->rows[chain].next;
	return chain;
}

/* A row for a new source: a free one, or the one with the lowest count, whose source goes. */
static int
take_row(PoolDiagHitters *hitters)
{
	PoolDiagHitter *rows = hitters->rows;
	int row;
	int *link;

	if (hitters->used < hitters->capacity)
	{
		/* Its count is 0 and the others' are not, so it has the lowest rank. */
		row = hitters->used++;
		for (int rank = row; rank > 0; rank--)
		{
			rows[rank].at_rank = rows[rank - 1].at_rank;
			rows[rows[rank].at_rank].rank = rank;
		}
		rows[0].at_rank = row;
		rows[row].rank = 0;
		return row;
	}
	row = rows[0].at_rank;
	for (link = chain_of(hitters, &rows[row].source); *link != row; link = &rows[*link].next)
		;
	*link = rows[row].next;
	rows[row].at_most_over = rows[row].count;
	hitters->replaced++;
	return row;
}

/* The highest rank that has the same count as this one. */
static int
last_of_count(const PoolDiagHitters *hitters, int rank)
{
	const PoolDiagHitter *rows = hitters->rows;
	uint64_t count = rows[rows[rank].at_rank].count;
	int low = rank;
	int high = hitters->used - 1;

	while (low < high)
	{
		int middle = (low + high + 1) / 2;

		if (rows[rows[middle].at_rank].count == count)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/* Counts one event of that source. */
void
pooldiag_hitters_add(PoolDiagHitters *hitters, const PoolDiagSource *source, int64_t at)
{
	PoolDiagHitter *rows = hitters->rows;
	int *chain = chain_of(hitters, source);
	int row = find(hitters, *chain, source);
	int rank;
	int last;

	if (row == NONE)
	{
		row = take_row(hitters);
		rows[row].source = *source;
		rows[row].next = *chain;
		*chain = row;
	}

	rank = rows[row].rank;
	last = last_of_count(hitters, rank);
	rows[rank].at_rank = rows[last].at_rank;
	rows[rows[rank].at_rank].rank = rank;
	rows[last].at_rank = row;
	rows[row].rank = last;
	rows[row].count++;
	rows[row].last_at = at;
}
