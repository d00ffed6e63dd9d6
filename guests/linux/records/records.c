/*
 * records FILE...: writes numbered records to each file in turn, with fsync, and says after each that it is
 * durable; before that, how many records it has found. Runs until the power is cut.
 *
 * A file is a ring of slots. Record N lies in slot N modulo the number of slots, so that at any time one
 * slot may be half old and half new, and every other one has to be whole. Every few records the number of
 * the last one also goes into FILE.mark, by a new file, a rename and an fsync of the folder: work for the
 * file system's journal.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Not a multiple of a sector or a page, so that most writes change parts of both. */
enum { SLOT_BYTES = 12000, SLOTS = 256, WORDS = SLOT_BYTES / sizeof(uint64_t), MARK_EVERY = 8 };

struct ring {
	const char *path;
	char name[64];
	char mark[256], new_mark[256], folder[256];
	int file;
	uint64_t last;
};

static void die(const char *what, const char *path)
{
	printf("records: %s %s: %s\n", what, path, strerror(errno));
	exit(1);
}

/* The content of a record: its number, and words that only this number has. */
static void fill(uint64_t *slot, uint64_t number)
{
	uint64_t word = number * 0x9e3779b97f4a7c15 + 1;

	slot[0] = number;
	for (int i = 1; i < WORDS; i++) {
		word ^= word << 13;
		word ^= word >> 7;
		word ^= word << 17;
		slot[i] = word;
	}
}

/* The number of the record in a slot, 0 if it is not whole or is none of this slot's. */
static uint64_t number_in(const uint64_t *slot, int index)
{
	static uint64_t expected[WORDS];

	if (slot[0] == 0 || slot[0] % SLOTS != (uint64_t)index)
		return 0;
	fill(expected, slot[0]);
	return memcmp(slot, expected, SLOT_BYTES) ? 0 : slot[0];
}

static uint64_t read_mark(const struct ring *ring)
{
	unsigned long long number = 0;
	FILE *file = fopen(ring->mark, "r");

	if (!file && errno != ENOENT)
		die("cannot read", ring->mark);
	if (file && fscanf(file, "%llu", &number) != 1)
		printf("records %s damaged: the mark has no number\n", ring->name);
	if (file)
		fclose(file);
	return number;
}

/* Finds the last whole record, and says which of those before it are not there. */
static void look(struct ring *ring)
{
	static uint64_t slot[WORDS];
	uint64_t found[SLOTS] = { 0 };

	for (int i = 0; i < SLOTS; i++) {
		ssize_t length = pread(ring->file, slot, SLOT_BYTES, (off_t)i * SLOT_BYTES);

		if (length < 0)
			die("cannot read", ring->path);
		found[i] = length == SLOT_BYTES ? number_in(slot, i) : 0;
		if (found[i] > ring->last)
			ring->last = found[i];
	}
	/* The slot behind the last record's may have been on its way. */
	for (uint64_t number = ring->last; number > 0 && number + SLOTS - 1 > ring->last; number--)
		if (found[number % SLOTS] != number)
			printf("records %s damaged: slot of %llu has %llu\n", ring->name, (unsigned long long)number,
			       (unsigned long long)found[number % SLOTS]);
	printf("records %s found %llu mark %llu\n", ring->name, (unsigned long long)ring->last,
	       (unsigned long long)read_mark(ring));
}

static void sync_folder(const char *path)
{
	int folder = open(path, O_RDONLY | O_DIRECTORY);

	if (folder < 0 || fsync(folder))
		die("cannot sync", path);
	close(folder);
}

static void write_mark(const struct ring *ring)
{
	FILE *file = fopen(ring->new_mark, "w");

	if (!file || fprintf(file, "%llu\n", (unsigned long long)ring->last) < 0 || fflush(file) ||
	    fsync(fileno(file)) || fclose(file))
		die("cannot write", ring->new_mark);
	if (rename(ring->new_mark, ring->mark))
		die("cannot rename", ring->new_mark);
	sync_folder(ring->folder);
}

static void append(struct ring *ring)
{
	static uint64_t slot[WORDS];
	uint64_t number = ring->last + 1;
	off_t place = (off_t)(number % SLOTS) * SLOT_BYTES;

	fill(slot, number);
	if (pwrite(ring->file, slot, SLOT_BYTES, place) != SLOT_BYTES || fsync(ring->file))
		die("cannot write", ring->path);
	ring->last = number;
	if (number % MARK_EVERY == 0)
		write_mark(ring);
	printf("records %s durable %llu\n", ring->name, (unsigned long long)number);
}

static void open_ring(struct ring *ring, const char *path)
{
	char copy[256];

	ring->path = path;
	snprintf(copy, sizeof copy, "%s", path);
	snprintf(ring->name, sizeof ring->name, "%s", basename(copy));
	snprintf(copy, sizeof copy, "%s", path);
	snprintf(ring->folder, sizeof ring->folder, "%s", dirname(copy));
	snprintf(ring->mark, sizeof ring->mark, "%s.mark", path);
	snprintf(ring->new_mark, sizeof ring->new_mark, "%s.new", path);
	ring->file = open(path, O_RDWR | O_CREAT, 0644);
	if (ring->file < 0)
		die("cannot open", path);
	sync_folder(ring->folder);
	look(ring);
}

int main(int argc, char **argv)
{
	struct ring *rings = calloc(argc, sizeof *rings);

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 2 || !rings) {
		printf("usage: records FILE...\n");
		return 2;
	}
	for (int i = 1; i < argc; i++)
		open_ring(&rings[i], argv[i]);
	for (;;)
		for (int i = 1; i < argc; i++)
			append(&rings[i]);
}
