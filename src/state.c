/*
 * state.c
 *	  What each state of a connection is called and means for its pool.
 *
 * Pure: unit tests link it.
 */
#include "state.h"

static const char *const names[POOLDIAG_STATES] = {
	"starting",
	"active",
	"idle",
	"idle in transaction",
	"idle in transaction (aborted)",
	"fastpath function call",
	"disabled",
};

/* The state's name as pg_stat_activity spells it. */
const char *
pooldiag_state_name(PoolDiagState state)
{
	return names[state];
}

/* Has the pool handed this connection to code, as far as the server can tell? */
bool
pooldiag_state_checked_out(PoolDiagState state)
{
	return state == POOLDIAG_ACTIVE || state == POOLDIAG_FASTPATH ||
		   pooldiag_state_in_transaction_idle(state);
}

/* Idle inside a transaction, failed ones included: what can become a leak suspect. */
bool
pooldiag_state_in_transaction_idle(PoolDiagState state)
{
	return state == POOLDIAG_IDLE_IN_TRANSACTION || state == POOLDIAG_IDLE_IN_TRANSACTION_ABORTED;
}
