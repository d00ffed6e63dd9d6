/* Every FPU instruction on special and random operands, in every rounding mode and with flush to zero. */
#include "check.h"
#include "fpu.h"

#include <stdio.h>

#define RANDOM_OPERANDS	200

/* NAN2008 and ABS2008 are as the CPU has them; these are the settings that programs change. */
static const struct {
	const char *name;
	uint32_t fcsr;
} settings[] = {
	{ "nearest", NEAREST }, { "to-zero", TO_ZERO }, { "up", UP }, { "down", DOWN },
	{ "flush", NEAREST | FCSR_FLUSH },
};
#define SETTINGS	(sizeof(settings) / sizeof(settings[0]))

static const uint64_t doubles[] = {
	0x0000000000000000, 0x8000000000000000, 0x0000000000000001, 0x800fffffffffffff,
	0x0010000000000000, 0x8010000000000001, 0x3ff0000000000000, 0xbff0000000000000,
	0x3fe0000000000000, 0x3ff8000000000000, 0x4000000000000000, 0x3ff0000000000001,
	0x41dfffffffe00000, 0xc1e0000000100000, 0x43e0000000000000, 0x47efffffe0000000,
	0x3690000000000000, 0x7fefffffffffffff, 0xffefffffffffffff, 0x7ff0000000000000,
	0xfff0000000000000, 0x7ff8000000000000, 0x7ff4000000000123, 0xfff8000000000042,
};

static const uint64_t singles[] = {
	0x00000000, 0x80000000, 0x00000001, 0x807fffff, 0x00800000, 0x80800001, 0x3f800000,
	0xbf800000, 0x3f000000, 0x3fc00000, 0x40000000, 0x3f800001, 0x4effffff, 0xcf000001,
	0x5f000000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x7fa00123,
	0xffc00042, 0x33800000, 0x4b000001,
};
#define SPECIALS	(sizeof(doubles) / sizeof(doubles[0]))

/* In and out through general registers: a single is in the low half. */
#define INSTRUCTION(name, text)						\
	static uint64_t name(uint64_t a, uint64_t b, uint64_t c)	\
	{								\
		asm volatile("dmtc1 %0, $f0\n\tdmtc1 %1, $f1\n\tdmtc1 %2, $f2\n\t" text \
			     "\n\tdmfc1 %0, $f2"			\
			     : "+r" (a) : "r" (b), "r" (c) : "$f0", "$f1", "$f2"); \
		return a;						\
	}

/* X(name, instruction, kind): the result and the third operand are in $f2. */
#define TWO(X, op, s)	X(op##_##s, #op "." #s " $f2, $f0, $f1", s)
#define ONE(X, op, s)	X(op##_##s, #op "." #s " $f2, $f0", s)
#define CONVERT(X, op, to, s) X(op##_##to##_##s, #op "." #to "." #s " $f2, $f0", s)
#define COMPARE(X, op, s) X(cmp_##op##_##s, "cmp." #op "." #s " $f2, $f0, $f1", s)

#define FORMAT(X, s)							\
	TWO(X, add, s) TWO(X, sub, s) TWO(X, mul, s) TWO(X, div, s)	\
	TWO(X, maddf, s) TWO(X, msubf, s) TWO(X, min, s) TWO(X, max, s)	\
	TWO(X, mina, s) TWO(X, maxa, s) TWO(X, sel, s) TWO(X, seleqz, s) \
	TWO(X, selnez, s) ONE(X, sqrt, s) ONE(X, recip, s) ONE(X, rsqrt, s) \
	ONE(X, abs, s) ONE(X, neg, s) ONE(X, mov, s) ONE(X, rint, s) ONE(X, class, s) \
	CONVERT(X, cvt, w, s) CONVERT(X, cvt, l, s)			\
	CONVERT(X, round, w, s) CONVERT(X, round, l, s)			\
	CONVERT(X, trunc, w, s) CONVERT(X, trunc, l, s)			\
	CONVERT(X, ceil, w, s) CONVERT(X, ceil, l, s)			\
	CONVERT(X, floor, w, s) CONVERT(X, floor, l, s)			\
	COMPARE(X, af, s) COMPARE(X, un, s) COMPARE(X, eq, s) COMPARE(X, ueq, s) \
	COMPARE(X, lt, s) COMPARE(X, ult, s) COMPARE(X, le, s) COMPARE(X, ule, s) \
	COMPARE(X, saf, s) COMPARE(X, sun, s) COMPARE(X, seq, s) COMPARE(X, sueq, s) \
	COMPARE(X, slt, s) COMPARE(X, sult, s) COMPARE(X, sle, s) COMPARE(X, sule, s) \
	COMPARE(X, or, s) COMPARE(X, une, s) COMPARE(X, ne, s)		\
	COMPARE(X, sor, s) COMPARE(X, sune, s) COMPARE(X, sne, s)

#define ALL(X)								\
	FORMAT(X, d) FORMAT(X, s)					\
	CONVERT(X, cvt, s, d) CONVERT(X, cvt, d, s) CONVERT(X, cvt, d, w) \
	CONVERT(X, cvt, d, l) CONVERT(X, cvt, s, w) CONVERT(X, cvt, s, l)

#define DEFINE(name, text, kind)	INSTRUCTION(name, text)
#define LIST(name, text, kind)		{ #name, name, #kind[0] == 's' || #kind[0] == 'w' },
ALL(DEFINE)

static const struct instruction {
	const char *name;
	uint64_t (*execute)(uint64_t, uint64_t, uint64_t);
	/* Whether the operands are singles, or words. */
	int narrow;
} instructions[] = { ALL(LIST) };

static uint64_t outcome(const struct instruction *instruction, uint32_t fcsr, uint64_t a, uint64_t b)
{
	uint64_t result, hash;

	write_fcsr(fcsr);
	result = instruction->execute(a, b, a ^ b << 7);
	fcsr = read_fcsr();
	write_fcsr(0);
	hash = hashed(HASH_START, instruction->narrow ? (uint32_t)result : result);
	return hashed(hash, fcsr & (FCSR_FLAGS | FCSR_CAUSES));
}

static uint64_t all_outcomes(const struct instruction *instruction, uint32_t fcsr)
{
	const uint64_t *specials = instruction->narrow ? singles : doubles;
	uint64_t hash = HASH_START, state = 7;
	unsigned int i, j;

	for (i = 0; i < SPECIALS; i++)
		for (j = 0; j < SPECIALS; j++)
			hash = hashed(hash, outcome(instruction, fcsr, specials[i], specials[j]));
	for (i = 0; i < RANDOM_OPERANDS; i++) {
		uint64_t a = random_number(&state), b = random_number(&state);

		hash = hashed(hash, outcome(instruction, fcsr, a, b));
	}
	return hash;
}

void fpu_operations(void)
{
	uint32_t implementation;
	unsigned int i, j;
	char name[64];

	asm volatile("cfc1 %0, $0" : "=r" (implementation));
	report("fir", "%08x", implementation);
	report("fcsr", "%08x", read_fcsr());
	for (i = 0; i < sizeof(instructions) / sizeof(instructions[0]); i++) {
		for (j = 0; j < SETTINGS; j++) {
			snprintf(name, sizeof(name), "%s.%s", instructions[i].name, settings[j].name);
			report(name, "%016lx", all_outcomes(&instructions[i], settings[j].fcsr));
		}
	}
}
