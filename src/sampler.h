/*
 * sampler.h
 *	  The background worker that samples the server.
 */
#ifndef POOLDIAG_SAMPLER_H
#define POOLDIAG_SAMPLER_H

#include "fmgr.h"

#include "backends.h"

/* How long a session waits for a tick that it has asked for, in milliseconds. */
#define POOLDIAG_TICK_TIMEOUT_MS 10000

extern bool pooldiag_sampler_wait_for_tick(long timeout_ms);
extern PGDLLEXPORT void pooldiag_sampler_main(Datum main_arg);

/* In the sampler. */
extern const PoolDiagBackend *pooldiag_sampler_seen(int procno, int pid, int *pool);
extern bool pooldiag_sampler_is_past(int procno);

#endif /* POOLDIAG_SAMPLER_H */
