/*
 * reports_counters.h
 *	  What sessions have done, for the reports that show some of it.
 */
#ifndef POOLDIAG_REPORTS_COUNTERS_H
#define POOLDIAG_REPORTS_COUNTERS_H

#include "counters.h"
#include "live.h"
#include "rows.h"

extern PoolDiagTotals *pooldiag_live_totals(const PoolDiagLive *live);
extern bool pooldiag_totals_any(const PoolDiagTotals *totals);
extern bool pooldiag_live_reports(const PoolDiagLive *live, int pool, const PoolDiagTotals *totals);
extern void pooldiag_row_quantile(PoolDiagRow *row, const uint64 *histogram, double p);

#endif /* POOLDIAG_REPORTS_COUNTERS_H */
