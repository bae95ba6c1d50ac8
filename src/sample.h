/*
 * sample.h
 *	  What one tick of the sampler knows: the server's connections, counted by state, pool, database
 * and role.
 */
#ifndef POOLDIAG_SAMPLE_H
#define POOLDIAG_SAMPLE_H

#include "datatype/timestamp.h"

#include "backends.h"
#include "breakers.h"
#include "peaks.h"
#include "pools.h"
#include "tally.h"
#include "waits.h"

/* What the sampler costs. CPU is its process's user and system time. */
typedef struct PoolDiagSelf
{
	uint64 ticks;		 /* this one included; what they cost is of those before it */
	uint64 missed_ticks; /* deadlines that passed while a tick or something else ran */
	uint64 busy_slots;	 /* entries whose owner was writing each time the sampler tried */
	double tick_last_us;
	double tick_max_us;
	double tick_total_us;
	double cpu_seconds;		/* of the whole worker since its start */
	TimestampTz started_at; /* the worker, not the server */
	Size private_bytes;
} PoolDiagSelf;

/* Settings of the server, and what it runs on, that the advisor's rules look at. */
typedef struct PoolDiagServerSettings
{
	int window_ms;
	int idle_in_transaction_timeout_ms;
	int statement_timeout_ms;
	int log_min_duration_ms; /* this and the next: -1 is off */
	int log_min_duration_sample_ms;
	int log_statement;
	int work_mem_kb;
	double hash_mem_multiplier;
	int keepalives_idle_seconds; /* 0: the system's */
	int check_interval_ms;		 /* of client connections; 0: off */
	int64 shared_buffers;		 /* bytes */
	int cores;
	int64 memory; /* bytes; 0: not known */
} PoolDiagServerSettings;

typedef struct PoolDiagSample
{
	TimestampTz at;

	/* Settings as the configuration files have them, without what a role or database overrides. */
	int interval_ms;
	PoolDiagServerSettings settings;

	PoolDiagTally server;
	int most_connections; /* of sessions past their start-up, at once since the tick before */
	int walsenders;
	int workers;
	PoolDiagPeak connections_peak;
	PoolDiagPeak reserved_peak;
	PoolDiagPeak walsenders_peak;
	PoolDiagPeak workers_peak;
	PoolDiagPeakTable databases;
	PoolDiagPeakTable roles;
	/* For the advisor, once a second: see outlook.c. */
	PoolDiagTrend trend;
	PoolDiagActivity activity;
	PoolDiagPast past;
	int64 refused_lately[POOLDIAG_TREND_REASONS];
	PoolDiagWatched breakers[POOLDIAG_SERVER_BREAKERS];
	PoolDiagWaits waits;
	uint32 waits_resets; /* the number of the reset since which they are counted */
	PoolDiagSelf self;
	PoolDiagPools pools; /* variable length, so the last */
} PoolDiagSample;

extern Size pooldiag_sample_size(int max_pools);
extern void pooldiag_sample_init(PoolDiagSample *sample, int max_pools);
extern void pooldiag_sample_forget_peaks(PoolDiagSample *sample, TimestampTz now);
extern void pooldiag_sample_clear_counts(PoolDiagSample *sample);
extern void pooldiag_sample_add(PoolDiagSample *sample, const PoolDiagBackend *backend, int pool,
								TimestampTz now);
extern PoolDiagCounted pooldiag_sample_counted(const PoolDiagBackend *backend);
extern void pooldiag_sample_raise_peaks(PoolDiagSample *sample, TimestampTz now);
extern void
pooldiag_sample_raise_connections(PoolDiagSample *sample, int connections, TimestampTz now);
extern int pooldiag_sample_reserved_used(int connections);

#endif /* POOLDIAG_SAMPLE_H */
