/*
 * page.c
 *	  The status page, as the HTTP endpoint serves it.
 *
 * One document with its styles and its script, made from src/web when the library is built. It holds no figure: the script
 * asks the endpoint's other paths for them. It is the same for everybody, but for the nonce of a response.
 */
#include "postgres.h"

#include "page.h"

/* What stands in the document in place of the nonce. */
#define PLACEHOLDER "@NONCE@"
#define PLACEHOLDER_LEN (sizeof(PLACEHOLDER) - 1)

static const unsigned char document[] = {
#include "web.h"
};

/* Appends the document, with the nonce, which is made of letters and digits, in its script and its styles. */
void
pooldiag_page_write(StringInfo html, const char *nonce)
{
	const char *text = (const char *) document;
	size_t from = 0;

	enlargeStringInfo(html, (int) sizeof(document));
	for (size_t at = 0; at + PLACEHOLDER_LEN <= sizeof(document); at++)
	{
		if (memcmp(text + at, PLACEHOLDER, PLACEHOLDER_LEN) != 0)
			continue;
		appendBinaryStringInfo(html, text + from, (int) (at - from));
		appendStringInfoString(html, nonce);
		from = at + PLACEHOLDER_LEN;
	}
	appendBinaryStringInfo(html, text + from, (int) (sizeof(document) - from));
}

/*
 * The value of the header Content-Security-Policy that belongs to it, palloc'd: nothing but the script and the styles with
 * this nonce, figures from where the page came from, and the picture in the browser's tab, which is in the page.
 */
char *
pooldiag_page_policy(const char *nonce)
{
	return psprintf("default-src 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; "
					"connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
					"frame-ancestors 'none'",
					nonce, nonce);
}
