//! Interrupts by software: masks, levels, vectors, the exact instruction.

use crate::record::see;
use crate::run::{mapped, see_exceptions, Mode};
use crate::suite::Suite;
use disco_bare::cp0::{reg, CAUSE_IV, STATUS_ERL, STATUS_EXL, STATUS_IE};
use disco_bare::execute::Registers;
use disco_bare::instruction::*;
use disco_bare::registers::*;

const STATUS: u64 = 0x0400_00e0;
/// Status.IM and Cause.IP of the software interrupts.
const SOFT: [u64; 2] = [1 << 8, 1 << 9];

/// Ways to let a waiting interrupt through. `$a0` holds Cause with the interrupt, `$a1` Status that
/// lets it through, `$a2` Status that does not, `$a3` the address of word 4.
const OPENINGS: &[(&str, bool, &[u32])] = &[
    (
        "cause",
        true,
        &[mtc0(A0, 13, 0), ori(V0, V0, 1), ori(V0, V0, 2)],
    ),
    (
        "status",
        false,
        &[
            mtc0(A0, 13, 0),
            ori(V0, V0, 1),
            mtc0(A1, 12, 0),
            ori(V0, V0, 2),
            ori(V0, V0, 4),
        ],
    ),
    (
        "ei",
        false,
        &[mtc0(A0, 13, 0), NOP, ei(V1), ori(V0, V0, 2), ori(V0, V0, 4)],
    ),
    (
        "eret",
        false,
        &[
            mtc0(A0, 13, 0),
            mtc0(T0, 12, 0),
            dmtc0(A3, 14, 0),
            ERET,
            ori(V0, V0, 2),
            ori(V0, V0, 4),
        ],
    ),
    (
        "eretnc",
        false,
        &[
            mtc0(A0, 13, 0),
            mtc0(T0, 12, 0),
            dmtc0(A3, 14, 0),
            ERETNC,
            ori(V0, V0, 2),
            NOP,
        ],
    ),
    (
        "eret-error",
        false,
        &[
            mtc0(A0, 13, 0),
            mtc0(T1, 12, 0),
            dmtc0(A3, 30, 0),
            ERET,
            ori(V0, V0, 2),
            NOP,
        ],
    ),
    (
        "cause-in-slot",
        true,
        &[
            beq(ZERO, ZERO, 2),
            mtc0(A0, 13, 0),
            ori(V0, V0, 1),
            ori(V0, V0, 2),
            NOP,
        ],
    ),
    (
        "cause-in-slot-of-link",
        true,
        &[bal(2), mtc0(A0, 13, 0), ori(V0, V0, 1), ori(V0, V0, 2), NOP],
    ),
    (
        "ei-in-slot",
        false,
        &[
            mtc0(A0, 13, 0),
            beq(ZERO, ZERO, 2),
            ei(V1),
            ori(V0, V0, 1),
            ori(V0, V0, 2),
            NOP,
        ],
    ),
    (
        "cause-in-forbidden-slot",
        true,
        &[
            compare_zero_compact(0x3e, ZERO, 2) | 0,
            mtc0(A0, 13, 0),
            ori(V0, V0, 1),
            NOP,
        ],
    ),
    (
        "cleared-before",
        false,
        &[
            mtc0(A0, 13, 0),
            mtc0(ZERO, 13, 0),
            ei(V1),
            ori(V0, V0, 2),
            NOP,
        ],
    ),
    (
        "di",
        true,
        &[
            di(V1),
            mtc0(A0, 13, 0),
            ori(V0, V0, 1),
            ei(V1),
            ori(V0, V0, 2),
            NOP,
        ],
    ),
    (
        "wait",
        false,
        &[mtc0(A0, 13, 0), WAIT, ori(V0, V0, 1), ei(V1), NOP],
    ),
];

/// All programs of this file.
pub fn programs(suite: &mut Suite) {
    for &(name, open, words) in OPENINGS {
        for (line, bit) in SOFT.into_iter().enumerate() {
            for iv in [0, CAUSE_IV] {
                let vector = if iv == 0 { "general" } else { "iv" };
                suite.program(
                    format_args!("interrupt.soft-{line}.{name}.{vector}"),
                    || {
                        soft(words, bit, bit | iv, if open { STATUS_IE } else { 0 });
                    },
                );
            }
        }
    }
    masks(suite);
}

fn soft(words: &[u32], mask: u64, cause: u64, ie: u64) {
    let closed = STATUS | mask;
    let mut registers = Registers::with(&[
        (A0, cause),
        (A1, closed | STATUS_IE),
        (A2, closed),
        (A3, Mode::Kernel.code() + 16),
        (T0, closed | STATUS_IE | STATUS_EXL),
        (T1, closed | STATUS_IE | STATUS_ERL),
    ]);
    mapped(words, Mode::Kernel, &mut registers, mask | ie);
    see("v0", registers.get(V0));
    see("v1", registers.get(V1));
    see("ra", registers.get(RA));
    see("cause", reg::CAUSE.read());
    see_exceptions();
}

/// Each state of IM, IE and level, with both software interrupts raised.
fn masks(suite: &mut Suite) {
    for mask in 0..4u64 {
        for level in [
            0,
            STATUS_IE,
            STATUS_IE | STATUS_EXL,
            STATUS_IE | STATUS_ERL,
            7,
        ] {
            suite.program(format_args!("interrupt.mask-{mask}.level-{level}"), || {
                let status = STATUS | mask << 8 | level;
                let mut registers =
                    Registers::with(&[(A0, SOFT[0] | SOFT[1]), (A1, status), (A2, STATUS)]);
                let words = [
                    mtc0(A0, 13, 0),
                    mtc0(A1, 12, 0),
                    ori(V0, V0, 1),
                    ori(V0, V0, 2),
                    mtc0(A2, 12, 0),
                ];
                mapped(&words, Mode::Kernel, &mut registers, 0);
                see("v0", registers.get(V0));
                see_exceptions();
            });
        }
    }
    for mode in [Mode::Supervisor, Mode::User] {
        for ie in [0, STATUS_IE] {
            suite.program(format_args!("interrupt.{}.ie-{ie}", mode.name()), || {
                reg::CAUSE.write(SOFT[1]);
                let mut registers = Registers::new();
                mapped(
                    &[ori(V0, V0, 1), ori(V0, V0, 2)],
                    mode,
                    &mut registers,
                    SOFT[1] | ie,
                );
                see("v0", registers.get(V0));
                see_exceptions();
            });
        }
    }
}
