/*
 * advice_index.h
 *	  The rule on indexes that slow statements lack.
 */
#ifndef POOLDIAG_ADVICE_INDEX_H
#define POOLDIAG_ADVICE_INDEX_H

#include "advice.h"

/* Of the catalog. */
extern void pooldiag_advice_missing_index(PoolDiagCase *c, int pool);

#endif /* POOLDIAG_ADVICE_INDEX_H */
