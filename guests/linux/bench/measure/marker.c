/* Instructions that do nothing and tell programs that watch the machine where a window is (docs/numa.md). */
#include "measure.h"

#include <stdint.h>

#define WINDOWS	64

/* The window's number is a part of the instruction: there is a function of 8 bytes for each. */
#define TABLE(name, first)                          \
	__asm__(".pushsection .text\n"              \
		".balign 8\n"                       \
		#name ":\n"                         \
		".set push\n.set noreorder\n"       \
		".set window, 0\n"                  \
		".rept " NUMBER(WINDOWS) " + 1\n"   \
		"jr $ra\n"                          \
		"ori $0, $0, " #first " + window\n" \
		".set window, window + 1\n"         \
		".endr\n"                           \
		".set pop\n"                        \
		".popsection\n");                   \
	extern const char name[]
#define NUMBER(number)	TEXT(number)
#define TEXT(text)	#text

TABLE(marker_begins, 0x100);
TABLE(marker_ends, 0x200);

static void mark(const char *table, int window)
{
	void (*function)(void) = (void (*)(void))(uintptr_t)(table + 8 * window);

	must(window >= 1 && window <= WINDOWS, "the number of a window is 1 to 64");
	function();
}

void mark_begin(int window)
{
	mark(marker_begins, window);
}

void mark_end(int window)
{
	mark(marker_ends, window);
}

void mark_report(void)
{
	__asm__ volatile("ori $0, $0, 0x302" : : : "memory");
}
