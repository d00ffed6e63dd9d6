/* Accesses that are not allowed: the signal, its code, and the address that it tells. */
#define _GNU_SOURCE
#include "check.h"

#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf back;
static volatile int seen_code;
static volatile uint64_t seen_address, seen_pc;

static void handler(int number, siginfo_t *info, void *context)
{
	ucontext_t *user = context;

	seen_code = info->si_code;
	seen_address = (uint64_t)info->si_addr;
	seen_pc = user->uc_mcontext.pc;
	siglongjmp(back, number);
}

static void load(uint64_t address)
{
	asm volatile("ld $8, 0(%0)" : : "r" (address) : "$8");
}

static void store(uint64_t address)
{
	asm volatile("sd $0, 0(%0)" : : "r" (address) : "memory");
}

static void load_byte(uint64_t address)
{
	asm volatile("lb $8, 0(%0)" : : "r" (address) : "$8");
}

static void jump(uint64_t address)
{
	asm volatile("jalr %0\n\tnop" : : "r" (address) : "$31");
}

/* The access is in the delay slot: the signal is about the slot, its pc the branch. */
static void load_in_slot(uint64_t address)
{
	asm volatile(".set push\n\t.set noreorder\n\tbeq $0, $0, 1f\n\tld $8, 0(%0)\n1:\t.set pop"
		     : : "r" (address) : "$8");
}

static void one(const char *name, void (*access)(uint64_t), uint64_t address, uint64_t base)
{
	int number = sigsetjmp(back, 1);

	if (number == 0) {
		access(address);
		report(name, "allowed");
		return;
	}
	report(name, "signal %d code %d at %lx", number, seen_code, seen_address - base);
}

/* Addresses of each segment: those of the kernel's are address errors, wherever it lies. */
static void segments(void)
{
	static const uint64_t addresses[] = {
		0, 8, 0x3ff8, 0x0000ffffffff0000, 0x0001000000000000, 0x3ffffffffffffff8,
		0x4000000000000000, 0x4000800000000000, 0x8000000000000000, 0x9800000000000000,
		0xa800000000001000, 0xc000000000000000, 0xffffffff80000000, 0xffffffffa0000000,
		0xffffffffc0000000, 0xffffffffc0100000, 0xffffffffdfff8000, 0xffffffffdfffc000,
		0xffffffffe0000000, 0xfffffffffffffff8,
	};
	unsigned int i;
	char name[64];

	for (i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		snprintf(name, sizeof(name), "load-%016lx", addresses[i]);
		one(name, load, addresses[i], 0);
		snprintf(name, sizeof(name), "store-%016lx", addresses[i]);
		one(name, store, addresses[i], 0);
		snprintf(name, sizeof(name), "jump-%016lx", addresses[i]);
		one(name, jump, addresses[i], 0);
	}
	one("jump-odd", jump, 0x10000002, 0);
	one("slot", load_in_slot, 0x28, 0);
}

/* Two instructions: return. */
static const uint32_t code[] = { 0x03e00009, 0x00000000 };

static void permissions(void)
{
	static const struct {
		const char *name;
		int protection;
	} all[] = {
		{ "none", PROT_NONE }, { "r", PROT_READ }, { "w", PROT_WRITE },
		{ "x", PROT_EXEC }, { "rw", PROT_READ | PROT_WRITE }, { "rx", PROT_READ | PROT_EXEC },
		{ "rwx", PROT_READ | PROT_WRITE | PROT_EXEC },
	};
	size_t size = getpagesize();
	char *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int i;
	char name[64];

	if (page == MAP_FAILED)
		give_up("mmap");
	memcpy(page, code, sizeof(code));
	__builtin___clear_cache(page, page + sizeof(code));
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (mprotect(page, size, all[i].protection))
			give_up("mprotect");
		snprintf(name, sizeof(name), "%s.load", all[i].name);
		one(name, load, (uint64_t)page + 64, (uint64_t)page);
		snprintf(name, sizeof(name), "%s.store", all[i].name);
		one(name, store, (uint64_t)page + 64, (uint64_t)page);
		snprintf(name, sizeof(name), "%s.execute", all[i].name);
		one(name, jump, (uint64_t)page, (uint64_t)page);
	}
	munmap(page, size);
	one("unmapped.load", load, (uint64_t)page + 16, (uint64_t)page);
	one("unmapped.execute", jump, (uint64_t)page, (uint64_t)page);
}

/* What is not aligned, also across a border of pages. */
static void unaligned(void)
{
	size_t size = getpagesize();
	char *pages = mmap(NULL, 3 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t value = 0;
	size_t i;

	for (i = 0; i < 2 * size; i++)
		pages[i] = i;
	memcpy(&value, pages + size - 3, 8);
	asm volatile("ld %0, 0(%1)" : "=r" (value) : "r" (pages + size - 3));
	report("unaligned-load", "%016lx", value);
	asm volatile("sd %0, 0(%1)" : : "r" (value), "r" (pages + size - 5) : "memory");
	report("unaligned-store", "%02x %02x", (uint8_t)pages[size - 5], (uint8_t)pages[size + 2]);
	mprotect(pages + size, size, PROT_NONE);
	one("unaligned-into-none", load, (uint64_t)pages + size - 3, (uint64_t)pages);
	one("byte-of-none", load_byte, (uint64_t)pages + size + 5, (uint64_t)pages);
	munmap(pages, 3 * size);
}

/* A file's page behind its end is there, but cannot be used. */
static void behind_a_file(void)
{
	size_t size = getpagesize();
	int file = memfd_create("short", 0);
	char *pages;

	if (file < 0 || ftruncate(file, 100))
		give_up("memfd_create");
	pages = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	one("file.inside", load, (uint64_t)pages, (uint64_t)pages);
	one("file.behind", load, (uint64_t)pages + size, (uint64_t)pages);
	munmap(pages, 2 * size);
	close(file);
}

void faults(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	segments();
	permissions();
	unaligned();
	behind_a_file();
}
