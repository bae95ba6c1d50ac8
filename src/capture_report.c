/*
 * capture_report.c
 *	  What was seen when a breaker opened, as a JSON document of bounded length.
 *
 * Runs in the sampler: from its sample, what it remembers of slots, history and the log of refusals, none of which it
 * waits for. Each list has so many bytes; an element that doesn't fit is left out as a whole, and counted. Names are in
 * the bytes of those who gave them. No text of any statement is in it.
 */
#include "postgres.h"

#include <math.h>

#include "pgtime.h"
#include "utils/timestamp.h"

#include "capture_report.h"
#include "compat.h"
#include "json.h"
#include "ledger.h"
#include "locks.h"
#include "refusals.h"
#include "sights.h"
#include "series.h"
#include "shared.h"
#include "wait_names.h"

/* The past that is kept, in seconds, and in what steps. */
#define PAST 120
#define PAST_STEP 5

/* Elements of a list at the most, and the bytes that they may take. With what is not in a list they fit a report. */
#define LISTED 10
#define LISTED_FEW 5
#define SLOTS_BYTES 2200
#define NEWEST_BYTES 1000
#define ROOTS_BYTES 1600
#define TRANSACTIONS_BYTES 1100
#define WAITS_BYTES 700
#define REFUSALS_BYTES 800

/* Different wait events that are told apart. */
#define EVENTS 64

/* A list that is being written. */
typedef struct ReportList
{
	StringInfo json;
	int most;	/* bytes of json */
	int before; /* where the element at hand begins */
	int room;	/* elements left */
} ReportList;

static ReportList
begin_list(StringInfo json, const char *key, int elements, int bytes)
{
	ReportList list;

	pooldiag_json_begin(json, key, '[');
	list.json = json;
	list.most = json->len + bytes;
	list.before = json->len;
	list.room = elements;
	return list;
}

/* Is there room for another element, which is begun? */
static bool
begin_element(ReportList *list)
{
	if (list->room == 0)
		return false;
	list->before = list->json->len;
	pooldiag_json_begin(list->json, NULL, '{');
	return true;
}

/* Ends it; false if it was too long and is there no more. */
static bool
end_element(ReportList *list)
{
	pooldiag_json_end(list->json, '}');
	list->room--;
	if (list->json->len <= list->most)
		return true;
	list->json->len = list->before;
	list->json->data[list->before] = '\0';
	return false;
}

/* An instant in UTC, to the microsecond, as SQL reads it. */
char *
pooldiag_capture_instant(TimestampTz at)
{
	pg_time_t seconds = timestamptz_to_time_t(at);
	char text[32];

	pg_strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", pg_gmtime(&seconds));
	return psprintf("%s.%06d+00", text, (int) (at % USECS_PER_SEC));
}

/* The name of a pool, or NULL. */
char *
pooldiag_capture_pool(const PoolDiagSample *sample, int pool)
{
	char *name;

	if (pool == POOLDIAG_NO_POOL)
		return NULL;
	name = palloc(POOLDIAG_POOL_NAME_LEN);
	pooldiag_pools_name(&sample->pools, pool, name);
	return name;
}

static void
put_pool(StringInfo json, const PoolDiagSample *sample, int pool)
{
	if (pool == POOLDIAG_NO_POOL)
		pooldiag_json_null(json, "pool");
	else
		pooldiag_json_string(json, "pool", pooldiag_capture_pool(sample, pool));
}

static void
put_seconds(StringInfo json, const char *key, TimestampTz since, TimestampTz now)
{
	if (since == 0)
		pooldiag_json_null(json, key);
	else
		pooldiag_json_number(json, key, Max(0, now - since) / 1e6, 1);
}

/* Who it is, and what it is at. */
static void
put_process(StringInfo json, const PoolDiagCapture *capture, const PoolDiagBackend *backend,
			int pool)
{
	pooldiag_json_int(json, "pid", backend->pid);
	if (backend->backend_start == 0)
		pooldiag_json_null(json, "backend_start");
	else
		pooldiag_json_string(json, "backend_start",
							 pooldiag_capture_instant(backend->backend_start));
	put_pool(json, capture->sample, pool);
	pooldiag_json_string(json, "state", pooldiag_state_name(backend->state));
	put_seconds(json, "state_seconds", backend->state_change, capture->now);
}

