/*
 * advisor.h
 *	  The rules: what deserves attention, why, and what to do about it.
 */
#ifndef POOLDIAG_ADVISOR_H
#define POOLDIAG_ADVISOR_H

#include "advice.h"

extern void pooldiag_advisor_watch(const PoolDiagSample *sample);
extern List *pooldiag_advisor_advise(PoolDiagLive *live);

#endif /* POOLDIAG_ADVISOR_H */
