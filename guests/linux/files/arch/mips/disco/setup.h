/* SPDX-License-Identifier: GPL-2.0 */
#ifndef DISCO_SETUP_H
#define DISCO_SETUP_H

void disco_shutdown_init(void);
void disco_smp_init(void);

/* How many virtual CPUs there are. */
extern unsigned long disco_vcpus;

/* The kernel's own name for it: 6.1 calls it by itself. */
void r4k_cache_init(void);

#endif
