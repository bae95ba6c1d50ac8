/*
 * keeper.h
 *	  The background worker that writes files.
 */
#ifndef POOLDIAG_KEEPER_H
#define POOLDIAG_KEEPER_H

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "port/atomics.h"

/* What the worker has done since the server's start. The worker alone writes it, but for what sessions ask for. */
typedef struct PoolDiagKeeper
{
	pg_atomic_uint32 saves_requested; /* raised by sessions */
	TimestampTz
		restored_from;	  /* when the state file was written that the server began with; 0: none */
	TimestampTz saved_at; /* when it was written last; 0: not yet */
	int64 saved_size;
	uint64 journal_end; /* where the journal ends; 0: there is none yet */
} PoolDiagKeeper;

/* NULL where pooldiag was not preloaded. */
extern PoolDiagKeeper *pooldiag_keeper;

extern Size pooldiag_keeper_size(void);
extern void pooldiag_keeper_attach(char *at, bool made);
extern void pooldiag_keeper_load(void);
extern void pooldiag_keeper_save_soon(void);
extern PGDLLEXPORT void pooldiag_keeper_main(Datum main_arg);

#endif /* POOLDIAG_KEEPER_H */
