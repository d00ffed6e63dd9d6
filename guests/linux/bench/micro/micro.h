/* What the parts of the microbenchmarks share. */
#ifndef MICRO_H
#define MICRO_H

#include "../measure/measure.h"

#include <stddef.h>
#include <sys/types.h>

/* A file's page cache without a disk behind it. */
#define FOLDER	"/tmp/micro"
/* Bytes of a page of the guests and of the machine. */
#define PAGE	16384UL
#define MIB	(1UL << 20)

/* Something that is measured. */
struct micro {
	const char *name;
	/* Repetitions that are measured. An eighth as many are the warm-up. */
	unsigned long count;
	/* Makes what the repetitions need, if they need something. */
	void (*prepare)(void);
	void (*run)(unsigned long count);
	/* Ends what `prepare` started and the end of this program does not end. */
	void (*finish)(void);
};

/* Parts, each up to an entry without a name. */
extern const struct micro call_micros[], process_micros[], memory_micros[];

/* A new open file of this many bytes, none of them a hole. */
int file_of(size_t bytes);

#endif
