/*
 * listener.c
 *	  The addresses at which the http worker listens, and their sockets.
 *
 * Addresses are in numbers, but for localhost: a name would have to be looked up, and whoever answers may take long, or be
 * down for the same reason for which somebody wants to look at this server.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "port/pg_bswap.h"

#include "listener.h"

/* Clients that wait to be accepted. */
#define BACKLOG 511

/* What stands for two addresses. The second of each is needed only if there is one of its kind. */
static const struct
{
	const char *name;
	const char *ipv4;
	const char *ipv6;
} names[] = {
	{"localhost", "127.0.0.1", "::1"},
	{"*", "0.0.0.0", "::"},
};

static bool
add(PoolDiagListenAddress *addresses, int *count, int family, const char *text, bool is_optional)
{
	PoolDiagListenAddress *added = &addresses[*count];
	unsigned char bytes[sizeof(struct in6_addr)];

	if (inet_pton(family, text, bytes) != 1)
		return false;
	for (int i = 0; i < *count; i++)
		if (strcmp(addresses[i].text, text) == 0)
			return true;
	added->family = family;
	strlcpy(added->text, text, sizeof(added->text));
	added->is_optional = is_optional;
	(*count)++;
	return true;
}

static bool
add_item(PoolDiagListenAddress *addresses, int *count, const char *item)
{
	for (int i = 0; i < (int) lengthof(names); i++)
		if (pg_strcasecmp(item, names[i].name) == 0)
			return add(addresses, count, AF_INET, names[i].ipv4, false) &&
				   add(addresses, count, AF_INET6, names[i].ipv6, true);
	return add(addresses, count, AF_INET, item, false) ||
		   add(addresses, count, AF_INET6, item, false);
}

/*
 * Reads a list that is separated by commas into addresses, of which there is room for POOLDIAG_LISTENERS. Returns how many
 * there are, each once; -1 where one is none, which is then left in bad, or where there are too many, and bad is empty.
 */
int
pooldiag_listener_parse(const char *list, PoolDiagListenAddress *addresses, char *bad,
						size_t bad_size)
{
	int count = 0;

	for (;;)
	{
		size_t length;

		list += strspn(list, ", \t\n");
		if (*list == '\0')
			return count;
		length = strcspn(list, ", \t\n");
		strlcpy(bad, list, Min(length + 1, bad_size));
		if (count + 2 > POOLDIAG_LISTENERS)
		{
			bad[0] = '\0';
			return -1;
		}
		if (length >= bad_size || !add_item(addresses, &count, bad))
			return -1;
		list += length;
	}
}

static int
bind_socket(int fd, const PoolDiagListenAddress *address, int port)
{
	struct sockaddr_in ipv4 = {0};
	struct sockaddr_in6 ipv6 = {0};

	if (address->family == AF_INET)
	{
		ipv4.sin_family = AF_INET;
		ipv4.sin_port = pg_hton16((uint16) port);
		(void) inet_pton(AF_INET, address->text, &ipv4.sin_addr);
		return bind(fd, (struct sockaddr *) &ipv4, sizeof(ipv4));
	}
	ipv6.sin6_family = AF_INET6;
	ipv6.sin6_port = pg_hton16((uint16) port);
	(void) inet_pton(AF_INET6, address->text, &ipv6.sin6_addr);
	return bind(fd, (struct sockaddr *) &ipv6, sizeof(ipv6));
}

/* A socket that listens there; -1 with errno, and what could not be done. */
int
pooldiag_listener_open(const PoolDiagListenAddress *address, int port, const char **failed_to)
{
	int on = 1;
	int saved_errno;
	int fd = socket(address->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*failed_to = "create a socket";
	if (fd < 0)
		return -1;
	/* The port is free though connections of a former worker have not been forgotten yet. */
	(void) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (address->family == AF_INET6)
		(void) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	*failed_to = "bind";
	if (bind_socket(fd, address, port) == 0)
	{
		*failed_to = "listen";
		if (listen(fd, BACKLOG) == 0)
			return fd;
	}
	saved_errno = errno;
	close(fd);
	errno = saved_errno;
	return -1;
}
