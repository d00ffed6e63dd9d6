/* Time from the kernel's clock: under -icount shift=0 a nanosecond is an instruction. */
#include "measure.h"

#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* What is measured begins at a multiple of this many nanoseconds. */
#define PHASE	100000000UL

/* What costs counted time and is no work: requests to disks, and hundredths of a second in which the CPU had nothing to do. */
struct waits {
	unsigned long requests, idle;
};

static unsigned long began;
/* Up to the last measure_settle(), if there was one. */
static struct waits settled;
static int has_settled;

static unsigned long nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000UL + now.tv_nsec;
}

static struct waits waits_so_far(void)
{
	struct waits waits = { 0 };
	unsigned long reads, writes, waiting;
	FILE *file = fopen("/proc/diskstats", "r");

	must(file != NULL, "/proc/diskstats");
	while (fscanf(file, "%*u %*u %*s %lu %*u %*u %*u %lu%*[^\n]", &reads, &writes) == 2)
		waits.requests += reads + writes;
	fclose(file);
	file = fopen("/proc/stat", "r");
	must(file && fscanf(file, "cpu %*u %*u %*u %lu %lu", &waits.idle, &waiting) == 2, "/proc/stat");
	waits.idle += waiting;
	fclose(file);
	return waits;
}

/* As long as the kernel has too little of its own, a read of /dev/urandom computes for seconds, or does not if a disk answered often
 * enough. */
static void give_random_bits(void)
{
	struct {
		struct rand_pool_info head;
		unsigned char bytes[32];
	} pool = { .head = { .entropy_count = 256, .buf_size = 32 } };
	int file = open("/dev/random", O_RDWR);

	must(file >= 0 && ioctl(file, RNDADDENTROPY, &pool) == 0, "/dev/random");
	close(file);
}

void measure_settle(void)
{
	struct timespec until;
	unsigned long begin;

	give_random_bits();
	begin = (nanoseconds() / PHASE + 1) * PHASE;
	until = (struct timespec) { .tv_sec = begin / 1000000000, .tv_nsec = begin % 1000000000 };
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
		;
	settled = waits_so_far();
	has_settled = 1;
}

/* A figure with other things in it is none. */
static void must_have_worked(void)
{
	struct waits now = waits_so_far();
	unsigned long requests = now.requests - settled.requests, idle = now.idle - settled.idle;

	if (requests == 0 && idle <= 1)
		return;
	fprintf(stderr, "what was measured has %lu disk requests and %lu0 ms of an idle CPU in it\n", requests, idle);
	_exit(1);
}

void measure_begin(int window)
{
	began = nanoseconds();
	if (window)
		mark_begin(window);
}

void measure_end(int window, const char *name, unsigned long count)
{
	unsigned long now;

	if (window)
		mark_end(window);
	now = nanoseconds();
	if (has_settled)
		must_have_worked();
	printf("bench %s %lu %lu\n", name, now - began, count);
}

/* FNV-1a. */
uint64_t sum_of(uint64_t sum, const void *bytes, unsigned long length)
{
	const unsigned char *next = bytes;

	while (length--)
		sum = (sum ^ *next++) * UINT64_C(0x100000001b3);
	return sum;
}

void must(int works, const char *what)
{
	if (works)
		return;
	perror(what);
	_exit(1);
}
