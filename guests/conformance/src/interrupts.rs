//! Interrupts by software and by Compare: masks, levels, vectors, the exact instruction; Count.

use crate::record::see;
use crate::run::{self, mapped, see_exceptions, Mode};
use crate::suite::Suite;
use disco_bare::cp0::{self, reg, CAUSE_DC, CAUSE_IV, STATUS_ERL, STATUS_EXL, STATUS_IE};
use disco_bare::execute::Registers;
use disco_bare::instruction::*;
use disco_bare::registers::*;

const STATUS: u64 = 0x0400_00e0;
/// Status.IM and Cause.IP of the software interrupts and of the timer.
const SOFT: [u64; 2] = [1 << 8, 1 << 9];
const TIMER: u64 = 1 << 15;
/// `bc` to itself.
const FOREVER: u32 = 0x32 << 26 | 0x03ff_ffff;
/// Ticks after which the timer strikes.
const SOON: u64 = 100_000;

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
    timer(suite);
    count(suite);
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

/// Sets the timer, farther away each time it was missed: a busy host may take long over a few
/// instructions.
fn strike_soon() {
    let mut ticks = SOON;
    loop {
        let due = reg::COUNT.read().wrapping_add(ticks);
        reg::COMPARE.write(due);
        if due.wrapping_sub(reg::COUNT.read()) as i32 > 0 || reg::CAUSE.read() & TIMER != 0 {
            return;
        }
        ticks *= 2;
    }
}

/// Until Cause shows the timer, or far too long; whether it does.
fn struck() -> bool {
    let begin = reg::COUNT.read();
    loop {
        let late = reg::COUNT.read().wrapping_sub(begin) as u32 > 200_000_000;
        let struck = reg::CAUSE.read() & TIMER != 0;
        if struck || late {
            return struck;
        }
    }
}

fn timer(suite: &mut Suite) {
    for mode in Mode::ALL {
        for iv in [0, CAUSE_IV] {
            suite.program(format_args!("timer.{}.iv-{}", mode.name(), iv != 0), || {
                reg::CAUSE.write(iv);
                strike_soon();
                mapped(&[FOREVER], mode, &mut Registers::new(), TIMER | STATUS_IE);
                see_exceptions();
                reg::COMPARE.write(reg::COUNT.read().wrapping_sub(1));
                see("cause", reg::CAUSE.read());
            });
        }
    }
    suite.program(format_args!("timer.masked"), || {
        strike_soon();
        see("struck", u64::from(struck()));
        see("cause", reg::CAUSE.read());
        see("status", reg::STATUS.read());
    });
    for (name, register, value) in [
        ("count", 9, 0x10),
        ("cause", 13, 0),
        ("compare", 11, 0x5000),
    ] {
        suite.program(format_args!("timer.acknowledged-by.{name}"), || {
            strike_soon();
            see("struck", u64::from(struck()));
            let mut registers = Registers::with(&[(A0, value)]);
            run::unmapped(&[dmtc0(A0, register, 0)], &mut registers);
            see("cause", reg::CAUSE.read());
        });
    }
    suite.program(format_args!("timer.both"), || {
        reg::CAUSE.write(SOFT[0]);
        strike_soon();
        see("struck", u64::from(struck()));
        mapped(
            &[NOP],
            Mode::Kernel,
            &mut Registers::new(),
            TIMER | SOFT[0] | STATUS_IE,
        );
        see_exceptions();
    });
    suite.program(format_args!("timer.wait.ie-0"), || {
        strike_soon();
        let mut registers = Registers::new();
        mapped(
            &[WAIT, mfc0(V0, 13, 0), ori(V1, V1, 1)],
            Mode::Kernel,
            &mut registers,
            TIMER,
        );
        see("v0", registers.get(V0));
        see("v1", registers.get(V1));
        see_exceptions();
    });
    suite.program(format_args!("timer.wait.ie-1"), || {
        const fn arithmetic(function: u32, rd: u32, rs: u32, rt: u32) -> u32 {
            immediate(0, rs, rt, 0) | rd << 11 | function
        }
        let words = [
            mfc0(T0, 9, 0),
            arithmetic(0x21, T1, T0, A0),
            mtc0(T1, 11, 0),
            mfc0(T2, 9, 0),
            arithmetic(0x23, T2, T1, T2),
            // Again, twice as far away, if it was missed.
            blez(T2, -6),
            arithmetic(0x21, A0, A0, A0),
            WAIT,
            ori(V1, V1, 1),
        ];
        // And if it struck before the code has come to `wait`.
        for ticks in (0..8).map(|shift| SOON << shift) {
            reg::COMPARE.write(reg::COUNT.read().wrapping_sub(1));
            run::forget_exceptions();
            let mut registers = Registers::with(&[(A0, ticks)]);
            mapped(&words, Mode::Kernel, &mut registers, TIMER | STATUS_IE);
            if run::first().epc == Mode::Kernel.code() + 4 * 8 {
                break;
            }
        }
        see_exceptions();
    });
    suite.program(format_args!("timer.in-slot-of-endless-branch"), || {
        strike_soon();
        // Whether it comes at the branch or in its slot, EPC is the branch.
        let mut registers = Registers::new();
        mapped(
            &[beq(ZERO, ZERO, -1), NOP],
            Mode::Kernel,
            &mut registers,
            TIMER | STATUS_IE,
        );
        see("exceptions", run::count());
        see("vector", run::first().vector);
        see("epc", run::first().epc);
    });
}

