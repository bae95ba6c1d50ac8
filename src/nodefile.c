/*
 * nodefile.c
 *	  Files in the data directory that belong to this node alone.
 *
 * A data directory can be copied to another node, which then has the same system identifier: by a base backup, by
 * pg_rewind, by hand. A copied file has neither the inode nor the time of birth of the one that was written, and
 * none of the usual tools can give it those. Both are in the header, so a file is read only where it was written.
 * (Where a whole disk is copied by the block, nobody can tell.) A file system that knows no time of birth is taken
 * at its inodes.
 *
 * Numbers are written as the machine has them. A file that was made with another byte order, another size of
 * pointers or by another major version is foreign.
 *
 * A file that can't be used gets another name, for whoever wants to look into it; one that was damaged and one that
 * was foreign are kept, the last of each. The server starts in any case.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "port/pg_bswap.h"
#include "storage/fd.h"

#include "nodefile.h"

#define BYTE_ORDER_MARK 0x01020304

pg_crc32c
pooldiag_nodefile_checksum(const void *data, Size size)
{
	pg_crc32c checksum;

	INIT_CRC32C(checksum);
	COMP_CRC32C(checksum, data, size);
	FIN_CRC32C(checksum);
	return checksum;
}

/* Remembers what could not be done, with errno; what was before stays. */
void
pooldiag_nodefile_fail(PoolDiagFileTrouble *trouble, const char *what)
{
	if (trouble->failed_to != NULL)
		return;
	trouble->failed_to = what;
	/* A write that is cut short without a word has found the disk full. */
	trouble->error = errno != 0 ? errno : ENOSPC;
}

/* What a file has that its copy doesn't. */
static bool
find_origin(int fd, uint64 *inode, uint64 *birth)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return false;
	*inode = (uint64) st.st_ino;
	*birth = 0;
#ifdef STATX_BTIME
	{
		struct statx stx;

		if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &stx) == 0 &&
			(stx.stx_mask & STATX_BTIME) != 0)
			*birth =
				(uint64) stx.stx_btime.tv_sec * UINT64CONST(1000000000) + stx.stx_btime.tv_nsec;
	}
#endif
	return true;
}

/* Says whose an open file is: this node's. False, with errno, if that can't be found out. */
bool
pooldiag_nodefile_identify(const PoolDiagFileKind *kind, int fd, PoolDiagNodeIdentity *identity)
{
	memset(identity, 0, sizeof(*identity));
	memcpy(identity->magic, kind->magic, POOLDIAG_MAGIC_LEN);
	identity->byte_order = BYTE_ORDER_MARK;
	identity->format = kind->format;
	identity->major = PG_MAJORVERSION_NUM;
	identity->pointer_size = sizeof(void *);
	identity->system_identifier = GetSystemIdentifier();
	return find_origin(fd, &identity->inode, &identity->birth);
}

/*
 * Has this node written the open file that begins like that? POOLDIAG_FILE_READ if so; if not, detail says why, in a
 * sentence.
 */
