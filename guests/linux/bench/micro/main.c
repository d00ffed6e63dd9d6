/*
 * Small loads, each a fixed number of repetitions of one thing that a kernel or the memory does, after a
 * warm-up. Under -icount shift=0 a nanosecond is an instruction.
 *
 *     micro NAME [WINDOW]     does it; prints "bench NAME NANOSECONDS REPETITIONS"
 *     micro list              names and repetitions
 *     micro begin WINDOW      window 1 to 64 of those who watch the machine begins
 *     micro end WINDOW        and ends
 *     micro report            tells them to report
 */
#include "micro.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct micro *const parts[] = { call_micros, process_micros, memory_micros };

int file_of(size_t bytes)
{
	char block[PAGE];
	int file = open(FOLDER "/file", O_RDWR | O_CREAT | O_TRUNC, 0600);

	must(file >= 0, FOLDER "/file");
	memset(block, 'x', sizeof(block));
	for (size_t done = 0; done < bytes; done += PAGE)
		must(write(file, block, PAGE) == (ssize_t)PAGE, "write");
	return file;
}

static void measure(const struct micro *micro, int window)
{
	mkdir(FOLDER, 0700);
	if (micro->prepare)
		micro->prepare();
	micro->run(micro->count / 8);
	measure_begin(window);
	micro->run(micro->count);
	measure_end(window, micro->name, micro->count);
	if (micro->finish)
		micro->finish();
}

/* The microbenchmark of this name, or none; without a name, prints all. */
static const struct micro *find(const char *name)
{
	for (size_t part = 0; part < sizeof(parts) / sizeof(*parts); part++)
		for (const struct micro *micro = parts[part]; micro->name; micro++)
			if (!name)
				printf("%s %lu\n", micro->name, micro->count);
			else if (strcmp(micro->name, name) == 0)
				return micro;
	return NULL;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	int window = argc > 2 ? atoi(argv[2]) : 0;
	const struct micro *micro = find(name);

	if (micro)
		measure(micro, window);
	else if (strcmp(name, "begin") == 0)
		mark_begin(window);
	else if (strcmp(name, "end") == 0)
		mark_end(window);
	else if (strcmp(name, "report") == 0)
		mark_report();
	else if (strcmp(name, "list") == 0)
		find(NULL);
	else if (strcmp(name, "nothing") != 0) { /* what "exec" starts */
		fprintf(stderr, "usage: micro NAME [WINDOW] | list | begin WINDOW | end WINDOW | report\n");
		return 1;
	}
	return 0;
}
