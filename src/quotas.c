/*
 * quotas.c
 *	  How many connections roles and databases are allowed, where no catalog can be read.
 *
 * A process that is connected to a database (errand.c) reads the catalogs now and then and leaves what it found in
 * shared memory. There are two buffers, which it alone writes; a reader copies the one written last, and does so again if
 * that has changed meanwhile.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "quotas.h"

#define READ_TRIES 100

typedef struct Shared
{
	pg_atomic_uint64 written; /* how often; what was written last stands in buffer written % 2 */
	PoolDiagQuotas buffers[2];
} Shared;

static Shared *shared = NULL;

Size
pooldiag_quotas_size(void)
{
	return sizeof(Shared);
}

void
pooldiag_quotas_attach(char *at, bool made)
{
	shared = (Shared *) at;
	if (made)
		pg_atomic_init_u64(&shared->written, 0);
}

static void
take_row(PoolDiagQuota *limit, HeapTuple tuple, TupleDesc desc)
{
	bool is_null;

	limit->oid = DatumGetObjectId(SPI_getbinval(tuple, desc, 1, &is_null));
	limit->is_role = DatumGetBool(SPI_getbinval(tuple, desc, 2, &is_null));
	limit->limit = DatumGetInt32(SPI_getbinval(tuple, desc, 3, &is_null));
	strlcpy(limit->name, SPI_getvalue(tuple, desc, 4), NAMEDATALEN);
}

/* Errors are the caller's. */
void
pooldiag_quotas_run(void)
{
	uint64 written = pg_atomic_read_u64(&shared->written);
	PoolDiagQuotas *limits = &shared->buffers[(written + 1) % 2];

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT ||
		SPI_execute(
			"SELECT oid, false, datconnlimit, datname::pg_catalog.text "
			"FROM pg_catalog.pg_database WHERE datconnlimit >= 0 AND datallowconn "
			"UNION ALL SELECT oid, true, rolconnlimit, rolname::pg_catalog.text "
			"FROM pg_catalog.pg_roles WHERE rolconnlimit >= 0 AND rolcanlogin AND NOT rolsuper "
			"ORDER BY 3, 2, 1",
			true, 0) != SPI_OK_SELECT)
		elog(ERROR, "the limits of roles and databases could not be read");
	limits->count = (int) Min(SPI_processed, (uint64) POOLDIAG_QUOTAS_ROOM);
	limits->left_out = (int) Min(SPI_processed - (uint64) limits->count, (uint64) INT_MAX);
	for (int i = 0; i < limits->count; i++)
		take_row(&limits->limits[i], SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
	limits->read_at = GetCurrentTimestamp();
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	pg_write_barrier();
	pg_atomic_write_u64(&shared->written, written + 1);
}

/* A copy of what was found last; false if nothing was yet. */
bool
pooldiag_quotas_read(PoolDiagQuotas *copy)
{
	for (int try = 0; try < READ_TRIES; try++)
	{
		uint64 written = pg_atomic_read_u64(&shared->written);

		if (written == 0)
			return false;
		pg_read_barrier();
		*copy = shared->buffers[written % 2];
		pg_read_barrier();
		if (pg_atomic_read_u64(&shared->written) == written)
			return true;
	}
	return false;
}
