/* SPDX-License-Identifier: GPL-2.0 */
/* Where a CPU's own variables are: on Disco a word of its special page. */
#ifndef _ASM_PERCPU_H
#define _ASM_PERCPU_H

#if defined(CONFIG_MACH_DISCO) && defined(CONFIG_SMP)
#include <asm/mach-disco/monitor-call.h>

#define __my_cpu_offset		disco_own(DISCO_OWN_PERCPU)
#endif

#include <asm-generic/percpu.h>

#endif /* _ASM_PERCPU_H */
