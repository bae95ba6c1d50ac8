/*
 * state.h
 *	  The states of a connection, in the order in which every report has them.
 */
#ifndef POOLDIAG_STATE_H
#define POOLDIAG_STATE_H

#include <stdbool.h>

typedef enum PoolDiagState
{
	POOLDIAG_STARTING,
	POOLDIAG_ACTIVE,
	POOLDIAG_IDLE,
	POOLDIAG_IDLE_IN_TRANSACTION,
	POOLDIAG_IDLE_IN_TRANSACTION_ABORTED,
	POOLDIAG_FASTPATH,
	POOLDIAG_DISABLED
} PoolDiagState;

#define POOLDIAG_STATES (POOLDIAG_DISABLED + 1)

extern const char *pooldiag_state_name(PoolDiagState state);
extern bool pooldiag_state_checked_out(PoolDiagState state);
extern bool pooldiag_state_in_transaction_idle(PoolDiagState state);

#endif /* POOLDIAG_STATE_H */
