/*
 * fuzz_json.c
 *	  Bytes from strangers as names and values in documents, in several encodings: what is written is read back by a parser
 *	  of its own, and is what text.c promises.
 *
 * link: json.c text.c
 *
 * The first byte says of which encoding the database is, or that there is none, as in the worker that serves HTTP. The rest
 * is steps, each a byte that says which and then what it takes; texts end with a zero byte. They write one document.
 *
 * Encodings, string buffers and psprintf are the server's own, of libpgcommon. What only a backend has is stood in for here:
 * - memory is freed at the end of a run, as by the reset of a context;
 * - escape_json follows core's: the two-letter escapes of JSON, four hexadecimal digits for other control characters;
 * - conversions are between UTF-8 and LATIN1, and one from EUC_JP to characters that are made up. As core's do, they stop at
 *   what can't be converted and say how far they have come;
 * - it is always the same instant.
 */
#include "postgres.h"

#include <assert.h>
#include <math.h>

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "json.h"
#include "text.h"

#define MAX_EVENTS 8192
#define MAX_DEPTH 32
#define INSTANT "2026-03-01T12:00:00Z"
#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where a text may live. Without a database the encoding is SQL_ASCII, and documents are in UTF-8. */
static const struct
{
	bool database;
	int encoding;
} places[] = {
	{false, PG_SQL_ASCII}, {true, PG_UTF8},		 {true, PG_EUC_JP},
	{true, PG_LATIN1},	   {true, PG_SQL_ASCII}, {true, PG_EUC_KR},
	{true, PG_EUC_TW},	   {true, PG_EUC_CN},	 {true, PG_WIN1252},
};

/* Of what encoding a text from another database may be. */
static const int sources[] = {PG_UTF8, PG_LATIN1, PG_EUC_JP, PG_SQL_ASCII, PG_EUC_KR};

/* ---------------------------------------------------------------- what only a backend has -------- */

Oid MyDatabaseId;
static int database_encoding;

/* Each piece of memory has a head that says which was made before it. */
typedef struct Piece
{
	struct Piece *before;
	struct Piece *after;
} Piece;

static Piece pieces = {&pieces, &pieces};

void *
palloc(Size size)
{
	Piece *piece = malloc(sizeof(Piece) + size);

	assert(piece != NULL);
	piece->before = pieces.before;
	piece->after = &pieces;
	piece->before->after = pieces.before = piece;
	return piece + 1;
}

void
pfree(void *pointer)
{
	Piece *piece = (Piece *) pointer - 1;

	piece->before->after = piece->after;
	piece->after->before = piece->before;
	free(piece);
}

void *
repalloc(void *pointer, Size size)
{
	Piece *piece = realloc((Piece *) pointer - 1, sizeof(Piece) + size);

	assert(piece != NULL);
	piece->before->after = piece->after->before = piece;
	return piece + 1;
}

char *
pnstrdup(const char *in, Size len)
{
	char *copy;

	len = strnlen(in, len);
	copy = palloc(len + 1);
	memcpy(copy, in, len);
	copy[len] = '\0';
	return copy;
}

int
GetDatabaseEncoding(void)
{
	return database_encoding;
}

int
pg_get_client_encoding(void)
{
	return database_encoding;
}

bool
pg_verify_mbstr(int encoding, const char *mbstr, int len, bool noError)
{
	assert(noError);
	return pg_encoding_verifymbstr(encoding, mbstr, len) == len;
}

void
escape_json(StringInfo buf, const char *str)
{
	static const char escaped[] = "\b\f\n\r\t\"\\";
	static const char letters[] = "bfnrt\"\\";

	appendStringInfoChar(buf, '"');
	for (; *str != '\0'; str++)
	{
		const char *at = strchr(escaped, *str);

		if (at != NULL)
			appendStringInfo(buf, "\\%c", letters[at - escaped]);
		else if ((unsigned char) *str < ' ')
			appendStringInfo(buf, "\\u%04x", (int) *str);
		else
			appendStringInfoChar(buf, *str);
	}
	appendStringInfoChar(buf, '"');
}

pg_time_t
timestamptz_to_time_t(TimestampTz at)
{
	return at / USECS_PER_SEC;
}

