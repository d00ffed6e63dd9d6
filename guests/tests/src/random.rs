//! Random instruction words and register values, weighted towards what a monitor has to do with.

use crate::cp0::STATUS_IE;
use crate::exception::{self, code, Frame};
use crate::execute::{code_address, Registers, USER_CODE};
use crate::instruction::BREAK;
use crate::{calls, println};
use disco_abi::{SPECIAL_PAGE, XSSEG_WINDOW};

/// Words of a round; the last is `break`.
pub const WORDS: usize = 17;

/// The hook of guests that execute random words under a timer, which leaves loops without end: an
/// interrupt that comes after the words is dropped.
pub fn watchdog(frame: &mut Frame) -> bool {
    let late = frame.code() == code::INT && !exception::is_expected();
    if late {
        frame.status &= !STATUS_IE;
    }
    late
}

/// xorshift64: the same words for the same seed.
pub struct Random(u64);

impl Random {
    /// The stream of `seed`; of the clock for 0, which is then printed.
    pub fn new(seed: u64) -> Self {
        let seed = if seed == 0 { calls::wall_clock() } else { seed };
        println!("random instructions with seed={seed}");
        Self::quietly(seed)
    }

    /// The stream of `seed`, without a word.
    pub fn quietly(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Code and registers of one round.
    pub fn round(&mut self) -> ([u32; WORDS], Registers) {
        let mut words = [BREAK; WORDS];
        words[..WORDS - 1].fill_with(|| self.word());
        let mut registers = Registers::new();
        registers.0.fill_with(|| self.value());
        (words, registers)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A word that does not end the emulator.
    fn word(&mut self) -> u32 {
        loop {
            let word = self.any_word();
            if !ends_emulator(word) {
                return word;
            }
        }
    }

    /// A word: half of them of the opcodes that a monitor has to do with.
    fn any_word(&mut self) -> u32 {
        let word = (self.next() >> 16) as u32;
        let small = word & 0x03ff_ffff;
        match self.next() >> 20 & 15 {
            0 | 1 => 0x10 << 26 | small,                                 // COP0, any
            2 => 0x4000_0000 | word & 0x00bf_f807,                       // mfc0, mtc0, ...
            3 => 0x4200_0000 | word & 0x7f, // tlb*, eret, wait, hypcall
            4 => 0x1f << 26 | small,        // SPECIAL3: cache, rdhwr, ll, sc
            5 => 0x11 << 26 | small,        // COP1
            6 => (4 + (word >> 26 & 3)) << 26 | word & 0x03ff_000f, // branches
            7 => (0x20 + (word >> 26 & 15)) << 26 | small & 0x03ff_00ff, // loads, stores
            8 => 0x01 << 26 | word & 0x03ff_000f, // REGIMM
            _ => word,
        }
    }

    /// A register: anything, or an address where something is.
    fn value(&mut self) -> u64 {
        let value = self.next();
        match self.next() >> 30 & 7 {
            0 => USER_CODE | value & 0x7ff8,
            1 => code_address() | value & 0x7ff8,
            2 => SPECIAL_PAGE | value & 0xf8,
            3 => XSSEG_WINDOW + (value & 0xff_fff8),
            4 => value & 0xff,
            5 => value as i32 as u64,
            _ => value,
        }
    }
}

/// `ginvt` of register 0. On the I6400 it is reserved; QEMU 7.2 ends with a segmentation fault as
/// soon as it translates it, in every mode, with and without a monitor. Nothing that a monitor can
/// set prevents it: docs/virtual-machine.md, "Known faults of the emulator that a guest can reach".
fn ends_emulator(word: u32) -> bool {
    // Inverted out of the compiler's sight, or it keeps the word itself in a register, saves that
    // to the stack, and random code that jumps to the stack executes it.
    core::hint::black_box(!word) & 0xffe0_00ff == 0x83e0_0042
}
