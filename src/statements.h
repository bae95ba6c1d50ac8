/*
 * statements.h
 *	  What a session does: statements and transactions, from their beginning to their end.
 */
#ifndef POOLDIAG_STATEMENTS_H
#define POOLDIAG_STATEMENTS_H

extern void pooldiag_statements_install_hooks(void);
extern void pooldiag_statements_end_session(void);

#endif /* POOLDIAG_STATEMENTS_H */
