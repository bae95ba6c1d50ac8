/*
 * scanner.c
 *	  The words and marks that the texts of pooldiag.pools and pooldiag.breakers consist of.
 *
 *		mark = "(" | ")" | "," | "="
 *		word = a run of characters other than marks, spaces, quotes and control characters,
 *			   or any but control characters in double quotes, a quote among them doubled
 *
 * Spaces, tabs and newlines may stand between them. Here is all that knows these rules: reading a
 * text token by token, saying what was expected at a token and what was found there, and writing a
 * word back. It allocates nothing, is blind to the locale, and never writes past the end of a
 * buffer.
 */
#include "scanner.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Bytes of a word that a message repeats. */
#define MAX_EXCERPT 40

static bool
is_control(char c)
{
	return (unsigned char) c < ' ' || c == 0x7F;
}

static bool
is_bare(char c)
{
	return !is_control(c) && strchr(" (),=\"", c) == NULL;
}

static bool
is_continuation(char c)
{
	return ((unsigned char) c & 0xC0) == 0x80;
}

POOLDIAG_PRINTF_LIKE(2, 0)
static void
vput(PoolDiagWriter *w, const char *format, va_list args)
{
	int room = w->len < w->size ? w->size - w->len : 0;

	w->len += vsnprintf(room > 0 ? w->out + w->len : NULL, (size_t) room, format, args);
}

/* Appends what the format says, as far as there is room, and counts all of it. */
void
pooldiag_scanner_put(PoolDiagWriter *w, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vput(w, format, args);
	va_end(args);
}

/* Puts a name or pattern as the scanner reads it back, in quotes where it needs them. */
void
pooldiag_scanner_put_word(PoolDiagWriter *w, const char *word)
{
	const char *c = word;
	const char *quote;

	while (*c != '\0' && is_bare(*c))
		c++;
	quote = c == word || *c != '\0' ? "\"" : "";
	pooldiag_scanner_put(w, "%s", quote);
	for (c = word; *c != '\0'; c++)
		pooldiag_scanner_put(w, "%s%c", *c == '"' ? "\"" : "", *c);
	pooldiag_scanner_put(w, "%s", quote);
}

/* Puts a word as a message repeats it, cut where a character ends. */
static void
put_excerpt(PoolDiagWriter *w, const PoolDiagToken *word)
{
	int len = word->len;

	if (len > MAX_EXCERPT)
		for (len = MAX_EXCERPT; len > 0 && is_continuation(word->body[len]); len--)
			;
	pooldiag_scanner_put(w, "\"%.*s%s\"", len, word->body, len < word->len ? "..." : "");
}

/* Fails with "expected ..., found" the current token. Returns false, as all failures here do. */
bool
pooldiag_scanner_expected(PoolDiagScanner *s, const char *format, ...)
{
	PoolDiagParseError *error = s->error;
	PoolDiagWriter w = {error->message, (int) sizeof(error->message), 0};
	va_list args;

	error->position = 1;
	for (const char *c = s->text; c < s->token.at; c++)
		error->position += !is_continuation(*c);

	pooldiag_scanner_put(&w, "expected ");
	va_start(args, format);
	vput(&w, format, args);
	va_end(args);
	pooldiag_scanner_put(&w, ", found ");
	if (s->token.kind == POOLDIAG_TOKEN_END)
		pooldiag_scanner_put(&w, "the end of the text");
	else if (s->token.kind == POOLDIAG_TOKEN_CONTROL)
		pooldiag_scanner_put(&w, "the control character 0x%02X", (unsigned char) *s->token.at);
	else if (s->token.kind == POOLDIAG_TOKEN_UNCLOSED)
		pooldiag_scanner_put(&w, "a quote that is not closed");
	else
		put_excerpt(&w, &s->token);
	if (s->token.kind == POOLDIAG_TOKEN_END && s->open != NULL)
	{
		pooldiag_scanner_put(&w, ": the parenthesis of ");
		put_excerpt(&w, s->open);
		pooldiag_scanner_put(&w, " is not closed");
	}
	return false;
}

/* Makes a token of what begins with the quote at s->next. */
static void
scan_quoted(PoolDiagScanner *s)
{
	const char *c = s->next + 1;

	s->token.body = c;
	while (!is_control(*c) && (*c != '"' || c[1] == '"'))
		c += *c == '"' ? 2 : 1;
	if (*c == '\0')
		s->token.kind = POOLDIAG_TOKEN_UNCLOSED;
	else if (*c != '"')
		s->token = (PoolDiagToken){POOLDIAG_TOKEN_CONTROL, c, c, 1};
	else
	{
		s->token.kind = POOLDIAG_TOKEN_WORD;
		s->token.len = (int) (c - s->token.body);
		s->next = c + 1;
	}
}

/* Goes on to the next token. Nothing goes on past one that the grammar has no place for. */
void
pooldiag_scanner_advance(PoolDiagScanner *s)
{
	const char *c = s->next + strspn(s->next, " \t\n");

	s->next = c;
	s->token = (PoolDiagToken){POOLDIAG_TOKEN_END, c, c, 0};
	if (*c == '"')
	{
		scan_quoted(s);
		return;
	}
	while (is_bare(*s->next))
		s->next++;
	if (s->next > c)
		s->token.kind = POOLDIAG_TOKEN_WORD;
	else if (*c != '\0')
	{
		s->token.kind = is_control(*c) ? POOLDIAG_TOKEN_CONTROL : *c;
		s->next++;
	}
	s->token.len = (int) (s->next - c);
}

/*
 * Begins with the first token of a text shorter than INT_MAX bytes. Tokens point into the text;
 * *error is filled in once something fails.
 */
void
pooldiag_scanner_start(PoolDiagScanner *s, const char *text, PoolDiagParseError *error)
{
	*s = (PoolDiagScanner){.text = text, .next = text, .error = error};
	pooldiag_scanner_advance(s);
}

/* Steps over that mark if it is the current token. Returns whether it was. */
bool
pooldiag_scanner_take(PoolDiagScanner *s, char mark)
{
	if (s->token.kind != mark)
		return false;
	pooldiag_scanner_advance(s);
	return true;
}

/* Whether a word without quotes in it is that text; only its body and length count. */
bool
pooldiag_scanner_word_is(const PoolDiagToken *word, const char *text)
{
	return strlen(text) == (size_t) word->len && memcmp(word->body, text, (size_t) word->len) == 0;
}

/*
 * Copies the current token, its quotes undone, to out, which has room for size bytes. Fails if it
 * is longer; "what" says in the message what the text is.
 */
bool
pooldiag_scanner_read_text(PoolDiagScanner *s, const char *what, char *out, int size)
{
	const PoolDiagToken *word = &s->token;
	int len = 0;

	for (int i = 0; i < word->len; i++, len++)
	{
		if (len < size)
			out[len] = word->body[i];
		if (word->body[i] == '"')
			i++;
	}
	if (len >= size)
		return pooldiag_scanner_expected(s, "%s of at most %d bytes (not %d)", what, size - 1, len);
	out[len] = '\0';
	return true;
}
