/*
 * quotas.h
 *	  How many connections roles and databases are allowed, where no catalog can be read.
 */
#ifndef POOLDIAG_QUOTAS_H
#define POOLDIAG_QUOTAS_H

#include "datatype/timestamp.h"

/* So many limits are kept, the tightest. */
#define POOLDIAG_QUOTAS_ROOM 128

typedef struct PoolDiagQuota
{
	Oid oid;
	bool is_role;			/* else a database */
	int limit;				/* connections */
	char name[NAMEDATALEN]; /* in the bytes of the catalog */
} PoolDiagQuota;

typedef struct PoolDiagQuotas
{
	TimestampTz read_at; /* 0: not yet */
	int count;
	int left_out; /* limits that were not kept */
	PoolDiagQuota limits[POOLDIAG_QUOTAS_ROOM];
} PoolDiagQuotas;

extern Size pooldiag_quotas_size(void);
extern void pooldiag_quotas_attach(char *at, bool made);

/* In its own process. */
extern void pooldiag_quotas_run(void);

/* Anywhere. */
extern bool pooldiag_quotas_read(PoolDiagQuotas *copy);

#endif /* POOLDIAG_QUOTAS_H */