static void
put_states(StringInfo json, const int *by_state)
{
	pooldiag_json_begin(json, "states", '{');
	for (int state = 0; state < POOLDIAG_STATES; state++)
		if (by_state[state] > 0)
			pooldiag_json_int(json, pooldiag_state_name(state), by_state[state]);
	pooldiag_json_end(json, '}');
}

static void
put_breaker(StringInfo json, const PoolDiagWatched *watched)
{
	pooldiag_json_begin(json, "breaker", '{');
	if (watched->evaluated && !isnan(watched->value))
		pooldiag_json_number(json, "value", watched->value, 2);
	else
		pooldiag_json_null(json, "value");
	pooldiag_json_number(json, "limit_value", watched->limit, 2);
	pooldiag_json_int(json, "consecutive_failures", watched->breaker.consecutive_failures);
	pooldiag_json_int(json, "failure_threshold", watched->rules.failure_threshold);
	pooldiag_json_end(json, '}');
}

static void
put_server(StringInfo json, const PoolDiagSample *sample)
{
	const PoolDiagTally *server = &sample->server;

	pooldiag_json_begin(json, "server", '{');
	pooldiag_json_int(json, "connections", server->connections);
	pooldiag_json_int(json, "usable_slots", pooldiag_backends_usable());
	pooldiag_json_int(json, "reserved_slots", pooldiag_backends_reserved());
	put_states(json, server->by_state);
	pooldiag_json_int(json, "waiting_for_locks", server->waiting);
	pooldiag_json_int(json, "slow", server->slow);
	pooldiag_json_int(json, "leaks", server->leaks);
	pooldiag_json_end(json, '}');
}

/* What stands in a row of history for one column. */
typedef enum Figure
{
	HIGHEST, /* of a gauge */
	MEAN,	 /* of a gauge */
	GROWTH	 /* of a counter */
} Figure;

static void
put_column(StringInfo json, const char *key, const PoolDiagHistoryRow *rows, int count,
		   Figure figure, int column)
{
	pooldiag_json_begin(json, key, '[');
	for (const PoolDiagHistoryRow *row = rows; row < rows + count; row++)
	{
		double value = figure == HIGHEST ? row->maxima[column]
					   : figure == MEAN	 ? row->gauges[column]
										 : row->counters[column];

		if (isnan(value))
			pooldiag_json_null(json, NULL);
		else
			pooldiag_json_number(json, NULL, value, figure == MEAN ? 1 : 0);
	}
	pooldiag_json_end(json, ']');
}

/* The server's last two minutes. */
static void
put_history(StringInfo json, const PoolDiagSample *sample)
{
	const PoolDiagTier *tiers = pooldiag_history_server_tiers;
	PoolDiagHistoryWindow window =
		pooldiag_history_window(tiers, sample->at, PAST * USECS_PER_SEC, PAST_STEP * USECS_PER_SEC,
								USECS_PER_SEC, PAST / PAST_STEP);
	PoolDiagHistoryRow *rows = palloc(sizeof(PoolDiagHistoryRow) * window.rows);

	pooldiag_history_read(pooldiag_series_read(NULL), tiers, &window, rows);
	pooldiag_json_begin(json, "history", '{');
	pooldiag_json_time(json, "from", rows[0].at);
	pooldiag_json_int(json, "step_seconds", window.step);
	put_column(json, "max_connections", rows, window.rows, HIGHEST, POOLDIAG_GAUGE_CONNECTIONS);
	put_column(json, "max_active", rows, window.rows, HIGHEST, POOLDIAG_GAUGE_ACTIVE);
	put_column(json, "max_waiting", rows, window.rows, HIGHEST, POOLDIAG_GAUGE_WAITING);
	put_column(json, "idle_in_transaction", rows, window.rows, MEAN,
			   POOLDIAG_GAUGE_IDLE_IN_TRANSACTION);
	put_column(json, "opened", rows, window.rows, GROWTH, POOLDIAG_COUNTER_OPENED);
	put_column(json, "refused", rows, window.rows, GROWTH, POOLDIAG_COUNTER_REFUSED);
	pooldiag_json_end(json, '}');
}

