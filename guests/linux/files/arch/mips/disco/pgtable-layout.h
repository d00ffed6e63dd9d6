/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The layout of page tables for tlb-handlers.S, where Linux's own names are not to be had; tlb.c
 * compares them.
 */
#ifndef DISCO_PGTABLE_LAYOUT_H
#define DISCO_PGTABLE_LAYOUT_H

#define DISCO_PAGE_SHIFT	14
#define DISCO_PGDIR_SHIFT	36
#define DISCO_PGD_BITS		11
#define DISCO_PMD_SHIFT		25
#define DISCO_PMD_BITS		11
#define DISCO_PTE_BITS		11
#define DISCO_GLOBAL_SHIFT	7
#define DISCO_VALID		0x100

#endif
