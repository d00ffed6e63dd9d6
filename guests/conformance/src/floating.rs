//! The FPU: its control registers, its exceptions, and that it is off and on.

use crate::record::{see, see_text};
use crate::run::{self, mapped, see_exceptions, Mode};
use crate::suite::Suite;
use disco_bare::cp0::{reg, STATUS_CU1};
use disco_bare::execute::Registers;
use disco_bare::instruction::*;
use disco_bare::registers::*;

const S: u32 = 0x4600_0000;
const D: u32 = 0x4620_0000;
const CMP_D: u32 = 0x46a0_0000;

/// `fd = 0`, `fs = 1`, `ft = 2`.
const fn op(format: u32, function: u32) -> u32 {
    format | 2 << 16 | 1 << 11 | function
}

/// One operand.
const fn op1(format: u32, function: u32) -> u32 {
    format | 1 << 11 | function
}

const ONE: u64 = 0x3ff0_0000_0000_0000;
const THREE: u64 = 0x4008_0000_0000_0000;
const HUGE: u64 = 0x7fef_ffff_ffff_ffff;
const TINY: u64 = 0x0010_0000_0000_0000;
const DENORMAL: u64 = 0x0000_0000_0000_0001;
const INFINITE: u64 = 0x7ff0_0000_0000_0000;
const QUIET: u64 = 0x7ff8_0000_0000_1234;
const SIGNALING: u64 = 0x7ff4_0000_0000_1234;
const MINUS: u64 = 1 << 63;
const ONE_S: u64 = 0x3f80_0000;
const THREE_S: u64 = 0x4040_0000;
const HUGE_S: u64 = 0x7f7f_ffff;
const TINY_S: u64 = 0x0080_0000;
const SIGNALING_S: u64 = 0x7fa0_1234;

/// Operations and operands that raise, or just do not raise, each exception.
const OPERATIONS: &[(&str, u32, u64, u64)] = &[
    ("add.d", op(D, 0), ONE, THREE),
    ("add.d-inexact", op(D, 0), ONE, DENORMAL),
    ("add.d-overflow", op(D, 0), HUGE, HUGE),
    ("add.d-signaling", op(D, 0), SIGNALING, ONE),
    ("add.d-quiet", op(D, 0), QUIET, ONE),
    ("add.d-infinities", op(D, 0), INFINITE, INFINITE | MINUS),
    ("sub.d", op(D, 1), ONE, THREE),
    ("sub.d-infinities", op(D, 1), INFINITE, INFINITE),
    ("mul.d-underflow", op(D, 2), TINY, TINY),
    ("mul.d-denormal", op(D, 2), TINY, 0x3fe0_0000_0000_0000),
    ("mul.d-zero-infinity", op(D, 2), 0, INFINITE),
    ("div.d-third", op(D, 3), ONE, THREE),
    ("div.d-by-zero", op(D, 3), ONE, 0),
    ("div.d-zero-by-zero", op(D, 3), 0, 0),
    ("div.d-by-denormal", op(D, 3), ONE, DENORMAL),
    ("sqrt.d-minus", op1(D, 4), ONE | MINUS, 0),
    ("sqrt.d-three", op1(D, 4), THREE, 0),
    ("abs.d-signaling", op1(D, 5), SIGNALING | MINUS, 0),
    ("neg.d-quiet", op1(D, 7), QUIET, 0),
    ("round.l.d-huge", op1(D, 8), HUGE, 0),
    ("trunc.w.d", op1(D, 0x0d), 0x4009_2000_0000_0000, 0),
    ("trunc.w.d-quiet", op1(D, 0x0d), QUIET, 0),
    ("ceil.w.d-huge", op1(D, 0x0e), HUGE, 0),
    ("floor.w.d", op1(D, 0x0f), 0xc009_2000_0000_0000, 0),
    ("recip.d-zero", op1(D, 0x15), 0, 0),
    ("rsqrt.d-minus", op1(D, 0x16), ONE | MINUS, 0),
    ("maddf.d", op(D, 0x18), THREE, THREE),
    ("msubf.d-overflow", op(D, 0x19), HUGE, HUGE),
    ("rint.d", op1(D, 0x1a), 0x4009_2000_0000_0000, 0),
    ("class.d-signaling", op1(D, 0x1b), SIGNALING, 0),
    ("class.d-denormal", op1(D, 0x1b), DENORMAL | MINUS, 0),
    ("min.d-signaling", op(D, 0x1c), SIGNALING, ONE),
    ("max.d-quiet", op(D, 0x1e), QUIET, ONE),
    ("cvt.s.d-inexact", op1(D, 0x20), 0x3ff0_0000_0000_0001, 0),
    ("cvt.s.d-overflow", op1(D, 0x20), HUGE, 0),
    ("cvt.s.d-underflow", op1(D, 0x20), TINY, 0),
    ("cvt.w.d-half", op1(D, 0x24), 0x3fe0_0000_0000_0000, 0),
    ("cvt.l.d-infinite", op1(D, 0x25), INFINITE, 0),
    ("cmp.sun.d-quiet", op(CMP_D, 0x09), QUIET, ONE),
    ("cmp.un.d-quiet", op(CMP_D, 0x01), QUIET, ONE),
    ("cmp.un.d-signaling", op(CMP_D, 0x01), SIGNALING, ONE),
    ("cmp.lt.d", op(CMP_D, 0x04), ONE, THREE),
    ("add.s-inexact", op(S, 0), ONE_S, 1),
    ("add.s-overflow", op(S, 0), HUGE_S, HUGE_S),
    ("mul.s-underflow", op(S, 2), TINY_S, TINY_S),
    ("div.s-by-zero", op(S, 3), ONE_S, 0),
    ("div.s-third", op(S, 3), ONE_S, THREE_S),
    ("cvt.d.s-signaling", op1(S, 0x21), SIGNALING_S, 0),
    ("cvt.w.s-huge", op1(S, 0x24), HUGE_S, 0),
];

