//! Loads, stores and fetches: at the borders of segments, unaligned, and as TLB entries allow.

use crate::record::{see, see_text};
use crate::run::{self, data, mapped, see_exceptions, Mode, DATA};
use crate::suite::Suite;
use disco_bare::access::{physical, set_physical};
use disco_bare::cp0::STATUS_CU1;
use disco_bare::execute::Registers;
use disco_bare::instruction::*;
use disco_bare::registers::*;
use disco_bare::tlb::{self, Entry, LO_D, LO_G, LO_RI, LO_V, LO_XI};

/// First and last double words of segments, and of the holes between them.
const BORDERS: &[(&str, u64)] = &[
    ("useg-first", 0),
    ("useg-last", 0x7fff_fff8),
    ("xuseg-behind-useg", 0x8000_0000),
    ("xuseg-last", 0x0000_ffff_ffff_fff8),
    ("hole-behind-xuseg", 0x0001_0000_0000_0000),
    ("hole-before-xsseg", 0x3fff_ffff_ffff_fff8),
    ("xsseg-first", 0x4000_0000_0000_0000),
    ("xsseg-mapped", 0x4000_8000_0000_0000),
    ("xsseg-last", 0x4000_ffff_ffff_fff8),
    ("hole-behind-xsseg", 0x4001_0000_0000_0000),
    ("hole-before-xkphys", 0x7fff_ffff_ffff_fff8),
    ("xkphys-first", 0x8000_0000_0000_0000),
    ("xkphys-hole", 0x8001_0000_0000_0000),
    ("xkphys-cached", 0x9800_0000_0000_0000),
    ("xkphys-last", 0xbfff_ffff_ffff_fff8),
    ("xkseg-first", 0xc000_0000_0000_0000),
    ("xkseg-last", 0xc000_ffff_7fff_fff8),
    ("hole-behind-xkseg", 0xc000_ffff_8000_0000),
    ("hole-before-kseg0", 0xffff_ffff_7fff_fff8),
    ("kseg0-first", 0xffff_ffff_8000_0000),
    ("kseg1-first", 0xffff_ffff_a000_0000),
    ("ksseg-first", 0xffff_ffff_c000_0000),
    ("ksseg-mapped", 0xffff_ffff_d200_0000),
    ("ksseg-last", 0xffff_ffff_dfff_fff8),
    ("kseg3-first", 0xffff_ffff_e000_0000),
    ("kseg3-last", 0xffff_ffff_ffff_fff8),
];

/// Borders that kernel mode reaches without the TLB on the board: nothing is fetched there.
fn is_unmapped(address: u64) -> bool {
    address >> 62 == 2 || (KSEG0..KSSEG).contains(&address)
}

/// Whether kernel mode reaches the address by the TLB, or not at all, in both places.
fn is_mapped_everywhere(address: u64) -> bool {
    let above = address >> 62 == 3 && !(0xc000_ffff_8000_0000..KSEG0).contains(&address);
    let ksseg = (KSSEG..KSSEG + (512 << 20)).contains(&address);
    !is_unmapped(address) && !is_window(address) && (!above || ksseg)
}

const KSEG0: u64 = 0xffff_ffff_8000_0000;
const KSSEG: u64 = 0xffff_ffff_c000_0000;

/// Windows on memory in a virtual machine.
fn is_window(address: u64) -> bool {
    matches!(
        address,
        0x4000_0000_0000_0000 | 0xffff_ffff_c000_0000 | 0xffff_ffff_dfff_fff8
    )
}

/// Loads and stores of every width, and whether they need the FPU. The base is `$a0`.
const ACCESSES: &[(&str, u32)] = &[
    ("lb", immediate(0x20, A0, V0, 0)),
    ("lbu", immediate(0x24, A0, V0, 0)),
    ("lh", immediate(0x21, A0, V0, 0)),
    ("lhu", immediate(0x25, A0, V0, 0)),
    ("lw", immediate(0x23, A0, V0, 0)),
    ("lwu", immediate(0x27, A0, V0, 0)),
    ("ld", immediate(0x37, A0, V0, 0)),
    ("sb", immediate(0x28, A0, A1, 0)),
    ("sh", immediate(0x29, A0, A1, 0)),
    ("sw", immediate(0x2b, A0, A1, 0)),
    ("sd", immediate(0x3f, A0, A1, 0)),
    ("ll", lld(V0, A0) & !1),
    ("lld", lld(V0, A0)),
    ("sc", scd(A1, A0) & !1),
    ("scd", scd(A1, A0)),
    ("lwc1", immediate(0x31, A0, 1, 0)),
    ("ldc1", immediate(0x35, A0, 1, 0)),
    ("swc1", immediate(0x39, A0, 1, 0)),
    ("sdc1", immediate(0x3d, A0, 1, 0)),
];

