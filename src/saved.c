/*
 * saved.c
 *	  What of shared memory outlives the server, and what is done about a state file that can't be used.
 *
 * The file lies in pg_stat, beside that of pg_stat_statements: the server leaves what it doesn't know there alone,
 * after a crash too. (pg_stat_tmp, which base backups leave out, is for what may be gone at the next start.)
 * It is read by the postmaster while it makes shared memory, so that whoever starts finds what is there, and
 * written by the keeper.
 */
#include "postgres.h"

#include <unistd.h>

#include "miscadmin.h"
#include "pgstat.h"

#include "counters.h"
#include "saved.h"
#include "series.h"
#include "settings.h"
#include "shared.h"
#include "slowlog.h"

static const PoolDiagFileKind state_file = {
	.path = PGSTAT_STAT_PERMANENT_DIRECTORY "/pooldiag.state",
	.magic = "pooldiag",
	.format = 1,
	.name = "state file",
	.held = "history, counters and peaks",
};

/* What the section of the sample begins with: sizes as this build has them, and how many rows follow. */
typedef struct SampleShape
{
	uint32 pool_size;
	uint32 peak_table_size;
	int32 pools;
	int32 unused;
} SampleShape;

static SampleShape
shape_of_sample(int count)
{
	SampleShape shape = {sizeof(PoolDiagPool), sizeof(PoolDiagPeakTable), count, 0};

	return shape;
}

static void
put_row(PoolDiagStateWriter *writer, const PoolDiagPools *pools, int index)
{
	int32 saved_index = index == pools->capacity ? -1 : index;

	pooldiag_state_put(writer, &saved_index, sizeof(saved_index));
	pooldiag_state_put(writer, &pools->rows[index], sizeof(PoolDiagPool));
}

/* In which turn a row is put, as the last may find no room: declared ones, those with connections, others. */
static int
turn_of(const PoolDiagPool *row)
{
	if (row->declared)
		return 0;
	return row->tally.connections > 0 ? 1 : 2;
}

/* The newest sample; without one (yet) what the server was started with, or NULL. */
static PoolDiagSample *
newest_sample(void)
{
	/* In this order, since with the first sample what was restored is gone. */
	PoolDiagSample *restored = pooldiag_shared_read_restored();
	PoolDiagSample *sample = pooldiag_shared_read();

	return sample != NULL ? sample : restored;
}

static int
count_pools(const PoolDiagPools *pools)
{
	int count = 0;

	for (int i = 0; i <= pools->capacity; i++)
		count += pools->rows[i].used;
	return count;
}

/* Peaks, and the directory of pools. */
static void
save_sample(PoolDiagStateWriter *writer)
{
	const PoolDiagSample *sample = newest_sample();
	const PoolDiagPools *pools;
	SampleShape shape;

	if (sample == NULL)
		return;
	pools = &sample->pools;
	shape = shape_of_sample(count_pools(pools));
	pooldiag_state_put(writer, &shape, sizeof(shape));
	pooldiag_state_put(writer, &sample->connections_peak, sizeof(PoolDiagPeak));
	pooldiag_state_put(writer, &sample->reserved_peak, sizeof(PoolDiagPeak));
	pooldiag_state_put(writer, &sample->walsenders_peak, sizeof(PoolDiagPeak));
	pooldiag_state_put(writer, &sample->workers_peak, sizeof(PoolDiagPeak));
	pooldiag_state_put(writer, &sample->databases, sizeof(PoolDiagPeakTable));
	pooldiag_state_put(writer, &sample->roles, sizeof(PoolDiagPeakTable));
	put_row(writer, pools, pools->capacity);
	for (int turn = 0; turn <= 2; turn++)
		for (int i = 0; i < pools->capacity; i++)
			if (pools->rows[i].used && turn_of(&pools->rows[i]) == turn)
				put_row(writer, pools, i);
}

/* A table of peaks as it was, with nobody connected. */
static bool
get_peak_table(PoolDiagStateReader *reader, PoolDiagPeakTable *table)
{
	if (!pooldiag_state_get(reader, table, sizeof(*table)))
		return false;
	table->evictions = 0;
	for (int i = 0; i < POOLDIAG_PEAK_ROWS; i++)
	{
		table->rows[i].connections = 0;
		table->rows[i].before = 0;
	}
	return table->used >= 0 && table->used <= POOLDIAG_PEAK_ROWS;
}

