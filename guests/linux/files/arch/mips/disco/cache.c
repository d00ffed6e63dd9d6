// SPDX-License-Identifier: GPL-2.0
/* A Disco virtual machine's caches are coherent; there are no cache operations. */

#include <linux/mm.h>
#include <linux/version.h>

#include <asm/cacheflush.h>
#include <asm/page.h>
#include <asm/setup.h>

#include "setup.h"

static void no_flush(void)
{
}

static void no_flush_mm(struct mm_struct *mm)
{
}

static void no_flush_vma(struct vm_area_struct *vma, unsigned long start, unsigned long end)
{
}

static void no_flush_range(unsigned long start, unsigned long end)
{
}

static void no_flush_area(unsigned long address, int size)
{
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
static void no_flush_pointer(void *address)
{
}
#endif

static void no_flush_address(unsigned long address)
{
}

/*
 * In 6.1 cpu_cache_init() calls it for every CPU with caches like the R4000's; later kernels only
 * with the R4000's own cache code, so setup.c does.
 */
void r4k_cache_init(void)
{
	flush_cache_all = no_flush;
	__flush_cache_all = no_flush;
	__flush_cache_vmap = no_flush;
	__flush_cache_vunmap = no_flush;
	flush_icache_all = no_flush;
	flush_cache_mm = no_flush_mm;
	flush_cache_page = no_flush_vma;
	flush_cache_range = no_flush_vma;
	flush_icache_range = no_flush_range;
	local_flush_icache_range = no_flush_range;
	__flush_icache_user_range = no_flush_range;
	__local_flush_icache_user_range = no_flush_range;
	__flush_kernel_vmap_range = no_flush_area;
	flush_data_cache_page = no_flush_address;
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
	local_flush_data_cache_page = no_flush_pointer;
#endif

	/* Cacheable and coherent, for every page. */
	_page_cachable_default = _CACHE_CACHABLE_COW;

	build_clear_page();
	build_copy_page();
}
