/*
 * journal.c
 *	  The journal: what breakers have done, record by record, on disk.
 *
 * A file that is only ever added to, pg_stat/pooldiag.journal. It begins with a header that says whose it is
 * (nodefile.c). Each record has a header of its own, with a checksum of itself and one of what follows, and begins at a
 * multiple of eight bytes. When a record would make the file longer than it may be, the file is given the name
 * pooldiag.journal.old, in place of the one before, and a new one is begun: so there are two of them at the most. It is
 * made under a name of its own, and has that of a journal when its header is whole.
 *
 * The postmaster reads them while it makes shared memory. Where something is not a record, the next one is looked for
 * from there on: damage costs what it has hit. What is left behind the last record is one that was being written when
 * the server went down, and is cut off.
 *
 * The keeper alone writes. Where a file ends is handed in, as a write that has failed in the middle leaves bytes behind
 * that are not to count; nor do those that a sync has failed for, which the system takes for written all the same.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pgstat.h"
#include "storage/fd.h"

#include "journal.h"

#define OLD_FILE PGSTAT_STAT_PERMANENT_DIRECTORY "/pooldiag.journal.old"
#define NEW_FILE PGSTAT_STAT_PERMANENT_DIRECTORY "/pooldiag.journal.new"
/* Of a file, beside the records that it is to have room for. */
#define SLACK 4096
#define RECORD_MAGIC 0x44524c50
#define RECORD_ALIGNMENT 8

/* What is longer has not been written by pooldiag. */
#define LONGEST_FILE (UINT64CONST(256) * 1024 * 1024)

static const PoolDiagFileKind journal = {
	.path = PGSTAT_STAT_PERMANENT_DIRECTORY "/pooldiag.journal",
	.magic = "pdiagjnl",
	.format = 1,
	.name = "journal",
	.held = "alerts",
};

/* No padding in these, and none of it may change while the format stays. */
typedef struct FileHeader
{
	PoolDiagNodeIdentity identity;
	uint32 unused;
	pg_crc32c checksum; /* of all before it */
} FileHeader;

typedef struct RecordHeader
{
	uint32 magic;
	uint32 kind;
	uint32 length; /* of what follows, without what fills it up to RECORD_ALIGNMENT */
	pg_crc32c content;
	uint32 unused;
	pg_crc32c checksum; /* of all before it */
} RecordHeader;

/* Is it on the disk that the file has its name? Not known of one that somebody else has begun. */
static bool directory_is_synced = false;

static uint64
record_size(uint32 length)
{
	return sizeof(RecordHeader) + TYPEALIGN(RECORD_ALIGNMENT, (uint64) length);
}

/* Is there a record, in so many bytes? */
static bool
is_record(const char *at, uint64 left, RecordHeader *header)
{
	if (left < sizeof(*header))
		return false;
	memcpy(header, at, sizeof(*header));
	return header->magic == RECORD_MAGIC &&
		   header->checksum ==
			   pooldiag_nodefile_checksum(header, offsetof(RecordHeader, checksum)) &&
		   record_size(header->length) <= left &&
		   header->content == pooldiag_nodefile_checksum(at + sizeof(*header), header->length);
}

/* What came of a file's bytes. */
typedef struct Scan
{
	uint64 end;		/* of the last record */
	uint64 damaged; /* bytes before it that are no record */
	int unusable;	/* records of another build */
} Scan;

static Scan
scan(const char *bytes, uint64 size, PoolDiagRecordTaker take)
{
	Scan result = {sizeof(FileHeader), 0, 0};
	uint64 at = sizeof(FileHeader);

	while (at < size)
	{
		RecordHeader header;

		if (!is_record(bytes + at, size - at, &header))
		{
			at += RECORD_ALIGNMENT;
			continue;
		}
		result.damaged += at - result.end;
		if (!take((PoolDiagRecordKind) header.kind, bytes + at + sizeof(header), header.length))
			result.unusable++;
		at += record_size(header.length);
		result.end = at;
	}
	return result;
}

