/*
 * reports_self.c
 *	  The view self and the function sample_now: the extension's own doings.
 */
#include "postgres.h"

#include "funcapi.h"
#include "storage/proc.h"
#include "utils/timestamp.h"

#include "alerts.h"
#include "counters.h"
#include "findings.h"
#include "holds.h"
#include "incidents.h"
#include "keeper.h"
#include "layout.h"
#include "notifier.h"
#include "operation.h"
#include "quotas.h"
#include "refusals.h"
#include "rows.h"
#include "sampler.h"
#include "scans.h"
#include "series.h"
#include "settings.h"
#include "shared.h"
#include "slowlog.h"
#include "traffic.h"
#include "worker.h"

PG_FUNCTION_INFO_V1(pooldiag_self);
PG_FUNCTION_INFO_V1(pooldiag_sample_now);

/* How long sample_now waits for its tick. */

static void
put(ReturnSetInfo *result, const char *name, bool known, double value, const char *unit)
{
	PoolDiagRow row = {0};

	pooldiag_row_text(&row, name);
	if (known)
		pooldiag_row_float(&row, value);
	else
		pooldiag_row_null(&row);
	pooldiag_row_text(&row, unit);
	pooldiag_row_put(&row, result);
}

static double
unix_seconds(TimestampTz at)
{
	return at / 1e6 + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (double) SECS_PER_DAY;
}

static void
put_sampler(ReturnSetInfo *result, const PoolDiagSample *sample)
{
	const PoolDiagSelf *self = &sample->self;
	int pid = pooldiag_workers[POOLDIAG_SAMPLER].pid;
	TimestampTz now = GetCurrentTimestamp();
	double uptime = (now - self->started_at) / 1e6;

	put(result, "sampler_pid", pid != 0, pid, "pid");
	put(result, "sampler_started", pid != 0, unix_seconds(self->started_at),
		"seconds since 1970-01-01 UTC");
	put(result, "sampler_last_tick_age", true, Max(0, now - sample->at) / 1e6, "seconds");
	put(result, "sampler_interval", true, sample->interval_ms, "milliseconds");
	put(result, "ticks", true, self->ticks, "ticks since the sampler's start");
	put(result, "ticks_missed", true, self->missed_ticks, "ticks since the sampler's start");
	put(result, "tick_cpu_last", self->ticks > 1, self->tick_last_us, "microseconds of CPU");
	put(result, "tick_cpu_mean", self->ticks > 1, self->tick_total_us / Max(self->ticks - 1, 1),
		"microseconds of CPU");
	put(result, "tick_cpu_max", self->ticks > 1, self->tick_max_us, "microseconds of CPU");
	put(result, "sampler_cpu", true, self->cpu_seconds, "seconds of CPU since the sampler's start");
	put(result, "sampler_cpu_share", uptime > 0, 100.0 * self->cpu_seconds / uptime,
		"percent of one core");
	put(result, "sampler_entries_busy", true, self->busy_slots,
		"reads given up since the sampler's start");
	put(result, "sampler_memory", true, self->private_bytes, "bytes");
}

static void
put_tables(ReturnSetInfo *result, const PoolDiagSample *sample)
{
	const PoolDiagPools *pools = &sample->pools;

	put(result, "pools_used", true, pools->used, "pools");
	put(result, "pools_declared", true, pools->declared, "pools");
	put(result, "pools_room", true, pools->capacity, "pools");
	put(result, "pools_evicted", true, pools->evictions, "pools since server start");
	put(result, "pools_overflowed", true, pools->overflows,
		"matches that found no room since server start");
	put(result, "database_peaks_used", true, sample->databases.used, "databases");
	put(result, "database_peaks_room", true, POOLDIAG_PEAK_ROWS, "databases");
	put(result, "database_peaks_dropped", true, sample->databases.evictions,
		"databases since server start");
	put(result, "role_peaks_used", true, sample->roles.used, "roles");
	put(result, "role_peaks_room", true, POOLDIAG_PEAK_ROWS, "roles");
	put(result, "role_peaks_dropped", true, sample->roles.evictions, "roles since server start");
	put(result, "waits_used", true, sample->waits.used, "wait events of pools");
	put(result, "waits_room", true, POOLDIAG_WAIT_ROWS_USED, "wait events of pools");
	put(result, "waits_dropped", true, sample->waits.dropped, "samples since stats_reset");
	put(result, "sessions_unattributed", true, pooldiag_counters_dropped(),
		"sessions counted under (other) since stats_reset");
	put(result, "sessions_unheard", true, pg_atomic_read_u64(&pooldiag_presence->lost),
		"comings and goings lost since server start");
	put(result, "sessions_mended", true, pg_atomic_read_u64(&pooldiag_presence->mended),
		"sessions come or gone untold since server start");
}