static bool
load_sample(PoolDiagStateReader *reader)
{
	PoolDiagSample *sample = pooldiag_shared_restored();
	SampleShape shape;
	SampleShape expected;
	PoolDiagPool row;
	int32 index;
	int left_out = 0;

	pooldiag_sample_init(sample, pooldiag_max_pools);
	/* A server that never had a sample has put nothing. */
	if (!pooldiag_state_get(reader, &shape, sizeof(shape)))
		return true;
	expected = shape_of_sample(shape.pools);
	if (memcmp(&shape, &expected, sizeof(shape)) != 0 ||
		!pooldiag_state_get(reader, &sample->connections_peak, sizeof(PoolDiagPeak)) ||
		!pooldiag_state_get(reader, &sample->reserved_peak, sizeof(PoolDiagPeak)) ||
		!pooldiag_state_get(reader, &sample->walsenders_peak, sizeof(PoolDiagPeak)) ||
		!pooldiag_state_get(reader, &sample->workers_peak, sizeof(PoolDiagPeak)) ||
		!get_peak_table(reader, &sample->databases) || !get_peak_table(reader, &sample->roles))
		return false;
	for (int i = 0; i < shape.pools; i++)
	{
		if (!pooldiag_state_get(reader, &index, sizeof(index)) ||
			!pooldiag_state_get(reader, &row, sizeof(row)))
			return false;
		left_out += !pooldiag_pools_adopt(&sample->pools, index, &row);
	}
	if (left_out > 0)
		ereport(LOG, (errmsg("%d pools of before do not fit into pooldiag.max_pools = %d", left_out,
							 pooldiag_max_pools)));
	pooldiag_control->restored = true;
	return true;
}

/* What the section of counters begins with, and what each pool in it does. */
typedef struct CountersShape
{
	uint32 totals_size;
	int32 pools;
	TimestampTz reset_at;
} CountersShape;

typedef struct CountersOfPool
{
	char name[POOLDIAG_POOL_NAME_LEN];
	bool declared;
	int32 waits; /* how many events follow its totals */
} CountersOfPool;

typedef struct WaitOfPool
{
	uint32 event;
	uint64 samples;
} WaitOfPool;

static bool
is_of_pool(const PoolDiagWaitRow *wait, const PoolDiagPools *pools, int index)
{
	return wait->used && wait->pool == index && wait->life == pools->rows[index].life;
}

static void
put_counters(PoolDiagStateWriter *writer, const PoolDiagSample *sample, int index,
			 const PoolDiagTotals *totals)
{
	CountersOfPool head;

	/* Padding too, so that the same counters make the same file. */
	memset(&head, 0, sizeof(head));
	pooldiag_pools_name(&sample->pools, index, head.name);
	head.declared = sample->pools.rows[index].declared;
	for (int i = 0; i < POOLDIAG_WAIT_ROWS; i++)
		head.waits += is_of_pool(&sample->waits.rows[i], &sample->pools, index);
	pooldiag_state_put(writer, &head, sizeof(head));
	pooldiag_state_put(writer, totals, sizeof(*totals));
	for (int i = 0; i < POOLDIAG_WAIT_ROWS; i++)
	{
		const PoolDiagWaitRow *row = &sample->waits.rows[i];
		WaitOfPool wait;

		if (!is_of_pool(row, &sample->pools, index))
			continue;
		memset(&wait, 0, sizeof(wait));
		wait.event = row->event;
		wait.samples = row->samples;
		pooldiag_state_put(writer, &wait, sizeof(wait));
	}
}

/* What sessions have done and waited for, by the names of pools. */
static void
save_counters(PoolDiagStateWriter *writer)
{
	PoolDiagSample *sample = newest_sample();
	PoolDiagTotals *totals;
	CountersShape shape;

	if (sample == NULL)
		return;
	if (sample->waits_resets != pooldiag_counters_resets())
		memset(&sample->waits, 0, sizeof(sample->waits));
	shape.totals_size = sizeof(PoolDiagTotals);
	shape.pools = count_pools(&sample->pools);
	shape.reset_at = pooldiag_counters_reset_at();
	totals = palloc(sizeof(PoolDiagTotals) * (sample->pools.capacity + 1));
	pooldiag_counters_read(&sample->pools, totals);
	pooldiag_counters_add_departed(&sample->pools, totals);
	pooldiag_state_put(writer, &shape, sizeof(shape));
	for (int i = 0; i <= sample->pools.capacity; i++)
		if (sample->pools.rows[i].used)
			put_counters(writer, sample, i, &totals[i]);
}

