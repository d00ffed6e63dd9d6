/* SPDX-License-Identifier: GPL-2.0 */
/* Monitor calls, and the special page's slots as C sees them. */
#ifndef _ASM_MACH_DISCO_MONITOR_CALL_H
#define _ASM_MACH_DISCO_MONITOR_CALL_H

#include "disco.h"
#include "own-slots.h"

/* Low byte of Status in kernel mode: KX, SX, UX, and IE or not. */
#define DISCO_STATUS_IRQS_OFF	0xe0
#define DISCO_STATUS_IRQS_ON	0xe1

#ifndef __ASSEMBLY__

#include <linux/compiler.h>
#include <linux/types.h>

#define disco_slot(offset)						\
	(*(volatile unsigned long *)(DISCO_SPECIAL_PAGE + (offset)))
#define disco_slot32(offset)						\
	(*(volatile int *)(DISCO_SPECIAL_PAGE + (offset) + 4))
#define disco_status_byte						\
	(*(volatile u8 *)(DISCO_SPECIAL_PAGE + DISCO_SP_STATUS + 7))

/* A word of this kernel's own; unlike a slot it changes only when this CPU's code stores it. */
#define disco_own(offset)						\
	(*(unsigned long *)(DISCO_SPECIAL_PAGE + (offset)))

/* A monitor call with up to four arguments. */
static __always_inline long disco_call(unsigned long number, unsigned long arg0,
				       unsigned long arg1, unsigned long arg2, unsigned long arg3)
{
	register unsigned long v0 asm("$2") = number;
	register unsigned long a0 asm("$4") = arg0;
	register unsigned long a1 asm("$5") = arg1;
	register unsigned long a2 asm("$6") = arg2;
	register unsigned long a3 asm("$7") = arg3;

	asm volatile(".word %1"
		     : "+r" (v0)
		     : "n" (DISCO_HYPCALL), "r" (a0), "r" (a1), "r" (a2), "r" (a3)
		     : "memory");
	return v0;
}

/* The call that takes held-back interrupts; it has no arguments. */
static __always_inline void disco_deliver(void)
{
	register unsigned long v0 asm("$2") = DISCO_CALL_DELIVER;

	asm volatile(".word %1" : "+r" (v0) : "n" (DISCO_HYPCALL) : "memory");
}

#endif /* !__ASSEMBLY__ */

#endif /* _ASM_MACH_DISCO_MONITOR_CALL_H */
