/* Time from the kernel's clock: under -icount shift=0 a nanosecond is an instruction. */
#include "measure.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

static unsigned long began;

static unsigned long nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000UL + now.tv_nsec;
}

void measure_settle(void)
{
	struct timespec until = { .tv_sec = nanoseconds() / 1000000000 + 1 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
		;
}

void measure_begin(int window)
{
	began = nanoseconds();
	if (window)
		mark_begin(window);
}

void measure_end(int window, const char *name, unsigned long count)
{
	if (window)
		mark_end(window);
	printf("bench %s %lu %lu\n", name, nanoseconds() - began, count);
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
