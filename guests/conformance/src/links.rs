//! `ll` and `sc` with something between them.

use crate::record::see;
use crate::run::{self, data, mapped, see_exceptions, Mode, DATA, DATA_PHYSICAL, KERNEL_DATA};
use crate::suite::Suite;
use disco_bare::access::physical;
use disco_bare::cp0::{reg, STATUS_IE};
use disco_bare::execute::Registers;
use disco_bare::instruction::*;
use disco_bare::registers::*;
use disco_bare::tlb::{LO_D, LO_G, LO_V};

const LL: u32 = lld(V0, A0) & !1;
const SC: u32 = scd(A1, A0) & !1;
const LLD: u32 = lld(V0, A0);
const SCD: u32 = scd(A1, A0);

/// What stands between. `$a0` is the address, `$a2` the same plus 64, `$a3` unmapped, `$t8` the same
/// page.
const BETWEEN: &[(&str, &[u32])] = &[
    ("nothing", &[]),
    ("nop", &[NOP]),
    ("load-same", &[ld(T0, 0, A0)]),
    ("load-other", &[ld(T0, 0, A2)]),
    ("store-same", &[sd(T1, 0, A0)]),
    ("store-same-value", &[sd(V0, 0, A0)]),
    ("store-other", &[sd(T1, 0, A2)]),
    ("store-word-beside", &[immediate(0x2b, A0, T1, 4)]),
    ("ll-other", &[lld(T0, A2)]),
    ("sc-other", &[scd(T1, A2)]),
    ("sc-twice", &[scd(T1, A0)]),
    ("syscall", &[SYSCALL]),
    ("break", &[BREAK]),
    ("trap", &[0x34]),
    ("reserved", &[0x28]),
    ("miss", &[lw(T0, 0, A3)]),
    ("miss-store", &[immediate(0x2b, A3, T1, 0)]),
    ("address-error", &[lw(T0, 0, T2)]),
    ("fpu-off", &[cfc1(T0, 31)]),
    ("rdhwr", &[rdhwr(T0, 0)]),
    ("rdhwr-userlocal", &[rdhwr(T0, 29)]),
    ("sync", &[0x0f]),
    ("synci", &[0x041f_0000 | A0 << 21]),
    ("pref", &[0x7c00_0035 | A0 << 21]),
    ("pause", &[0x0140]),
    ("branch", &[beq(ZERO, ZERO, 1), NOP]),
];

/// The same, in kernel mode only.
const PRIVILEGED: &[(&str, &[u32])] = &[
    ("mfc0", &[mfc0(T0, 15, 0)]),
    ("mtc0", &[dmtc0(T1, 4, 2)]),
    ("lladdr-0", &[mtc0(ZERO, 17, 0)]),
    ("lladdr-1", &[mtc0(T3, 17, 0)]),
    ("tlbp", &[TLBP]),
    ("tlbr", &[TLBR]),
    ("tlbp-mfc0", &[TLBP, mfc0(T0, 0, 0)]),
    ("di", &[di(ZERO)]),
    ("di-ei", &[di(ZERO), ei(ZERO), di(ZERO)]),
    ("cache", &[cache(0x15, A0)]),
    ("cause", &[mtc0(ZERO, 13, 0)]),
    ("status", &[mfc0(T0, 12, 0), mtc0(T0, 12, 0)]),
    ("entryhi", &[dmfc0(T0, 10, 0), dmtc0(T0, 10, 0)]),
    ("interrupt", &[mtc0(T8, 13, 0), mtc0(ZERO, 13, 0)]),
    (
        "eret",
        &[
            bal(1),
            NOP,
            immediate(0x19, RA, RA, 12),
            dmtc0(RA, 14, 0),
            ERET,
        ],
    ),
    (
        "eretnc",
        &[
            bal(1),
            NOP,
            immediate(0x19, RA, RA, 12),
            dmtc0(RA, 14, 0),
            ERETNC,
        ],
    ),
    ("deret", &[0x28, NOP]),
    ("hit-miss", &[TLBP, ld(T0, 0, A2), TLBP]),
];

