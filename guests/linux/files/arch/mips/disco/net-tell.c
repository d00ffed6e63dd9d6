// SPDX-License-Identifier: GPL-2.0
/*
 * What the monitor says of the subnet, for scripts: /proc/disco/net has a line for each of this machine's
 * addresses, /proc/disco/hosts one for each virtual machine, as in /etc/hosts.
 */

#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#include "net.h"

/* The monitor's answers; not on the stack, which may have no physical address that follows from it. */
static DEFINE_MUTEX(lock);
static struct disco_net_info info;
static struct disco_net_peer peer;

static void show(struct seq_file *file, const char *what, u64 address)
{
	__be32 ip = cpu_to_be32(address);

	seq_printf(file, "%s %pI4\n", what, &ip);
}

static int net_show(struct seq_file *file, void *unused)
{
	mutex_lock(&lock);
	if (disco_call(DISCO_CALL_NET_INFO, __pa(&info), 0, 0, 0) == 0) {
		show(file, "address", info.address);
		seq_printf(file, "prefix %llu\n", info.prefix);
		show(file, "gateway", info.gateway);
		show(file, "name_server", info.name_server);
	}
	mutex_unlock(&lock);
	return 0;
}

static int hosts_show(struct seq_file *file, void *unused)
{
	unsigned long number;

	mutex_lock(&lock);
	for (number = 0; disco_call(DISCO_CALL_NET_PEER, number, __pa(&peer), 0, 0) == 1; number++) {
		__be32 ip = cpu_to_be32(peer.address);

		seq_printf(file, "%pI4 %s\n", &ip, peer.name);
	}
	mutex_unlock(&lock);
	return 0;
}

int __init disco_net_tell(void)
{
	if (!proc_create_single("disco/net", 0444, NULL, net_show) ||
	    !proc_create_single("disco/hosts", 0444, NULL, hosts_show))
		return -ENOMEM;
	return 0;
}
