/* Processes that come and go: chains, trees, storms, and programs that are started. */
#define _GNU_SOURCE
#include "check.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHAIN	150
#define STORM	40

static void chain(void)
{
	int i, sum = 0;

	for (i = 0; i < CHAIN; i++) {
		int child = fork();

		if (child == 0)
			_exit(i % 7);
		sum += outcome_of(child);
	}
	report("chain", "%d", sum);
}

/* Each node has three children, and counts itself and what is below. */
static int tree(int depth)
{
	int children[3], i, count = 1;

	if (depth == 0)
		return 1;
	for (i = 0; i < 3; i++) {
		children[i] = fork();
		if (children[i] == 0)
			_exit(tree(depth - 1));
		if (children[i] < 0)
			give_up("fork");
	}
	for (i = 0; i < 3; i++)
		count += outcome_of(children[i]);
	return count;
}

/* All at once; each allocates, writes and ends. */
static void storm(void)
{
	int i, status, ended = 0, sum = 0;

	for (i = 0; i < STORM; i++) {
		int child = fork();

		if (child == 0) {
			size_t bytes = 300000 + i * 1000;
			volatile char *block = malloc(bytes);
			size_t j;

			for (j = 0; j < bytes; j += 1000)
				block[j] = i;
			_exit(block[bytes / 1000 * 1000 - 1000] == i ? i : 255);
		}
		if (child < 0)
			give_up("fork");
	}
	while (wait(&status) > 0) {
		ended++;
		sum += WEXITSTATUS(status);
	}
	report("storm", "ended %d sum %d", ended, sum);
}

static void programs(void)
{
	volatile int i, right = 0;

	for (i = 0; i < 30; i++) {
		int child = i % 2 ? vfork() : fork();
		char text[16];

		if (child == 0) {
			snprintf(text, sizeof(text), "%d", i);
			execl("/proc/self/exe", "conformance", "exit", text, NULL);
			_exit(255);
		}
		right += outcome_of(child) == i;
	}
	check("programs", right == 30, "%d of 30", right);
}

static void killed(void)
{
	int i, right = 0;

	for (i = 0; i < 40; i++) {
		int child = fork();

		if (child == 0)
			for (;;)
				;
		kill(child, i % 2 ? SIGKILL : SIGTERM);
		right += outcome_of(child) == 1000 + (i % 2 ? SIGKILL : SIGTERM);
	}
	check("killed", right == 40, "%d of 40", right);
}

static volatile sig_atomic_t children_seen;

static void count_child(int signal)
{
	int status;

	(void)signal;
	while (waitpid(-1, &status, WNOHANG) > 0)
		children_seen++;
}

static void told(void)
{
	int i;

	signal(SIGCHLD, count_child);
	for (i = 0; i < 20; i++)
		if (fork() == 0)
			_exit(0);
	while (children_seen < 20)
		usleep(1000);
	signal(SIGCHLD, SIG_DFL);
	report("told", "%d", (int)children_seen);
}

void forks(void)
{
	chain();
	report("tree", "%d", tree(4));
	storm();
	programs();
	killed();
	told();
}
