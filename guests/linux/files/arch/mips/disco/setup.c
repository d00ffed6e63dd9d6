// SPDX-License-Identifier: GPL-2.0
/* What the monitor tells at start, and the two clocks. */

#include <linux/delay.h>
#include <linux/init.h>
#include <linux/initrd.h>
#include <linux/kernel.h>
#include <linux/memblock.h>
#include <linux/string.h>
#include <linux/timekeeping.h>
#include <linux/utsname.h>
#include <linux/version.h>

#include <asm/bootinfo.h>
#include <asm/irq_cpu.h>
#include <asm/mipsregs.h>
#include <asm/time.h>

#include "setup.h"

static unsigned long boot_memory;
static unsigned long boot_count_hz;

unsigned long disco_vcpus __initdata;

const char *get_system_type(void)
{
	return "Disco virtual machine";
}

static unsigned long __init boot_word(unsigned long offset)
{
	return *(unsigned long *)(fw_arg0 + offset);
}

/* Copies what it needs: the boot information lies in memory that is free from here on. */
void __init prom_init(void)
{
	unsigned long initrd;

	disco_shutdown_init();

	/* Lets read_c0_count() work from here on; trap_init() sets the rest. */
	write_c0_hwrena(MIPS_HWRENA_CC);

	if (fw_arg1 != DISCO_BOOT_MAGIC || boot_word(0) != DISCO_BOOT_MAGIC)
		panic("not started by a Disco monitor of this version");
	boot_memory = boot_word(DISCO_BOOT_MEMORY);
	boot_count_hz = boot_word(DISCO_BOOT_COUNT_HZ);
	disco_vcpus = boot_word(DISCO_BOOT_VCPUS);
	strscpy(arcs_cmdline, (char *)(fw_arg0 + DISCO_BOOT_CMDLINE), COMMAND_LINE_SIZE);
	strscpy(init_uts_ns.name.nodename, (char *)(fw_arg0 + DISCO_BOOT_NAME),
		sizeof(init_uts_ns.name.nodename));

	initrd = boot_word(DISCO_BOOT_INITRD);
	if (initrd) {
		initrd_start = (unsigned long)__va(initrd);
		initrd_end = initrd_start + boot_word(DISCO_BOOT_INITRD_LEN);
	}
	disco_smp_init();
}

void __init plat_mem_setup(void)
{
	memblock_add(0, boot_memory);
	/* Before cpu_cache_init(), which derives page protections from it. */
	if (LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0))
		r4k_cache_init();
}

void __init prom_free_prom_memory(void)
{
}

void __init arch_init_irq(void)
{
	mips_cpu_irq_init();
}

void __init plat_time_init(void)
{
	mips_hpt_frequency = boot_count_hz;
	/* No device here needs a delay, so none is measured: some loops a tick of Count. */
	preset_lpj = 4 * boot_count_hz / HZ;
}

void read_persistent_clock64(struct timespec64 *now)
{
	*now = ns_to_timespec64(disco_call(DISCO_CALL_WALL_CLOCK, 0, 0, 0, 0));
}
