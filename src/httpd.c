/*
 * httpd.c
 *	  HTTP itself: connections, requests, answers. The parsing is libmicrohttpd's.
 *
 * In the http worker alone, without a thread: the library runs when the worker calls it. There is room for ROOM
 * connections at all addresses together; each has so long to send its first request, to take an answer and to come with the
 * next request, whatever it does meanwhile. Where more than three quarters are taken, those who have been connected for longest make way, whatever they are
 * at; so that who comes, asks and goes is always answered, and a client that is slow, or means harm, costs a place for as
 * long as nobody else needs it. Memory is bounded by ROOM times what the library may use for one, and by MOST_UNSENT, as the
 * library has a copy of each answer until its client has taken it.
 *
 * What is thrown while an answer is made is caught here: nothing may jump over the library's frames. What is thrown here
 * itself, for want of memory, has nobody to jump to: such an error ends a process.
 */
#include "postgres.h"

#include <math.h>
#include <microhttpd.h>
#include <sys/socket.h>

#include "miscadmin.h"
#include "storage/lwlock.h"
#include "utils/memutils.h"

#include "clock.h"
#include "endpoints.h"
#include "httpd.h"
#include "listener.h"
#include "traffic.h"

#define ROOM 256
#define CROWDED (ROOM * 3 / 4)
/* Bytes of answers that wait to be taken: beyond that, who has been connected for longest loses its own; twice that is the
 * most that there is. */
#define MOST_UNSENT ((size_t) 16 * 1024 * 1024)
/* What the library may use for a connection: a longer header is refused by it. */
#define CONNECTION_MEMORY 16384
/* How long a connection may take for its first request, and for taking an answer. */
#define PATIENCE_MS 30000
/* And from one answer to the end of the next request: for whoever comes back every 15, 30 or 60 seconds, as scrapers do. */
#define IDLE_MS 75000
#define SWEEP_INTERVAL_MS 1000

typedef struct Server
{
	struct MHD_Daemon *daemon;
	int epoll_fd;
} Server;

typedef struct Client
{
	int fd; /* -1: the place is free */
	bool dropped;
	double accepted_ms; /* of the monotonic clock */
	double
		since_ms; /* the same: when the request that it is at, or is to send, began, or the answer to it */
	bool was_answered; /* and has taken all of the last answer */
	size_t unsent;	   /* bytes of the answer that the library has, until all are sent */
} Client;

static Server servers[POOLDIAG_LISTENERS];
static int server_count = 0;
static Client clients[ROOM];
static size_t unsent = 0; /* of all clients */
static char zero_in_uri;
static MemoryContext context = NULL;

/* ---------------------------------------------------------------- a request ---------------------- */

/* The answer to what could not be answered: what a client may have asked for wrongly, or a defect, which is logged. */
static void
answer_error(PoolDiagAnswer *answer, const ErrorData *error)
{
	int status = error->sqlerrcode == ERRCODE_UNDEFINED_OBJECT			? 404
				 : error->sqlerrcode == ERRCODE_INVALID_PARAMETER_VALUE ? 400
																		: 500;

	if (status == 500)
	{
		ereport(LOG, (errmsg("pooldiag could not answer %s: %s",
							 pooldiag_traffic_path(answer->path), error->message)));
		pooldiag_endpoints_refuse(answer, status, "this could not be answered",
								  "See the server's log for why.");
	}
	else
		pooldiag_endpoints_refuse(answer, status, error->message, error->hint);
}

static void
make_answer(const PoolDiagRequest *request, PoolDiagAnswer *answer)
{
	memset(answer, 0, sizeof(*answer));
	initStringInfo(&answer->body);
	PG_TRY();
	{
		pooldiag_endpoints_answer(request, answer);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		LWLockReleaseAll();
		answer_error(answer, error);
	}
	PG_END_TRY();
}

static enum MHD_Result
send_answer(struct MHD_Connection *connection, const PoolDiagAnswer *answer)
{
	enum MHD_Result result;
	struct MHD_Response *response =
		MHD_create_response_from_buffer(answer->body.len, answer->body.data, MHD_RESPMEM_MUST_COPY);

	if (response == NULL)
		return MHD_NO;
	for (int i = 0; i < answer->header_count; i++)
		(void) MHD_add_response_header(response, answer->headers[i].name, answer->headers[i].value);
	result = MHD_queue_response(connection, (unsigned int) answer->status, response);
	MHD_destroy_response(response);
	return result;
}

static Client *
client_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info == NULL ? NULL : info->socket_context;
}