/* The row of that name; what has none is (other)'s. */
static int
find_by_name(const PoolDiagPools *pools, const char *name, bool declared)
{
	for (int i = 0; i < pools->capacity; i++)
	{
		char of_row[POOLDIAG_POOL_NAME_LEN];

		if (!pools->rows[i].used || pools->rows[i].declared != declared)
			continue;
		pooldiag_pools_name(pools, i, of_row);
		if (strcmp(of_row, name) == 0)
			return i;
	}
	return pools->capacity;
}

static bool
load_counters(PoolDiagStateReader *reader)
{
	PoolDiagSample *sample = pooldiag_shared_restored();
	static PoolDiagTotals totals;
	CountersShape shape;

	if (!pooldiag_state_get(reader, &shape, sizeof(shape)))
		return true;
	/* They go by the directory, so that without that there is nowhere to put them. */
	if (shape.totals_size != sizeof(PoolDiagTotals) || !pooldiag_control->restored)
		return false;
	for (int i = 0; i < shape.pools; i++)
	{
		CountersOfPool head;
		int index;

		if (!pooldiag_state_get(reader, &head, sizeof(head)) ||
			!pooldiag_state_get(reader, &totals, sizeof(totals)))
			return false;
		head.name[sizeof(head.name) - 1] = '\0';
		index = find_by_name(&sample->pools, head.name, head.declared);
		pooldiag_counters_restore(&sample->pools, index, &totals);
		for (int w = 0; w < head.waits; w++)
		{
			WaitOfPool wait;

			if (!pooldiag_state_get(reader, &wait, sizeof(wait)))
				return false;
			pooldiag_waits_add(&sample->waits, &sample->pools, index, wait.event, wait.samples);
		}
	}
	pooldiag_counters_restore_reset_at(shape.reset_at);
	return true;
}

/* What the section of refused connections begins with. */
typedef struct RefusalsShape
{
	uint32 size;
	uint32 entry_size;
	uint32 reasons;
	uint32 unused;
} RefusalsShape;

static RefusalsShape
shape_of_refusals(void)
{
	RefusalsShape shape = {(uint32) pooldiag_ledger_size(), sizeof(PoolDiagRefusal),
						   POOLDIAG_REASONS, 0};

	return shape;
}

static void
save_refusals(PoolDiagStateWriter *writer)
{
	RefusalsShape shape = shape_of_refusals();
	PoolDiagLedger *copy = palloc(shape.size);

	while (!pooldiag_ledger_copy(pooldiag_ledger, copy))
		CHECK_FOR_INTERRUPTS();
	pooldiag_state_put(writer, &shape, sizeof(shape));
	pooldiag_state_put(writer, copy, shape.size);
}

static bool
load_refusals(PoolDiagStateReader *reader)
{
	RefusalsShape expected = shape_of_refusals();
	RefusalsShape shape;

	return pooldiag_state_get(reader, &shape, sizeof(shape)) &&
		   memcmp(&shape, &expected, sizeof(shape)) == 0 &&
		   pooldiag_state_get(reader, pooldiag_ledger, shape.size);
}

/* A part that is to outlive the server adds its line here. */
static const PoolDiagSection sections[] = {
	{"sample", 1, save_sample, load_sample},
	{"counters", 1, save_counters,
	 load_counters}, /* after the sample, whose directory they go by */
	{"refusals", 1, save_refusals, load_refusals},
	{"slow_queries", 1, pooldiag_slowlog_save, pooldiag_slowlog_load},
	{"history", 1, pooldiag_series_save, pooldiag_series_load},
};

/* Writes the state file. It may wait for the disk for as long as that takes. */
PoolDiagStateWritten
pooldiag_saved_write(void)
{
	return pooldiag_statefile_write(&state_file, sections, lengthof(sections));
}

/*
 * Reads the state file into shared memory that was just made. Returns when the file was written, or 0 where
 * there was none that could be used. Only the postmaster calls it, before anybody else looks.
 */
TimestampTz
pooldiag_saved_load(void)
{
	TimestampTz saved_at = 0;
	char detail[256] = "";
	PoolDiagFileVerdict verdict = pooldiag_statefile_read(&state_file, sections, lengthof(sections),
														  &saved_at, detail, sizeof(detail));

	if (verdict == POOLDIAG_FILE_READ)
		return saved_at;
	if (verdict != POOLDIAG_FILE_ABSENT)
		pooldiag_nodefile_set_aside(&state_file, state_file.path, verdict, detail);
	return 0;
}
