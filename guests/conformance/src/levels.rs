//! Exceptions at EXL and ERL, returns from them, Status, and where the vectors are.

use crate::record::see;
use crate::run::{self, mapped, see_exceptions, Mode};
use crate::suite::Suite;
use disco_bare::cp0::{reg, STATUS_CU1, STATUS_ERL, STATUS_EXL};
use disco_bare::execute::Registers;
use disco_bare::instruction::*;
use disco_bare::place;
use disco_bare::registers::*;

const STATUS: u64 = 0x0400_00e0;

/// Exceptions, with `$a0` unmapped and `$a1` not an address.
const RAISE: &[(&str, [u32; 2])] = &[
    ("syscall", [NOP, SYSCALL]),
    ("break", [NOP, BREAK]),
    ("reserved", [NOP, 0x0000_0028]),
    ("coprocessor", [NOP, 0x4800_0000]),
    ("overflow", [NOP, A2 << 21 | A2 << 16 | V0 << 11 | 0x20]),
    ("miss", [NOP, lw(V0, 0, A0)]),
    ("miss-store", [NOP, immediate(0x2b, A0, V0, 0)]),
    ("miss-fetch", [jr(A0), NOP]),
    ("address", [NOP, lw(V0, 0, A1)]),
    ("in-slot", [beq(ZERO, ZERO, 1), SYSCALL]),
    ("miss-in-slot", [beq(ZERO, ZERO, 1), lw(V0, 0, A0)]),
];

/// All programs of this file.
pub fn programs(suite: &mut Suite) {
    let levels = [
        ("exl", STATUS_EXL),
        ("erl", STATUS_ERL),
        ("both", STATUS_EXL | STATUS_ERL),
    ];
    for (level, bits) in levels {
        for &(name, [first, second]) in RAISE {
            // At ERL the user segment is unmapped: the miss is in ksseg.
            suite.program(format_args!("level.{level}.{name}"), || {
                reg::EPC.write(0x1234_5678);
                reg::ERROR_EPC.write(0x5678_1234);
                let mut registers = Registers::with(&[
                    (A0, 0xffff_ffff_d400_0000),
                    (A1, 0x0001_0000_0000_0000),
                    (A2, 0x7fff_ffff),
                    (T0, STATUS | bits),
                ]);
                let words = [dmtc0(ZERO, 14, 0), mtc0(T0, 12, 0), first, second, NOP];
                mapped(&words, Mode::Kernel, &mut registers, 0);
                see_exceptions();
            });
        }
    }
    returns(suite);
    status(suite);
    vectors(suite);
    nested(suite);
}

/// `eret` and `eretnc` at each level: word 6 is EPC, word 8 ErrorEPC.
fn returns(suite: &mut Suite) {
    for (name, instruction) in [("eret", ERET), ("eretnc", ERETNC)] {
        for (level, bits) in [
            ("none", 0),
            ("exl", 2),
            ("erl", 4),
            ("both", 6),
            ("user", 0x12),
            ("user-erl", 0x16),
        ] {
            suite.program(format_args!("return.{name}.{level}"), || {
                let code = Mode::Kernel.code();
                let mut registers =
                    Registers::with(&[(T0, STATUS | bits), (A0, code + 4 * 6), (A1, code + 4 * 8)]);
                let words = [
                    dmtc0(A0, 14, 0),
                    dmtc0(A1, 30, 0),
                    mtc0(T0, 12, 0),
                    instruction,
                    ori(V0, V0, 1),
                    ori(V0, V0, 2),
                    ori(V0, V0, 4),
                    ori(V0, V0, 8),
                    mfc0(V1, 12, 0),
                ];
                mapped(&words, Mode::Kernel, &mut registers, 0);
                see("v0", registers.get(V0));
                see("v1", registers.get(V1));
                see_exceptions();
            });
        }
    }
    for address in [
        0x1234_5678u64,
        0xffff_ffff_d500_0000,
        0x0001_0000_0000_0000,
        0x4000_8000_0000_0000,
    ] {
        for mode in [0u64, 0x10] {
            suite.program(format_args!("return.to.{address:x}.ksu-{mode:x}"), || {
                let mut registers =
                    Registers::with(&[(T0, STATUS | STATUS_EXL | mode), (A0, address)]);
                let words = [mtc0(T0, 12, 0), dmtc0(A0, 14, 0), ERET];
                mapped(&words, Mode::Kernel, &mut registers, 0);
                see_exceptions();
            });
        }
    }
}

