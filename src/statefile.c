/*
 * statefile.c
 *	  The format of the state file.
 *
 * A header, then for each section its own header and what it holds. Each header, and what each section holds, has
 * a checksum; the file's length is in its header. So whatever byte has changed, is missing or was added, is
 * noticed before anything is read from it. The header comes last to the disk, and the file gets its name when it is
 * whole and has been synced, so that a crash leaves the old one or the new one.
 *
 * A data directory can be copied to another node, which then has the same system identifier: by a base backup, by
 * pg_rewind, by hand. A copied file has neither the inode nor the time of birth of the one that was written, and
 * none of the usual tools can give it those. Both are in the header, so a file is read only where it was written.
 * (Where a whole disk is copied by the block, nobody can tell.) A file system that knows no time of birth is taken
 * at its inodes.
 *
 * Numbers are written as the machine has them. A file that was made with another byte order, another size of
 * pointers or by another major version is foreign.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "port/pg_bswap.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "utils/timestamp.h"

#include "statefile.h"

#define MAGIC "pooldiag"
#define FORMAT 1
#define BYTE_ORDER_MARK 0x01020304
#define BUFFER_SIZE 65536
#define SECTION_NAME_LEN 16

/* No padding in these, and none of it may change while FORMAT stays. */
typedef struct FileHeader
{
	char magic[8];
	uint32 byte_order;
	uint32 format;
	uint32 major;
	uint32 pointer_size;
	uint64 system_identifier;
	uint64 inode;
	uint64 birth; /* nanoseconds since 1970; 0: not known */
	int64 saved_at;
	uint64 length;
	uint32 sections;
	pg_crc32c checksum; /* of all before it */
} FileHeader;

typedef struct SectionHeader
{
	char name[SECTION_NAME_LEN];
	uint64 length;
	uint32 version;
	pg_crc32c content; /* of what follows */
	uint32 unused;
	pg_crc32c checksum; /* of all before it */
} SectionHeader;

struct PoolDiagStateWriter
{
	int fd;
	PoolDiagStateWritten result;
	uint64 length; /* of the file, what is still in the buffer included */
	pg_crc32c content;
	Size used;
	char buffer[BUFFER_SIZE];
};

struct PoolDiagStateReader
{
	int fd;
	uint64 left; /* of the section */
	bool failed;
	char buffer[BUFFER_SIZE];
};

static pg_crc32c
checksum_of(const void *data, Size size)
{
	pg_crc32c checksum;

	INIT_CRC32C(checksum);
	COMP_CRC32C(checksum, data, size);
	FIN_CRC32C(checksum);
	return checksum;
}

/* What a file has that its copy doesn't. */
static bool
identify(int fd, uint64 *inode, uint64 *birth)
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

/* Remembers what could not be done; after that nothing is tried any more. */
static void
fail(PoolDiagStateWriter *writer, const char *what)
{
	if (writer->result.failed_to != NULL)
		return;
	writer->result.failed_to = what;
	/* A write that is cut short without a word has found the disk full. */
	writer->result.error = errno != 0 ? errno : ENOSPC;
}

static void
write_at(PoolDiagStateWriter *writer, const void *data, Size size, uint64 offset)
{
	const char *from = data;

	while (size > 0 && writer->result.failed_to == NULL)
	{
		ssize_t written;

		errno = 0;
		written = pg_pwrite(writer->fd, from, size, (off_t) offset);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
		{
			fail(writer, "write file");
			return;
		}
		from += written;
		size -= written;
		offset += written;
	}
}

static void
flush_buffer(PoolDiagStateWriter *writer)
{
	write_at(writer, writer->buffer, writer->used, writer->length - writer->used);
	writer->used = 0;
}

