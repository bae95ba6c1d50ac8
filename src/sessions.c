/*
 * sessions.c
 *	  What runs inside sessions: at login each publishes its names, so that no worker needs a
 * catalog.
 *
 * A session writes the identity of its own slot once, after it has authenticated and before it has
 * an entry in the backend status array, with plain stores: it zeroes the pid, writes the names, then
 * the pid. A reader that finds the same pid before and after has what belongs to that pid. The names
 * are those of the login; a role that is renamed under a live session keeps its old one here until
 * the session ends.
 */
#include "postgres.h"

#include "libpq/auth.h"
#include "libpq/libpq-be.h"
#include "replication/walsender.h"

#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "counters.h"
#include "holds.h"
#include "sessions.h"
#include "shared.h"
#include "statements.h"

static ClientAuthentication_hook_type prev_client_authentication_hook = NULL;

/* Still with its PGPROC, and after the transaction that was in progress has been aborted. */
static void
end_session(int code, Datum arg)
{
	pooldiag_statements_end_session();
	pooldiag_holds_logout();
	pooldiag_counters_logout(GetCurrentTimestamp() - MyStartTimestamp);
}

static void
begin_session(Port *port, int status)
{
	if (prev_client_authentication_hook)
		prev_client_authentication_hook(port, status);

	if (status == STATUS_OK && pooldiag_control != NULL && MyProc != NULL && !am_walsender &&
		MyProcNumber < MaxConnections)
	{
		volatile PoolDiagIdentity *identity = pooldiag_shared_identity(MyProcNumber);

		identity->pid = 0;
		pg_write_barrier();
		strlcpy((char *) identity->user, port->user_name ? port->user_name : "", NAMEDATALEN);
		strlcpy((char *) identity->database, port->database_name ? port->database_name : "",
				NAMEDATALEN);
		pg_write_barrier();
		identity->pid = MyProcPid;

		pooldiag_counters_login();
		pooldiag_holds_login(MyProcNumber);
		on_shmem_exit(end_session, (Datum) 0);
	}
}

/* To be called from _PG_init, while libraries are preloaded. */
void
pooldiag_sessions_install_hooks(void)
{
	prev_client_authentication_hook = ClientAuthentication_hook;
	ClientAuthentication_hook = begin_session;
	pooldiag_statements_install_hooks();
}

/*
 * The names under which process pid, in that slot, logged in; NAMEDATALEN bytes each. False where
 * that process has published none.
 */
bool
pooldiag_sessions_identity(int procno, int pid, char *user, char *database)
{
	volatile PoolDiagIdentity *identity;

	if (pooldiag_control == NULL || procno >= MaxConnections)
		return false;
	identity = pooldiag_shared_identity(procno);
	if (identity->pid != pid)
		return false;
	pg_read_barrier();
	memcpy(user, (char *) identity->user, NAMEDATALEN);
	memcpy(database, (char *) identity->database, NAMEDATALEN);
	pg_read_barrier();
	return identity->pid == pid;
}
