/* System calls that do one thing. */
#include "micro.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int file;
static char block[4096];

static void open_file(void)
{
	file = file_of(MIB);
}

static void null_run(unsigned long count)
{
	while (count--)
		syscall(SYS_getppid);
}

static void read_run(unsigned long count)
{
	while (count--)
		must(pread(file, block, 1, 0) == 1, "pread");
}

static void write_run(unsigned long count)
{
	while (count--)
		must(pwrite(file, block, 1, 0) == 1, "pwrite");
}

static void readblock_run(unsigned long count)
{
	while (count--)
		must(pread(file, block, sizeof(block), count * sizeof(block) % MIB) == sizeof(block), "pread");
}

static void writeblock_run(unsigned long count)
{
	while (count--)
		must(pwrite(file, block, sizeof(block), count * sizeof(block) % MIB) == sizeof(block), "pwrite");
}

static void open_run(unsigned long count)
{
	while (count--) {
		int opened = open(FOLDER "/file", O_RDONLY);

		must(opened >= 0, "open");
		close(opened);
	}
}

static void stat_run(unsigned long count)
{
	struct stat about;

	while (count--)
		must(stat(FOLDER "/file", &about) == 0, "stat");
}

static volatile sig_atomic_t caught;

static void catch(int signal)
{
	(void)signal;
	caught++;
}

static void signal_prepare(void)
{
	struct sigaction action = { .sa_handler = catch };

	must(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
}

static void signal_run(unsigned long count)
{
	sig_atomic_t before = caught;

	for (unsigned long i = 0; i < count; i++)
		kill(getpid(), SIGUSR1);
	must((unsigned long)(caught - before) == count, "a signal is missing");
}

const struct micro call_micros[] = {
	{ "null", 200000, NULL, null_run, NULL },
	{ "read", 100000, open_file, read_run, NULL },
	{ "write", 50000, open_file, write_run, NULL },
	{ "readblock", 50000, open_file, readblock_run, NULL },
	{ "writeblock", 50000, open_file, writeblock_run, NULL },
	{ "open", 20000, open_file, open_run, NULL },
	{ "stat", 30000, open_file, stat_run, NULL },
	{ "signal", 20000, signal_prepare, signal_run, NULL },
	{ NULL, 0, NULL, NULL, NULL },
};
