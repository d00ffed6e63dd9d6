//! What an entry of the TLB maps: page sizes, G, ASIDs, and entries that change.

use crate::record::{see, see_text};
use crate::run::{self, mapped, see_exceptions, Mode};
use crate::suite::Suite;
use disco_bare::access::set_physical;
use disco_bare::cp0::{self, reg};
use disco_bare::execute::Registers;
use disco_bare::instruction::*;
use disco_bare::registers::*;
use disco_bare::tlb::{self, Entry, LO_D, LO_G, LO_RI, LO_V, LO_XI};

/// Page sizes, as powers of 2.
const SIZES: [u32; 9] = [12, 14, 16, 18, 20, 22, 24, 26, 28];
/// Where a pair of the largest pages fits, in the user segment and in xsseg.
pub const PLACES: [(&str, u64, Mode); 2] = [
    ("user", 0x10_0000_0000, Mode::User),
    ("xsseg", 0x4000_8000_0000_0000, Mode::Kernel),
];
/// Physical memory that the pages show: each double word holds its own address.
pub const SHOWN: u64 = 5 << 20;
/// Bytes of it.
const SHOWN_BYTES: u64 = 64 << 10;
/// Readable and writable.
pub const RW: u64 = LO_V | LO_D;
/// Bytes of a page of most programs.
pub const PAGE: u64 = 16 << 10;

/// Fills it.
pub fn fill() {
    for address in (SHOWN..SHOWN + SHOWN_BYTES).step_by(8) {
        set_physical(address, address);
    }
}

const fn page_mask(size: u32) -> u64 {
    ((1 << (size + 1)) - 1) & !0x1fff
}

/// An entry whose even and odd page both show the page that [`SHOWN`] lies in, or, where that can
/// be, pages one after the other.
pub fn entry(address: u64, asid: u64, size: u32, flags: [u64; 2]) -> Entry {
    let bytes = 1 << size;
    let even = SHOWN & !(bytes - 1);
    let odd = if size <= 14 { even + bytes } else { even };
    Entry {
        hi: address | asid,
        lo0: tlb::lo(even, flags[0]),
        lo1: tlb::lo(odd, flags[1]),
        page_mask: page_mask(size),
    }
}

/// An entry of 16 KiB pages.
pub fn small(address: u64, asid: u64, flags: u64) -> Entry {
    entry(address, asid, 14, [flags; 2])
}

/// A load at `address`, in a mode; what it gives or raises.
pub fn load(name: &str, address: u64, mode: Mode) {
    let mut registers = Registers::with(&[(A0, address)]);
    run::forget_exceptions();
    mapped(&[ld(V0, 0, A0)], mode, &mut registers, 0);
    if run::count() > 0 {
        see_text(name, run::Brief);
    } else {
        see(name, registers.get(V0));
    }
}

/// The lines of an entry, by `tlbr`.
pub fn see_entry(index: u64) {
    let entry = tlb::read(index);
    see(format_args!("{index}.hi"), entry.hi);
    see(format_args!("{index}.lo0"), entry.lo0);
    see(format_args!("{index}.lo1"), entry.lo1);
    see(format_args!("{index}.mask"), entry.page_mask);
}

/// `tlbp`; Index whole.
pub fn probe(name: &str, hi: u64) {
    reg::INDEX.write(0);
    reg::ENTRY_HI.write(hi);
    cp0::tlbp();
    see(name, reg::INDEX.read());
}

/// All programs of this file.
pub fn programs(suite: &mut Suite) {
    for (place, address, mode) in PLACES {
        for size in SIZES {
            sizes(suite, place, address, mode, size);
        }
        flags(suite, place, address, mode);
    }
}

