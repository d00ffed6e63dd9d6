//! What user mode may read (`rdhwr`, UserLocal), caches, and code that changes itself.

use crate::record::{see, see_text};
use crate::run::{self, data, mapped, see_exceptions, Mode, DATA, DATA_PHYSICAL, KERNEL_DATA};
use crate::suite::Suite;
use disco_bare::access::{physical, set_physical};
use disco_bare::cp0::{reg, CAUSE_DC};
use disco_bare::execute::Registers;
use disco_bare::instruction::*;
use disco_bare::registers::*;
use disco_bare::tlb::{LO_D, LO_G, LO_V};

const RW: u64 = LO_V | LO_D | LO_G;

/// All programs of this file.
pub fn programs(suite: &mut Suite) {
    for mode in Mode::ALL {
        for number in 0..32 {
            for (allowed, hwrena) in [
                ("none", 0u64),
                ("own", 1 << number),
                ("others", !(1 << number)),
            ] {
                suite.program(
                    format_args!("rdhwr.{number}.{}.{allowed}", mode.name()),
                    || {
                        read(number, mode, hwrena);
                    },
                );
            }
        }
    }
    for value in [0u64, 1, 0x2f, 0x2000_0000, 0xffff_ffff, 0xd0] {
        suite.program(format_args!("rdhwr.hwrena.{value:x}"), || {
            reg::HWRENA.write(value);
            see("hwrena", reg::HWRENA.read());
        });
    }
    suite.program(format_args!("rdhwr.count-is-count"), || {
        reg::CAUSE.write(CAUSE_DC);
        reg::COUNT.write(0xabcd_1234);
        reg::HWRENA.write(4);
        let mut registers = Registers::new();
        mapped(&[rdhwr(V0, 2)], Mode::User, &mut registers, 0);
        see("v0", registers.get(V0));
        see("count", reg::COUNT.read());
    });
    suite.program(format_args!("rdhwr.in-slot"), || {
        reg::HWRENA.write(1);
        let mut registers = Registers::new();
        let words = [bal(1), rdhwr(V0, 0), ori(V1, V1, 1), NOP];
        mapped(&words, Mode::User, &mut registers, 0);
        see("v1", registers.get(V1));
        see("ra", registers.get(RA));
        see_exceptions();
    });
    caches(suite);
    changed_code(suite);
}

fn read(number: u32, mode: Mode, hwrena: u64) {
    const COUNT: u32 = 2;
    reg::HWRENA.write(hwrena);
    reg::USER_LOCAL.write(0x1122_3344_5566_7788);
    let mut registers = Registers::with(&[(V0, 0x77)]);
    mapped(&[NOP, rdhwr(V0, number)], mode, &mut registers, 0);
    if number == COUNT {
        see("read", u64::from(registers.get(V0) != 0x77));
    } else {
        see("v0", registers.get(V0));
    }
    see_exceptions();
}

/// `cache` operations that concern addresses and indices. Those on tags are not here: without an
/// inter-thread communication unit QEMU ends on them.
fn caches(suite: &mut Suite) {
    const TAGS: [u32; 2] = [1, 2];
    for operation in (0..32u32).filter(|operation| !TAGS.contains(&(operation >> 2))) {
        for (place, address) in [("mapped", KERNEL_DATA), ("unmapped", 0xffff_ffff_d700_0000)] {
            suite.program(format_args!("cache.{operation:02x}.{place}"), || {
                data(0, RW, RW);
                let mut registers =
                    Registers::with(&[(A0, address), (A1, KERNEL_DATA), (A2, 0x99)]);
                let words = [sd(A2, 0, A1), cache(operation, A0), ld(V0, 0, A1)];
                mapped(&words, Mode::Kernel, &mut registers, 0);
                see("v0", registers.get(V0));
                see("memory", physical(DATA_PHYSICAL));
                see_exceptions();
            });
        }
    }
    for mode in Mode::ALL {
        let words = [
            ("sync", 0x0000_000f),
            ("sync-4", 0x0000_010f),
            ("synci", 0x041f_0000 | A0 << 21),
            ("synci-unmapped", 0x041f_0000 | A1 << 21),
            ("pref", 0x7c00_0035 | A0 << 21),
            ("pref-unmapped", 0x7c00_0035 | A1 << 21),
            ("ehb", 0x0000_00c0),
            ("ssnop", 0x0000_0040),
            ("pause", 0x0000_0140),
        ];
        for (name, word) in words {
            suite.program(format_args!("cache.{name}.{}", mode.name()), || {
                data(0, RW, RW);
                let address = if mode == Mode::User {
                    DATA
                } else {
                    KERNEL_DATA
                };
                let mut registers = Registers::with(&[(A0, address), (A1, 0x1234_5678)]);
                mapped(&[NOP, word, ori(V0, V0, 1)], mode, &mut registers, 0);
                see("v0", registers.get(V0));
                see_exceptions();
            });
        }
    }
}

/// Code on a page of data that is written, and executed after `synci`.
fn changed_code(suite: &mut Suite) {
    for mode in Mode::ALL {
        suite.program(format_args!("changed-code.{}", mode.name()), || {
            data(0, RW, RW);
            let address = if mode == Mode::User {
                DATA
            } else {
                KERNEL_DATA
            };
            let first = u64::from(jr(RA)) << 32 | u64::from(ori(V0, ZERO, 1));
            let second = u64::from(jr(RA)) << 32 | u64::from(ori(V1, ZERO, 2));
            set_physical(DATA_PHYSICAL, first);
            let mut registers = Registers::with(&[(A0, address), (A1, second)]);
            let words = [
                0x041f_0000 | A0 << 21,
                jalr(RA, A0),
                NOP,
                sd(A1, 0, A0),
                0x041f_0000 | A0 << 21,
                jalr(RA, A0),
                NOP,
            ];
            mapped(&words, mode, &mut registers, 0);
            see("v0", registers.get(V0));
            see("v1", registers.get(V1));
            see_exceptions();
        });
    }
    suite.program(format_args!("changed-code.own-page"), || {
        // The word behind the store is what it stores.
        let mut registers = Registers::with(&[(A1, u64::from(ori(V1, ZERO, 5)))]);
        let words = [
            bal(1),
            NOP,
            immediate(0x2b, RA, A1, 12),
            0x041f_0000 | RA << 21 | 12,
            0x0000_000f,
            ori(V0, ZERO, 1),
        ];
        mapped(&words, Mode::User, &mut registers, 0);
        see("v0", registers.get(V0));
        see("v1", registers.get(V1));
        see_text("outcome", run::Brief);
    });
}
