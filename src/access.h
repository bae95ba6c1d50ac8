/*
 * access.h
 *	  What a request's headers say of who asks, for what, and how.
 *
 * Pure: unit tests and the fuzzer link it.
 */
#ifndef POOLDIAG_ACCESS_H
#define POOLDIAG_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

extern const char *pooldiag_access_bearer(const char *authorization);
extern bool pooldiag_access_is_token(const char *given, const char *token);
extern bool pooldiag_access_is_host(const char *host, const char *known);
extern bool pooldiag_access_are_hosts(const char *known, const char **bad, size_t *length);
extern bool pooldiag_access_wants_openmetrics(const char *accept);
extern bool pooldiag_access_seconds(const char *text, double least, double most, double *seconds);

#endif /* POOLDIAG_ACCESS_H */
