/* The FPU's registers belong to a process, whoever else uses the FPU meanwhile. */
#include "check.h"
#include "fpu.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROCESSES	8
#define ROUNDS		300
/* Passes of a loop that takes longer than a tick of Linux's clock now and then. */
#define SPIN		30000

#define EVERY_REGISTER(X)						\
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) \
	X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)

#define TEXT(x)		#x
#define LOAD(n)		"ldc1 $f" TEXT(n) ", 8*" TEXT(n) "(%1)\n\t"
#define STORE(n)	"sdc1 $f" TEXT(n) ", 8*" TEXT(n) "(%2)\n\t"
#define CLOBBER(n)	"$f" TEXT(n),

/* Loads all registers, lets others run (a system call, or a long loop), stores all registers. */
#define SWITCH(name, meanwhile)						\
	static void name(const uint64_t *before, uint64_t *after, long passes) \
	{								\
		asm volatile(EVERY_REGISTER(LOAD) meanwhile EVERY_REGISTER(STORE) \
			     : "+r" (passes)				\
			     : "r" (before), "r" (after), "i" (SYS_sched_yield) \
			     : EVERY_REGISTER(CLOBBER)			\
			       "$1", "$2", "$3", "$7", "$8", "$9", "$10", "$11", "$12", "$13", \
			       "$14", "$15", "$24", "$25", "memory");	\
	}

SWITCH(by_call, "li $2, %3\n\tsyscall\n\t")
SWITCH(by_preemption, "1: daddiu %0, %0, -1\n\tbnez %0, 1b\n\tnop\n\t")

static volatile sig_atomic_t signals_seen;

/* A handler that uses the FPU must not be seen. */
static void handler(int number)
{
	volatile double value = number;

	write_fcsr(UP);
	value = value / 3.0;
	signals_seen++;
}

static int child(unsigned int number)
{
	uint64_t before[32], after[32], state = number;
	uint32_t mode = number % 4;
	int round, i, different = 0;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < 32; i++)
			before[i] = random_number(&state);
		write_fcsr(mode);
		if (round % 8 == 3)
			raise(SIGUSR1);
		if (round % 2)
			by_call(before, after, 1);
		else
			by_preemption(before, after, SPIN);
		different += memcmp(before, after, sizeof(before)) != 0;
		different += (read_fcsr() & 3) != mode;
	}
	return different > 99 ? 99 : different;
}

void fpu_switches(void)
{
	int children[PROCESSES], i;
	char name[64];

	signal(SIGUSR1, handler);
	for (i = 0; i < PROCESSES; i++) {
		children[i] = fork();
		if (children[i] == 0)
			_exit(child(i));
		if (children[i] < 0)
			give_up("fork");
	}
	for (i = 0; i < PROCESSES; i++) {
		int different = outcome_of(children[i]);

		snprintf(name, sizeof(name), "process-%d", i);
		check(name, different == 0, "different %d of %d", different, ROUNDS);
	}
}
