/*
 * pools.c
 *	  The directory of pools: which pool a connection belongs to.
 *
 * Declared pools come from pooldiag.pools and match by glob in the order of the setting. Whatever
 * they don't match is a discovered pool, one for each (user, database, application name). The
 * directory has a fixed number of rows: a discovered pool that has been empty longest makes way for
 * a new one, and what finds no room is the last row's, (other). A row keeps its index for as long as
 * it lives, over reloads too.
 *
 * Pure, and without locks: the sampler owns one directory and publishes copies; a session that asks
 * works on a copy of its own, with the same code, so that both come to the same answer.
 */
#include "pools.h"

#include <stdio.h>
#include <string.h>

#include "glob.h"

static uint64_t
mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
	return hash ^ hash >> 32;
}

/* Eight bytes at a time, the terminator included, so that the parts of a key don't run together. */
static uint64_t
hash_string(uint64_t hash, const char *text)
{
	size_t left = strlen(text) + 1;
	uint64_t word;

	for (; left > sizeof(word); left -= sizeof(word), text += sizeof(word))
	{
		memcpy(&word, text, sizeof(word));
		hash = mix(hash, word);
	}
	word = 0;
	memcpy(&word, text, left);
	return mix(hash, word);
}

static int
chain_of(const PoolDiagPools *pools, const char *user, const char *database,
		 const char *application_name)
{
	uint64_t hash = hash_string(0, user);

	hash = hash_string(hash, database);
	hash = hash_string(hash, application_name);
	return (int) (hash % (uint64_t) pools->capacity);
}

static bool
is_evictable(const PoolDiagPool *row)
{
	/* A connection that this tick has not come to yet is still in the count of the one before. */
	return row->used && !row->declared && row->tally.connections == 0 && row->before == 0 &&
		   row->connected == 0;
}

/* Empties a row, leaving the chain that starts at its index alone. */
static void
clear_row(PoolDiagPool *row)
{
	int chain = row->chain;

	memset(row, 0, sizeof(*row));
	row->chain = chain;
	row->next = POOLDIAG_NO_POOL;
}

static void
release_row(PoolDiagPools *pools, int index)
{
	PoolDiagPool *row = &pools->rows[index];

	if (!row->declared)
	{
		int *link = &pools
						 ->rows[chain_of(pools, row->def.user, row->def.database,
										 row->def.application_name)]
						 .chain;

		while (*link != index)
			link = &pools->rows[*link].next;
		*link = row->next;
	}
	clear_row(row);
	pools->used--;
}

/*
 * Finds a row for a new pool: a free one, else that of the discovered pool that has been empty
 * longest, else, for a declared pool, which always fits, that of the discovered pool with the
 * fewest connections.
 */
static int
take_row(PoolDiagPools *pools, bool declared)
{
	int best = POOLDIAG_NO_POOL;

	if (pools->used < pools->capacity)
	{
		for (int i = 0; i < pools->capacity; i++)
			if (!pools->rows[i].used)
			{
				best = i;
				break;
			}
	}
	else
	{
		for (int i = 0; i < pools->capacity; i++)
			if (is_evictable(&pools->rows[i]) &&
				(best < 0 || pools->rows[i].empty_since < pools->rows[best].empty_since))
				best = i;
		if (best < 0 && declared)
			for (int i = 0; i < pools->capacity; i++)
				if (pools->rows[i].used && !pools->rows[i].declared &&
					(best < 0 ||
					 pools->rows[i].tally.connections < pools->rows[best].tally.connections))
					best = i;
		if (best < 0)
			return POOLDIAG_NO_POOL;
		release_row(pools, best);
		pools->evictions++;
	}
	pools->rows[best].used = true;
	pools->used++;
	return best;
}

/* The bytes of a directory of that many rows, (other) not counted. */
size_t
pooldiag_pools_size(int capacity)
{
	return offsetof(PoolDiagPools, rows) + sizeof(PoolDiagPool) * ((size_t) capacity + 1);
}

