/*
 * comeback.h
 *	  After a crash of one of the server's processes: the workers are back when redo starts, not when it ends.
 */
#ifndef POOLDIAG_COMEBACK_H
#define POOLDIAG_COMEBACK_H

extern void pooldiag_comeback_install_hooks(void);

#endif /* POOLDIAG_COMEBACK_H */
