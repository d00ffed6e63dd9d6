/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Words of this kernel's own in the special page, behind the monitor's. There is one such page for
 * each virtual CPU, at the same address: what lies here needs no look at the CPU's number.
 */
#ifndef _ASM_MACH_DISCO_OWN_SLOTS_H
#define _ASM_MACH_DISCO_OWN_SLOTS_H

/* The stack of the thread that runs, for exceptions from user mode. */
#define DISCO_OWN_KERNELSP	0x100
/* What to add to the address of a per-CPU variable. */
#define DISCO_OWN_PERCPU	0x108
/* The value that UserLocal gets together with the next address space. */
#define DISCO_OWN_USERLOCAL	0x110
/* How often cpu_relax() was called. */
#define DISCO_OWN_RELAXED	0x118

#endif /* _ASM_MACH_DISCO_OWN_SLOTS_H */
