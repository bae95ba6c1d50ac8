/*
 * scanner.h
 *	  The words and marks that the texts of pooldiag.pools and pooldiag.breakers consist of.
 *
 * Pure: nothing of the server, so that unit tests link it.
 */
#ifndef POOLDIAG_SCANNER_H
#define POOLDIAG_SCANNER_H

#include <stdbool.h>

/* Spelled with underscores: the server's headers make a macro of printf. */
#ifdef __GNUC__
#define POOLDIAG_PRINTF_LIKE(string, first) __attribute__((format(__printf__, string, first)))
#else
#define POOLDIAG_PRINTF_LIKE(string, first)
#endif

/* Why a text does not parse. */
typedef struct PoolDiagParseError
{
	int position;  /* the offending character's, from 1 (UTF-8 continuation bytes not counted) */
	bool too_many; /* there is no room for more definitions */
	char message[256]; /* "expected ..., found ...", for errdetail after "At position N: " */
} PoolDiagParseError;

typedef enum PoolDiagTokenKind
{
	POOLDIAG_TOKEN_END,
	POOLDIAG_TOKEN_WORD,
	POOLDIAG_TOKEN_CONTROL, /* a control character, in quotes or not; the grammar has none */
	POOLDIAG_TOKEN_UNCLOSED /* a quote with no end */
} PoolDiagTokenKind;

/*
 * A kind is a PoolDiagTokenKind, or one of the marks ( ) , = itself. The body of a word is what
 * stands within its quotes, each quote in it still doubled: keys and numbers hold none and are
 * compared there, names and patterns go through pooldiag_scanner_read_text().
 */
typedef struct PoolDiagToken
{
	int kind;
	const char *at; /* first character, of a quoted word the quote */
	const char *body;
	int len;
} PoolDiagToken;

/* A text being read. */
typedef struct PoolDiagScanner
{
	const char *text;
	const char *next; /* behind the current token */
	PoolDiagToken token;
	const PoolDiagToken
		*open; /* the word whose parenthesis is open, or NULL; the parser's to set */
	PoolDiagParseError *error;
} PoolDiagScanner;

/* A text under way; len may pass size, as what snprintf returns may. */
typedef struct PoolDiagWriter
{
	char *out;
	int size;
	int len;
} PoolDiagWriter;

extern void pooldiag_scanner_start(PoolDiagScanner *s, const char *text, PoolDiagParseError *error);
extern void pooldiag_scanner_advance(PoolDiagScanner *s);
extern bool pooldiag_scanner_take(PoolDiagScanner *s, char mark);
extern bool
pooldiag_scanner_expected(PoolDiagScanner *s, const char *format, ...) POOLDIAG_PRINTF_LIKE(2, 3);
extern bool pooldiag_scanner_word_is(const PoolDiagToken *word, const char *text);
extern bool pooldiag_scanner_read_text(PoolDiagScanner *s, const char *what, char *out, int size);

extern void
pooldiag_scanner_put(PoolDiagWriter *w, const char *format, ...) POOLDIAG_PRINTF_LIKE(2, 3);
extern void pooldiag_scanner_put_word(PoolDiagWriter *w, const char *word);

#endif /* POOLDIAG_SCANNER_H */
