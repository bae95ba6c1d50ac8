/*
 * compat.h
 *	  The differences between PostgreSQL's major versions, each in the newest one's shape.
 *
 * This is the only file that looks at PG_VERSION_NUM, backends.[ch] apart.
 */
#ifndef POOLDIAG_COMPAT_H
#define POOLDIAG_COMPAT_H

#include "fmgr.h"
#include "miscadmin.h"

#if PG_VERSION_NUM < 150000
#error "pooldiag needs PostgreSQL 15 or newer"
#endif

#if PG_VERSION_NUM < 160000
extern PGDLLEXPORT void _PG_init(void);
/* Slots kept for roles with pg_use_reserved_connections, a setting of 16. */
#define ReservedConnections 0
#endif

#endif /* POOLDIAG_COMPAT_H */
