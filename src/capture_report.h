/*
 * capture_report.h
 *	  What was seen when a breaker opened, as a JSON document of bounded length.
 */
#ifndef POOLDIAG_CAPTURE_REPORT_H
#define POOLDIAG_CAPTURE_REPORT_H

#include "lib/stringinfo.h"

#include "blockers.h"
#include "sample.h"

/* What the document is made from; all of it is the sampler's. */
typedef struct PoolDiagCapture
{
	const PoolDiagSample *sample;
	const PoolDiagWatched *watched;
	TimestampTz now;
	const PoolDiagBlockers *blockers;
	const uint64 *refused; /* by reason, since the evaluation before */
} PoolDiagCapture;

extern char *pooldiag_capture_instant(TimestampTz at);
extern char *pooldiag_capture_pool(const PoolDiagSample *sample, int pool);
extern void pooldiag_capture_report(const PoolDiagCapture *capture, char *report, Size size);

#endif /* POOLDIAG_CAPTURE_REPORT_H */
