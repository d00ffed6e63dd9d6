/*
 * Addition, multiplication, division and square root against integers: every result is computed
 * a second time with 128-bit numbers and rounded by hand, in all four modes.
 */
#include "check.h"
#include "fpu.h"

#include <stdio.h>

#define CASES		5000
#define FRACTION	52
#define BIAS		1023

typedef unsigned __int128 wide;

static const char *const mode_names[] = { "nearest", "to-zero", "up", "down" };

/* What is rounded: (-1)^negative * mantissa * 2^exponent, and a little more if `more`. */
struct exact {
	int negative;
	wide mantissa;
	int exponent;
	int more;
};

struct rounded {
	uint64_t bits;
	int inexact;
};

static int width(wide mantissa)
{
	int bits = 0;

	for (; mantissa; mantissa >>= 1)
		bits++;
	return bits;
}

/* Results stay in the range of normal numbers. */
static struct rounded round_by_hand(struct exact exact, enum rounding mode)
{
	int drop = width(exact.mantissa) - (FRACTION + 1);
	uint64_t kept, sign = (uint64_t)exact.negative << 63;
	int half = 0, rest = exact.more, away;

	if (!exact.mantissa && !exact.more)
		return (struct rounded){ mode == DOWN ? 1ull << 63 : 0, 0 };
	if (drop > 0) {
		half = exact.mantissa >> (drop - 1) & 1;
		rest |= (exact.mantissa & (((wide)1 << (drop - 1)) - 1)) != 0;
		kept = exact.mantissa >> drop;
	} else {
		kept = (uint64_t)exact.mantissa << -drop;
	}
	if (mode == NEAREST)
		away = half && (rest || (kept & 1));
	else
		away = (half || rest) && mode == (exact.negative ? DOWN : UP);
	kept += away;
	if (kept >> (FRACTION + 1)) {
		kept >>= 1;
		drop++;
	}
	return (struct rounded){
		sign | (uint64_t)(exact.exponent + drop + FRACTION + BIAS) << FRACTION |
			(kept & ((1ull << FRACTION) - 1)),
		half || rest,
	};
}

static uint64_t mantissa_of(uint64_t bits)
{
	return (bits & ((1ull << FRACTION) - 1)) | 1ull << FRACTION;
}

static int exponent_of(uint64_t bits)
{
	return (int)(bits >> FRACTION & 0x7ff) - BIAS - FRACTION;
}

static struct exact product(uint64_t a, uint64_t b)
{
	return (struct exact){
		(a ^ b) >> 63, (wide)mantissa_of(a) * mantissa_of(b), exponent_of(a) + exponent_of(b), 0,
	};
}

static struct exact quotient(uint64_t a, uint64_t b)
{
	wide dividend = (wide)mantissa_of(a) << 70;

	return (struct exact){
		(a ^ b) >> 63, dividend / mantissa_of(b), exponent_of(a) - exponent_of(b) - 70,
		dividend % mantissa_of(b) != 0,
	};
}

/* Exponents differ by 50 at most, so everything fits. */
static struct exact sum(uint64_t a, uint64_t b)
{
	int low = exponent_of(a) < exponent_of(b) ? exponent_of(a) : exponent_of(b);
	__int128 x = (__int128)mantissa_of(a) << (exponent_of(a) - low);
	__int128 y = (__int128)mantissa_of(b) << (exponent_of(b) - low);

	x = (a >> 63 ? -x : x) + (b >> 63 ? -y : y);
	return (struct exact){ x < 0, x < 0 ? -x : x, low, 0 };
}

static struct exact square_root(uint64_t a, uint64_t b)
{
	int odd = exponent_of(a) & 1;
	wide square = (wide)mantissa_of(a) << (odd ? 61 : 60), root = 0;
	int bit;

	(void)b;
	for (bit = 62; bit >= 0; bit--) {
		wide with = root | (wide)1 << bit;

		if (with * with <= square)
			root = with;
	}
	return (struct exact){ 0, root, (exponent_of(a) - odd - 60) / 2, root * root != square };
}

#define OPERATION(name, text)						\
	static uint64_t name(uint64_t a, uint64_t b)			\
	{								\
		double result;						\
		asm volatile(text : "=f" (result) : "f" (as_double(a)), "f" (as_double(b))); \
		return bits_of(result);					\
	}

OPERATION(add, "add.d %0, %1, %2")
OPERATION(multiply, "mul.d %0, %1, %2")
OPERATION(divide, "div.d %0, %1, %2")
OPERATION(root, "sqrt.d %0, %1")

static const struct {
	const char *name;
	uint64_t (*by_fpu)(uint64_t, uint64_t);
	struct exact (*by_hand)(uint64_t, uint64_t);
} operations[] = {
	{ "add", add, sum },
	{ "multiply", multiply, product },
	{ "divide", divide, quotient },
	{ "root", root, square_root },
};

/* A normal number with an exponent from -25 to 24; some have few bits set. */
static uint64_t operand(uint64_t *state)
{
	uint64_t random = random_number(state), fraction = random_number(state);

	if (random & 1)
		fraction &= fraction << 13 & fraction << 29;
	return (fraction & 0x800fffffffffffff) | (BIAS - 25 + (random >> 8) % 50) << FRACTION;
}

static void compare(unsigned int operation, enum rounding mode)
{
	uint64_t state = operation * 4 + mode, hash = HASH_START;
	char name[64];
	int i, different = 0, flags_different = 0;

	for (i = 0; i < CASES; i++) {
		uint64_t a = operand(&state), b = operand(&state), bits;
		struct rounded rounded;
		uint32_t fcsr;

		if (operations[operation].by_hand == square_root)
			a &= ~(1ull << 63);
		rounded = round_by_hand(operations[operation].by_hand(a, b), mode);
		write_fcsr(mode);
		bits = operations[operation].by_fpu(a, b);
		fcsr = read_fcsr();
		write_fcsr(0);
		different += bits != rounded.bits;
		flags_different += (fcsr & FCSR_FLAGS) != (rounded.inexact ? FLAG(INEXACT) : 0u);
		hash = hashed(hash, bits);
	}
	snprintf(name, sizeof(name), "%s.%s", operations[operation].name, mode_names[mode]);
	check(name, different == 0 && flags_different == 0, "different %d flags %d of %d hash %016lx",
	      different, flags_different, CASES, hash);
}

void fpu_arithmetic(void)
{
	unsigned int operation, mode;

	for (operation = 0; operation < 4; operation++)
		for (mode = NEAREST; mode <= DOWN; mode++)
			compare(operation, mode);
}
