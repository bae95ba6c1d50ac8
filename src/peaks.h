/*
 * peaks.h
 *	  The most connections that databases, and roles, have had at once.
 *
 * Pure: unit tests link it. Instants are the server's, microseconds since 2000-01-01 UTC.
 */
#ifndef POOLDIAG_PEAKS_H
#define POOLDIAG_PEAKS_H

#include <stdint.h>

#include "tally.h"

/* How many are kept. Beyond that the emptiest makes way, and is counted. */
#define POOLDIAG_PEAK_ROWS 256

typedef struct PoolDiagPeakRow
{
	uint32_t oid;
	int connections; /* of this tick, so far */
	int before;		 /* at the end of the tick before */
	int connected;	 /* sessions, as they tell themselves (presence.c) */
	PoolDiagPeak peak;
} PoolDiagPeakRow;

typedef struct PoolDiagPeakTable
{
	int used;
	uint64_t evictions;
	PoolDiagPeakRow rows[POOLDIAG_PEAK_ROWS];
} PoolDiagPeakTable;

extern int pooldiag_peaks_row(PoolDiagPeakTable *table, uint32_t oid);
extern const PoolDiagPeak *pooldiag_peaks_find(const PoolDiagPeakTable *table, uint32_t oid);
extern void pooldiag_peaks_clear(PoolDiagPeakTable *table);
extern void pooldiag_peaks_raise(PoolDiagPeakTable *table, int64_t now);

#endif /* POOLDIAG_PEAKS_H */
