/*
 * link: ledger.c ring.c hitters.c
 *
 * The ledger of refused connections: counters, log and sources say the same, however often the log is followed,
 * published, overrun and reset.
 */
#include "server.h"

#include "ledger.h"

#define ROOM ((uint64) POOLDIAG_REFUSAL_LOG_ROOM)

static PoolDiagLedger *ledger;
static PoolDiagRefusalSources *sources; /* the sampler's */
static PoolDiagRefusalSources *copy;	/* an asking session's */
static int64 now;

/* What the callback was given. */
static uint64 given;
static TimestampTz given_last;

static int
begin(void **state)
{
	ledger = calloc(1, pooldiag_ledger_size());
	sources = malloc(pooldiag_ledger_sources_size());
	copy = malloc(pooldiag_ledger_sources_size());
	now = 1000;
	given = 0;
	given_last = 0;
	pooldiag_ledger_init(ledger, now);
	return pooldiag_ledger_read(ledger, sources) ? 0 : -1;
}

static int
end(void **state)
{
	free(ledger);
	free(sources);
	free(copy);
	return 0;
}

static void
refuse(PoolDiagReason reason, const char *user)
{
	PoolDiagRefusal refusal;

	memset(&refusal, 0, sizeof(refusal));
	refusal.at = ++now;
	refusal.sqlstate = 1000 + (int) reason;
	refusal.source.reason = reason;
	strncpy(refusal.source.user, user, sizeof(refusal.source.user) - 1);
	(void) pooldiag_ledger_record(ledger, &refusal);
}

/* In order, and none twice. */
static void
take(const PoolDiagRefusal *refusal, bool forgotten, void *context)
{
	assert_ptr_equal(context, &given);
	assert_true(refusal->at > given_last);
	given_last = refusal->at;
	given++;
}

/* What the sampler does in a tick. */
static void
tick_at(int64 ms)
{
	pooldiag_ledger_drain(ledger, sources, ms, take, &given);
}

static void
tick(void)
{
	tick_at(0);
	assert_int_equal(pooldiag_ledger_waiting(ledger), 0);
}

/* What a session finds. */
static void
ask(void)
{
	assert_true(pooldiag_ledger_read(ledger, copy));
	pooldiag_ledger_catch_up(ledger, copy);
}

static uint64
refused(void)
{
	uint64 sum = 0;

	for (int i = 0; i < POOLDIAG_REASONS; i++)
		sum += pg_atomic_read_u64(&ledger->counters[i].refused);
	return sum;
}

static uint64
attributed(const PoolDiagRefusalSources *of)
{
	uint64 sum = 0;

	for (int i = 0; i < of->hitters.used; i++)
		sum += of->hitters.rows[i].count;
	return sum;
}

/* Each refusal is in one place. */
static void
check_sums(void)
{
	ask();
	assert_int_equal(attributed(copy) + copy->unattributed + copy->torn, refused());
	assert_int_equal(copy->drained - copy->since, refused());
}

static void
nothing_is_nothing(void **state)
{
	ask();
	assert_int_equal(copy->hitters.used, 0);
	assert_int_equal(refused(), 0);
	tick();
	check_sums();
	assert_int_equal(given, 0);
}

static void
a_session_is_up_to_date(void **state)
{
	refuse(POOLDIAG_REFUSED_NO_SLOT, "ann");
	refuse(POOLDIAG_REFUSED_NO_SLOT, "ann");
	refuse(POOLDIAG_REFUSED_OTHER, "bob");
	ask();
	assert_int_equal(copy->hitters.used, 2);
	assert_int_equal(copy->hitters.rows[0].count, 2);
	assert_int_equal(copy->last[POOLDIAG_REFUSED_NO_SLOT].at, 1002);
	assert_int_equal(copy->last[POOLDIAG_REFUSED_OTHER].sqlstate, 1000 + POOLDIAG_REFUSED_OTHER);
	assert_int_equal(copy->last[POOLDIAG_REFUSED_PROTOCOL].at, 0);
	assert_int_equal(pg_atomic_read_u64(&ledger->counters[POOLDIAG_REFUSED_NO_SLOT].first_at),
					 1001);
	assert_int_equal(pg_atomic_read_u64(&ledger->counters[POOLDIAG_REFUSED_NO_SLOT].last_at), 1002);
	check_sums();

	tick();
	refuse(POOLDIAG_REFUSED_NO_SLOT, "ann");
	check_sums();
	assert_int_equal(attributed(copy), 4);
	assert_int_equal(given, 3);
}

/* A sampler that is started again goes on from what was published. */
static void
a_new_sampler_goes_on(void **state)
{
	for (int i = 0; i < 10; i++)
		refuse(POOLDIAG_REFUSED_NO_SLOT, "ann");
	tick();
	for (int i = 0; i < 10; i++)
		refuse(POOLDIAG_REFUSED_NO_SLOT, "ann");
	memset(sources, 0x55, pooldiag_ledger_sources_size());
	assert_true(pooldiag_ledger_read(ledger, sources));
	tick();
	assert_int_equal(given, 20);
	assert_int_equal(attributed(sources), 20);
	check_sums();
}

static void
what_is_overwritten_is_counted(void **state)
{
	for (uint64 i = 0; i < 3; i++)
		refuse(POOLDIAG_REFUSED_NO_SLOT, "ann");
	tick();
	for (uint64 i = 0; i < ROOM + 10; i++)
		refuse(POOLDIAG_REFUSED_NO_SLOT, "ann");
	check_sums();
	assert_int_equal(copy->unattributed, 10);
	assert_int_equal(pooldiag_ledger_waiting(ledger), ROOM + 10);
	tick();
	check_sums();
	assert_int_equal(sources->unattributed, 10);
	assert_int_equal(pooldiag_ledger_waiting(ledger), 0);
	assert_int_equal(given, ROOM + 3);
	assert_int_equal(refused(), ROOM + 13);
}

