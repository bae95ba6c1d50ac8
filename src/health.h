/*
 * health.h
 *	  The health documents.
 */
#ifndef POOLDIAG_HEALTH_H
#define POOLDIAG_HEALTH_H

#include "lib/stringinfo.h"

#include "advisor.h"
#include "live.h"

extern const char *pooldiag_health_obstacle(const PoolDiagLive *live, const char *role);
extern bool pooldiag_health_is_fit(const char *status);
extern const char *pooldiag_health_status(const PoolDiagLive *live, const List *advice);
extern void pooldiag_health_write(StringInfo json, const PoolDiagLive *live, const List *advice,
								  bool detailed, bool with_names);

#endif /* POOLDIAG_HEALTH_H */
