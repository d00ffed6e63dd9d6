/* SPDX-License-Identifier: GPL-2.0 */
/* Where a secondary virtual CPU begins: nothing but $a0 is set, its idle thread's thread_info. */
#include <asm/asm.h>
#include <asm/asm-offsets.h>
#include <asm/asmmacro.h>
#include <asm/mipsregs.h>
#include <asm/regdef.h>

	.set	noreorder

NESTED(disco_secondary, 16, sp)
	move	gp, a0
	PTR_LI	sp, _THREAD_SIZE - 32 - PT_SIZE
	PTR_ADDU sp, gp
	lw	t0, TI_CPU(gp)
	PTR_LA	t1, __per_cpu_offset
	dlsa	t1, t0, t1, 3
	ld	t1, 0(t1)
	lui	t0, 0xe000
	sd	t1, DISCO_SLOT(DISCO_OWN_PERCPU)(t0)
	j	smp_bootstrap
	 nop
	END(disco_secondary)
