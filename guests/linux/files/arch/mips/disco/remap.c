// SPDX-License-Identifier: GPL-2.0
/* A call in place of a copy. */

#include <linux/bvec.h>
#include <linux/mm.h>
#include <linux/uio.h>

#include <asm/mach-disco/remap.h>
#include <asm/mipsregs.h>

/*
 * Where a whole page goes to a whole page of the kernel's own (the NFS client's page cache), both are from
 * now on the same page of the machine, until one of them is written.
 */
bool disco_remap_to_iter(const void *from, size_t bytes, struct iov_iter *to)
{
	size_t offset;
	void *page;

	if (!iov_iter_is_bvec(to) || bytes != PAGE_SIZE || offset_in_page(from))
		return false;
	offset = to->bvec->bv_offset + to->iov_offset;
	if (offset_in_page(offset) || to->bvec->bv_len < to->iov_offset + PAGE_SIZE ||
	    to->count < PAGE_SIZE)
		return false;
	page = page_address(to->bvec->bv_page) + offset;
	if (disco_call(DISCO_CALL_REMAP, __pa(page), __pa(from), PAGE_SIZE, 0))
		return false;
	iov_iter_advance(to, PAGE_SIZE);
	return true;
}
