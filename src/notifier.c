/*
 * notifier.c
 *	  Alerts to those who LISTEN.
 *
 * In a process that is connected to pooldiag.database (errand.c) and notifies pooldiag.notify_channel of each alert in a
 * transaction of its own, after it was logged. That waits for no disk and no standby, since a notification outlives no
 * crash anyway; but it may wait behind an application that commits one. An alert is passed when its transaction has
 * committed: whoever listens may get one twice, if the process ends in between.
 *
 * On a standby nobody can be notified: there alerts are passed, and counted.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "utils/guc.h"

#include "alerts.h"
#include "notifier.h"
#include "settings.h"
#include "text.h"

/* A payload is shorter than that; as much as the server takes. */
#define PAYLOAD_LIMIT Min(8000, BLCKSZ - NAMEDATALEN - 128)

typedef struct Notifier
{
	pg_atomic_uint64 sent;	  /* the process's */
	pg_atomic_uint64 skipped; /* of operations */
} Notifier;

static Notifier *notifier = NULL;

Size
pooldiag_notifier_size(void)
{
	return sizeof(Notifier);
}

void
pooldiag_notifier_attach(char *at, bool made)
{
	notifier = (Notifier *) at;
	if (!made)
		return;
	pg_atomic_init_u64(&notifier->sent, 0);
	pg_atomic_init_u64(&notifier->skipped, 0);
}

/* Is there anything to be notified? */
bool
pooldiag_notifier_has_work(void)
{
	PoolDiagAlert alert;

	return pooldiag_notify_channel[0] != '\0' && !RecoveryInProgress() &&
		   pooldiag_alerts_peek(POOLDIAG_FOLLOWER_NOTIFIER, &alert) && pooldiag_alerts_is_logged();
}

/* Passes alerts that nobody can be notified of. No errand may be at it; there is none where this does anything. */
void
pooldiag_notifier_skip(void)
{
	bool is_off = pooldiag_notify_channel[0] == '\0';
	PoolDiagAlert alert;

	if (!is_off && !RecoveryInProgress())
		return;
	while (pooldiag_alerts_peek(POOLDIAG_FOLLOWER_NOTIFIER, &alert))
	{
		pooldiag_alerts_pass(POOLDIAG_FOLLOWER_NOTIFIER);
		if (!is_off)
			pg_atomic_fetch_add_u64(&notifier->skipped, 1);
	}
}

/* The alert as JSON, for listeners in this database; without its evidence where that is too long. */
static char *
payload_of(PoolDiagAlert *alert)
{
	StringInfoData json;
	char *text;

	initStringInfo(&json);
	pooldiag_alerts_write(&json, alert);
	text = pooldiag_text_clean(json.data);
	if (strlen(text) < PAYLOAD_LIMIT)
		return text;
	strcpy(alert->evidence, "{}");
	resetStringInfo(&json);
	pooldiag_alerts_write(&json, alert);
	return pooldiag_text_clean(json.data);
}

static void
notify(PoolDiagAlert *alert)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	(void) set_config_option("synchronous_commit", "off", PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_LOCAL, true, 0, false);
	Async_Notify(pooldiag_text_clean(pooldiag_notify_channel), payload_of(alert));
	CommitTransactionCommand();
}

/* Errors are the caller's. */
void
pooldiag_notifier_run(void)
{
	PoolDiagAlert alert;

	while (pooldiag_notify_channel[0] != '\0' &&
		   pooldiag_alerts_peek(POOLDIAG_FOLLOWER_NOTIFIER, &alert) && pooldiag_alerts_is_logged())
	{
		CHECK_FOR_INTERRUPTS();
		notify(&alert);
		pooldiag_alerts_pass(POOLDIAG_FOLLOWER_NOTIFIER);
		pg_atomic_fetch_add_u64(&notifier->sent, 1);
	}
}

PoolDiagNotified
pooldiag_notifier_use(void)
{
	PoolDiagNotified use = {pg_atomic_read_u64(&notifier->sent),
							pg_atomic_read_u64(&notifier->skipped)};

	return use;
}
