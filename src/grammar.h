/*
 * grammar.h
 *	  The grammar that pooldiag.pools and pooldiag.breakers share: name(key=value, ...), ...
 *
 * Pure: nothing of the server, so that unit tests link it. It allocates nothing; results go into
 * arrays that the caller owns.
 */
#ifndef POOLDIAG_GRAMMAR_H
#define POOLDIAG_GRAMMAR_H

#include <stdbool.h>
#include <stdint.h>

#include "scanner.h"

/* Longest name or pattern, with its terminator: the server's NAMEDATALEN. */
#define POOLDIAG_NAME_LEN 64

/* What a definition says of a figure that it doesn't state. */
#define POOLDIAG_UNSTATED (-1)

/* The most backends a server can have; bounds every count of connections. */
#define POOLDIAG_MAX_COUNT 262143
/* The longest time the grammar takes: 365 days. */
#define POOLDIAG_MAX_MS (INT64_C(365) * 86400 * 1000)

/*
 * One definition of pooldiag.pools. A pattern counts only where its has_ flag is set: one that is
 * not stated matches everything, one that is stated as "" matches only the empty string.
 */
typedef struct PoolDiagPoolDef
{
	char name[POOLDIAG_NAME_LEN];
	char application_name[POOLDIAG_NAME_LEN];
	char user[POOLDIAG_NAME_LEN];
	char database[POOLDIAG_NAME_LEN];
	bool has_application_name;
	bool has_user;
	bool has_database;
	int size;			/* 1 .. POOLDIAG_MAX_COUNT, or unstated */
	int max_overflow;	/* 0 .. POOLDIAG_MAX_COUNT, or unstated */
	int instances;		/* 1 .. POOLDIAG_MAX_COUNT, or unstated */
	int64_t timeout_ms; /* these four: 1 .. POOLDIAG_MAX_MS, or unstated */
	int64_t recycle_ms;
	int64_t slow_ms;
	int64_t leak_ms;
	int start; /* bytes [start, end) of the text hold this definition */
	int end;
} PoolDiagPoolDef;

typedef enum PoolDiagBreakerMode
{
	POOLDIAG_BREAKER_MODE_UNSTATED = -1,
	POOLDIAG_BREAKER_MODE_NORMAL,
	POOLDIAG_BREAKER_MODE_METRICS_ONLY
} PoolDiagBreakerMode;

/* One definition of pooldiag.breakers; the name is a breaker's, "pool:NAME" included. */
typedef struct PoolDiagBreakerDef
{
	char name[POOLDIAG_NAME_LEN + 8];
	double limit; /* percent or count, as the breaker has it; negative: unstated */
	int failures; /* consecutive failing evaluations; unstated: the setting's */
	int64_t reset_ms;
	PoolDiagBreakerMode mode;
	int start;
	int end;
} PoolDiagBreakerDef;

extern int pooldiag_grammar_parse_pools(const char *text, PoolDiagPoolDef *defs, int max_defs,
										PoolDiagParseError *error);
extern int pooldiag_grammar_parse_breakers(const char *text, PoolDiagBreakerDef *defs, int max_defs,
										   PoolDiagParseError *error);
extern int pooldiag_grammar_count_upper(const char *text);
extern int pooldiag_grammar_format_pool(const PoolDiagPoolDef *def, char *out, int size);

#endif /* POOLDIAG_GRAMMAR_H */