const PAGE: u64 = 16 << 10;

/// All programs of this file.
pub fn programs(suite: &mut Suite) {
    for mode in Mode::ALL {
        for &(name, address) in BORDERS {
            borders(suite, name, address, mode);
        }
        (1..4).for_each(|offset| odd(suite, mode, offset));
    }
    for mode in Mode::ALL {
        bus(suite, mode);
        addressing(suite, mode);
    }
    for &(name, word) in ACCESSES {
        for offset in [0, 1, 2, 4, 7, PAGE - 1, PAGE - 2, PAGE - 4] {
            suite.program(format_args!("unaligned.{name}.{offset:#x}"), || {
                unaligned(word, offset)
            });
        }
    }
    for mode in Mode::ALL {
        for flags in 0..16 {
            permissions(suite, mode, flags);
        }
    }
}

/// Accesses to physical memory that there is not.
fn bus(suite: &mut Suite, mode: Mode) {
    const NOWHERE: u64 = 0x9000_0000;
    for (name, words) in [
        ("load", [NOP, ld(V0, 0, A0)]),
        ("store", [NOP, sd(V0, 0, A0)]),
        ("load-in-slot", [beq(ZERO, ZERO, 1), ld(V0, 0, A0)]),
        ("fetch", [jr(A0), NOP]),
    ] {
        suite.program(format_args!("bus.{}.{name}", mode.name()), || {
            let address = data_at(NOWHERE, mode);
            let mut registers = Registers::with(&[(A0, address)]);
            mapped(&words, mode, &mut registers, 0);
            see_exceptions();
        });
    }
}

/// Maps a physical address for a mode, and where.
fn data_at(physical: u64, mode: Mode) -> u64 {
    let address = if mode == Mode::User {
        DATA
    } else {
        run::KERNEL_DATA
    };
    let lo = |offset| tlb::lo(physical + offset, LO_V | LO_D | LO_G);
    let entry = Entry {
        hi: address,
        lo0: lo(0),
        lo1: lo(PAGE),
        page_mask: tlb::MASK_16K,
    };
    tlb::write_indexed(12, &entry);
    address
}

/// KX, SX, UX and PX: addresses of 32 and of 64 bits, the refill vector, and 64-bit instructions.
fn addressing(suite: &mut Suite, mode: Mode) {
    const DADDIU: u32 = immediate(0x19, ZERO, V0, 7);
    const LSA64: u32 = A1 << 21 | A1 << 16 | V0 << 11 | 0x2d;
    for bits in [0u64, 0x80, 0xc0, 0xe0, 0x80_0000, 0x80_0080] {
        for (name, address, words) in [
            ("low", 0x1234_5678u64, [NOP, lw(V0, 0, A0)]),
            ("beyond-32-bits", 0x1_0040_0000, [NOP, lw(V0, 0, A0)]),
            ("wraps", 0x7fff_fffc, [NOP, lw(V0, 0x100, A0)]),
            ("ksseg", 0xffff_ffff_d400_0000, [NOP, lw(V0, 0, A0)]),
            ("xsseg", 0x4000_8000_0000_0000, [NOP, lw(V0, 0, A0)]),
            ("fetch", 0x1234_5678, [jr(A0), NOP]),
            ("daddiu", 0, [NOP, DADDIU]),
            ("daddu", 0, [NOP, LSA64]),
            ("ld", DATA, [NOP, ld(V0, 0, A0)]),
        ] {
            if mode == Mode::Kernel && name == "wraps" {
                // Into kseg0.
                continue;
            }
            suite.program(
                format_args!("addressing.{bits:x}.{}.{name}", mode.name()),
                || {
                    data(0, LO_V | LO_D | LO_G, LO_G);
                    let mut registers = Registers::with(&[(A0, address), (A1, 1 << 40)]);
                    run::with_addressing(bits);
                    mapped(&words, mode, &mut registers, 0);
                    if mode == Mode::Kernel && name == "xsseg" {
                        see_text("outcome", run::Brief);
                    } else {
                        see("v0", registers.get(V0));
                        see_exceptions();
                    }
                },
            );
        }
    }
}

