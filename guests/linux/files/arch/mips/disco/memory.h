/* SPDX-License-Identifier: GPL-2.0 */
/* How this kernel's memory is named to the monitor. */
#ifndef DISCO_MEMORY_H
#define DISCO_MEMORY_H

#include <linux/build_bug.h>
#include <linux/types.h>

/* A piece of guest-physical memory: guests/abi/src/disk.rs. */
struct disco_segment {
	u64 address;
	u64 bytes;
};
static_assert(sizeof(struct disco_segment) == 16);

#endif
