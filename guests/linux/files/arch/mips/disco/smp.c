// SPDX-License-Identifier: GPL-2.0
/* Several virtual CPUs: how they start, stop, and tell each other something. */

#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/percpu.h>
#include <linux/sched/hotplug.h>
#include <linux/sched/task_stack.h>
#include <linux/smp.h>
#include <linux/version.h>

#include <asm/irq.h>
#include <asm/mipsregs.h>
#include <asm/processor.h>
#include <asm/smp-ops.h>
#include <asm/smp.h>

#include "setup.h"

#define IPI_IRQ			(MIPS_CPU_IRQ_BASE + DISCO_LINE_IPI)

/* cpu_relax() gives the CPU to somebody else every so many times. */
#define RELAXED_PER_YIELD	256

void disco_secondary(void);

/* The actions of asm/smp.h are bits already, so they are the messages. */
static irqreturn_t disco_ipi(int irq, void *data)
{
	unsigned long messages = disco_call(DISCO_CALL_IPI_TAKE, 0, 0, 0, 0);

	if (messages & SMP_RESCHEDULE_YOURSELF)
		scheduler_ipi();
	if (messages & SMP_CALL_FUNCTION)
		generic_smp_call_function_interrupt();
	return IRQ_HANDLED;
}

static void disco_send_ipi_mask(const struct cpumask *mask, unsigned int action)
{
	/* What the message is about is in memory before the message is. */
	smp_mb();
	disco_call(DISCO_CALL_IPI_SEND, cpumask_bits(mask)[0], action, 0, 0);
}

static void disco_send_ipi_single(int cpu, unsigned int action)
{
	disco_send_ipi_mask(cpumask_of(cpu), action);
}

static void __init disco_smp_setup(void)
{
	unsigned int cpu;

	BUILD_BUG_ON(NR_CPUS > BITS_PER_LONG);
	for (cpu = 0; cpu < min_t(unsigned long, disco_vcpus, NR_CPUS); cpu++) {
		set_cpu_possible(cpu, true);
		set_cpu_present(cpu, true);
		__cpu_number_map[cpu] = cpu;
		__cpu_logical_map[cpu] = cpu;
	}
}

static void __init disco_prepare_cpus(unsigned int max_cpus)
{
	if (num_possible_cpus() == 1)
		return;
	if (request_irq(IPI_IRQ, disco_ipi, IRQF_PERCPU | IRQF_NO_THREAD, "ipi", NULL))
		panic("no interrupt for messages between CPUs");
}

static void disco_prepare_boot_cpu(void)
{
	disco_own(DISCO_OWN_PERCPU) = per_cpu_offset(0);
}

static int disco_boot_secondary(int cpu, struct task_struct *idle)
{
	long error = disco_call(DISCO_CALL_CPU_START, cpu, (unsigned long)disco_secondary,
				(unsigned long)task_thread_info(idle), 0);

	if (error)
		pr_err("CPU%d: the monitor does not start it: error %ld\n", cpu, error);
	return error ? -EIO : 0;
}

/* request_irq() lets interrupts through on the CPU that calls it alone. */
static void disco_init_secondary(void)
{
	change_c0_status(ST0_IM, 0x100 << DISCO_LINE_IPI | 0x100 << DISCO_LINE_TIMER);
}

static void disco_smp_finish(void)
{
	local_irq_enable();
}

/*
 * Whoever is waited for may be a virtual CPU that is not running just now. Called by cpu_relax().
 */
void disco_relax(void)
{
	barrier();
	if (++disco_own(DISCO_OWN_RELAXED) % RELAXED_PER_YIELD == 0 && num_possible_cpus() > 1)
		disco_call(DISCO_CALL_YIELD, 0, 0, 0, 0);
	barrier();
}
EXPORT_SYMBOL(disco_relax);

#ifdef CONFIG_HOTPLUG_CPU

static int disco_cpu_disable(void)
{
	unsigned int cpu = smp_processor_id();

	/* The console's interrupt goes there. */
	if (cpu == 0)
		return -EBUSY;
	set_cpu_online(cpu, false);
	calculate_cpu_foreign_map();
	return 0;
}

/* The rest of a CPU's life after its idle thread has left the idle loop. */
void play_dead(void)
{
	idle_task_exit();
	local_irq_disable();
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
	(void)cpu_report_death();
#else
	cpuhp_ap_report_dead();
#endif
	for (;;)
		disco_call(DISCO_CALL_CPU_STOP, 0, 0, 0, 0);
}

static void wait_until_off(unsigned int cpu)
{
	while (disco_call(DISCO_CALL_CPU_STATE, cpu, 0, 0, 0) > 0)
		disco_call(DISCO_CALL_YIELD, 0, 0, 0, 0);
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
static void disco_cpu_die(unsigned int cpu)
{
	if (cpu_wait_death(cpu, 5))
		wait_until_off(cpu);
	else
		pr_err("CPU%u: did not stop\n", cpu);
}
#else
static void disco_cpu_die(unsigned int cpu)
{
}

static void disco_cleanup_dead_cpu(unsigned int cpu)
{
	wait_until_off(cpu);
}
#endif

#endif /* CONFIG_HOTPLUG_CPU */

static const struct plat_smp_ops disco_smp_ops = {
	.send_ipi_single = disco_send_ipi_single,
	.send_ipi_mask = disco_send_ipi_mask,
	.init_secondary = disco_init_secondary,
	.smp_finish = disco_smp_finish,
	.boot_secondary = disco_boot_secondary,
	.smp_setup = disco_smp_setup,
	.prepare_cpus = disco_prepare_cpus,
	.prepare_boot_cpu = disco_prepare_boot_cpu,
#ifdef CONFIG_HOTPLUG_CPU
	.cpu_disable = disco_cpu_disable,
	.cpu_die = disco_cpu_die,
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
	.cleanup_dead_cpu = disco_cleanup_dead_cpu,
#endif
#endif
};

void __init disco_smp_init(void)
{
	register_smp_ops(&disco_smp_ops);
}
