/*
 * statefile.c
 *	  The format of the state file.
 *
 * A header, then for each section its own header and what it holds. Each header, and what each section holds, has
 * a checksum; the file's length is in its header. So whatever byte has changed, is missing or was added, is
 * noticed before anything is read from it. The header comes last to the disk, and the file gets its name when it is
 * whole and has been synced, so that a crash leaves the old one or the new one.
 *
 * Whose a file is, is nodefile.c's.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/fd.h"
#include "utils/timestamp.h"

#include "statefile.h"

#define BUFFER_SIZE 65536
#define SECTION_NAME_LEN 16

/* No padding in these, and none of it may change while the format stays. */
typedef struct FileHeader
{
	PoolDiagNodeIdentity identity;
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

static void
write_at(PoolDiagStateWriter *writer, const void *data, Size size, uint64 offset)
{
	pooldiag_nodefile_write(writer->fd, data, size, offset, &writer->result.trouble);
}

static void
fail(PoolDiagStateWriter *writer, const char *what)
{
	pooldiag_nodefile_fail(&writer->result.trouble, what);
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
	header.checksum = pooldiag_nodefile_checksum(&header, offsetof(SectionHeader, checksum));
	write_at(writer, &header, sizeof(header), start);
}

static void
write_file_header(PoolDiagStateWriter *writer, const PoolDiagFileKind *kind, int sections)
{
	FileHeader header;

	StaticAssertStmt(sizeof(FileHeader) == 72 && sizeof(SectionHeader) == 40,
					 "headers have no padding");
	memset(&header, 0, sizeof(header));
	errno = 0;
	if (!pooldiag_nodefile_identify(kind, writer->fd, &header.identity))
		fail(writer, "stat file");
	header.saved_at = GetCurrentTimestamp();
	header.length = writer->length;
	header.sections = sections;
	header.checksum = pooldiag_nodefile_checksum(&header, offsetof(FileHeader, checksum));
	write_at(writer, &header, sizeof(header), 0);
}

static void
write_temporary(PoolDiagStateWriter *writer, const PoolDiagFileKind *kind, const char *path,
				const PoolDiagSection *sections, int count)
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
	write_file_header(writer, kind, count);
	errno = 0;
	if (writer->result.trouble.failed_to == NULL && pg_fsync(writer->fd) != 0)
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
pooldiag_statefile_write(const PoolDiagFileKind *kind, const PoolDiagSection *sections, int count)
{
	PoolDiagStateWriter *writer = palloc0(sizeof(PoolDiagStateWriter));
	char *temporary = psprintf("%s.tmp", kind->path);
	PoolDiagStateWritten result;

	write_temporary(writer, kind, temporary, sections, count);
	errno = 0;
	if (writer->result.trouble.failed_to == NULL && rename(temporary, kind->path) != 0)
		fail(writer, "rename file");
	if (writer->result.trouble.failed_to == NULL)
		pooldiag_nodefile_sync_directory(kind->path, &writer->result.trouble);
	else
		(void) unlink(temporary); /* It may be what fills the disk. */
	result = writer->result;
	result.done = result.trouble.failed_to == NULL;
	result.size = writer->length;
	pfree(temporary);
	pfree(writer);
	return result;
}

/* Gets what was put next into the section that is being loaded; false where that is not as much. */
bool
pooldiag_state_get(PoolDiagStateReader *reader, void *data, Size size)
{
	if (reader->failed || size > reader->left || !pooldiag_nodefile_read(reader->fd, data, size))
	{
		reader->failed = true;
		return false;
	}
	reader->left -= size;
	return true;
}

/* Is the section at the file's position, of which so much of the file is left, as it was written? */
static bool
verify_section(PoolDiagStateReader *reader, uint64 left, SectionHeader *header)
{
	pg_crc32c content;
	uint64 unread;

	if (left < sizeof(*header) || !pooldiag_nodefile_read(reader->fd, header, sizeof(*header)) ||
		header->checksum != pooldiag_nodefile_checksum(header, offsetof(SectionHeader, checksum)) ||
		header->length > left - sizeof(*header))
		return false;
	INIT_CRC32C(content);
	for (unread = header->length; unread > 0;)
	{
		Size part = (Size) Min(unread, BUFFER_SIZE);

		if (!pooldiag_nodefile_read(reader->fd, reader->buffer, part))
			return false;
		COMP_CRC32C(content, reader->buffer, part);
		unread -= part;
	}
	FIN_CRC32C(content);
	return content == header->content;
}

static PoolDiagFileVerdict
verify(PoolDiagStateReader *reader, const PoolDiagFileKind *kind, FileHeader *header, char *detail,
	   Size detail_size)
{
	PoolDiagFileVerdict verdict;
	SectionHeader section;
	struct stat st;
	uint64 left;

	if (fstat(reader->fd, &st) != 0 || !S_ISREG(st.st_mode))
	{
		snprintf(detail, detail_size, "It is not a regular file.");
		return POOLDIAG_FILE_DAMAGED;
	}
	if (!pooldiag_nodefile_read(reader->fd, header, sizeof(*header)))
	{
		snprintf(detail, detail_size, "It is too short to have a header, or can't be read.");
		return POOLDIAG_FILE_DAMAGED;
	}
	verdict = pooldiag_nodefile_judge(
		kind, reader->fd, &header->identity,
		header->checksum == pooldiag_nodefile_checksum(header, offsetof(FileHeader, checksum)),
		detail, detail_size);
	if (verdict != POOLDIAG_FILE_READ)
		return verdict;
	if (header->length != (uint64) st.st_size)
	{
		snprintf(detail, detail_size,
				 "It is " UINT64_FORMAT " bytes long, and was " UINT64_FORMAT
				 " when it was written.",
				 (uint64) st.st_size, header->length);
		return POOLDIAG_FILE_DAMAGED;
	}
	left = header->length - sizeof(*header);
	for (uint32 i = 0; i < header->sections; i++)
	{
		if (!verify_section(reader, left, &section))
		{
			snprintf(detail, detail_size, "The checksum of its section %u is wrong.", i + 1);
			return POOLDIAG_FILE_DAMAGED;
		}
		left -= sizeof(section) + section.length;
	}
	if (left != 0)
	{
		snprintf(detail, detail_size, "There is something behind its last section.");
		return POOLDIAG_FILE_DAMAGED;
	}
	return POOLDIAG_FILE_READ;
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
PoolDiagFileVerdict
pooldiag_statefile_read(const PoolDiagFileKind *kind, const PoolDiagSection *sections, int count,
						TimestampTz *saved_at, char *detail, Size detail_size)
{
	static PoolDiagStateReader reader;
	PoolDiagFileVerdict verdict;
	FileHeader header = {0};
	off_t next = sizeof(header);

	/* Whatever else there is under its name, a FIFO for one, must not keep the server waiting. */
	reader.fd = BasicOpenFile(kind->path, O_RDONLY | O_NONBLOCK);
	if (reader.fd < 0)
	{
		verdict = errno == ENOENT ? POOLDIAG_FILE_ABSENT : POOLDIAG_FILE_DAMAGED;
		snprintf(detail, detail_size, "It could not be opened: %s.", strerror(errno));
		return verdict;
	}
	verdict = verify(&reader, kind, &header, detail, detail_size);
	*saved_at = header.saved_at;
	for (uint32 i = 0; verdict == POOLDIAG_FILE_READ && i < header.sections; i++)
	{
		SectionHeader section;

		if (lseek(reader.fd, next, SEEK_SET) < 0 ||
			!pooldiag_nodefile_read(reader.fd, &section, sizeof(section)))
			break;
		load_section(&reader, &section, sections, count);
		next += (off_t) (sizeof(section) + section.length);
	}
	close(reader.fd);
	return verdict;
}
