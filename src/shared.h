/*
 * shared.h
 *	  What pooldiag keeps in shared memory: its layout, and who writes what under which protection.
 */
#ifndef POOLDIAG_SHARED_H
#define POOLDIAG_SHARED_H

#include "port/atomics.h"
#include "storage/condition_variable.h"

#include "ledger.h"
#include "presence.h"
#include "sample.h"

/* The names under which a session logged in, in the bytes that the client sent. */
typedef struct PoolDiagIdentity
{
	int pid; /* written last, and zeroed first: who the names belong to */
	char user[NAMEDATALEN];
	char database[NAMEDATALEN];
} PoolDiagIdentity;

typedef struct PoolDiagControl
{
	/* When this memory was made: at the server's start, and again after a crash. */
	TimestampTz started_at;

	/* sample_now(): a session raises the first, the sampler follows with the second. */
	pg_atomic_uint64 ticks_requested;
	pg_atomic_uint64 ticks_served;
	ConditionVariable tick_served;

	/* How many samples were published; that of number N stands in buffer N % 2. */
	pg_atomic_uint64 published;

	/* Has buffer 0, until the first sample is published, peaks and pools of before the server's start? */
	bool restored;
} PoolDiagControl;

/* NULL where pooldiag was not preloaded. */
extern PoolDiagControl *pooldiag_control;
extern PoolDiagLedger *pooldiag_ledger;
extern PoolDiagPresence *pooldiag_presence;

/*
 * A part of shared memory. Its size must not change while the server runs; attach is told where the part is, and
 * whether it was made just now, all zero.
 */
typedef struct PoolDiagPart
{
	const char *name;
	Size (*size)(void);
	void (*attach)(char *at, bool made);
} PoolDiagPart;

#define POOLDIAG_SHARED_PARTS 5

extern const PoolDiagPart pooldiag_shared_parts[POOLDIAG_SHARED_PARTS];

extern PoolDiagIdentity *pooldiag_shared_identity(int procno);
extern void pooldiag_shared_publish(const PoolDiagSample *sample);
extern PoolDiagSample *pooldiag_shared_read(void);
extern bool pooldiag_shared_find_pool(const char *user, const char *database,
									  const char *application_name, int *index, uint16 *life);
extern PoolDiagSample *pooldiag_shared_restored(void);
extern PoolDiagSample *pooldiag_shared_read_restored(void);
extern void pooldiag_shared_require(void);

#endif /* POOLDIAG_SHARED_H */
