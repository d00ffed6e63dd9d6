/*
 * mark begin N, mark end N, mark report: an instruction that does nothing and tells the exact model of the memory
 * system that window N, 1 to 4, begins or ends, or that its report is wanted (docs/numa.md).
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MARK(number) __asm__ volatile("ori $0, $0, %0" : : "i"(number) : "memory")
#define BEGIN 0x100
#define END 0x200
#define REPORT 0x302

/* The number is a part of the instruction. */
#define WINDOW(n)                     \
	case n:                       \
		if (begins)           \
			MARK(BEGIN + n); \
		else                  \
			MARK(END + n); \
		_exit(0)

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "report") == 0) {
		MARK(REPORT);
		_exit(0);
	}
	if (argc == 3) {
		int begins = strcmp(argv[1], "begin") == 0;

		switch (atoi(argv[2])) {
		WINDOW(1);
		WINDOW(2);
		WINDOW(3);
		WINDOW(4);
		}
	}
	return 1;
}
