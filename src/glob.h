/*
 * glob.h
 *	  Matching a name against a pattern with * and ?.
 */
#ifndef POOLDIAG_GLOB_H
#define POOLDIAG_GLOB_H

#include <stdbool.h>

extern bool pooldiag_glob_match(const char *pattern, const char *text);

#endif /* POOLDIAG_GLOB_H */
