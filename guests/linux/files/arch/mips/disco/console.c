// SPDX-License-Identifier: GPL-2.0
/* The virtual machine's console: monitor calls behind hvc_console. */

#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/smp.h>
#include <linux/version.h>
#include <linux/workqueue.h>

#include <asm/irq.h>
#include <asm/mipsregs.h>

#include "hvc_console.h"

#define CONSOLE_IRQ	(MIPS_CPU_IRQ_BASE + DISCO_LINE_CONSOLE)
#define CONSOLE_VTERM	0
#define CONSOLE_BUFFER	256

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
typedef char hvc_char;
typedef int hvc_size;
typedef int hvc_result;
#else
typedef u8 hvc_char;
typedef size_t hvc_size;
typedef ssize_t hvc_result;
#endif

/*
 * The line stays raised while there is input, so it is masked from its interrupt to the last byte.
 * It is the first CPU's line, whose mask nobody else can change: what opens, closes and unmasks it
 * runs there.
 */
static bool masked;

static void unmask(struct work_struct *work)
{
	enable_irq(CONSOLE_IRQ);
}
static DECLARE_WORK(unmask_work, unmask);

static hvc_result disco_get_chars(u32 vterm, hvc_char *buffer, hvc_size count)
{
	long taken = disco_call(DISCO_CALL_CONSOLE_READ, __pa(buffer), count, 0, 0);

	if (taken == 0 && masked) {
		masked = false;
		if (smp_processor_id() == 0)
			unmask(NULL);
		else
			schedule_work_on(0, &unmask_work);
	}
	return taken < 0 ? -EIO : taken;
}

static hvc_result disco_put_chars(u32 vterm, const hvc_char *buffer, hvc_size count)
{
	long taken = disco_call(DISCO_CALL_CONSOLE_WRITE, __pa(buffer), count, 0, 0);

	if (taken < 0)
		return -EIO;
	if (taken > 0)
		return taken;
	/* The ring is full. A dying kernel does not wait for whoever should empty it. */
	if (oops_in_progress)
		return count;
	disco_call(DISCO_CALL_YIELD, 0, 0, 0, 0);
	return -EAGAIN;
}

static irqreturn_t disco_console_interrupt(int irq, void *data)
{
	disable_irq_nosync(irq);
	masked = true;
	if (hvc_poll(data))
		hvc_kick();
	return IRQ_HANDLED;
}

static long open_here(void *data)
{
	irq_set_handler(CONSOLE_IRQ, handle_level_irq);
	return request_irq(CONSOLE_IRQ, disco_console_interrupt, 0, "console", data);
}

static int disco_console_open(struct hvc_struct *hvc, int irq)
{
	long result = work_on_cpu(0, open_here, hvc);

	hvc->irq_requested = !result;
	return result;
}

static long close_here(void *data)
{
	flush_work(&unmask_work);
	if (masked) {
		masked = false;
		unmask(NULL);
	}
	free_irq(CONSOLE_IRQ, data);
	return 0;
}

static void disco_console_close(struct hvc_struct *hvc, int irq)
{
	if (!hvc->irq_requested)
		return;
	work_on_cpu(0, close_here, hvc);
	hvc->irq_requested = 0;
}

static const struct hv_ops disco_console_ops = {
	.get_chars = disco_get_chars,
	.put_chars = disco_put_chars,
	.notifier_add = disco_console_open,
	.notifier_del = disco_console_close,
	.notifier_hangup = disco_console_close,
};

static int __init disco_console_early_init(void)
{
	return hvc_instantiate(CONSOLE_VTERM, 0, &disco_console_ops);
}
console_initcall(disco_console_early_init);

static int __init disco_console_init(void)
{
	return PTR_ERR_OR_ZERO(hvc_alloc(CONSOLE_VTERM, CONSOLE_IRQ, &disco_console_ops,
					 CONSOLE_BUFFER));
}
device_initcall(disco_console_init);
