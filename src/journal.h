/*
 * journal.h
 *	  The journal: what breakers have done, record by record, on disk.
 */
#ifndef POOLDIAG_JOURNAL_H
#define POOLDIAG_JOURNAL_H

#include "nodefile.h"

typedef enum PoolDiagRecordKind
{
	POOLDIAG_RECORD_ALERT = 1,
	POOLDIAG_RECORD_RESET = 2,
	POOLDIAG_RECORD_INCIDENT = 3,
	POOLDIAG_RECORD_INCIDENTS_RESET = 4
} PoolDiagRecordKind;

/* Takes a record that was found; false for what it can't use: another build has written it. */
typedef bool (*PoolDiagRecordTaker)(PoolDiagRecordKind kind, const void *data, uint32 length);

extern uint64 pooldiag_journal_load(PoolDiagRecordTaker take);
extern uint64 pooldiag_journal_room(uint32 count, uint32 length);
extern bool
pooldiag_journal_make_room(uint32 length, uint64 *end, uint64 room, PoolDiagFileTrouble *trouble);
extern void pooldiag_journal_append(PoolDiagRecordKind kind, const void *data, uint32 length,
									uint64 *end, PoolDiagFileTrouble *trouble);
extern void pooldiag_journal_sync(PoolDiagFileTrouble *trouble);

#endif /* POOLDIAG_JOURNAL_H */
