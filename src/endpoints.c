/*
 * endpoints.c
 *	  What is answered at which path, and to whom.
 *
 * One table. Documents come from the code that makes what SQL shows. No text of a statement is ever among them. Without the
 * token, and where pooldiag.http_access is not "all", there are only those that name nobody.
 *
 * Runs in the http worker: no database, no transaction, no snapshot; what it allocates is the caller's to free, and so is
 * what is thrown.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "utils/builtins.h"

#include "access.h"
#include "advisor.h"
#include "backends.h"
#include "documents.h"
#include "endpoints.h"
#include "exposition.h"
#include "health.h"
#include "history.h"
#include "json.h"
#include "page.h"
#include "settings.h"

#define CONTENT_TYPE "Content-Type"
#define JSON "application/json"
#define DEFAULT_HISTORY_SECONDS 600
#define DEFAULT_ALERTS 100

/* What an endpoint is given, and where it leaves its answer. */
typedef struct Call
{
	const PoolDiagRequest *request;
	PoolDiagAnswer *answer;
	bool may_know_names;
} Call;

typedef struct Endpoint
{
	bool names_nobody; /* if it is told not to, or in any case: it is for everybody */
	void (*answer)(Call *call);
} Endpoint;

static void answer_livez(Call *call);
static void answer_readyz(Call *call);
static void answer_metrics(Call *call);
static void answer_health(Call *call);
static void answer_detailed(Call *call);
static void answer_history(Call *call);
static void answer_pools(Call *call);
static void answer_recommendations(Call *call);
static void answer_alerts(Call *call);
static void answer_page(Call *call);

static const Endpoint endpoints[POOLDIAG_PATH_OTHER] = {
	[POOLDIAG_PATH_PAGE] = {false, answer_page},
	[POOLDIAG_PATH_LIVEZ] = {true, answer_livez},
	[POOLDIAG_PATH_READYZ] = {true, answer_readyz},
	[POOLDIAG_PATH_METRICS] = {false, answer_metrics},
	[POOLDIAG_PATH_HEALTH] = {true, answer_health},
	[POOLDIAG_PATH_DETAILED] = {true, answer_detailed},
	[POOLDIAG_PATH_HISTORY] = {false, answer_history},
	[POOLDIAG_PATH_POOLS] = {false, answer_pools},
	[POOLDIAG_PATH_RECOMMENDATIONS] = {false, answer_recommendations},
	[POOLDIAG_PATH_ALERTS] = {false, answer_alerts},
};

static const char *const argument_names[POOLDIAG_ARGUMENTS] = {
	[POOLDIAG_ARGUMENT_SINCE] = "since", [POOLDIAG_ARGUMENT_STEP] = "step",
	[POOLDIAG_ARGUMENT_POOL] = "pool",	 [POOLDIAG_ARGUMENT_LIMIT] = "limit",
	[POOLDIAG_ARGUMENT_ROLE] = "role",
};

/* Empty: there is none, and nobody has it. */
static char token[POOLDIAG_TOKEN_LEN + 1];

/* The token that opens everything, from now on; NULL: nothing does. */
void
pooldiag_endpoints_configure(const char *new_token)
{
	strlcpy(token, new_token == NULL ? "" : new_token, sizeof(token));
}

const char *
pooldiag_endpoints_argument_name(PoolDiagArgument argument)
{
	return argument_names[argument];
}

/* ---------------------------------------------------------------- answers ------------------------ */

static void
add_header(PoolDiagAnswer *answer, const char *name, const char *value)
{
	Assert(answer->header_count < POOLDIAG_ANSWER_HEADERS);
	answer->headers[answer->header_count].name = name;
	answer->headers[answer->header_count++].value = value;
}

/* A document of that kind, still empty. */
static StringInfo
begin_body(Call *call, const char *content_type)
{
	add_header(call->answer, CONTENT_TYPE, content_type);
	return &call->answer->body;
}

/* Answers that it can't be answered, in place of what may have been begun; what to do about it, or NULL. */
void
pooldiag_endpoints_refuse(PoolDiagAnswer *answer, int status, const char *error, const char *hint)
{
	StringInfo json = &answer->body;

	answer->status = status;
	resetStringInfo(json);
	for (int i = 0; i < answer->header_count; i++)
		if (strcmp(answer->headers[i].name, CONTENT_TYPE) == 0)
			answer->headers[i--] = answer->headers[--answer->header_count];
	add_header(answer, CONTENT_TYPE, JSON);
	pooldiag_json_begin(json, NULL, '{');
	pooldiag_json_string(json, "error", error);
	pooldiag_json_string(json, "hint", hint);
	pooldiag_json_end(json, '}');
	appendStringInfoChar(json, '\n');
}

/* The server as it is now, and what is to be said of it. */
static PoolDiagLive *
look(List **advice)
{
	PoolDiagLive *live = pooldiag_live_read(POOLDIAG_READ_XMIN);

	*advice = pooldiag_advisor_advise(live);
	return live;
}