/* What a request's header has of that which a proxy in front of this may understand in another way. */
typedef struct Framing
{
	int hosts;
	int lengths;
	int encodings;
} Framing;

static enum MHD_Result
look_at_field(void *framing_pointer, enum MHD_ValueKind kind, const char *name, const char *value)
{
	Framing *framing = framing_pointer;

	framing->hosts += pg_strcasecmp(name, MHD_HTTP_HEADER_HOST) == 0;
	framing->lengths += pg_strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0;
	framing->encodings += pg_strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0;
	return MHD_YES;
}

/* What makes it doubtful where a request ends, or for whom it is; NULL: nothing. */
static const char *
find_flaw(struct MHD_Connection *connection, bool is_answered)
{
	Framing framing = {0};

	(void) MHD_get_connection_values(connection, MHD_HEADER_KIND, look_at_field, &framing);
	if (framing.hosts > 1)
		return "there is more than one Host";
	if (framing.lengths > 1 || (framing.encodings > 0 && (framing.lengths > 0 || is_answered)))
		return "it can't be told where the request ends";
	return NULL;
}

/* The context that a request begins with: that one if its path or arguments have a zero byte, which would seem to end them. */
static void *
look_at_uri(void *unused, const char *uri, struct MHD_Connection *connection)
{
	return strstr(uri, "%00") != NULL ? &zero_in_uri : NULL;
}

/*
 * Called by the library when a request's header is there, again with each piece of what may come behind it, which is thrown
 * away, and at its end. An answer before that end closes the connection: so are those treated who want to send something.
 */
static enum MHD_Result
handle(void *unused, struct MHD_Connection *connection, const char *url, const char *method,
	   const char *version, const char *upload, size_t *upload_size, void **request_context)
{
	static char seen;
	MemoryContext before;
	Client *client = client_of(connection);
	PoolDiagRequest request = {.method = method, .path = url};
	PoolDiagAnswer answer;
	enum MHD_Result result;
	char *user;
	char *password = NULL;

	if (*request_context != &seen)
	{
		bool is_answered = pooldiag_endpoints_is_answered(method);

		request.flaw = *request_context == &zero_in_uri ? "there is a zero byte in the path"
														: find_flaw(connection, is_answered);
		*request_context = &seen;
		if (request.flaw == NULL && is_answered)
			return MHD_YES;
	}
	if (*upload_size > 0)
	{
		*upload_size = 0;
		return MHD_YES;
	}
	if (client != NULL)
	{
		client->since_ms = pooldiag_clock_ms();
		client->was_answered = false;
	}
	before = MemoryContextSwitchTo(context);
	request.host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
	request.accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept");
	request.authorization =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Authorization");
	for (int i = 0; i < POOLDIAG_ARGUMENTS; i++)
		request.arguments[i] =
			MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND,
										pooldiag_endpoints_argument_name((PoolDiagArgument) i));
	user = MHD_basic_auth_get_username_password(connection, &password);
	request.password = password;
	make_answer(&request, &answer);
	if (unsent + (size_t) answer.body.len > 2 * MOST_UNSENT)
		pooldiag_endpoints_refuse(&answer, 503, "too much waits to be taken by others",
								  "Ask again in a moment.");
	if (user != NULL)
		MHD_free(user);
	if (password != NULL)
		MHD_free(password);
	pooldiag_traffic_answered(answer.path, answer.status);
	result = send_answer(connection, &answer);
	if (client != NULL)
	{
		client->unsent = (size_t) answer.body.len;
		unsent += client->unsent;
	}
	MemoryContextSwitchTo(before);
	MemoryContextReset(context);
	return result;
}

static void
request_ended(void *unused, struct MHD_Connection *connection, void **request_context,
			  enum MHD_RequestTerminationCode how)
{
	Client *client = client_of(connection);

	if (client == NULL)
		return;
	unsent -= client->unsent;
	client->unsent = 0;
	client->was_answered = true;
	client->since_ms = pooldiag_clock_ms();
}

/* ---------------------------------------------------------------- connections -------------------- */

static Client *
find_place(void)
{
	for (int i = 0; i < ROOM; i++)
		if (clients[i].fd < 0)
			return &clients[i];
	return NULL;
}

/* Called by the library before it accepts a client: while all places are taken, it does not. */
static enum MHD_Result
may_connect(void *unused, const struct sockaddr *address, socklen_t length)
{
	return find_place() != NULL ? MHD_YES : MHD_NO;
}