struct pg_tm *
pg_gmtime(const pg_time_t *timep)
{
	static struct pg_tm tm;

	(void) timep;
	return &tm;
}

size_t
pg_strftime(char *s, size_t max, const char *format, const struct pg_tm *t)
{
	(void) format;
	(void) t;
	assert(max >= sizeof(INSTANT));
	memcpy(s, INSTANT, sizeof(INSTANT));
	return strlen(s);
}

/* The bytes of a character that text begins with, or -1. UTF-8 by RFC 3629; others by the server's own tables. */
static int
character_of(int encoding, const char *text, int length)
{
	const unsigned char *byte = (const unsigned char *) text;
	int wanted;

	if (encoding != PG_UTF8)
		return pg_encoding_verifymbchar(encoding, text, length);
	if (byte[0] < 0x80)
		return byte[0] == 0 ? -1 : 1;
	wanted = byte[0] < 0xc2 ? 0 : byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : byte[0] < 0xf5 ? 4 : 0;
	if (wanted == 0 || wanted > length)
		return -1;
	for (int i = 1; i < wanted; i++)
		if ((byte[i] & 0xc0) != 0x80)
			return -1;
	/* None is longer than it has to be, half of a pair, or behind the last one. */
	if ((byte[0] == 0xe0 && byte[1] < 0xa0) || (byte[0] == 0xed && byte[1] > 0x9f) ||
		(byte[0] == 0xf0 && byte[1] < 0x90) || (byte[0] == 0xf4 && byte[1] > 0x8f))
		return -1;
	return wanted;
}

Oid
FindDefaultConversionProc(int32 for_encoding, int32 to_encoding)
{
	bool exists =
		(to_encoding == PG_UTF8 && (for_encoding == PG_LATIN1 || for_encoding == PG_EUC_JP)) ||
		(to_encoding == PG_LATIN1 && for_encoding == PG_UTF8);

	assert(OidIsValid(MyDatabaseId));
	return exists ? (Oid) 1 : InvalidOid;
}

