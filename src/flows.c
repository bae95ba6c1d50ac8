/*
 * flows.c
 *	  What sessions have done since the tick before, by pool.
 *
 * Counters (counters.c) only say what has been done since they began. The sampler remembers what it has read of
 * each slot and of each pool's totals, and what has come since is what flows. Where a session moves its counts to
 * its pool's totals, these grow by what the slot shrinks, and nothing flows; where a tick comes in between, it
 * finds too little, and the next one the rest. So the sum of what flows is what was counted, but for what a reset
 * takes away before a tick has seen it.
 *
 * Histograms are read once a second, and of the slots only those that have counted since.
 *
 * All of it is the sampler's own memory, sized at its start. A sampler that is started again begins with what is
 * there, and what came since its predecessor's last tick flows nowhere.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "clock.h"
#include "compat.h"
#include "counters.h"
#include "flows.h"

#define NOWHERE (-1)

/* The counters that flow, history's first and in its order, and the histograms. */
static const PoolDiagCount counted[] = {POOLDIAG_XACTS,	  POOLDIAG_STATEMENTS,	 POOLDIAG_OPENED,
										POOLDIAG_CLOSED,  POOLDIAG_REFUSED,		 POOLDIAG_FAILURES,
										POOLDIAG_HOLD_US, POOLDIAG_HOLD_IDLE_US, POOLDIAG_WRITES,
										POOLDIAG_LOST,	  POOLDIAG_CANCELS};
static const PoolDiagKind timed[] = {POOLDIAG_KIND_TRANSACTION, POOLDIAG_KIND_STATEMENT};

#define COUNTS ((int) lengthof(counted))

StaticAssertDecl(lengthof(counted) == POOLDIAG_FLOWS, "each has its name in trends.h");
StaticAssertDecl(POOLDIAG_FLOW_REFUSED == (int) POOLDIAG_COUNTER_REFUSED, "history's come first");
StaticAssertDecl(lengthof(timed) == POOLDIAG_TIMINGS, "each of its timings flows");

/* For whom something of a slot was read last. */
typedef struct SeenOwner
{
	uint32 owner;
	int index; /* of the row that had its totals, or NOWHERE */
} SeenOwner;

/* What was read of a slot last. */
typedef struct SeenSlot
{
	SeenOwner counted_for;
	SeenOwner timed_for;
	uint64 counts[COUNTS];
	uint64 times; /* how many its histograms had */
	uint32 timings[POOLDIAG_TIMINGS][POOLDIAG_BUCKETS];
} SeenSlot;

/* A row: what was read of its totals last, what has come since, and what flows with this tick. */
typedef struct Flow
{
	uint32 life;
	uint64 counts[COUNTS];
	uint64 times;
	uint64 timings[POOLDIAG_TIMINGS][POOLDIAG_BUCKETS];

	int64 coming[COUNTS];
	int64 coming_timings[POOLDIAG_TIMINGS][POOLDIAG_BUCKETS];
	bool times_come; /* any of them isn't zero */

	int64 flowing[COUNTS];
	uint32 flowing_timings[POOLDIAG_TIMINGS][POOLDIAG_BUCKETS];
	bool times_flow;
} Flow;

static SeenSlot *seen = NULL;
static bool *untimed = NULL; /* slots of which counts were read, and histograms not yet */
static Flow *flows = NULL;	 /* of each row, (other), and the server */
static int others = 0;		 /* the index of (other); that of the server is one more */
static uint32 resets = 0;
static bool read_anew = false; /* a reset came while slots were read */
static uint64 refused_before = 0;
static int64 timed_second = 0; /* in which histograms were read last */
static double taken_at = 0;
static double elapsed = -1; /* seconds since the tick before; negative: there was none */

/* The bytes that this keeps. */
Size
pooldiag_flows_size(int max_pools)
{
	return add_size(mul_size(sizeof(SeenSlot), MaxConnections),
					mul_size(sizeof(Flow), max_pools + 2));
}

/* Notes whose a slot is now; the row that loses what was read of it, as *from, and the one that has it now. */
static int
change_owner(SeenOwner *last, uint32 owner, int *from)
{
	int to = NOWHERE;

	if (owner != POOLDIAG_NO_OWNER)
		to = flows[owner & 0xFFFF].life == owner >> 16 ? (int) (owner & 0xFFFF) : others;
	/* Where its row has changed hands, the totals have gone to (other), and what was read with them. */
	*from = last->owner == owner ? to : last->index;
	last->owner = owner;
	last->index = to;
	return to;
}