static void
connection_changed(void *unused, struct MHD_Connection *connection, void **socket_context,
				   enum MHD_ConnectionNotificationCode what)
{
	Client *client = *socket_context;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED)
	{
		if (client != NULL)
		{
			unsent -= client->unsent;
			client->fd = -1;
			pooldiag_traffic_disconnected();
		}
		return;
	}
	client = find_place();
	if (client == NULL)
		return;
	client->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	client->dropped = false;
	client->accepted_ms = client->since_ms = pooldiag_clock_ms();
	client->was_answered = false;
	client->unsent = 0;
	*socket_context = client;
	pooldiag_traffic_connected();
}

/* The library closes it, when it comes to it. */
static void
drop(Client *client)
{
	client->dropped = true;
	(void) shutdown(client->fd, SHUT_RDWR);
	pooldiag_traffic_dropped();
}

/* Who has been connected for longest, of those for whom an answer waits if that is asked for; NULL if there is nobody. */
static Client *
find_oldest(bool with_answer)
{
	Client *oldest = NULL;

	for (int i = 0; i < ROOM; i++)
	{
		Client *client = &clients[i];

		if (client->fd < 0 || client->dropped || (with_answer && client->unsent == 0))
			continue;
		if (oldest == NULL || client->accepted_ms < oldest->accepted_ms)
			oldest = client;
	}
	return oldest;
}

/* Ends what takes too long, and makes room, for connections and for answers. True if there is any connection. */
static bool
sweep(double now)
{
	bool any = false;
	int left = 0;
	size_t waiting = 0;
	Client *oldest;

	for (int i = 0; i < ROOM; i++)
	{
		Client *client = &clients[i];

		any = any || client->fd >= 0;
		if (client->fd < 0 || client->dropped)
			continue;
		if (now - client->since_ms > (client->was_answered ? IDLE_MS : PATIENCE_MS))
		{
			drop(client);
			continue;
		}
		left++;
		waiting += client->unsent;
	}
	for (; left > CROWDED; left--)
		drop(find_oldest(false));
	while (waiting > MOST_UNSENT && (oldest = find_oldest(true)) != NULL)
	{
		waiting -= Min(waiting, oldest->unsent);
		drop(oldest);
	}
	return any;
}

/* ---------------------------------------------------------------- the library -------------------- */

static void log_message(void *unused, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

static void
log_message(void *unused, const char *format, va_list arguments)
{
	char message[256];

	vsnprintf(message, sizeof(message), format, arguments);
	elog(DEBUG1, "libmicrohttpd: %s", message);
}

/* To be called first. */
void
pooldiag_httpd_begin(void)
{
	context = AllocSetContextCreate(TopMemoryContext, "pooldiag HTTP", 0, 8192, 8388608);
	for (int i = 0; i < ROOM; i++)
		clients[i].fd = -1;
	pooldiag_traffic_begin();
}

/* Answers at a socket that listens, which is the library's from now on. All share the room. */
bool
pooldiag_httpd_start(int fd)
{
	Server *server = &servers[server_count];

	server->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, may_connect, NULL, handle, NULL,
		MHD_OPTION_EXTERNAL_LOGGER, log_message, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int) ROOM, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t) CONNECTION_MEMORY, MHD_OPTION_URI_LOG_CALLBACK, look_at_uri, NULL,
		MHD_OPTION_NOTIFY_CONNECTION, connection_changed, NULL, MHD_OPTION_NOTIFY_COMPLETED,
		request_ended, NULL, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (server->daemon == NULL)
		return false;
	server->epoll_fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
	server_count++;
	return true;
}

/* Closes all sockets and connections. */
void
pooldiag_httpd_stop(void)
{
	while (server_count > 0)
		MHD_stop_daemon(servers[--server_count].daemon);
}

int
pooldiag_httpd_count(void)
{
	return server_count;
}

/* A descriptor that is readable when there is something to do. */
int
pooldiag_httpd_descriptor(int index)
{
	return servers[index].epoll_fd;
}

/* Does what there is to do. Returns the moment of the monotonic clock at which to come again, whatever happens. */
double
pooldiag_httpd_run(void)
{
	double now;
	double next = INFINITY;

	for (int i = 0; i < server_count; i++)
		(void) MHD_run(servers[i].daemon);
	now = pooldiag_clock_ms();
	if (sweep(now))
		next = now + SWEEP_INTERVAL_MS;
	for (int i = 0; i < server_count; i++)
	{
		MHD_UNSIGNED_LONG_LONG timeout;

		if (MHD_get_timeout(servers[i].daemon, &timeout) == MHD_YES)
			next = Min(next, now + (double) timeout);
	}
	return next;
}
