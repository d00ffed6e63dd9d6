// SPDX-License-Identifier: GPL-2.0
/*
 * Changes of page tables that other virtual CPUs must notice. One monitor call reaches the TLBs of
 * all of them, also of those that do not run just now; no interrupt goes from CPU to CPU.
 *
 * An address space has an ASID of its own on each CPU where it has run. Another CPU may get a new
 * one while we look: it stores the ASID before it uses it, we look after the page table's change;
 * so either we see the ASID, or that CPU sees the change.
 */

#include <linux/cpumask.h>
#include <linux/export.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/smp.h>

#include <asm/mipsregs.h>
#include <asm/mmu_context.h>
#include <asm/tlbflush.h>

#include "tlb.h"

/* What the monitor is told: an address and an ASID for each virtual CPU. */
struct keys {
	unsigned long key[DISCO_VCPUS_PER_VM];
};

static void shootdown(unsigned long cpus, const struct keys *keys, unsigned long bytes)
{
	if (cpus)
		disco_call(DISCO_CALL_SHOOTDOWN, cpus, __pa(keys), bytes, 0);
}

/* Makes the keys of an address space, and returns the CPUs where it has an ASID. */
static unsigned long find_asids(struct mm_struct *mm, unsigned long address, struct keys *keys)
{
	unsigned long cpus = 0;
	unsigned int cpu;

	smp_mb();
	for_each_online_cpu(cpu) {
		u64 context = READ_ONCE(mm->context.asid[cpu]);

		if (!context)
			continue;
		keys->key[cpu] = address | (context & cpu_asid_mask(&cpu_data[cpu]));
		cpus |= 1UL << cpu;
	}
	return cpus;
}

/*
 * Whether no other CPU runs in the address space, or can begin to: it gets a new ASID there when
 * it does, and nothing has to be forgotten now.
 */
static bool used_here_alone(struct mm_struct *mm)
{
	unsigned int cpu;

	if (num_online_cpus() == 1)
		return true;
	if (atomic_read(&mm->mm_users) != 1 || current->mm != mm)
		return false;
	for_each_online_cpu(cpu)
		if (cpu != smp_processor_id() && cpu_context(cpu, mm))
			set_cpu_context(cpu, mm, 0);
	return true;
}

void flush_tlb_mm(struct mm_struct *mm)
{
	struct keys keys;

	/* It ends: its ASIDs are not used again before everything is forgotten. */
	if (atomic_read(&mm->mm_users) == 0)
		return;
	preempt_disable();
	if (used_here_alone(mm))
		drop_mmu_context(mm);
	else
		shootdown(find_asids(mm, 0, &keys), &keys, DISCO_SHOOTDOWN_ASID);
	preempt_enable();
}

void flush_tlb_range(struct vm_area_struct *vma, unsigned long start, unsigned long end)
{
	struct mm_struct *mm = vma->vm_mm;
	struct keys keys;

	preempt_disable();
	if (used_here_alone(mm)) {
		local_flush_tlb_range(vma, start, end);
	} else {
		start &= PAIR_MASK;
		shootdown(find_asids(mm, start, &keys), &keys,
			  few_pairs(start, end) ? end - start : DISCO_SHOOTDOWN_ASID);
	}
	preempt_enable();
}
EXPORT_SYMBOL(flush_tlb_range);

void flush_tlb_page(struct vm_area_struct *vma, unsigned long page)
{
	flush_tlb_range(vma, page, page + PAGE_SIZE);
}
EXPORT_SYMBOL(flush_tlb_page);

static void shootdown_kernel(unsigned long start, unsigned long bytes)
{
	unsigned int cpu;
	struct keys keys;

	for (cpu = 0; cpu < DISCO_VCPUS_PER_VM; cpu++)
		keys.key[cpu] = start;
	smp_mb();
	shootdown(cpumask_bits(cpu_online_mask)[0], &keys, bytes);
}

void flush_tlb_kernel_range(unsigned long start, unsigned long end)
{
	preempt_disable();
	start &= PAIR_MASK;
	if (num_online_cpus() == 1)
		local_flush_tlb_kernel_range(start, end);
	else
		shootdown_kernel(start, few_pairs(start, end) ? end - start : DISCO_SHOOTDOWN_ALL);
	preempt_enable();
}

void flush_tlb_one(unsigned long page)
{
	flush_tlb_kernel_range(page, page + PAGE_SIZE);
}
EXPORT_SYMBOL(flush_tlb_one);

void flush_tlb_all(void)
{
	preempt_disable();
	if (num_online_cpus() == 1)
		local_flush_tlb_all();
	else
		shootdown_kernel(0, DISCO_SHOOTDOWN_ALL);
	preempt_enable();
}
