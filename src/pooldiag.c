/*
 * pooldiag.c
 *	  Entry: the module's magic, settings, hooks and workers. Nothing else lives here.
 */
#include "postgres.h"

#include "compat.h"

PG_MODULE_MAGIC;

void
_PG_init(void)
{
}
