/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _ASM_MACH_DISCO_CPU_FEATURE_OVERRIDES_H
#define _ASM_MACH_DISCO_CPU_FEATURE_OVERRIDES_H

/* What every Disco virtual CPU has. */
#define cpu_has_tlb			1
#define cpu_has_4kex			1
#define cpu_has_counter			1
#define cpu_has_divec			1
#define cpu_has_llsc			1
#define cpu_has_clo_clz			1
#define cpu_has_prefetch		1
#define cpu_has_rixi			1
#define cpu_has_rixiex			1
#define cpu_has_userlocal		1
#define cpu_has_badinstr		1
#define cpu_has_badinstrp		1

/* What it does not have, or not for this kernel's eyes. */
#define cpu_has_watch			0
#define cpu_has_vce			0
#define cpu_has_ejtag			0
#define cpu_has_mcheck			0
#define cpu_has_dsp			0
#define cpu_has_dsp2			0
#define cpu_has_dsp3			0
#define cpu_has_mips16			0
#define cpu_has_mipsmt			0
#define cpu_has_vp			0
#define cpu_has_eva			0
#define cpu_has_segments		0
#define cpu_has_ldpte			0
#define cpu_has_maar			0
#define cpu_has_mmid			0
#define cpu_has_mvh			0
#define cpu_has_xpa			0
#define cpu_has_lpa			0
#define cpu_has_vz			0
#define cpu_has_cdmm			0
#define cpu_has_ebase_wg		0

/*
 * The monitor's page-table walker never meets a half-written entry, so nothing has to stop it:
 * arch/mips/disco/tlb.c turns it on once, and htw_stop() and htw_start() are empty.
 */
#define cpu_has_htw			0

/* Caches are coherent and need no maintenance. */
#define cpu_has_cache_cdex_p		0
#define cpu_has_cache_cdex_s		0
#define cpu_has_vtag_icache		0
#define cpu_has_dc_aliases		0
#define cpu_has_ic_fills_f_dc		1
#define cpu_has_inclusive_pcaches	0
#define cpu_icache_snoops_remote_store	1
#define cpu_dcache_line_size()		64
#define cpu_icache_line_size()		64

#endif /* _ASM_MACH_DISCO_CPU_FEATURE_OVERRIDES_H */
