//! TLB instructions: invalidation, replacement, duplicates, and the registers they use.

use crate::record::see;
use crate::run::{mapped, see_exceptions, Mode};
use crate::suite::Suite;
use crate::tlb::{entry, fill, load, probe, see_entry, small, PAGE, PLACES, RW, SHOWN};
use disco_bare::cp0::{self, reg};
use disco_bare::execute::Registers;
use disco_bare::instruction::*;
use disco_bare::registers::*;
use disco_bare::tlb::{self, Entry, LO_G, LO_V};

/// All programs of this file.
pub fn programs(suite: &mut Suite) {
    invalidation(suite);
    replacement(suite);
    duplicates(suite);
    index(suite);
}

/// What `tlbinv`, `tlbinvf` and EHINV leave.
fn invalidation(suite: &mut Suite) {
    let (_, address, mode) = PLACES[0];
    let step = 2 * PAGE;
    let five = || {
        fill();
        tlb::write_indexed(0, &small(address, 1, RW));
        tlb::write_indexed(1, &small(address + step, 2, RW));
        tlb::write_indexed(2, &small(address + 2 * step, 1, RW | LO_G));
        tlb::write_indexed(3, &small(address + 3 * step, 1, LO_V));
        tlb::write_indexed(4, &small(PLACES[1].1, 1, RW));
    };
    let see_all = || {
        for number in 0..4 {
            for asid in [1, 2] {
                reg::ENTRY_HI.write(asid);
                load("load", address + number * step, mode);
            }
        }
        (0..5).for_each(see_entry);
    };
    for wired in [0, 3] {
        for (name, instruction) in [("tlbinv", cp0::tlbinv as fn()), ("tlbinvf", cp0::tlbinvf)] {
            for asid in [1, 2, 3] {
                suite.program(format_args!("tlb.{name}.asid-{asid}.wired-{wired}"), || {
                    five();
                    reg::WIRED.write(wired);
                    reg::ENTRY_HI.write(asid);
                    reg::INDEX.write(2);
                    instruction();
                    see("index", reg::INDEX.read());
                    see("hi", reg::ENTRY_HI.read());
                    see_all();
                });
            }
        }
    }
    for index in 0..5 {
        suite.program(format_args!("tlb.ehinv.{index}"), || {
            five();
            reg::ENTRY_HI.write(address | 1 << 10 | 7);
            reg::INDEX.write(index);
            cp0::tlbwi();
            see_all();
        });
    }
    suite.program(format_args!("tlb.ehinv.probe"), || {
        five();
        probe("with-ehinv", address | 1 << 10 | 1);
        see("hi", reg::ENTRY_HI.read());
        reg::ENTRY_HI.write(address | 1 << 10);
        reg::INDEX.write(0);
        cp0::tlbwi();
        probe("without", address | 1);
    });
    suite.program(format_args!("tlb.ehinv.read-then-write"), || {
        five();
        tlb::read(9);
        reg::INDEX.write(9);
        cp0::tlbr();
        see("hi", reg::ENTRY_HI.read());
        see("lo0", reg::ENTRY_LO0.read());
        see("lo1", reg::ENTRY_LO1.read());
        see("mask", reg::PAGE_MASK.read());
        // EntryHi has EHINV now: an address error leaves it there.
        let mut registers = Registers::with(&[(A0, 0x0001_0000_0000_2000)]);
        mapped(&[ld(V0, 0, A0)], Mode::Kernel, &mut registers, 0);
        see_exceptions();
    });
}

