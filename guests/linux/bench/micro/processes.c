/* Processes: their life, and switches between them. */
#include "micro.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void wait_for(pid_t child)
{
	int status;

	must(child > 0, "fork");
	must(waitpid(child, &status, 0) == child && status == 0, "a child did not end well");
}

static void fork_run(unsigned long count)
{
	while (count--) {
		pid_t child = fork();

		if (child == 0)
			_exit(0);
		wait_for(child);
	}
}

static void exec_run(unsigned long count)
{
	while (count--) {
		pid_t child = fork();

		if (child == 0) {
			execl("/proc/self/exe", "micro", "nothing", NULL);
			_exit(1);
		}
		wait_for(child);
	}
}

/*
 * A ring of processes that hand a byte on. Each but the first is a child that does so until it is killed, and each
 * touches some pages of its own.
 */
#define MOST	8
#define TOUCHED	4

static int size;
static int pipes[MOST][2];
static pid_t children[MOST];
static char own[TOUCHED][PAGE];

static void hand_on(int place)
{
	char byte;

	must(read(pipes[place][0], &byte, 1) == 1, "read");
	for (int i = 0; i < TOUCHED; i++)
		own[i][0] += byte;
	must(write(pipes[(place + 1) % size][1], &byte, 1) == 1, "write");
}

static void ring_of(int processes)
{
	size = processes;
	for (int place = 0; place < size; place++)
		must(pipe(pipes[place]) == 0, "pipe");
	for (int place = 1; place < size; place++) {
		children[place] = fork();
		must(children[place] >= 0, "fork");
		if (children[place] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				hand_on(place);
		}
	}
	must(write(pipes[0][1], "x", 1) == 1, "write");
}

static void pipe_prepare(void)
{
	ring_of(2);
}

static void switch_prepare(void)
{
	ring_of(MOST);
}

/* A repetition is a byte handed on and a switch to who gets it. */
static void ring_run(unsigned long count)
{
	for (unsigned long round = 0; round < count / size; round++)
		hand_on(0);
}

static void ring_finish(void)
{
	for (int place = 1; place < size; place++) {
		kill(children[place], SIGKILL);
		waitpid(children[place], NULL, 0);
	}
}

const struct micro process_micros[] = {
	{ "fork", 400, NULL, fork_run, NULL },
	{ "exec", 200, NULL, exec_run, NULL },
	{ "pipe", 20000, pipe_prepare, ring_run, ring_finish },
	{ "switch", 20000, switch_prepare, ring_run, ring_finish },
	{ NULL, 0, NULL, NULL, NULL },
};
