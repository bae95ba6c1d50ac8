/*
 * series.h
 *	  History in shared memory: one series for the server, and one for each pool, found by its name.
 */
#ifndef POOLDIAG_SERIES_H
#define POOLDIAG_SERIES_H

#include "history.h"
#include "sample.h"
#include "statefile.h"

typedef struct PoolDiagSeriesUse
{
	int series; /* of pools */
	int series_room;
	int64 points; /* of all series */
	int64 points_room;
} PoolDiagSeriesUse;

extern Size pooldiag_series_size(void);
extern void pooldiag_series_attach(char *at, bool made);
extern void pooldiag_series_feed(PoolDiagSample *sample);
extern void
pooldiag_series_rates(const PoolDiagPools *directory, int index, TimestampTz now, double *rates);
extern void pooldiag_series_past(const PoolDiagPool *row, TimestampTz now, PoolDiagPast *past);
extern PoolDiagSeries *pooldiag_series_read(const char *pool);
extern PoolDiagSeriesUse pooldiag_series_use(void);
extern void pooldiag_history_reset(void);

extern void pooldiag_series_save(PoolDiagStateWriter *writer);
extern bool pooldiag_series_load(PoolDiagStateReader *reader);

#endif /* POOLDIAG_SERIES_H */
