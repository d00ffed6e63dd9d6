/* timed NAME WINDOW COUNT COMMAND...: executes a command, which is measured. WINDOW may be empty. */
#include "measure.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int window, status;
	pid_t child;

	must(argc > 4, "usage: timed NAME WINDOW COUNT COMMAND...");
	window = atoi(argv[2]);
	if (window)
		measure_settle();
	measure_begin(window);
	child = fork();
	if (child == 0) {
		execv(argv[4], argv + 4);
		_exit(1);
	}
	must(child > 0 && waitpid(child, &status, 0) == child && status == 0, argv[4]);
	measure_end(window, argv[1], atoi(argv[3]));
	return 0;
}
