/* Memory: copy on write, shared mappings, growth, and more pages than any TLB has entries. */
#define _GNU_SOURCE
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGES	600

static size_t page_size;

static uint64_t *map(size_t pages, int flags)
{
	void *place = mmap(NULL, pages * page_size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	if (place == MAP_FAILED)
		give_up("mmap");
	return place;
}

static uint64_t *word_of(uint64_t *base, size_t page)
{
	return base + page * page_size / 8 + page % 64;
}

static uint64_t sum(uint64_t *base, size_t pages)
{
	uint64_t hash = HASH_START;
	size_t i;

	for (i = 0; i < pages; i++)
		hash = hashed(hash, *word_of(base, i));
	return hash;
}

/* Pages in orders that no TLB likes; what is written is read in another order. */
static void patterns(void)
{
	static const size_t strides[] = { 1, 2, 3, 7, 16, 17, 61, 128, 255, 599 };
	uint64_t *pages = map(PAGES, MAP_PRIVATE), state = 3;
	unsigned int i;
	char name[32];
	size_t j;

	for (i = 0; i < sizeof(strides) / sizeof(strides[0]); i++) {
		for (j = 0; j < PAGES; j++) {
			size_t page = j * strides[i] % PAGES;

			*word_of(pages, page) += page * 31 + i;
		}
		snprintf(name, sizeof(name), "stride-%zu", strides[i]);
		report(name, "%016lx", sum(pages, PAGES));
	}
	for (j = 0; j < 20000; j++) {
		size_t from = random_number(&state) % PAGES, to = random_number(&state) % PAGES;

		*word_of(pages, to) ^= *word_of(pages, from) + j;
	}
	report("random", "%016lx", sum(pages, PAGES));
	munmap(pages, PAGES * page_size);
}

/* Pages far from each other: other tables, other directories. */
static void far_apart(void)
{
	uint64_t hash = HASH_START;
	uint64_t *places[36];
	int i;

	for (i = 12; i < 48; i++) {
		void *wanted = (void *)((1ul << i) + (3ul << 32) * (i % 5));
		int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;

		wanted = (void *)((uint64_t)wanted & -page_size);
		places[i - 12] = mmap(wanted, page_size, PROT_READ | PROT_WRITE, flags, -1, 0);
		if (places[i - 12] != MAP_FAILED)
			*places[i - 12] = i * 1000003;
	}
	for (i = 47; i >= 12; i--)
		hash = hashed(hash, places[i - 12] != MAP_FAILED ? *places[i - 12] : 0);
	report("far-apart", "%016lx", hash);
	for (i = 12; i < 48; i++)
		if (places[i - 12] != MAP_FAILED)
			munmap(places[i - 12], page_size);
}

/* Parent and child change different pages, and each sees only its own changes. */
static void copy_on_write(void)
{
	uint64_t *own = map(64, MAP_PRIVATE), *shared = map(64, MAP_SHARED);
	uint64_t before;
	size_t i;
	int child;

	for (i = 0; i < 64; i++)
		*word_of(own, i) = *word_of(shared, i) = i * i;
	before = sum(own, 64);
	child = fork();
	if (child == 0) {
		int same = sum(own, 64) == before;

		for (i = 0; i < 64; i += 2)
			*word_of(own, i) = *word_of(shared, i) = 7;
		_exit(same && *word_of(own, 1) == 1 && *word_of(own, 2) == 7 ? 33 : 1);
	}
	for (i = 0; i < 64; i += 3)
		*word_of(own, i) += 1000;
	i = outcome_of(child);
	check("child", i == 33, "%zu", i);
	report("parent", "%016lx shared %016lx", sum(own, 64), sum(shared, 64));
	munmap(own, 64 * page_size);
	munmap(shared, 64 * page_size);
}

/* A generation of processes, each of which inherits what the one before it changed. */
static void generations(void)
{
	uint64_t *pages = map(32, MAP_PRIVATE);
	int generation, outcome;

	for (generation = 0; generation < 12; generation++) {
		int child;

		*word_of(pages, generation) = generation + 1;
		child = fork();
		if (child) {
			outcome = outcome_of(child);
			if (generation)
				_exit(outcome);
			report("generations", "%d", outcome);
			munmap(pages, 32 * page_size);
			return;
		}
	}
	for (generation = outcome = 0; generation < 32; generation++)
		outcome += *word_of(pages, generation);
	_exit(outcome);
}

static void growth(void)
{
	uint64_t *pages = map(20, MAP_PRIVATE), *grown;
	uint64_t before;
	size_t i;

	for (i = 0; i < 20; i++)
		*word_of(pages, i) = i + 1;
	before = sum(pages, 20);
	grown = mremap(pages, 20 * page_size, 200 * page_size, MREMAP_MAYMOVE);
	if (grown == MAP_FAILED)
		give_up("mremap");
	check("grown", sum(grown, 20) == before && *word_of(grown, 150) == 0, "%016lx", sum(grown, 200));
	grown = mremap(grown, 200 * page_size, 10 * page_size, 0);
	report("shrunk", "%016lx", sum(grown, 10));
	madvise(grown, 10 * page_size, MADV_DONTNEED);
	report("forgotten", "%016lx", sum(grown, 10));
	munmap(grown, 10 * page_size);
}

/* A file in memory, mapped twice: what one mapping changes the other shows. */
static void files(void)
{
	int file = memfd_create("pages", 0);
	uint64_t *first, *second, *own;
	size_t i;

	if (file < 0 || ftruncate(file, 40 * page_size))
		give_up("memfd_create");
	first = mmap(NULL, 40 * page_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	second = mmap(NULL, 40 * page_size, PROT_READ, MAP_SHARED, file, 0);
	own = mmap(NULL, 40 * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	for (i = 0; i < 40; i++)
		*word_of(first, i) = i * 77;
	for (i = 0; i < 40; i += 4)
		*word_of(own, i) = 5;
	for (i = 1; i < 40; i += 4)
		*word_of(first, i) = 6;
	check("two-views", sum(first, 40) == sum(second, 40), "%016lx", sum(second, 40));
	report("own-view", "%016lx", sum(own, 40));
	munmap(first, 40 * page_size);
	munmap(second, 40 * page_size);
	munmap(own, 40 * page_size);
	close(file);
}

/* Code that a program writes, runs, and writes again at the same place. */
static void written_code(void)
{
	uint32_t *code = mmap(NULL, page_size, PROT_READ | PROT_WRITE | PROT_EXEC,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long i, right = 0;

	if (code == MAP_FAILED)
		give_up("mmap");
	for (i = 0; i < 1000; i++) {
		code[0] = 0x24020000 | i;	/* li $2, i */
		code[1] = 0x03e00009;		/* jr $31 */
		code[2] = 0;
		__builtin___clear_cache((char *)code, (char *)(code + 3));
		right += ((long (*)(void))code)() == i;
	}
	check("written-code", right == 1000, "%ld of 1000", right);
	munmap(code, page_size);
}

static void heap(void)
{
	uint64_t hash = HASH_START, state = 11;
	char *blocks[64] = { NULL };
	int i;

	for (i = 0; i < 3000; i++) {
		int which = random_number(&state) % 64;
		size_t bytes = random_number(&state) % (i % 10 ? 3000 : 300000) + 8;

		if (blocks[which])
			hash = hashed(hash, (uint8_t)blocks[which][7]);
		free(blocks[which]);
		blocks[which] = malloc(bytes);
		memset(blocks[which], i, bytes);
	}
	report("heap", "%016lx", hash);
	for (i = 0; i < 64; i++)
		free(blocks[i]);
}

void mappings(void)
{
	page_size = getpagesize();
	report("page-size", "%zu", page_size);
	patterns();
	far_apart();
	copy_on_write();
	generations();
	growth();
	files();
	written_code();
	heap();
}
