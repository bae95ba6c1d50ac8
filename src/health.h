/*
 * health.h
 *	  The health documents.
 */
#ifndef POOLDIAG_HEALTH_H
#define POOLDIAG_HEALTH_H

#include "lib/stringinfo.h"

#include "advisor.h"
#include "live.h"

extern const char *pooldiag_health_status(const PoolDiagLive *live, const List *advice);
extern void
pooldiag_health_write(StringInfo json, const PoolDiagLive *live, const List *advice, bool detailed);

#endif /* POOLDIAG_HEALTH_H */
