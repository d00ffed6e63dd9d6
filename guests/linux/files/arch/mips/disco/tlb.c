// SPDX-License-Identifier: GPL-2.0
/*
 * TLB of a Disco virtual CPU: one monitor call where the hardware needs several instructions, each
 * of which would trap. The monitor walks the page tables of user space itself, so this kernel sees
 * misses only where an entry is not valid, and those of vmalloc.
 */

#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/string.h>

#include <asm/mipsregs.h>
#include <asm/mmu_context.h>
#include <asm/pgtable.h>
#include <asm/setup.h>
#include <asm/tlbflush.h>

#include "pgtable-layout.h"
#include "tlb.h"

extern char disco_tlb_refill[], disco_tlb_refill_end[];

void tlb_init(void);

void local_flush_tlb_all(void)
{
	disco_call(DISCO_CALL_TLB_FLUSH_ALL, 0, 0, 0, 0);
}

static void flush_pairs(unsigned long start, unsigned long end, unsigned long asid)
{
	unsigned long address;

	for (address = start & PAIR_MASK; address < end; address += PAIR_SIZE)
		disco_call(DISCO_CALL_TLB_FLUSH_PAGE, address | asid, 0, 0, 0);
}

void local_flush_tlb_range(struct vm_area_struct *vma, unsigned long start, unsigned long end)
{
	struct mm_struct *mm = vma->vm_mm;
	int cpu = smp_processor_id();

	if (!cpu_context(cpu, mm))
		return;
	if (few_pairs(start, end))
		flush_pairs(start, end, cpu_asid(cpu, mm));
	else
		drop_mmu_context(mm);
}

void local_flush_tlb_kernel_range(unsigned long start, unsigned long end)
{
	if (few_pairs(start, end))
		flush_pairs(start, end, 0);
	else
		local_flush_tlb_all();
}

void local_flush_tlb_page(struct vm_area_struct *vma, unsigned long page)
{
	local_flush_tlb_range(vma, page, page + PAGE_SIZE);
}

void local_flush_tlb_one(unsigned long page)
{
	flush_pairs(page, page + PAGE_SIZE, 0);
}

/*
 * A page that may be written but not read becomes valid with its first write. Linux leaves that to
 * the TLB's exception handlers.
 */
static void make_valid(pte_t *entry)
{
	unsigned long want = _PAGE_PRESENT | _PAGE_NO_READ | _PAGE_DIRTY;

	if ((pte_val(*entry) & (want | _PAGE_VALID)) == want)
		set_pte(entry, __pte(pte_val(*entry) | _PAGE_VALID));
}

/* Called when a page table entry became valid or writable. */
void __update_tlb(struct vm_area_struct *vma, unsigned long address, pte_t pte)
{
	unsigned long asid = read_c0_entryhi() & cpu_asid_mask(&current_cpu_data);
	pmd_t *pmd;
	pte_t *pair;

	/* A debugger faults a page in for somebody else. */
	if (current->active_mm != vma->vm_mm)
		return;

	address &= PAIR_MASK;
	pmd = pmd_offset(pud_offset(p4d_offset(pgd_offset(vma->vm_mm, address), address), address),
			 address);
	pair = (pte_t *)pmd_page_vaddr(*pmd) + pte_index(address);
	make_valid(&pair[0]);
	make_valid(&pair[1]);
	disco_call(DISCO_CALL_TLB_INSERT, address | asid, pte_to_entrylo(pte_val(pair[0])),
		   pte_to_entrylo(pte_val(pair[1])), PM_DEFAULT_MASK);
}

void disco_switch_mm(unsigned long asid, void *pgd)
{
	unsigned long userlocal = disco_own(DISCO_OWN_USERLOCAL);

	/* See shootdown.c: the ASID is known before it is used. */
	smp_mb();
	tlbmiss_handler_setup_pgd((unsigned long)pgd);
	if (!userlocal)
		userlocal = disco_slot(DISCO_SP_USERLOCAL);
	disco_call(DISCO_CALL_CONTEXT, asid, (unsigned long)pgd, userlocal, 0);
}

/* The layout of the page tables, as the architecture's walker wants to know it. */
static void start_walker(void)
{
	unsigned long field = read_c0_pwfield();
	unsigned long size;

	field &= ~(MIPS_PWFIELD_GDI_MASK | MIPS_PWFIELD_MDI_MASK | MIPS_PWFIELD_PTI_MASK |
		   MIPS_PWFIELD_PTEI_MASK);
	field |= (unsigned long)PGDIR_SHIFT << MIPS_PWFIELD_GDI_SHIFT;
	field |= PMD_SHIFT << MIPS_PWFIELD_MDI_SHIFT;
	field |= PAGE_SHIFT << MIPS_PWFIELD_PTI_SHIFT;
	field |= _PAGE_GLOBAL_SHIFT << MIPS_PWFIELD_PTEI_SHIFT;
	write_c0_pwfield(field);

	size = MIPS_PWSIZE_PS_MASK;
	size |= (unsigned long)ilog2(PTRS_PER_PGD) << MIPS_PWSIZE_GDW_SHIFT;
	size |= ilog2(PTRS_PER_PMD) << MIPS_PWSIZE_MDW_SHIFT;
	size |= ilog2(PTRS_PER_PTE) << MIPS_PWSIZE_PTW_SHIFT;
	write_c0_pwsize(size);

	write_c0_pwctl(1U << MIPS_PWCTL_PWEN_SHIFT | MIPS_PWCTL_XU_MASK);
}

void tlb_init(void)
{
	BUILD_BUG_ON(DISCO_PAGE_SHIFT != PAGE_SHIFT);
	BUILD_BUG_ON(DISCO_PGDIR_SHIFT != PGDIR_SHIFT);
	BUILD_BUG_ON(DISCO_PMD_SHIFT != PMD_SHIFT);
	BUILD_BUG_ON(1 << DISCO_PGD_BITS != PTRS_PER_PGD);
	BUILD_BUG_ON(1 << DISCO_PMD_BITS != PTRS_PER_PMD);
	BUILD_BUG_ON(1 << DISCO_PTE_BITS != PTRS_PER_PTE);
	BUILD_BUG_ON(DISCO_GLOBAL_SHIFT != _PAGE_GLOBAL_SHIFT);
	BUILD_BUG_ON(DISCO_VALID != _PAGE_VALID);

	write_c0_pagemask(PM_DEFAULT_MASK);
	write_c0_wired(0);
	set_c0_pagegrain(PG_RIE | PG_XIE);
	local_flush_tlb_all();

	/* 64-bit refill vector; caches have no errors, so their vector's 128 bytes are free, too. */
	BUG_ON(disco_tlb_refill_end - disco_tlb_refill > 0x100);
	if (smp_processor_id() == 0)
		memcpy((void *)(ebase + 0x80), disco_tlb_refill,
		       disco_tlb_refill_end - disco_tlb_refill);
	start_walker();
}
