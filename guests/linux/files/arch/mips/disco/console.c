// SPDX-License-Identifier: GPL-2.0
/* The virtual machine's console: monitor calls behind hvc_console. */

#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/version.h>

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

/* The line stays raised while there is input, so it is masked from its interrupt to the last byte. */
static bool masked;

static hvc_result disco_get_chars(u32 vterm, hvc_char *buffer, hvc_size count)
{
	long taken = disco_call(DISCO_CALL_CONSOLE_READ, __pa(buffer), count, 0, 0);

	if (taken == 0 && masked) {
		masked = false;
		enable_irq(CONSOLE_IRQ);
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

static int disco_console_open(struct hvc_struct *hvc, int irq)
{
	int result;

	irq_set_handler(irq, handle_level_irq);
	result = request_irq(irq, disco_console_interrupt, 0, "console", hvc);
	hvc->irq_requested = !result;
	return result;
}

static void disco_console_close(struct hvc_struct *hvc, int irq)
{
	if (!hvc->irq_requested)
		return;
	if (masked) {
		masked = false;
		enable_irq(irq);
	}
	free_irq(irq, hvc);
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
