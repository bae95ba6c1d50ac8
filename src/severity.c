/*
 * severity.c
 *	  How grave something is, in the word that every view has for it.
 */
#include "severity.h"

const char *
pooldiag_severity_name(PoolDiagSeverity severity)
{
	static const char *const names[] = {
		[POOLDIAG_INFO] = "info",
		[POOLDIAG_WARNING] = "warning",
		[POOLDIAG_CRITICAL] = "critical",
	};

	return names[severity];
}
