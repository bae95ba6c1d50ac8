/*
 * nodefile.h
 *	  Files in the data directory that belong to this node alone: whose they are, and what every one of them needs.
 */
#ifndef POOLDIAG_NODEFILE_H
#define POOLDIAG_NODEFILE_H

#include "port/pg_crc32c.h"

#define POOLDIAG_MAGIC_LEN 8

/*
 * What the header of such a file begins with; a checksum of all the header ends it. No padding, and none of it may
 * change, so that every version can tell what it can't read.
 */
typedef struct PoolDiagNodeIdentity
{
	char magic[POOLDIAG_MAGIC_LEN]; /* what kind of file it is */
	uint32 byte_order;
	uint32 format;
	uint32 major;
	uint32 pointer_size;
	uint64 system_identifier;
	uint64 inode;
	uint64 birth; /* nanoseconds since 1970; 0: not known */
} PoolDiagNodeIdentity;

typedef enum PoolDiagFileVerdict
{
	POOLDIAG_FILE_READ,
	POOLDIAG_FILE_ABSENT,
	POOLDIAG_FILE_DAMAGED,
	POOLDIAG_FILE_FOREIGN
} PoolDiagFileVerdict;

/* What could not be done with a file; zeroed, all could. */
typedef struct PoolDiagFileTrouble
{
	const char *failed_to; /* "write file" */
	int error;			   /* and the errno of that */
} PoolDiagFileTrouble;

/* A kind of file. */
typedef struct PoolDiagFileKind
{
	const char *path;
	char magic[POOLDIAG_MAGIC_LEN + 1];
	uint32 format;
	const char *name; /* "state file" */
	const char *held; /* "history, counters and peaks": what begins anew without it */
} PoolDiagFileKind;

extern pg_crc32c pooldiag_nodefile_checksum(const void *data, Size size);
extern void pooldiag_nodefile_fail(PoolDiagFileTrouble *trouble, const char *what);
extern bool
pooldiag_nodefile_identify(const PoolDiagFileKind *kind, int fd, PoolDiagNodeIdentity *identity);
extern PoolDiagFileVerdict
pooldiag_nodefile_judge(const PoolDiagFileKind *kind, int fd, const PoolDiagNodeIdentity *identity,
						bool checksum_is_right, char *detail, Size detail_size);
extern void pooldiag_nodefile_write(int fd, const void *data, Size size, uint64 offset,
									PoolDiagFileTrouble *trouble);
extern bool pooldiag_nodefile_read(int fd, void *data, Size size);
extern void pooldiag_nodefile_sync_directory(const char *path, PoolDiagFileTrouble *trouble);
extern void pooldiag_nodefile_set_aside(const PoolDiagFileKind *kind, const char *path,
										PoolDiagFileVerdict verdict, const char *detail);

#endif /* POOLDIAG_NODEFILE_H */