/* Makes an empty directory; capacity is at least 1. */
void
pooldiag_pools_init(PoolDiagPools *pools, int capacity)
{
	memset(pools, 0, pooldiag_pools_size(capacity));
	pools->capacity = capacity;
	pools->first_declared = POOLDIAG_NO_POOL;
	for (int i = 0; i <= capacity; i++)
	{
		pools->rows[i].chain = POOLDIAG_NO_POOL;
		pools->rows[i].next = POOLDIAG_NO_POOL;
	}
	pools->rows[capacity].used = true;
}

/*
 * Puts new definitions in force. A pool whose name stays keeps its row; one whose name is gone is
 * released; what they match is found anew, so the generation grows. ndefs must not exceed the
 * capacity.
 */
void
pooldiag_pools_configure(PoolDiagPools *pools, const PoolDiagPoolDef *defs, int ndefs,
						 const PoolDiagPoolDefaults *defaults)
{
	int *link;

	for (int i = 0; i < pools->capacity; i++)
	{
		bool stays = false;

		if (!pools->rows[i].used || !pools->rows[i].declared)
			continue;
		for (int d = 0; d < ndefs && !stays; d++)
			stays = strcmp(defs[d].name, pools->rows[i].def.name) == 0;
		if (!stays)
			release_row(pools, i);
	}

	link = &pools->first_declared;
	for (int d = 0; d < ndefs; d++)
	{
		int index = POOLDIAG_NO_POOL;

		for (int i = 0; i < pools->capacity && index < 0; i++)
			if (pools->rows[i].used && pools->rows[i].declared &&
				strcmp(defs[d].name, pools->rows[i].def.name) == 0)
				index = i;
		if (index < 0)
			index = take_row(pools, true);
		pools->rows[index].declared = true;
		pools->rows[index].def = defs[d];
		*link = index;
		link = &pools->rows[index].next;
	}
	*link = POOLDIAG_NO_POOL;

	pools->declared = ndefs;
	pools->defaults = *defaults;
	for (int i = 0; i <= pools->capacity; i++)
		if (pools->rows[i].used)
			pooldiag_preset_resolve(pools->rows[i].declared ? &pools->rows[i].def : NULL, defaults,
									&pools->rows[i].limits);
	pools->generation++;
}

static bool
matches(const PoolDiagPoolDef *def, const char *user, const char *database,
		const char *application_name)
{
	return (!def->has_application_name ||
			pooldiag_glob_match(def->application_name, application_name)) &&
		   (!def->has_user || pooldiag_glob_match(def->user, user)) &&
		   (!def->has_database || pooldiag_glob_match(def->database, database));
}

/*
 * The index of the pool that has such connections: a declared one, or one discovered before; or POOLDIAG_NO_POOL. It
 * comes to an end in a directory that is overwritten meanwhile, too; then the answer is of no use.
 */
int
pooldiag_pools_find(const PoolDiagPools *pools, const char *user, const char *database,
					const char *application_name)
{
	int capacity = pools->capacity;
	int steps = 0;
	int index;

	for (index = pools->first_declared; index >= 0 && index < capacity && steps < capacity;
		 index = pools->rows[index].next, steps++)
		if (matches(&pools->rows[index].def, user, database, application_name))
			return index;

	index = pools->rows[chain_of(pools, user, database, application_name)].chain;
	for (; index >= 0 && index < capacity && steps <= 2 * capacity;
		 index = pools->rows[index].next, steps++)
	{
		const PoolDiagPoolDef *def = &pools->rows[index].def;

		if (strcmp(def->user, user) == 0 && strcmp(def->database, database) == 0 &&
			strcmp(def->application_name, application_name) == 0)
			return index;
	}
	return POOLDIAG_NO_POOL;
}

/*
 * The index of the pool that such a connection belongs to: the first declared one that matches,
 * else its discovered one, which is made where there is room, else (other). The caller counts the
 * connection in that row's tally before it assigns another, or the row may be taken for an empty
 * one.
 */