/// All programs of this file.
pub fn programs(suite: &mut Suite) {
    for (width, ll, sc) in [("word", LL, SC), ("double", LLD, SCD)] {
        for mode in Mode::ALL {
            for &(name, between) in BETWEEN {
                suite.program(format_args!("link.{width}.{}.{name}", mode.name()), || {
                    run(ll, between, sc, mode);
                });
            }
        }
        for &(name, between) in PRIVILEGED {
            suite.program(format_args!("link.{width}.kernel.{name}"), || {
                run(ll, between, sc, Mode::Kernel);
            });
        }
    }
    for (name, ll, sc) in [
        ("ll-scd", LL, SCD),
        ("lld-sc", LLD, SC),
        ("sc-alone", NOP, SC),
        ("scd-alone", NOP, SCD),
    ] {
        suite.program(format_args!("link.mixed.{name}"), || {
            run(ll, &[], sc, Mode::User)
        });
    }
    suite.program(format_args!("link.other-address"), || {
        run(lld(V0, A2), &[], SCD, Mode::User);
    });
    suite.program(format_args!("link.other-word-of-double"), || {
        run(lld(V0, T9) & !1, &[], SC, Mode::User);
    });
    for (name, words) in [
        ("before", &[mfc0(V0, 17, 0)][..]),
        (
            "after-eret",
            &[
                bal(1),
                NOP,
                immediate(0x19, RA, RA, 12),
                dmtc0(RA, 14, 0),
                ERET,
                mfc0(V0, 17, 0),
            ],
        ),
        ("after-sc", &[LL, SC, mfc0(V0, 17, 0)]),
    ] {
        suite.program(format_args!("link.lladdr.{name}"), || {
            data(0, LO_V | LO_D | LO_G, LO_G);
            let mut registers = Registers::with(&[(A0, KERNEL_DATA)]);
            mapped(words, Mode::Kernel, &mut registers, 0);
            see("v0", registers.get(V0));
        });
    }
}

fn run(ll: u32, between: &[u32], sc: u32, mode: Mode) {
    run::skip_exceptions();
    reg::HWRENA.write(1 | 1 << 29);
    let mut words = [NOP; 16];
    words[0] = ll;
    words[1..=between.len()].copy_from_slice(between);
    words[between.len() + 1] = sc;
    words[between.len() + 2] = ori(V1, V1, 1);
    let words = &words[..between.len() + 3];
    let mut registers = once(words, mode);
    // A virtual CPU may lose its link at any time, when another one has the real CPU in between.
    for _ in 0..8 {
        if registers.get(A1) == 1 {
            break;
        }
        registers = once(words, mode);
    }
    see("sc", registers.get(A1));
    see("v0", registers.get(V0));
    see("v1", registers.get(V1));
    see("t0", registers.get(T0));
    see("t1", registers.get(T1));
    see("memory", physical(DATA_PHYSICAL));
    see("beside", physical(DATA_PHYSICAL + 64));
    see("exceptions", run::count());
    if run::count() > 0 {
        see_exceptions();
    }
}

/// Runs it with fresh memory.
fn once(words: &[u32], mode: Mode) -> Registers {
    data(0, LO_V | LO_D | LO_G, LO_G);
    reg::CAUSE.write(0);
    run::forget_exceptions();
    let address = if mode == Mode::User {
        DATA
    } else {
        KERNEL_DATA
    };
    let mut registers = Registers::with(&[
        (A0, address),
        (A1, 0x1111_2222_3333_4444),
        (A2, address + 64),
        (A3, 0x1234_5678),
        (T1, 0x5555_6666_7777_8888),
        (T2, 0x0001_0000_0000_0000),
        (T3, 1),
        (T8, 1 << 8),
        (T9, address + 4),
    ]);
    let interrupts = if mode == Mode::Kernel {
        1 << 8 | STATUS_IE
    } else {
        0
    };
    mapped(words, mode, &mut registers, interrupts);
    registers
}
