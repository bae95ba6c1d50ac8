/*
 * outlook.h
 *	  What the advisor's rules judge beside the present: the last few minutes, and days.
 */
#ifndef POOLDIAG_OUTLOOK_H
#define POOLDIAG_OUTLOOK_H

#include "sample.h"

extern Size pooldiag_outlook_private_size(int max_pools);
extern PoolDiagServerSettings pooldiag_outlook_settings(void);

/* In the sampler, in this order. */
extern void pooldiag_outlook_start(PoolDiagSample *sample);
extern void pooldiag_outlook_begin(const PoolDiagSample *sample);
extern void pooldiag_outlook_active(uint32 event);
extern bool pooldiag_outlook_finish(PoolDiagSample *sample, bool asked);

#endif /* POOLDIAG_OUTLOOK_H */