static void
report(const char *path, const Scan *found, uint64 size)
{
	if (found->damaged > 0)
		ereport(WARNING, (errmsg("pooldiag's journal \"%s\" is damaged", path),
						  errdetail(UINT64_FORMAT " bytes between its records are not readable.",
									found->damaged),
						  errhint("The alerts in them are lost, and all others were read.")));
	if (found->unusable > 0)
		ereport(LOG, (errmsg("%d records of pooldiag's journal \"%s\" are left out",
							 found->unusable, path),
					  errdetail("They were written by another version of pooldiag.")));
	if (found->end < size)
		ereport(WARNING,
				(errmsg("the end of pooldiag's journal \"%s\" is torn and was cut off", path),
				 errdetail(UINT64_FORMAT " bytes behind its last record are no whole one.",
						   size - found->end)));
}

/* Reads an open file of that size. Returns where its last record ends; 0: it can't be used, and detail says why. */
static uint64
read_file(const char *path, int fd, uint64 size, PoolDiagRecordTaker take,
		  PoolDiagFileVerdict *verdict, char *detail, Size detail_size)
{
	FileHeader header;
	Scan found;
	char *bytes;

	*verdict = POOLDIAG_FILE_DAMAGED;
	bytes = malloc(size);
	if (bytes == NULL || !pooldiag_nodefile_read(fd, bytes, size))
	{
		snprintf(detail, detail_size, "It could not be read.");
		free(bytes);
		return 0;
	}
	memcpy(&header, bytes, sizeof(header));
	*verdict = pooldiag_nodefile_judge(
		&journal, fd, &header.identity,
		header.checksum == pooldiag_nodefile_checksum(&header, offsetof(FileHeader, checksum)),
		detail, detail_size);
	if (*verdict != POOLDIAG_FILE_READ)
	{
		free(bytes);
		return 0;
	}
	found = scan(bytes, size, take);
	free(bytes);
	report(path, &found, size);
	return found.end;
}

/* Loads one of the files; returns where it ends, 0: there is none that can be used. */
static uint64
load_one(const char *path, PoolDiagRecordTaker take)
{
	PoolDiagFileVerdict verdict = POOLDIAG_FILE_DAMAGED;
	char detail[256] = "";
	struct stat st;
	uint64 end = 0;
	/* Whatever else there is under its name, a FIFO for one, must not keep the server waiting. */
	int fd = BasicOpenFile(path, O_RDWR | O_NONBLOCK | PG_BINARY);

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		snprintf(detail, sizeof(detail), "It could not be opened: %s.", strerror(errno));
	else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		snprintf(detail, sizeof(detail), "It is not a regular file.");
	else if ((uint64) st.st_size < sizeof(FileHeader) || (uint64) st.st_size > LONGEST_FILE)
		snprintf(detail, sizeof(detail), "Its length is that of no journal.");
	else
		end = read_file(path, fd, (uint64) st.st_size, take, &verdict, detail, sizeof(detail));
	if (end > 0 && end < (uint64) st.st_size && ftruncate(fd, (off_t) end) != 0)
		ereport(WARNING, (errmsg("could not truncate file \"%s\": %m", path)));
	if (fd >= 0)
		close(fd);
	if (end == 0)
		pooldiag_nodefile_set_aside(&journal, path, verdict, detail);
	return end;
}

/*
 * Hands out all records that there are, in their order, and returns where the newer file ends, 0: there is none. Only
 * the postmaster calls it, before anybody writes.
 */
uint64
pooldiag_journal_load(PoolDiagRecordTaker take)
{
	StaticAssertStmt(sizeof(FileHeader) == 56 && sizeof(RecordHeader) == 24,
					 "headers have no padding");
	(void) load_one(OLD_FILE, take);
	return load_one(journal.path, take);
}

/* Makes last what was added. */
void
pooldiag_journal_sync(PoolDiagFileTrouble *trouble)
{
	int fd;

	errno = 0;
	fd = BasicOpenFile(journal.path, O_WRONLY | PG_BINARY);
	if (fd < 0)
	{
		pooldiag_nodefile_fail(trouble, "open file");
		return;
	}
	errno = 0;
	if (pg_fsync(fd) != 0)
		pooldiag_nodefile_fail(trouble, "fsync file");
	close(fd);
	if (trouble->failed_to == NULL && !directory_is_synced)
		pooldiag_nodefile_sync_directory(journal.path, trouble);
	directory_is_synced = trouble->failed_to == NULL;
}