/// Count and Cause.DC.
fn count(suite: &mut Suite) {
    suite.program(format_args!("count.stands-with-dc"), || {
        reg::CAUSE.write(CAUSE_DC);
        let first = reg::COUNT.read();
        let begin = cp0::reg::KSCRATCH1.read();
        (0..1000).for_each(|_| reg::KSCRATCH1.write(begin));
        see("moved", reg::COUNT.read().wrapping_sub(first));
    });
    for value in [
        0u64,
        0x1000,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
        0x1_2345_6789,
    ] {
        suite.program(format_args!("count.written-with-dc.{value:x}"), || {
            reg::CAUSE.write(CAUSE_DC);
            reg::COUNT.write(value);
            see("count", reg::COUNT.read());
        });
        suite.program(format_args!("count.goes-on-from.{value:x}"), || {
            reg::COUNT.write(value);
            let moved = reg::COUNT.read().wrapping_sub(value) as u32;
            see("soon", u64::from(moved < 1 << 29));
            reg::CAUSE.write(CAUSE_DC);
            let stood = reg::COUNT.read();
            reg::CAUSE.write(0);
            let moved = reg::COUNT.read().wrapping_sub(stood) as u32;
            see("soon-after-dc", u64::from(moved < 1 << 29));
        });
        suite.program(format_args!("count.compare-reads-back.{value:x}"), || {
            reg::CAUSE.write(CAUSE_DC);
            reg::COUNT.write(0x1234);
            reg::COMPARE.write(value);
            see("compare", reg::COMPARE.read());
            see("cause", reg::CAUSE.read());
        });
    }
    suite.program(format_args!("count.no-timer-with-dc"), || {
        reg::CAUSE.write(CAUSE_DC);
        reg::COUNT.write(0x1000);
        reg::COMPARE.write(0x1000);
        see("cause", reg::CAUSE.read());
        reg::COMPARE.write(0x1001);
        see("cause", reg::CAUSE.read());
    });
    suite.program(format_args!("count.timer-after-count-was-set"), || {
        for due in (0..8).map(|shift| 0x1_0000 << shift) {
            reg::COUNT.write(0xffff_fff0);
            reg::COMPARE.write(due);
            if due.wrapping_sub(reg::COUNT.read()) as i32 > 0 {
                break;
            }
        }
        see("struck", u64::from(struck()));
        see("cause", reg::CAUSE.read());
    });
    suite.program(format_args!("count.goes-on"), || {
        let first = reg::COUNT.read();
        let mut moved = false;
        for _ in 0..1_000_000 {
            moved |= reg::COUNT.read() != first;
        }
        see("moved", u64::from(moved));
    });
}
