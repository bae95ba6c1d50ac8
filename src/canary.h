/*
 * canary.h
 *	  The canary: does what an application does, so that somebody notices when that can't be done.
 */
#ifndef POOLDIAG_CANARY_H
#define POOLDIAG_CANARY_H

extern Size pooldiag_canary_size(void);
extern void pooldiag_canary_attach(char *at, bool made);

/* In its own process. */
extern void pooldiag_canary_run(void);

/* In the sampler. */
extern void pooldiag_canary_hold(bool hold);
extern void pooldiag_canary_expect(bool expected);

/* Anywhere. */
extern bool pooldiag_canary_is_held(void);
extern double pooldiag_canary_silence(void);
extern bool pooldiag_canary_is_well(void);

#endif /* POOLDIAG_CANARY_H */
