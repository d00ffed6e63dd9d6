/*
 * A page that one thread takes away or protects is gone for every other thread at once, on
 * whatever CPU it runs and whether it runs just then.
 */
#define _GNU_SOURCE
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define WRITERS		3
#define ROUNDS		50
#define PAGES		24

static size_t page_size;
static volatile uint64_t *pages;
static volatile int ending;
/* What each writer does: counts up, or waits in its signal handler until it may go on. */
static volatile uint64_t faults_seen[WRITERS], passes[WRITERS];
static volatile int protected_now;
static __thread int number;

static volatile uint64_t *word_of(int page, int writer)
{
	return pages + page * page_size / 8 + writer * 16;
}

static void handler(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)info, (void)context;
	faults_seen[number]++;
	while (protected_now && !ending)
		sched_yield();
}

static void *writer(void *argument)
{
	number = (long)argument;
	while (!ending) {
		int page;

		for (page = 0; page < PAGES; page++)
			++*word_of(page, number);
		passes[number]++;
	}
	return NULL;
}

static uint64_t total(int first, int count)
{
	uint64_t total = 0;
	int page, i;

	for (page = first; page < first + count; page++)
		for (i = 0; i < WRITERS; i++)
			total += *word_of(page, i);
	return total;
}

static void wait_for_passes(void)
{
	uint64_t before[WRITERS];
	int i;

	for (i = 0; i < WRITERS; i++)
		before[i] = passes[i];
	for (i = 0; i < WRITERS; i++)
		while (passes[i] == before[i])
			sched_yield();
}

/* Until each writer has come to a page that nobody may write to, since it had seen so many faults. */
static void wait_for_faults(const uint64_t *before)
{
	int i;

	for (i = 0; i < WRITERS; i++)
		while (faults_seen[i] == before[i])
			sched_yield();
}

/* Counts rounds in which somebody wrote to a page after mprotect() had said that nobody can. */
static int protections(void)
{
	int round, written = 0;

	for (round = 0; round < ROUNDS; round++) {
		int first = round % PAGES, count = round % 3 ? 1 : PAGES - first;
		void *place = (void *)word_of(first, 0);
		uint64_t before, faults[WRITERS];
		int i;

		wait_for_passes();
		for (i = 0; i < WRITERS; i++)
			faults[i] = faults_seen[i];
		protected_now = 1;
		if (mprotect(place, count * page_size, PROT_READ))
			give_up("mprotect");
		before = total(first, count);
		wait_for_faults(faults);
		written += total(first, count) != before;
		if (mprotect(place, count * page_size, PROT_READ | PROT_WRITE))
			give_up("mprotect");
		protected_now = 0;
	}
	return written;
}

/* Counts rounds in which a page that was forgotten still had what was there before. */
static int forgotten(void)
{
	int round, left = 0;

	for (round = 0; round < ROUNDS; round++) {
		int page = round % PAGES;
		volatile uint64_t *spare = word_of(page, WRITERS);

		*spare = 4711;
		wait_for_passes();
		if (madvise((void *)word_of(page, 0), page_size, MADV_DONTNEED))
			give_up("madvise");
		left += *spare == 4711;
	}
	return left;
}

/* Forks while the others write: pages become read-only for them, and are copied. */
static int forked(void)
{
	int round, changed = 0;

	for (round = 0; round < 10; round++) {
		int child;

		wait_for_passes();
		child = fork();
		if (child == 0) {
			uint64_t before = total(0, PAGES);
			int i;

			for (i = 0; i < 20; i++)
				sched_yield();
			_exit(total(0, PAGES) != before);
		}
		changed += outcome_of(child) != 0;
	}
	return changed;
}

void shootdowns(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	pthread_t threads[WRITERS];
	int written, left, changed;
	long i;

	page_size = getpagesize();
	pages = mmap(NULL, PAGES * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		give_up("mmap");
	sigaction(SIGSEGV, &action, NULL);
	for (i = 0; i < WRITERS; i++)
		if (pthread_create(&threads[i], NULL, writer, (void *)i))
			give_up("pthread_create");
	written = protections();
	left = forgotten();
	changed = forked();
	ending = 1;
	for (i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	check("protected", written == 0, "written %d of %d", written, ROUNDS);
	check("forgotten", left == 0, "left %d of %d", left, ROUNDS);
	check("forked", changed == 0, "changed %d", changed);
	check("faulted", faults_seen[0] == ROUNDS && faults_seen[1] == ROUNDS && faults_seen[2] == ROUNDS, "yes");
}
