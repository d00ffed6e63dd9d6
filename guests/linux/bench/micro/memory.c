/* Memory: faults, mappings, and how fast bytes move. */
#include "micro.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Bytes that the loads move. */
#define LARGE	(16 * MIB)

static int file;
static char *from, *to;

static char *anonymous(size_t bytes)
{
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(memory != MAP_FAILED, "mmap");
	return memory;
}

/* A repetition is a page that is touched for the first time, and freed in the end. */
static void fault_run(unsigned long count)
{
	char *memory = anonymous(count * PAGE);

	for (unsigned long page = 0; page < count; page++)
		memory[page * PAGE] = 1;
	munmap(memory, count * PAGE);
}

/* 64 MiB of memory have been in use before. */
static void fault_prepare(void)
{
	fault_run(4096);
}

static void mmap_prepare(void)
{
	file = file_of(MIB);
}

/* A repetition is a mapping of 64 pages of a file, all of which are read. */
static void mmap_run(unsigned long count)
{
	volatile char sum = 0;

	while (count--) {
		char *memory = mmap(NULL, MIB, PROT_READ, MAP_SHARED, file, 0);

		must(memory != MAP_FAILED, "mmap");
		for (unsigned long page = 0; page < MIB / PAGE; page++)
			sum += memory[page * PAGE];
		munmap(memory, MIB);
	}
}

#define PIECE	65536UL

static void fileread_prepare(void)
{
	file = file_of(LARGE);
	to = anonymous(PIECE);
}

/* A repetition is a MiB. */
static void fileread_run(unsigned long count)
{
	for (unsigned long piece = 0; piece < count * MIB / PIECE; piece++)
		must(pread(file, to, PIECE, piece * PIECE % LARGE) == PIECE, "pread");
}

static void memcpy_prepare(void)
{
	from = anonymous(LARGE);
	to = anonymous(LARGE);
	memset(from, 'x', LARGE);
	memset(to, 'y', LARGE);
}

static void memcpy_run(unsigned long count)
{
	for (unsigned long mib = 0; mib < count; mib++) {
		size_t offset = mib * MIB % LARGE;

		memcpy(to + offset, from + offset, MIB);
	}
}

/* Pages of the TLB's load: 32 MiB, and the CPU's TLB has 16 pairs. */
#define PAGES	2048

static void tlb_prepare(void)
{
	from = anonymous(PAGES * PAGE);
	memset(from, 1, PAGES * PAGE);
}

/* A repetition is a visit to a random page: the words of a line of it are added up. */
static void tlb_run(unsigned long count)
{
	uint64_t number = 1, sum = 0;

	for (unsigned long i = 0; i < count; i++) {
		const uint64_t *line;

		number = number * 6364136223846793005 + 1442695040888963407;
		line = (const uint64_t *)(from + (number >> 32) % PAGES * PAGE + (number >> 50) * 64 % PAGE);
		for (int word = 0; word < 8; word++)
			sum += line[word];
	}
	must(sum == count * 8 * 0x0101010101010101, "memory has changed");
}

const struct micro memory_micros[] = {
	{ "fault", 4096, fault_prepare, fault_run, NULL },
	{ "mmap", 400, mmap_prepare, mmap_run, NULL },
	{ "fileread", 128, fileread_prepare, fileread_run, NULL },
	{ "memcpy", 256, memcpy_prepare, memcpy_run, NULL },
	{ "tlb", 1000000, tlb_prepare, tlb_run, NULL },
	{ NULL, 0, NULL, NULL, NULL },
};
