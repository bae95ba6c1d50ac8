/*
 * machine.h
 *	  What the server runs on: its processors and its memory.
 */
#ifndef POOLDIAG_MACHINE_H
#define POOLDIAG_MACHINE_H

#include <stdint.h>

extern int pooldiag_machine_cores(void);
extern int64_t pooldiag_machine_memory(void);

#endif /* POOLDIAG_MACHINE_H */
