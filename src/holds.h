/*
 * holds.h
 *	  How long the connections of each database were checked out.
 */
#ifndef POOLDIAG_HOLDS_H
#define POOLDIAG_HOLDS_H

#include "datatype/timestamp.h"

/* Databases that are told apart. */
#define POOLDIAG_HOLD_ROWS 256

/* What one session has held, by itself. */
typedef struct PoolDiagHold
{
	int row; /* of its database, or -1 */
	int64 us;
	TimestampTz until;	  /* when what is counted ended */
	char unused[64 - 24]; /* no two sessions write to one cache line */
} PoolDiagHold;

/* What the sessions of one database have held, since the last reset or, if that is later, since there is a row. */
typedef struct PoolDiagHeld
{
	Oid database; /* InvalidOid: none */
	int64 us;
	TimestampTz since; /* when the row was made */
} PoolDiagHeld;

/* This session's; NULL where pooldiag_my_slot is. */
extern PoolDiagHold *pooldiag_my_hold;

extern Size pooldiag_holds_size(void);
extern void pooldiag_holds_attach(char *at, bool made);
extern void pooldiag_holds_login(int procno);
extern void pooldiag_holds_connected(void);
extern void pooldiag_holds_logout(void);
extern void pooldiag_holds_read(PoolDiagHeld *held);
extern void pooldiag_holds_restore(const PoolDiagHeld *held);
extern void pooldiag_holds_reset(void);
extern int pooldiag_holds_used(void);
extern uint64 pooldiag_holds_dropped(void);

/* This session was checked out from begin to end; what of that was counted already isn't counted again. */
static inline void
pooldiag_holds_add(TimestampTz begin, TimestampTz end)
{
	PoolDiagHold *hold = pooldiag_my_hold;

	if (hold->until > begin && hold->until <= end)
		begin = hold->until;
	if (end > begin)
	{
		hold->us += end - begin;
		hold->until = end;
	}
}

#endif /* POOLDIAG_HOLDS_H */