/* Adds to the section that is being saved. What fails is seen when the file is done. */
void
pooldiag_state_put(PoolDiagStateWriter *writer, const void *data, Size size)
{
	const char *from = data;

	COMP_CRC32C(writer->content, data, size);
	while (size > 0)
	{
		Size part = Min(size, BUFFER_SIZE - writer->used);

		memcpy(writer->buffer + writer->used, from, part);
		writer->used += part;
		writer->length += part;
		from += part;
		size -= part;
		if (writer->used == BUFFER_SIZE)
			flush_buffer(writer);
	}
}

static void
write_section(PoolDiagStateWriter *writer, const PoolDiagSection *section)
{
	SectionHeader header;
	uint64 start = writer->length;

	memset(&header, 0, sizeof(header));
	writer->length += sizeof(header);
	INIT_CRC32C(writer->content);
	section->save(writer);
	flush_buffer(writer);
	FIN_CRC32C(writer->content);

	strlcpy(header.name, section->name, sizeof(header.name));
	header.version = section->version;
	header.length = writer->length - start - sizeof(header);
	header.content = writer->content;
	header.checksum = checksum_of(&header, offsetof(SectionHeader, checksum));
	write_at(writer, &header, sizeof(header), start);
}

static void
write_file_header(PoolDiagStateWriter *writer, int sections)
{
	FileHeader header;

	StaticAssertStmt(sizeof(FileHeader) == 72 && sizeof(SectionHeader) == 40,
					 "headers have no padding");
	memset(&header, 0, sizeof(header));
	memcpy(header.magic, MAGIC, sizeof(header.magic));
	header.byte_order = BYTE_ORDER_MARK;
	header.format = FORMAT;
	header.major = PG_MAJORVERSION_NUM;
	header.pointer_size = sizeof(void *);
	header.system_identifier = GetSystemIdentifier();
	if (!identify(writer->fd, &header.inode, &header.birth))
		fail(writer, "stat file");
	header.saved_at = GetCurrentTimestamp();
	header.length = writer->length;
	header.sections = sections;
	header.checksum = checksum_of(&header, offsetof(FileHeader, checksum));
	write_at(writer, &header, sizeof(header), 0);
}

/* Makes what has happened in the directory of a file last. */
static void
sync_directory(PoolDiagStateWriter *writer, const char *path)
{
	char directory[MAXPGPATH];
	int fd;

	strlcpy(directory, path, sizeof(directory));
	get_parent_directory(directory);
	fd = BasicOpenFile(directory[0] != '\0' ? directory : ".", O_RDONLY | PG_BINARY);
	if (fd < 0)
	{
		fail(writer, "open directory of file");
		return;
	}
	/* Some systems can't sync a directory, and say so in one of these ways. */
	if (pg_fsync(fd) != 0 && errno != EBADF && errno != EINVAL)
		fail(writer, "fsync directory of file");
	close(fd);
}

static void
write_temporary(PoolDiagStateWriter *writer, const char *path, const PoolDiagSection *sections,
				int count)
{
	(void) unlink(path);
	errno = 0;
	writer->fd = BasicOpenFile(path, O_CREAT | O_EXCL | O_WRONLY | PG_BINARY);
	if (writer->fd < 0)
	{
		fail(writer, "create file");
		return;
	}
	writer->length = sizeof(FileHeader);
	for (int i = 0; i < count; i++)
		write_section(writer, &sections[i]);
	write_file_header(writer, count);
	errno = 0;
	if (writer->result.failed_to == NULL && pg_fsync(writer->fd) != 0)
		fail(writer, "fsync file");
	errno = 0;
	if (close(writer->fd) != 0)
		fail(writer, "close file");
}

/*
 * Writes all sections to a file, in place of the one that is there. Fails without a word to the log: the result
 * says what, and the old file is as it was.
 */
