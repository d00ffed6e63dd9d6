/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Address map of a Disco virtual machine. The kernel runs in supervisor mode, so the windows on
 * physical memory are not kseg0 and xkphys but lie in the supervisor segments, and the monitor
 * maps them:
 *
 *   0x4000000000000000  physical memory (PAGE_OFFSET)
 *   0x4000400000000000  the same, where Linux wants it uncached
 *   0x4000800000000000  vmalloc, mapped by this kernel
 *   0xffffffffc0000000  the first 256 MiB of physical memory; this kernel is linked here
 *   0xffffffffd0000000  modules and fixmap, mapped by this kernel
 *   0xffffffffdfffc000  the special page
 */
#ifndef _ASM_MACH_DISCO_SPACES_H
#define _ASM_MACH_DISCO_SPACES_H

#include <linux/const.h>

#include "disco.h"

#define CAC_BASE	_AC(0x4000000000000000, UL)
#define UNCAC_BASE	_AC(0x4000400000000000, UL)
#define IO_BASE		UNCAC_BASE
#define MAP_BASE	_AC(0x4000800000000000, UL)
#define FIXADDR_TOP	_AC(0xffffffffdffe0000, UL)

#if DISCO_XSSEG_WINDOW != 0x4000000000000000 || \
	DISCO_XSSEG_UNCACHED_WINDOW != 0x4000400000000000 || \
	DISCO_XSSEG_MAPPED != 0x4000800000000000 || \
	DISCO_CSSEG_WINDOW != 0xffffffffc0000000
#error The address map and disco.h differ.
#endif

#include <asm/mach-generic/spaces.h>

#endif /* _ASM_MACH_DISCO_SPACES_H */