static void
answer_livez(Call *call)
{
	appendStringInfoString(begin_body(call, "text/plain; charset=utf-8"), "ok\n");
}

static void
answer_readyz(Call *call)
{
	const char *role = call->request->arguments[POOLDIAG_ARGUMENT_ROLE];
	const char *obstacle;
	StringInfo json;

	if (role != NULL && strcmp(role, "primary") != 0 && strcmp(role, "standby") != 0)
	{
		pooldiag_endpoints_refuse(
			call->answer, 400, "role is neither primary nor standby",
			"Ask for /readyz?role=primary or /readyz?role=standby, or for /readyz alone.");
		return;
	}
	obstacle = pooldiag_health_obstacle(pooldiag_live_read(0), role);
	if (obstacle != NULL)
		call->answer->status = 503;
	json = begin_body(call, JSON);
	pooldiag_json_begin(json, NULL, '{');
	pooldiag_json_bool(json, "ready", obstacle == NULL);
	pooldiag_json_string(json, "role", RecoveryInProgress() ? "standby" : "primary");
	pooldiag_json_string(json, "reason", obstacle);
	pooldiag_json_end(json, '}');
	appendStringInfoChar(json, '\n');
}

static void
answer_metrics(Call *call)
{
	List *advice;
	PoolDiagLive *live = look(&advice);
	bool openmetrics = pooldiag_access_wants_openmetrics(call->request->accept);

	add_header(call->answer, "Vary", "Accept");
	pooldiag_exposition_write(
		begin_body(call, openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
									 : "text/plain; version=0.0.4; charset=utf-8"),
		live, advice, openmetrics);
}

static void
write_health(Call *call, bool detailed)
{
	List *advice;
	PoolDiagLive *live = look(&advice);
	StringInfo json = begin_body(call, JSON);

	if (!pooldiag_health_is_fit(pooldiag_health_status(live, advice)))
		call->answer->status = 503;
	pooldiag_health_write(json, live, advice, detailed, call->may_know_names);
	appendStringInfoChar(json, '\n');
}

static void
answer_health(Call *call)
{
	write_health(call, false);
}

static void
answer_detailed(Call *call)
{
	write_health(call, true);
}

/* An argument in seconds; what it is by default where it is not given. False if it is none: that is answered. */
static bool
take_seconds(Call *call, PoolDiagArgument argument, double most, double *seconds)
{
	const char *text = call->request->arguments[argument];

	if (text == NULL || pooldiag_access_seconds(text, 1, most, seconds))
		return true;
	pooldiag_endpoints_refuse(
		call->answer, 400,
		psprintf("%s is not a number of seconds from 1 to %.0f", argument_names[argument], most),
		"Ask for /api/v1/history?since=3600&step=60, for example.");
	return false;
}

static void
answer_history(Call *call)
{
	const char *pool = call->request->arguments[POOLDIAG_ARGUMENT_POOL];
	double most = (double) pooldiag_history_kept_seconds(
		pool == NULL ? pooldiag_history_server_tiers : pooldiag_history_pool_tiers);
	double since = DEFAULT_HISTORY_SECONDS;
	double step = 0;
	StringInfoData rows;
	StringInfo json;
	int came_to;

	if (!take_seconds(call, POOLDIAG_ARGUMENT_SINCE, most, &since) ||
		!take_seconds(call, POOLDIAG_ARGUMENT_STEP, most, &step))
		return;
	initStringInfo(&rows);
	pooldiag_json_begin(&rows, NULL, '[');
	came_to = pooldiag_documents_history(&rows, pool, since, step);
	pooldiag_json_end(&rows, ']');
	json = begin_body(call, JSON);
	pooldiag_json_begin(json, NULL, '{');
	pooldiag_json_string(json, "pool", pool);
	pooldiag_json_int(json, "step_seconds", came_to);
	pooldiag_json_document(json, "history", rows.data);
	pooldiag_json_end(json, '}');
	appendStringInfoChar(json, '\n');
}

/* Begins and ends a document that is one array. */
static StringInfo
begin_array(Call *call, const char *name)
{
	StringInfo json = begin_body(call, JSON);

	pooldiag_json_begin(json, NULL, '{');
	pooldiag_json_begin(json, name, '[');
	return json;
}

static void
end_array(StringInfo json)
{
	pooldiag_json_end(json, ']');
	pooldiag_json_end(json, '}');
	appendStringInfoChar(json, '\n');
}

static void
answer_pools(Call *call)
{
	StringInfo json = begin_array(call, "pools");

	pooldiag_documents_pools(json, pooldiag_live_read(0));
	end_array(json);
}

static void
answer_recommendations(Call *call)
{
	List *advice;
	PoolDiagLive *live = look(&advice);
	StringInfo json = begin_array(call, "recommendations");

	pooldiag_documents_advice(json, live, advice);
	end_array(json);
}

