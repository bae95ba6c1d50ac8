/*
 * page.h
 *	  The status page, as the HTTP endpoint serves it.
 */
#ifndef POOLDIAG_PAGE_H
#define POOLDIAG_PAGE_H

#include "lib/stringinfo.h"

extern void pooldiag_page_write(StringInfo html, const char *nonce);
extern char *pooldiag_page_policy(const char *nonce);

#endif /* POOLDIAG_PAGE_H */