/* The sampler waits for an unfinished entry, as long as it wants; a session doesn't. */
static void
an_unfinished_entry_is_waited_for(void **state)
{
	PoolDiagRing *log = pooldiag_ledger_log(ledger);

	refuse(POOLDIAG_REFUSED_NO_SLOT, "ann");
	pg_atomic_fetch_add_u64(&log->next, 1);
	refuse(POOLDIAG_REFUSED_NO_SLOT, "ann");
	ask();
	assert_int_equal(attributed(copy), 2);
	assert_int_equal(copy->torn, 1);
	tick_at(5);
	tick_at(5 + POOLDIAG_REFUSAL_PATIENCE);
	assert_int_equal(attributed(sources), 1);
	assert_int_equal(sources->drained, 1);
	assert_int_equal(given, 1);
	assert_int_equal(pooldiag_ledger_waiting(ledger), 2);
	tick_at(6 + POOLDIAG_REFUSAL_PATIENCE);
	assert_int_equal(attributed(sources), 2);
	assert_int_equal(sources->torn, 1);
	assert_int_equal(given, 2);
	assert_int_equal(sources->drained, 3);

	/* Another one gets as much time, and the rest goes on when it is there in the end. */
	pg_atomic_fetch_add_u64(&log->next, 1);
	now++;
	refuse(POOLDIAG_REFUSED_NO_SLOT, "bob");
	tick_at(7 + POOLDIAG_REFUSAL_PATIENCE);
	tick_at(2 * POOLDIAG_REFUSAL_PATIENCE);
	assert_int_equal(pooldiag_ledger_waiting(ledger), 2);
	pg_atomic_write_u64(&log->next, 3);
	now -= 2;
	refuse(POOLDIAG_REFUSED_NO_SLOT, "eve");
	pg_atomic_write_u64(&log->next, 5);
	tick_at(3 * POOLDIAG_REFUSAL_PATIENCE);
	assert_int_equal(sources->torn, 1);
	assert_int_equal(attributed(sources), 4);
	assert_int_equal(sources->patient_until, 0);
}

static void
a_reset_begins_anew(void **state)
{
	for (int i = 0; i < 5; i++)
		refuse(POOLDIAG_REFUSED_NO_SLOT, "ann");
	tick();
	refuse(POOLDIAG_REFUSED_NO_SLOT, "bob");
	pooldiag_ledger_reset(ledger, 5000);
	assert_int_equal(pg_atomic_read_u64(&ledger->counted_since), 5000);
	assert_int_equal(pg_atomic_read_u64(&ledger->counters[POOLDIAG_REFUSED_NO_SLOT].first_at), 0);
	check_sums();
	assert_int_equal(copy->hitters.used, 0);
	assert_int_equal(copy->last[POOLDIAG_REFUSED_NO_SLOT].at, 0);

	/* What came before it and had not been handed out is so now, and nothing twice. */
	refuse(POOLDIAG_REFUSED_OTHER, "eve");
	check_sums();
	assert_int_equal(attributed(copy), 1);
	tick();
	check_sums();
	assert_int_equal(given, 7);
	pooldiag_ledger_reset(ledger, 6000);
	pooldiag_ledger_reset(ledger, 6001);
	tick();
	check_sums();
	assert_int_equal(refused(), 0);
	assert_int_equal(given, 7);
}

/* The sampler may have gone past the entry at which another begins, as that is told a moment later. */
static void
a_reset_that_is_told_late(void **state)
{
	for (int i = 0; i < 5; i++)
		refuse(POOLDIAG_REFUSED_NO_SLOT, "ann");
	tick();
	pg_atomic_write_u64(&ledger->counters[POOLDIAG_REFUSED_NO_SLOT].refused, 3);
	pg_atomic_write_u64(&ledger->since, 2);
	check_sums();
	tick();
	check_sums();
	assert_int_equal(attributed(sources), 3);
	assert_int_equal(given, 5);
}

/* Whatever happens in whichever order, sums are right and every entry that was there is handed out once. */
static void
sums_hold_whatever_happens(void **state)
{
	uint64 random = 88172645463325252ULL;
	uint64 ever = 0;
	uint64 lost = 0;

	for (int step = 0; step < 600; step++)
	{
		uint64 before = sources->drained;
		int what;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		what = (int) (random >> 20) % 100;
		if (what < 60)
		{
			int burst =
				what < 2 ? (int) ((random >> 32) % (2 * ROOM)) : (int) ((random >> 32) % 20);
			char user[] = {(char) ('a' + (random >> 40) % 26), (char) ('a' + (random >> 46) % 26),
						   0};

			for (int i = 0; i < burst; i++)
				refuse((PoolDiagReason) (i % POOLDIAG_REASONS), user);
			ever += burst;
		}
		else if (what < 95)
		{
			uint64 oldest = pooldiag_ring_oldest(pooldiag_ledger_log(ledger));

			lost += oldest > before ? oldest - before : 0;
			tick();
			assert_int_equal(given, ever - lost);
		}
		else if (what < 98)
			pooldiag_ledger_reset(ledger, now);
		else
			assert_true(pooldiag_ledger_read(ledger, sources));
		check_sums();
	}
	assert_true(lost > 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_nothing),
		TEST(a_session_is_up_to_date),
		TEST(a_new_sampler_goes_on),
		TEST(what_is_overwritten_is_counted),
		TEST(an_unfinished_entry_is_waited_for),
		TEST(a_reset_begins_anew),
		TEST(a_reset_that_is_told_late),
		TEST(sums_hold_whatever_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
