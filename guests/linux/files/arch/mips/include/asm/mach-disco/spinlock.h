/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The short ways of a queued spinlock: nearly always nobody has it. There are no device registers
 * whose accesses a lock would have to keep in order.
 */
#ifndef _ASM_MACH_DISCO_SPINLOCK_H
#define _ASM_MACH_DISCO_SPINLOCK_H

#include <asm/barrier.h>
#include <asm/compiler.h>

extern void queued_spin_lock_slowpath(struct qspinlock *lock, u32 value);

#define queued_spin_lock queued_spin_lock
static __always_inline void queued_spin_lock(struct qspinlock *lock)
{
	u32 value, taken;

	/* A store-conditional that stores is a barrier as well. */
	asm volatile("	.set	push\n"
		     "	.set	noreorder\n"
		     "1:	ll	%0, %2\n"
		     "	bnez	%0, 2f\n"
		     "	 li	%1, 1\n"
		     "	sc	%1, %2\n"
		     "	beqz	%1, 1b\n"
		     "	 nop\n"
		     "2:	.set	pop\n"
		     : "=&r" (value), "=&r" (taken), "+" GCC_OFF_SMALL_ASM() (lock->val.counter)
		     : : "memory");
	if (unlikely(value))
		queued_spin_lock_slowpath(lock, value);
}

#define queued_spin_unlock queued_spin_unlock
static __always_inline void queued_spin_unlock(struct qspinlock *lock)
{
	smp_store_release(&lock->locked, 0);
}

#endif /* _ASM_MACH_DISCO_SPINLOCK_H */
