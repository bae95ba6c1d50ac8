/*
 * hitters.h
 *	  The sources that most events come from, in bounded memory, each with its possible error.
 *
 * Pure: unit tests link it. Instants are the server's, microseconds since 2000-01-01 UTC.
 */
#ifndef POOLDIAG_HITTERS_H
#define POOLDIAG_HITTERS_H

#include <stddef.h>
#include <stdint.h>

#include "grammar.h"

/* Room for an address in numbers. */
#define POOLDIAG_CLIENT_LEN 48

/* Who caused an event. What the strings don't use is zero, so that sources compare as memory. */
typedef struct PoolDiagSource
{
	int32_t reason;
	char user[POOLDIAG_NAME_LEN];
	char database[POOLDIAG_NAME_LEN];
	char application_name[POOLDIAG_NAME_LEN];
	char client[POOLDIAG_CLIENT_LEN];
} PoolDiagSource;

typedef struct PoolDiagHitter
{
	PoolDiagSource source;
	uint64_t count; /* never less than the source's events */
	uint64_t
		at_most_over; /* by how many it may be more: those of sources that had the row before */
	int64_t last_at;
	int rank;	 /* its place among the rows, the lowest count first */
	int at_rank; /* which row has the place that is this row's index */
	int chain;	 /* first row whose hash is this row's index, or -1 */
	int next;	 /* of its hash chain, or -1 */
} PoolDiagHitter;

typedef struct PoolDiagHitters
{
	int capacity;
	int used;
	uint64_t replaced; /* sources that made way for another */
	PoolDiagHitter rows[];
} PoolDiagHitters;

extern size_t pooldiag_hitters_size(int capacity);
extern void pooldiag_hitters_init(PoolDiagHitters *hitters, int capacity);
extern void
pooldiag_hitters_add(PoolDiagHitters *hitters, const PoolDiagSource *source, int64_t at);

#endif /* POOLDIAG_HITTERS_H */
