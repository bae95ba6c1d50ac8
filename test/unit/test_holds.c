/*
 * link: holds.c
 *
 * How long the connections of databases were held: sums over sessions that come and go, what a row is worth that
 * another database had before, and what becomes of one database too many.
 */
#include "server.h"

#include "miscadmin.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "holds.h"

#define SESSIONS 300

/* What the module asks of the server. */
int MaxConnections = SESSIONS;
Oid MyDatabaseId = InvalidOid;
static TimestampTz now = 1000;

TimestampTz
GetCurrentTimestamp(void)
{
	return now;
}

Size
add_size(Size s1, Size s2)
{
	return s1 + s2;
}

Size
mul_size(Size s1, Size s2)
{
	return s1 * s2;
}

static PoolDiagHold *session[SESSIONS];
static PoolDiagHeld held[POOLDIAG_HOLD_ROWS];

static int
set_up(void **state)
{
	char *memory = calloc(1, pooldiag_holds_size() + 128);

	*state = memory;
	pooldiag_holds_attach((char *) CACHELINEALIGN(memory), true);
	now = 1000;
	return 0;
}

static int
tear_down(void **state)
{
	free(*state);
	return 0;
}

static void
connect_to(int number, Oid database)
{
	MyDatabaseId = database;
	pooldiag_holds_login(number);
	pooldiag_holds_connected();
	session[number] = pooldiag_my_hold;
}

static void
hold(int number, TimestampTz begin, TimestampTz end)
{
	pooldiag_my_hold = session[number];
	pooldiag_holds_add(begin, end);
}

static void
end(int number)
{
	pooldiag_my_hold = session[number];
	pooldiag_holds_logout();
}

/* What a database has, or -1 where it has no row. */
static int64
held_by(Oid database)
{
	pooldiag_holds_read(held);
	for (int i = 0; i < POOLDIAG_HOLD_ROWS; i++)
		if (held[i].database == database)
			return held[i].us;
	return -1;
}

static void
test_sessions_of_a_database(void **state)
{
	connect_to(0, 10);
	connect_to(1, 10);
	connect_to(2, 20);
	hold(0, 100, 130);
	hold(1, 100, 105);
	hold(2, 0, 1);
	assert_int_equal(held_by(10), 35);
	end(0);
	assert_int_equal(held_by(10), 35);
	connect_to(0, 20);
	assert_int_equal(held_by(10), 35);
	hold(0, 200, 202);
	assert_int_equal(held_by(20), 3);
	assert_int_equal(held_by(30), -1);
	assert_int_equal(pooldiag_holds_used(), 2);
}

/* One that has not found its database yet, or never gets there. */
static void
test_start_up(void **state)
{
	pooldiag_holds_login(0);
	session[0] = pooldiag_my_hold;
	end(0);
	assert_int_equal(pooldiag_holds_used(), 0);
	assert_int_equal(pooldiag_holds_dropped(), 0);
}

/* A statement's end, then that of its transaction: nothing is counted twice. */
static void
test_parts(void **state)
{
	connect_to(0, 10);
	hold(0, 100, 150);
	hold(0, 100, 180);
	assert_int_equal(held_by(10), 80);
	hold(0, 120, 170);
	assert_int_equal(held_by(10), 130);
	hold(0, 200, 200);
	hold(0, 210, 205);
	assert_int_equal(held_by(10), 130);
}

/* A clock that was set back doesn't stop the count. */
static void
test_clock(void **state)
{
	connect_to(0, 10);
	hold(0, 1000, 2000);
	hold(0, 10, 20);
	assert_int_equal(held_by(10), 1010);
	hold(0, 30, 40);
	assert_int_equal(held_by(10), 1020);
}

static void
test_reset(void **state)
{
	connect_to(0, 10);
	connect_to(1, 10);
	hold(0, 0, 10);
	hold(1, 0, 5);
	end(1);
	pooldiag_holds_reset();
	assert_int_equal(held_by(10), 0);
	hold(0, 10, 12);
	end(0);
	assert_int_equal(held_by(10), 2);
}

static void
test_one_database_too_many(void **state)
{
	for (int i = 0; i < POOLDIAG_HOLD_ROWS; i++)
	{
		connect_to(i, 1000 + i);
		hold(i, 0, 100 + i);
	}
	connect_to(290, 9000);
	hold(290, 0, 7);
	assert_int_equal(held_by(9000), -1);
	assert_int_equal(pooldiag_holds_dropped(), 1);
	end(290);
	assert_int_equal(pooldiag_holds_used(), POOLDIAG_HOLD_ROWS);

	/* Of those without a session the one that has held least goes. */
	end(5);
	end(9);
	now = 5000;
	connect_to(290, 9000);
	hold(290, 0, 7);
	assert_int_equal(held_by(9000), 7);
	assert_int_equal(held_by(1005), -1);
	assert_int_equal(held_by(1009), 109);
	assert_int_equal(held[5].since, 5000);
	assert_int_equal(held[9].since, 1000);
	assert_int_equal(pooldiag_holds_dropped(), 1);

	/* One that comes back begins anew. */
	connect_to(5, 1005);
	assert_int_equal(held_by(1005), 0);
	assert_int_equal(held_by(1009), -1);
	pooldiag_holds_reset();
	assert_int_equal(pooldiag_holds_dropped(), 0);
	assert_int_equal(held_by(1100), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sessions_of_a_database, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_start_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_parts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_clock, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reset, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one_database_too_many, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
