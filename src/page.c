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
	const char *rest = (const char *) document;
	const char *end = rest + sizeof(document);

	enlargeStringInfo(html, (int) sizeof(document));
	while (rest < end)
	{
		const char *at = memchr(rest, PLACEHOLDER[0], end - rest);

		if (at == NULL)
			at = end;
		appendBinaryStringInfo(html, rest, (int) (at - rest));
		rest = at;
		if ((size_t) (end - at) >= PLACEHOLDER_LEN && memcmp(at, PLACEHOLDER, PLACEHOLDER_LEN) == 0)
		{
			appendStringInfoString(html, nonce);
			rest += PLACEHOLDER_LEN;
		}
		else if (at < end)
		{
			appendStringInfoChar(html, *at);
			rest++;
		}
	}
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
