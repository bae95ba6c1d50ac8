/*
 * httpd.h
 *	  HTTP itself: connections, requests, answers.
 */
#ifndef POOLDIAG_HTTPD_H
#define POOLDIAG_HTTPD_H

/* What has been asked for since the server's start, as a reader gets it. */
typedef struct PoolDiagHttpFigures
{
	int connections;
	uint64 accepted;
	uint64 dropped; /* of them, those that had to make way, or took too long */
	uint64 requests;
} PoolDiagHttpFigures;

extern Size pooldiag_httpd_size(void);
extern void pooldiag_httpd_attach(char *at, bool made);

/* In the http worker. */
extern void pooldiag_httpd_begin(void);
extern bool pooldiag_httpd_start(int fd, int share);
extern void pooldiag_httpd_stop(void);
extern int pooldiag_httpd_count(void);
extern int pooldiag_httpd_descriptor(int index);
extern double pooldiag_httpd_run(void);

/* Anywhere. */
extern void pooldiag_httpd_read(PoolDiagHttpFigures *figures);
extern int pooldiag_httpd_statuses(void);
extern uint64 pooldiag_httpd_requests(int endpoint, int which, int *status);

#endif /* POOLDIAG_HTTPD_H */
