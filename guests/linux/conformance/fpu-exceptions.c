/* FPU exceptions that are enabled: SIGFPE, its code, and what is left in the registers. */
#include "check.h"
#include "fpu.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <ucontext.h>

static volatile int code;
static volatile uint32_t fcsr_there;

/* Goes on behind the instruction. */
static void handler(int number, siginfo_t *info, void *context)
{
	ucontext_t *user = context;

	(void)number;
	code = info->si_code;
	fcsr_there = user->uc_mcontext.fpc_csr;
	user->uc_mcontext.fpc_csr &= ~FCSR_CAUSES;
	user->uc_mcontext.pc += 4;
}

#define TRY(name, text)							\
	static uint64_t name(uint64_t a, uint64_t b)			\
	{								\
		uint64_t result = 0x123456789abcdef0;			\
		asm volatile("dmtc1 %1, $f0\n\tdmtc1 %2, $f1\n\tdmtc1 %0, $f2\n\t" text \
			     "\n\tdmfc1 %0, $f2"			\
			     : "+r" (result) : "r" (a), "r" (b) : "$f0", "$f1", "$f2", "memory"); \
		return result;						\
	}

TRY(add, "add.d $f2, $f0, $f1")
TRY(multiply, "mul.d $f2, $f0, $f1")
TRY(divide, "div.d $f2, $f0, $f1")
TRY(square_root, "sqrt.d $f2, $f0")
TRY(compare, "cmp.slt.d $f2, $f0, $f1")
TRY(to_word, "cvt.w.d $f2, $f0")
TRY(to_single, "cvt.s.d $f2, $f0")

static const struct {
	const char *name;
	uint64_t (*execute)(uint64_t, uint64_t);
	uint64_t a, b;
} cases[] = {
	{ "divide-by-zero", divide, 0x3ff0000000000000, 0 },
	{ "zero-by-zero", divide, 0, 0 },
	{ "infinity-minus-infinity", add, 0x7ff0000000000000, 0xfff0000000000000 },
	{ "root-of-negative", square_root, 0xbff0000000000000, 0 },
	{ "overflow", multiply, 0x7fefffffffffffff, 0x7fefffffffffffff },
	{ "underflow", multiply, 0x0010000000000001, 0x3fe0000000000001 },
	{ "subnormal-exact", multiply, 0x0010000000000000, 0x3fe0000000000000 },
	{ "inexact", divide, 0x3ff0000000000000, 0x4008000000000000 },
	{ "exact", add, 0x3ff0000000000000, 0x3ff0000000000000 },
	{ "signalling", add, 0x7ff4000000000123, 0x3ff0000000000000 },
	{ "ordered-compare", compare, 0x7ff8000000000000, 0 },
	{ "word-too-large", to_word, 0x43e0000000000000, 0 },
	{ "single-too-large", to_single, 0x7fefffffffffffff, 0 },
	{ "single-too-small", to_single, 0x3690000000000000, 0 },
};

static const char *const enabled[] = { "inexact", "underflow", "overflow", "division", "invalid" };

static void one(unsigned int index, int exception)
{
	uint64_t result;
	uint32_t fcsr;
	char name[64];

	code = 0;
	fcsr_there = 0;
	write_fcsr(ENABLE(exception));
	result = cases[index].execute(cases[index].a, cases[index].b);
	fcsr = read_fcsr();
	write_fcsr(0);
	snprintf(name, sizeof(name), "%s.%s", cases[index].name, enabled[exception]);
	report(name, "code %d there %05x after %05x result %016lx", code, fcsr_there & 0x3ffff,
	       fcsr & 0x3ffff, result);
}

/* Setting a cause together with its enable raises the exception, too. */
static void by_ctc1(int exception)
{
	char name[64];

	code = 0;
	write_fcsr(ENABLE(exception) | 1 << (12 + exception));
	write_fcsr(0);
	snprintf(name, sizeof(name), "ctc1.%s", enabled[exception]);
	report(name, "code %d", code);
}

void fpu_exceptions(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	unsigned int i;
	int exception;

	sigaction(SIGFPE, &action, NULL);
	for (exception = INEXACT; exception <= INVALID; exception++) {
		for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
			one(i, exception);
		by_ctc1(exception);
	}
}