/// FCSR with the 2008 bits: nothing enabled, all enabled, and rounding down, flushing denormals.
const FCSR: [(&str, u64); 4] = [
    ("quiet", 0xc_0000),
    ("enabled", 0xc_0f80),
    ("down", 0xc_0003),
    ("flush", 0x10c_0001),
];

/// All programs of this file.
pub fn programs(suite: &mut Suite) {
    for (setting, fcsr) in FCSR {
        for &(name, word, a, b) in OPERATIONS {
            suite.program(format_args!("fpu.{name}.{setting}"), || {
                let mut registers = Registers::with(&[(A0, a), (A1, b), (T0, fcsr)]);
                let words = [
                    ctc1(T0, 31),
                    dmtc1(A0, 1),
                    dmtc1(A1, 2),
                    dmtc1(ZERO, 0),
                    word,
                    dmfc1(V0, 0),
                    cfc1(V1, 31),
                ];
                mapped(&words, Mode::User, &mut registers, STATUS_CU1);
                see("v0", registers.get(V0));
                see("v1", registers.get(V1));
                see_exceptions();
                // FCSR shows the cause after an exception, too.
                run::forget_exceptions();
                mapped(
                    &[cfc1(V1, 31), ctc1(T1, 31)],
                    Mode::User,
                    &mut registers,
                    STATUS_CU1,
                );
                see("fcsr", registers.get(V1));
            });
        }
    }
    control(suite);
    switching(suite);
}

/// The control registers, each as far as it is there.
fn control(suite: &mut Suite) {
    for number in 0..32 {
        suite.program(format_args!("fpu.control.{number}.read"), || {
            let mut registers = Registers::with(&[(T0, 0xc_0000)]);
            mapped(
                &[ctc1(T0, 31), cfc1(V0, number)],
                Mode::User,
                &mut registers,
                STATUS_CU1,
            );
            see("v0", registers.get(V0));
            see_exceptions();
        });
        for value in [
            u64::MAX,
            0,
            0x0001_5555,
            0x0100_0a83,
            0x0002_aaaa,
            0x0003_f07f,
            0xfe80_0000,
        ] {
            suite.program(format_args!("fpu.control.{number}.write.{value:x}"), || {
                let mut registers = Registers::with(&[(T0, 0xc_0000), (A0, value)]);
                let words = [
                    ctc1(T0, 31),
                    ctc1(A0, number),
                    cfc1(V0, number),
                    cfc1(V1, 31),
                ];
                mapped(&words, Mode::Kernel, &mut registers, STATUS_CU1);
                see("v0", registers.get(V0));
                see("v1", registers.get(V1));
                see_exceptions();
                mapped(&[ctc1(T0, 31)], Mode::Kernel, &mut registers, STATUS_CU1);
            });
        }
    }
}

/// Registers outlive the FPU's being off, and each mode finds the other's.
fn switching(suite: &mut Suite) {
    for mode in Mode::ALL {
        suite.program(format_args!("fpu.kept.{}", mode.name()), || {
            run::skip_exceptions();
            let mut registers = Registers::with(&[(A0, 0x1234_5678_9abc_def0), (T0, 0x0104_0002)]);
            mapped(
                &[dmtc1(A0, 7), ctc1(T0, 31)],
                mode,
                &mut registers,
                STATUS_CU1,
            );
            mapped(&[dmfc1(V0, 7), cfc1(V0, 31), NOP], mode, &mut registers, 0);
            see("off", registers.get(V0));
            for other in Mode::ALL {
                mapped(
                    &[dmfc1(V0, 7), cfc1(V1, 31)],
                    other,
                    &mut registers,
                    STATUS_CU1,
                );
                see(other.name(), registers.get(V0));
                see(other.name(), registers.get(V1));
            }
            see_exceptions();
            mapped(&[ctc1(ZERO, 31)], Mode::Kernel, &mut registers, STATUS_CU1);
        });
    }
    suite.program(format_args!("fpu.status-in-between"), || {
        run::skip_exceptions();
        let mut registers = Registers::with(&[(A0, 0x77), (A1, 0x0400_00e0), (A2, 0x2400_00e0)]);
        let words = [
            dmtc1(A0, 3),
            mtc0(A1, 12, 0),
            dmfc1(V0, 3),
            mtc0(A2, 12, 0),
            dmfc1(V1, 3),
            mtc0(A1, 12, 0),
        ];
        mapped(&words, Mode::Kernel, &mut registers, STATUS_CU1);
        see("v0", registers.get(V0));
        see("v1", registers.get(V1));
        see_exceptions();
    });
    suite.program(format_args!("fpu.fre"), || {
        let before = reg::CONFIG5.read();
        reg::CONFIG5.write(before | 1 << 8);
        mapped(
            &[NOP, op(S, 0)],
            Mode::User,
            &mut Registers::new(),
            STATUS_CU1,
        );
        reg::CONFIG5.write(before);
        see_text("outcome", run::Brief);
    });
}
