/*
 * saved.h
 *	  What of shared memory outlives the server, in its state file.
 */
#ifndef POOLDIAG_SAVED_H
#define POOLDIAG_SAVED_H

#include "statefile.h"

extern TimestampTz pooldiag_saved_load(void);
extern PoolDiagStateWritten pooldiag_saved_write(void);

#endif /* POOLDIAG_SAVED_H */
