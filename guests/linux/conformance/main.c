/*
 * Programs that behave on a Linux in a virtual machine as on one on the board. What they print is
 * the same every time and in every place: no address, time, or process number. `cargo xtask
 * conformance linux` compares the lines.
 *
 *     conformance [AREA ...]
 */
#include "check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* An area that takes longer than this many seconds hangs. */
#define LIMIT	60

static const struct area areas[] = {
	{ "fpu-arithmetic", fpu_arithmetic },
	{ "fpu-exceptions", fpu_exceptions },
	{ "fpu-operations", fpu_operations },
	{ "fpu-switches", fpu_switches },
	{ "atomics", atomics },
	{ "signals", signals },
	{ "faults", faults },
	{ "tracing", tracing },
	{ "clocks", clocks },
	{ "mappings", mappings },
	{ "shootdowns", shootdowns },
	{ "forks", forks },
	{ "pipes", pipes },
};
#define AREAS	(sizeof(areas) / sizeof(areas[0]))

static const char *current = "main";

void report(const char *name, const char *format, ...)
{
	va_list arguments;

	printf("conformance %s.%s ", current, name);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
}

void check(const char *name, int holds, const char *format, ...)
{
	va_list arguments;

	printf("conformance %s.%s %s", current, name, holds ? "" : "WRONG ");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
}

void give_up(const char *what)
{
	printf("conformance %s.gave-up WRONG %s: %s\n", current, what, strerror(errno));
	fflush(stdout);
	_exit(1);
}

int outcome_of(int child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		give_up("waitpid");
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

uint64_t random_number(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint64_t hashed(uint64_t hash, uint64_t number)
{
	return (hash ^ number) * 0x100000001b3 + (hash >> 47);
}

static void run(const struct area *area)
{
	int child;

	current = area->name;
	fflush(stdout);
	child = fork();
	if (child == 0) {
		alarm(LIMIT);
		area->run();
		exit(0);
	}
	if (child < 0)
		give_up("fork");
	child = outcome_of(child);
	check("end", child == 0, "%d", child);
}

static int wanted(const char *name, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return 1;
	return argc == 1;
}

int main(int argc, char **argv)
{
	unsigned int i;

	/* What an area starts by exec: see forks.c. */
	if (argc == 3 && !strcmp(argv[1], "exit"))
		return atoi(argv[2]);
	for (i = 0; i < AREAS; i++)
		if (wanted(areas[i].name, argc, argv))
			run(&areas[i]);
	puts("conformance end");
	return 0;
}
