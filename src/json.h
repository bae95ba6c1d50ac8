/*
 * json.h
 *	  Writing JSON as text, member by member, for documents that core's jsonb_in then takes.
 */
#ifndef POOLDIAG_JSON_H
#define POOLDIAG_JSON_H

#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

/* In each, key is the member's name, or NULL for an element of an array. */
extern void pooldiag_json_begin(StringInfo json, const char *key, char bracket);
extern void pooldiag_json_end(StringInfo json, char bracket);
extern void pooldiag_json_string(StringInfo json, const char *key, const char *value);
extern void pooldiag_json_int(StringInfo json, const char *key, int64 value);
extern void pooldiag_json_number(StringInfo json, const char *key, double value, int decimals);
extern void pooldiag_json_bool(StringInfo json, const char *key, bool value);
extern void pooldiag_json_time(StringInfo json, const char *key, TimestampTz at);
extern void pooldiag_json_document(StringInfo json, const char *key, const char *document);
extern void pooldiag_json_null(StringInfo json, const char *key);

#endif /* POOLDIAG_JSON_H */
