/* SPDX-License-Identifier: GPL-2.0 */
/* Interrupts on and off by a store to the special page; see special-page.h. */
#ifndef _ASM_MACH_DISCO_IRQFLAGS_H
#define _ASM_MACH_DISCO_IRQFLAGS_H

#include "monitor-call.h"

static inline void arch_local_irq_disable(void)
{
	disco_status_byte = DISCO_STATUS_IRQS_OFF;
	barrier();
}

static inline void arch_local_irq_enable(void)
{
	barrier();
	disco_status_byte = DISCO_STATUS_IRQS_ON;
	if (unlikely(disco_slot(DISCO_SP_PENDING)))
		disco_deliver();
}

static inline unsigned long arch_local_save_flags(void)
{
	return disco_status_byte & 1;
}

static inline unsigned long arch_local_irq_save(void)
{
	unsigned long flags = arch_local_save_flags();

	arch_local_irq_disable();
	return flags;
}

static inline void arch_local_irq_restore(unsigned long flags)
{
	if (flags & 1)
		arch_local_irq_enable();
	else
		arch_local_irq_disable();
}

#endif /* _ASM_MACH_DISCO_IRQFLAGS_H */
