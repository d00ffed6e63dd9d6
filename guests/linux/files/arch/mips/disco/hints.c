// SPDX-License-Identifier: GPL-2.0
/* Tells the monitor of free memory. */

#include <linux/init.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/page_reporting.h>
#include <linux/scatterlist.h>

#include <asm/mipsregs.h>

/* The monitor maps the linear windows in pieces of this size; less would split one. */
#define PIECE	(2UL << 20)

static int report(struct page_reporting_dev_info *device, struct scatterlist *list,
		  unsigned int count)
{
	struct scatterlist *piece;
	unsigned int i;

	for_each_sg(list, piece, count, i)
		disco_call(DISCO_CALL_PAGE_FREE, sg_phys(piece), piece->length, 0, 0);
	return 0;
}

static struct page_reporting_dev_info device = {
	.report = report,
	.order = ilog2(PIECE / PAGE_SIZE),
};

static int __init hints_init(void)
{
	/* Nothing to free is no error where the call is known. */
	if (disco_call(DISCO_CALL_PAGE_FREE, 0, 0, 0, 0))
		return 0;
	return page_reporting_register(&device);
}
device_initcall(hints_init);
