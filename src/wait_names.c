/*
 * wait_names.c
 *	  What wait events are called, as far as that can be told without a lock.
 */
#include "postgres.h"

#include "storage/lwlock.h"

#include "compat.h"
#include "wait_names.h"

/*
 * The name of a wait event, or NULL: those that extensions have named are looked up under a lock, for which a worker
 * would have to wait.
 */
const char *
pooldiag_wait_name(uint32 event)
{
	uint32 class = event & 0xFF000000;
	bool is_extensions = class == PG_WAIT_EXTENSION || class > PG_WAIT_IO;
	bool is_tranche = class == PG_WAIT_LWLOCK && (event & 0xFFFF) >= LWTRANCHE_FIRST_USER_DEFINED;

	if (event == 0 || is_extensions || is_tranche)
		return NULL;
	return pgstat_get_wait_event(event);
}
