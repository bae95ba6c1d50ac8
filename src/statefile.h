/*
 * statefile.h
 *	  The format of the state file: a header that says whose it is, and sections with checksums.
 */
#ifndef POOLDIAG_STATEFILE_H
#define POOLDIAG_STATEFILE_H

#include "datatype/timestamp.h"

#include "nodefile.h"

typedef struct PoolDiagStateWriter PoolDiagStateWriter;
typedef struct PoolDiagStateReader PoolDiagStateReader;

/*
 * What a part of shared memory is saved as, and found again by. Save puts all of it, from copies that are whole;
 * it may not fail. Load gets it back while the server starts, alone in the server; it may neither fail nor
 * allocate much. It returns false for what it can't use (another build has written it), and then leaves its part
 * as if there had been no file.
 */
typedef struct PoolDiagSection
{
	const char *name; /* up to 15 bytes */
	uint32 version;	  /* raised when what is put changes its meaning */
	void (*save)(PoolDiagStateWriter *writer);
	bool (*load)(PoolDiagStateReader *reader);
} PoolDiagSection;

typedef struct PoolDiagStateWritten
{
	bool done;
	PoolDiagFileTrouble trouble;
	uint64 size;
} PoolDiagStateWritten;

extern void pooldiag_state_put(PoolDiagStateWriter *writer, const void *data, Size size);
extern bool pooldiag_state_get(PoolDiagStateReader *reader, void *data, Size size);

extern PoolDiagStateWritten
pooldiag_statefile_write(const PoolDiagFileKind *kind, const PoolDiagSection *sections, int count);
extern PoolDiagFileVerdict
pooldiag_statefile_read(const PoolDiagFileKind *kind, const PoolDiagSection *sections, int count,
						TimestampTz *saved_at, char *detail, Size detail_size);

#endif /* POOLDIAG_STATEFILE_H */