/* So many connections of a pool. */
typedef struct Share
{
	int pool;
	int connections;
} Share;

static int
compare_shares(const void *left, const void *right)
{
	const Share *a = left;
	const Share *b = right;

	if (a->connections != b->connections)
		return a->connections > b->connections ? -1 : 1;
	return (a->pool > b->pool) - (a->pool < b->pool);
}

/* Those that have any, the largest first. shares has an element for each row of the directory, and the last for no pool. */
static int
sort_shares(Share *shares, int count)
{
	int used = 0;

	qsort(shares, count, sizeof(Share), compare_shares);
	while (used < count && shares[used].connections > 0)
		used++;
	return used;
}

static void
put_shares(StringInfo json, const PoolDiagSample *sample, const char *key, const Share *shares,
		   int count, bool with_states, int bytes)
{
	ReportList list = begin_list(json, key, LISTED, bytes);
	int pools_left = count;
	int connections_left = 0;

	for (int i = 0; i < count; i++)
	{
		bool listed = begin_element(&list);

		if (listed)
		{
			put_pool(json, sample, shares[i].pool);
			pooldiag_json_int(json, "connections", shares[i].connections);
			if (with_states && shares[i].pool != POOLDIAG_NO_POOL)
				put_states(json, sample->pools.rows[shares[i].pool].tally.by_state);
			listed = end_element(&list);
		}
		if (listed)
			pools_left--;
		else
			connections_left += shares[i].connections;
	}
	pooldiag_json_end(json, ']');
	pooldiag_json_int(json, psprintf("%s_pools_not_listed", key), pools_left);
	pooldiag_json_int(json, psprintf("%s_connections_not_listed", key), connections_left);
}

static Share *
new_shares(const PoolDiagSample *sample, int *count)
{
	Share *shares;

	*count = sample->pools.capacity + 2;
	shares = palloc0(sizeof(Share) * *count);
	for (int i = 0; i < *count; i++)
		shares[i].pool = i <= sample->pools.capacity ? i : POOLDIAG_NO_POOL;
	return shares;
}

/* Slots by pool and state. */
static void
put_slots(StringInfo json, const PoolDiagSample *sample)
{
	int count;
	Share *shares = new_shares(sample, &count);
	int left = sample->server.connections;

	for (int i = 0; i <= sample->pools.capacity; i++)
		left -= shares[i].connections = sample->pools.rows[i].tally.connections;
	shares[count - 1].connections = Max(0, left);
	put_shares(json, sample, "slots", shares, sort_shares(shares, count), true, SLOTS_BYTES);
}

/* A connection as the sampler saw it. */
typedef struct Seen
{
	const PoolDiagBackend *backend;
	int pool;
} Seen;

static int
compare_newest(const void *left, const void *right)
{
	const PoolDiagBackend *a = ((const Seen *) left)->backend;
	const PoolDiagBackend *b = ((const Seen *) right)->backend;

	/* One that has no start yet is the newest. */
	if ((a->backend_start == 0) != (b->backend_start == 0))
		return a->backend_start == 0 ? -1 : 1;
	if (a->backend_start != b->backend_start)
		return a->backend_start > b->backend_start ? -1 : 1;
	return (a->procno > b->procno) - (a->procno < b->procno);
}

static int
compare_transactions(const void *left, const void *right)
{
	const PoolDiagBackend *a = ((const Seen *) left)->backend;
	const PoolDiagBackend *b = ((const Seen *) right)->backend;

	if (a->xact_start != b->xact_start)
		return a->xact_start < b->xact_start ? -1 : 1;
	return (a->procno > b->procno) - (a->procno < b->procno);
}