int
pooldiag_pools_assign(PoolDiagPools *pools, const char *user, const char *database,
					  const char *application_name)
{
	int index = pooldiag_pools_find(pools, user, database, application_name);
	int chain;
	PoolDiagPool *row;

	if (index >= 0)
		return index;
	index = take_row(pools, false);
	if (index < 0)
	{
		pools->overflows++;
		return pools->capacity;
	}
	row = &pools->rows[index];
	snprintf(row->def.user, sizeof(row->def.user), "%s", user);
	snprintf(row->def.database, sizeof(row->def.database), "%s", database);
	snprintf(row->def.application_name, sizeof(row->def.application_name), "%s", application_name);
	pooldiag_preset_resolve(NULL, &pools->defaults, &row->limits);
	chain = chain_of(pools, user, database, application_name);
	row->next = pools->rows[chain].chain;
	pools->rows[chain].chain = index;
	return index;
}

/*
 * Takes a row over from another directory, without what it has counted: its definition, its peaks, since when it is
 * empty. It keeps its index where that is free; false where there is no room. One that was declared is looked at
 * again when definitions are put in force, and must have been taken over before that. (other) has index -1.
 */
bool
pooldiag_pools_adopt(PoolDiagPools *pools, int index, const PoolDiagPool *from)
{
	PoolDiagPool *row;

	if (index < 0)
		index = pools->capacity;
	else
	{
		if (pools->used >= pools->capacity)
			return false;
		if (index >= pools->capacity || pools->rows[index].used)
			for (index = 0; pools->rows[index].used; index++)
				;
		pools->used++;
	}
	row = &pools->rows[index];
	row->used = true;
	row->connections_peak = from->connections_peak;
	row->checked_out_peak = from->checked_out_peak;
	row->empty_since = from->empty_since;
	if (index == pools->capacity)
		return true;
	row->declared = from->declared;
	row->def = from->def;
	row->def.name[POOLDIAG_NAME_LEN - 1] = '\0';
	row->def.application_name[POOLDIAG_NAME_LEN - 1] = '\0';
	row->def.user[POOLDIAG_NAME_LEN - 1] = '\0';
	row->def.database[POOLDIAG_NAME_LEN - 1] = '\0';
	row->limits = from->limits;
	if (!row->declared)
	{
		int chain = chain_of(pools, row->def.user, row->def.database, row->def.application_name);

		row->next = pools->rows[chain].chain;
		pools->rows[chain].chain = index;
	}
	return true;
}

/* Would a new discovered pool find a row of its own? */
bool
pooldiag_pools_has_room(const PoolDiagPools *pools)
{
	if (pools->used < pools->capacity)
		return true;
	for (int i = 0; i < pools->capacity; i++)
		if (is_evictable(&pools->rows[i]))
			return true;
	return false;
}

static char *
append_part(char *to, const char *part)
{
	bool quoted = part[0] == '\0' || strpbrk(part, "@/\"") != NULL;

	if (quoted)
		*to++ = '"';
	for (; *part != '\0'; part++)
	{
		if (*part == '"')
			*to++ = '"';
		*to++ = *part;
	}
	if (quoted)
		*to++ = '"';
	return to;
}

/*
 * Writes the name of a discovered pool, of POOLDIAG_POOL_NAME_LEN bytes at the most, and returns its length. Its
 * bytes are the user's and the database's, in whatever encoding these were created.
 */
int
pooldiag_pools_format(const char *user, const char *database, const char *application_name,
					  char *name)
{
	char *to = append_part(name, user);

	*to++ = '@';
	to = append_part(to, database);
	*to++ = '/';
	to = append_part(to, application_name);
	*to = '\0';
	return (int) (to - name);
}

/* Writes the pool's name, of POOLDIAG_POOL_NAME_LEN bytes at the most, and returns its length. */
int
pooldiag_pools_name(const PoolDiagPools *pools, int index, char *name)
{
	const PoolDiagPool *row = &pools->rows[index];

	if (index == pools->capacity)
		return snprintf(name, POOLDIAG_POOL_NAME_LEN, "(other)");
	if (row->declared)
		return snprintf(name, POOLDIAG_POOL_NAME_LEN, "%s", row->def.name);
	return pooldiag_pools_format(row->def.user, row->def.database, row->def.application_name, name);
}
