/*
 * settings.c
 *	  The settings: their names, ranges, defaults and checks.
 *
 * Every process parses for itself. What all must agree on, the definitions of pools and their
 * thresholds, the sampler publishes with its sample, as an idle session runs no code and has not
 * seen a reload.
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"

#include "access.h"
#include "compat.h"
#include "listener.h"
#include "settings.h"

int pooldiag_max_pools = 64;
int pooldiag_sample_interval = 1000;
int pooldiag_evaluation_interval = 1000;
int pooldiag_advice_window;
int pooldiag_operation_timeout = 30000;
int pooldiag_operation_interval = 10000;
char *pooldiag_database = NULL;
int pooldiag_canary_write = POOLDIAG_CANARY_WRITE_AUTO;
char *pooldiag_notify_channel = NULL;
bool pooldiag_track_query_text = true;
int pooldiag_slow_query_threshold = 30000;
int pooldiag_slow_query_log_size = 1024;
int pooldiag_alert_log_size = 1024;
int pooldiag_http_port = 0;
char *pooldiag_http_listen_addresses = NULL;
int pooldiag_http_access = POOLDIAG_HTTP_ACCESS_SUMMARY;
char *pooldiag_http_token_file = NULL;
char *pooldiag_http_hosts = NULL;

static int environment = POOLDIAG_ENV_STAGING;
static int pool_size = -1;
static int max_overflow = -1;
static int pool_timeout = 30;
static int pool_recycle = 3600;
static int leak_threshold = 60000;
static char *pools = NULL;
static char *breakers = NULL;
static int failure_threshold = 10;
static int reset_timeout = 60;
static int half_open_samples = 3;

/* Settings of parts that are still to come. */

static const struct config_enum_entry environments[] = {
	{"development", POOLDIAG_ENV_DEVELOPMENT, false},
	{"staging", POOLDIAG_ENV_STAGING, false},
	{"production", POOLDIAG_ENV_PRODUCTION, false},
	{NULL, 0, false}};

static const struct config_enum_entry canary_writes[] = {
	{"auto", POOLDIAG_CANARY_WRITE_AUTO, false},
	{"always", POOLDIAG_CANARY_WRITE_ALWAYS, false},
	{"off", POOLDIAG_CANARY_WRITE_OFF, false},
	{NULL, 0, false}};

static const struct config_enum_entry http_accesses[] = {
	{"summary", POOLDIAG_HTTP_ACCESS_SUMMARY, false},
	{"all", POOLDIAG_HTTP_ACCESS_ALL, false},
	{NULL, 0, false}};

static bool
refuse(const PoolDiagParseError *error, const char *example)
{
	GUC_check_errdetail("At position %d: %s.", error->position, error->message);
	GUC_check_errhint("The form is a comma-separated list, such as: %s", example);
	return false;
}

/*
 * Checks, and forgets what it parsed: after a reload every session runs this, and hardly any needs the
 * definitions.
 */
static bool
check_pools(char **newval, void **extra, GucSource source)
{
	/* Whatever somebody typed, it takes no more memory than the pools that there may be. */
	int most = Min(pooldiag_grammar_count_upper(*newval), pooldiag_max_pools);
	PoolDiagPoolDef *parsed = guc_malloc(LOG, sizeof(PoolDiagPoolDef) * most);
	PoolDiagParseError error = {0};
	int count;

	if (parsed == NULL)
		return false;
	count = pooldiag_grammar_parse_pools(*newval, parsed, most, &error);
	guc_free(parsed);
	if (count >= 0)
		return true;
	refuse(&error, "web(application_name=web*, size=50, max_overflow=100), "
				   "jobs(user=jobs, size=5)");
	if (error.too_many)
		GUC_check_errhint("pooldiag.max_pools says how many can be declared; raising it needs a "
						  "restart of the server.");
	return false;
}

static bool
check_pool_size(int *newval, void **extra, GucSource source)
{
	if (*newval != 0)
		return true;
	GUC_check_errdetail("A pool has a size of at least 1.");
	GUC_check_errhint("-1 takes the size from pooldiag.environment.");
	return false;
}

static bool
check_breakers(char **newval, void **extra, GucSource source)
{
	/* Those of the server, and one for each declared pool. */
	int most =
		Min(pooldiag_grammar_count_upper(*newval), pooldiag_max_pools + POOLDIAG_SERVER_BREAKERS);
	PoolDiagBreakerDef *parsed = guc_malloc(LOG, sizeof(PoolDiagBreakerDef) * most);
	PoolDiagParseError error;
	int count;

	if (parsed == NULL)
		return false;
	count = pooldiag_grammar_parse_breakers(*newval, parsed, most, &error);
	guc_free(parsed);
	if (count < 0)
		return refuse(&error, "slots(limit=80, failures=5, reset=30s), "
							  "pool:web(mode=metrics_only)");
	return true;
}