/* Who took the last fifth of the slots: the connections that began last. */
static void
put_newest(StringInfo json, const PoolDiagSample *sample, Seen *seen, int count)
{
	int fifth = Min(count, (pooldiag_backends_usable() + 4) / 5);
	int shares_count;
	Share *shares = new_shares(sample, &shares_count);
	TimestampTz since = 0;

	qsort(seen, count, sizeof(Seen), compare_newest);
	for (int i = 0; i < fifth; i++)
	{
		int pool = seen[i].pool;

		shares[pool == POOLDIAG_NO_POOL ? shares_count - 1 : pool].connections++;
		if (seen[i].backend->backend_start != 0)
			since = seen[i].backend->backend_start;
	}
	pooldiag_json_int(json, "last_fifth_connections", fifth);
	if (since == 0)
		pooldiag_json_null(json, "last_fifth_since");
	else
		pooldiag_json_time(json, "last_fifth_since", since);
	put_shares(json, sample, "last_fifth", shares, sort_shares(shares, shares_count), false,
			   NEWEST_BYTES);
}

/* The sessions that wait behind a root, by pid: the first ones. */
static void
put_waiters(StringInfo json, const PoolDiagBlockers *blockers, int root)
{
	int listed = 0;

	pooldiag_json_begin(json, "waiting_pids", '[');
	for (int procno = 0; procno < MaxConnections && listed < LISTED; procno++)
		if (blockers->root_of[procno] == root)
		{
			pooldiag_json_int(json, NULL, GetPGProcByNumber(procno)->pid);
			listed++;
		}
	pooldiag_json_end(json, ']');
}

/* Who keeps others waiting, and who they are. */
static void
put_roots(StringInfo json, const PoolDiagCapture *capture)
{
	const PoolDiagBlockers *blockers = capture->blockers;
	ReportList list = begin_list(json, "root_blockers", LISTED_FEW, ROOTS_BYTES);
	int left = blockers->count;

	for (int i = 0; i < blockers->count && begin_element(&list); i++)
	{
		const PoolDiagRoot *root = &blockers->roots[i];
		PoolDiagBackend backend = {0};
		int pool = POOLDIAG_NO_POOL;

		(void) pooldiag_sights_seen(root->procno, root->pid, &pool);
		if (root->pid != 0 && !pooldiag_blockers_is_replay(root))
			(void) pooldiag_backends_read(root->procno, 0, 1000, &backend);
		if (root->pid == 0)
		{
			pooldiag_json_null(json, "pid");
			pooldiag_json_bool(json, "prepared_transaction", true);
		}
		else if (backend.pid == root->pid)
			put_process(json, capture, &backend, pool);
		else
			pooldiag_json_int(json, "pid", root->pid);
		if (pooldiag_blockers_is_replay(root))
			pooldiag_json_bool(json, "replay", true);
		pooldiag_json_int(json, "waiting", root->waiting);
		put_waiters(json, blockers, root->pid);
		if (end_element(&list))
			left--;
	}
	pooldiag_json_end(json, ']');
	pooldiag_json_int(json, "root_blockers_not_listed", left);
	pooldiag_json_int(json, "lock_waiters", blockers->waiters);
	pooldiag_json_int(json, "lock_waiters_without_root", blockers->rootless);
	pooldiag_json_int(json, "lock_waiters_not_read", blockers->not_read);
}

static void
put_transactions(StringInfo json, const PoolDiagCapture *capture, Seen *seen, int count)
{
	ReportList list = begin_list(json, "transactions", LISTED_FEW, TRANSACTIONS_BYTES);
	int in_transaction = 0;
	int left;

	for (int i = 0; i < count; i++)
		if (seen[i].backend->xact_start != 0)
			seen[in_transaction++] = seen[i];
	left = in_transaction;
	qsort(seen, in_transaction, sizeof(Seen), compare_transactions);
	for (int i = 0; i < in_transaction && begin_element(&list); i++)
	{
		put_process(json, capture, seen[i].backend, seen[i].pool);
		put_seconds(json, "seconds", seen[i].backend->xact_start, capture->now);
		if (end_element(&list))
			left--;
	}
	pooldiag_json_end(json, ']');
	pooldiag_json_int(json, "transactions_not_listed", left);
}

typedef struct Event
{
	uint32 info;
	int connections;
} Event;

static int
compare_events(const void *left, const void *right)
{
	const Event *a = left;
	const Event *b = right;

	if (a->connections != b->connections)
		return a->connections > b->connections ? -1 : 1;
	return (a->info > b->info) - (a->info < b->info);
}

