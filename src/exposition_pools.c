/*
 * exposition_pools.c
 *	  The metrics of pools, and what pools are called in labels.
 *
 * There are as many as the view pools has, pooldiag.max_pools and (other) at the most, whatever names strangers give
 * themselves. What a discovered pool has counted is (other)'s when it makes way for another one, so that sums over all
 * pools never go down.
 *
 * The figures of an exposition agree with each other: how many statements there were is what their histogram has, and
 * so are transactions, and sessions opened and closed. A session counts each of these a moment before its duration,
 * without a lock, and may be read in between.
 */
#include "postgres.h"

#include "utils/hsearch.h"

#include "exposition_pools.h"
#include "reports_counters.h"
#include "text.h"

/* Room for a name that has a number behind it, since another pool has the same one. */
#define UNIQUE_NAME_LEN (POOLDIAG_POOL_NAME_LEN + 16)

/*
 * The bounds of histograms, exclusive, in microseconds: in each the durations below are whole buckets, so that what is
 * counted below them is exact. They are some of those next above 1, 2.5 and 5 of each power of ten, closest where it is
 * decided what is slow: each one is a series of each pool that somebody has to keep.
 */
static const int64_t statement_bounds[] = {256,		1024,	 2560,	  5120,		10240,
										   26624,	53248,	 106496,  262144,	524288,
										   1048576, 2621440, 5242880, 10485760, 31457280};
static const int64_t hold_bounds[] = {1024,	   2560,	5120,	  10240,	26624,
									  53248,   106496,	262144,	  524288,	1048576,
									  2621440, 5242880, 10485760, 31457280, 62914560};
static const int64_t connect_bounds[] = {1024,	2560,	5120,	10240,	 26624,
										 53248, 106496, 262144, 1048576, 5242880};
/* From 10 ms to about an hour, and eight of them. */
static const int64_t lifetime_bounds[] = {10240,	106496,	   1048576,	   10485760,
										  62914560, 603979776, 3758096384, 30064771072};

#define MOST_BOUNDS lengthof(statement_bounds)

/* ---------------------------------------------------------------- which pools -------------------- */

/*
 * Gives a pool its name, and a number behind it where another one has the same: a sample that is there twice would
 * spoil the whole exposition. They differ by bytes that are of no encoding that the reader has, or by control characters.
 */
static char *
name_pool(const PoolDiagLive *live, int pool, HTAB *names)
{
	char *clean = pstrdup(pooldiag_text_clean(pooldiag_live_pool_name(live, pool)));
	char *unique = palloc(UNIQUE_NAME_LEN);
	int number = 1;
	bool found;

	for (char *at = clean; *at != '\0'; at++)
		*at = pooldiag_label_byte(*at);
	strlcpy(unique, clean, UNIQUE_NAME_LEN);
	while (hash_search(names, unique, HASH_ENTER, &found) != NULL && found)
		snprintf(unique, UNIQUE_NAME_LEN, "%s (%d)", clean, ++number);
	return unique;
}

static void
expose(PoolDiagExposedPools *exposed, const PoolDiagLive *live, int pool, PoolDiagTotals *totals,
	   HTAB *names)
{
	PoolDiagExposedPool *to = &exposed->pools[exposed->count++];

	to->pool = &live->sample->pools.rows[pool];
	to->totals = totals == NULL ? NULL : &totals[pool];
	to->name = name_pool(live, pool, names);
	to->labels.length = 0;
	pooldiag_labels_add(&to->labels, "pool", to->name);
}