static void
read_slot_timings(SeenSlot *mine, const PoolDiagSlot *slot, uint32 owner)
{
	uint64 times = slot != NULL ? slot->sums[POOLDIAG_XACTS] + slot->sums[POOLDIAG_STATEMENTS] : 0;
	int from;
	int to;

	if (mine->timed_for.owner == owner && mine->times == times)
		return;
	to = change_owner(&mine->timed_for, owner, &from);
	mine->times = times;
	for (int t = 0; t < POOLDIAG_TIMINGS; t++)
	{
		const uint32 *counts = NULL;

		if (slot != NULL && to != NOWHERE)
			counts = slot->durations[timed[t]];
		for (int b = 0; b < POOLDIAG_BUCKETS; b++)
		{
			uint32 before = mine->timings[t][b];
			uint32 now = counts != NULL ? counts[b] : 0;

			if (now == before && from == to)
				continue;
			if (from != NOWHERE)
				flows[from].coming_timings[t][b] -= before;
			if (to != NOWHERE)
				flows[to].coming_timings[t][b] += now;
			mine->timings[t][b] = now;
		}
	}
	if (from != NOWHERE)
		flows[from].times_come = true;
	if (to != NOWHERE)
		flows[to].times_come = true;
}

static void
read_slot(int procno, bool timings)
{
	SeenSlot *mine = &seen[procno];
	uint32 owner;
	const PoolDiagSlot *slot = pooldiag_counters_slot(procno, &owner);
	int from;
	int to = change_owner(&mine->counted_for, owner, &from);

	for (int i = 0; i < COUNTS; i++)
	{
		uint64 now = to != NOWHERE ? slot->sums[counted[i]] : 0;

		if (from != NOWHERE)
			flows[from].coming[i] -= (int64) mine->counts[i];
		if (to != NOWHERE)
			flows[to].coming[i] += (int64) now;
		mine->counts[i] = now;
	}
	if (timings)
		read_slot_timings(mine, slot, owner);
}

/* What the former pool of a row had is in (other) now, as far as it has been read. */
static void
follow_life(Flow *flow, uint32 life)
{
	Flow *other = &flows[others];

	if (flow->life == life)
		return;
	if (flow != other)
	{
		for (int i = 0; i < COUNTS; i++)
		{
			other->counts[i] += flow->counts[i];
			other->coming[i] += flow->coming[i];
		}
		for (int t = 0; t < POOLDIAG_TIMINGS; t++)
			for (int b = 0; b < POOLDIAG_BUCKETS; b++)
			{
				other->timings[t][b] += flow->timings[t][b];
				other->coming_timings[t][b] += flow->coming_timings[t][b];
			}
		other->times_come = true;
		memset(flow, 0, sizeof(*flow));
	}
	flow->life = life;
}

static void
read_totals(Flow *flow, PoolDiagPoolTotals *totals, bool timings)
{
	uint64 times = pg_atomic_read_u64(&totals->sums[POOLDIAG_XACTS]) +
				   pg_atomic_read_u64(&totals->sums[POOLDIAG_STATEMENTS]);

	for (int i = 0; i < COUNTS; i++)
	{
		uint64 now = pg_atomic_read_u64(&totals->sums[counted[i]]);

		/* Refused connections have a reset of their own. */
		if (counted[i] == POOLDIAG_REFUSED && now < flow->counts[i])
			flow->counts[i] = 0;
		flow->coming[i] += (int64) (now - flow->counts[i]);
		flow->counts[i] = now;
	}
	if (!timings || times == flow->times)
		return;
	flow->times = times;
	flow->times_come = true;
	for (int t = 0; t < POOLDIAG_TIMINGS; t++)
		for (int b = 0; b < POOLDIAG_BUCKETS; b++)
		{
			uint64 now = pg_atomic_read_u64(&totals->histogram[timed[t]][b]);

			flow->coming_timings[t][b] += (int64) (now - flow->timings[t][b]);
			flow->timings[t][b] = now;
		}
}

/* Lets flow what has come; what is negative waits for what was late. */
static void
let_flow(Flow *flow, Flow *server)
{
	for (int i = 0; i < COUNTS; i++)
	{
		flow->flowing[i] = Max(flow->coming[i], 0);
		flow->coming[i] -= flow->flowing[i];
		server->flowing[i] += flow->flowing[i];
	}
	flow->times_flow = false;
	if (!flow->times_come)
		return;
	flow->times_come = false;
	for (int t = 0; t < POOLDIAG_TIMINGS; t++)
		for (int b = 0; b < POOLDIAG_BUCKETS; b++)
		{
			int64 count = Max(flow->coming_timings[t][b], 0);

			flow->flowing_timings[t][b] = (uint32) count;
			if (flow->coming_timings[t][b] == 0)
				continue;
			flow->coming_timings[t][b] -= count;
			if (flow->coming_timings[t][b] != 0)
				flow->times_come = true;
			server->flowing_timings[t][b] += (uint32) count;
			flow->times_flow = true;
		}
	server->times_flow = server->times_flow || flow->times_flow;
}

