/* Load-linked and store-conditional: counters and locks of four threads that preempt each other. */
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS		4
#define STEPS		200000
#define YIELDING_STEPS	5000

struct shared {
	volatile uint32_t word;
	volatile uint64_t doubleword;
	volatile uint64_t yielding;
	volatile uint32_t lock;
	volatile uint64_t guarded[2];
	volatile uint8_t bytes[8];
};

static struct shared *shared;

static void add_word(volatile uint32_t *to)
{
	uint32_t value, done;

	asm volatile("1: ll %0, %2\n\taddiu %1, %0, 1\n\tsc %1, %2\n\tbeqz %1, 1b\n\tnop"
		     : "=&r" (value), "=&r" (done), "+ZC" (*to) : : "memory");
}

static void add_doubleword(volatile uint64_t *to)
{
	uint64_t value, done;

	asm volatile("1: lld %0, %2\n\tdaddiu %1, %0, 1\n\tscd %1, %2\n\tbeqz %1, 1b\n\tnop"
		     : "=&r" (value), "=&r" (done), "+ZC" (*to) : : "memory");
}

/* Another thread may well come between the two halves. */
static void add_slowly(volatile uint64_t *to)
{
	uint64_t value, done, count;

	asm volatile("1: lld %0, %3\n\tli %2, 50\n2: daddiu %2, %2, -1\n\tbnez %2, 2b\n\tnop\n\t"
		     "daddiu %1, %0, 1\n\tscd %1, %3\n\tbeqz %1, 1b\n\tnop"
		     : "=&r" (value), "=&r" (done), "=&r" (count), "+ZC" (*to) : : "memory");
}

static void take(volatile uint32_t *lock)
{
	uint32_t value;

	for (;;) {
		asm volatile("1: ll %0, %1\n\tbnez %0, 2f\n\tnop\n\tli %0, 1\n\tsc %0, %1\n\t"
			     "beqz %0, 1b\n\tnop\n\tsync\n\tli %0, 0\n2:"
			     : "=&r" (value), "+ZC" (*lock) : : "memory");
		if (!value)
			return;
		sched_yield();
	}
}

static void give_back(volatile uint32_t *lock)
{
	asm volatile("sync" : : : "memory");
	*lock = 0;
}

static void *thread(void *argument)
{
	long number = (long)argument;
	int i;

	for (i = 0; i < STEPS; i++) {
		add_word(&shared->word);
		add_doubleword(&shared->doubleword);
		__atomic_fetch_add(&shared->bytes[number], 1, __ATOMIC_RELAXED);
	}
	for (i = 0; i < YIELDING_STEPS; i++) {
		add_slowly(&shared->yielding);
		take(&shared->lock);
		shared->guarded[0]++;
		if (i % 64 == 0)
			sched_yield();
		shared->guarded[1] += shared->guarded[0];
		give_back(&shared->lock);
	}
	return NULL;
}

static void results(const char *place)
{
	uint64_t all = (uint64_t)THREADS * YIELDING_STEPS;
	char name[64];
	int i, bytes = 0;

#define RESULT(what, got, want)						\
	do {								\
		snprintf(name, sizeof(name), "%s.%s", place, what);	\
		check(name, (got) == (want), "%lu", (unsigned long)(got)); \
	} while (0)

	RESULT("word", shared->word, (uint32_t)THREADS * STEPS);
	RESULT("doubleword", shared->doubleword, (uint64_t)THREADS * STEPS);
	RESULT("slow", shared->yielding, all);
	RESULT("locked", shared->guarded[0], all);
	RESULT("locked-sum", shared->guarded[1], all * (all + 1) / 2);
	for (i = 0; i < 8; i++)
		bytes += shared->bytes[i] == (i < THREADS ? STEPS % 256 : 0);
	RESULT("bytes", bytes, 8);
}

static void among_threads(void)
{
	pthread_t threads[THREADS];
	long i;

	for (i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, thread, (void *)i))
			give_up("pthread_create");
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	results("threads");
}

static void among_processes(void)
{
	int children[THREADS], i;

	memset((void *)shared, 0, sizeof(*shared));
	for (i = 0; i < THREADS; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			thread((void *)(long)i);
			_exit(0);
		}
	}
	for (i = 0; i < THREADS; i++)
		outcome_of(children[i]);
	results("processes");
}

/*
 * Whether a system call between the halves breaks the pair: Linux returns from it with eretnc, which does
 * not. A change of tasks does, natively, and one of virtual CPUs in a virtual machine, so that a few
 * in a hundred say nothing.
 */
static void broken_by_a_call(void)
{
	uint64_t stored;
	int i, broken = 0;

	for (i = 0; i < 100; i++) {
		asm volatile("lld $8, 0(%1)\n\tli $2, %2\n\tsyscall\n\tli %0, 1\n\tscd %0, 0(%1)"
			     : "=&r" (stored) : "r" (&shared->doubleword), "i" (SYS_getppid)
			     : "$1", "$2", "$3", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14",
			       "$15", "$24", "$25", "memory");
		broken += !stored;
	}
	report("broken-by-a-call", "%s", broken < 10 ? "no" : broken > 90 ? "yes" : "at times");
}

static void without_load_linked(void)
{
	uint64_t stored;

	asm volatile("li $2, %2\n\tsyscall\n\tli %0, 1\n\tscd %0, 0(%1)"
		     : "=&r" (stored) : "r" (&shared->doubleword), "i" (SYS_getppid)
		     : "$1", "$2", "$3", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14", "$15",
		       "$24", "$25", "memory");
	report("without-load-linked", "%lu", stored);
}

void atomics(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		give_up("mmap");
	among_threads();
	among_processes();
	broken_by_a_call();
	without_load_linked();
}
