/*
 * readiness.h
 *	  Does the server let sessions in, and could one work?
 */
#ifndef POOLDIAG_READINESS_H
#define POOLDIAG_READINESS_H

#include "live.h"

extern bool pooldiag_readiness_accepts(void);
extern const char *pooldiag_readiness_obstacle(const PoolDiagLive *live, const char *role);

#endif /* POOLDIAG_READINESS_H */
