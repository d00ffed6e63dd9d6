/* Clocks: through the vdso, which reads Count by itself, and through the kernel. */
#define _GNU_SOURCE
#include "check.h"

#include <elf.h>
#include <pthread.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define READINGS	20000
#define THREADS		4

typedef int clock_function(clockid_t, struct timespec *);

static clock_function *vdso_clock;

/* The function of this name in the vdso. */
static void *in_vdso(const char *name)
{
	const char *base = (const char *)getauxval(AT_SYSINFO_EHDR);
	const Elf64_Ehdr *header = (const void *)base;
	const Elf64_Phdr *segments;
	const Elf64_Dyn *dynamic = NULL;
	const Elf64_Sym *symbols = NULL;
	const char *strings = NULL;
	const uint32_t *hash = NULL;
	uint64_t offset = 0;
	uint32_t i;

	if (!base)
		return NULL;
	segments = (const void *)(base + header->e_phoff);
	for (i = 0; i < header->e_phnum; i++) {
		if (segments[i].p_type == PT_LOAD && !offset)
			offset = segments[i].p_offset - segments[i].p_vaddr;
		if (segments[i].p_type == PT_DYNAMIC)
			dynamic = (const void *)(base + segments[i].p_offset);
	}
	for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
		const char *place = base + offset + dynamic->d_un.d_ptr;

		if (dynamic->d_tag == DT_SYMTAB)
			symbols = (const void *)place;
		if (dynamic->d_tag == DT_STRTAB)
			strings = place;
		if (dynamic->d_tag == DT_HASH)
			hash = (const void *)place;
	}
	if (!symbols || !strings || !hash)
		return NULL;
	for (i = 0; i < hash[1]; i++)
		if (!strcmp(strings + symbols[i].st_name, name) && symbols[i].st_shndx)
			return (void *)(base + offset + symbols[i].st_value);
	return NULL;
}

static int64_t nanoseconds(const struct timespec *time)
{
	return time->tv_sec * 1000000000ll + time->tv_nsec;
}

static int64_t by_call(clockid_t clock)
{
	struct timespec time;

	syscall(SYS_clock_gettime, clock, &time);
	return nanoseconds(&time);
}

/* What the vdso cannot do itself it makes the call for. */
static int64_t by_vdso(clockid_t clock)
{
	struct timespec time;

	if (vdso_clock(clock, &time))
		return by_call(clock);
	return nanoseconds(&time);
}

/* Readings of the two kinds in turn never go back. */
static void agreement(const char *name, clockid_t clock)
{
	int64_t last = by_call(clock);
	int i, back = 0;

	for (i = 0; i < READINGS; i++) {
		int64_t now = i % 2 ? by_call(clock) : by_vdso(clock);

		back += now < last;
		last = now;
	}
	check(name, back == 0, "back %d of %d", back, READINGS);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t latest;
static int went_back;

/* No thread sees a time that is earlier than one that another thread has seen. */
static void *reader(void *argument)
{
	int i;

	(void)argument;
	for (i = 0; i < READINGS / 4; i++) {
		int64_t now;

		pthread_mutex_lock(&lock);
		now = by_vdso(CLOCK_MONOTONIC);
		went_back += now < latest;
		latest = now;
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void among_threads(void)
{
	pthread_t threads[THREADS];
	int i;

	for (i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, reader, NULL))
			give_up("pthread_create");
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	check("threads", went_back == 0, "back %d", went_back);
}

/* A sleep takes as long as it should at least, and the clocks agree on it to 1 per mille. */
static void sleeping(void)
{
	struct timespec wanted = { 0, 300000000 };
	int64_t monotonic = by_vdso(CLOCK_MONOTONIC), real = by_vdso(CLOCK_REALTIME);
	int64_t boot = by_call(CLOCK_BOOTTIME), difference;

	clock_nanosleep(CLOCK_MONOTONIC, 0, &wanted, NULL);
	real = by_vdso(CLOCK_REALTIME) - real;
	boot = by_call(CLOCK_BOOTTIME) - boot;
	monotonic = by_vdso(CLOCK_MONOTONIC) - monotonic;
	check("sleep", monotonic >= wanted.tv_nsec, "slept");
	difference = monotonic - real;
	check("real", difference > -300000 && difference < 20000000, "agrees");
	difference = monotonic - boot;
	check("boot", difference >= 0 && difference < 20000000, "agrees");
}

/* A process that computes uses the CPU's time; one that sleeps does not. */
static void processor_time(void)
{
	struct timespec wanted = { 0, 100000000 };
	int64_t before = by_call(CLOCK_PROCESS_CPUTIME_ID);
	volatile int i;

	clock_nanosleep(CLOCK_MONOTONIC, 0, &wanted, NULL);
	check("asleep", by_call(CLOCK_PROCESS_CPUTIME_ID) - before < 50000000, "no time");
	before = by_call(CLOCK_PROCESS_CPUTIME_ID);
	for (i = 0; i < 3000000; i++)
		;
	check("awake", by_call(CLOCK_PROCESS_CPUTIME_ID) - before > 100000, "some time");
}

static void day(void)
{
	struct timeval old;
	struct timespec now;
	int64_t difference;

	gettimeofday(&old, NULL);
	clock_gettime(CLOCK_REALTIME, &now);
	difference = nanoseconds(&now) - old.tv_sec * 1000000000ll - old.tv_usec * 1000ll;
	check("day", difference >= 0 && difference < 1000000000, "agrees");
	check("year", now.tv_sec > 1700000000, "known");
}

/* Count, read by a program itself. */
static void count(void)
{
	uint32_t first, second, resolution;

	asm volatile("rdhwr %0, $3" : "=r" (resolution));
	asm volatile("rdhwr %0, $2" : "=r" (first));
	usleep(10000);
	asm volatile("rdhwr %0, $2" : "=r" (second));
	report("resolution", "%u", resolution);
	check("count", (int32_t)(second - first) > 0, "goes on");
}

void clocks(void)
{
	vdso_clock = in_vdso("__vdso_clock_gettime");
	report("vdso", "%s", vdso_clock ? "there" : "missing");
	if (vdso_clock) {
		agreement("monotonic", CLOCK_MONOTONIC);
		agreement("real-time", CLOCK_REALTIME);
		agreement("coarse", CLOCK_MONOTONIC_COARSE);
		among_threads();
		sleeping();
	}
	processor_time();
	day();
	count();
}
