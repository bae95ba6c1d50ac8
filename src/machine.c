/*
 * machine.c
 *	  What the server runs on: its processors and its memory.
 *
 * What is asked here doesn't change while a machine runs, or seldom, and is no file on a disk.
 */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Where a container's limit stands, of version 2 and 1 of control groups; a machine's own has none. */
static const char *const limits[] = {"/sys/fs/cgroup/memory.max",
									 "/sys/fs/cgroup/memory/memory.limit_in_bytes"};

/* How many processors are switched on; one, where nobody knows. */
int
pooldiag_machine_cores(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores < 1 ? 1 : (int) cores;
}

/* Bytes of memory that the server may have: the machine's, or its container's; 0: not known. */
int64_t
pooldiag_machine_memory(void)
{
	int64_t pages = sysconf(_SC_PHYS_PAGES);
	int64_t memory = pages > 0 ? pages * sysconf(_SC_PAGESIZE) : 0;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
	{
		FILE *file = fopen(limits[i], "r");
		char line[32];
		long long limit;

		if (file == NULL)
			continue;
		/* "max" is no number, and reads as zero. */
		limit = fgets(line, sizeof(line), file) != NULL ? strtoll(line, NULL, 10) : 0;
		if (limit > 0 && (memory == 0 || limit < memory))
			memory = limit;
		(void) fclose(file);
	}
	return memory;
}
