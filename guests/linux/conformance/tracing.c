/*
 * ptrace: a debugger's breakpoints, steps, registers and system calls. The CPU has no single step;
 * a debugger puts a break instruction where the program goes next.
 */
#define _GNU_SOURCE
#include "check.h"

#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define BREAK		0x0000000d
#define STEPS		12
/* Where PTRACE_PEEKUSER has the program counter, the general and the floating-point registers. */
#define USER_PC		64
#define USER_FPR	32

/* What is traced: straight on, a call, a branch, a loop. */
long traced(long n);
asm(".text\n.set push\n.set noreorder\n.globl traced\n.type traced, @function\n.ent traced\n"
    "traced:\n"
    "	daddiu $2, $0, 1\n"
    "	daddu $2, $2, $4\n"
    "	dsll $2, $2, 3\n"
    "	daddiu $2, $2, -5\n"
    "	xori $2, $2, 0x55\n"
    "	andi $3, $2, 7\n"
    "	daddu $2, $2, $3\n"
    "	dsll $3, $2, 2\n"
    "	dsubu $2, $3, $2\n"
    "	ori $2, $2, 0x100\n"
    "	daddiu $2, $2, 7\n"
    "	daddiu $2, $2, 9\n"
    "	daddiu $2, $2, 11\n"
    "	jr $31\n"
    "	 nop\n"
    ".end traced\n.set pop\n");

static int child;

static long wait_for(const char *what)
{
	int status;

	if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		give_up(what);
	return WSTOPSIG(status);
}

static uint64_t user(long index)
{
	return ptrace(PTRACE_PEEKUSER, child, index, 0);
}

/* Instructions have 4 bytes, ptrace has words of 8. */
static uint32_t replace(uint64_t address, uint32_t instruction)
{
	uint64_t word = ptrace(PTRACE_PEEKTEXT, child, address & ~7, 0);
	int shift = address & 4 ? 0 : 32;
	uint32_t before = word >> shift;

	word = (word & ~(0xffffffffull << shift)) | (uint64_t)instruction << shift;
	if (ptrace(PTRACE_POKETEXT, child, address & ~7, word))
		give_up("PTRACE_POKETEXT");
	return before;
}

static void go_on(void)
{
	if (ptrace(PTRACE_CONT, child, 0, 0))
		give_up("PTRACE_CONT");
}

static void start(void)
{
	child = fork();
	if (child == 0) {
		volatile double value = 0;

		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		value = traced(5);
		raise(SIGSTOP);
		_exit(value == 1.0 * (long)value ? 17 : 18);
	}
	if (child < 0)
		give_up("fork");
	report("stopped", "%ld", wait_for("SIGSTOP"));
}

static void breakpoint_and_steps(void)
{
	uint64_t place = (uint64_t)traced;
	uint32_t saved = replace(place, BREAK);
	int i;

	go_on();
	report("breakpoint", "signal %ld at %ld", wait_for("breakpoint"), (long)(user(USER_PC) - place));
	report("argument", "%ld", (long)user(4));
	for (i = 0; i < STEPS; i++) {
		char name[32];

		replace(place + 4 * i, saved);
		saved = replace(place + 4 * (i + 1), BREAK);
		go_on();
		wait_for("step");
		snprintf(name, sizeof(name), "step-%d", i);
		report(name, "at %ld: %ld", (long)(user(USER_PC) - place), (long)user(2));
	}
	replace(place + 4 * STEPS, saved);
}

/* A debugger changes a register and a double; the program goes on with them. */
static void registers(void)
{
	struct user_regs { uint64_t all[45]; } registers;
	uint64_t before;

	if (ptrace(PTRACE_GETREGS, child, 0, &registers))
		give_up("PTRACE_GETREGS");
	report("zero", "%lx", registers.all[0]);
	before = user(2);
	ptrace(PTRACE_POKEUSER, child, 2, before + 1000);
	report("changed", "%ld", (long)(user(2) - before));
	ptrace(PTRACE_POKEUSER, child, USER_FPR + 4, 0x4045000000000000);
	report("double", "%lx", user(USER_FPR + 4));
	go_on();
	report("second-stop", "%ld", wait_for("second stop"));
}

/* Each system call stops twice. */
static void calls(void)
{
	int stops = 0, status, last = 0;

	for (;;) {
		ptrace(PTRACE_SYSCALL, child, 0, 0);
		if (waitpid(child, &status, 0) != child)
			give_up("waitpid");
		if (!WIFSTOPPED(status))
			break;
		stops++;
		last = user(2);
	}
	report("calls", "stops %d last %d", stops, last);
	report("exit", "%d", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

/* Each kind of instruction that is written over the program by somebody else is what runs. */
static void patched(void)
{
	uint64_t place = (uint64_t)traced;
	int i, right = 0;

	for (i = 0; i < 50; i++) {
		uint32_t saved;
		int status;

		child = fork();
		if (child == 0) {
			ptrace(PTRACE_TRACEME, 0, 0, 0);
			raise(SIGSTOP);
			_exit(traced(0) & 0xff);
		}
		wait_for("SIGSTOP");
		/* daddiu $2, $2, i in place of daddiu $2, $2, 11 */
		saved = replace(place + 48, 0x64420000 | i);
		go_on();
		waitpid(child, &status, 0);
		right += WIFEXITED(status) && WEXITSTATUS(status) == ((traced(0) - 11 + i) & 0xff);
		(void)saved;
	}
	check("patched", right == 50, "%d of 50", right);
}

static void from_outside(void)
{
	int status;

	child = fork();
	if (child == 0)
		for (;;)
			getppid();
	if (ptrace(PTRACE_ATTACH, child, 0, 0))
		give_up("PTRACE_ATTACH");
	report("attached", "%ld", wait_for("attach"));
	ptrace(PTRACE_CONT, child, 0, SIGTERM);
	waitpid(child, &status, 0);
	report("ended", "%d", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
}

void tracing(void)
{
	start();
	breakpoint_and_steps();
	registers();
	calls();
	patched();
	from_outside();
}
