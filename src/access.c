/*
 * access.c
 *	  What a request's headers say of who asks, for what, and how.
 *
 * All of it comes from strangers: nothing here allocates, writes, or trusts a length. What the library has parsed are
 * strings that end; Basic authentication is the library's as well.
 *
 * Why the Host is looked at: a page from elsewhere, open in the browser of somebody who can reach this server, may have a
 * name of its own resolve to this address, and would then be of the same origin. It can't have its requests say
 * "localhost", or an address.
 */
#include "access.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SPACE " \t"
#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

/* The longest that a host's address is written. */
#define ADDRESS_LEN INET6_ADDRSTRLEN

/* The token of an Authorization header of that scheme (RFC 6750); NULL if it is of another. */
const char *
pooldiag_access_bearer(const char *authorization)
{
	static const char scheme[] = "Bearer";
	size_t length = sizeof(scheme) - 1;

	if (authorization == NULL || strncasecmp(authorization, scheme, length) != 0 ||
		strspn(authorization + length, SPACE) == 0)
		return NULL;
	return authorization + length + strspn(authorization + length, SPACE);
}

/* Is it that token? Takes as long for any that is given of that length. An empty token is none. */
bool
pooldiag_access_is_token(const char *given, const char *token)
{
	size_t given_length;
	size_t token_length;
	volatile unsigned char differs = 0;

	if (given == NULL || token == NULL || token[0] == '\0')
		return false;
	given_length = strlen(given);
	token_length = strlen(token);
	for (size_t i = 0; i < given_length; i++)
		differs |= (unsigned char) (given[i] ^ token[i % token_length]);
	return given_length == token_length && differs == 0;
}

static bool
is_name(const char *host, size_t length, const char *name, size_t name_length)
{
	return length == name_length && strncasecmp(host, name, length) == 0;
}

/* The next name of a list that is separated by commas; NULL at its end. */
static const char *
next_name(const char **list, size_t *length)
{
	const char *name = *list + strspn(*list, "," SPACE);

	*length = strcspn(name, "," SPACE);
	*list = name + *length;
	return *length > 0 ? name : NULL;
}

static bool
is_address(int family, const char *text, size_t length)
{
	char copy[ADDRESS_LEN];
	unsigned char address[sizeof(struct in6_addr)];

	if (length == 0 || length >= sizeof(copy))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	return inet_pton(family, copy, address) == 1;
}

/* Nothing, or a colon and a port. */
static bool
is_port_or_none(const char *text)
{
	if (*text == '\0')
		return true;
	return *text == ':' && strspn(text + 1, "0123456789") == strlen(text + 1);
}

/*
 * Is a request's Host one that a page from elsewhere can't have: localhost, an address, or one of the known names, each with
 * or without a port? A request without a Host is no browser's.
 */
bool
pooldiag_access_is_host(const char *host, const char *known)
{
	const char *name;
	size_t name_length;
	size_t length;

	if (host == NULL)
		return true;
	if (host[0] == '[')
	{
		length = strcspn(host, "]");
		return host[length] == ']' && is_address(AF_INET6, host + 1, length - 1) &&
			   is_port_or_none(host + length + 1);
	}
	length = strcspn(host, ":");
	if (!is_port_or_none(host + length))
		return false;
	if (is_name(host, length, "localhost", strlen("localhost")) ||
		is_address(AF_INET, host, length))
		return true;
	while (known != NULL && (name = next_name(&known, &name_length)) != NULL)
		if (is_name(host, length, name, name_length))
			return true;
	return false;
}

/* Is that a list of names that a Host can have? Else bad is the first that is none, of that length. */
bool
pooldiag_access_are_hosts(const char *known, const char **bad, size_t *length)
{
	while ((*bad = next_name(&known, length)) != NULL)
		if (strspn(*bad, HOST_CHARACTERS) < *length)
			return false;
	return true;
}

/* The q of one element of an Accept header, what follows its media type; 1 if it has none, 0 if that is no number. */
static double
quality(const char *parameters, size_t length)
{
	for (size_t i = 0; i + 1 < length; i++)
		if (parameters[i] == ';')
		{
			size_t at = i + 1;

			while (at < length && strchr(SPACE, parameters[at]) != NULL)
				at++;
			if (at + 1 < length && tolower((unsigned char) parameters[at]) == 'q' &&
				parameters[at + 1] == '=')
			{
				double q = 0;
				double digit = 1;

				/* "0", "0.5", "1.000" (RFC 9110, 12.4.2); others are none. */
				if (at + 2 < length && (parameters[at + 2] == '0' || parameters[at + 2] == '1'))
					q = parameters[at + 2] - '0';
				if (at + 3 < length && parameters[at + 3] == '.')
					for (size_t d = at + 4; d < length && d < at + 7; d++)
					{
						if (!isdigit((unsigned char) parameters[d]))
							break;
						digit /= 10;
						q += (parameters[d] - '0') * digit;
					}
				return q;
			}
		}
	return 1;
}

/*
 * Does who asks rather have OpenMetrics than Prometheus' text? An Accept header's elements are told apart by commas, in
 * which no quoted parameter has one that anybody sends.
 */
bool
pooldiag_access_wants_openmetrics(const char *accept)
{
	static const char openmetrics[] = "application/openmetrics-text";
	static const char plain[] = "text/plain";
	double q_openmetrics = 0;
	double q_plain = 0;

	while (accept != NULL && *accept != '\0')
	{
		size_t length;
		size_t type;

		accept += strspn(accept, "," SPACE);
		length = strcspn(accept, ",");
		type = strcspn(accept, ";," SPACE);
		if (type > length)
			type = length;
		if (is_name(accept, type, openmetrics, sizeof(openmetrics) - 1))
			q_openmetrics = fmax(q_openmetrics, quality(accept + type, length - type));
		else if (is_name(accept, type, plain, sizeof(plain) - 1))
			q_plain = fmax(q_plain, quality(accept + type, length - type));
		accept += length;
	}
	return q_openmetrics > 0 && q_openmetrics >= q_plain;
}

/* An argument that is a number of seconds from least to most; false if it is none. */
bool
pooldiag_access_seconds(const char *text, double least, double most, double *seconds)
{
	char *end;

	/* strtod() knows more than numbers. */
	if (text[0] == '\0' || strspn(text, "0123456789.") != strlen(text))
		return false;
	errno = 0;
	*seconds = strtod(text, &end);
	return *end == '\0' && errno == 0 && *seconds >= least && *seconds <= most;
}
