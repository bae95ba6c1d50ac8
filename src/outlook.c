/*
 * outlook.c
 *	  What the advisor's rules judge beside the present: the last few minutes, and days.
 *
 * Runs in the sampler. Each tick adds to the trends (trends.c), its own memory; once a second, or whenever a tick was
 * asked for, their sums go into the sample, and what history says (past.c) of one pool after another, so that no tick
 * reads all of it; of all of them where a tick was asked for.
 */
#include "postgres.h"

#include "postmaster/postmaster.h"
#include "storage/bufmgr.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "clock.h"
#include "compat.h"
#include "counters.h"
#include "flows.h"
#include "machine.h"
#include "outlook.h"
#include "series.h"
#include "settings.h"
#include "shared.h"

#define JUDGED_MS 1000
/* How many times a second a pool's turn comes before it is the server's, whose history is longer. */
#define SERVER_EVERY 60

StaticAssertDecl(POOLDIAG_REASONS == POOLDIAG_TREND_REASONS, "each reason has its trend");

static PoolDiagTrends *trends = NULL;
static uint64 refused_before[POOLDIAG_REASONS];
static uint32 resets = 0;
static double next_judgement = 0;
static int turn = 0; /* whose history is read next */

Size
pooldiag_outlook_private_size(int max_pools)
{
	return pooldiag_trends_size(max_pools + 2);
}

/* The server's settings that rules look at, as this process has them. */
PoolDiagServerSettings
pooldiag_outlook_settings(void)
{
	PoolDiagServerSettings settings;

	settings.window_ms = pooldiag_advice_window * 1000;
	settings.idle_in_transaction_timeout_ms = IdleInTransactionSessionTimeout;
	settings.statement_timeout_ms = StatementTimeout;
	settings.log_min_duration_ms = log_min_duration_statement;
	settings.log_min_duration_sample_ms = log_min_duration_sample;
	settings.log_statement = log_statement;
	settings.work_mem_kb = work_mem;
	settings.hash_mem_multiplier = hash_mem_multiplier;
	settings.keepalives_idle_seconds = tcp_keepalives_idle;
	settings.check_interval_ms = client_connection_check_interval;
	settings.shared_buffers = (int64) NBuffers * BLCKSZ;
	settings.cores = pooldiag_machine_cores();
	settings.memory = pooldiag_machine_memory();
	return settings;
}

void
pooldiag_outlook_start(PoolDiagSample *sample)
{
	int rows = sample->pools.capacity + 2;

	trends = MemoryContextAllocHuge(TopMemoryContext, pooldiag_trends_size(rows));
	pooldiag_trends_init(trends, rows);
	for (int i = 0; i < POOLDIAG_REASONS; i++)
		refused_before[i] = pg_atomic_read_u64(&pooldiag_ledger->counters[i].refused);
	resets = pooldiag_counters_resets();
	next_judgement = pooldiag_clock_ms();
}

/* A tick begins. */
void
pooldiag_outlook_begin(const PoolDiagSample *sample)
{
	if (resets != pooldiag_counters_resets())
	{
		resets = pooldiag_counters_resets();
		pooldiag_trends_forget(trends);
	}
	pooldiag_trends_begin(trends, pooldiag_clock_ms() / 1000, sample->settings.window_ms / 1000.0);
}

/* It has seen an active connection in that wait event. */
void
pooldiag_outlook_active(uint32 event)
{
	pooldiag_trends_active(trends, event);
}

static void
add_row(const PoolDiagSample *sample, int index, int row, uint16 life, const PoolDiagTally *tally)
{
	double seconds;
	const int64 *flows = pooldiag_flows_counts(index, &seconds);

	pooldiag_trends_add(trends, row, life, seconds, tally->connections, flows);
}

static void
add_refused(void)
{
	for (int i = 0; i < POOLDIAG_REASONS; i++)
	{
		uint64 refused = pg_atomic_read_u64(&pooldiag_ledger->counters[i].refused);

		/* A reset has set it to zero. */
		if (refused < refused_before[i])
			refused_before[i] = 0;
		pooldiag_trends_refused(trends, i, (int64) (refused - refused_before[i]));
		refused_before[i] = refused;
	}
}

static void
publish_trends(PoolDiagSample *sample)
{
	PoolDiagPools *pools = &sample->pools;

	for (int i = 0; i <= pools->capacity; i++)
		if (pools->rows[i].used)
			pooldiag_trends_of(trends, i, pools->rows[i].life, &pools->rows[i].trend);
	pooldiag_trends_of(trends, pools->capacity + 1, 0, &sample->trend);
	pooldiag_trends_activity(trends, &sample->activity);
	for (int i = 0; i < POOLDIAG_REASONS; i++)
		sample->refused_lately[i] = pooldiag_trends_refusals(trends, i);
}

/* Reads the history of whose turn it is, or of all. */
static void
read_past(PoolDiagSample *sample, bool all)
{
	PoolDiagPools *pools = &sample->pools;

	if (all || turn % SERVER_EVERY == 0)
		pooldiag_series_past(NULL, sample->at, &sample->past);
	for (int i = 0; i <= pools->capacity; i++)
		if (pools->rows[i].used && (all || turn % (pools->capacity + 1) == i))
			pooldiag_series_past(&pools->rows[i], sample->at, &pools->rows[i].past);
	turn++;
}

/* Since when all connections of a declared pool are checked out. */
static void
watch_saturation(PoolDiagSample *sample)
{
	for (int i = sample->pools.first_declared; i >= 0; i = sample->pools.rows[i].next)
	{
		PoolDiagPool *pool = &sample->pools.rows[i];

		if (pooldiag_tally_checked_out(&pool->tally) < pool->limits.capacity)
			pool->saturated_since = 0;
		else if (pool->saturated_since == 0)
			pool->saturated_since = sample->at;
	}
}

/* The tick has counted, and history has been fed. Is it time to judge? Then what is judged is in the sample. */
bool
pooldiag_outlook_finish(PoolDiagSample *sample, bool asked)
{
	PoolDiagPools *pools = &sample->pools;
	double now = pooldiag_clock_ms();

	for (int i = 0; i <= pools->capacity; i++)
		if (pools->rows[i].used)
			add_row(sample, i, i, pools->rows[i].life, &pools->rows[i].tally);
	add_row(sample, POOLDIAG_FLOWS_SERVER, pools->capacity + 1, 0, &sample->server);
	add_refused();
	watch_saturation(sample);
	if (!asked && now < next_judgement)
		return false;
	next_judgement = now + JUDGED_MS - sample->interval_ms / 2.0;
	publish_trends(sample);
	read_past(sample, asked);
	return true;
}
