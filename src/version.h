/*
 * version.h
 *	  The version of this library, which is that of the extension in pooldiag.control.
 */
#ifndef POOLDIAG_VERSION_H
#define POOLDIAG_VERSION_H

#define POOLDIAG_VERSION "0.1"

#endif /* POOLDIAG_VERSION_H */
