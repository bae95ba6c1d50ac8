/*
 * advisor.c
 *	  The rules: what deserves attention, why, and what to do about it.
 *
 * One table. Whether a rule fires that is judged from a sample alone has one answer in the sampler, which confirms it
 * (findings.c), and in a session that asks, which says it with evidence, advice and a remedy from what it sees itself. A
 * rule that needs the lock manager, or a catalog, is judged by whoever asks; who sees everything notes what was found.
 * Those that need a catalog are asked only where there is one.
 */
#include "postgres.h"

#include "access/xlog.h"

#include "advice_index.h"
#include "advice_locks.h"
#include "advice_pools.h"
#include "advice_sessions.h"
#include "advice_settings.h"
#include "advice_slots.h"
#include "advice_workload.h"
#include "advisor.h"
#include "miscadmin.h"

/* What a rule is judged from, and so by whom. */
typedef enum RuleKind
{
	OF_SERVER, /* the sample: once */
	OF_POOL,   /* the sample: for each pool */
	OF_ASKER,  /* the server itself, without a catalog */
	OF_CATALOG /* a catalog: only in a session with a database */
} RuleKind;

/* What the rules of a sample look at, and what remedies write. */
#define NOW 0x00		/* the present alone: also without preloading */
#define PAST 0x01		/* what only the sampler knows */
#define ON_PRIMARY 0x02 /* the remedy writes a catalog, which a standby can't */

typedef struct Rule
{
	const char *name;
	const char *plain; /* what it says in a sentence that names nobody */
	RuleKind kind;
	int flags;
	bool (*fires)(const PoolDiagSample *sample, int pool); /* NULL: say decides */
	void (*say)(PoolDiagCase *c, int pool);
} Rule;

