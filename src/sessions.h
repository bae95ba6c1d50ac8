/*
 * sessions.h
 *	  What runs inside sessions.
 */
#ifndef POOLDIAG_SESSIONS_H
#define POOLDIAG_SESSIONS_H

extern void pooldiag_sessions_install_hooks(void);
extern bool pooldiag_sessions_identity(int procno, int pid, char *user, char *database);

#endif /* POOLDIAG_SESSIONS_H */
