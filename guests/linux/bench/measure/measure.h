/* What all programs of the benchmark share. */
#ifndef MEASURE_H
#define MEASURE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sleeps until the clock shows a whole tenth of a second: what is measured begins at the same distance from the kernel's ticks, whatever it
 * took to come here. */
void measure_settle(void);

/* What is measured begins; it is window 1 to 64, or none if 0, of the programs that watch the machine. */
void measure_begin(int window);

/* It ends: prints "bench NAME NANOSECONDS COUNT", where COUNT repetitions were measured. Ends the program if a disk was
 * asked for something since measure_settle(), or the CPU had nothing to do. */
void measure_end(int window, const char *name, unsigned long count);

/* Tells the programs that watch the machine that window 1 to 64 begins or ends. */
void mark_begin(int window);
void mark_end(int window);
/* Tells them that all windows have ended: their report is wanted. */
void mark_report(void);

/* A checksum of `length` bytes, going on from `sum`; the first begins at SUM_START. */
uint64_t sum_of(uint64_t sum, const void *bytes, unsigned long length);
#define SUM_START	UINT64_C(0xcbf29ce484222325)

/* Ends the program with what did not work, if `works` is 0. */
void must(int works, const char *what);

#ifdef __cplusplus
}
#endif

#endif