fn sizes(suite: &mut Suite, place: &str, address: u64, mode: Mode, size: u32) {
    let bytes = 1u64 << size;
    let offset = SHOWN & (bytes - 1);
    let written = || {
        fill();
        tlb::write_indexed(3, &entry(address, 0, size, [RW | LO_G; 2]));
    };
    suite.program(format_args!("tlb.{place}.2^{size}.read"), || {
        written();
        see_entry(3);
    });
    suite.program(format_args!("tlb.{place}.2^{size}.read-ones"), || {
        let all = 0xc000_0000_3fff_ffff;
        let entry = Entry {
            hi: address | 0x1fff_ffff | 0x3ff,
            lo0: all,
            lo1: all & !LO_G,
            page_mask: page_mask(size),
        };
        tlb::write_indexed(
            3,
            &Entry {
                hi: entry.hi & !(1 << 10),
                ..entry
            },
        );
        see_entry(3);
    });
    suite.program(format_args!("tlb.{place}.2^{size}.load"), || {
        written();
        load("even", address + offset, mode);
        load("odd", address + bytes + offset, mode);
        load("even-last", address + (offset | (bytes - 8) & 0xffff), mode);
        load("behind", address + 2 * bytes, mode);
        if mode == Mode::User {
            load("before", address - 8, mode);
        }
    });
    suite.program(format_args!("tlb.{place}.2^{size}.probe"), || {
        written();
        probe("first", address);
        probe("last", address + 2 * bytes - 0x2000);
        probe("behind", address + 2 * bytes);
    });
    suite.program(format_args!("tlb.{place}.2^{size}.refill"), || {
        written();
        let mut registers = Registers::with(&[(A0, address + 2 * bytes + 0x1238)]);
        mapped(&[sd(V0, 0, A0)], mode, &mut registers, 0);
        see_exceptions();
    });
    suite.program(format_args!("tlb.{place}.2^{size}.halves"), || {
        fill();
        tlb::write_indexed(3, &entry(address, 0, size, [RW | LO_G, LO_G]));
        load("even", address + offset, mode);
        load("odd", address + bytes + offset, mode);
        tlb::write_indexed(3, &entry(address, 0, size, [LO_G, RW | LO_G]));
        load("even-2", address + offset, mode);
        load("odd-2", address + bytes + offset, mode);
    });
}

fn flags(suite: &mut Suite, place: &str, address: u64, mode: Mode) {
    for global in 0..4u64 {
        suite.program(format_args!("tlb.{place}.global-{global}"), || {
            fill();
            let flags = [RW | global & 1, RW | global >> 1];
            tlb::write_indexed(3, &entry(address, 5, 14, flags));
            for (name, asid) in [("same", 5), ("other", 6)] {
                reg::ENTRY_HI.write(asid);
                load(name, address, mode);
                probe(name, address | asid);
            }
            see_entry(3);
        });
    }
    for (entry_asid, asid) in [
        (0, 0x3ff),
        (0x3ff, 0x3ff),
        (0xff, 0x1ff),
        (0x100, 0x100),
        (0x200, 0),
    ] {
        suite.program(
            format_args!("tlb.{place}.asid.{entry_asid:x}-{asid:x}"),
            || {
                fill();
                tlb::write_indexed(3, &small(address, entry_asid, RW));
                reg::ENTRY_HI.write(asid);
                load("load", address, mode);
                probe("probe", address | asid);
            },
        );
    }
    suite.program(format_args!("tlb.{place}.two-asids"), || {
        fill();
        tlb::write_indexed(3, &small(address, 1, RW));
        let other = Entry {
            lo0: tlb::lo(SHOWN + 2 * PAGE, RW),
            ..small(address, 2, RW)
        };
        tlb::write_indexed(4, &other);
        for (name, asid) in [("1", 1), ("2", 2), ("1-again", 1), ("3", 3)] {
            reg::ENTRY_HI.write(asid);
            load(name, address, mode);
        }
    });
    for (name, first, then) in [
        ("made-invalid", RW, LO_D),
        ("made-valid", 0, RW),
        ("made-clean", RW, LO_V),
        ("made-dirty", LO_V, RW),
        ("made-ri", RW, RW | LO_RI),
        ("made-xi", RW, RW | LO_XI),
    ] {
        suite.program(format_args!("tlb.{place}.{name}"), || {
            fill();
            let mut registers = Registers::with(&[(A0, address), (A1, 0x77)]);
            for flags in [first, then] {
                tlb::write_indexed(3, &small(address, 0, flags | LO_G));
                for words in [[ld(V0, 0, A0)], [sd(A1, 8, A0)], [jr(A0)]] {
                    mapped(&words, mode, &mut registers, 0);
                }
            }
            see("v0", registers.get(V0));
            see_exceptions();
        });
    }
}
