/*
 * rows.h
 *	  Building the rows of a report, column by column: for the result of a set-returning function, or for a document.
 */
#ifndef POOLDIAG_ROWS_H
#define POOLDIAG_ROWS_H

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "libpq/pqcomm.h"
#include "nodes/execnodes.h"

#define POOLDIAG_MAX_COLUMNS 32

/* A row that is being filled from the left; zeroed, it is empty, and goes into the result of a function. */
typedef struct PoolDiagRow
{
	int columns;
	StringInfo json;		  /* of a row that goes into a document: an object in there, */
	const char *const *names; /* with these members */
	Datum values[POOLDIAG_MAX_COLUMNS];
	bool nulls[POOLDIAG_MAX_COLUMNS];
} PoolDiagRow;

extern void pooldiag_row_begin_json(PoolDiagRow *row, StringInfo json, const char *const *names);
extern void pooldiag_row_end_json(PoolDiagRow *row);
extern void pooldiag_row_null(PoolDiagRow *row);
extern void pooldiag_row_datum(PoolDiagRow *row, Datum value);
extern void pooldiag_row_int(PoolDiagRow *row, int value);
extern void pooldiag_row_int64(PoolDiagRow *row, int64 value);
extern void pooldiag_row_int_or_null(PoolDiagRow *row, bool known, int64 value);
extern void pooldiag_row_bool(PoolDiagRow *row, bool value);
extern void pooldiag_row_float(PoolDiagRow *row, double value);
extern void pooldiag_row_rate(PoolDiagRow *row, double rate);
extern void pooldiag_row_percent(PoolDiagRow *row, double part, double whole);
extern void pooldiag_row_text(PoolDiagRow *row, const char *text);
extern void pooldiag_row_timestamp(PoolDiagRow *row, TimestampTz at);
extern void pooldiag_row_jsonb(PoolDiagRow *row, const char *json);
extern void pooldiag_row_age(PoolDiagRow *row, TimestampTz now, TimestampTz since);
extern void pooldiag_row_address(PoolDiagRow *row, const SockAddr *address);
extern void pooldiag_row_int_array(PoolDiagRow *row, const int *values, int count);
extern void pooldiag_row_put(PoolDiagRow *row, ReturnSetInfo *result);

extern char *pooldiag_address_text(const SockAddr *address);

#endif /* POOLDIAG_ROWS_H */
