//! Values that mean something: addresses, parts of TLB entries, what registers are written with.

use crate::vm::tests::guest::*;
use crate::vm::tests::model::registers::{self as cp0, Register};
use disco_abi::{CSSEG_WINDOW, SPECIAL_PAGE, XSSEG_MAPPED, XSSEG_WINDOW};
use proptest::prelude::*;
use proptest::sample::select;

/// Few pages, so that they meet: user, csseg, xsseg, both windows, special page, and borders.
pub fn address() -> impl Strategy<Value = u64> {
    let region = select(vec![
        0u64,
        0,
        0x200_0000,
        0x1000_0000_0000,
        0xffff_ffff_d000_0000,
        XSSEG_MAPPED,
    ]);
    let border = select(vec![
        0x0000_ffff_ffff_fff8u64,
        0x0001_0000_0000_0000,
        0x3fff_ffff_ffff_fff8,
        XSSEG_WINDOW,
        XSSEG_WINDOW + 0x1_2340,
        XSSEG_WINDOW + (PAGES << 14),
        XSSEG_WINDOW + (1 << 46) + 0x8000,
        XSSEG_MAPPED - 8,
        0x4000_ffff_ffff_fff8,
        0x4001_0000_0000_0000,
        0x8000_0000_0000_0000,
        0x9800_0000_0000_1000,
        0xc000_0000_0000_0000,
        0xc000_ffff_d000_0000,
        0xffff_ffff_7fff_fff8,
        0xffff_ffff_8000_0000,
        0xffff_ffff_a000_0000,
        CSSEG_WINDOW + 0x2_0000,
        CSSEG_WINDOW + (PAGES << 14),
        CSSEG_WINDOW + (256 << 20) - 8,
        0xffff_ffff_dfff_7ff8,
        0xffff_ffff_dfff_8000,
        SPECIAL_PAGE + 0x10,
        SPECIAL_PAGE + 0x60,
        0xffff_ffff_e000_0000,
        u64::MAX - 7,
    ]);
    let often = select(vec![
        0u64,
        0,
        0x4000,
        0x8000,
        0x200_0000,
        0xffff_ffff_d000_0000,
    ]);
    prop_oneof![
        8 => (often, 0..0x4000u64).prop_map(|(page, offset)| page + (offset & !7)),
        4 => (region, 0..0x1_8000u64).prop_map(|(region, offset)| region + (offset & !7)),
        1 => border,
    ]
}

pub fn entry_hi() -> impl Strategy<Value = u64> {
    let asid = select(vec![0u64, 0, 0, 1, 1, 0x3ff]);
    let ehinv = prop::bool::weighted(0.08);
    (address(), asid, ehinv).prop_map(|(address, asid, ehinv)| {
        address & (cp0::R | cp0::VPN2) | asid | if ehinv { cp0::EHINV } else { 0 }
    })
}

pub fn entry_lo() -> impl Strategy<Value = u64> {
    let flags = select(vec![
        6u64,
        6,
        6,
        7,
        7,
        2,
        3,
        4,
        0,
        6 | 1 << 62,
        7 | 1 << 63,
        7 | 3 << 62,
    ]);
    prop_oneof![
        // A few pages lie behind the guest's memory.
        12 => (0..(PAGES + 4) * 4, flags).prop_map(|(page, flags)| page << 6 | flags),
        1 => any::<u64>(),
    ]
}

pub fn page_mask() -> impl Strategy<Value = u64> {
    let sizes = vec![
        0x6000u64,
        0x6000,
        0x6000,
        0x6000,
        0x1e000,
        0,
        0x1f_e000,
        0x1fff_e000,
    ];
    prop_oneof![
        12 => select(sizes),
        1 => (0..32u32).prop_map(|bits| ((1u64 << bits) - 1) << 13),
        1 => (0..0x400u64).prop_map(|bits| bits << 13),
    ]
}

/// Where execution may go: code, a few mapped pages, and places that cannot be.
pub fn code() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => (0..256u64).prop_map(|word| CODE + word * 4),
        4 => address(),
        1 => (0..0x2000u64).prop_map(|offset| CODE + offset),
    ]
}

/// Entries that are wired, or too many. Three are left: with fewer, an instruction and what it reads
/// push each other out for ever, as on any CPU.
pub fn wired() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0..=13u64, 1 => 16..18u64]
}

/// A value for a register, such as often mean something there.
pub fn value(register: Register) -> BoxedStrategy<u64> {
    let special = match register {
        cp0::STATUS => (any::<u32>(), 0..16u32)
            .prop_map(|(bits, often)| {
                // Mostly kernel mode, seldom BEV.
                let ksu = if often < 12 { 0 } else { bits & 3 << 3 };
                let bev = if often == 0 { bits & 1 << 22 } else { 0 };
                u64::from(bits & !(3 << 3) & !(1 << 22) | ksu | bev)
            })
            .boxed(),
        cp0::EPC | cp0::ERROR_EPC => code().boxed(),
        cp0::ENTRY_HI => entry_hi().boxed(),
        cp0::ENTRY_LO0 | cp0::ENTRY_LO1 => entry_lo().boxed(),
        cp0::PAGE_MASK => page_mask().boxed(),
        cp0::INDEX => (0..18u64).boxed(),
        cp0::WIRED => wired().boxed(),
        cp0::EBASE => (0..PAGES * 4, any::<bool>())
            .prop_map(|(page, window)| {
                let base = if window { XSSEG_WINDOW } else { CSSEG_WINDOW };
                base + (page << 12) + (1 << 11)
            })
            .boxed(),
        cp0::COUNT | cp0::COMPARE => (0..200u64).boxed(),
        _ => any::<u64>().boxed(),
    };
    prop_oneof![8 => special, 1 => any::<u64>()].boxed()
}

/// Registers, those with rules of their own more often.
pub fn register() -> impl Strategy<Value = Register> {
    let ruled = vec![
        cp0::INDEX,
        cp0::ENTRY_LO0,
        cp0::ENTRY_LO1,
        cp0::CONTEXT,
        cp0::USER_LOCAL,
        cp0::PAGE_MASK,
        cp0::WIRED,
        cp0::HWRENA,
        cp0::COUNT,
        cp0::ENTRY_HI,
        cp0::COMPARE,
        cp0::STATUS,
        cp0::STATUS,
        cp0::STATUS,
        cp0::CAUSE,
        cp0::CAUSE,
        cp0::EPC,
        cp0::EPC,
        cp0::EBASE,
        cp0::LLADDR,
        cp0::XCONTEXT,
        cp0::ERROR_EPC,
    ];
    prop_oneof![3 => select(ruled), 1 => (0..32usize, 0..8usize)]
}
