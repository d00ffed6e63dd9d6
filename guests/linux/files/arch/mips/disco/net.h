/* SPDX-License-Identifier: GPL-2.0 */
#ifndef DISCO_NET_H
#define DISCO_NET_H

#include <linux/build_bug.h>
#include <linux/types.h>

#include <asm/mipsregs.h>

/* As the monitor has them: guests/abi/src/net.rs. */
struct disco_net_info {
	u64 mac;
	u64 address;
	u64 prefix;
	u64 gateway;
	u64 name_server;
};
static_assert(sizeof(struct disco_net_info) == 40);

struct disco_net_peer {
	u64 mac;
	u64 address;
	char name[DISCO_NAME_BYTES];
};
static_assert(sizeof(struct disco_net_peer) == 16 + DISCO_NAME_BYTES);

/* Makes /proc/disco/net and /proc/disco/hosts. */
int disco_net_tell(void);

#endif
