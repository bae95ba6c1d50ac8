/*
 * grammar.c
 *	  The grammar that pooldiag.pools and pooldiag.breakers share.
 *
 *		list       = [ definition { "," definition } ]
 *		definition = name "(" [ key "=" value { "," key "=" value } ] ")"
 *
 * One parser serves both settings, over the tokens that scanner.c makes of the text; tables say
 * which keys there are and what each takes. All of it runs in check hooks, the postmaster's
 * included, on whatever bytes somebody typed: it allocates nothing, does not recurse, and is blind
 * to the locale. Each error says what was expected at a token, and what was found there.
 */
#include "grammar.h"

#include <inttypes.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "scanner.h"

#define LENGTH(array) ((int) (sizeof(array) / sizeof((array)[0])))
#define FIELD(type, def, offset) (*(type *) (void *) ((def) + (offset)))

/* Of the last decimal that counts: 0.0009765625d is whole in ms, nothing finer is. */
#define MAX_DIVISOR INT64_C(10000000000)
/* Larger numbers are read as this: no range holds it in any unit, and in days it fits int64. */
#define MAX_WHOLE INT64_C(100000000000)

/* How a number is written. Its value is counted in the finest step that it can have. */
typedef struct Scale
{
	const char *what;
	const char *finest;
	int nunits;
	struct
	{
		const char *suffix;
		int64_t factor;
	} units[5];
} Scale;

/* The numbers that a key takes. */
typedef struct Domain
{
	const Scale *scale;
	int64_t min;
	int64_t max;
	const char *range;
} Domain;

typedef enum KeyKind
{
	KEY_PATTERN,
	KEY_COUNT,
	KEY_TIME,
	KEY_LIMIT, /* of the domain that breakers[] has for this one */
	KEY_MODE
} KeyKind;

typedef struct Key
{
	const char *name;
	KeyKind kind;
	const Domain *domain;
	size_t offset; /* of the field in a definition */
	size_t flag;   /* of a pattern: offset of the bool that says it is stated */
} Key;

/* What tells pools from breakers. A definition begins with its name. */
typedef struct Grammar
{
	const Key *keys;
	int nkeys;
	const void *unstated; /* a definition that states nothing */
	size_t size;		  /* of a definition */
	size_t start;		  /* offsets in it */
	size_t end;
	bool (*read_name)(PoolDiagScanner *s, char *def);
	bool (*check)(PoolDiagScanner *s, const void *def); /* after each value; may be NULL */
} Grammar;

typedef struct Parser
{
	PoolDiagScanner scanner;
	const Grammar *grammar;
	PoolDiagToken name; /* of the current definition */
} Parser;

static const Scale counts = {"a whole number", "a whole number", 1, {{"", 1}}};
static const Scale percentages = {
	"a percentage", "at most 6 decimals", 2, {{"", 1000000}, {"%", 1000000}}};
