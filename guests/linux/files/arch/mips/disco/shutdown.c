// SPDX-License-Identifier: GPL-2.0
/* How the virtual machine ends: power off, restart, panic. */

#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/notifier.h>
#include <linux/panic_notifier.h>
#include <linux/pm.h>
#include <linux/string.h>

#include <asm/mipsregs.h>
#include <asm/reboot.h>

#include "setup.h"

static void disco_shutdown(unsigned long reason, const char *message)
{
	/* Static: the caller's text may be where the monitor does not reach, the stack may be too small. */
	static char text[DISCO_MESSAGE_MAX];
	ssize_t length = strscpy(text, message, sizeof(text));

	if (length < 0)
		length = sizeof(text) - 1;
	for (;;)
		disco_call(DISCO_CALL_SHUTDOWN, reason, __pa(text), length, 0);
}

static void disco_power_off(void)
{
	disco_shutdown(DISCO_SHUTDOWN_POWER_OFF, "");
}

static void disco_restart(char *command)
{
	disco_shutdown(DISCO_SHUTDOWN_REBOOT, "");
}

static int disco_panic(struct notifier_block *block, unsigned long event, void *message)
{
	disco_shutdown(DISCO_SHUTDOWN_PANIC, message);
	return NOTIFY_DONE;
}

/* Last, after everything that wants to print or save something. */
static struct notifier_block disco_panic_block = {
	.notifier_call = disco_panic,
	.priority = INT_MIN,
};

/* Called by prom_init(), so that even an early panic has a reason that somebody reads. */
void __init disco_shutdown_init(void)
{
	_machine_restart = disco_restart;
	_machine_halt = disco_power_off;
	pm_power_off = disco_power_off;
	atomic_notifier_chain_register(&panic_notifier_list, &disco_panic_block);
}