PoolDiagFileVerdict
pooldiag_nodefile_judge(const PoolDiagFileKind *kind, int fd, const PoolDiagNodeIdentity *identity,
						bool checksum_is_right, char *detail, Size detail_size)
{
	uint64 inode;
	uint64 birth;

	if (memcmp(identity->magic, kind->magic, POOLDIAG_MAGIC_LEN) != 0)
	{
		snprintf(detail, detail_size, "It does not begin as a %s does.", kind->name);
		return POOLDIAG_FILE_DAMAGED;
	}
	if (identity->byte_order == pg_bswap32(BYTE_ORDER_MARK))
	{
		snprintf(detail, detail_size, "It was written by a machine with another byte order.");
		return POOLDIAG_FILE_FOREIGN;
	}
	if (!checksum_is_right)
	{
		snprintf(detail, detail_size, "The checksum of its header is wrong.");
		return POOLDIAG_FILE_DAMAGED;
	}
	if (identity->format != kind->format || identity->major != PG_MAJORVERSION_NUM ||
		identity->pointer_size != sizeof(void *) || identity->byte_order != BYTE_ORDER_MARK)
	{
		snprintf(detail, detail_size,
				 "It has format %u, of PostgreSQL %u with pointers of %u bytes; this server has "
				 "format %u, "
				 "of PostgreSQL %u with pointers of %u bytes.",
				 identity->format, identity->major, identity->pointer_size, kind->format,
				 (unsigned) PG_MAJORVERSION_NUM, (unsigned) sizeof(void *));
		return POOLDIAG_FILE_FOREIGN;
	}
	if (identity->system_identifier != GetSystemIdentifier())
	{
		snprintf(detail, detail_size, "It was written by a server with another system identifier.");
		return POOLDIAG_FILE_FOREIGN;
	}
	if (!find_origin(fd, &inode, &birth) || inode != identity->inode ||
		(birth != identity->birth && birth != 0 && identity->birth != 0))
	{
		snprintf(detail, detail_size, "It is a copy of a file that was written elsewhere.");
		return POOLDIAG_FILE_FOREIGN;
	}
	return POOLDIAG_FILE_READ;
}

/* Writes all of that there, unless something has failed before. */
void
pooldiag_nodefile_write(int fd, const void *data, Size size, uint64 offset,
						PoolDiagFileTrouble *trouble)
{
	const char *from = data;

	while (size > 0 && trouble->failed_to == NULL)
	{
		ssize_t written;

		errno = 0;
		written = pg_pwrite(fd, from, size, (off_t) offset);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
		{
			pooldiag_nodefile_fail(trouble, "write file");
			return;
		}
		from += written;
		size -= written;
		offset += written;
	}
}

/* Reads that many bytes from where the file stands; false if there are fewer. */
bool
pooldiag_nodefile_read(int fd, void *data, Size size)
{
	char *to = data;

	while (size > 0)
	{
		ssize_t got = read(fd, to, size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		to += got;
		size -= got;
	}
	return true;
}

/* Makes what has happened in the directory of a file last. */
void
pooldiag_nodefile_sync_directory(const char *path, PoolDiagFileTrouble *trouble)
{
	char directory[MAXPGPATH];
	int fd;

	strlcpy(directory, path, sizeof(directory));
	get_parent_directory(directory);
	fd = BasicOpenFile(directory[0] != '\0' ? directory : ".", O_RDONLY | PG_BINARY);
	if (fd < 0)
	{
		pooldiag_nodefile_fail(trouble, "open directory of file");
		return;
	}
	/* Some systems can't sync a directory, and say so in one of these ways. */
	if (pg_fsync(fd) != 0 && errno != EBADF && errno != EINVAL)
		pooldiag_nodefile_fail(trouble, "fsync directory of file");
	close(fd);
}

/* Gives a file that can't be used another name, and says why. */
void
pooldiag_nodefile_set_aside(const PoolDiagFileKind *kind, const char *path,
							PoolDiagFileVerdict verdict, const char *detail)
{
	const char *what = verdict == POOLDIAG_FILE_FOREIGN ? "foreign" : "damaged";
	char name[MAXPGPATH];

	snprintf(name, sizeof(name), "%s.%s", path, what);
	if (rename(path, name) == 0)
		ereport(WARNING,
				(errmsg("pooldiag's %s \"%s\" is %s and was set aside", kind->name, path, what),
				 errdetail("%s", detail),
				 errhint("The server goes on without what was in it: %s begin anew. "
						 "The file is kept as \"%s\" until the next one is set aside; it can be "
						 "removed.",
						 kind->held, name)));
	else
		ereport(WARNING, (errmsg("pooldiag's %s \"%s\" is %s and could not be set aside: %m",
								 kind->name, path, what),
						  errdetail("%s", detail),
						  errhint("The server goes on without what was in it: %s begin anew. "
								  "Remove the file, and \"%s\", for the next one to be written.",
								  kind->held, name)));
}