static bool
check_listen_addresses(char **newval, void **extra, GucSource source)
{
	PoolDiagListenAddress addresses[POOLDIAG_LISTENERS];
	char bad[64];

	if (pooldiag_listener_parse(*newval, addresses, bad, sizeof(bad)) >= 0)
		return true;
	if (bad[0] != '\0')
		GUC_check_errdetail("\"%s\" is not an address.", bad);
	else
		GUC_check_errdetail("There are more addresses than %d.", POOLDIAG_LISTENERS);
	GUC_check_errhint("The form is a comma-separated list of addresses in numbers, such as: "
					  "127.0.0.1, ::1; localhost; or * for all.");
	return false;
}

static bool
check_hosts(char **newval, void **extra, GucSource source)
{
	const char *bad;
	size_t length;

	if (pooldiag_access_are_hosts(*newval, &bad, &length))
		return true;
	GUC_check_errdetail("\"%.*s\" is not the name of a host.", (int) length, bad);
	GUC_check_errhint("The form is a comma-separated list of names, without a port, such as: "
					  "db1.example.com, db1. Addresses are accepted anyway.");
	return false;
}

/* The definitions in this process's pooldiag.pools, palloc'd, in their order. */
PoolDiagPoolDef *
pooldiag_settings_pool_defs(int *count)
{
	int most = pooldiag_grammar_count_upper(pools);
	PoolDiagPoolDef *defs = palloc(sizeof(PoolDiagPoolDef) * most);
	PoolDiagParseError error;

	*count = pooldiag_grammar_parse_pools(pools, defs, most, &error);
	if (*count < 0)
		elog(ERROR, "pooldiag.pools does not parse: at position %d, %s", error.position,
			 error.message);
	return defs;
}

/* The definitions in this process's pooldiag.breakers, palloc'd. */
PoolDiagBreakerDef *
pooldiag_settings_breaker_defs(int *count)
{
	int most = pooldiag_grammar_count_upper(breakers);
	PoolDiagBreakerDef *defs = palloc(sizeof(PoolDiagBreakerDef) * most);
	PoolDiagParseError error;

	*count = pooldiag_grammar_parse_breakers(breakers, defs, most, &error);
	if (*count < 0)
		elog(ERROR, "pooldiag.breakers does not parse: at position %d, %s", error.position,
			 error.message);
	return defs;
}

/* What breakers go by that don't state a rule of their own. */
PoolDiagBreakerDefaults
pooldiag_settings_breaker_defaults(void)
{
	PoolDiagBreakerDefaults defaults;

	defaults.failure_threshold = failure_threshold;
	defaults.half_open_samples = half_open_samples;
	defaults.reset_ms = (int64_t) reset_timeout * 1000;
	return defaults;
}

/* What pools that don't state a figure of their own have. */
PoolDiagPoolDefaults
pooldiag_settings_pool_defaults(void)
{
	PoolDiagPoolDefaults defaults;

	memset(&defaults, 0, sizeof(defaults));
	defaults.environment = environment;
	defaults.pool_size = pool_size;
	defaults.max_overflow = max_overflow;
	defaults.timeout_ms = (int64_t) pool_timeout * 1000;
	defaults.recycle_ms = (int64_t) pool_recycle * 1000;
	defaults.slow_ms = pooldiag_slow_query_threshold;
	defaults.leak_ms = leak_threshold;
	return defaults;
}

/* Says in the log which definitions in this process's pooldiag.breakers are of no pool in its pooldiag.pools. */
void
pooldiag_settings_complain(void)
{
	int npools;
	int nbreakers;
	PoolDiagPoolDef *pool_defs = pooldiag_settings_pool_defs(&npools);
	PoolDiagBreakerDef *breaker_defs = pooldiag_settings_breaker_defs(&nbreakers);

	for (int b = 0; b < nbreakers; b++)
	{
		bool known = strchr(breaker_defs[b].name, ':') == NULL;
		char name[POOLDIAG_BREAKER_NAME_LEN];

		for (int p = 0; p < npools && !known; p++)
		{
			pooldiag_breakers_name(POOLDIAG_BREAKER_POOL, pool_defs[p].name, name);
			known = strcmp(name, breaker_defs[b].name) == 0;
		}
		if (!known)
			ereport(LOG,
					(errmsg("pooldiag.breakers has a breaker \"%s\" for a pool that pooldiag.pools "
							"doesn't declare",
							breaker_defs[b].name),
					 errhint("Only declared pools have a breaker.")));
	}
	pfree(pool_defs);
	pfree(breaker_defs);
}

