/*
 * health_past.h
 *	  What the detailed health document says of what has happened.
 */
#ifndef POOLDIAG_HEALTH_PAST_H
#define POOLDIAG_HEALTH_PAST_H

#include "lib/stringinfo.h"

#include "live.h"

extern void pooldiag_health_past_write(StringInfo json, const PoolDiagLive *live);

#endif /* POOLDIAG_HEALTH_PAST_H */
