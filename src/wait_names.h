/*
 * wait_names.h
 *	  What wait events are called, as far as that can be told without a lock.
 */
#ifndef POOLDIAG_WAIT_NAMES_H
#define POOLDIAG_WAIT_NAMES_H

extern const char *pooldiag_wait_name(uint32 event);

#endif /* POOLDIAG_WAIT_NAMES_H */
