/*
 * scans.h
 *	  Tables that slow statements have read from end to end, to filter most of it away.
 */
#ifndef POOLDIAG_SCANS_H
#define POOLDIAG_SCANS_H

#include "executor/execdesc.h"

/* Scans that are told apart, and columns that are kept of each. */
#define POOLDIAG_SCANS_ROOM 128
#define POOLDIAG_SCAN_COLUMNS 3

/* One of them: what was compared, by which operators, with something that was known before the scan began. */
typedef struct PoolDiagScan
{
	Oid database;
	Oid relation;
	int16 columns[POOLDIAG_SCAN_COLUMNS]; /* their numbers; 0: no more */
	Oid operators[POOLDIAG_SCAN_COLUMNS]; /* with the column to their left */
	uint64 calls;						  /* slow statements with such a scan */
	uint64 total_us;
	double rows; /* that the newest of them was planned to find */
	TimestampTz last_at;
} PoolDiagScan;

typedef struct PoolDiagScansUse
{
	int used;
	uint64 replaced; /* scans that made way for another */
	uint64 missed;	 /* slow statements that found somebody else at it */
} PoolDiagScansUse;

extern Size pooldiag_scans_size(void);
extern void pooldiag_scans_attach(char *at, bool made);
extern void pooldiag_scans_request(void);

extern void pooldiag_scans_note(const QueryDesc *query, int64 us);
extern int pooldiag_scans_read(Oid database, PoolDiagScan *scans);
extern void pooldiag_scans_reset(void);
extern PoolDiagScansUse pooldiag_scans_use(void);

#endif /* POOLDIAG_SCANS_H */
