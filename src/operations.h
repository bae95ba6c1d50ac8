/*
 * operations.h
 *	  The background worker that has alerts told, and sees to what may hang.
 */
#ifndef POOLDIAG_OPERATIONS_H
#define POOLDIAG_OPERATIONS_H

#include "fmgr.h"

#include "worker.h"

/* NULL where pooldiag was not preloaded. */
extern PoolDiagWorker *pooldiag_operations_worker;

extern Size pooldiag_operations_size(void);
extern void pooldiag_operations_attach(char *at, bool made);
extern PGDLLEXPORT void pooldiag_operations_main(Datum main_arg);

#endif /* POOLDIAG_OPERATIONS_H */