static void
define_int(const char *name, const char *description, const char *more, int *variable,
		   int default_value, int least, int most, GucContext context, int unit)
{
	DefineCustomIntVariable(name, description, more, variable, default_value, least, most, context,
							unit, NULL, NULL, NULL);
}

static void
define_string(const char *name, const char *description, const char *more, char **variable,
			  const char *default_value, GucStringCheckHook check)
{
	DefineCustomStringVariable(name, description, more, variable, default_value, PGC_SIGHUP, 0,
							   check, NULL, NULL);
}

static void
define_pool_settings(GucContext at_start)
{
	DefineCustomEnumVariable(
		"pooldiag.environment", "Sets the size and overflow of pools that state none.",
		"development: 5 + 10, staging: 20 + 30, production: 50 + 100.", &environment,
		POOLDIAG_ENV_STAGING, environments, PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pooldiag.pool_size", "Sets the size of pools that state none.",
							"-1 takes it from pooldiag.environment.", &pool_size, -1, -1,
							POOLDIAG_MAX_COUNT, PGC_SIGHUP, 0, check_pool_size, NULL, NULL);
	define_int("pooldiag.max_overflow", "Sets the overflow of pools that state none.",
			   "-1 takes it from pooldiag.environment.", &max_overflow, -1, -1, POOLDIAG_MAX_COUNT,
			   PGC_SIGHUP, 0);
	define_int("pooldiag.pool_timeout",
			   "Sets how long clients of a pool wait for a connection before they give up.", NULL,
			   &pool_timeout, 30, 1, INT_MAX / 1000, PGC_SIGHUP, GUC_UNIT_S);
	define_int("pooldiag.pool_recycle",
			   "Sets the age past which a pool is expected to replace a connection.", NULL,
			   &pool_recycle, 3600, 1, INT_MAX / 1000, PGC_SIGHUP, GUC_UNIT_S);

	/* Before pools, which are checked against it. */
	define_int("pooldiag.max_pools", "Sets how many pools, declared and discovered, are kept.",
			   "Connections of more pools than that are counted in the pool (other).",
			   &pooldiag_max_pools, 64, 1, 1024, at_start, 0);
	define_string("pooldiag.pools", "Declares the pools of the applications.",
				  "A list of name(key=value, ...) with the keys application_name, user, database "
				  "(patterns with * and ?), size, max_overflow, instances, timeout, recycle, slow, "
				  "leak.",
				  &pools, "", check_pools);
}

