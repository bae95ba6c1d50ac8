/*
 * exposition.h
 *	  What monitoring systems collect: all metrics, as text.
 */
#ifndef POOLDIAG_EXPOSITION_H
#define POOLDIAG_EXPOSITION_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

#include "live.h"

extern void
pooldiag_exposition_write(StringInfo out, PoolDiagLive *live, const List *advice, bool openmetrics);

#endif /* POOLDIAG_EXPOSITION_H */
