// SPDX-License-Identifier: GPL-2.0
/* /proc/disco/ready: a write tells the monitor that there is a shell. */

#include <linux/init.h>
#include <linux/proc_fs.h>

#include <asm/mipsregs.h>

static ssize_t ready_write(struct file *file, const char __user *buffer, size_t count, loff_t *pos)
{
	disco_call(DISCO_CALL_SHELL_READY, 0, 0, 0, 0);
	return count;
}

static const struct proc_ops ready_ops = {
	.proc_write = ready_write,
};

static int __init disco_ready_init(void)
{
	if (!proc_mkdir("disco", NULL) || !proc_create("disco/ready", 0200, NULL, &ready_ops))
		return -ENOMEM;
	return 0;
}
device_initcall(disco_ready_init);
