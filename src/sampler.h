/*
 * sampler.h
 *	  The background worker that samples the server.
 */
#ifndef POOLDIAG_SAMPLER_H
#define POOLDIAG_SAMPLER_H

#include "fmgr.h"

/* How long a session waits for a tick that it has asked for, in milliseconds. */
#define POOLDIAG_TICK_TIMEOUT_MS 10000

extern bool pooldiag_sampler_wait_for_tick(long timeout_ms);
extern PGDLLEXPORT void pooldiag_sampler_main(Datum main_arg);

#endif /* POOLDIAG_SAMPLER_H */
