/*
 * refusals.c
 *	  What runs where a session could not start: each connection that is turned away is counted, with its
 *	  reason and whoever it was.
 *
 * The log hook runs in the process that refuses, when it says so to the log, before the client hears of it.
 * That process may have no PGPROC ("sorry, too many clients already"), may end at once under SIGTERM or
 * SIGQUIT wherever it is, and was forked by the postmaster a moment ago. So there the hook stores into shared
 * memory with atomics, and wakes the sampler now and then. It takes no LWLock (waiting for one needs a
 * PGPROC) and no spinlock (nobody would free it), allocates nothing, reports nothing, and registers nothing
 * for the process's end (core asserts, and relies on it, that the start-up packet is read without).
 *
 * It touches shared memory only in processes that serve a client, those have MyProcPort; the postmaster and
 * the syslogger run the hook too.
 *
 * What is seen is what goes to the log: FATAL does unless log_min_messages is panic, and the violations of the
 * protocol that are told to the log only do unless it is fatal or panic.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include "libpq/libpq-be.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "clock.h"
#include "compat.h"
#include "refusals.h"
#include "shared.h"
#include "worker.h"

/* The sampler is woken whenever that many refusals have come, however long its interval is. */
#define PILE (POOLDIAG_REFUSAL_LOG_ROOM / 4)

static emit_log_hook_type prev_emit_log_hook = NULL;

/* The sampler's own sources, of which it publishes copies. */
static PoolDiagRefusalSources *sources = NULL;

static const char *const reason_names[POOLDIAG_REASONS] = {
	[POOLDIAG_REFUSED_NO_SLOT] = "no slot left",
	[POOLDIAG_REFUSED_RESERVED_SLOTS] = "only reserved slots left",
	[POOLDIAG_REFUSED_ROLE_LIMIT] = "role limit",
	[POOLDIAG_REFUSED_DATABASE_LIMIT] = "database limit",
	[POOLDIAG_REFUSED_WALSENDER_LIMIT] = "walsender limit",
	[POOLDIAG_REFUSED_AUTHENTICATION] = "authentication",
	[POOLDIAG_REFUSED_NO_DATABASE] = "no such database",
	[POOLDIAG_REFUSED_STARTING_UP] = "starting up",
	[POOLDIAG_REFUSED_SHUTTING_DOWN] = "shutting down",
	[POOLDIAG_REFUSED_RECOVERY] = "recovery",
	[POOLDIAG_REFUSED_PROTOCOL] = "protocol violation",
	[POOLDIAG_REFUSED_OTHER] = "other",
};

/*
 * Reasons by SQLSTATE and, where that says too little, by how the untranslated message begins; the first that
 * fits. The messages are those of BackendInitialize or ProcessStartupPacket, InitProcess,
 * InitializeSessionUserId, InitPostgres, CheckMyDatabase and ProcessInterrupts.
 */
static const struct
{
	int sqlstate;
	const char *message; /* NULL: any */
	PoolDiagReason reason;
} reasons[] = {
	{ERRCODE_TOO_MANY_CONNECTIONS, "sorry, too many clients already", POOLDIAG_REFUSED_NO_SLOT},
	/* "for non-replication superuser connections"; from 16 on "for roles with" this or that. */
	{ERRCODE_TOO_MANY_CONNECTIONS, "remaining connection slots are reserved",
	 POOLDIAG_REFUSED_RESERVED_SLOTS},
	{ERRCODE_TOO_MANY_CONNECTIONS, "too many connections for role", POOLDIAG_REFUSED_ROLE_LIMIT},
	{ERRCODE_TOO_MANY_CONNECTIONS, "too many connections for database",
	 POOLDIAG_REFUSED_DATABASE_LIMIT},
	{ERRCODE_TOO_MANY_CONNECTIONS, "number of requested standby connections exceeds",
	 POOLDIAG_REFUSED_WALSENDER_LIMIT},
	{ERRCODE_CANNOT_CONNECT_NOW, "the database system is starting up",
	 POOLDIAG_REFUSED_STARTING_UP},
	{ERRCODE_CANNOT_CONNECT_NOW, "the database system is shutting down",
	 POOLDIAG_REFUSED_SHUTTING_DOWN},
	{ERRCODE_CANNOT_CONNECT_NOW, "the database system is in recovery mode",
	 POOLDIAG_REFUSED_RECOVERY},
	/* "not yet accepting connections" before consistency, "not accepting" without hot standby. */
	{ERRCODE_CANNOT_CONNECT_NOW, "the database system is not ", POOLDIAG_REFUSED_RECOVERY},
	{ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION, NULL, POOLDIAG_REFUSED_AUTHENTICATION},
	{ERRCODE_INVALID_PASSWORD, NULL, POOLDIAG_REFUSED_AUTHENTICATION},
	{ERRCODE_QUERY_CANCELED, "canceling authentication due to timeout",
	 POOLDIAG_REFUSED_AUTHENTICATION},
	{ERRCODE_UNDEFINED_DATABASE, NULL, POOLDIAG_REFUSED_NO_DATABASE},
	{ERRCODE_PROTOCOL_VIOLATION, NULL, POOLDIAG_REFUSED_PROTOCOL},
	{ERRCODE_FEATURE_NOT_SUPPORTED, "unsupported frontend protocol", POOLDIAG_REFUSED_PROTOCOL},
};

const char *
pooldiag_refusals_reason(PoolDiagReason reason)
{
	return reason_names[reason];
}

