/*
 * setpool.c
 *	  set_pool and drop_pool: editing pooldiag.pools as ALTER SYSTEM does.
 *
 * The text to start from is what postgresql.auto.conf holds, which may be newer than what this
 * session has read; where it holds none, the setting in force. Reading, editing and writing happen
 * under a lock that all databases share, so that of two calls at once both last. Nothing of this is
 * transactional: the file is written, and the server told to reload, at once, and ROLLBACK undoes
 * neither.
 */
#include "postgres.h"

#include <unistd.h>

#include "catalog/objectaccess.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "storage/fd.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "grammar.h"
#include "rows.h"

PG_FUNCTION_INFO_V1(pooldiag_set_pool);
PG_FUNCTION_INFO_V1(pooldiag_drop_pool);

#define SETTING "pooldiag.pools"

/* The key of an advisory lock outside of every database, where no user's advisory lock can be. */
#define LOCK_KEY 0x706f6f6c

typedef struct Definitions
{
	const char *text;
	int count;
	PoolDiagPoolDef *defs;
} Definitions;

static void
require_privilege(void)
{
	if (!superuser() &&
		pg_parameter_aclcheck(SETTING, GetUserId(), ACL_ALTER_SYSTEM) != ACLCHECK_OK)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied to change \"%s\"", SETTING),
						errhint("A superuser can GRANT ALTER SYSTEM ON PARAMETER %s.", SETTING)));
}

/* What postgresql.auto.conf says, or, where it says nothing, the setting in force. */
static const char *
current_text(void)
{
	const char *text = GetConfigOption(SETTING, false, false);
	ConfigVariable *head = NULL;
	ConfigVariable *tail = NULL;
	FILE *file = AllocateFile(PG_AUTOCONF_FILENAME, "r");

	if (file == NULL)
	{
		if (errno != ENOENT)
			ereport(ERROR, (errcode_for_file_access(),
							errmsg("could not open file \"%s\": %m", PG_AUTOCONF_FILENAME)));
		return text;
	}
	(void) ParseConfigFp(file, PG_AUTOCONF_FILENAME, 0, ERROR, &head, &tail);
	FreeFile(file);
	for (ConfigVariable *item = head; item != NULL; item = item->next)
		if (pg_strcasecmp(item->name, SETTING) == 0)
			text = pstrdup(item->value);
	FreeConfigVariables(head);
	return text;
}

static Definitions
parse(const char *text)
{
	int most = pooldiag_grammar_count_upper(text);
	Definitions definitions = {text, 0, palloc(sizeof(PoolDiagPoolDef) * most)};
	PoolDiagParseError error;

	definitions.count = pooldiag_grammar_parse_pools(text, definitions.defs, most, &error);
	if (definitions.count < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for parameter \"%s\": \"%s\"", SETTING, text),
						errdetail("At position %d: %s.", error.position, error.message),
						errhint("Start anew with ALTER SYSTEM RESET %s.", SETTING)));
	return definitions;
}

static PoolDiagPoolDef *
find_definition(const Definitions *definitions, const char *name)
{
	for (int i = 0; i < definitions->count; i++)
		if (strcmp(definitions->defs[i].name, name) == 0)
			return &definitions->defs[i];
	return NULL;
}

static char *
format(const PoolDiagPoolDef *def)
{
	int length = pooldiag_grammar_format_pool(def, NULL, 0);
	char *text = palloc(length + 1);

	pooldiag_grammar_format_pool(def, text, length + 1);
	return text;
}

/* The text with one definition replaced (changed != NULL) or left out; the others stay to the
 * letter. */
static char *
replace(const Definitions *definitions, const PoolDiagPoolDef *old, const char *changed)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < definitions->count; i++)
	{
		const PoolDiagPoolDef *def = &definitions->defs[i];

		if (def == old && changed == NULL)
			continue;
		if (text.len > 0)
			appendStringInfoString(&text, ", ");
		if (def == old)
			appendStringInfoString(&text, changed);
		else
			appendBinaryStringInfo(&text, definitions->text + def->start, def->end - def->start);
	}
	if (old == NULL)
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", changed);
	/* ALTER SYSTEM takes no newline; where the grammar has one, it is a blank. */
	for (char *at = text.data; *at != '\0'; at++)
		if (*at == '\n')
			*at = ' ';
	return text.data;
}

/* Writes the setting, which its check hook may refuse, and has the server reload. */
static void
store(char *text)
{
	AlterSystemStmt *alter = makeNode(AlterSystemStmt);
	A_Const *value = makeNode(A_Const);

	value->val.sval.type = T_String;
	value->val.sval.sval = text;
	value->location = -1;
	alter->setstmt = makeNode(VariableSetStmt);
	alter->setstmt->kind = VAR_SET_VALUE;
	alter->setstmt->name = SETTING;
	alter->setstmt->args = list_make1(value);
	AlterSystemSetConfigFile(alter);
	(void) DirectFunctionCall1(pg_reload_conf, (Datum) 0);
}

/* Makes the new text from the old one; both are of the same setting. */
typedef char *(*Edit)(const Definitions *definitions, void *argument);

