/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_MACH_DISCO_CLEAR_PAGES_H
#define _ASM_MACH_DISCO_CLEAR_PAGES_H

#include <linux/mm.h>

#include <asm/mach-disco/monitor-call.h>

/*
 * From so many pages on a call pays. The monitor stores as many words as this kernel's loop, 2,700
 * instructions a page, and its trap costs 2,100: with one page a call takes 1.7 times as long as the loop, with
 * 4 still 1.1 times, with 16 less.
 */
#define DISCO_CLEAR_PAGES_MIN	8

/*
 * Lets the monitor make pages zeros; false if it has not. What is shared (it was a file's) it does not copy
 * first, and what was never used stays without memory.
 */
static inline bool disco_clear_pages(struct page *page, unsigned int count)
{
	return count >= DISCO_CLEAR_PAGES_MIN &&
	       !disco_call(DISCO_CALL_PAGE_ZERO, page_to_phys(page), count * PAGE_SIZE, 0, 0);
}

#endif
