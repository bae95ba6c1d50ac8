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
	POOLDIAG_RECORD_RESET = 2
} PoolDiagRecordKind;

/* Takes a record that was found; false for what it can't use: another build has written it. */
typedef bool (*PoolDiagRecordTaker)(PoolDiagRecordKind kind, const void *data, uint32 length);

extern uint64 pooldiag_journal_load(PoolDiagRecordTaker take);
extern void pooldiag_journal_append(PoolDiagRecordKind kind, const void *data, uint32 length,
									uint64 *end, uint64 room, PoolDiagFileTrouble *trouble);
extern void pooldiag_journal_sync(PoolDiagFileTrouble *trouble);

#endif /* POOLDIAG_JOURNAL_H */
