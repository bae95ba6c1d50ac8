/*
 * refusals.h
 *	  What runs where a session could not start, and what is made of it.
 */
#ifndef POOLDIAG_REFUSALS_H
#define POOLDIAG_REFUSALS_H

#include "ledger.h"

extern void pooldiag_refusals_install_hooks(void);
extern const char *pooldiag_refusals_reason(PoolDiagReason reason);
extern int pooldiag_refusals_sqlstate(PoolDiagReason reason);
extern bool pooldiag_refusals_piled_up(void);
extern uint64 pooldiag_refusals_taken_up(void);
extern uint64 pooldiag_refusals_drain(PoolDiagRefusalCallback each, void *context);
extern PoolDiagRefusalSources *pooldiag_refusals_read(void);
extern void pooldiag_refusals_reset(void);

#endif /* POOLDIAG_REFUSALS_H */
