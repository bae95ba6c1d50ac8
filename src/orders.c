/*
 * orders.c
 *	  What persons tell breakers to do, from sessions to the sampler.
 *
 * Only the sampler changes breakers. A session leaves its order in the one place that there is, wakes the sampler, and
 * waits until it is done. While the place is taken, others wait for it to be free, under no lock: the lock is for the
 * moment in which an order is written down, and the sampler never takes it. A session that is canceled while it waits
 * leaves its order to be done.
 */
#include "postgres.h"

#include <math.h>

#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"

#include "clock.h"
#include "compat.h"
#include "orders.h"
#include "shared.h"
#include "worker.h"

#define TRANCHE "pooldiag_orders"

/* Answers are kept for as many orders after theirs; who waits for one looks at once. */
#define ANSWERS 64

typedef struct Shared
{
	pg_atomic_uint64 given;			 /* how many orders there were; under the lock */
	pg_atomic_uint64 done;			 /* the sampler's; an order is waiting while this is less */
	PoolDiagOrdered order;			 /* under the lock, while none is waiting */
	PoolDiagObeyed answers[ANSWERS]; /* the sampler's: to the order with number N at N % ANSWERS */
	ConditionVariable answered;
} Shared;

static Shared *shared = NULL;
static LWLock *lock = NULL;

Size
pooldiag_orders_size(void)
{
	return sizeof(Shared);
}

/* To be called where shared memory is requested. */
void
pooldiag_orders_request(void)
{
	RequestNamedLWLockTranche(TRANCHE, 1);
}

void
pooldiag_orders_attach(char *at, bool made)
{
	shared = (Shared *) at;
	lock = &GetNamedLWLockTranche(TRANCHE)->lock;
	if (!made)
		return;
	pg_atomic_init_u64(&shared->given, 0);
	pg_atomic_init_u64(&shared->done, 0);
	ConditionVariableInit(&shared->answered);
}

/* Writes an order down, if there is room; its number, or 0. */
static uint64
try_to_give(const PoolDiagOrdered *ordered)
{
	uint64 number = 0;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	if (pg_atomic_read_u64(&shared->done) == pg_atomic_read_u64(&shared->given))
	{
		shared->order = *ordered;
		/* A full barrier. */
		number = pg_atomic_add_fetch_u64(&shared->given, 1);
	}
	LWLockRelease(lock);
	return number;
}

/* Gives an order and waits for its answer, timeout_ms at the most. */
PoolDiagObeyed
pooldiag_orders_give(const PoolDiagOrdered *ordered, long timeout_ms)
{
	static uint32 wait_event = 0;
	double deadline = pooldiag_clock_ms() + (double) timeout_ms;
	PoolDiagObeyed answer = POOLDIAG_OBEYED_NOT_YET;
	uint64 number = 0;

	if (wait_event == 0)
		wait_event = WaitEventExtensionNew("PoolDiagOrder");
	ConditionVariablePrepareToSleep(&shared->answered);
	for (;;)
	{
		double left = deadline - pooldiag_clock_ms();

		if (number == 0)
		{
			number = try_to_give(ordered);
			pooldiag_worker_wake(POOLDIAG_SAMPLER);
		}
		if (number != 0 && pg_atomic_read_u64(&shared->done) >= number)
		{
			pg_read_barrier();
			answer = shared->answers[number % ANSWERS];
			break;
		}
		if (left <= 0)
			break;
		ConditionVariableTimedSleep(&shared->answered, (long) ceil(left), wait_event);
	}
	ConditionVariableCancelSleep();
	return answer;
}

/* The order that waits, if there is one. It is to be answered before the next one is asked for. */
bool
pooldiag_orders_take(PoolDiagOrdered *ordered)
{
	if (pg_atomic_read_u64(&shared->given) == pg_atomic_read_u64(&shared->done))
		return false;
	pg_read_barrier();
	*ordered = shared->order;
	return true;
}

void
pooldiag_orders_done(PoolDiagObeyed how)
{
	uint64 number = pg_atomic_read_u64(&shared->done) + 1;

	shared->answers[number % ANSWERS] = how;
	/* A full barrier. */
	pg_atomic_add_fetch_u64(&shared->done, 1);
	ConditionVariableBroadcast(&shared->answered);
}