static void
write_header(PoolDiagFileTrouble *trouble)
{
	FileHeader header;
	int fd;

	errno = 0;
	fd = BasicOpenFile(NEW_FILE, O_CREAT | O_TRUNC | O_WRONLY | PG_BINARY);
	if (fd < 0)
	{
		pooldiag_nodefile_fail(trouble, "create file");
		return;
	}
	memset(&header, 0, sizeof(header));
	errno = 0;
	if (!pooldiag_nodefile_identify(&journal, fd, &header.identity))
		pooldiag_nodefile_fail(trouble, "stat file");
	header.checksum = pooldiag_nodefile_checksum(&header, offsetof(FileHeader, checksum));
	pooldiag_nodefile_write(fd, &header, sizeof(header), 0, trouble);
	close(fd);
}

/* Begins a file; what is there under its name becomes the old one. */
static void
begin_file(uint64 *end, PoolDiagFileTrouble *trouble)
{
	/* What was added to the one that is closed now, too. */
	if (*end > 0)
		pooldiag_journal_sync(trouble);
	if (trouble->failed_to == NULL)
		write_header(trouble);
	errno = 0;
	if (trouble->failed_to == NULL && rename(journal.path, OLD_FILE) != 0 && errno != ENOENT)
		pooldiag_nodefile_fail(trouble, "rename file");
	errno = 0;
	if (trouble->failed_to == NULL && rename(NEW_FILE, journal.path) != 0)
	{
		pooldiag_nodefile_fail(trouble, "rename file");
		*end = 0;
	}
	if (trouble->failed_to != NULL)
	{
		(void) unlink(NEW_FILE);
		return;
	}
	directory_is_synced = false;
	*end = sizeof(FileHeader);
}

/* How long a file may be that is to hold so many records of that length. */
uint64
pooldiag_journal_room(uint32 count, uint32 length)
{
	return sizeof(FileHeader) + SLACK + count * record_size(length);
}

/*
 * Begins a new file if there is none yet, *end being 0, or if a record of that length would make it longer than room. True
 * if it has: then all that was written before is on the disk, and *end where the new one ends.
 */
bool
pooldiag_journal_make_room(uint32 length, uint64 *end, uint64 room, PoolDiagFileTrouble *trouble)
{
	if (*end > 0 && *end + record_size(length) <= room)
		return false;
	begin_file(end, trouble);
	return trouble->failed_to == NULL;
}

/* Adds a record where the file ends, and moves *end. It may wait for the disk for as long as that takes. */
void
pooldiag_journal_append(PoolDiagRecordKind kind, const void *data, uint32 length, uint64 *end,
						PoolDiagFileTrouble *trouble)
{
	static const char fill[RECORD_ALIGNMENT];
	uint64 size = record_size(length);
	RecordHeader header;
	uint64 at;
	int fd;

	if (trouble->failed_to != NULL)
		return;
	errno = 0;
	fd = BasicOpenFile(journal.path, O_WRONLY | PG_BINARY);
	if (fd < 0)
	{
		pooldiag_nodefile_fail(trouble, "open file");
		/* Somebody has taken it away. */
		if (trouble->error == ENOENT)
			*end = 0;
		return;
	}
	memset(&header, 0, sizeof(header));
	header.magic = RECORD_MAGIC;
	header.kind = kind;
	header.length = length;
	header.content = pooldiag_nodefile_checksum(data, length);
	header.checksum = pooldiag_nodefile_checksum(&header, offsetof(RecordHeader, checksum));
	at = *end;
	pooldiag_nodefile_write(fd, &header, sizeof(header), at, trouble);
	at += sizeof(header);
	pooldiag_nodefile_write(fd, data, length, at, trouble);
	at += length;
	pooldiag_nodefile_write(fd, fill, (Size) (*end + size - at), at, trouble);
	if (trouble->failed_to == NULL)
		*end += size;
	else
		/* It may be what fills the disk. */
		(void) !ftruncate(fd, (off_t) *end);
	close(fd);
}
