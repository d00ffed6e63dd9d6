/*
 * A disk's files, brought into memory so that what follows does not depend on how long the disk took: after each step that has
 * asked it for something this goes on at a multiple of a tick, by when the disk has answered. Somebody has to compute
 * meanwhile, else counted time would run on to wherever the next timer is.
 */
#define _GNU_SOURCE
#include "micro.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* In nanoseconds. */
#define TICK	10000000L
/* Bytes that are asked for at once. */
#define PIECE	MIB

static unsigned long asked_before;

/* Requests that disks have been asked, and how many of them they have not answered. */
static unsigned long requests(unsigned long *waiting)
{
	unsigned long reads, writes, flying, all = 0;
	FILE *file = fopen("/proc/diskstats", "r");

	must(file != NULL, "/proc/diskstats");
	*waiting = 0;
	while (fscanf(file, "%*u %*u %*s %lu %*u %*u %*u %lu %*u %*u %*u %lu%*[^\n]", &reads, &writes, &flying) == 3) {
		*waiting += flying;
		all += reads + writes + flying;
	}
	fclose(file);
	return all;
}

static void wait_for_tick(void)
{
	struct timespec now;
	long next;

	clock_gettime(CLOCK_MONOTONIC, &now);
	next = (now.tv_nsec / TICK + 1) * TICK;
	now.tv_sec += next / 1000000000;
	now.tv_nsec = next % 1000000000;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &now, NULL) != 0)
		;
}

/* What disks were asked since the last time is answered. */
static void settle(void)
{
	unsigned long waiting, asked = requests(&waiting);

	if (asked == asked_before)
		return;
	asked_before = asked;
	do {
		wait_for_tick();
		requests(&waiting);
	} while (waiting);
}

static int load_file(const char *path, const struct stat *stat, int type, struct FTW *place)
{
	int file;

	(void)place;
	settle();
	if (type != FTW_F)
		return 0;
	file = open(path, O_RDONLY);
	must(file >= 0, path);
	for (off_t at = 0; at < stat->st_size; at += PIECE) {
		must(posix_fadvise(file, at, PIECE, POSIX_FADV_WILLNEED) == 0, path);
		settle();
	}
	close(file);
	return 0;
}

void load_files(const char *folder)
{
	wait_for_tick();
	must(nftw(folder, load_file, 8, FTW_PHYS) == 0, folder);
	settle();
}