static text *
edit_setting(Edit edit, void *argument)
{
	LOCKTAG tag;
	Definitions definitions;
	char *volatile changed = NULL;

	require_privilege();
	SET_LOCKTAG_ADVISORY(tag, InvalidOid, LOCK_KEY, 0, 2);
	(void) LockAcquire(&tag, ExclusiveLock, true, false);
	PG_TRY();
	{
		definitions = parse(current_text());
		changed = edit(&definitions, argument);
		store(changed);
	}
	PG_FINALLY();
	{
		(void) LockRelease(&tag, ExclusiveLock, true);
	}
	PG_END_TRY();
	return cstring_to_text(changed);
}

static char *
set_one(const Definitions *definitions, void *argument)
{
	const PoolDiagPoolDef *stated = argument;
	PoolDiagPoolDef *old = find_definition(definitions, stated->name);
	PoolDiagPoolDef def = *stated;

	if (old != NULL)
	{
		def = *old;
#define TAKE(field)                         \
	if (stated->field != POOLDIAG_UNSTATED) \
	def.field = stated->field
#define TAKE_PATTERN(field)                                   \
	if (stated->has_##field)                                  \
	{                                                         \
		def.has_##field = true;                               \
		strlcpy(def.field, stated->field, sizeof(def.field)); \
	}
		TAKE_PATTERN(application_name);
		TAKE_PATTERN(user);
		TAKE_PATTERN(database);
		TAKE(size);
		TAKE(max_overflow);
		TAKE(instances);
		TAKE(timeout_ms);
		TAKE(recycle_ms);
		TAKE(slow_ms);
		TAKE(leak_ms);
#undef TAKE
#undef TAKE_PATTERN
	}
	return replace(definitions, old, format(&def));
}

static char *
drop_one(const Definitions *definitions, void *argument)
{
	const char *name = argument;
	PoolDiagPoolDef *old = find_definition(definitions, name);

	if (old == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("pool \"%s\" is not declared", name),
				 errhint("SHOW %s lists the declared pools; a discovered pool needs no "
						 "dropping.",
						 SETTING)));
	return replace(definitions, old, NULL);
}

static void
take_text(FunctionCallInfo fcinfo, int argument, const char *what, char *field, bool *has)
{
	char *value;

	if (PG_ARGISNULL(argument))
		return;
	value = text_to_cstring(PG_GETARG_TEXT_PP(argument));
	if (strlen(value) >= POOLDIAG_NAME_LEN)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the %s is longer than %d bytes", what, POOLDIAG_NAME_LEN - 1),
						errhint("In a pattern, * stands for any run of characters.")));
	for (const char *at = value; *at != '\0'; at++)
		if ((unsigned char) *at < ' ' || *at == 0x7f)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("the %s holds a control character", what),
							errhint("In a pattern, ? stands for any one character.")));
	strlcpy(field, value, POOLDIAG_NAME_LEN);
	if (has != NULL)
		*has = true;
}

static void
take_int(FunctionCallInfo fcinfo, int argument, const char *what, int least, int *field)
{
	if (PG_ARGISNULL(argument))
		return;
	*field = PG_GETARG_INT32(argument);
	if (*field < least || *field > POOLDIAG_MAX_COUNT)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s must be from %d to %d", what, least, POOLDIAG_MAX_COUNT),
						errhint("Leave it out, or give NULL, to keep what is set.")));
}

static void
take_interval(FunctionCallInfo fcinfo, int argument, const char *what, int64_t *field)
{
	Interval *interval;
	double ms;

	if (PG_ARGISNULL(argument))
		return;
	interval = PG_GETARG_INTERVAL_P(argument);
	ms = interval->time / 1000.0 + interval->day * (double) SECS_PER_DAY * 1000.0;
	if (interval->month != 0 || interval->time % 1000 != 0 || ms < 1 ||
		ms > (double) POOLDIAG_MAX_MS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s must be from 1 millisecond to 365 days", what),
						errhint("Give it in whole milliseconds up to days, such as "
								"interval '30 s'.")));
	*field = (int64_t) ms;
}

/*
 * text: the new setting. Declares a pool, or changes what is given of one that is declared; NULL
 * leaves a figure or pattern as it is.
 */
Datum
pooldiag_set_pool(PG_FUNCTION_ARGS)
{
	PoolDiagPoolDef def;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the name of a pool must not be null"),
						errhint("SHOW %s lists the declared pools.", SETTING)));
	memset(&def, 0, sizeof(def));
	def.size = def.max_overflow = def.instances = POOLDIAG_UNSTATED;
	def.timeout_ms = def.recycle_ms = def.slow_ms = def.leak_ms = POOLDIAG_UNSTATED;
	take_text(fcinfo, 0, "name", def.name, NULL);
	take_text(fcinfo, 1, "application_name", def.application_name, &def.has_application_name);
	take_text(fcinfo, 2, "user", def.user, &def.has_user);
	take_text(fcinfo, 3, "database", def.database, &def.has_database);
	take_int(fcinfo, 4, "size", 1, &def.size);
	take_int(fcinfo, 5, "max_overflow", 0, &def.max_overflow);
	take_int(fcinfo, 6, "instances", 1, &def.instances);
	take_interval(fcinfo, 7, "timeout", &def.timeout_ms);
	take_interval(fcinfo, 8, "recycle", &def.recycle_ms);
	take_interval(fcinfo, 9, "slow", &def.slow_ms);
	take_interval(fcinfo, 10, "leak", &def.leak_ms);
	PG_RETURN_TEXT_P(edit_setting(set_one, &def));
}

/* text: the new setting, without the pool. */
Datum
pooldiag_drop_pool(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(edit_setting(drop_one, text_to_cstring(PG_GETARG_TEXT_PP(0))));
}
