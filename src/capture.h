/*
 * capture.h
 *	  Freezes what led to the opening of a breaker.
 */
#ifndef POOLDIAG_CAPTURE_H
#define POOLDIAG_CAPTURE_H

#include "sample.h"

extern int64 pooldiag_capture_take(const PoolDiagSample *sample, PoolDiagBreakerKind kind, int pool,
								   const uint64 *refused, TimestampTz at);

#endif /* POOLDIAG_CAPTURE_H */
