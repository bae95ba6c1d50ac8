/*
 * readiness.h
 *	  Does the server let sessions in?
 */
#ifndef POOLDIAG_READINESS_H
#define POOLDIAG_READINESS_H

extern bool pooldiag_readiness_accepts(void);

#endif /* POOLDIAG_READINESS_H */
