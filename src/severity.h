/*
 * severity.h
 *	  How grave something is.
 */
#ifndef POOLDIAG_SEVERITY_H
#define POOLDIAG_SEVERITY_H

typedef enum PoolDiagSeverity
{
	POOLDIAG_INFO,
	POOLDIAG_WARNING,
	POOLDIAG_CRITICAL
} PoolDiagSeverity;

extern const char *pooldiag_severity_name(PoolDiagSeverity severity);

#endif /* POOLDIAG_SEVERITY_H */