/// Values written to Status with EXL set, so that the mode stays.
fn status(suite: &mut Suite) {
    for value in [
        0u64,
        0xe0,
        0x80,
        0xc0,
        0x60,
        0x40,
        0x20,
        0xa0,
        0x18,
        0x08,
        0x10,
        0xff00,
        0xff01,
        0x0018_0000,
        0x0010_0000,
        0x0008_0000,
        0x1000_0000,
        0x2000_0000,
        0x4000_0000,
        0x8000_0000,
        0x0100_0000,
        0x0200_0000,
        0x0800_0000,
        0x0001_0000,
        0x0002_0000,
        0x0004_0000,
        0x0020_0000,
        0x0080_0000,
    ] {
        suite.program(format_args!("status.{value:x}"), || {
            let mut registers = Registers::with(&[
                (A0, value | STATUS_EXL),
                (A1, STATUS),
                (A2, !value & 0xe0 | STATUS_EXL),
            ]);
            let words = [
                mtc0(A2, 12, 0),
                mtc0(A0, 12, 0),
                mfc0(V0, 12, 0),
                mtc0(A1, 12, 0),
                mfc0(V1, 12, 0),
            ];
            run::unmapped(&words, &mut registers);
            see("v0", registers.get(V0));
            see("v1", registers.get(V1));
            see_exceptions();
        });
    }
    for (name, word) in [
        ("di", di(V0)),
        ("ei", ei(V0)),
        ("di-0", di(ZERO)),
        ("ei-0", ei(ZERO)),
    ] {
        for ie in [0u64, 1] {
            suite.program(format_args!("status.{name}.ie-{ie}"), || {
                let mut registers = Registers::with(&[(A0, STATUS | STATUS_CU1 | ie)]);
                let words = [mtc0(A0, 12, 0), word, mfc0(V1, 12, 0), di(ZERO)];
                run::unmapped(&words, &mut registers);
                see("v0", registers.get(V0));
                see("v1", registers.get(V1));
            });
        }
    }
}

/// Vectors at another EBase: a copy of the program's own, whose offsets tell from where they came.
fn vectors(suite: &mut Suite) {
    const COPY: u64 = 0x1_0000;
    for &(name, [first, second]) in RAISE {
        suite.program(format_args!("ebase.{name}"), || {
            let base = place::base();
            for offset in (0..0x1000).step_by(8) {
                let word = disco_bare::access::physical(offset);
                disco_bare::access::set_physical(COPY + offset, word);
            }
            for offset in [0u64, 0x80, 0x100, 0x180, 0x200] {
                let word = disco_bare::access::physical(COPY + offset);
                disco_bare::access::set_physical(COPY + offset, word | 0x4000);
            }
            let before = reg::EBASE.read();
            reg::EBASE.write(base + COPY | 1 << 11);
            let mut registers = Registers::with(&[
                (A0, 0xffff_ffff_d400_0000),
                (A1, 0x0001_0000_0000_0000),
                (A2, 0x7fff_ffff),
            ]);
            mapped(&[first, second, NOP], Mode::Kernel, &mut registers, 0);
            reg::EBASE.write(before | 1 << 11);
            reg::EBASE.write(before);
            see_exceptions();
        });
    }
}

/// An exception in a handler of one in a delay slot: EPC and BD stay.
fn nested(suite: &mut Suite) {
    for &(name, [first, second]) in RAISE {
        suite.program(format_args!("nested.{name}"), || {
            run::nest();
            let mut registers = Registers::with(&[
                (A0, 0xffff_ffff_d400_0000),
                (A1, 0x0001_0000_0000_0000),
                (A2, 0x7fff_ffff),
            ]);
            // The handler goes on at word 4 with EXL still set.
            let words = [NOP, beq(ZERO, ZERO, 1), SYSCALL, NOP, first, second, NOP];
            mapped(&words, Mode::Kernel, &mut registers, 0);
            see_exceptions();
            see("errorepc", reg::ERROR_EPC.read());
        });
    }
}