PoolDiagStateWritten
pooldiag_statefile_write(const char *path, const PoolDiagSection *sections, int count)
{
	PoolDiagStateWriter *writer = palloc0(sizeof(PoolDiagStateWriter));
	char *temporary = psprintf("%s.tmp", path);
	PoolDiagStateWritten result;

	write_temporary(writer, temporary, sections, count);
	errno = 0;
	if (writer->result.failed_to == NULL && rename(temporary, path) != 0)
		fail(writer, "rename file");
	if (writer->result.failed_to == NULL)
		sync_directory(writer, path);
	else
		(void) unlink(temporary); /* It may be what fills the disk. */
	result = writer->result;
	result.done = result.failed_to == NULL;
	result.size = writer->length;
	pfree(temporary);
	pfree(writer);
	return result;
}

/* Reads that many bytes, or fails. */
static bool
read_all(int fd, void *data, Size size)
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

/* Gets what was put next into the section that is being loaded; false where that is not as much. */
bool
pooldiag_state_get(PoolDiagStateReader *reader, void *data, Size size)
{
	if (reader->failed || size > reader->left || !read_all(reader->fd, data, size))
	{
		reader->failed = true;
		return false;
	}
	reader->left -= size;
	return true;
}

/* Does the header say that this server has written the file? If not, detail says why. */
static PoolDiagStateVerdict
judge_header(int fd, uint64 file_length, const FileHeader *header, char *detail, Size detail_size)
{
	uint64 inode;
	uint64 birth;

	if (memcmp(header->magic, MAGIC, sizeof(header->magic)) != 0)
	{
		snprintf(detail, detail_size, "It does not begin as a state file does.");
		return POOLDIAG_STATE_DAMAGED;
	}
	if (header->byte_order == pg_bswap32(BYTE_ORDER_MARK))
	{
		snprintf(detail, detail_size, "It was written by a machine with another byte order.");
		return POOLDIAG_STATE_FOREIGN;
	}
	if (header->checksum != checksum_of(header, offsetof(FileHeader, checksum)))
	{
		snprintf(detail, detail_size, "The checksum of its header is wrong.");
		return POOLDIAG_STATE_DAMAGED;
	}
	if (header->format != FORMAT || header->major != PG_MAJORVERSION_NUM ||
		header->pointer_size != sizeof(void *) || header->byte_order != BYTE_ORDER_MARK)
	{
		snprintf(detail, detail_size,
				 "It has format %u, of PostgreSQL %u with pointers of %u bytes; this server has "
				 "format %u, "
				 "of PostgreSQL %u with pointers of %u bytes.",
				 header->format, header->major, header->pointer_size, (unsigned) FORMAT,
				 (unsigned) PG_MAJORVERSION_NUM, (unsigned) sizeof(void *));
		return POOLDIAG_STATE_FOREIGN;
	}
	if (header->system_identifier != GetSystemIdentifier())
	{
		snprintf(detail, detail_size, "It was written by a server with another system identifier.");
		return POOLDIAG_STATE_FOREIGN;
	}
	if (!identify(fd, &inode, &birth) || inode != header->inode ||
		(birth != header->birth && birth != 0 && header->birth != 0))
	{
		snprintf(detail, detail_size, "It is a copy of a file that was written elsewhere.");
		return POOLDIAG_STATE_FOREIGN;
	}
	if (header->length != file_length)
	{
		snprintf(detail, detail_size,
				 "It is " UINT64_FORMAT " bytes long, and was " UINT64_FORMAT
				 " when it was written.",
				 file_length, header->length);
		return POOLDIAG_STATE_DAMAGED;
	}
	return POOLDIAG_STATE_READ;
}

/* Is the section at the file's position, of which so much of the file is left, as it was written? */
static bool
verify_section(PoolDiagStateReader *reader, uint64 left, SectionHeader *header)
{
	pg_crc32c content;
	uint64 unread;

	if (left < sizeof(*header) || !read_all(reader->fd, header, sizeof(*header)) ||
		header->checksum != checksum_of(header, offsetof(SectionHeader, checksum)) ||
		header->length > left - sizeof(*header))
		return false;
	INIT_CRC32C(content);
	for (unread = header->length; unread > 0;)
	{
		Size part = (Size) Min(unread, BUFFER_SIZE);

		if (!read_all(reader->fd, reader->buffer, part))
			return false;
		COMP_CRC32C(content, reader->buffer, part);
		unread -= part;
	}
	FIN_CRC32C(content);
	return content == header->content;
}