static const Rule rules[] = {
	{"sampler_silent", "pooldiag's sampler is silent", OF_ASKER, NOW, NULL,
	 pooldiag_advice_sampler_silent},
	{"operations_failing", "Something that pooldiag does in the background fails", OF_ASKER, NOW,
	 NULL, pooldiag_advice_operations_failing},
	{"slots_nearly_full", "Nearly all connection slots are taken", OF_SERVER, NOW,
	 pooldiag_advice_slots_are_nearly_full, pooldiag_advice_slots_nearly_full},
	{"refused_connections", "Connections were refused for want of room", OF_SERVER, PAST,
	 pooldiag_advice_were_refused, pooldiag_advice_refused_connections},
	{"role_or_database_limit", "A role or database is near its connection limit", OF_ASKER,
	 NOW | ON_PRIMARY, NULL, pooldiag_advice_role_or_database_limit},
	{"pool_exceeds_server", "The declared pools exceed the server's slots", OF_SERVER, NOW,
	 pooldiag_advice_pools_exceed_server, pooldiag_advice_pool_exceeds_server},
	{"pool_saturated", "A pool is saturated", OF_POOL, PAST, pooldiag_advice_pool_is_saturated,
	 pooldiag_advice_pool_saturated},
	{"pool_oversized", "A pool is larger than it needs to be", OF_POOL, PAST,
	 pooldiag_advice_pool_is_oversized, pooldiag_advice_pool_oversized},
	{"leak_suspects", "Connections are idle in transaction for too long", OF_POOL, NOW,
	 pooldiag_advice_has_leaks, pooldiag_advice_leak_suspects},
	{"aborted_transactions", "Connections stay in failed transactions", OF_POOL, NOW,
	 pooldiag_advice_has_aborted, pooldiag_advice_aborted_transactions},
	{"leak_growth", "A pool's connections grow, and its work does not", OF_POOL, PAST,
	 pooldiag_advice_pool_grows, pooldiag_advice_leak_growth},
	{"held_while_idle", "Transactions are held open while nothing is done in them", OF_POOL, PAST,
	 pooldiag_advice_pool_holds_idle, pooldiag_advice_held_while_idle},
	{"slow_holders", "Slow statements hold connections", OF_POOL, NOW, pooldiag_advice_has_slow,
	 pooldiag_advice_slow_holders},
	{"canceled_statements", "Many statements are canceled", OF_POOL, PAST,
	 pooldiag_advice_pool_is_canceled, pooldiag_advice_canceled_statements},
	{"lock_pileup", "Sessions pile up behind a lock", OF_SERVER, NOW, pooldiag_advice_locks_pile_up,
	 pooldiag_advice_lock_pileup},
	{"blocked_by_idle", "Sessions wait for one that is idle in transaction", OF_ASKER, NOW, NULL,
	 pooldiag_advice_blocked_by_idle},
	{"wait_bound", "Active sessions wait more than they work", OF_SERVER, PAST,
	 pooldiag_advice_is_wait_bound, pooldiag_advice_wait_bound},
	{"cpu_oversubscribed", "More sessions are on CPU than there are cores", OF_SERVER, PAST,
	 pooldiag_advice_cpu_is_oversubscribed, pooldiag_advice_cpu_oversubscribed},
	{"connection_storm", "A pool opens many connections that live briefly", OF_POOL, PAST,
	 pooldiag_advice_pool_storms, pooldiag_advice_connection_storm},
	{"not_recycled", "A pool does not recycle its connections", OF_POOL, NOW,
	 pooldiag_advice_pool_is_unrecycled, pooldiag_advice_not_recycled},
	{"stale_clients", "Clients that are gone would be noticed late", OF_ASKER, NOW, NULL,
	 pooldiag_advice_stale_clients},
	{"missing_timeouts", "Sessions have no timeouts", OF_CATALOG, NOW | ON_PRIMARY, NULL,
	 pooldiag_advice_missing_timeouts},
	{"no_reserved_slots", "No slot is reserved for superusers", OF_SERVER, PAST,
	 pooldiag_advice_has_no_reserve, pooldiag_advice_no_reserved_slots},
	{"max_connections_oversized", "max_connections is larger than it needs to be", OF_SERVER, PAST,
	 pooldiag_advice_has_too_many_slots, pooldiag_advice_max_connections_oversized},
	{"memory_at_risk", "Memory could run out with all connections at work", OF_SERVER, PAST,
	 pooldiag_advice_memory_is_at_risk, pooldiag_advice_memory_at_risk},
	{"missing_index", "Slow statements scan tables for want of an index", OF_CATALOG,
	 NOW | ON_PRIMARY, NULL, pooldiag_advice_missing_index},
	{"read_heavy", "The load is mostly reads", OF_SERVER, PAST, pooldiag_advice_mostly_reads,
	 pooldiag_advice_read_heavy},
	{"statement_logging", "The server is busy, and no duration is logged", OF_SERVER, PAST,
	 pooldiag_advice_wants_logging, pooldiag_advice_statement_logging},
	{"authentication_failures", "Many clients fail to authenticate", OF_SERVER, PAST,
	 pooldiag_advice_failed_authentication, pooldiag_advice_authentication_failures},
	{"rollback_rate", "Many transactions are rolled back", OF_POOL, PAST,
	 pooldiag_advice_pool_loses_work, pooldiag_advice_rollback_rate},
	{"horizon_held", "Vacuum is held back", OF_ASKER, NOW, NULL, pooldiag_advice_horizon_held},
};

/* ---------------------------------------------------------------- in the sampler ----------------- */

static PoolDiagFinding found[POOLDIAG_FINDINGS_ROOM + 1];
static int found_count = 0;

static void
find(const PoolDiagSample *sample, int rule, int pool)
{
	PoolDiagFinding *finding = &found[found_count];

	if (found_count == (int) lengthof(found) || !rules[rule].fires(sample, pool))
		return;
	memset(finding, 0, sizeof(*finding));
	finding->rule = rule;
	finding->subject = pooldiag_advice_key_of_pool(&sample->pools, pool);
	found_count++;
}

/* Judges the sample by all rules that need no more, and confirms which fire. */
void
pooldiag_advisor_watch(const PoolDiagSample *sample)
{
	const PoolDiagPools *pools = &sample->pools;

	found_count = 0;
	for (int rule = 0; rule < (int) lengthof(rules); rule++)
		if (rules[rule].kind == OF_SERVER)
			find(sample, rule, POOLDIAG_SUBJECT_SERVER);
	for (int pool = 0; pool <= pools->capacity; pool++)
		for (int rule = 0; pools->rows[pool].used && rule < (int) lengthof(rules); rule++)
			if (rules[rule].kind == OF_POOL)
				find(sample, rule, pool);
	pooldiag_findings_confirm(found, found_count, sample->at);
}

/* ---------------------------------------------------------------- for whoever asks --------------- */