static const Scale times = {
	"a time with a unit (ms, s, min, h or d)",
	"a time in whole milliseconds",
	5,
	{{"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000}}};

static const Domain from_zero = {&counts, 0, POOLDIAG_MAX_COUNT, "from 0 to 262143"};
static const Domain from_one = {&counts, 1, POOLDIAG_MAX_COUNT, "from 1 to 262143"};
static const Domain to_million = {&counts, 1, 1000000, "from 1 to 1000000"};
static const Domain share = {&percentages, 1, 100000000, "above 0 and up to 100"};
static const Domain pool_share = {&percentages, 1, 1000000000, "above 0 and up to 1000"};
static const Domain any_time = {&times, 1, POOLDIAG_MAX_MS, "from 1ms to 365d"};
static const Domain reset_time = {&times, 1000, 86400000, "from 1s to 1d"};

#define POOL(field) offsetof(PoolDiagPoolDef, field)
static const Key pool_keys[] = {
	{"application_name", KEY_PATTERN, NULL, POOL(application_name), POOL(has_application_name)},
	{"user", KEY_PATTERN, NULL, POOL(user), POOL(has_user)},
	{"database", KEY_PATTERN, NULL, POOL(database), POOL(has_database)},
	{"size", KEY_COUNT, &from_one, POOL(size), 0},
	{"max_overflow", KEY_COUNT, &from_zero, POOL(max_overflow), 0},
	{"instances", KEY_COUNT, &from_one, POOL(instances), 0},
	{"timeout", KEY_TIME, &any_time, POOL(timeout_ms), 0},
	{"recycle", KEY_TIME, &any_time, POOL(recycle_ms), 0},
	{"slow", KEY_TIME, &any_time, POOL(slow_ms), 0},
	{"leak", KEY_TIME, &any_time, POOL(leak_ms), 0},
};
static const PoolDiagPoolDef unstated_pool = {
	.size = POOLDIAG_UNSTATED,
	.max_overflow = POOLDIAG_UNSTATED,
	.instances = POOLDIAG_UNSTATED,
	.timeout_ms = POOLDIAG_UNSTATED,
	.recycle_ms = POOLDIAG_UNSTATED,
	.slow_ms = POOLDIAG_UNSTATED,
	.leak_ms = POOLDIAG_UNSTATED,
};

#define BREAKER(field) offsetof(PoolDiagBreakerDef, field)
static const Key breaker_keys[] = {
	{"limit", KEY_LIMIT, NULL, BREAKER(limit), 0},
	{"failures", KEY_COUNT, &to_million, BREAKER(failures), 0},
	{"reset", KEY_TIME, &reset_time, BREAKER(reset_ms), 0},
	{"mode", KEY_MODE, NULL, BREAKER(mode), 0},
};
static const PoolDiagBreakerDef unstated_breaker = {
	.limit = POOLDIAG_UNSTATED,
	.failures = POOLDIAG_UNSTATED,
	.reset_ms = POOLDIAG_UNSTATED,
	.mode = POOLDIAG_BREAKER_MODE_UNSTATED,
};

/* The breakers that can be named, each with the domain of its limit; pools come last. */
static const Key breakers[] = {
	{"slots", KEY_LIMIT, &share, 0, 0},
	{"refusals", KEY_LIMIT, &to_million, 0, 0},
	{"slow_queries", KEY_LIMIT, &to_million, 0, 0},
	{"leaks", KEY_LIMIT, &to_million, 0, 0},
	{"lock_waits", KEY_LIMIT, &to_million, 0, 0},
	{"errors", KEY_LIMIT, &share, 0, 0},
	{"operations", KEY_LIMIT, &to_million, 0, 0},
	{"pool:NAME", KEY_LIMIT, &pool_share, 0, 0},
};
#define POOL_PREFIX_LEN 5 /* of "pool:" */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
expected_one_of(PoolDiagScanner *s, const char *what, const Key *keys, int nkeys)
{
	char list[160];
	PoolDiagWriter w = {list, (int) sizeof(list), 0};

	for (int i = 0; i < nkeys; i++)
		pooldiag_scanner_put(&w, "%s%s", i > 0 ? ", " : "", keys[i].name);
	return pooldiag_scanner_expected(s, "%s (%s)", what, list);
}

/* Returns the key of that name, or NULL. */
static const Key *
find_key(const Key *keys, int nkeys, const PoolDiagToken *name)
{
	for (const Key *key = keys; key < keys + nkeys; key++)
		if (pooldiag_scanner_word_is(name, key->name))
			return key;
	return NULL;
}

static const Key *
find_breaker(const PoolDiagToken *name)
{
	if (strncmp(name->body, "pool:", POOL_PREFIX_LEN) == 0)
		return &breakers[LENGTH(breakers) - 1];
	return find_key(breakers, LENGTH(breakers) - 1, name);
}

/*
 * Reads the current token as a number of that domain. *value is in the steps of its scale. The
 * digits are cut off where the sums could not overflow: both limits keep within int64 with any
 * unit.
 */
static bool
read_number(PoolDiagScanner *s, const Domain *domain, int64_t *value)
{
	const Scale *scale = domain->scale;
	const char *c = s->token.body;
	const char *end = c + s->token.len;
	bool negative = c < end && *c == '-';
	bool too_fine = false;
	int64_t whole = 0;
	int64_t fraction = 0;
	int64_t divisor = 1;
	int64_t factor;
	int unit = 0;

	c += negative;
	if (c == end || !is_digit(*c))
		return pooldiag_scanner_expected(s, "%s", scale->what);
	for (; c < end && is_digit(*c); c++)
	{
		whole = whole * 10 + (*c - '0');
		whole = whole < MAX_WHOLE ? whole : MAX_WHOLE;
	}
	if (end - c >= 2 && c[0] == '.' && is_digit(c[1]))
		for (c++; c < end && is_digit(*c); c++)
		{
			if (divisor == MAX_DIVISOR)
			{
				too_fine = too_fine || *c != '0';
				continue;
			}
			fraction = fraction * 10 + (*c - '0');
			divisor *= 10;
		}
	while (unit < scale->nunits &&
		   !pooldiag_scanner_word_is(&(PoolDiagToken){.body = c, .len = (int) (end - c)},
									 scale->units[unit].suffix))
		unit++;
	if (unit == scale->nunits)
		return pooldiag_scanner_expected(s, "%s", scale->what);
	factor = scale->units[unit].factor;
	if (too_fine || fraction * factor % divisor != 0 || (factor == 1 && divisor > 1))
		return pooldiag_scanner_expected(s, "%s", scale->finest);
	*value = whole * factor + fraction * factor / divisor;
	if (negative || *value < domain->min || *value > domain->max)
		return pooldiag_scanner_expected(s, "%s %s", scale->what, domain->range);
	return true;
}

/* Reads the current token as the value of that key. */
static bool
read_value(Parser *p, const Key *key, char *def)
{
	PoolDiagScanner *s = &p->scanner;
	const Domain *domain;
	int64_t number = 0;

	switch (key->kind)
	{
		case KEY_PATTERN:
			FIELD(bool, def, key->flag) = true;
			return pooldiag_scanner_read_text(s, "a pattern", def + key->offset, POOLDIAG_NAME_LEN);
		case KEY_COUNT:
			if (!read_number(s, key->domain, &number))
				return false;
			FIELD(int, def, key->offset) = (int) number;
			return true;
		case KEY_TIME:
			if (!read_number(s, key->domain, &number))
				return false;
			FIELD(int64_t, def, key->offset) = number;
			return true;
		case KEY_LIMIT:
			domain = find_breaker(&p->name)->domain;
			if (!read_number(s, domain, &number))
				return false;
			FIELD(double, def, key->offset) =
				(double) number / (double) domain->scale->units->factor;
			return true;
		case KEY_MODE:
			if (pooldiag_scanner_word_is(&s->token, "normal"))
				FIELD(PoolDiagBreakerMode, def, key->offset) = POOLDIAG_BREAKER_MODE_NORMAL;
			else if (pooldiag_scanner_word_is(&s->token, "metrics_only"))
				FIELD(PoolDiagBreakerMode, def, key->offset) = POOLDIAG_BREAKER_MODE_METRICS_ONLY;
			else
				return pooldiag_scanner_expected(s, "normal or metrics_only");
			return true;
	}
	return false;
}

/* Fails if no declared pool can have that name, which the current token holds. */
static bool
check_pool_name(PoolDiagScanner *s, const char *name)
{
	const char *at = strchr(name, '@');

	if (*name == '\0')
		return pooldiag_scanner_expected(s, "a name that is not empty");
	if (strcmp(name, "(other)") == 0)
		return pooldiag_scanner_expected(s, "a name that is not reserved");
	if (at != NULL && strchr(at, '/') != NULL)
		return pooldiag_scanner_expected(
			s, "a name unlike a discovered pool's, which has a / behind an @");
	return true;
}

static bool
read_pool_name(PoolDiagScanner *s, char *def)
{
	return pooldiag_scanner_read_text(s, "a name", def, POOLDIAG_NAME_LEN) &&
		   check_pool_name(s, def);
}

static bool
read_breaker_name(PoolDiagScanner *s, char *def)
{
	const Key *breaker = find_breaker(&s->token);

	if (breaker == NULL)
		return expected_one_of(s, "the name of a breaker", breakers, LENGTH(breakers));
	if (!pooldiag_scanner_read_text(s, "a name", def, POOL_PREFIX_LEN + POOLDIAG_NAME_LEN))
		return false;
	if (strcmp(def, "pool:") == 0)
		return pooldiag_scanner_expected(s,
										 "a pool's name in it, as in pool:web or \"pool:my app\"");
	return breaker->domain != &pool_share || check_pool_name(s, def + POOL_PREFIX_LEN);
}

/* Bounds the capacity that a pool states; what it leaves open, other settings bound. */
static bool
check_capacity(PoolDiagScanner *s, const void *def)
{
	const PoolDiagPoolDef *pool = def;
	int64_t size = pool->size > 0 ? pool->size : 0;
	int64_t overflow = pool->max_overflow > 0 ? pool->max_overflow : 0;
	int64_t instances = pool->instances > 0 ? pool->instances : 1;

	if (instances * (size + overflow) > INT_MAX)
		return pooldiag_scanner_expected(s, "instances * (size + max_overflow) of at most %d",
										 INT_MAX);
	return true;
}

static const Grammar pool_grammar = {
	.keys = pool_keys,
	.nkeys = LENGTH(pool_keys),
	.unstated = &unstated_pool,
	.size = sizeof(PoolDiagPoolDef),
	.start = POOL(start),
	.end = POOL(end),
	.read_name = read_pool_name,
	.check = check_capacity,
};

static const Grammar breaker_grammar = {
	.keys = breaker_keys,
	.nkeys = LENGTH(breaker_keys),
	.unstated = &unstated_breaker,
	.size = sizeof(PoolDiagBreakerDef),
	.start = BREAKER(start),
	.end = BREAKER(end),
	.read_name = read_breaker_name,
};

/* Reads key=value. *seen has a bit for each key that the definition has stated. */
static bool
parse_assignment(Parser *p, char *def, unsigned *seen)
{
	PoolDiagScanner *s = &p->scanner;
	const Grammar *grammar = p->grammar;
	const Key *key = find_key(grammar->keys, grammar->nkeys, &s->token);
	unsigned bit;

	if (key == NULL)
		return expected_one_of(s, "a key", grammar->keys, grammar->nkeys);
	bit = 1U << (key - grammar->keys);
	if (*seen & bit)
		return pooldiag_scanner_expected(s, "a key that this definition has not stated yet");
	*seen |= bit;
	pooldiag_scanner_advance(s);
	if (!pooldiag_scanner_take(s, '='))
		return pooldiag_scanner_expected(s, "\"=\" and a value");
	if (s->token.kind != POOLDIAG_TOKEN_WORD)
		return pooldiag_scanner_expected(s, "a value");
	if (!read_value(p, key, def) || (grammar->check != NULL && !grammar->check(s, def)))
		return false;
	pooldiag_scanner_advance(s);
	return true;
}

/* Reads a definition into defs[n], the ones before it being there. */
static bool
parse_definition(Parser *p, char *defs, int n, int max_defs)
{
	PoolDiagScanner *s = &p->scanner;
	const Grammar *grammar = p->grammar;
	char *def = defs + (size_t) n * grammar->size;
	unsigned seen = 0;

	p->name = s->token;
	if (s->token.kind != POOLDIAG_TOKEN_WORD)
		return pooldiag_scanner_expected(s, "a name");
	if (n >= max_defs)
	{
		s->error->too_many = true;
		return pooldiag_scanner_expected(s, "at most %d definitions", max_defs);
	}
	memcpy(def, grammar->unstated, grammar->size);
	FIELD(int, def, grammar->start) = (int) (s->token.at - s->text);
	if (!grammar->read_name(s, def))
		return false;
	for (const char *other = defs; other < def; other += grammar->size)
		if (strcmp(other, def) == 0)
			return pooldiag_scanner_expected(s, "a name that no definition before it has");
	pooldiag_scanner_advance(s);
	if (!pooldiag_scanner_take(s, '('))
		return pooldiag_scanner_expected(s, "\"(\" behind a name");
	s->open = &p->name;
	if (s->token.kind != ')')
		do
		{
			if (!parse_assignment(p, def, &seen))
				return false;
		} while (pooldiag_scanner_take(s, ','));
	if (s->token.kind != ')')
		return pooldiag_scanner_expected(s, "\",\" or \")\"");
	s->open = NULL;
	FIELD(int, def, grammar->end) = (int) (s->next - s->text);
	pooldiag_scanner_advance(s);
	return true;
}

static int
parse(const Grammar *grammar, const char *text, void *defs, int max_defs, PoolDiagParseError *error)
{
	Parser p = {.grammar = grammar};
	PoolDiagScanner *s = &p.scanner;
	int n = 0;

	pooldiag_scanner_start(s, text, error);
	if (s->token.kind == POOLDIAG_TOKEN_END)
		return 0;
	do
	{
		if (!parse_definition(&p, defs, n, max_defs))
			return -1;
		n++;
	} while (pooldiag_scanner_take(s, ','));
	if (s->token.kind == POOLDIAG_TOKEN_END)
		return n;
	pooldiag_scanner_expected(s, "\",\" or the end of the text");
	return -1;
}

/*
 * Parses the text of pooldiag.pools, shorter than INT_MAX bytes, into defs, which has room for
 * max_defs. Returns how many definitions there are, or -1 with *error filled in; then what defs
 * holds means nothing.
 */
int
pooldiag_grammar_parse_pools(const char *text, PoolDiagPoolDef *defs, int max_defs,
							 PoolDiagParseError *error)
{
	return parse(&pool_grammar, text, defs, max_defs, error);
}

/* The same for the text of pooldiag.breakers. */
int
pooldiag_grammar_parse_breakers(const char *text, PoolDiagBreakerDef *defs, int max_defs,
								PoolDiagParseError *error)
{
	return parse(&breaker_grammar, text, defs, max_defs, error);
}

/* Returns a number, at least 1, that the count of definitions in that text cannot pass. */
int
pooldiag_grammar_count_upper(const char *text)
{
	int count = 1;

	for (; *text != '\0'; text++)
		count += *text == '(';
	return count;
}

/* Puts a time in the largest unit that says it exactly. */
static void
put_time(PoolDiagWriter *w, int64_t ms)
{
	int unit = times.nunits - 1;

	while (ms % times.units[unit].factor != 0)
		unit--;
	pooldiag_scanner_put(w, "%" PRId64 "%s", ms / times.units[unit].factor,
						 times.units[unit].suffix);
}

/*
 * Writes a definition as the parser reads it back, its keys in the struct's order. Every field must
 * be in the range that the parser keeps. Writes at most size bytes, the terminator among them, and
 * returns the length in bytes that all of it has, as snprintf does.
 */
int
pooldiag_grammar_format_pool(const PoolDiagPoolDef *def, char *out, int size)
{
	const char *fields = (const char *) def;
	const char *separator = "";
	PoolDiagWriter w = {out, size, 0};

	pooldiag_scanner_put_word(&w, def->name);
	pooldiag_scanner_put(&w, "(");
	for (const Key *key = pool_keys; key < pool_keys + LENGTH(pool_keys); key++)
	{
		int64_t number; /* of a pattern: 0 if it is stated */

		if (key->kind == KEY_PATTERN)
			number = FIELD(bool, fields, key->flag) ? 0 : POOLDIAG_UNSTATED;
		else if (key->kind == KEY_TIME)
			number = FIELD(int64_t, fields, key->offset);
		else
			number = FIELD(int, fields, key->offset);
		if (number < 0)
			continue;
		pooldiag_scanner_put(&w, "%s%s=", separator, key->name);
		if (key->kind == KEY_PATTERN)
			pooldiag_scanner_put_word(&w, fields + key->offset);
		else if (key->kind == KEY_TIME)
			put_time(&w, number);
		else
			pooldiag_scanner_put(&w, "%" PRId64, number);
		separator = ", ";
	}
	pooldiag_scanner_put(&w, ")");
	return w.len;
}
