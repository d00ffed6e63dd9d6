/*
 * engineering [WINDOW]: simulates a CPU (cpu.v), in two processes with a CPU each, which execute the same program with
 * different numbers. A part of it is the warm-up, the rest is measured. Prints the checksum of what the programs
 * computed. Each process also computes that itself, and ends with an error if the CPU did not.
 */
#include "measure.h"
#include "Vcpu.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace {

constexpr int PROCESSES = 2;
/* Rounds of the program, and clocks of the warm-up. */
constexpr int ROUNDS = 300000;
constexpr int WARM_UP = 200000;
constexpr uint32_t FACTOR = 1664525, SUMMAND = 1013904223, MASK = (1 << 24) - 4;

/* Instructions of RV32IM. */
uint32_t upper(int target, uint32_t value) { return (value & 0xfffff000) | target << 7 | 0x37; }
uint32_t immediate(int function, int target, int source, int value)
{
	return static_cast<uint32_t>(value) << 20 | source << 15 | function << 12 | target << 7 | 0x13;
}
uint32_t add_immediate(int target, int source, int value) { return immediate(0, target, source, value); }
uint32_t of_registers(int seven, int function, int target, int first, int second)
{
	return seven << 25 | second << 20 | first << 15 | function << 12 | target << 7 | 0x33;
}
uint32_t load_word(int target, int base) { return base << 15 | 2 << 12 | target << 7 | 0x03; }
uint32_t store_word(int source, int base) { return source << 20 | base << 15 | 2 << 12 | 0x23; }
uint32_t branch(int function, int first, int second, int offset)
{
	uint32_t bits = static_cast<uint32_t>(offset);

	return (bits >> 12 & 1) << 31 | (bits >> 5 & 0x3f) << 25 | second << 20 | first << 15 | function << 12
		| (bits >> 1 & 0xf) << 8 | (bits >> 11 & 1) << 7 | 0x63;
}
constexpr uint32_t HALT = 0x73;

/* Adds the constant `value` to a program: into `target`. */
void constant(std::vector<uint32_t> &program, int target, uint32_t value)
{
	program.push_back(upper(target, value + 0x800));
	program.push_back(add_immediate(target, target, static_cast<int32_t>(value << 20) >> 20));
}

/* Random words of 16 MiB change, and what they become is added up. */
std::vector<uint32_t> program_with(uint32_t number)
{
	std::vector<uint32_t> program;

	constant(program, 5, number);
	constant(program, 6, FACTOR);
	constant(program, 7, SUMMAND);
	constant(program, 8, MASK);
	constant(program, 9, ROUNDS);
	const std::vector<uint32_t> loop = {
		of_registers(1, 0, 5, 5, 6),    /* number *= factor */
		of_registers(0, 0, 5, 5, 7),    /* number += summand */
		immediate(5, 11, 5, 3),         /* place = number >> 3 */
		of_registers(0, 7, 11, 11, 8),  /* place &= mask */
		load_word(12, 11),              /* word = *place */
		of_registers(0, 4, 12, 12, 5),  /* word ^= number */
		branch(5, 12, 0, 8),            /* if (word < 0) */
		add_immediate(12, 12, 7),       /*         word += 7 */
		store_word(12, 11),             /* *place = word */
		of_registers(0, 0, 10, 10, 12), /* sum += word */
		add_immediate(9, 9, -1),        /* rounds-- */
	};
	program.insert(program.end(), loop.begin(), loop.end());
	program.push_back(branch(1, 9, 0, -4 * static_cast<int>(loop.size())));
	program.push_back(HALT);
	return program;
}

/* What the program computes. */
uint32_t expected_with(uint32_t number)
{
	std::vector<uint32_t> words(MASK / 4 + 1);
	uint32_t sum = 0;

	for (int round = 0; round < ROUNDS; round++) {
		number = number * FACTOR + SUMMAND;
		uint32_t &word = words[(number >> 3 & MASK) / 4];
		word ^= number;
		if (static_cast<int32_t>(word) < 0)
			word += 7;
		sum += word;
	}
	return sum;
}

void tick(Vcpu &cpu)
{
	cpu.clock = 0;
	cpu.eval();
	cpu.clock = 1;
	cpu.eval();
}

void start(Vcpu &cpu, const std::vector<uint32_t> &program)
{
	cpu.reset = 1;
	cpu.load = 1;
	for (size_t index = 0; index < program.size(); index++) {
		cpu.load_index = index;
		cpu.load_word = program[index];
		tick(cpu);
	}
	cpu.load = 0;
	tick(cpu);
	cpu.reset = 0;
}

/* A process: tells `ready` when the warm-up is over, goes on when `go` has a byte, and ends with its result in `ready`. */
[[noreturn]] void simulate(int process, int ready, int go)
{
	const uint32_t number = 0x9e3779b9 * (process + 1);
	auto context = std::make_unique<VerilatedContext>();
	auto cpu = std::make_unique<Vcpu>(context.get());
	uint32_t result[2];
	char byte = 0;

	start(*cpu, program_with(number));
	for (int clock = 0; clock < WARM_UP; clock++)
		tick(*cpu);
	must(write(ready, &byte, 1) == 1 && read(go, &byte, 1) == 1, "the pipe");
	while (!cpu->halted)
		tick(*cpu);
	result[0] = cpu->result;
	result[1] = cpu->retired;
	must(write(ready, result, sizeof(result)) == sizeof(result), "the pipe");
	must(result[0] == expected_with(number), "the CPU does not compute what it should");
	_exit(0);
}

} // namespace

int main(int argc, char **argv)
{
	int window = argc > 1 ? atoi(argv[1]) : 0;
	int ready[PROCESSES][2], go[PROCESSES][2], status;
	uint64_t sum = SUM_START;
	char byte = 0;

	for (int process = 0; process < PROCESSES; process++) {
		must(pipe(ready[process]) == 0 && pipe(go[process]) == 0, "pipe");
		if (fork() == 0)
			simulate(process, ready[process][1], go[process][0]);
	}
	for (auto &pipe : ready)
		must(read(pipe[0], &byte, 1) == 1, "a process");
	if (window)
		measure_settle();
	measure_begin(window);
	for (auto &pipe : go)
		must(write(pipe[1], &byte, 1) == 1, "a process");
	for (auto &pipe : ready) {
		uint32_t result[2];

		must(read(pipe[0], result, sizeof(result)) == sizeof(result), "a process");
		sum = sum_of(sum, result, sizeof(result));
	}
	measure_end(window, "engineering", PROCESSES * ROUNDS);
	for (int process = 0; process < PROCESSES; process++)
		must(wait(&status) > 0 && status == 0, "a process");
	printf("result %016lx\n", static_cast<unsigned long>(sum));
	return 0;
}
