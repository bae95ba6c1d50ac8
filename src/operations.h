/*
 * operations.h
 *	  The background worker that has alerts told, and sees to what may hang.
 */
#ifndef POOLDIAG_OPERATIONS_H
#define POOLDIAG_OPERATIONS_H

#include "fmgr.h"

extern PGDLLEXPORT void pooldiag_operations_main(Datum main_arg);

#endif /* POOLDIAG_OPERATIONS_H */
