/*
 * documents.h
 *	  Reports as JSON: the rows of a view, made by the code that makes the view's.
 *
 * Each writes the elements of an array. Texts are clean, and instants in UTC, to the second.
 */
#ifndef POOLDIAG_DOCUMENTS_H
#define POOLDIAG_DOCUMENTS_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

#include "live.h"

/* reports_pools.c */
extern void pooldiag_documents_pools(StringInfo json, const PoolDiagLive *live);
/* reports_advice.c */
extern void
pooldiag_documents_advice(StringInfo json, const PoolDiagLive *live, const List *advice);
/* reports_breakers.c */
extern void pooldiag_documents_alerts(StringInfo json, int limit);
/* reports_history.c */
extern int pooldiag_documents_history(StringInfo json, const char *pool, double since_seconds,
									  double step_seconds);

#endif /* POOLDIAG_DOCUMENTS_H */
