/*
 * advice_slots.h
 *	  Rules on the server's connection slots, and on who was turned away.
 */
#ifndef POOLDIAG_ADVICE_SLOTS_H
#define POOLDIAG_ADVICE_SLOTS_H

#include "advice.h"

extern bool pooldiag_advice_slots_are_nearly_full(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_slots_nearly_full(PoolDiagCase *c, int pool);
extern bool pooldiag_advice_were_refused(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_refused_connections(PoolDiagCase *c, int pool);
extern bool pooldiag_advice_failed_authentication(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_authentication_failures(PoolDiagCase *c, int pool);
extern bool pooldiag_advice_has_no_reserve(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_no_reserved_slots(PoolDiagCase *c, int pool);
extern bool pooldiag_advice_has_too_many_slots(const PoolDiagSample *sample, int pool);
extern void pooldiag_advice_max_connections_oversized(PoolDiagCase *c, int pool);

/* Of the catalog. */
extern void pooldiag_advice_role_or_database_limit(PoolDiagCase *c, int pool);

#endif /* POOLDIAG_ADVICE_SLOTS_H */