static void
put_refusals(ReturnSetInfo *result)
{
	const PoolDiagRefusalSources *sources = pooldiag_refusals_read();
	uint64 refused = sources->drained - sources->since;
	uint64 used = Min(refused, POOLDIAG_REFUSAL_LOG_ROOM);

	put(result, "refusal_log_used", true, used, "refused connections");
	put(result, "refusal_log_room", true, POOLDIAG_REFUSAL_LOG_ROOM, "refused connections");
	put(result, "refusal_log_dropped", true, refused - used,
		"refused connections since the last reset");
	put(result, "refusal_sources_used", true, sources->hitters.used, "sources");
	put(result, "refusal_sources_room", true, sources->hitters.capacity, "sources");
	put(result, "refusal_sources_replaced", true, sources->hitters.replaced,
		"sources since the last reset");
	put(result, "refusals_waiting", true, pooldiag_ledger_waiting(pooldiag_ledger),
		"refused connections that the sampler has not seen");
	put(result, "refusals_unattributed", true, sources->unattributed,
		"refused connections since the last reset");
	put(result, "refusals_torn", true, sources->torn, "refused connections since the last reset");
}

static void
put_slow_queries(ReturnSetInfo *result)
{
	PoolDiagSlowSelf self = pooldiag_slowlog_self();
	uint64 used = Min(self.logged, (uint64) pooldiag_slow_query_log_size);

	put(result, "slow_query_log_used", true, used, "slow statements");
	put(result, "slow_query_log_room", true, pooldiag_slow_query_log_size, "slow statements");
	put(result, "slow_query_log_dropped", true, self.logged - used,
		"slow statements since the last reset");
	put(result, "slow_query_stats_used", true, self.stats_used, "statements");
	put(result, "slow_query_stats_room", true, POOLDIAG_SLOW_STATS_ROOM, "statements");
	put(result, "slow_query_stats_replaced", true, self.stats_replaced,
		"statements since the last reset");
	put(result, "slow_query_stats_lost", true, self.lost, "slow statements since the last reset");
	put(result, "hold_databases_used", true, pooldiag_holds_used(), "databases");
	put(result, "hold_databases_room", true, POOLDIAG_HOLD_ROWS, "databases");
	put(result, "hold_databases_dropped", true, pooldiag_holds_dropped(),
		"sessions since the last reset");
}

static void
put_alerts(ReturnSetInfo *result)
{
	PoolDiagAlertsUse use = pooldiag_alerts_use();
	PoolDiagNotified notified = pooldiag_notifier_use();
	PoolDiagQuotas quotas = {0};
	PoolDiagIncidentsUse incidents = pooldiag_incidents_use();

	put(result, "alert_log_used", true, use.used, "alerts");
	put(result, "alert_log_room", true, pooldiag_alert_log_size, "alerts");
	put(result, "alert_log_dropped", true, use.raised - use.used, "alerts since the last reset");
	put(result, "alerts_unlogged", true, use.lost[POOLDIAG_FOLLOWER_OPERATIONS],
		"alerts that the server's log has not, since server start");
	put(result, "alerts_unjournaled", true, use.lost[POOLDIAG_FOLLOWER_KEEPER],
		"alerts that the journal has not, since server start");
	(void) pooldiag_quotas_read(&quotas);
	put(result, "limits_used", true, quotas.count, "limits of roles and databases");
	put(result, "limits_room", true, POOLDIAG_QUOTAS_ROOM, "limits of roles and databases");
	put(result, "limits_left_out", true, quotas.left_out, "limits of roles and databases");
	put(result, "notifications_sent", true, notified.sent, "alerts since server start");
	put(result, "notifications_skipped", true, notified.skipped, "alerts since server start");
	put(result, "notifications_waiting", true, use.waiting[POOLDIAG_FOLLOWER_NOTIFIER], "alerts");
	put(result, "notifications_lost", true, use.lost[POOLDIAG_FOLLOWER_NOTIFIER],
		"alerts since server start");
	put(result, "incident_log_used", true, incidents.used, "incidents");
	put(result, "incident_log_room", true, POOLDIAG_INCIDENT_ROOM, "incidents");
	put(result, "incidents_unjournaled", true, incidents.lost,
		"incidents that the journal has not, since server start");
}

