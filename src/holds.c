/*
 * holds.c
 *	  How long the connections of each database were checked out: what slow statements are a share of.
 *
 * A session adds up in a place of its own, with plain stores: each transaction at its end, and where a slow
 * statement ends, the transaction as far as it has come. So no slow statement is counted whose time is not in
 * here. What a session has is its database's when it ends.
 *
 * A database has one of a fixed number of rows, from its first session on. A row whose database has no session
 * may be given to another, the one with the least time first; where each has sessions, a new database has none, and
 * what its sessions held is not known, and counted as dropped.
 *
 * No lock: a row's state, its database and how many sessions it has, is one word. Races that are accepted: the first
 * two sessions of a database that come in the same microsecond may take a row each, and both rows count; a reader
 * that comes while a session ends reads again, a hundred times at the most.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "utils/timestamp.h"

#include "holds.h"

#define READ_TRIES 100

typedef struct Row
{
	pg_atomic_uint64 state; /* database << 32 | sessions; 0: unused; 1: being made */
	pg_atomic_uint64 us;	/* of sessions that have ended */
	pg_atomic_uint64 at_reset;
	pg_atomic_uint64 since;
} Row;

typedef struct Shared
{
	pg_atomic_uint64 ends_begun;
	pg_atomic_uint64 ends_done;
	pg_atomic_uint64 dropped; /* sessions whose database found no row */
	Row rows[POOLDIAG_HOLD_ROWS];
} Shared;

static Shared *shared = NULL;
static PoolDiagHold *holds = NULL;

PoolDiagHold *pooldiag_my_hold = NULL;

Size
pooldiag_holds_size(void)
{
	return add_size(CACHELINEALIGN(sizeof(Shared)), mul_size(sizeof(PoolDiagHold), MaxConnections));
}

void
pooldiag_holds_attach(char *at, bool made)
{
	shared = (Shared *) at;
	holds = (PoolDiagHold *) (at + CACHELINEALIGN(sizeof(Shared)));
	if (!made)
		return;
	pg_atomic_init_u64(&shared->ends_begun, 0);
	pg_atomic_init_u64(&shared->ends_done, 0);
	pg_atomic_init_u64(&shared->dropped, 0);
	for (int i = 0; i < POOLDIAG_HOLD_ROWS; i++)
	{
		pg_atomic_init_u64(&shared->rows[i].state, 0);
		pg_atomic_init_u64(&shared->rows[i].us, 0);
		pg_atomic_init_u64(&shared->rows[i].at_reset, 0);
		pg_atomic_init_u64(&shared->rows[i].since, 0);
	}
	for (int i = 0; i < MaxConnections; i++)
		holds[i].row = -1;
}

/* A session that has authenticated, and has that PGPROC, begins from zero. */
void
pooldiag_holds_login(int procno)
{
	pooldiag_my_hold = &holds[procno];
	pooldiag_my_hold->row = -1;
	pooldiag_my_hold->us = 0;
	pooldiag_my_hold->until = 0;
}

/* Makes itself one more session of its database's row; -1 if that has none. */
static int
join_row(Oid database)
{
	for (int i = 0; i < POOLDIAG_HOLD_ROWS; i++)
	{
		uint64 state = pg_atomic_read_u64(&shared->rows[i].state);

		while (state >> 32 == database)
			if (pg_atomic_compare_exchange_u64(&shared->rows[i].state, &state, state + 1))
				return i;
	}
	return -1;
}

/* A row that is unused, or else the one without sessions that has the least time; -1 if there is none. */
static int
find_room(uint64 *state)
{
	int best = -1;
	uint64 least = PG_UINT64_MAX;

	for (int i = 0; i < POOLDIAG_HOLD_ROWS; i++)
	{
		uint64 found = pg_atomic_read_u64(&shared->rows[i].state);
		uint64 us = found == 0 ? 0 : pg_atomic_read_u64(&shared->rows[i].us) + 1;

		if ((uint32) found == 0 && us < least)
		{
			best = i;
			least = us;
			*state = found;
		}
	}
	return best;
}

