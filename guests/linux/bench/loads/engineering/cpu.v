// A CPU of five stages (fetch, decode, execute, memory, write back) with forwarding, for these instructions of RV32IM:
// lui, add, sub, xor, or, and, sll, srl, mul, addi, xori, ori, andi, slli, srli, lw, sw, beq, bne, blt, bge, jal, ecall.
// Branches are resolved in execute, and two instructions behind one that is taken are dropped. An instruction behind a
// load that needs what it loads waits a cycle. ecall halts.
module cpu #(parameter WORDS_LOG2 = 22, parameter PROGRAM_LOG2 = 6) (
	input wire clock,
	input wire reset,
	// Writes the program while the CPU is in reset.
	input wire load,
	input wire [PROGRAM_LOG2 - 1:0] load_index,
	input wire [31:0] load_word,
	// x10, which holds a program's result.
	output wire [31:0] result,
	output reg halted,
	// Instructions that have ended.
	output reg [31:0] retired
);
	reg [31:0] program_memory [0:(1 << PROGRAM_LOG2) - 1];
	reg [31:0] data_memory [0:(1 << WORDS_LOG2) - 1];
	reg [31:0] registers [0:31];

	assign result = registers[10];

	// Fetch.
	reg [31:0] pc;
	wire [31:0] fetched = program_memory[pc[PROGRAM_LOG2 + 1:2]];

	// Decode.
	reg [31:0] d_pc, d_word;
	reg d_valid;
	wire [6:0] d_opcode = d_word[6:0];
	wire [4:0] d_first = d_word[19:15], d_second = d_word[24:20];
	wire d_is_load = d_opcode == 7'h03, d_is_store = d_opcode == 7'h23, d_is_branch = d_opcode == 7'h63;
	wire d_is_jump = d_opcode == 7'h6f, d_is_upper = d_opcode == 7'h37, d_is_halt = d_opcode == 7'h73;
	wire d_is_immediate = d_opcode == 7'h13, d_is_register = d_opcode == 7'h33;
	wire d_writes = (d_is_load | d_is_jump | d_is_upper | d_is_immediate | d_is_register) & (d_word[11:7] != 0);
	wire [31:0] d_i = {{20{d_word[31]}}, d_word[31:20]};
	wire [31:0] d_s = {{20{d_word[31]}}, d_word[31:25], d_word[11:7]};
	wire [31:0] d_b = {{20{d_word[31]}}, d_word[7], d_word[30:25], d_word[11:8], 1'b0};
	wire [31:0] d_j = {{12{d_word[31]}}, d_word[19:12], d_word[20], d_word[30:21], 1'b0};
	wire [31:0] d_constant = d_is_store ? d_s : d_is_branch ? d_b : d_is_jump ? d_j :
		d_is_upper ? {d_word[31:12], 12'b0} : d_i;

	// Execute.
	reg [31:0] x_pc, x_constant, x_a, x_b;
	reg [4:0] x_first, x_second, x_target;
	reg [2:0] x_function;
	reg x_valid, x_writes, x_is_load, x_is_store, x_is_branch, x_is_jump, x_is_upper, x_is_halt, x_is_register;
	reg x_other, x_multiplies;

	// Memory.
	reg [31:0] m_value, m_stored;
	reg [4:0] m_target;
	reg m_valid, m_writes, m_is_load, m_is_store, m_is_halt;
	wire [31:0] m_result = m_is_load ? data_memory[m_value[WORDS_LOG2 + 1:2]] : m_value;

	// Write back.
	reg [31:0] w_value;
	reg [4:0] w_target;
	reg w_valid, w_writes, w_is_halt;

	// What execute reads, from the stages before it in the program's order if they have it.
	function [31:0] newest(input [4:0] register, input [31:0] read, input from_m, input [4:0] target_m,
			input [31:0] value_m, input from_w, input [4:0] target_w, input [31:0] value_w);
		newest = from_m && target_m == register ? value_m : from_w && target_w == register ? value_w : read;
	endfunction

	wire [31:0] a = newest(x_first, x_a, m_writes, m_target, m_value, w_writes, w_target, w_value);
	wire [31:0] b = newest(x_second, x_b, m_writes, m_target, m_value, w_writes, w_target, w_value);
	wire [31:0] operand = x_is_register ? b : x_constant;
	reg [31:0] computed;

	always @(*)
		case (x_function)
		3'h0: computed = x_multiplies ? a * b : x_is_register & x_other ? a - operand : a + operand;
		3'h1: computed = a << operand[4:0];
		3'h4: computed = a ^ operand;
		3'h5: computed = a >> operand[4:0];
		3'h6: computed = a | operand;
		3'h7: computed = a & operand;
		default: computed = 0;
		endcase

	wire less = $signed(a) < $signed(b);
	wire condition = x_function[2] ? less ^ x_function[0] : (a == b) ^ x_function[0];
	wire taken = x_valid & (x_is_jump | x_is_branch & condition);
	wire [31:0] address = a + x_constant;
	wire [31:0] x_value = x_is_upper ? x_constant : x_is_jump ? x_pc + 4 :
		x_is_load | x_is_store ? address : computed;

	// A load is in execute, and decode needs what it loads.
	wire waits = d_valid & x_valid & x_is_load & x_writes & (x_target == d_first | x_target == d_second);

	function [31:0] read(input [4:0] register, input [31:0] stored, input writes, input [4:0] target, input [31:0] value);
		read = writes && target == register ? value : stored;
	endfunction

	always @(posedge clock)
		if (reset) begin
			pc <= 0;
			halted <= 0;
			retired <= 0;
			{d_valid, x_valid, m_valid, w_valid} <= 0;
			{x_writes, m_writes, w_writes, m_is_store, w_is_halt} <= 0;
			registers[0] <= 0;
			registers[10] <= 0;
			if (load)
				program_memory[load_index] <= load_word;
		end else if (!halted) begin
			pc <= taken ? x_pc + x_constant : waits ? pc : pc + 4;
			if (taken | !waits) begin
				d_pc <= pc;
				d_word <= fetched;
				d_valid <= !taken;
			end

			x_valid <= d_valid & !waits & !taken;
			x_writes <= d_writes & d_valid & !waits & !taken;
			x_pc <= d_pc;
			x_constant <= d_constant;
			x_a <= read(d_first, registers[d_first], w_writes, w_target, w_value);
			x_b <= read(d_second, registers[d_second], w_writes, w_target, w_value);
			x_first <= d_first;
			x_second <= d_second;
			x_target <= d_word[11:7];
			x_function <= d_word[14:12];
			x_is_load <= d_is_load;
			x_is_store <= d_is_store;
			x_is_branch <= d_is_branch;
			x_is_jump <= d_is_jump;
			x_is_upper <= d_is_upper;
			x_is_halt <= d_is_halt;
			x_is_register <= d_is_register;
			x_other <= d_word[30];
			x_multiplies <= d_is_register & d_word[25];

			m_valid <= x_valid;
			m_writes <= x_writes;
			m_value <= x_value;
			m_stored <= b;
			m_target <= x_target;
			m_is_load <= x_is_load;
			m_is_store <= x_is_store & x_valid;
			m_is_halt <= x_is_halt & x_valid;

			if (m_is_store)
				data_memory[m_value[WORDS_LOG2 + 1:2]] <= m_stored;
			w_valid <= m_valid;
			w_writes <= m_writes;
			w_value <= m_result;
			w_target <= m_target;
			w_is_halt <= m_is_halt;

			if (w_writes)
				registers[w_target] <= w_value;
			retired <= retired + {31'b0, w_valid};
			halted <= w_is_halt;
		end
endmodule
