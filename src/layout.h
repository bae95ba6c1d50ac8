/*
 * layout.h
 *	  All that pooldiag keeps in shared memory.
 */
#ifndef POOLDIAG_LAYOUT_H
#define POOLDIAG_LAYOUT_H

#include "shared.h"

extern void pooldiag_layout_install_hooks(void);
extern const PoolDiagPart *pooldiag_layout_part(int index);

#endif /* POOLDIAG_LAYOUT_H */
