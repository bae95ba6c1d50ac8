/*
 * advice_settings.h
 *	  Rules on settings, of the server and of the extension itself.
 */
#ifndef POOLDIAG_ADVICE_SETTINGS_H
#define POOLDIAG_ADVICE_SETTINGS_H

#include "advice.h"

extern bool pooldiag_advice_memory_is_at_risk(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_memory_at_risk(PoolDiagCase *c, int pool);

/* Of whoever asks. */
extern void pooldiag_advice_sampler_silent(PoolDiagCase *c, int pool);
extern void pooldiag_advice_operations_failing(PoolDiagCase *c, int pool);

/* Of the catalog. */
extern void pooldiag_advice_missing_timeouts(PoolDiagCase *c, int pool);

#endif /* POOLDIAG_ADVICE_SETTINGS_H */
