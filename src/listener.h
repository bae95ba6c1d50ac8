/*
 * listener.h
 *	  The addresses at which the http worker listens, and their sockets.
 */
#ifndef POOLDIAG_LISTENER_H
#define POOLDIAG_LISTENER_H

#include <netinet/in.h>

/* So many sockets at the most; a name or * may need two. */
#define POOLDIAG_LISTENERS 16

typedef struct PoolDiagListenAddress
{
	int family;					 /* AF_INET, AF_INET6 */
	char text[INET6_ADDRSTRLEN]; /* in numbers */
	bool
		is_optional; /* of a name that has two: where there is none of its kind, the other will do */
} PoolDiagListenAddress;

extern int pooldiag_listener_parse(const char *list, PoolDiagListenAddress *addresses, char *bad,
								   size_t bad_size);
extern int
pooldiag_listener_open(const PoolDiagListenAddress *address, int port, const char **failed_to);

#endif /* POOLDIAG_LISTENER_H */