static void
put_advisor(ReturnSetInfo *result)
{
	PoolDiagFindingsUse findings = pooldiag_findings_use();
	PoolDiagScansUse scans = pooldiag_scans_use();

	put(result, "findings_used", true, findings.used, "rules that fire, by subject");
	put(result, "findings_room", true, POOLDIAG_FINDINGS_ROOM, "rules that fire, by subject");
	put(result, "findings_dropped", true, findings.dropped, "findings since server start");
	put(result, "scans_used", true, scans.used, "scans of slow statements");
	put(result, "scans_room", true, POOLDIAG_SCANS_ROOM, "scans of slow statements");
	put(result, "scans_replaced", true, scans.replaced, "scans since the last reset");
	put(result, "scans_missed", true, scans.missed, "scans since the last reset");
}

static void
put_history(ReturnSetInfo *result)
{
	PoolDiagSeriesUse use = pooldiag_series_use();

	put(result, "history_pools", true, use.series, "pools");
	put(result, "history_pools_room", true, use.series_room, "pools");
	put(result, "history_points", true, use.points, "points");
	put(result, "history_points_room", true, use.points_room, "points");
}

static void
put_worker(ReturnSetInfo *result, PoolDiagWorkerKind kind)
{
	const PoolDiagWorker *worker = &pooldiag_workers[kind];
	const char *name = pooldiag_worker_name(kind);
	int pid = worker->pid;

	put(result, psprintf("%s_pid", name), pid != 0, pid, "pid");
	put(result, psprintf("%s_started", name), pid != 0, unix_seconds(worker->started_at),
		"seconds since 1970-01-01 UTC");
}

static void
put_http(ReturnSetInfo *result)
{
	PoolDiagTraffic traffic;

	pooldiag_traffic_read(&traffic);
	put_worker(result, POOLDIAG_HTTP_WORKER);
	put(result, "http_connections", true, traffic.connections, "connections");
	put(result, "http_connections_accepted", true, (double) traffic.accepted,
		"connections since server start");
	put(result, "http_connections_dropped", true, (double) traffic.dropped,
		"connections since server start");
	put(result, "http_requests", true, (double) traffic.requests, "requests since server start");
}

static void
put_workers(ReturnSetInfo *result)
{
	const PoolDiagKeeper *keeper = pooldiag_keeper;
	TimestampTz saved_at = keeper->saved_at;
	TimestampTz restored_from = keeper->restored_from;
	TimestampTz now = GetCurrentTimestamp();
	PoolDiagOperationFigures saves;

	put_worker(result, POOLDIAG_OPERATIONS_WORKER);
	put_worker(result, POOLDIAG_KEEPER);
	put_http(result);
	pooldiag_operation_read(POOLDIAG_OPERATION_STATE_FILE, &saves);
	put(result, "state_file_restored_from", restored_from != 0, unix_seconds(restored_from),
		"seconds since 1970-01-01 UTC");
	put(result, "state_file_age", saved_at != 0, Max(0, now - saved_at) / 1e6, "seconds");
	put(result, "state_file_size", saved_at != 0, keeper->saved_size, "bytes");
	put(result, "state_file_duration", saves.finished_at != 0, saves.last_ms, "milliseconds");
	put(result, "state_file_writes", true, saves.succeeded, "writes since server start");
	put(result, "state_file_failures", true, saves.failed, "writes since server start");
	put(result, "journal_size", true, keeper->journal_end, "bytes of the newer file");
}

static void
put_shared_memory(ReturnSetInfo *result)
{
	const PoolDiagPart *part;
	Size total = 0;

	for (int i = 0; (part = pooldiag_layout_part(i)) != NULL; i++)
	{
		Size size = CACHELINEALIGN(part->size());

		put(result, psprintf("shared_memory_%s", part->name), true, size, "bytes");
		total += size;
	}
	put(result, "shared_memory", true, total, "bytes");
}

/* setof (name text, value float8, unit text): what pooldiag costs, and how full its tables are. */
Datum
pooldiag_self(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolDiagSample *sample;

	pooldiag_shared_require();
	InitMaterializedSRF(fcinfo, 0);
	sample = pooldiag_shared_read();
	if (sample != NULL)
	{
		put_sampler(result, sample);
		put_tables(result, sample);
	}
	put_refusals(result);
	put_history(result);
	put_workers(result);
	put_slow_queries(result);
	put_alerts(result);
	put_advisor(result);
	put_shared_memory(result);
	return (Datum) 0;
}

/* Has the sampler take a tick that begins now, and waits for its end, 10 s at the most. */
Datum
pooldiag_sample_now(PG_FUNCTION_ARGS)
{
	pooldiag_shared_require();
	if (!pooldiag_sampler_wait_for_tick(POOLDIAG_TICK_TIMEOUT_MS))
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the sampler took no tick within %d seconds", POOLDIAG_TICK_TIMEOUT_MS / 1000),
			 errhint("See the server's log for why the \"pooldiag sampler\" worker does not "
					 "run; it needs a free slot of \"max_worker_processes\".")));
	PG_RETURN_VOID();
}
