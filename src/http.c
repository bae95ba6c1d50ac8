/*
 * http.c
 *	  The background worker that answers over HTTP.
 *
 * Attached to shared memory only, started with the postmaster: it holds no connection slot, and answers when all of them are
 * taken, during recovery and on a standby. It waits for no session and no client: for its latch and the library's
 * descriptors, all at once. Off while pooldiag.http_port is 0.
 *
 * What is wrong with a port, an address or the token's file is said in the server's log, and tried again when the
 * configuration is reloaded; no token is then no access, not all of it.
 */
#include "postgres.h"

#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "clock.h"
#include "compat.h"
#include "endpoints.h"
#include "http.h"
#include "httpd.h"
#include "listener.h"
#include "settings.h"
#include "worker.h"

#define KEPT_BYTES (16 * 1024 * 1024)

/* Of the token's file. */
#define LINE_LEN ((size_t) 2 * POOLDIAG_TOKEN_LEN)
#define BLANKS " \t"

#define TRIED_AGAIN "It is tried again when the configuration is reloaded."

/* What is listened to, to see what a reload changes. */
static int port = 0;
static char *addresses = NULL;
static PoolDiagListenAddress listed[POOLDIAG_LISTENERS];
static bool is_open[POOLDIAG_LISTENERS]; /* of those, or need not be */
static int listed_count = 0;
static WaitEventSet *waits = NULL;

/* ---------------------------------------------------------------- the token ---------------------- */

/* As core has it for a private key: the server's user's alone, or root's with the group that reads it. */
static bool
is_private(const struct stat *file)
{
	if (file->st_uid == geteuid())
		return (file->st_mode & (S_IRWXG | S_IRWXO)) == 0;
	return file->st_uid == 0 && (file->st_mode & (S_IWGRP | S_IXGRP | S_IRWXO)) == 0;
}

/*
 * The first line of the file, without blanks around it, as a header can't have them, in token, of POOLDIAG_TOKEN_LEN + 1 bytes;
 * else why not.
 */
static const char *
read_token(int fd, char *token)
{
	struct stat file;
	char line[LINE_LEN + 1];
	const char *begin;
	ssize_t read_length;
	size_t length;

	if (fstat(fd, &file) != 0)
		return psprintf("It could not be looked at: %m.");
	if (!S_ISREG(file.st_mode))
		return "It is not a regular file.";
	if (!is_private(&file))
		return "Others than the server's user can read it.";
	read_length = read(fd, line, LINE_LEN);
	if (read_length < 0)
		return psprintf("It could not be read: %m.");
	line[read_length] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	begin = line + strspn(line, BLANKS);
	length = strlen(begin);
	while (length > 0 && strchr(BLANKS, begin[length - 1]) != NULL)
		length--;
	if (length > POOLDIAG_TOKEN_LEN)
		return psprintf("Its first line is longer than %d bytes.", POOLDIAG_TOKEN_LEN);
	if (length == 0)
		return "Its first line is empty.";
	memcpy(token, begin, length);
	token[length] = '\0';
	explicit_bzero(line, sizeof(line));
	return NULL;
}

static void
configure_token(void)
{
	const char *path = pooldiag_http_token_file;
	char token[POOLDIAG_TOKEN_LEN + 1];
	const char *trouble;
	int fd;

	if (path[0] == '\0')
	{
		pooldiag_endpoints_configure(NULL);
		return;
	}
	/* Whatever it is, that must not wait for somebody to write into it. */
	fd = BasicOpenFile(path, O_RDONLY | O_NONBLOCK);
	if (fd < 0)
		trouble = psprintf("It could not be opened: %m.");
	else
	{
		trouble = read_token(fd, token);
		close(fd);
	}
	pooldiag_endpoints_configure(trouble == NULL ? token : NULL);
	if (trouble != NULL)
		ereport(
			WARNING,
			(errmsg("the file \"%s\" has no token for pooldiag's HTTP endpoint", path),
			 errdetail("%s", trouble),
			 errhint(
				 "Have the server's user own it, with permissions 0600, and a token in its "
				 "first line. Until then there is no token that opens anything. " TRIED_AGAIN)));
	explicit_bzero(token, sizeof(token));
}

/* ---------------------------------------------------------------- sockets ------------------------ */

static const char *
hint_on(int error)
{
	switch (error)
	{
		case EADDRINUSE:
			return "Another process listens there, or another of "
				   "\"pooldiag.http_listen_addresses\" has it already: choose another "
				   "\"pooldiag.http_port\", or see to these.";
		case EADDRNOTAVAIL:
			return "This machine has no such address: see to \"pooldiag.http_listen_addresses\".";
		case EACCES:
			return "Ports below 1024 are for root, as a rule: choose another "
				   "\"pooldiag.http_port\".";
		default:
			return "See to \"pooldiag.http_port\" and \"pooldiag.http_listen_addresses\".";
	}
}