static void
answer_alerts(Call *call)
{
	const char *text = call->request->arguments[POOLDIAG_ARGUMENT_LIMIT];
	double limit = DEFAULT_ALERTS;
	StringInfo json;

	if (text != NULL && !pooldiag_access_seconds(text, 1, pooldiag_alert_log_size, &limit))
	{
		pooldiag_endpoints_refuse(
			call->answer, 400,
			psprintf("limit is not a number from 1 to %d", pooldiag_alert_log_size),
			"Ask for /api/v1/alerts?limit=20, for example.");
		return;
	}
	json = begin_array(call, "alerts");
	pooldiag_documents_alerts(json, (int) limit);
	end_array(json);
}

/* The page has no figure in it. It needs the token all the same, so that a browser asks for that before the page needs it. */
static void
answer_page(Call *call)
{
	uint8 random[16];
	char nonce[2 * sizeof(random) + 1];

	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("no random number could be made")));
	nonce[hex_encode((const char *) random, sizeof(random), nonce)] = '\0';
	pooldiag_page_write(begin_body(call, "text/html; charset=utf-8"), nonce);
	add_header(call->answer, "Content-Security-Policy", pooldiag_page_policy(nonce));
}

/* ---------------------------------------------------------------- who, what, how ----------------- */

static bool
has_token(const PoolDiagRequest *request)
{
	return pooldiag_access_is_token(pooldiag_access_bearer(request->authorization), token) ||
		   pooldiag_access_is_token(request->password, token);
}

static const char *
list_paths(void)
{
	StringInfoData paths;

	initStringInfo(&paths);
	for (int path = 0; path < POOLDIAG_PATH_OTHER; path++)
		appendStringInfo(&paths, "%s%s", path > 0 ? ", " : "There are ",
						 pooldiag_traffic_path((PoolDiagPath) path));
	appendStringInfoChar(&paths, '.');
	return paths.data;
}

/*
 * Without a token that could be given, a browser need not ask for one. Nor when a page's script, which is to say that it wants
 * JSON, asks again and again: its person would have a dialog each time.
 */
static void
refuse_stranger(const PoolDiagRequest *request, PoolDiagAnswer *answer)
{
	bool is_script = request->accept != NULL && strcmp(request->accept, JSON) == 0;

	if (token[0] == '\0')
	{
		add_header(answer, "WWW-Authenticate", "Bearer realm=\"pooldiag\"");
		pooldiag_endpoints_refuse(
			answer, 401, "this tells names, and there is no token with which to ask for it",
			"Set pooldiag.http_token_file, or pooldiag.http_access = 'all', in the server's "
			"configuration.");
		return;
	}
	add_header(answer, "WWW-Authenticate", "Bearer realm=\"pooldiag\"");
	if (!is_script)
		add_header(answer, "WWW-Authenticate", "Basic realm=\"pooldiag\", charset=\"UTF-8\"");
	pooldiag_endpoints_refuse(
		answer, 401, "this tells names, and needs the token",
		"Send \"Authorization: Bearer TOKEN\", or TOKEN as the password of Basic "
		"authentication; it stands in the file that pooldiag.http_token_file names.");
}

bool
pooldiag_endpoints_is_answered(const char *method)
{
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

/* Answers a request. answer->body is an empty string; what is thrown meanwhile is the caller's. */
void
pooldiag_endpoints_answer(const PoolDiagRequest *request, PoolDiagAnswer *answer)
{
	Call call = {request, answer, false};

	answer->path = pooldiag_traffic_find(request->path);
	answer->status = 200;
	/* What is shown holds for the moment, and for nobody but who asks, whatever it is taken for. */
	add_header(answer, "Cache-Control", "no-store");
	add_header(answer, "X-Content-Type-Options", "nosniff");
	if (request->flaw != NULL)
	{
		answer->path = POOLDIAG_PATH_OTHER;
		add_header(answer, "Connection", "close");
		pooldiag_endpoints_refuse(answer, 400, request->flaw,
								  "Ask with one Host, and with nothing behind the header.");
		return;
	}
	if (!pooldiag_access_is_host(request->host, pooldiag_http_hosts))
	{
		pooldiag_endpoints_refuse(
			answer, 421, "the Host is neither localhost nor an address nor known",
			"Add the name to pooldiag.http_hosts in the server's configuration.");
		return;
	}
	if (!pooldiag_endpoints_is_answered(request->method))
	{
		add_header(answer, "Allow", "GET, HEAD");
		pooldiag_endpoints_refuse(answer, 405, "only GET and HEAD are answered",
								  "Nothing can be changed over HTTP.");
		return;
	}
	if (answer->path == POOLDIAG_PATH_OTHER)
	{
		pooldiag_endpoints_refuse(answer, 404, "there is nothing at this path", list_paths());
		return;
	}
	call.may_know_names = pooldiag_http_access == POOLDIAG_HTTP_ACCESS_ALL || has_token(request);
	if (call.may_know_names || endpoints[answer->path].names_nobody)
		endpoints[answer->path].answer(&call);
	else
		refuse_stranger(request, answer);
}