/* Forgets what was read and what has come, as all is zero now. */
static void
begin_from_zero(void)
{
	for (int procno = 0; procno < MaxConnections; procno++)
	{
		memset(&seen[procno], 0, sizeof(SeenSlot));
		seen[procno].counted_for.owner = seen[procno].timed_for.owner = POOLDIAG_NO_OWNER;
		seen[procno].counted_for.index = seen[procno].timed_for.index = NOWHERE;
	}
	for (int index = 0; index <= others; index++)
	{
		uint32 life = flows[index].life;

		memset(&flows[index], 0, sizeof(Flow));
		flows[index].life = life;
	}
}

/* What a new sampler finds came before it. */
static void
begin_here(void)
{
	for (int index = 0; index <= others; index++)
	{
		memset(flows[index].coming, 0, sizeof(flows[index].coming));
		memset(flows[index].coming_timings, 0, sizeof(flows[index].coming_timings));
	}
}

/*
 * In the sampler, at each tick, when sessions have pools and the departed have been followed: finds what has come
 * since the last call. active says which slots may have counted something. refused is how many connections the server has refused since it began.
 */
void
pooldiag_flows_take(int max_pools, const bool *active, uint64 refused, TimestampTz now)
{
	bool first = flows == NULL;
	bool timings = now / USECS_PER_SEC != timed_second;
	bool anew = first || read_anew || resets != pooldiag_counters_resets();
	double clock = pooldiag_clock_ms() / 1000;
	Flow *server;

	if (first)
	{
		seen = MemoryContextAllocHuge(TopMemoryContext, sizeof(SeenSlot) * MaxConnections);
		untimed = MemoryContextAllocZero(TopMemoryContext, MaxConnections);
		flows = MemoryContextAllocZero(TopMemoryContext, sizeof(Flow) * (max_pools + 2));
		others = max_pools;
	}
	server = &flows[others + 1];
	memset(server, 0, sizeof(*server));
	if (anew)
	{
		resets = pooldiag_counters_resets();
		begin_from_zero();
	}
	read_anew = false;
	timed_second = now / USECS_PER_SEC;

	for (int index = 0; index <= others; index++)
		follow_life(&flows[index], pg_atomic_read_u32(&pooldiag_counters_totals(index)->life));
	/* In this order, so that what is moved meanwhile is late, and not there twice. */
	for (int index = 0; index <= others; index++)
		read_totals(&flows[index], pooldiag_counters_totals(index), anew || timings);
	for (int procno = 0; procno < MaxConnections; procno++)
		if (anew || active[procno] || (timings && untimed[procno]))
		{
			read_slot(procno, anew || timings);
			untimed[procno] = !(anew || timings);
		}
	pg_read_barrier();
	if (first)
		begin_here();
	else if (resets != pooldiag_counters_resets())
	{
		/* A reset came in between: nobody knows which of this was before it. */
		read_anew = true;
		begin_from_zero();
	}
	for (int index = 0; index <= others; index++)
		let_flow(&flows[index], server);
	server->flowing[POOLDIAG_COUNTER_REFUSED] = (int64) (refused - refused_before);
	refused_before = refused;
	elapsed = first ? -1 : clock - taken_at;
	taken_at = clock;
}

/* Adds to a moment what flows with this tick to a row, or to the server. */
void
pooldiag_flows_put(int index, PoolDiagMoment *moment)
{
	const Flow *flow = &flows[index == POOLDIAG_FLOWS_SERVER ? others + 1 : index];

	if (elapsed < 0)
		return;
	moment->counted_seconds = elapsed;
	for (int i = 0; i < POOLDIAG_COUNTERS; i++)
		moment->counters[i] = flow->flowing[i];
	for (int t = 0; t < POOLDIAG_TIMINGS; t++)
		moment->timings[t] = flow->times_flow ? flow->flowing_timings[t] : NULL;
}

/* How many statements flow with this tick on the whole server, and how many of them have failed. */
void
pooldiag_flows_statements(int64 *finished, int64 *failed)
{
	const Flow *server = &flows[others + 1];

	*finished = server->flowing[POOLDIAG_COUNTER_STATEMENTS];
	*failed = server->flowing[POOLDIAG_FLOW_FAILURES];
}

/*
 * What flows with this tick to a row, or to the server: POOLDIAG_FLOWS counts, and the seconds that it took, negative
 * if that is not known.
 */
const int64 *
pooldiag_flows_counts(int index, double *seconds)
{
	*seconds = elapsed;
	return flows[index == POOLDIAG_FLOWS_SERVER ? others + 1 : index].flowing;
}
