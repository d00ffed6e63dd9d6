//! Count, Compare and the timer's interrupt.

use crate::record::see;
use crate::run::{self, mapped, see_exceptions, Mode};
use crate::suite::Suite;
use disco_bare::cp0::{reg, CAUSE_DC, CAUSE_IV, STATUS_IE};
use disco_bare::execute::Registers;
use disco_bare::instruction::*;
use disco_bare::registers::*;

/// Status.IM and Cause.IP of the timer.
const TIMER: u64 = 1 << 15;
/// The same of a software interrupt.
const SOFT: u64 = 1 << 8;
/// `bc` to itself.
const FOREVER: u32 = 0x32 << 26 | 0x03ff_ffff;
/// Ticks after which the timer strikes.
const SOON: u64 = 100_000;

/// All programs of this file.
pub fn programs(suite: &mut Suite) {
    timer(suite);
    count(suite);
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
        reg::CAUSE.write(SOFT);
        strike_soon();
        see("struck", u64::from(struck()));
        mapped(
            &[NOP],
            Mode::Kernel,
            &mut Registers::new(),
            TIMER | SOFT | STATUS_IE,
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
        let begin = reg::KSCRATCH1.read();
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