/* The SQLSTATE that all refused for that reason are told; 0: there are several. */
int
pooldiag_refusals_sqlstate(PoolDiagReason reason)
{
	int sqlstate = 0;

	for (int i = 0; i < (int) lengthof(reasons); i++)
	{
		if (reasons[i].reason != reason)
			continue;
		if (sqlstate != 0 && sqlstate != reasons[i].sqlstate)
			return 0;
		sqlstate = reasons[i].sqlstate;
	}
	return sqlstate;
}

static PoolDiagReason
reason_of(const ErrorData *edata)
{
	for (int i = 0; i < (int) lengthof(reasons); i++)
	{
		const char *message = reasons[i].message;

		if (edata->sqlerrcode == reasons[i].sqlstate &&
			(message == NULL || (edata->message_id != NULL &&
								 strncmp(edata->message_id, message, strlen(message)) == 0)))
			return reasons[i].reason;
	}
	return POOLDIAG_REFUSED_OTHER;
}

/*
 * Is this the end of a connection whose session has not begun? PG_exception_stack is what errfinish() goes by
 * itself: it is NULL until the main loop, and so an error is FATAL. Inside a PG_TRY it is not, hence the mode.
 * A client that has gone was not turned away.
 *
 * What is wrong with a start-up packet, or with a TLS handshake, is told to the log only, as COMMERROR, and
 * the process ends without another word.
 */
static bool
is_refusal(const ErrorData *edata)
{
	if (PG_exception_stack != NULL && !IsInitProcessingMode())
		return false;
	if (edata->elevel == FATAL)
		return edata->sqlerrcode != ERRCODE_CONNECTION_FAILURE;
	return edata->elevel == COMMERROR && edata->sqlerrcode == ERRCODE_PROTOCOL_VIOLATION;
}

static void
copy_name(char *to, const char *from)
{
	if (from != NULL)
		strlcpy(to, from, POOLDIAG_NAME_LEN);
}

/* The address in numbers, whatever log_hostname says; of a Unix socket as the log has it. */
static void
copy_client(char *to, const SockAddr *address)
{
	switch (address->addr.ss_family)
	{
		case AF_UNIX:
			strlcpy(to, "[local]", POOLDIAG_CLIENT_LEN);
			break;
		case AF_INET:
			inet_ntop(AF_INET, &((const struct sockaddr_in *) &address->addr)->sin_addr, to,
					  POOLDIAG_CLIENT_LEN);
			break;
		case AF_INET6:
			inet_ntop(AF_INET6, &((const struct sockaddr_in6 *) &address->addr)->sin6_addr, to,
					  POOLDIAG_CLIENT_LEN);
			break;
		default:
			break;
	}
}

static void
count_refusal(const ErrorData *edata)
{
	PoolDiagRefusal refusal;

	memset(&refusal, 0, sizeof(refusal));
	refusal.at = GetCurrentTimestamp();
	refusal.sqlstate = edata->sqlerrcode;
	refusal.source.reason = (int32) reason_of(edata);
	copy_name(refusal.source.user, MyProcPort->user_name);
	copy_name(refusal.source.database, MyProcPort->database_name);
	copy_name(refusal.source.application_name, MyProcPort->application_name);
	copy_client(refusal.source.client, &MyProcPort->raddr);
	if ((pooldiag_ledger_record(pooldiag_ledger, &refusal) + 1) % PILE == 0)
		pooldiag_worker_wake(POOLDIAG_SAMPLER);
}

static void
watch_log(ErrorData *edata)
{
	/* A process refuses one connection, though it may find several things to say on its way out. */
	static bool counted = false;

	if (prev_emit_log_hook)
		prev_emit_log_hook(edata);

	if (MyProcPort != NULL && pooldiag_ledger != NULL && !counted && !proc_exit_inprogress &&
		is_refusal(edata))
	{
		counted = true;
		count_refusal(edata);
	}
}

/* To be called from _PG_init, while libraries are preloaded. */
void
pooldiag_refusals_install_hooks(void)
{
	prev_emit_log_hook = emit_log_hook;
	emit_log_hook = watch_log;
}

/* In the sampler: are there so many that it should not wait for its next tick? */
bool
pooldiag_refusals_piled_up(void)
{
	return pooldiag_ledger_waiting(pooldiag_ledger) >= PILE;
}

/* In the sampler: how many connections have been refused up to where it, or a former one, has taken them up. */
uint64
pooldiag_refusals_taken_up(void)
{
	if (sources == NULL)
	{
		sources = MemoryContextAlloc(TopMemoryContext, pooldiag_ledger_sources_size());
		/* Nobody else publishes. */
		(void) pooldiag_ledger_read(pooldiag_ledger, sources);
	}
	return sources->drained;
}

/*
 * In the sampler: takes up what was refused since the last call, and publishes it. each, if there is one, is
 * called once for each refused connection, in order; never for those that were overwritten before. Returns how
 * many connections have been refused up to here, since the server's start.
 */
uint64
pooldiag_refusals_drain(PoolDiagRefusalCallback each, void *context)
{
	(void) pooldiag_refusals_taken_up();
	pooldiag_ledger_drain(pooldiag_ledger, sources, (int64) pooldiag_clock_ms(), each, context);
	return sources->drained;
}

/* In a session: sources up to now, in its memory. */
PoolDiagRefusalSources *
pooldiag_refusals_read(void)
{
	PoolDiagRefusalSources *copy = palloc(pooldiag_ledger_sources_size());

	while (!pooldiag_ledger_read(pooldiag_ledger, copy))
		CHECK_FOR_INTERRUPTS();
	pooldiag_ledger_catch_up(pooldiag_ledger, copy);
	return copy;
}

/* Forgets all refused connections, everywhere. */
void
pooldiag_refusals_reset(void)
{
	pooldiag_ledger_reset(pooldiag_ledger, GetCurrentTimestamp());
}
