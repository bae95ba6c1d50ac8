/*
 * json.c
 *	  Writing JSON as text, member by member. Escaping is core's.
 */
#include "postgres.h"

#include "pgtime.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "json.h"
#include "text.h"

/* A comma where one is due, and the member's name, which may be that of a pool, and so of another encoding. */
static void
begin_member(StringInfo json, const char *key)
{
	if (json->len > 0 && strchr("{[:", json->data[json->len - 1]) == NULL)
		appendStringInfoChar(json, ',');
	if (key != NULL)
	{
		escape_json(json, pooldiag_text_clean(key));
		appendStringInfoChar(json, ':');
	}
}

void
pooldiag_json_begin(StringInfo json, const char *key, char bracket)
{
	begin_member(json, key);
	appendStringInfoChar(json, bracket);
}

void
pooldiag_json_end(StringInfo json, char bracket)
{
	appendStringInfoChar(json, bracket);
}

/* A text in the database's encoding, or null. */
void
pooldiag_json_string(StringInfo json, const char *key, const char *value)
{
	begin_member(json, key);
	if (value == NULL)
		appendStringInfoString(json, "null");
	else
		escape_json(json, pooldiag_text_clean(value));
}

void
pooldiag_json_int(StringInfo json, const char *key, int64 value)
{
	begin_member(json, key);
	appendStringInfo(json, INT64_FORMAT, value);
}

/* A number with that many decimals, which jsonb keeps. */
void
pooldiag_json_number(StringInfo json, const char *key, double value, int decimals)
{
	begin_member(json, key);
	appendStringInfo(json, "%.*f", decimals, value);
}

void
pooldiag_json_bool(StringInfo json, const char *key, bool value)
{
	begin_member(json, key);
	appendStringInfoString(json, value ? "true" : "false");
}

/* An instant in UTC, as ISO 8601 has it, to the second. */
void
pooldiag_json_time(StringInfo json, const char *key, TimestampTz at)
{
	pg_time_t seconds = timestamptz_to_time_t(at);
	char text[32];

	pg_strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", pg_gmtime(&seconds));
	pooldiag_json_string(json, key, text);
}

void
pooldiag_json_null(StringInfo json, const char *key)
{
	begin_member(json, key);
	appendStringInfoString(json, "null");
}

/* A document, which was written as text before. */
void
pooldiag_json_document(StringInfo json, const char *key, const char *document)
{
	begin_member(json, key);
	appendStringInfoString(json, document);
}
