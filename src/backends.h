/*
 * backends.h
 *	  The one reader of core's backend status and PGPROC.
 */
#ifndef POOLDIAG_BACKENDS_H
#define POOLDIAG_BACKENDS_H

#include "datatype/timestamp.h"
#include "libpq/pqcomm.h"

#include "state.h"

/* What pooldiag_backends_read copies beside the fields that every reader needs. */
#define POOLDIAG_READ_CLIENT 0x01 /* application name and client address */
#define POOLDIAG_READ_WAIT 0x02	  /* the wait event of every state, not of active ones only */
#define POOLDIAG_READ_XMIN 0x04	  /* xid and xmin */
#define POOLDIAG_READ_QUERY 0x08  /* the query's text, into the caller's buffer */
#define POOLDIAG_READ_ALL 0x0F

/*
 * One connection as it was at one moment. The first 64 bytes are what a sampler's tick touches. An
 * instant of zero is not known.
 */
typedef struct PoolDiagBackend
{
	int pid;		 /* 0: the slot is free */
	int entry;		 /* in the status array, or -1: has none yet */
	int changecount; /* of the entry when it was read */
	PoolDiagState state;
	Oid databaseid;
	Oid userid;
	uint32 wait_event_info;
	int procno;
	TimestampTz state_change;
	TimestampTz query_start;
	TimestampTz xact_start;
	TimestampTz backend_start;
	uint64 query_id;
	TransactionId xid;
	TransactionId xmin;
	char *query; /* pgstat_track_activity_query_size bytes of the caller's, or NULL */

	/* From here on only under POOLDIAG_READ_CLIENT; the hot reports don't touch it. */
	char application_name[NAMEDATALEN];
	SockAddr client;
} PoolDiagBackend;

typedef enum PoolDiagRead
{
	POOLDIAG_SLOT_FREE,		 /* nobody holds this slot */
	POOLDIAG_SLOT_UNCHANGED, /* the same as the caller's copy, its wait event apart */
	POOLDIAG_SLOT_CHANGED,	 /* the copy was made anew */
	POOLDIAG_SLOT_BUSY		 /* its owner was writing each time; the caller's copy stays */
} PoolDiagRead;

/* The server's slots by what may hold them; only regular ones are connections. */
typedef enum PoolDiagSlotRange
{
	POOLDIAG_SLOTS_REGULAR,
	POOLDIAG_SLOTS_WORKERS,
	POOLDIAG_SLOTS_WALSENDERS
} PoolDiagSlotRange;

extern void pooldiag_backends_find_array(void);
extern PoolDiagRead
pooldiag_backends_read(int procno, int what, int max_tries, PoolDiagBackend *backend);
extern void pooldiag_backends_range(PoolDiagSlotRange range, int *first, int *count);
extern int pooldiag_backends_slot_of(int pid);
extern int pooldiag_backends_occupied(PoolDiagSlotRange range);
extern int pooldiag_backends_usable(void);
extern int pooldiag_backends_reserved(void);
extern TransactionId pooldiag_backends_oldest_xmin(Oid databaseid);
extern TransactionId pooldiag_backends_oldest_prepared(void);
extern TransactionId pooldiag_backends_horizon(TransactionId xid, TransactionId xmin);
extern bool pooldiag_backends_am_running(void);
extern bool pooldiag_backends_is_known(const PoolDiagBackend *backend);
extern bool pooldiag_backends_waits_for_lock(const PoolDiagBackend *backend);

#endif /* POOLDIAG_BACKENDS_H */
