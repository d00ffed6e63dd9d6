/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The special page: privileged registers of the virtual CPU that have no side effect, as memory.
 * Slots are 8 bytes wide; 32-bit registers are kept sign-extended. What is not taken from here
 * traps into the monitor, which costs some 200 instructions.
 *
 * An interrupt that came while Status did not let it through is delivered by the monitor only when
 * it is entered next. Therefore whoever sets IE (or clears EXL with IE set) by a store looks at
 * the slot "pending" afterwards and makes the call "deliver". If the interrupt comes between the
 * store and the look, the handler has run and the slot is 0; if it comes between the look and the
 * call, the call finds nothing to do.
 */
#ifndef _ASM_MACH_DISCO_SPECIAL_PAGE_H
#define _ASM_MACH_DISCO_SPECIAL_PAGE_H

#include "monitor-call.h"

#if DISCO_SPECIAL_PAGE != 0xffffffffdfffc000
#error The special page is expected at the end of the supervisor segment.
#endif

#ifdef __ASSEMBLY__

/* A slot's address is this much above lui 0xe000. */
#define DISCO_SLOT(offset)	((offset) - 0x4000)

/* Sets disco_slot to a register's offset in the special page, or to -1. */
	.macro	disco_find_slot rd, sel
	.set	disco_slot, -1
	.ifc	\sel, 0
	.ifc	\rd, $8
	.set	disco_slot, DISCO_SP_BADVADDR
	.endif
	.ifc	\rd, $12
	.set	disco_slot, DISCO_SP_STATUS
	.endif
	.ifc	\rd, $13
	.set	disco_slot, DISCO_SP_CAUSE
	.endif
	.ifc	\rd, $14
	.set	disco_slot, DISCO_SP_EPC
	.endif
	.endif
	.endm

/* The instruction itself; some of Linux is assembled for CPUs whose CP0 has no selects. */
	.macro	disco_real op, rt, rd, sel
	.ifc	\sel, 0
	\op	\rt, \rd
	.else
	\op	\rt, \rd, \sel
	.endif
	.endm

	.macro	disco_mfc0 rt, rd, sel=0
	disco_find_slot \rd, \sel
	.if	disco_slot < 0
	disco_real mfc0, \rt, \rd, \sel
	.else
	lui	\rt, 0xe000
	ld	\rt, DISCO_SLOT(disco_slot)(\rt)
	.endif
	.endm

	.macro	disco_dmfc0 rt, rd, sel=0
	disco_find_slot \rd, \sel
	.if	disco_slot < 0
	disco_real dmfc0, \rt, \rd, \sel
	.else
	lui	\rt, 0xe000
	ld	\rt, DISCO_SLOT(disco_slot)(\rt)
	.endif
	.endm

/*
 * Status and EPC are written only where no interrupt can come in, so k1 is free; not so where the
 * value is in k0 or k1, as in handle_ri_rdhwr: those trap.
 */
	.macro	disco_store_slot rt
	.ifc	\rt, $26
	.set	disco_slot, -1
	.endif
	.ifc	\rt, $27
	.set	disco_slot, -1
	.endif
	.if	disco_slot == DISCO_SP_STATUS || disco_slot == DISCO_SP_EPC
	lui	$27, 0xe000
	sd	\rt, DISCO_SLOT(disco_slot)($27)
	.else
	.set	disco_slot, -1
	.endif
	.endm

	.macro	disco_mtc0 rt, rd, sel=0
	disco_find_slot \rd, \sel
	disco_store_slot \rt
	.if	disco_slot < 0
	disco_real mtc0, \rt, \rd, \sel
	.endif
	.endm

	.macro	disco_dmtc0 rt, rd, sel=0
	disco_find_slot \rd, \sel
	disco_store_slot \rt
	.if	disco_slot < 0
	disco_real dmtc0, \rt, \rd, \sel
	.endif
	.endm

/* Takes a held-back interrupt; clobbers tmp and, if there was one, v0. */
	.macro	disco_deliver tmp
	lui	\tmp, 0xe000
	ld	\tmp, DISCO_SLOT(DISCO_SP_PENDING)(\tmp)
	beqz	\tmp, .Lnothing_pending\@
	li	$2, DISCO_CALL_DELIVER
	.word	DISCO_HYPCALL
.Lnothing_pending\@:
	.endm

/* The same where v0 was saved in the exception frame and is needed again. */
	.macro	disco_deliver_saved tmp
	lui	\tmp, 0xe000
	ld	\tmp, DISCO_SLOT(DISCO_SP_PENDING)(\tmp)
	beqz	\tmp, .Lnothing_pending\@
	li	$2, DISCO_CALL_DELIVER
	.word	DISCO_HYPCALL
	LONG_L	$2, PT_R2($29)
.Lnothing_pending\@:
	.endm