/// Jumps to an address that is not a multiple of 4.
fn odd(suite: &mut Suite, mode: Mode, offset: u64) {
    for (name, word) in [("jr", jr(A0)), ("jic", immediate(0x36, 0, A0, 0))] {
        suite.program(
            format_args!("border.odd-{offset}.{}.{name}", mode.name()),
            || {
                let mut registers = Registers::with(&[(A0, mode.code() + offset)]);
                mapped(&[word, NOP], mode, &mut registers, 0);
                see_exceptions();
            },
        );
    }
}

/// Load, store and fetch at a border, each a program; or, where a virtual machine has its address
/// map, all of them in a line of one program, and only a load where one may not touch more.
fn borders(suite: &mut Suite, name: &str, address: u64, mode: Mode) {
    let touch = |words: &[u32]| {
        let mut registers = Registers::with(&[(A0, address)]);
        mapped(words, mode, &mut registers, 0);
    };
    let accesses = [
        ("load", [ld(V0, 0, A0), NOP]),
        ("store", [sd(V0, 0, A0), NOP]),
        ("fetch", [jr(A0), NOP]),
    ];
    if mode == Mode::Kernel && !is_mapped_everywhere(address)
        || mode == Mode::Supervisor && is_window(address)
    {
        let possible = if is_unmapped(address) || is_window(address) {
            1
        } else {
            3
        };
        suite.program(format_args!("border.{name}.{}", mode.name()), || {
            for (_, words) in accesses.iter().take(possible) {
                touch(words);
            }
            see_text("outcome", run::Brief);
        });
        return;
    }
    for (access, words) in accesses {
        suite.program(
            format_args!("border.{name}.{}.{access}", mode.name()),
            || {
                touch(&words);
                see_exceptions();
            },
        );
    }
}

/// An access at an offset into a page with a known pattern, with an unmapped page behind it.
fn unaligned(word: u32, offset: u64) {
    data(0, LO_V | LO_D | LO_G, LO_G);
    let mut registers = Registers::with(&[(A0, DATA + offset), (A1, 0x1122_3344_5566_7788)]);
    // `sc` without `ll` would never get as far as the address.
    let ll = lld(T0, A2) & !1;
    registers.0[A2 as usize] = DATA + 0x100;
    mapped(
        &[dmtc1(A1, 1), ll, word, dmfc1(V1, 1)],
        Mode::User,
        &mut registers,
        STATUS_CU1,
    );
    see("v0", registers.get(V0));
    see("v1", registers.get(V1));
    see("a1", registers.get(A1));
    for word in [0, 8, PAGE - 8] {
        see(
            format_args!("memory.{word:#x}"),
            physical(run::DATA_PHYSICAL + word),
        );
    }
    see_exceptions();
}

/// Load, store and fetch of a page with these of V, D, RI and XI.
fn permissions(suite: &mut Suite, mode: Mode, flags: u64) {
    let bits = [(1, LO_V), (2, LO_D), (4, LO_RI), (8, LO_XI)];
    let lo = bits
        .iter()
        .filter(|(flag, _)| flags & flag != 0)
        .fold(LO_G, |lo, (_, bit)| lo | bit);
    let name = |out: u64, set, clear| if flags & out != 0 { set } else { clear };
    let names = [
        name(1, "v", "-"),
        name(2, "d", "-"),
        name(4, "ri", "-"),
        name(8, "xi", "-"),
    ];
    let address = if mode == Mode::User {
        DATA
    } else {
        run::KERNEL_DATA
    };
    for (access, words) in [
        ("load", [ld(V0, 0, A0), NOP]),
        ("store", [sd(A0, 0, A0), NOP]),
        ("fetch", [jr(A0), NOP]),
    ] {
        let [v, d, ri, xi] = names;
        suite.program(
            format_args!("page.{v}{d}{ri}{xi}.{}.{access}", mode.name()),
            || {
                data(0, lo, lo);
                // A word that ends what is fetched.
                set_physical(run::DATA_PHYSICAL, u64::from(SYSCALL) << 32);
                let mut registers = Registers::with(&[(A0, address)]);
                mapped(&words, mode, &mut registers, 0);
                see("v0", registers.get(V0));
                see("memory", physical(run::DATA_PHYSICAL));
                see_exceptions();
            },
        );
    }
}
