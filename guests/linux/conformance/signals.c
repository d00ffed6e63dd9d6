/* Signals: nesting, stacks, masks, what a system call does when one comes. */
#define _GNU_SOURCE
#include "check.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define DEPTH	20

static volatile sig_atomic_t depth, deepest, order_length;
static volatile int order[8];

static void install(int number, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	sigemptyset(&action.sa_mask);
	if (sigaction(number, &action, NULL))
		give_up("sigaction");
}

static void nesting(int number, siginfo_t *info, void *context)
{
	volatile double kept = 1.0 / (depth + 3);
	volatile double before = kept;

	(void)info, (void)context;
	if (++depth > deepest)
		deepest = depth;
	if (depth < DEPTH)
		raise(depth % 2 ? SIGUSR2 : number);
	check("nested-value", kept == before, "%d", depth);
	depth--;
}

static void nested(void)
{
	install(SIGUSR1, nesting, SA_NODEFER);
	install(SIGUSR2, nesting, SA_NODEFER);
	raise(SIGUSR1);
	check("nested", deepest == DEPTH && depth == 0, "%d", deepest);
}

static void in_order(int number, siginfo_t *info, void *context)
{
	(void)info, (void)context;
	if (order_length < 8)
		order[order_length++] = number;
}

/* Blocked signals come when they are let through; a plain one comes once, a queued one each time. */
static void blocked(void)
{
	sigset_t set, before, pending;
	int i;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	install(SIGUSR1, in_order, 0);
	install(SIGRTMIN, in_order, 0);
	sigprocmask(SIG_BLOCK, &set, &before);
	for (i = 0; i < 3; i++) {
		raise(SIGRTMIN);
		raise(SIGUSR1);
	}
	sigpending(&pending);
	check("pending", order_length == 0, "%d %d", sigismember(&pending, SIGUSR1),
	      sigismember(&pending, SIGRTMIN));
	sigprocmask(SIG_SETMASK, &before, NULL);
	report("let-through", "%d: %d %d %d %d", order_length, order[0] == SIGUSR1,
	       order[1] == SIGRTMIN, order[2] == SIGRTMIN, order[3] == SIGRTMIN);
}

static char *stack;
static volatile int on_stack;

static void on_other_stack(int number, siginfo_t *info, void *context)
{
	char here;

	(void)number, (void)info, (void)context;
	on_stack = &here >= stack && &here < stack + SIGSTKSZ * 4;
}

static void other_stack(void)
{
	stack_t other = { .ss_size = SIGSTKSZ * 4 };

	stack = other.ss_sp = malloc(other.ss_size);
	sigaltstack(&other, NULL);
	install(SIGUSR1, on_other_stack, SA_ONSTACK);
	raise(SIGUSR1);
	check("other-stack", on_stack == 1, "%d", on_stack);
	install(SIGUSR1, on_other_stack, 0);
	raise(SIGUSR1);
	check("own-stack", on_stack == 0, "%d", on_stack);
}

static sigjmp_buf back;

static void jump(int number, siginfo_t *info, void *context)
{
	(void)info, (void)context;
	siglongjmp(back, number);
}

/* A stack that overflows is a fault that only a handler on another stack can see. */
static volatile int never;

__attribute__((noinline)) static int endless(volatile int *count)
{
	volatile char space[4096];

	space[0] = ++*count;
	if (never)
		return 0;
	return endless(count) + space[0];
}

static void overflow(void)
{
	volatile int count = 0;
	int number;

	install(SIGSEGV, jump, SA_ONSTACK);
	number = sigsetjmp(back, 1);
	if (!number)
		endless(&count);
	check("stack-overflow", number == SIGSEGV && count > 100, "%d", number);
	signal(SIGSEGV, SIG_DFL);
}

static void tell(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	report("value", "%d code %d", info->si_value.sival_int, info->si_code);
}

static void queued(void)
{
	union sigval value = { .sival_int = 4711 };

	install(SIGRTMIN + 1, tell, 0);
	sigqueue(getpid(), SIGRTMIN + 1, value);
}

/* A read that a timer's signal interrupts: begun again, or ended with EINTR. */
static void interrupted(const char *name, int flags)
{
	struct itimerval timer = { .it_value.tv_usec = 20000 };
	int ends[2], child;
	char byte = 0;
	long result;

	install(SIGALRM, in_order, flags);
	if (pipe(ends))
		give_up("pipe");
	order_length = 0;
	child = fork();
	if (child == 0) {
		usleep(200000);
		_exit(write(ends[1], "x", 1) != 1);
	}
	setitimer(ITIMER_REAL, &timer, NULL);
	result = read(ends[0], &byte, 1);
	report(name, "%ld %s seen %d", result, result < 0 ? strerror(errno) : "", order_length);
	outcome_of(child);
	close(ends[0]);
	close(ends[1]);
}

static void faulting_here(int number, siginfo_t *info, void *context)
{
	(void)context;
	report("arithmetic", "signal %d code %d", number, info->si_code);
	siglongjmp(back, 1);
}

#define ARITHMETIC(text)						\
	do {								\
		if (!sigsetjmp(back, 1))				\
			asm volatile("li $8, 1\n\tli $9, 0\n\tlui $10, 0x7fff\n\t" text \
				     : : : "$8", "$9", "$10");		\
	} while (0)

static void integers(void)
{
	install(SIGFPE, faulting_here, 0);
	install(SIGTRAP, faulting_here, 0);
	install(SIGILL, faulting_here, 0);
	ARITHMETIC("add $8, $10, $10");
	ARITHMETIC("dadd $8, $8, $9\n\tteq $9, $0, 7");
	ARITHMETIC("teq $9, $0, 6");
	ARITHMETIC("tne $8, $0, 0");
	ARITHMETIC("break 0");
	ARITHMETIC("break 6");
	ARITHMETIC("break 7");
	ARITHMETIC("sigrie 3");
	ARITHMETIC(".word 0x42000028");
	ARITHMETIC("mfc0 $8, $12");
	ARITHMETIC("eret");
	ARITHMETIC("wait");
	ARITHMETIC(".word 0x0000003f");
}

void signals(void)
{
	nested();
	blocked();
	other_stack();
	overflow();
	queued();
	interrupted("restarted", SA_RESTART);
	interrupted("not-restarted", 0);
	integers();
}