static PoolDiagStateVerdict
verify(PoolDiagStateReader *reader, FileHeader *header, char *detail, Size detail_size)
{
	PoolDiagStateVerdict verdict;
	SectionHeader section;
	struct stat st;
	uint64 left;

	if (fstat(reader->fd, &st) != 0 || !S_ISREG(st.st_mode))
	{
		snprintf(detail, detail_size, "It is not a regular file.");
		return POOLDIAG_STATE_DAMAGED;
	}
	if (!read_all(reader->fd, header, sizeof(*header)))
	{
		snprintf(detail, detail_size, "It is too short to have a header, or can't be read.");
		return POOLDIAG_STATE_DAMAGED;
	}
	verdict = judge_header(reader->fd, (uint64) st.st_size, header, detail, detail_size);
	if (verdict != POOLDIAG_STATE_READ)
		return verdict;
	left = header->length - sizeof(*header);
	for (uint32 i = 0; i < header->sections; i++)
	{
		if (!verify_section(reader, left, &section))
		{
			snprintf(detail, detail_size, "The checksum of its section %u is wrong.", i + 1);
			return POOLDIAG_STATE_DAMAGED;
		}
		left -= sizeof(section) + section.length;
	}
	if (left != 0)
	{
		snprintf(detail, detail_size, "There is something behind its last section.");
		return POOLDIAG_STATE_DAMAGED;
	}
	return POOLDIAG_STATE_READ;
}

static void
load_section(PoolDiagStateReader *reader, const SectionHeader *header,
			 const PoolDiagSection *sections, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (strncmp(header->name, sections[i].name, sizeof(header->name)) != 0)
			continue;
		reader->left = header->length;
		reader->failed = false;
		if (header->version == sections[i].version && sections[i].load(reader))
			return;
		break;
	}
	ereport(LOG, (errmsg("the section \"%.*s\" of pooldiag's state file is left out",
						 SECTION_NAME_LEN, header->name),
				  errdetail("It was written by another version of pooldiag.")));
}

/*
 * Reads a file that this server has written, and has each section loaded. If there is none or it is not to be
 * used, says so, and in detail, a sentence, why; nothing is loaded then. Doesn't throw and allocates nothing.
 */
PoolDiagStateVerdict
pooldiag_statefile_read(const char *path, const PoolDiagSection *sections, int count,
						TimestampTz *saved_at, char *detail, Size detail_size)
{
	static PoolDiagStateReader reader;
	PoolDiagStateVerdict verdict;
	FileHeader header = {0};
	off_t next = sizeof(header);

	/* Whatever else there is under its name, a FIFO for one, must not keep the server waiting. */
	reader.fd = BasicOpenFile(path, O_RDONLY | O_NONBLOCK);
	if (reader.fd < 0)
	{
		verdict = errno == ENOENT ? POOLDIAG_STATE_ABSENT : POOLDIAG_STATE_DAMAGED;
		snprintf(detail, detail_size, "It could not be opened: %s.", strerror(errno));
		return verdict;
	}
	verdict = verify(&reader, &header, detail, detail_size);
	*saved_at = header.saved_at;
	for (uint32 i = 0; verdict == POOLDIAG_STATE_READ && i < header.sections; i++)
	{
		SectionHeader section;

		if (lseek(reader.fd, next, SEEK_SET) < 0 || !read_all(reader.fd, &section, sizeof(section)))
			break;
		load_section(&reader, &section, sections, count);
		next += (off_t) (sizeof(section) + section.length);
	}
	close(reader.fd);
	return verdict;
}
