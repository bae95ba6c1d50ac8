/*
 * fuzz_access.c
 *	  Headers and arguments of a request, as a stranger may send them.
 *
 * link: access.c
 *
 * The bytes are cut at each newline into: Authorization, Host, Accept, an argument, a token, known hosts. What must hold is
 * worked out in another way.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "access.h"

#define PARTS 6

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_token(const char *authorization, const char *token)
{
	const char *given = pooldiag_access_bearer(authorization);

	/* It lies within the header, behind the scheme. */
	assert(given == NULL ||
		   (given >= authorization + 7 && given <= authorization + strlen(authorization)));
	assert(given == NULL || strncasecmp(authorization, "bearer", 6) == 0);
	assert(pooldiag_access_is_token(given, token) ==
		   (given != NULL && token[0] != '\0' && strcmp(given, token) == 0));
	assert(pooldiag_access_is_token(token, token) == (token[0] != '\0'));
	assert(!pooldiag_access_is_token(NULL, token) && !pooldiag_access_is_token(token, NULL));
}

/* A host that is let in has no letter in it that no address has, unless it is known. */
static void
check_host(const char *host, const char *known)
{
	size_t name = strcspn(host, ":");
	int is_local = name == 9 && strncasecmp(host, "localhost", 9) == 0;

	if (!pooldiag_access_is_host(host, "") || is_local)
		return;
	assert(strspn(host, "0123456789abcdefABCDEF.:[]") == strlen(host));
	assert(strpbrk(host, "0123456789:") != NULL);
	assert(pooldiag_access_is_host(host, known));
}

static void
check_seconds(const char *text)
{
	double seconds = -1;

	if (!pooldiag_access_seconds(text, 1, 3600, &seconds))
		return;
	assert(seconds >= 1 && seconds <= 3600);
	assert(seconds == strtod(text, NULL));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	char *parts[PARTS];
	char *rest = text;

	memcpy(text, data, size);
	text[size] = '\0';
	for (int i = 0; i < PARTS; i++)
	{
		char *end = rest + strcspn(rest, "\n");

		parts[i] = rest;
		rest = *end == '\0' ? end : end + 1;
		*end = '\0';
	}
	check_token(parts[0], parts[4]);
	check_host(parts[1], parts[5]);
	(void) pooldiag_access_wants_openmetrics(parts[2]);
	check_seconds(parts[3]);
	free(text);
	return 0;
}