/* Converts one character; the bytes that it has then, or 0 if there is none like it. */
static int
convert_character(int from, int to, const char *text, int length, unsigned char *out)
{
	const unsigned char *byte = (const unsigned char *) text;
	pg_wchar code = byte[0];

	if (from == PG_UTF8)
	{
		/* To LATIN1, which has the first 256. */
		if (length == 2 && byte[0] <= 0xc3)
			code = (pg_wchar) (byte[0] & 0x03) << 6 | (byte[1] & 0x3f);
		else if (length > 1)
			return 0;
		out[0] = (unsigned char) code;
		return 1;
	}
	if (from == PG_EUC_JP && length == 2)
		code = 0x4e00 + (byte[0] & 0x7f) * 94 + (byte[1] & 0x7f);
	else if (from == PG_EUC_JP && length == 3)
	{
		/* Half of them have none. */
		if (byte[2] & 1)
			return 0;
		code = 0x20000 + (byte[1] & 0x7f) * 94 + (byte[2] & 0x7f);
	}
	unicode_to_utf8(code, out);
	return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

int
pg_do_encoding_conversion_buf(Oid proc, int src_encoding, int dest_encoding, unsigned char *src,
							  int srclen, unsigned char *dst, int dstlen, bool noError)
{
	int done = 0;

	assert(OidIsValid(proc) && noError);
	srclen = Min(srclen, (dstlen - 1) / MAX_CONVERSION_GROWTH);
	while (done < srclen)
	{
		const char *at = (const char *) src + done;
		int bytes = character_of(src_encoding, at, srclen - done);
		int made = bytes < 1 ? 0 : convert_character(src_encoding, dest_encoding, at, bytes, dst);

		if (made == 0)
			break;
		dst += made;
		done += bytes;
	}
	*dst = '\0';
	return done;
}

/* ---------------------------------------------------------------- what is promised --------------- */

static int
document_encoding(void)
{
	return OidIsValid(MyDatabaseId) ? database_encoding : PG_UTF8;
}

/* Bytes that are none of the encoding are question marks, each; everything else is as it was. */
static char *
cleaned(const char *text)
{
	int left = (int) strlen(text);
	char *clean = palloc(left + 1);
	char *to = clean;

	while (left > 0)
	{
		int bytes = character_of(document_encoding(), text, left);

		if (bytes < 1)
		{
			*to++ = '?';
			bytes = 1;
		}
		else
		{
			memcpy(to, text, bytes);
			to += bytes;
		}
		text += bytes;
		left -= bytes;
	}
	*to = '\0';
	return clean;
}

/* The same of a text of another encoding; a character that has no place here is one question mark. */
static char *
converted(const char *text, int length, int encoding)
{
	char *from = pnstrdup(text, length);
	unsigned char *out;
	unsigned char *to;

	if (!OidIsValid(MyDatabaseId) || encoding == database_encoding ||
		!OidIsValid(FindDefaultConversionProc(encoding, database_encoding)))
		return cleaned(from);
	length = (int) strlen(from);
	to = out = palloc(4 * length + 1);
	while (length > 0)
	{
		int bytes = character_of(encoding, from, length);
		int made = bytes < 1 ? 0 : convert_character(encoding, database_encoding, from, bytes, to);

		if (made == 0)
			*to = '?';
		to += Max(made, 1);
		from += Max(bytes, 1);
		length -= Max(bytes, 1);
	}
	*to = '\0';
	return (char *) out;
}

/* Is the character one that moves a terminal's cursor, or worse? */
static bool
is_control(const char *text, int bytes)
{
	const unsigned char *byte = (const unsigned char *) text;

	if (bytes == 1 && (byte[0] < 0x20 || byte[0] == 0x7f))
		return true;
	if (database_encoding == PG_LATIN1)
		return byte[0] >= 0x80 && byte[0] < 0xa0;
	return database_encoding == PG_UTF8 && byte[0] == 0xc2 && byte[1] < 0xa0;
}

static void
check_printable(const char *text)
{
	const char *clean = cleaned(text);
	const char *printed = pooldiag_text_printable(text);

	while (*clean != '\0')
	{
		int bytes = character_of(document_encoding(), clean, (int) strlen(clean));

		if (is_control(clean, bytes))
		{
			assert(*printed == '?');
			printed++;
		}
		else
		{
			assert(memcmp(printed, clean, bytes) == 0);
			printed += bytes;
		}
		clean += bytes;
	}
	assert(*printed == '\0');
}

/* The text in so many columns, cut with a tilde behind what characters have room beside it, and filled up. */
static char *
fitted(const char *text, int columns)
{
	bool is_cut = pooldiag_text_width(text) > columns;
	int room = is_cut ? columns - 1 : columns;
	StringInfoData line;

	initStringInfo(&line);
	while (*text != '\0' && pg_encoding_dsplen(database_encoding, text) <= room)
	{
		int bytes = pg_encoding_mblen(database_encoding, text);

		room -= pg_encoding_dsplen(database_encoding, text);
		appendBinaryStringInfo(&line, text, bytes);
		text += bytes;
	}
	if (is_cut && columns > 0)
		appendStringInfoChar(&line, '~');
	if (room > 0)
		appendStringInfoSpaces(&line, room);
	return line.data;
}

static void
check_columns(const char *text, int columns)
{
	const char *printed = pooldiag_text_printable(text);
	int first = *printed == '\0' ? 0 : pg_encoding_mblen(database_encoding, printed);
	int bytes = pooldiag_text_bytes_in(printed, columns);
	const char *start = pnstrdup(printed, bytes);

	assert(bytes >= first && bytes <= (int) strlen(printed));
	assert(pooldiag_text_is_clean(start));
	assert(pooldiag_text_width(start) <= columns || bytes == first);
	/* No more have room. */
	assert(printed[bytes] == '\0' || pooldiag_text_width(start) >= columns ||
		   pooldiag_text_width(start) + pg_encoding_dsplen(database_encoding, printed + bytes) >
			   columns);
	assert(strcmp(pooldiag_text_fit(printed, columns), fitted(printed, columns)) == 0);
	assert(columns < 0 || pooldiag_text_width(fitted(printed, columns)) == columns);
}

/* ---------------------------------------------------------------- what has been written ---------- */

/* A bracket; or s, n or l: a string, a number or one of the three words. */
typedef struct Event
{
	char kind;
	const char *key;
	const char *text;
} Event;

static Event events[MAX_EVENTS];
static int nevents;
static int nread;

static void
wrote(char kind, const char *key, const char *text)
{
	assert(nevents < MAX_EVENTS);
	events[nevents++] = (Event){kind, key == NULL ? NULL : cleaned(key), text};
}

static void
came(char kind, const char *key, const char *text)
{
	const Event *event = &events[nread++];

	assert(nread <= nevents && event->kind == kind);
	assert((event->key == NULL) == (key == NULL));
	assert(key == NULL || strcmp(event->key, key) == 0);
	assert(text == NULL || strcmp(event->text, text) == 0);
}

/* ---------------------------------------------------------------- the parser --------------------- */

static const char *at;

static int
hexadecimal(void)
{
	int code = 0;

	for (int i = 0; i < 4; i++)
	{
		static const char digits[] = "0123456789abcdef";
		const char *digit = strchr(digits, tolower((unsigned char) *++at));

		assert(digit != NULL && *digit != '\0');
		code = code * 16 + (int) (digit - digits);
	}
	return code;
}

static char *
read_string(void)
{
	StringInfoData text;

	initStringInfo(&text);
	assert(*at == '"');
	for (at++; *at != '"'; at++)
	{
		static const char letters[] = "bfnrt\"\\/";
		const char *letter;

		assert((unsigned char) *at >= 0x20);
		if (*at != '\\')
		{
			appendStringInfoChar(&text, *at);
			continue;
		}
		if (*++at == 'u')
		{
			int code = hexadecimal();

			/* Nothing else has to be written so. */
			assert(code > 0 && code < 0x20);
			appendStringInfoChar(&text, (char) code);
			continue;
		}
		letter = strchr(letters, *at);
		assert(letter != NULL && *letter != '\0');
		appendStringInfoChar(&text, "\b\f\n\r\t\"\\/"[letter - letters]);
	}
	at++;
	return text.data;
}

static void
read_digits(void)
{
	assert(isdigit((unsigned char) *at));
	while (isdigit((unsigned char) *at))
		at++;
}

static char *
read_number(void)
{
	const char *start = at;

	if (*at == '-')
		at++;
	if (*at == '0')
		at++;
	else
		read_digits();
	if (*at == '.')
	{
		at++;
		read_digits();
	}
	/* No exponent is written. */
	return pnstrdup(start, at - start);
}

static void
read_value(const char *key)
{
	static const char *const words[] = {"true", "false", "null"};

	if (*at == '{' || *at == '[')
	{
		bool object = *at == '{';
		char end = object ? '}' : ']';

		came(*at++, key, NULL);
		while (*at != end)
		{
			char *name = NULL;

			if (object)
			{
				name = read_string();
				assert(*at == ':');
				at++;
			}
			read_value(name);
			if (*at == end)
				break;
			assert(*at == ',');
			at++;
			/* There is something behind a comma. */
			assert(*at != end);
		}
		came(*at++, NULL, NULL);
		return;
	}
	if (*at == '"')
	{
		came('s', key, read_string());
		return;
	}
	for (size_t i = 0; i < LENGTH(words); i++)
		if (strncmp(at, words[i], strlen(words[i])) == 0)
		{
			at += strlen(words[i]);
			came('l', key, words[i]);
			return;
		}
	came('n', key, read_number());
}

static void
read_document(const char *document)
{
	int left = (int) strlen(document);

	for (const char *byte = document; document_encoding() == PG_UTF8 && left > 0;)
	{
		int bytes = character_of(PG_UTF8, byte, left);

		assert(bytes > 0);
		byte += bytes;
		left -= bytes;
	}
	at = document;
	nread = 0;
	read_value(NULL);
	assert(*at == '\0' && nread == nevents);
}

/* ---------------------------------------------------------------- the steps ---------------------- */

static const uint8_t *input;
static size_t left_over;

static unsigned char
take_byte(void)
{
	if (left_over == 0)
		return 0;
	left_over--;
	return *input++;
}

/* The bytes up to a zero one, in memory that has no byte more. */
static char *
take_text(void)
{
	size_t length = strnlen((const char *) input, left_over);
	char *text = palloc(length + 1);

	memcpy(text, input, length);
	text[length] = '\0';
	input += length;
	left_over -= length;
	(void) take_byte();
	return text;
}

static int64
take_number(void)
{
	uint64 number = 0;

	for (int i = 0; i < 8; i++)
		number = number << 8 | take_byte();
	return (int64) number;
}

static void
write_text(StringInfo json, const char *key)
{
	char *text = take_text();
	char *clean = cleaned(text);

	assert(pooldiag_text_is_clean(text) == (strcmp(text, clean) == 0));
	assert(strcmp(pooldiag_text_clean(text), clean) == 0);
	pooldiag_json_string(json, key, text);
	wrote('s', key, clean);
}

static void
write_foreign(StringInfo json, const char *key)
{
	int encoding = sources[take_byte() % (int) LENGTH(sources)];
	int length = take_byte();
	char *bytes;
	char *text;

	length = Min(length, (int) left_over);
	bytes = palloc(length);
	memcpy(bytes, input, length);
	input += length;
	left_over -= length;
	text = pooldiag_text_from(bytes, length, encoding);
	assert(strcmp(text, converted(bytes, length, encoding)) == 0);
	assert(pooldiag_text_is_clean(text));
	pooldiag_json_string(json, key, text);
	wrote('s', key, text);
}

static void
write_number(StringInfo json, const char *key)
{
	int decimals = take_byte() % 7;
	int64 bits = take_number();
	double value;

	memcpy(&value, &bits, sizeof(value));
	/* Who writes one sees to it that there is one. */
	if (!isfinite(value))
		value = 0;
	pooldiag_json_number(json, key, value, decimals);
	wrote('n', key, psprintf("%.*f", decimals, value));
}

static void
write_steps(StringInfo json)
{
	char open[MAX_DEPTH];
	int depth = 0;

	pooldiag_json_begin(json, NULL, '{');
	wrote('{', NULL, NULL);
	open[depth++] = '}';
	while (left_over > 0 || depth > 0)
	{
		int step = left_over > 0 ? take_byte() % 12 : 0;
		const char *key;
		int64 number;

		if (step == 0)
		{
			pooldiag_json_end(json, open[--depth]);
			wrote(open[depth], NULL, NULL);
			if (depth == 0)
				break;
			continue;
		}
		key = open[depth - 1] == '}' ? take_text() : NULL;
		switch (step)
		{
			case 1:
			case 2:
				if (depth == MAX_DEPTH)
					break;
				pooldiag_json_begin(json, key, step == 1 ? '{' : '[');
				wrote(step == 1 ? '{' : '[', key, NULL);
				open[depth++] = step == 1 ? '}' : ']';
				break;
			case 3:
				number = take_number();
				pooldiag_json_int(json, key, number);
				wrote('n', key, psprintf(INT64_FORMAT, number));
				break;
			case 4:
				write_number(json, key);
				break;
			case 5:
				number = take_byte() & 1;
				pooldiag_json_bool(json, key, number != 0);
				wrote('l', key, number != 0 ? "true" : "false");
				break;
			case 6:
				if (take_byte() & 1)
					pooldiag_json_null(json, key);
				else
					pooldiag_json_string(json, key, NULL);
				wrote('l', key, "null");
				break;
			case 7:
				pooldiag_json_time(json, key, 0);
				wrote('s', key, INSTANT);
				break;
			case 8:
				pooldiag_json_document(json, key, "[{}]");
				wrote('[', key, NULL);
				wrote('{', NULL, NULL);
				wrote('}', NULL, NULL);
				wrote(']', NULL, NULL);
				break;
			case 9:
				write_foreign(json, key);
				break;
			case 10:
				number = take_byte() % 40;
				if (OidIsValid(MyDatabaseId))
				{
					const char *text = take_text();

					check_printable(text);
					check_columns(text, (int) number - 4);
				}
				break;
			default:
				write_text(json, key);
				break;
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	StringInfoData json;
	int place;

	input = data;
	left_over = size;
	place = take_byte() % (int) LENGTH(places);
	MyDatabaseId = places[place].database ? (Oid) 1 : InvalidOid;
	database_encoding = places[place].encoding;
	nevents = 0;

	initStringInfo(&json);
	write_steps(&json);
	read_document(json.data);
	while (pieces.after != &pieces)
		pfree(pieces.after + 1);
	return 0;
}