/// Entries that others replace.
fn replacement(suite: &mut Suite) {
    let (_, address, mode) = PLACES[0];
    suite.program(format_args!("tlb.tlbwr.all-wired-but-one"), || {
        fill();
        (0..15).for_each(|at| tlb::write_indexed(at, &small(address + at * 2 * PAGE, 1, RW)));
        reg::WIRED.write(15);
        tlb::write_random(&small(address + 99 * 2 * PAGE, 1, RW));
        probe("probe", address + 99 * 2 * PAGE | 1);
        (0..16).for_each(see_entry);
    });
    for wired in [0, 1, 8, 14] {
        suite.program(format_args!("tlb.tlbwr.not-below-wired-{wired}"), || {
            fill();
            reg::WIRED.write(wired);
            for at in 0..40 {
                tlb::write_random(&small(address + at * 2 * PAGE, 1, RW));
                reg::ENTRY_HI.write(address + at * 2 * PAGE | 1);
                cp0::tlbp();
                let index = reg::INDEX.read();
                assert!((wired..16).contains(&index), "{index}");
                reg::ENTRY_HI.write(1);
                assert_eq!(
                    disco_bare::access::load(address + at * 2 * PAGE).ok(),
                    Some(SHOWN)
                );
            }
            see(
                "below",
                (0..wired)
                    .filter(|&at| tlb::read(at).hi & 1 << 10 == 0)
                    .count(),
            );
        });
    }
    for value in [15, 16, 17, 0xff, 0xffff_ffff, 0x000f_0003] {
        suite.program(format_args!("tlb.wired.{value:x}"), || {
            reg::WIRED.write(7);
            reg::WIRED.write(value);
            see("wired", reg::WIRED.read());
        });
    }
    suite.program(format_args!("tlb.tlbwi.other-page"), || {
        fill();
        tlb::write_indexed(3, &small(address, 0, RW | LO_G));
        load("before", address, mode);
        tlb::write_indexed(3, &small(address + 4 * PAGE, 0, RW | LO_G));
        load("old", address, mode);
        load("new", address + 4 * PAGE, mode);
        probe("old", address);
    });
    suite.program(format_args!("tlb.tlbwi.other-frame"), || {
        fill();
        tlb::write_indexed(3, &small(address, 0, RW | LO_G));
        load("before", address, mode);
        let moved = Entry {
            lo0: tlb::lo(SHOWN + 3 * PAGE, RW | LO_G),
            ..small(address, 0, RW | LO_G)
        };
        tlb::write_indexed(3, &moved);
        load("after", address, mode);
    });
    for (from, to) in [(20, 12), (12, 20), (14, 28), (28, 14)] {
        suite.program(format_args!("tlb.tlbwi.size-{from}-to-{to}"), || {
            fill();
            for (name, size) in [("before", from), ("after", to)] {
                tlb::write_indexed(3, &entry(address, 0, size, [RW | LO_G; 2]));
                load(name, address + (SHOWN & ((1 << size) - 1)), mode);
                load(name, address + (SHOWN & ((1 << size) - 1)) + 0x2000, mode);
                load(name, address + 0x1_0000, mode);
            }
        });
    }
}

/// More than one entry for an address. The board takes the first and raises nothing.
fn duplicates(suite: &mut Suite) {
    let (_, address, mode) = PLACES[0];
    let other = |flags| Entry {
        lo0: tlb::lo(SHOWN + 2 * PAGE, flags),
        ..small(address, 0, flags)
    };
    for (first, second) in [(2, 7), (7, 2)] {
        suite.program(format_args!("tlb.duplicate.{first}-{second}"), || {
            fill();
            tlb::write_indexed(first, &small(address, 0, RW | LO_G));
            tlb::write_indexed(second, &other(RW | LO_G));
            load("load", address, mode);
            probe("probe", address);
            see_entry(2);
            see_entry(7);
        });
        suite.program(
            format_args!("tlb.duplicate.global.{first}-{second}"),
            || {
                fill();
                tlb::write_indexed(first, &small(address, 4, RW));
                tlb::write_indexed(second, &other(RW | LO_G));
                for asid in [4, 5] {
                    reg::ENTRY_HI.write(asid);
                    load("load", address, mode);
                    probe("probe", address | asid);
                }
            },
        );
        suite.program(format_args!("tlb.duplicate.sizes.{first}-{second}"), || {
            fill();
            tlb::write_indexed(first, &entry(address, 0, 20, [RW | LO_G; 2]));
            tlb::write_indexed(second, &other(RW | LO_G));
            load("small", address, mode);
            load("large", address + 0x1_0000, mode);
            probe("small", address);
            probe("large", address + 0x1_0000);
        });
    }
}

/// Index: what it keeps, and `tlbp` that finds nothing.
fn index(suite: &mut Suite) {
    for value in [0u64, 5, 15, 16, 31, 0x8000_0003, 0xffff_ffff, 0x7fff_ffff] {
        suite.program(format_args!("tlb.index.{value:x}"), || {
            reg::INDEX.write(3);
            reg::INDEX.write(value);
            see("index", reg::INDEX.read());
        });
        suite.program(
            format_args!("tlb.index.{value:x}.after-failed-probe"),
            || {
                reg::INDEX.write(7);
                reg::ENTRY_HI.write(0x7000_0000);
                cp0::tlbp();
                see("failed", reg::INDEX.read());
                reg::INDEX.write(value);
                see("index", reg::INDEX.read());
            },
        );
    }
    suite.program(format_args!("tlb.index.failed-probe-then-tlbwi"), || {
        fill();
        reg::INDEX.write(6);
        reg::ENTRY_HI.write(0x7000_0000);
        cp0::tlbp();
        let entry = small(PLACES[0].1, 0, RW | LO_G);
        reg::ENTRY_HI.write(entry.hi);
        reg::ENTRY_LO0.write(entry.lo0);
        reg::ENTRY_LO1.write(entry.lo1);
        reg::PAGE_MASK.write(entry.page_mask);
        cp0::tlbwi();
        see_entry(6);
        see_entry(0);
    });
    for value in [
        0x2000u64,
        0x4000,
        0x6000,
        0xe000,
        0x1_e000,
        0x1fff_e000,
        0x5fff_e000,
        0x1_6000,
        0x18_0000,
    ] {
        suite.program(format_args!("tlb.pagemask.{value:x}"), || {
            reg::PAGE_MASK.write(value);
            see("mask", reg::PAGE_MASK.read());
        });
    }
}