static void
define_sampling_settings(GucContext at_start)
{
	define_int("pooldiag.sample_interval", "Sets the time between two samples of the server.", NULL,
			   &pooldiag_sample_interval, 1000, 100, 3600 * 1000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("pooldiag.evaluation_interval",
			   "Sets the time between two evaluations of the circuit breakers.",
			   "It is meant for tests; thresholds are thought of as seconds.",
			   &pooldiag_evaluation_interval, 1000, 100, 3600 * 1000, PGC_SIGHUP,
			   GUC_UNIT_MS | GUC_NOT_IN_SAMPLE);
	define_int("pooldiag.slow_query_threshold",
			   "Sets the running time from which a statement is slow.",
			   "A pool can state its own with slow=.", &pooldiag_slow_query_threshold, 30000, 1,
			   INT_MAX, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("pooldiag.leak_threshold",
			   "Sets how long a connection may be idle in transaction before it is suspected of "
			   "having leaked.",
			   "A pool can state its own with leak=.", &leak_threshold, 60000, 1, INT_MAX,
			   PGC_SIGHUP, GUC_UNIT_MS);
	define_int("pooldiag.advice_window",
			   "Sets how far back those recommendations look that count what has happened.", NULL,
			   &pooldiag_advice_window, 300, 1, 3600, PGC_SIGHUP, GUC_UNIT_S);
	DefineCustomBoolVariable("pooldiag.track_query_text",
							 "Shows the text of statements, not only their ids and times.",
							 "While it is off, the text of slow statements isn't kept either.",
							 &pooldiag_track_query_text, true, PGC_SIGHUP, 0, NULL, NULL, NULL);
	define_int("pooldiag.slow_query_log_size", "Sets how many finished slow statements are kept.",
			   "Older ones make way for newer ones.", &pooldiag_slow_query_log_size, 1024, 16,
			   65536, at_start, 0);
	define_int("pooldiag.alert_log_size", "Sets how many alerts are kept.",
			   "Older ones make way for newer ones.", &pooldiag_alert_log_size, 1024, 16, 65536,
			   at_start, 0);
}

/* Longer names would be cut by the server. */
static bool
check_name(const char *what, const char *name)
{
	if (strlen(name) < NAMEDATALEN)
		return true;
	GUC_check_errdetail("The name of a %s has at most %d bytes.", what, NAMEDATALEN - 1);
	return false;
}

static bool
check_database(char **newval, void **extra, GucSource source)
{
	if ((*newval)[0] != '\0')
		return check_name("database", *newval);
	GUC_check_errdetail("It must name a database.");
	GUC_check_errhint("The canary needs one to connect to; \"postgres\" is there on most servers.");
	return false;
}

static bool
check_notify_channel(char **newval, void **extra, GucSource source)
{
	return check_name("channel", *newval);
}

static void
define_breaker_settings(void)
{
	define_string("pooldiag.breakers", "Overrides limits and modes of circuit breakers.",
				  "A list of name(key=value, ...) with the keys limit, failures, reset, mode.",
				  &breakers, "", check_breakers);
	define_int("pooldiag.failure_threshold",
			   "Sets how many consecutive failing evaluations open a breaker.",
			   "A breaker can state its own with failures=; that of refusals is 1 unless it does.",
			   &failure_threshold, 10, 1, 1000000, PGC_SIGHUP, 0);
	define_int("pooldiag.reset_timeout", "Sets the time after which an open breaker tries again.",
			   "A breaker can state its own with reset=.", &reset_timeout, 60, 1, 86400, PGC_SIGHUP,
			   GUC_UNIT_S);
	define_int("pooldiag.half_open_samples",
			   "Sets how many consecutive healthy evaluations close a half-open breaker.", NULL,
			   &half_open_samples, 3, 1, 1000000, PGC_SIGHUP, 0);
	define_string("pooldiag.notify_channel", "Names the channel on which alerts are notified.",
				  "Listeners of it in the database pooldiag.database get each as JSON; an empty "
				  "name switches that off.",
				  &pooldiag_notify_channel, "pooldiag", check_notify_channel);
}

static void
define_operation_settings(void)
{
	define_int("pooldiag.operation_timeout",
			   "Sets the time that one operation of pooldiag's own may take.",
			   "One that takes longer counts as timed out, whatever becomes of it.",
			   &pooldiag_operation_timeout, 30000, 100, 3600 * 1000, PGC_SIGHUP, GUC_UNIT_MS);
	define_int("pooldiag.operation_interval", "Sets the time between two tries of the canary.",
			   "The canary connects to a database, runs a statement, and commits.",
			   &pooldiag_operation_interval, 10000, 1000, 3600 * 1000, PGC_SIGHUP, GUC_UNIT_MS);
	define_string("pooldiag.database", "Names the database in which the canary runs.",
				  "Alerts are notified to its listeners.", &pooldiag_database, "postgres",
				  check_database);
	DefineCustomEnumVariable("pooldiag.canary_write", "Sets when the canary commits a WAL record.",
							 "\"auto\" does if others have written WAL since its last try.",
							 &pooldiag_canary_write, POOLDIAG_CANARY_WRITE_AUTO, canary_writes,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
}

static void
define_http_settings(void)
{
	define_int("pooldiag.http_port", "Sets the port of the HTTP endpoint; 0 switches it off.", NULL,
			   &pooldiag_http_port, 0, 0, 65535, PGC_SIGHUP, 0);
	define_string("pooldiag.http_listen_addresses",
				  "Sets the addresses on which the HTTP endpoint listens.",
				  "A list of addresses in numbers, localhost, or * for all.",
				  &pooldiag_http_listen_addresses, "127.0.0.1", check_listen_addresses);
	DefineCustomEnumVariable(
		"pooldiag.http_access", "Sets what the HTTP endpoint answers without a token.",
		"\"summary\" is what names nobody: whether the server lives, is ready, "
		"and how healthy it is; \"all\" is everything.",
		&pooldiag_http_access, POOLDIAG_HTTP_ACCESS_SUMMARY, http_accesses, PGC_SIGHUP, 0, NULL,
		NULL, NULL);
	define_string(
		"pooldiag.http_token_file", "Names the file that holds the token of the HTTP endpoint.",
		"Only the server's user may be able to read it.", &pooldiag_http_token_file, "", NULL);
	define_string("pooldiag.http_hosts", "Lists further Host names that the endpoint accepts.",
				  "Requests by an address, or localhost, are always accepted.",
				  &pooldiag_http_hosts, "", check_hosts);
}

/* To be called from _PG_init. */
void
pooldiag_settings_define(void)
{
	/*
	 * A setting that needs a restart can be defined only while the server starts. In a session that
	 * loads the library by itself there is no shared memory that it could size.
	 */
	GucContext at_start =
		process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP;

	define_pool_settings(at_start);
	define_sampling_settings(at_start);
	define_breaker_settings();
	define_operation_settings();
	define_http_settings();
	MarkGUCPrefixReserved("pooldiag");
}