/* This session's start-up is over, and its database known. */
void
pooldiag_holds_connected(void)
{
	uint64 state = 0;
	int row;

	while ((row = join_row(MyDatabaseId)) < 0 && (row = find_room(&state)) >= 0)
	{
		Row *made = &shared->rows[row];

		if (!pg_atomic_compare_exchange_u64(&made->state, &state, 1))
			continue;
		pg_atomic_write_u64(&made->us, 0);
		pg_atomic_write_u64(&made->at_reset, 0);
		pg_atomic_write_u64(&made->since, (uint64) GetCurrentTimestamp());
		pg_memory_barrier();
		pg_atomic_write_u64(&made->state, (uint64) MyDatabaseId << 32 | 1);
		break;
	}
	if (row < 0)
		pg_atomic_fetch_add_u64(&shared->dropped, 1);
	pooldiag_my_hold->row = row;
}

/* The session ends. */
void
pooldiag_holds_logout(void)
{
	PoolDiagHold *hold = pooldiag_my_hold;

	pg_atomic_fetch_add_u64(&shared->ends_begun, 1);
	if (hold->row >= 0)
	{
		pg_atomic_fetch_add_u64(&shared->rows[hold->row].us, hold->us);
		pg_atomic_fetch_sub_u64(&shared->rows[hold->row].state, 1);
	}
	hold->row = -1;
	pg_atomic_fetch_add_u64(&shared->ends_done, 1);
	pooldiag_my_hold = NULL;
}

/* What each row has, since it is there. */
static void
read_once(int64 *us)
{
	for (int i = 0; i < POOLDIAG_HOLD_ROWS; i++)
		us[i] = (int64) pg_atomic_read_u64(&shared->rows[i].us);
	for (int i = 0; i < MaxConnections; i++)
	{
		int row = holds[i].row;

		if (row >= 0)
			us[row] += holds[i].us;
	}
}

static void
read_all(int64 *us)
{
	for (int try = 0; try < READ_TRIES; try++)
	{
		uint64 done = pg_atomic_read_u64(&shared->ends_done);

		pg_read_barrier();
		read_once(us);
		pg_read_barrier();
		if (pg_atomic_read_u64(&shared->ends_begun) == done)
			return;
	}
}

/* What each row's database has held; POOLDIAG_HOLD_ROWS of them. */
void
pooldiag_holds_read(PoolDiagHeld *held)
{
	int64 us[POOLDIAG_HOLD_ROWS];

	read_all(us);
	for (int i = 0; i < POOLDIAG_HOLD_ROWS; i++)
	{
		Row *row = &shared->rows[i];

		held[i].database = (Oid) (pg_atomic_read_u64(&row->state) >> 32);
		held[i].us = us[i] - (int64) pg_atomic_read_u64(&row->at_reset);
		held[i].since = (TimestampTz) pg_atomic_read_u64(&row->since);
	}
}

/* While the server starts: puts back what was read before. */
void
pooldiag_holds_restore(const PoolDiagHeld *held)
{
	for (int i = 0; i < POOLDIAG_HOLD_ROWS; i++)
	{
		Row *row = &shared->rows[i];

		pg_atomic_write_u64(&row->state, (uint64) held[i].database << 32);
		pg_atomic_write_u64(&row->us, (uint64) held[i].us);
		pg_atomic_write_u64(&row->since, (uint64) held[i].since);
	}
}

/* Counts from zero. */
void
pooldiag_holds_reset(void)
{
	int64 us[POOLDIAG_HOLD_ROWS];

	read_all(us);
	for (int i = 0; i < POOLDIAG_HOLD_ROWS; i++)
		pg_atomic_write_u64(&shared->rows[i].at_reset, (uint64) us[i]);
	pg_atomic_write_u64(&shared->dropped, 0);
}

/* Databases that have a row. */
int
pooldiag_holds_used(void)
{
	int used = 0;

	for (int i = 0; i < POOLDIAG_HOLD_ROWS; i++)
		used += pg_atomic_read_u64(&shared->rows[i].state) >> 32 != 0;
	return used;
}

/* Sessions whose holds are in no row, since the last reset. */
uint64
pooldiag_holds_dropped(void)
{
	return pg_atomic_read_u64(&shared->dropped);
}
