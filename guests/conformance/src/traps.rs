//! Exceptions that an instruction raises by itself.

use crate::run::{mapped, see_exceptions, Mode};
use crate::suite::Suite;
use disco_bare::execute::Registers;
use disco_bare::instruction::*;

const WORDS: &[(&str, u32)] = &[
    ("syscall", SYSCALL),
    ("syscall-code", SYSCALL | 0xabcde << 6),
    ("break", BREAK),
    ("break-code", BREAK | 0x12345 << 6),
    ("sdbbp", 0x0000_000e),
    ("teq", 0x0000_0034),
];

pub fn programs(suite: &mut Suite) {
    for mode in Mode::ALL {
        for &(name, word) in WORDS {
            suite.program(format_args!("trap.{name}.{}", mode.name()), || {
                mapped(&[NOP, word], mode, &mut Registers::new(), 0);
                see_exceptions();
            });
        }
    }
}
