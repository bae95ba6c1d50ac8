/*
 * peaks.c
 *	  The most connections that databases, and roles, have had at once.
 *
 * Pure, and without locks: a table belongs to the process that fills it.
 */
#include "peaks.h"

#include <string.h>

/*
 * The row that keeps the peak of a database or role. A full table gives up the row that has no
 * connections and the lowest peak; with 256 of them connected at once there is none to give, and
 * the result is -1.
 */
int
pooldiag_peaks_row(PoolDiagPeakTable *table, uint32_t oid)
{
	int best = -1;

	for (int i = 0; i < table->used; i++)
		if (table->rows[i].oid == oid)
			return i;
	if (table->used < POOLDIAG_PEAK_ROWS)
		best = table->used++;
	else
	{
		for (int i = 0; i < table->used; i++)
			if (table->rows[i].connections == 0 && table->rows[i].before == 0 &&
				table->rows[i].connected == 0 &&
				(best < 0 || table->rows[i].peak.value < table->rows[best].peak.value))
				best = i;
		if (best < 0)
			return -1;
		table->evictions++;
	}
	memset(&table->rows[best], 0, sizeof(PoolDiagPeakRow));
	table->rows[best].oid = oid;
	return best;
}

/* The peak of a database or role, or NULL where none is kept. */
const PoolDiagPeak *
pooldiag_peaks_find(const PoolDiagPeakTable *table, uint32_t oid)
{
	for (int i = 0; i < table->used; i++)
		if (table->rows[i].oid == oid)
			return &table->rows[i].peak;
	return NULL;
}

/* A tick begins: nobody is counted in it yet. */
void
pooldiag_peaks_clear(PoolDiagPeakTable *table)
{
	for (int i = 0; i < table->used; i++)
	{
		table->rows[i].before = table->rows[i].connections;
		table->rows[i].connections = 0;
	}
}

/* Raises all peaks to what this tick has counted. */
void
pooldiag_peaks_raise(PoolDiagPeakTable *table, int64_t now)
{
	for (int i = 0; i < table->used; i++)
		pooldiag_peak_raise(&table->rows[i].peak, table->rows[i].connections, now);
}