/* The kernel's stack of the thread that runs, as stackframe.h wants it. */
	.macro	get_saved_sp docfi=0 tosp=0
	lui	k1, 0xe000
	.if	\tosp
	move	k0, sp
	.if	\docfi
	.cfi_register sp, k0
	.endif
	LONG_L	sp, DISCO_SLOT(DISCO_OWN_KERNELSP)(k1)
	.else
	LONG_L	k1, DISCO_SLOT(DISCO_OWN_KERNELSP)(k1)
	.endif
	.endm

	.macro	set_saved_sp stackp temp temp2
	lui	\temp, 0xe000
	LONG_S	\stackp, DISCO_SLOT(DISCO_OWN_KERNELSP)(\temp)
	.endm

	.macro	disco_store_status_byte value reg
	.set	push
	.set	noat
	li	\reg, \value
	lui	$1, 0xe000
	sb	\reg, DISCO_SLOT(DISCO_SP_STATUS + 7)($1)
	.set	pop
	.endm

	.macro	local_irq_enable reg=t0
	disco_store_status_byte DISCO_STATUS_IRQS_ON \reg
	disco_deliver \reg
	.endm

	.macro	local_irq_disable reg=t0
	disco_store_status_byte DISCO_STATUS_IRQS_OFF \reg
	.endm

#define mfc0	disco_mfc0
#define dmfc0	disco_dmfc0
#define mtc0	disco_mtc0
#define dmtc0	disco_dmtc0

#else /* !__ASSEMBLY__ */

/*
 * Bits that are cleared may wait until the monitor looks next. Bits that are set may have to act
 * at once: an interrupt's mask, the FPU.
 */
static inline void disco_write_status(unsigned int value)
{
	if (value & ~(unsigned int)disco_slot32(DISCO_SP_STATUS))
		__write_32bit_c0_register($12, 0, value);
	else
		disco_slot(DISCO_SP_STATUS) = (int)value;
	barrier();
}

/* One call for an address space and UserLocal. */
extern void disco_switch_mm(unsigned long asid, void *pgd);

/* Called by the scheduler before it switches the address space. */
#define prepare_arch_switch(next)	\
	(disco_own(DISCO_OWN_USERLOCAL) = task_thread_info(next)->tp_value)

/* A kernel thread's is 0 and nobody looks at it: what is there stays. */
static inline void disco_write_userlocal(unsigned long value)
{
	disco_own(DISCO_OWN_USERLOCAL) = value;
	if (value && value != disco_slot(DISCO_SP_USERLOCAL))
		asm volatile("dmtc0 %0, $4, 2" : : "r" (value));
}

/* Clears LLbit without a trap: a store-conditional does. */
static inline void disco_clear_llbit(void)
{
	unsigned int nowhere = 0, zero = 0;

	asm volatile("sc %0, %1" : "+r" (zero), "=ZC" (nowhere));
}

/* Count without a trap; HWREna lets rdhwr read it from prom_init() on. */
static inline unsigned int disco_read_count(void)
{
	unsigned int count;

	asm volatile("rdhwr %0, $2" : "=r" (count));
	return count;
}

#undef read_c0_index
#undef write_c0_index
#undef read_c0_entrylo0
#undef write_c0_entrylo0
#undef read_c0_entrylo1
#undef write_c0_entrylo1
#undef read_c0_pagemask
#undef write_c0_pagemask
#undef write_c0_userlocal
#undef read_c0_badvaddr
#undef read_c0_badinstr
#undef read_c0_badinstrp
#undef read_c0_count
#undef read_c0_entryhi
#undef read_c0_status
#undef write_c0_status
#undef read_c0_cause
#undef read_c0_epc
#undef write_c0_lladdr

#define read_c0_index()			disco_slot32(DISCO_SP_INDEX)
#define write_c0_index(val)		(disco_slot(DISCO_SP_INDEX) = (int)(val))
#define read_c0_entrylo0()		disco_slot(DISCO_SP_ENTRYLO0)
#define write_c0_entrylo0(val)		(disco_slot(DISCO_SP_ENTRYLO0) = (val))
#define read_c0_entrylo1()		disco_slot(DISCO_SP_ENTRYLO1)
#define write_c0_entrylo1(val)		(disco_slot(DISCO_SP_ENTRYLO1) = (val))
#define read_c0_pagemask()		((unsigned int)disco_slot32(DISCO_SP_PAGEMASK))
#define write_c0_pagemask(val)		(disco_slot(DISCO_SP_PAGEMASK) = (int)(val))
#define write_c0_userlocal(val)		disco_write_userlocal(val)
#define read_c0_badvaddr()		disco_slot(DISCO_SP_BADVADDR)
#define read_c0_badinstr()		((unsigned int)disco_slot32(DISCO_SP_BADINSTR))
#define read_c0_badinstrp()		((unsigned int)disco_slot32(DISCO_SP_BADINSTRP))
#define read_c0_count()			disco_read_count()
#define read_c0_entryhi()		disco_slot(DISCO_SP_ENTRYHI)
#define read_c0_status()		((unsigned int)disco_slot32(DISCO_SP_STATUS))
#define write_c0_status(val)		disco_write_status(val)
#define read_c0_cause()			((unsigned int)disco_slot32(DISCO_SP_CAUSE))
#define read_c0_epc()			disco_slot(DISCO_SP_EPC)
#define write_c0_lladdr(val)		disco_clear_llbit()

#endif /* !__ASSEMBLY__ */

#endif /* _ASM_MACH_DISCO_SPECIAL_PAGE_H */
