/*
 * httpd.h
 *	  HTTP itself: connections, requests, answers.
 */
#ifndef POOLDIAG_HTTPD_H
#define POOLDIAG_HTTPD_H

/* All of it in the http worker. */
extern void pooldiag_httpd_begin(void);
extern bool pooldiag_httpd_start(int fd);
extern void pooldiag_httpd_stop(void);
extern int pooldiag_httpd_count(void);
extern int pooldiag_httpd_descriptor(int index);
extern double pooldiag_httpd_run(void);

#endif /* POOLDIAG_HTTPD_H */
