/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_MACH_DISCO_REMAP_H
#define _ASM_MACH_DISCO_REMAP_H

#include <linux/types.h>

struct iov_iter;

/* Moves a page to where the iterator is, without a copy; false if nothing was done. */
bool disco_remap_to_iter(const void *from, size_t bytes, struct iov_iter *to);

#endif
