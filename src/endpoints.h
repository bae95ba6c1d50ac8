/*
 * endpoints.h
 *	  What is answered at which path, and to whom.
 */
#ifndef POOLDIAG_ENDPOINTS_H
#define POOLDIAG_ENDPOINTS_H

#include "lib/stringinfo.h"

#include "traffic.h"

/* A token has at most so many bytes. */
#define POOLDIAG_TOKEN_LEN 512

typedef enum PoolDiagArgument
{
	POOLDIAG_ARGUMENT_SINCE,
	POOLDIAG_ARGUMENT_STEP,
	POOLDIAG_ARGUMENT_POOL,
	POOLDIAG_ARGUMENT_LIMIT,
	POOLDIAG_ARGUMENT_ROLE,
	POOLDIAG_ARGUMENTS
} PoolDiagArgument;

/* What is asked. What a request doesn't have is NULL; all strings are a stranger's. */
typedef struct PoolDiagRequest
{
	const char *method;
	const char *path;
	const char *host;
	const char *accept;
	const char *authorization;
	const char *password; /* of Basic authentication */
	const char *arguments[POOLDIAG_ARGUMENTS];
	const char *flaw; /* why nobody should answer it, and what comes behind it is not to be read */
} PoolDiagRequest;

#define POOLDIAG_ANSWER_HEADERS 8

typedef struct PoolDiagHeader
{
	const char *name;
	const char *value;
} PoolDiagHeader;

/* What is answered. All of it lives in the memory context in which it was made. */
typedef struct PoolDiagAnswer
{
	int status;
	PoolDiagPath path; /* for who counts */
	int header_count;
	PoolDiagHeader headers[POOLDIAG_ANSWER_HEADERS];
	StringInfoData body;
} PoolDiagAnswer;

extern void pooldiag_endpoints_configure(const char *token);
extern void
pooldiag_endpoints_refuse(PoolDiagAnswer *answer, int status, const char *error, const char *hint);
extern bool pooldiag_endpoints_is_answered(const char *method);
extern void pooldiag_endpoints_answer(const PoolDiagRequest *request, PoolDiagAnswer *answer);
extern const char *pooldiag_endpoints_argument_name(PoolDiagArgument argument);

#endif /* POOLDIAG_ENDPOINTS_H */
