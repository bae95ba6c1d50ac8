/*
 * glob.c
 *	  Matching a name against a pattern with * and ?.
 *
 * Pure: unit tests link it.
 */
#include <stddef.h>

#include "glob.h"

/* Bytes of the UTF-8 character at s, which is not at its end; 1 where there is none. */
static int
character_length(const char *s)
{
	unsigned char lead = (unsigned char) *s;
	int len = lead < 0xC2 || lead > 0xF4 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

	for (int i = 1; i < len; i++)
		if (((unsigned char) s[i] & 0xC0) != 0x80)
			return 1;
	return len;
}

/*
 * Whether the whole text matches a glob: * is any run of characters, also an empty one, ? is
 * exactly one, all else is itself. A byte that is not UTF-8 counts as a character. Only the last
 * star is ever tried again, so that the time is bounded by the product of the lengths.
 */
bool
pooldiag_glob_match(const char *pattern, const char *text)
{
	const char *star = NULL; /* behind the last one */
	const char *rest = text; /* what that one leaves to the pattern behind it */

	for (;;)
	{
		if (*pattern == '*')
		{
			star = ++pattern;
			rest = text;
		}
		else if (*text == '\0')
			return *pattern == '\0';
		else if (*pattern == '?')
		{
			pattern++;
			text += character_length(text);
		}
		else if (*pattern == *text)
		{
			pattern++;
			text++;
		}
		else if (star != NULL)
		{
			pattern = star;
			rest += character_length(rest);
			text = rest;
		}
		else
			return false;
	}
}
