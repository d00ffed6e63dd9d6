/* SPDX-License-Identifier: GPL-2.0 */
#ifndef DISCO_TLB_H
#define DISCO_TLB_H

#include <asm/page.h>

/* More pairs than this are forgotten with their address space. */
#define FLUSH_PAIRS_MAX		16

#define PAIR_SIZE		(2 * PAGE_SIZE)
#define PAIR_MASK		(~(PAIR_SIZE - 1))

static inline bool few_pairs(unsigned long start, unsigned long end)
{
	return end - (start & PAIR_MASK) <= FLUSH_PAIRS_MAX * PAIR_SIZE;
}

#endif
