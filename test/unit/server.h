/*
 * server.h
 *	  What a unit test has in the place of the server, where a module needs its types and atomics.
 */
#ifndef POOLDIAG_TEST_SERVER_H
#define POOLDIAG_TEST_SERVER_H

#include "postgres.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* What Assert calls, on a server that has it on; with which arguments depends on its version. */
extern void assertion_failed(void) __asm__("ExceptionalCondition");

void
assertion_failed(void)
{
	fail_msg("an assertion of the server's failed");
	abort();
}

#endif /* POOLDIAG_TEST_SERVER_H */
