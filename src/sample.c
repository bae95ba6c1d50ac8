/*
 * sample.c
 *	  Making one sample: from connections, one by one, to counts and peaks.
 *
 * The sampler fills the one that it publishes; a session that asks fills a copy of its own with
 * what it sees at that moment. No locks: a sample belongs to the process that fills it.
 */
#include "postgres.h"

#include "sample.h"

/* The bytes of a sample with room for that many pools. */
Size
pooldiag_sample_size(int max_pools)
{
	return offsetof(PoolDiagSample, pools) + pooldiag_pools_size(max_pools);
}

void
pooldiag_sample_init(PoolDiagSample *sample, int max_pools)
{
	memset(sample, 0, offsetof(PoolDiagSample, pools));
	pooldiag_pools_init(&sample->pools, max_pools);
}

/* Forgets what was counted, and keeps peaks, the directory, and since when rules fire. */
void
pooldiag_sample_clear_counts(PoolDiagSample *sample)
{
	memset(&sample->server, 0, sizeof(PoolDiagTally));
	for (int i = 0; i <= sample->pools.capacity; i++)
	{
		PoolDiagPool *row = &sample->pools.rows[i];

		row->before = row->tally.connections;
		memset(&row->tally, 0, sizeof(PoolDiagTally));
	}
	pooldiag_peaks_clear(&sample->databases);
	pooldiag_peaks_clear(&sample->roles);
}

static void
forget_peaks_of(PoolDiagPeakTable *table)
{
	for (int i = 0; i < table->used; i++)
		memset(&table->rows[i].peak, 0, sizeof(PoolDiagPeak));
}

/* Peaks begin anew, with those that are connected. */
void
pooldiag_sample_forget_peaks(PoolDiagSample *sample, TimestampTz now)
{
	const PoolDiagPeak none = {0};

	sample->connections_peak = sample->reserved_peak = none;
	sample->walsenders_peak = sample->workers_peak = none;
	forget_peaks_of(&sample->databases);
	forget_peaks_of(&sample->roles);
	for (int i = 0; i <= sample->pools.capacity; i++)
	{
		PoolDiagPool *row = &sample->pools.rows[i];

		row->connections_peak = row->checked_out_peak = none;
		row->most_connected = row->connected;
		pooldiag_peak_raise(&row->connections_peak, row->connected, now);
	}
}

PoolDiagCounted
pooldiag_sample_counted(const PoolDiagBackend *backend)
{
	PoolDiagCounted counted;

	counted.state = backend->state;
	counted.waits_for_lock = pooldiag_backends_waits_for_lock(backend);
	counted.backend_start = backend->backend_start;
	counted.query_start = backend->query_start;
	counted.state_change = backend->state_change;
	return counted;
}

/* Counts one connection for the server and for its pool, which may be POOLDIAG_NO_POOL. */
void
pooldiag_sample_add(PoolDiagSample *sample, const PoolDiagBackend *backend, int pool,
					TimestampTz now)
{
	PoolDiagCounted counted = pooldiag_sample_counted(backend);

	if (pool == POOLDIAG_NO_POOL)
		pooldiag_tally_add(&sample->server, &counted, NULL, now);
	else
	{
		PoolDiagPool *row = &sample->pools.rows[pool];

		pooldiag_tally_add(&row->tally, &counted, &row->limits, now);
		pooldiag_tally_add(&sample->server, &counted, &row->limits, now);
	}
}

/* Of that many connections, how many live in reserved slots: the server's overflow. */
int
pooldiag_sample_reserved_used(int connections)
{
	return Max(0, connections - pooldiag_backends_usable());
}

/* Raises the server's peaks: there were that many connections at once. */
void
pooldiag_sample_raise_connections(PoolDiagSample *sample, int connections, TimestampTz now)
{
	pooldiag_peak_raise(&sample->connections_peak, connections, now);
	pooldiag_peak_raise(&sample->reserved_peak, pooldiag_sample_reserved_used(connections), now);
}

/* Raises every peak to what this sample counted. */
void
pooldiag_sample_raise_peaks(PoolDiagSample *sample, TimestampTz now)
{
	pooldiag_sample_raise_connections(sample, sample->server.connections, now);
	pooldiag_peak_raise(&sample->walsenders_peak, sample->walsenders, now);
	pooldiag_peak_raise(&sample->workers_peak, sample->workers, now);
	for (int i = 0; i <= sample->pools.capacity; i++)
	{
		PoolDiagPool *row = &sample->pools.rows[i];

		if (!row->used)
			continue;
		row->most_connections = Max(row->most_connected, row->tally.connections);
		row->most_connected = row->connected;
		pooldiag_peak_raise(&row->checked_out_peak, pooldiag_tally_checked_out(&row->tally), now);
		if (row->tally.connections > 0)
			row->empty_since = 0;
		else if (row->empty_since == 0)
			row->empty_since = now;
	}
	pooldiag_peaks_raise(&sample->databases, now);
	pooldiag_peaks_raise(&sample->roles, now);
}