/* The pools that there are, as the view pools has them for this reader: declared ones first, (other) last. */
PoolDiagExposedPools
pooldiag_exposition_find_pools(const PoolDiagLive *live)
{
	const PoolDiagPools *pools = &live->sample->pools;
	PoolDiagTotals *totals = pooldiag_live_totals(live);
	PoolDiagExposedPools exposed = {0};
	HASHCTL control = {0};
	HTAB *names;

	control.keysize = UNIQUE_NAME_LEN;
	control.entrysize = UNIQUE_NAME_LEN;
	control.hcxt = CurrentMemoryContext;
	names = hash_create("pooldiag names of pools", 64, &control,
						HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	exposed.pools = palloc(sizeof(PoolDiagExposedPool) * (pools->capacity + 1));
	for (int i = pools->first_declared; i >= 0; i = pools->rows[i].next)
		expose(&exposed, live, i, totals, names);
	exposed.declared = exposed.count;
	for (int i = 0; i <= pools->capacity; i++)
		if (!pools->rows[i].declared && pooldiag_live_reports(live, i, totals))
			expose(&exposed, live, i, totals, names);
	hash_destroy(names);
	return exposed;
}

/* ---------------------------------------------------------------- what is told of them ----------- */

/* A figure of a pool; those of the past only where there are totals. */
typedef int64 (*PoolFigure)(const PoolDiagPool *pool);

static int64
size_of(const PoolDiagPool *pool)
{
	return pool->limits.size;
}

static int64
max_overflow_of(const PoolDiagPool *pool)
{
	return pool->limits.max_overflow;
}

static int64
instances_of(const PoolDiagPool *pool)
{
	return pool->limits.instances;
}

static int64
capacity_of(const PoolDiagPool *pool)
{
	return pool->limits.capacity;
}

static int64
overflow_of(const PoolDiagPool *pool)
{
	return Max(0, pool->tally.connections - (int64) pool->limits.size * pool->limits.instances);
}

static int64
checked_out_of(const PoolDiagPool *pool)
{
	return pooldiag_tally_checked_out(&pool->tally);
}

static int64
peak_checked_out_of(const PoolDiagPool *pool)
{
	return Max(pool->checked_out_peak.value, pooldiag_tally_checked_out(&pool->tally));
}

static int64
leaks_of(const PoolDiagPool *pool)
{
	return pool->tally.leaks;
}

static int64
over_recycle_of(const PoolDiagPool *pool)
{
	return pool->tally.over_recycle;
}

/* Who a figure is known of. */
typedef enum Known
{
	OF_DECLARED,
	OF_ALL,
	OF_ALL_SAMPLED /* and only for who may see all sessions */
} Known;

static const struct
{
	const char *name;
	Known known;
	PoolFigure figure;
	const char *help;
} gauges[] = {
	{"pooldiag_pool_size", OF_DECLARED, size_of,
	 "Connections that each instance of the pool keeps, as declared."},
	{"pooldiag_pool_max_overflow", OF_DECLARED, max_overflow_of,
	 "Connections that each instance may open beyond its size, as declared."},
	{"pooldiag_pool_instances", OF_DECLARED, instances_of,
	 "Processes that run such a pool, as declared."},
	{"pooldiag_pool_capacity", OF_DECLARED, capacity_of,
	 "The most connections that the pool may open: instances * (size + max_overflow)."},
	{"pooldiag_pool_overflow", OF_DECLARED, overflow_of, "Connections beyond instances * size."},
	{"pooldiag_pool_checked_out", OF_ALL, checked_out_of,
	 "Connections that the pool has handed to code, as far as the server can tell: active, "
	 "fastpath "
	 "function call, idle in transaction."},
	{"pooldiag_pool_peak_checked_out", OF_ALL_SAMPLED, peak_checked_out_of,
	 "The most connections that were checked out at once."},
	{"pooldiag_pool_leak_suspects", OF_ALL, leaks_of,
	 "Connections idle in transaction for longer than the pool's leak."},
	{"pooldiag_pool_over_recycle", OF_ALL, over_recycle_of,
	 "Connections older than the pool's recycle."},
};

static const struct
{
	const char *name;
	PoolDiagCount count;
	const char *unit; /* seconds, of what is counted in microseconds; or NULL */
	const char *help;
} counters[] = {
	{"pooldiag_pool_transactions", POOLDIAG_XACTS, NULL,
	 "Transactions that have ended. Of a discovered pool that makes way for another one, what was "
	 "counted goes to the pool (other), here as in all that follows."},
	{"pooldiag_pool_statements", POOLDIAG_STATEMENTS, NULL,
	 "Top-level statements that have ended, failed ones, utility statements, DECLARE and FETCH "
	 "included; equal to the count of pooldiag_pool_statement_duration_seconds."},
	{"pooldiag_pool_statement_failures", POOLDIAG_FAILURES, NULL,
	 "Top-level statements that ended in an error, canceled ones included."},
	{"pooldiag_pool_statement_cancels", POOLDIAG_CANCELS, NULL,
	 "Of the failures, those that were ended from outside: canceled, timed out, terminated."},
	{"pooldiag_pool_connections_opened", POOLDIAG_OPENED, NULL,
	 "Sessions that have finished their start-up."},
	{"pooldiag_pool_connections_closed", POOLDIAG_CLOSED, NULL, "Sessions that have ended."},
	{"pooldiag_pool_connections_refused", POOLDIAG_REFUSED, NULL,
	 "Connections that were turned away, as far as it is known whose they were; "
	 "pooldiag_refused_connections has all."},
	{"pooldiag_pool_hold_idle_seconds", POOLDIAG_HOLD_IDLE_US, "seconds",
	 "Time for which transactions held a connection and did nothing: idle in transaction."},
};

static const struct
{
	const char *name;
	PoolDiagKind kind;
	PoolDiagCount count;
	PoolDiagCount sum;
	const int64_t *bounds;
	int bound_count;
	const char *help;
} histograms[] = {
	{"pooldiag_pool_statement_duration_seconds", POOLDIAG_KIND_STATEMENT, POOLDIAG_STATEMENTS,
	 POOLDIAG_STATEMENT_US, statement_bounds, lengthof(statement_bounds),
	 "How long top-level statements took, failed ones included."},
	{"pooldiag_pool_hold_seconds", POOLDIAG_KIND_TRANSACTION, POOLDIAG_XACTS, POOLDIAG_HOLD_US,
	 hold_bounds, lengthof(hold_bounds),
	 "How long transactions held their connection, from their start to their end."},
	{"pooldiag_pool_connect_duration_seconds", POOLDIAG_KIND_CONNECT, POOLDIAG_OPENED,
	 POOLDIAG_CONNECT_US, connect_bounds, lengthof(connect_bounds),
	 "How long sessions took to start, from the server process to the first statement."},
	{"pooldiag_pool_session_lifetime_seconds", POOLDIAG_KIND_LIFETIME, POOLDIAG_CLOSED,
	 POOLDIAG_LIFETIME_US, lifetime_bounds, lengthof(lifetime_bounds),
	 "How long sessions lasted that have ended."},
};

static void
write_connections(PoolDiagMetrics *metrics, const PoolDiagExposedPools *exposed)
{
	pooldiag_metrics_family(metrics, "pooldiag_pool_connections", POOLDIAG_METRIC_GAUGE, NULL,
							"Connections by pool and state.");
	for (int i = 0; i < exposed->count; i++)
	{
		PoolDiagExposedPool *pool = &exposed->pools[i];
		size_t length = pool->labels.length;

		for (int state = 0; state < POOLDIAG_STATES; state++)
		{
			pooldiag_labels_add(&pool->labels, "state", pooldiag_state_name((PoolDiagState) state));
			pooldiag_metrics_int(metrics, &pool->labels, pool->pool->tally.by_state[state]);
			pool->labels.length = length;
		}
	}
}

static void
write_gauges(PoolDiagMetrics *metrics, const PoolDiagLive *live,
			 const PoolDiagExposedPools *exposed)
{
	for (int gauge = 0; gauge < (int) lengthof(gauges); gauge++)
	{
		int count = gauges[gauge].known == OF_DECLARED ? exposed->declared : exposed->count;

		if (gauges[gauge].known == OF_ALL_SAMPLED && !(live->sampled && live->sees_all))
			continue;
		pooldiag_metrics_family(metrics, gauges[gauge].name, POOLDIAG_METRIC_GAUGE, NULL,
								gauges[gauge].help);
		for (int i = 0; i < count; i++)
			pooldiag_metrics_int(metrics, &exposed->pools[i].labels,
								 gauges[gauge].figure(exposed->pools[i].pool));
	}
}

/* What counts the same things is made to say the same. */
static void
agree(const PoolDiagExposedPools *exposed)
{
	for (int i = 0; i < exposed->count; i++)
		for (int h = 0; h < (int) lengthof(histograms); h++)
			exposed->pools[i].totals->sums[histograms[h].count] =
				pooldiag_histogram_count(exposed->pools[i].totals->histogram[histograms[h].kind]);
}

static void
write_counters(PoolDiagMetrics *metrics, const PoolDiagExposedPools *exposed)
{
	for (int counter = 0; counter < (int) lengthof(counters); counter++)
	{
		pooldiag_metrics_family(metrics, counters[counter].name, POOLDIAG_METRIC_COUNTER,
								counters[counter].unit, counters[counter].help);
		for (int i = 0; i < exposed->count; i++)
		{
			const PoolDiagLabels *labels = &exposed->pools[i].labels;
			int64 value = (int64) exposed->pools[i].totals->sums[counters[counter].count];

			if (counters[counter].unit != NULL)
				pooldiag_metrics_seconds(metrics, labels, value);
			else
				pooldiag_metrics_int(metrics, labels, value);
		}
	}
}

static void
write_histograms(PoolDiagMetrics *metrics, const PoolDiagExposedPools *exposed)
{
	for (int h = 0; h < (int) lengthof(histograms); h++)
	{
		pooldiag_metrics_family(metrics, histograms[h].name, POOLDIAG_METRIC_HISTOGRAM, "seconds",
								histograms[h].help);
		for (int i = 0; i < exposed->count; i++)
		{
			const PoolDiagTotals *totals = exposed->pools[i].totals;
			const uint64 *histogram = totals->histogram[histograms[h].kind];
			uint64_t below[MOST_BOUNDS];

			for (int b = 0; b < histograms[h].bound_count; b++)
				Assert(pooldiag_histogram_lower_us(pooldiag_histogram_bucket(
						   histograms[h].bounds[b])) == histograms[h].bounds[b]);
			pooldiag_histogram_below(histogram, histograms[h].bounds, histograms[h].bound_count,
									 below);
			pooldiag_metrics_histogram(metrics, &exposed->pools[i].labels, histograms[h].bounds,
									   below, histograms[h].bound_count,
									   totals->sums[histograms[h].count],
									   totals->sums[histograms[h].sum]);
		}
	}
}

/* Writes all metrics of pools; those of what they have done only where that is known, and for who may see all sessions. */
void
pooldiag_exposition_write_pools(PoolDiagMetrics *metrics, const PoolDiagLive *live,
								const PoolDiagExposedPools *exposed)
{
	write_connections(metrics, exposed);
	write_gauges(metrics, live, exposed);
	/* All have totals, or none. */
	if (exposed->count == 0 || exposed->pools[0].totals == NULL)
		return;
	agree(exposed);
	write_counters(metrics, exposed);
	write_histograms(metrics, exposed);
}
