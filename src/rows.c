/*
 * rows.c
 *	  Building the rows of a report, column by column: for the result of a set-returning function, or for a document.
 */
#include "postgres.h"

#include <netdb.h>
#include <sys/socket.h>

#include "catalog/pg_type.h"
#include "common/ip.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inet.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "json.h"
#include "rows.h"
#include "text.h"

/* Decimals of a number in a document. */
#define DECIMALS 3

/* Begins a row that is an element of the array in json, with a member for each column, in the order of names. */
void
pooldiag_row_begin_json(PoolDiagRow *row, StringInfo json, const char *const *names)
{
	row->columns = 0;
	row->json = json;
	row->names = names;
	pooldiag_json_begin(json, NULL, '{');
}

void
pooldiag_row_end_json(PoolDiagRow *row)
{
	pooldiag_json_end(row->json, '}');
}

/* The name of the next column of a document's row. */
static const char *
next_name(PoolDiagRow *row)
{
	return row->names[row->columns++];
}

void
pooldiag_row_null(PoolDiagRow *row)
{
	if (row->json != NULL)
	{
		pooldiag_json_null(row->json, next_name(row));
		return;
	}
	Assert(row->columns < POOLDIAG_MAX_COLUMNS);
	row->values[row->columns] = (Datum) 0;
	row->nulls[row->columns++] = true;
}

/* A value of a type that documents don't have. */
void
pooldiag_row_datum(PoolDiagRow *row, Datum value)
{
	Assert(row->json == NULL);
	Assert(row->columns < POOLDIAG_MAX_COLUMNS);
	row->values[row->columns] = value;
	row->nulls[row->columns++] = false;
}

void
pooldiag_row_int(PoolDiagRow *row, int value)
{
	if (row->json != NULL)
		pooldiag_json_int(row->json, next_name(row), value);
	else
		pooldiag_row_datum(row, Int32GetDatum(value));
}

void
pooldiag_row_int64(PoolDiagRow *row, int64 value)
{
	if (row->json != NULL)
		pooldiag_json_int(row->json, next_name(row), value);
	else
		pooldiag_row_datum(row, Int64GetDatum(value));
}

/* A count that is clamped to int, as the capacity of many large pools may pass it. */
void
pooldiag_row_int_or_null(PoolDiagRow *row, bool known, int64 value)
{
	if (known)
		pooldiag_row_int(row, (int) Min(value, PG_INT32_MAX));
	else
		pooldiag_row_null(row);
}

void
pooldiag_row_bool(PoolDiagRow *row, bool value)
{
	if (row->json != NULL)
		pooldiag_json_bool(row->json, next_name(row), value);
	else
		pooldiag_row_datum(row, BoolGetDatum(value));
}

void
pooldiag_row_float(PoolDiagRow *row, double value)
{
	if (row->json != NULL)
		pooldiag_json_number(row->json, next_name(row), value, DECIMALS);
	else
		pooldiag_row_datum(row, Float8GetDatum(value));
}

/* A rate a second; NULL for what is not known, as a negative one says. */
void
pooldiag_row_rate(PoolDiagRow *row, double rate)
{
	if (rate < 0)
		pooldiag_row_null(row);
	else
		pooldiag_row_float(row, rate);
}

/* 100 × part / whole; NULL where there is no whole. */
void
pooldiag_row_percent(PoolDiagRow *row, double part, double whole)
{
	if (whole > 0)
		pooldiag_row_float(row, 100.0 * part / whole);
	else
		pooldiag_row_null(row);
}

/* NULL for NULL; bytes that are none of the database's encoding are replaced. */
void
pooldiag_row_text(PoolDiagRow *row, const char *text)
{
	if (text == NULL)
		pooldiag_row_null(row);
	else if (row->json != NULL)
		pooldiag_json_string(row->json, next_name(row), text);
	else
		pooldiag_row_datum(row, CStringGetTextDatum(pooldiag_text_clean(text)));
}

/* NULL for zero, which is how the server marks an instant that is not known. */
void
pooldiag_row_timestamp(PoolDiagRow *row, TimestampTz at)
{
	if (at == 0)
		pooldiag_row_null(row);
	else if (row->json != NULL)
		pooldiag_json_time(row->json, next_name(row), at);
	else
		pooldiag_row_datum(row, TimestampTzGetDatum(at));
}

/* A document, which was written as text. */
void
pooldiag_row_jsonb(PoolDiagRow *row, const char *json)
{
	if (row->json != NULL)
		pooldiag_json_document(row->json, next_name(row), json);
	else
		pooldiag_row_datum(row, DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
}

/* The time from since to now, never negative; NULL where since is zero. */
void
pooldiag_row_age(PoolDiagRow *row, TimestampTz now, TimestampTz since)
{
	if (since == 0)
		pooldiag_row_null(row);
	else
		pooldiag_row_datum(row, DirectFunctionCall2(timestamp_mi, TimestampTzGetDatum(now),
													TimestampTzGetDatum(Min(since, now))));
}

/* The numeric form of a TCP address; NULL for a Unix socket and for none, as in pg_stat_activity.
 */
char *
pooldiag_address_text(const SockAddr *address)
{
	char host[NI_MAXHOST];

	if (address->addr.ss_family != AF_INET && address->addr.ss_family != AF_INET6)
		return NULL;
	if (pg_getnameinfo_all(&address->addr, address->salen, host, sizeof(host), NULL, 0,
						   NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return NULL;
	clean_ipv6_addr(address->addr.ss_family, host);
	return pstrdup(host);
}

void
pooldiag_row_address(PoolDiagRow *row, const SockAddr *address)
{
	char *text = pooldiag_address_text(address);

	if (text == NULL)
		pooldiag_row_null(row);
	else
		pooldiag_row_datum(row, DirectFunctionCall1(inet_in, CStringGetDatum(text)));
}

void
pooldiag_row_int_array(PoolDiagRow *row, const int *values, int count)
{
	Datum *elements = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		elements[i] = Int32GetDatum(values[i]);
	pooldiag_row_datum(row, PointerGetDatum(construct_array(elements, count, INT4OID, sizeof(int32),
															true, TYPALIGN_INT)));
}

/* Adds the row to the result, and empties it. */
void
pooldiag_row_put(PoolDiagRow *row, ReturnSetInfo *result)
{
	if (row->columns != result->setDesc->natts)
		elog(ERROR, "a row of %d columns was made for a result of %d", row->columns,
			 result->setDesc->natts);
	tuplestore_putvalues(result->setResult, result->setDesc, row->values, row->nulls);
	row->columns = 0;
}
