//! Every CP0 register and select: what it reads, and which bits can be written.

use crate::record::{see_text, Address};
use crate::run::{self, unmapped};
use crate::suite::Suite;
use core::fmt::{self, Display};
use disco_bare::execute::Registers;
use disco_bare::instruction::*;
use disco_bare::place;
use disco_bare::registers::*;

/// What is written: all ones, zeros, and two patterns.
const PATTERNS: [u64; 4] = [u64::MAX, 0, 0xa5a5_5a5a_c3c3_3c3c, 0x5a5a_a5a5_3c3c_c3c3];

/// A register by number and select.
type Number = (u32, u32);

/// Random, Count and Compare: their values are not those of a moment. They have programs of their
/// own.
const MOVING: &[Number] = &[(1, 0), (9, 0), (11, 0)];
/// The page-table walker's registers, all of which the I6400 of QEMU has not.
const WALKER: &[Number] = &[(5, 5), (5, 6), (5, 7), (6, 6)];
const EPC: Number = (14, 0);
const EBASE: Number = (15, 1);
/// WatchLo and WatchHi.
const WATCH: [u32; 2] = [18, 19];

/// Programs of every register.
pub fn programs(suite: &mut Suite) {
    for number in 0..32 {
        for select in 0..8 {
            let register = (number, select);
            if MOVING.contains(&register) || WALKER.contains(&register) || WATCH.contains(&number) {
                continue;
            }
            suite.program(format_args!("cp0.{number}.{select}.read"), || {
                see_text("read", Read(register));
            });
            suite.program(format_args!("cp0.{number}.{select}.write"), || {
                see_text("write", Both(register));
            });
        }
    }
    for number in WATCH {
        suite.program(format_args!("cp0.{number}.watch"), || {
            see_text("read", List(|select| One((number, select))));
            see_text("ones", List(|select| Ones((number, select))));
        });
    }
    suite.program(format_args!("cp0.walker"), || {
        see_text("read", List(|at| One(WALKER[at as usize % WALKER.len()])));
        see_text("ones", List(|at| Ones(WALKER[at as usize % WALKER.len()])));
    });
    suite.program(format_args!("cp0.1.0.read-all-wired"), || {
        disco_bare::cp0::reg::WIRED.write(15);
        see_text("read", Read((1, 0)));
    });
}

/// Eight things on a line.
struct List<F>(F);

impl<T: Display, F: Fn(u32) -> T> Display for List<F> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..8).try_for_each(|select| {
            let space = if select == 0 { "" } else { " " };
            write!(out, "{space}{}", self.0(select))
        })
    }
}

/// A value, or the exceptions instead.
fn show(out: &mut fmt::Formatter<'_>, register: Number, value: u64) -> fmt::Result {
    const GATE: u64 = 1 << 11;
    if run::count() > 0 {
        write!(out, "{}", run::Brief)
    } else if register == EBASE && value & GATE == 0 {
        // Its upper part is the place's as long as the write gate is closed.
        write!(out, "place+{:#x}", value.wrapping_sub(place::base()))
    } else if register == EPC {
        write!(out, "{}", Address(value))
    } else {
        write!(out, "{value:#x}")
    }
}

/// What `dmfc0` gives.
struct One(Number);

impl Display for One {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut registers = Registers::new();
        run::forget_exceptions();
        unmapped(&[dmfc0(V0, self.0 .0, self.0 .1)], &mut registers);
        show(out, self.0, registers.get(V0))
    }
}

/// What a register reads after `dmtc0` of all ones. It is put back.
struct Ones(Number);

impl Display for Ones {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, select) = self.0;
        let mut registers = Registers::with(&[(A0, u64::MAX)]);
        run::forget_exceptions();
        let words = [
            dmfc0(T0, number, select),
            dmtc0(A0, number, select),
            dmfc0(V0, number, select),
            dmtc0(T0, number, select),
        ];
        unmapped(&words, &mut registers);
        show(out, self.0, registers.get(V0))
    }
}

/// What the moves from a register, and one that there is not, give.
struct Read(Number);

impl Display for Read {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, select) = self.0;
        let moves = [dmfc0 as fn(_, _, _) -> _, mfc0, mfhc0, mthc0];
        for (at, move_from) in moves.into_iter().enumerate() {
            let mut registers = Registers::new();
            run::forget_exceptions();
            // EPC is what began this code.
            unmapped(
                &[dmtc0(ZERO, 14, 0), move_from(V0, number, select)],
                &mut registers,
            );
            out.write_str(if at == 0 { "" } else { " " })?;
            show(out, self.0, registers.get(V0))?;
        }
        Ok(())
    }
}

/// What is written with either move.
struct Both(Number);

impl Display for Both {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} mtc0 {}",
            Changed(self.0, dmtc0),
            Changed(self.0, mtc0)
        )
    }
}

/// Which bits of a register change when each pattern is written with one of the moves; of EBase the
/// value. What was there is put back, and with EBase's write gate open before.
struct Changed(Number, fn(u32, u32, u32) -> u32);

impl Display for Changed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self((number, select), move_to) = *self;
        let words = [
            dmtc0(ZERO, 14, 0),
            dmfc0(T0, number, select),
            move_to(A0, number, select),
            dmfc0(V0, number, select),
            ori(T1, T0, 0x800),
            dmtc0(T1, number, select),
            dmtc0(T0, number, select),
        ];
        for (at, pattern) in PATTERNS.into_iter().enumerate() {
            let mut registers = Registers::with(&[(A0, pattern)]);
            run::forget_exceptions();
            unmapped(&words, &mut registers);
            let before = if self.0 == EBASE {
                0
            } else {
                registers.get(T0)
            };
            out.write_str(if at == 0 { "" } else { " " })?;
            show(out, self.0, registers.get(V0) ^ before)?;
        }
        Ok(())
    }
}
