/*
 * http.h
 *	  The background worker that answers over HTTP.
 */
#ifndef POOLDIAG_HTTP_H
#define POOLDIAG_HTTP_H

#include "fmgr.h"

extern PGDLLEXPORT void pooldiag_http_main(Datum main_arg);

#endif /* POOLDIAG_HTTP_H */
