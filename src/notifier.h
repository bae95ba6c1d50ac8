/*
 * notifier.h
 *	  Alerts to those who LISTEN.
 */
#ifndef POOLDIAG_NOTIFIER_H
#define POOLDIAG_NOTIFIER_H

typedef struct PoolDiagNotified
{
	uint64 sent;
	uint64 skipped; /* on a standby, where nobody can be notified */
} PoolDiagNotified;

extern Size pooldiag_notifier_size(void);
extern void pooldiag_notifier_attach(char *at, bool made);

/* In its own process. */
extern void pooldiag_notifier_run(void);

/* In operations. */
extern bool pooldiag_notifier_has_work(void);
extern void pooldiag_notifier_skip(void);

/* Anywhere. */
extern PoolDiagNotified pooldiag_notifier_use(void);

#endif /* POOLDIAG_NOTIFIER_H */