/* Is that only an address of a kind that this machine doesn't have, where the other kind will do? */
static bool
is_no_matter(const PoolDiagListenAddress *address, int error)
{
	return address->is_optional && (error == EAFNOSUPPORT || error == EADDRNOTAVAIL);
}

static bool
listen_at(const PoolDiagListenAddress *address)
{
	const char *failed_to;
	int fd = pooldiag_listener_open(address, port, &failed_to);

	if (fd < 0)
	{
		const char *hint = hint_on(errno);

		if (is_no_matter(address, errno))
			return true;
		ereport(WARNING,
				(errmsg("pooldiag can't answer HTTP at address %s, port %d: could not %s: %m",
						address->text, port, failed_to),
				 errhint("%s " TRIED_AGAIN, hint)));
		return false;
	}
	if (!pooldiag_httpd_start(fd))
	{
		close(fd);
		ereport(
			WARNING,
			(errmsg("pooldiag can't answer HTTP at address %s, port %d: libmicrohttpd could not "
					"be started",
					address->text, port),
			 errhint(TRIED_AGAIN)));
		return false;
	}
	ereport(LOG, (errmsg("pooldiag answers HTTP at address %s, port %d", address->text, port)));
	return true;
}

/* Listens where it should and does not yet. */
static void
listen_at_all(void)
{
	for (int i = 0; i < listed_count; i++)
		if (!is_open[i])
			is_open[i] = listen_at(&listed[i]);
}

/* What the worker waits for changes with its sockets; one can't be taken out of a set. */
static void
wait_for_all(void)
{
	if (waits != NULL)
		FreeWaitEventSet(waits);
	waits = CreateWaitEventSet(POOLDIAG_WAIT_SET_OWNER, 2 + pooldiag_httpd_count());
	AddWaitEventToSet(waits, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(waits, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = 0; i < pooldiag_httpd_count(); i++)
		AddWaitEventToSet(waits, WL_SOCKET_READABLE, pooldiag_httpd_descriptor(i), NULL, NULL);
}

/* Forgets where it has listened, for another port or other addresses. */
static void
listen_elsewhere(void)
{
	char bad[64];

	pooldiag_httpd_stop();
	if (addresses != NULL)
		pfree(addresses);
	port = pooldiag_http_port;
	addresses = MemoryContextStrdup(TopMemoryContext, pooldiag_http_listen_addresses);
	listed_count =
		port == 0 ? 0 : Max(0, pooldiag_listener_parse(addresses, listed, bad, sizeof(bad)));
	memset(is_open, 0, sizeof(is_open));
}

/* Puts the settings that this process has read in force. Connections stay where nothing has changed for them. */
static void
configure(void)
{
	configure_token();
	if (addresses == NULL || port != pooldiag_http_port ||
		strcmp(addresses, pooldiag_http_listen_addresses) != 0)
		listen_elsewhere();
	listen_at_all();
	wait_for_all();
}

/* ---------------------------------------------------------------- the worker --------------------- */

/* Until there is something to do, or that moment of the monotonic clock. */
static void
wait(double until_ms, uint32 wait_event)
{
	WaitEvent events[POOLDIAG_LISTENERS + 2];
	long timeout = isinf(until_ms) ? -1 : pooldiag_clock_left(until_ms);

	(void) WaitEventSetWait(waits, timeout, events, lengthof(events), wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* What an answer has taken stays for the next one: given back, it would be asked for again, page by page, which takes longer. */
static void
keep_memory(void)
{
#ifdef __GLIBC__
	(void) mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
	(void) mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
#endif
}

/* The worker's main function. */
void
pooldiag_http_main(Datum main_arg)
{
	uint32 wait_event;

	pooldiag_worker_begin();
	MemoryContextSwitchTo(TopMemoryContext);
	pooldiag_worker_publish(POOLDIAG_HTTP_WORKER);
	/* What is said in documents is said in UTC, remedies included. */
	SetConfigOption("timezone", "UTC", PGC_USERSET, PGC_S_OVERRIDE);
	SetConfigOption("datestyle", "ISO", PGC_USERSET, PGC_S_OVERRIDE);
	wait_event = WaitEventExtensionNew("PoolDiagHttpMain");
	keep_memory();
	pooldiag_httpd_begin();
	configure();
	while (!ShutdownRequestPending)
	{
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			configure();
		}
		wait(pooldiag_httpd_run(), wait_event);
	}
	pooldiag_httpd_stop();
	proc_exit(1);
}
