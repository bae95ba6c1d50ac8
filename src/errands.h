/*
 * errands.h
 *	  Which operations are due that need a connection to a database, and what becomes of those that run.
 */
#ifndef POOLDIAG_ERRANDS_H
#define POOLDIAG_ERRANDS_H

extern void pooldiag_errands_start(void);
extern void pooldiag_errands_configured(void);
extern double pooldiag_errands_attend(void);

#endif /* POOLDIAG_ERRANDS_H */
