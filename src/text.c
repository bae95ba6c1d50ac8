/*
 * text.c
 *	  Texts that came from elsewhere: encodings, control characters, widths on a terminal.
 *
 * Names of roles and databases are in the encoding of the database in which they were made,
 * statements in that of their session's; both may be another than the reader's.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "text.h"

/* What a text has to be: of the database's encoding; in a worker without one, whose texts go into documents, UTF-8. */
static int
encoding_here(void)
{
	return OidIsValid(MyDatabaseId) ? GetDatabaseEncoding() : PG_UTF8;
}

static bool
is_right(const char *bytes, int length)
{
	return pg_verify_mbstr(encoding_here(), bytes, length, true);
}

/* Is it of the database's encoding as it is? */
bool
pooldiag_text_is_clean(const char *bytes)
{
	return is_right(bytes, (int) strlen(bytes));
}

/*
 * The text, with each byte that is not of the database's encoding replaced by a question mark.
 * Names of users and databases, and the statements of sessions in other databases, may be in
 * another encoding.
 */
char *
pooldiag_text_clean(const char *bytes)
{
	int left = (int) strlen(bytes);
	char *clean;
	char *to;

	if (is_right(bytes, left))
		return (char *) bytes;
	clean = to = palloc(left + 1);
	while (left > 0)
	{
		int length = pg_encoding_mblen(encoding_here(), bytes);

		if (length > left || !is_right(bytes, length))
		{
			*to++ = '?';
			length = 1;
		}
		else
		{
			memcpy(to, bytes, length);
			to += length;
		}
		bytes += length;
		left -= length;
	}
	*to = '\0';
	return clean;
}

/*
 * A text that is of another encoding, in that of the database: what has no place there, and what was none of its
 * own encoding, is a question mark.
 */
char *
pooldiag_text_from(const char *bytes, int length, int encoding)
{
	int here = GetDatabaseEncoding();
	char *from = pnstrdup(bytes, length);
	Oid conversion = InvalidOid;
	char *text;
	char *to;

	if (encoding != here && encoding != PG_SQL_ASCII && here != PG_SQL_ASCII)
		conversion = FindDefaultConversionProc(encoding, here);
	if (!OidIsValid(conversion))
		return pooldiag_text_clean(from);
	/* A zero byte has ended it. */
	length = (int) strlen(from);
	to = text = palloc(length * MAX_CONVERSION_GROWTH + 1);
	while (length > 0)
	{
		int room = length * MAX_CONVERSION_GROWTH + 1;
		int done = pg_do_encoding_conversion_buf(conversion, encoding, here, (unsigned char *) from,
												 length, (unsigned char *) to, room, true);

		to += strlen(to);
		from += done;
		length -= done;
		if (length > 0)
		{
			int bad = Min(pg_encoding_verifymbchar(encoding, from, length), length);

			if (bad < 1)
				bad = 1;
			*to++ = '?';
			from += bad;
			length -= bad;
		}
	}
	*to = '\0';
	return text;
}

/* The columns that one character takes on a terminal; -1 for a control character. */
static int
columns_of(const char *at)
{
	int encoding = GetDatabaseEncoding();
	unsigned char byte = (unsigned char) *at;

	/* Core knows those above ASCII in UTF-8 only; the sets of ISO 8859, which all have them, may go to a terminal as they are. */
	if (byte >= 0x80 && byte < 0xa0 &&
		((encoding >= PG_LATIN1 && encoding <= PG_LATIN10) ||
		 (encoding >= PG_ISO_8859_5 && encoding <= PG_ISO_8859_8)))
		return -1;
	return pg_encoding_dsplen(encoding, at);
}

/* The columns that a text takes on a terminal. */
int
pooldiag_text_width(const char *text)
{
	int width = 0;

	for (; *text != '\0'; text += pg_encoding_mblen(GetDatabaseEncoding(), text))
		width += Max(0, columns_of(text));
	return width;
}

/* The bytes of the text's start that fit in that many columns; at least one character of it. */
int
pooldiag_text_bytes_in(const char *text, int columns)
{
	int bytes = 0;

	while (text[bytes] != '\0')
	{
		columns -= Max(0, columns_of(text + bytes));
		if (columns < 0 && bytes > 0)
			break;
		bytes += pg_encoding_mblen(GetDatabaseEncoding(), text + bytes);
	}
	return bytes;
}

/* The text in exactly that many columns, none if they are negative, cut with a tilde where it is longer. */
char *
pooldiag_text_fit(const char *text, int columns)
{
	int width = pooldiag_text_width(text);

	if (width <= columns)
		return psprintf("%s%*s", text, columns - width, "");
	if (columns < 1)
		return "";
	text = pnstrdup(text, pooldiag_text_bytes_in(text, columns - 1));
	width = pooldiag_text_width(text);
	/* Not even its first character has room beside the tilde. */
	if (width > columns - 1)
		return psprintf("~%*s", columns - 1, "");
	return psprintf("%s~%*s", text, columns - 1 - width, "");
}

/* Can bars and boxes be drawn? What the client's encoding, or the database's, can't hold would be an error. */
bool
pooldiag_text_draws(void)
{
	return GetDatabaseEncoding() == PG_UTF8 && pg_get_client_encoding() == PG_UTF8;
}

/* What came from a client, without the control characters that would spoil the screen. */
char *
pooldiag_text_printable(const char *text)
{
	const char *from = pooldiag_text_clean(text);
	char *copy = palloc(strlen(from) + 1);
	char *to = copy;

	while (*from != '\0')
	{
		int length = pg_encoding_mblen(GetDatabaseEncoding(), from);

		if (columns_of(from) < 0)
			*to++ = '?';
		else
		{
			memcpy(to, from, length);
			to += length;
		}
		from += length;
	}
	*to = '\0';
	return copy;
}
