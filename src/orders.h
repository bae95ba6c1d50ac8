/*
 * orders.h
 *	  What persons tell breakers to do, from sessions to the sampler.
 */
#ifndef POOLDIAG_ORDERS_H
#define POOLDIAG_ORDERS_H

#include "breakers.h"

typedef struct PoolDiagOrdered
{
	char breaker[POOLDIAG_BREAKER_NAME_LEN];
	PoolDiagOrder order;
	int64 duration_ms; /* of a silence */
} PoolDiagOrdered;

typedef enum PoolDiagObeyed
{
	POOLDIAG_OBEYED,
	POOLDIAG_OBEYED_NO_BREAKER, /* none has that name any more */
	POOLDIAG_OBEYED_NOT_YET		/* the sampler did not answer in time; it may still do it */
} PoolDiagObeyed;

extern Size pooldiag_orders_size(void);
extern void pooldiag_orders_attach(char *at, bool made);
extern void pooldiag_orders_request(void);

/* In a session. */
extern PoolDiagObeyed pooldiag_orders_give(const PoolDiagOrdered *ordered, long timeout_ms);

/* In the sampler. */
extern bool pooldiag_orders_take(PoolDiagOrdered *ordered);
extern void pooldiag_orders_done(PoolDiagObeyed how);

#endif /* POOLDIAG_ORDERS_H */