/* What active connections wait for. */
static void
put_waits(StringInfo json, const Seen *seen, int count)
{
	ReportList list = begin_list(json, "waits", LISTED, WAITS_BYTES);
	Event events[EVENTS] = {0};
	int used = 0;
	int active = 0;
	int left;

	for (int i = 0; i < count; i++)
	{
		const PoolDiagBackend *backend = seen[i].backend;
		int e = 0;

		if (backend->state != POOLDIAG_ACTIVE && backend->state != POOLDIAG_FASTPATH)
			continue;
		active++;
		while (e < used && events[e].info != backend->wait_event_info)
			e++;
		if (e == EVENTS)
			continue;
		if (e == used)
		{
			events[used].info = backend->wait_event_info;
			events[used++].connections = 0;
		}
		events[e].connections++;
	}
	left = active;
	qsort(events, used, sizeof(Event), compare_events);
	for (int e = 0; e < used && begin_element(&list); e++)
	{
		const char *type = pgstat_get_wait_event_type(events[e].info);

		pooldiag_json_string(json, "type", type == NULL ? "CPU" : type);
		pooldiag_json_string(json, "event", pooldiag_wait_name(events[e].info));
		pooldiag_json_int(json, "connections", events[e].connections);
		if (end_element(&list))
			left -= events[e].connections;
	}
	pooldiag_json_end(json, ']');
	pooldiag_json_int(json, "waits_connections_not_listed", left);
}

/* A name, or null. */
static void
put_name(StringInfo json, const char *key, const char *name)
{
	pooldiag_json_string(json, key, name[0] == '\0' ? NULL : name);
}

/* Connections refused: how many since the evaluation before, and the newest of the last two minutes. */
static void
put_refusals(StringInfo json, const PoolDiagCapture *capture)
{
	PoolDiagRing *log = pooldiag_ledger_log(pooldiag_ledger);
	ReportList list;

	pooldiag_json_begin(json, "refused", '{');
	for (int reason = 0; reason < POOLDIAG_REASONS; reason++)
		if (capture->refused[reason] > 0)
			pooldiag_json_int(json, pooldiag_refusals_reason(reason),
							  (int64) capture->refused[reason]);
	pooldiag_json_end(json, '}');
	list = begin_list(json, "refusals", LISTED_FEW, REFUSALS_BYTES);
	for (uint64 number = pooldiag_ring_next(log); number-- > pooldiag_ring_oldest(log);)
	{
		PoolDiagRefusal refusal;

		if (pooldiag_ring_read(log, number, &refusal) != POOLDIAG_RING_WHOLE)
			continue;
		if (refusal.at < capture->now - PAST * USECS_PER_SEC || !begin_element(&list))
			break;
		pooldiag_json_time(json, "at", refusal.at);
		pooldiag_json_string(json, "reason",
							 pooldiag_refusals_reason((PoolDiagReason) refusal.source.reason));
		put_name(json, "usename", refusal.source.user);
		put_name(json, "datname", refusal.source.database);
		put_name(json, "application_name", refusal.source.application_name);
		(void) end_element(&list);
	}
	pooldiag_json_end(json, ']');
}

void
pooldiag_capture_report(const PoolDiagCapture *capture, char *report, Size size)
{
	Seen *seen = palloc(sizeof(Seen) * MaxConnections);
	int count = 0;
	StringInfoData json;

	for (int procno = 0; procno < MaxConnections; procno++)
	{
		seen[count].backend = pooldiag_sights_seen(procno, 0, &seen[count].pool);
		if (seen[count].backend != NULL)
			count++;
	}
	initStringInfo(&json);
	pooldiag_json_begin(&json, NULL, '{');
	put_breaker(&json, capture->watched);
	put_server(&json, capture->sample);
	put_history(&json, capture->sample);
	put_slots(&json, capture->sample);
	put_newest(&json, capture->sample, seen, count);
	put_roots(&json, capture);
	put_waits(&json, seen, count);
	/* It overwrites those without a transaction, so it comes last. */
	put_transactions(&json, capture, seen, count);
	put_refusals(&json, capture);
	pooldiag_json_end(&json, '}');
	/* The parts are bounded so that it never is too long; half a document would be none. */
	Assert(json.len < (int) size);
	strlcpy(report, json.len < (int) size ? json.data : "{}", size);
}
