/* Bits of FCSR, and access to it. */
#ifndef FPU_H
#define FPU_H

#include <stdint.h>
#include <string.h>

enum rounding { NEAREST, TO_ZERO, UP, DOWN };

#define FCSR_FLUSH	(1 << 24)
#define FCSR_FLAGS	0x7c
#define FCSR_CAUSES	0x3f000

/* In the order of the bits of flags, enables and causes. */
enum { INEXACT, UNDERFLOW, OVERFLOW, DIVISION, INVALID };
#define FLAG(exception)		(1 << (2 + (exception)))
#define ENABLE(exception)	(1 << (7 + (exception)))

static inline uint32_t read_fcsr(void)
{
	uint32_t value;

	asm volatile("cfc1 %0, $31" : "=r" (value));
	return value;
}

static inline void write_fcsr(uint32_t value)
{
	asm volatile("ctc1 %0, $31" : : "r" (value));
}

static inline double as_double(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, 8);
	return value;
}

static inline uint64_t bits_of(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, 8);
	return bits;
}

#endif
