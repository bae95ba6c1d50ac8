/*
 * outcome.h
 *	  How a statement has ended: completed, failed, or canceled from outside.
 */
#ifndef POOLDIAG_OUTCOME_H
#define POOLDIAG_OUTCOME_H

#include <stdbool.h>

typedef enum PoolDiagOutcome
{
	POOLDIAG_COMPLETED,
	POOLDIAG_FAILED,
	POOLDIAG_CANCELED
} PoolDiagOutcome;

struct ErrorData;

extern void pooldiag_outcome_note(const struct ErrorData *edata);
extern PoolDiagOutcome pooldiag_outcome_of_error(int *sqlstate);

#endif /* POOLDIAG_OUTCOME_H */