/* Asks a rule that is judged from the sample. What a pool has done in the past is for those who may see all. */
static void
ask_of_sample(PoolDiagCase *c, const Rule *rule)
{
	const PoolDiagSample *sample = c->live->sample;

	if ((rule->flags & PAST) != 0 &&
		(!c->live->sampled || pooldiag_live_sampler_is_silent(c->live) ||
		 (rule->kind == OF_POOL && !c->live->sees_all)))
		return;
	if (rule->kind == OF_SERVER)
	{
		if (rule->fires(sample, POOLDIAG_SUBJECT_SERVER))
			rule->say(c, POOLDIAG_SUBJECT_SERVER);
		return;
	}
	for (int pool = 0; pool <= sample->pools.capacity; pool++)
		if (sample->pools.rows[pool].used && rule->fires(sample, pool))
			rule->say(c, pool);
}

/* What a rule that no sampler judges has found is noted, if this caller sees all that there is to find. */
static void
note(PoolDiagCase *c, int rule, int first)
{
	int count = list_length(c->advice) - first;
	PoolDiagFinding *noted = palloc(sizeof(PoolDiagFinding) * Max(count, 1));
	Oid database = InvalidOid;

	for (int i = 0; i < count; i++)
	{
		noted[i] = ((PoolDiagAdvice *) list_nth(c->advice, first + i))->finding;
		database = noted[i].database;
	}
	/* A rule that finds nothing doesn't say where. */
	if (rules[rule].say == pooldiag_advice_missing_index)
		database = MyDatabaseId;
	if (c->live->sees_all)
		pooldiag_findings_note(rule, database, noted, count, c->live->now);
	pfree(noted);
}

/* What writes a catalog can be done on the primary only: on a standby the remedy says so. */
static void
direct_remedies(const List *advice)
{
	ListCell *cell;

	if (!RecoveryInProgress())
		return;
	foreach (cell, advice)
	{
		PoolDiagAdvice *of = lfirst(cell);

		if (of->on_primary && of->remedy != NULL)
			of->remedy = psprintf("-- on the primary:\n%s", of->remedy);
	}
}

/* Since when each has fired: what nobody has seen before is seen now, where there is somebody who remembers it. */
static void
find_beginnings(PoolDiagCase *c)
{
	bool remembers = c->live->sampled && !pooldiag_live_sampler_is_silent(c->live);
	ListCell *cell;

	foreach (cell, c->advice)
	{
		PoolDiagAdvice *advice = lfirst(cell);

		advice->first_seen = pooldiag_findings_since(&advice->finding, c->live->now);
		if (advice->first_seen == 0 && remembers)
			advice->first_seen = c->live->now;
	}
}

static List *
gravest_first(List *advice)
{
	List *sorted = NIL;

	for (int severity = POOLDIAG_CRITICAL; severity >= POOLDIAG_INFO; severity--)
	{
		ListCell *cell;

		foreach (cell, advice)
			if ((int) ((PoolDiagAdvice *) lfirst(cell))->severity == severity)
				sorted = lappend(sorted, lfirst(cell));
	}
	return sorted;
}

/*
 * What this caller is to be told now: a list of PoolDiagAdvice, the gravest first, and never empty:
 * where no rule fires, it says so.
 */
List *
pooldiag_advisor_advise(PoolDiagLive *live)
{
	PoolDiagCase c = {.live = live};

	for (int rule = 0; rule < (int) lengthof(rules); rule++)
	{
		int first = list_length(c.advice);

		c.rule = rule;
		c.name = rules[rule].name;
		c.plain = rules[rule].plain;
		c.on_primary = (rules[rule].flags & ON_PRIMARY) != 0;
		switch (rules[rule].kind)
		{
			case OF_SERVER:
			case OF_POOL:
				ask_of_sample(&c, &rules[rule]);
				break;
			case OF_CATALOG:
			case OF_ASKER:
				if (rules[rule].kind == OF_CATALOG && !OidIsValid(MyDatabaseId))
					break;
				rules[rule].say(&c, POOLDIAG_SUBJECT_SERVER);
				note(&c, rule, first);
				break;
		}
	}
	find_beginnings(&c);
	direct_remedies(c.advice);
	if (c.advice == NIL)
	{
		PoolDiagAdvice *added;

		c.name = "all_clear";
		added = pooldiag_advice_add(&c, POOLDIAG_INFO, "server", 0);
		added->title = added->plain = "All systems operating normally";
		added->advice = "Nothing to do.";
	}
	return gravest_first(c.advice);
}
