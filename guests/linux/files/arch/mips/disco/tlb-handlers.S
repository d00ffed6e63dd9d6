/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Exception handlers for the TLB. An entry that is not valid or not writable is a matter for
 * do_page_fault() at once: what a shorter way would save it loses again in traps.
 */
#include <asm/asm.h>
#include <asm/mipsregs.h>
#include <asm/regdef.h>
#include <asm/stackframe.h>

#include "pgtable-layout.h"

#define SLOT_AT		DISCO_SLOT(DISCO_SP_KSCRATCH)
#define SLOT_PGD	DISCO_SLOT(DISCO_SP_KSCRATCH + 8)
#define SLOT_BADVADDR	DISCO_SLOT(DISCO_SP_BADVADDR)

	.set	noreorder

/* Keeps the page table of user space where the refill handler finds it. */
LEAF(tlbmiss_handler_setup_pgd)
	lui	t0, 0xe000
	jr	ra
	 sd	a0, SLOT_PGD(t0)
	END(tlbmiss_handler_setup_pgd)

/*
 * \pair := address of the pair of page table entries for BadVAddr, from the top table in \pair.
 * k0 holds BadVAddr and is clobbered, k1 the special page's base.
 */
	.macro	find_pair pair
	dextu	k0, k0, DISCO_PGDIR_SHIFT, DISCO_PGD_BITS
	dlsa	\pair, k0, \pair, 3
	ld	k0, SLOT_BADVADDR(k1)
	ld	\pair, 0(\pair)
	dext	k0, k0, DISCO_PMD_SHIFT, DISCO_PMD_BITS
	dlsa	\pair, k0, \pair, 3
	ld	k0, SLOT_BADVADDR(k1)
	ld	\pair, 0(\pair)
	dext	k0, k0, DISCO_PAGE_SHIFT + 1, DISCO_PTE_BITS - 1
	dlsa	\pair, k0, \pair, 4
	.endm

/* EntryLo0 and EntryLo1 := the pair at \pair, which is clobbered. */
	.macro	load_pair pair
	ld	k0, 8(\pair)
	ld	\pair, 0(\pair)
	drotr	k0, k0, DISCO_GLOBAL_SHIFT
	drotr	\pair, \pair, DISCO_GLOBAL_SHIFT
	sd	k0, DISCO_SLOT(DISCO_SP_ENTRYLO1)(k1)
	sd	\pair, DISCO_SLOT(DISCO_SP_ENTRYLO0)(k1)
	.endm

/*
 * The monitor forgets a page in this CPU's TLB whenever another CPU says so, also between the two
 * instructions that read a pair and enter it. So whoever has entered a pair looks at the tables
 * once more: the pair in EntryLo0 and EntryLo1 is still theirs, or it goes back to "again". The
 * top table is in \pair; k0 and k1 as in find_pair.
 */
	.macro	recheck_pair pair again
	sync
	ld	k0, SLOT_BADVADDR(k1)
	find_pair \pair
	ld	k0, 0(\pair)
	drotr	k0, k0, DISCO_GLOBAL_SHIFT
	ld	k1, DISCO_SLOT(DISCO_SP_ENTRYLO0)(k1)
	bne	k0, k1, \again
	 lui	k1, 0xe000
	ld	k0, 8(\pair)
	drotr	k0, k0, DISCO_GLOBAL_SHIFT
	ld	k1, DISCO_SLOT(DISCO_SP_ENTRYLO1)(k1)
	bne	k0, k1, \again
	 lui	k1, 0xe000
	.endm

	.set	noat

/*
 * User space: do_page_fault(). In kernel space the other half of the pair may have been entered
 * before this one was there, and do_page_fault() does not know how to deal with that.
 */
	.macro	handle_invalid handler, page_fault
LEAF(\handler)
	lui	k1, 0xe000
	sd	$1, SLOT_AT(k1)
4:	ld	k0, SLOT_BADVADDR(k1)
	dsrl32	$1, k0, 62 - 32
	beqz	$1, 1f
	 lui	$1, %hi(swapper_pg_dir)
	daddiu	$1, $1, %lo(swapper_pg_dir)
	find_pair $1
	ld	k0, SLOT_BADVADDR(k1)
	dext	k0, k0, DISCO_PAGE_SHIFT, 1
	dlsa	k0, k0, $1, 3
	ld	k0, 0(k0)
	andi	k0, k0, DISCO_VALID
	bnez	k0, 2f
	 nop
1:	ld	$1, SLOT_AT(k1)
	j	\page_fault
	 nop
2:	load_pair $1
	tlbp
	ld	k0, DISCO_SLOT(DISCO_SP_INDEX)(k1)
	bltz	k0, 3f
	 lui	$1, %hi(swapper_pg_dir)
	tlbwi
	b	5f
	 nop
3:	tlbwr
5:	daddiu	$1, $1, %lo(swapper_pg_dir)
	recheck_pair $1, 4b
	ld	$1, SLOT_AT(k1)
	eret
	END(\handler)
	.endm

	handle_invalid handle_tlbl, tlb_do_page_fault_0
	handle_invalid handle_tlbs, tlb_do_page_fault_1

LEAF(handle_tlbm)
	j	tlb_do_page_fault_1
	 nop
	END(handle_tlbm)

/*
 * Copied to the 64-bit refill vector: for vmalloc, modules and fixmap. A user's address comes here
 * only if the walker found a table to be missing or the address to be none; both are errors of
 * the user, or a page that is not there yet.
 */
LEAF(disco_tlb_refill)
	lui	k1, 0xe000
	sd	$1, SLOT_AT(k1)
4:	ld	k0, SLOT_BADVADDR(k1)
	dsrl32	$1, k0, DISCO_PGDIR_SHIFT + DISCO_PGD_BITS - 32
	beqz	$1, 1f
	 ld	$1, SLOT_PGD(k1)
	dsrl32	$1, k0, 62 - 32
	beqz	$1, 2f
	 lui	$1, %hi(swapper_pg_dir)
	daddiu	$1, $1, %lo(swapper_pg_dir)
1:	find_pair $1
	load_pair $1
	tlbwr
	ld	k0, SLOT_BADVADDR(k1)
	dsrl32	k0, k0, 62 - 32
	ld	$1, SLOT_PGD(k1)
	beqz	k0, 3f
	 nop
	lui	$1, %hi(swapper_pg_dir)
	daddiu	$1, $1, %lo(swapper_pg_dir)
3:	recheck_pair $1, 4b
	ld	$1, SLOT_AT(k1)
	eret
2:	ld	$1, SLOT_AT(k1)
	j	tlb_do_page_fault_0
	 nop
	END(disco_tlb_refill)
FEXPORT(disco_tlb_refill_end)
