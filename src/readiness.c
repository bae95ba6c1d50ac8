/*
 * readiness.c
 *	  Does the server let sessions in, and could one work?
 *
 * What the postmaster thinks of that it tells nobody but pg_ctl, in a line of its lock file: it is starting up, ready,
 * ready as a standby, or shutting down, of which a smart shutdown gives no other sign.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "storage/fd.h"
#include "utils/pidfile.h"

#include "canary.h"
#include "readiness.h"

/* The file is in the data directory, where every process of the server is. */
#define LOCK_FILE "postmaster.pid"

/*
 * False while it starts up, recovers without letting anybody in to read, as a standby does with hot_standby off, or shuts
 * down; true where that can't be told. In the recovery from a crash the file still has what was true before.
 */
bool
pooldiag_readiness_accepts(void)
{
	char text[2048]; /* more than the file has */
	char *line = text;
	ssize_t length = -1;
	int fd;

	if (RecoveryInProgress() && !HotStandbyActive())
		return false;
	fd = BasicOpenFile(LOCK_FILE, O_RDONLY | PG_BINARY);
	if (fd >= 0)
	{
		length = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (length <= 0)
		return true;
	text[length] = '\0';
	for (int number = 1; number < LOCK_FILE_LINE_PM_STATUS; number++)
	{
		line = strchr(line, '\n');
		if (line == NULL)
			return true;
		line++;
	}
	return strncmp(line, PM_STATUS_STARTING, strlen(PM_STATUS_STARTING)) != 0 &&
		   strncmp(line, PM_STATUS_STOPPING, strlen(PM_STATUS_STOPPING)) != 0;
}

/*
 * Why a client could not connect and work now, in a sentence that names nobody; NULL if it could. role is what it is
 * looking for, "primary" or "standby"; NULL: either.
 */
const char *
pooldiag_readiness_obstacle(const PoolDiagLive *live, const char *role)
{
	bool is_standby = RecoveryInProgress();

	if (!pooldiag_readiness_accepts())
		return "the server accepts no connections: it starts up, recovers or shuts down";
	if (role != NULL && strcmp(role, is_standby ? "standby" : "primary") != 0)
		return is_standby ? "this server is a standby" : "this server is a primary";
	if (live->sample->server.connections >= pooldiag_backends_usable())
		return "no connection slot is left";
	if (!pooldiag_canary_is_well())
		return "the last try to work in a database has failed";
	return NULL;
}
