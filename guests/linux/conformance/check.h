/* What the areas of the conformance program share. */
#ifndef CHECK_H
#define CHECK_H

#include <stdint.h>

/* An area of tests: a process of its own. */
struct area {
	const char *name;
	void (*run)(void);
};

void fpu_arithmetic(void);
void fpu_exceptions(void);
void fpu_operations(void);
void fpu_switches(void);
void atomics(void);
void clocks(void);
void faults(void);
void forks(void);
void mappings(void);
void pipes(void);
void shootdowns(void);
void signals(void);
void tracing(void);

/* Prints the line "AREA.NAME TEXT", which both places must have in common. */
__attribute__((format(printf, 2, 3))) void report(const char *name, const char *format, ...);

/* The same; but if `holds` is 0, the text begins with WRONG, which fails in whatever place. */
__attribute__((format(printf, 3, 4))) void check(const char *name, int holds, const char *format, ...);

/* Ends the area: something that is no test did not work. */
__attribute__((noreturn)) void give_up(const char *what);

/* Waits for a child; its exit status, or 1000 plus the signal that ended it. */
int outcome_of(int child);

/* The next number of a fixed sequence. */
uint64_t random_number(uint64_t *state);

/* `hash` with a number added. */
uint64_t hashed(uint64_t hash, uint64_t number);

#define HASH_START	0xcbf29ce484222325

#endif
