/*
 * sampler.h
 *	  The background worker that samples the server.
 */
#ifndef POOLDIAG_SAMPLER_H
#define POOLDIAG_SAMPLER_H

#include "fmgr.h"

extern void pooldiag_sampler_register(void);
extern bool pooldiag_sampler_wait_for_tick(long timeout_ms);
extern PGDLLEXPORT void pooldiag_sampler_main(Datum main_arg);

#endif /* POOLDIAG_SAMPLER_H */
