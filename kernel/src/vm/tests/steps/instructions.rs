//! Instructions that are no branches, with what they need in general registers.

use super::values::{address, entry_hi, entry_lo, page_mask, register, value};
use super::RT;
use crate::vm::tests::guest::*;
use crate::vm::tests::model::registers as cp0;
use disco_abi::{Call, CSSEG_WINDOW, HYPCALL, SPECIAL_PAGE};
use proptest::prelude::*;
use proptest::sample::select;

/// An instruction's word, and what it wants in general registers.
pub type Instruction = (u32, Vec<(usize, u64)>);

/// An instruction of the TLB.
pub fn tlb() -> impl Strategy<Value = Instruction> {
    let words = vec![
        TLBR, TLBWI, TLBWI, TLBWR, TLBWR, TLBP, TLBP, TLBP, TLBINV, TLBINVF,
    ];
    select(words).prop_map(|word| (word, Vec::new()))
}

/// A load or a store.
pub fn memory() -> impl Strategy<Value = Instruction> {
    (select(vec![0x37u32, 0x37, 0x3f]), address())
        .prop_map(|(opcode, address)| (opcode << 26 | 6 << 21 | 7 << 16, vec![(6, address)]))
}

/// An instruction that is no branch, with what it needs in `$4` to `$9`.
pub fn instruction() -> impl Strategy<Value = Instruction> {
    let plain = |word: u32| (word, Vec::new());
    let to = (register(), prop::bool::weighted(0.7)).prop_flat_map(|(register, double)| {
        let (number, select) = (register.0 as u32, register.1 as u32);
        let word = if double {
            dmtc0(RT, number, select)
        } else {
            mtc0(RT, number, select)
        };
        value(register).prop_map(move |value| (word, vec![(RT as usize, value)]))
    });
    let from = (register(), select(vec![0u32, 0, 1, 1, 2])).prop_map(move |(register, rs)| {
        let word = 0x4000_0000 | rs << 21 | 9 << 16;
        plain(word | (register.0 as u32) << 11 | register.1 as u32)
    });
    // LLD and SCD, seldom where they fault.
    let linked = (
        select(vec![0x37u32, 0x37, 0x27, 0x27]),
        address(),
        prop::bool::weighted(0.2),
    );
    let linked = linked.prop_map(|(function, address, anywhere)| {
        let address = if anywhere {
            address
        } else {
            CSSEG_WINDOW + 0x8_0000
        };
        (
            0x1f << 26 | 6 << 21 | 7 << 16 | function,
            vec![(6, address)],
        )
    });
    let slots = (0..22u64).prop_filter("pending", |slot| *slot != 4);
    let load_slot = slots.prop_map(|slot| {
        (
            0x37 << 26 | 6 << 21 | 7 << 16,
            vec![(6, SPECIAL_PAGE + slot * 8)],
        )
    });
    // EPC, EntryLo0 to XContext, ErrorEPC, KScratch: the guest writes them.
    let store_slot = (
        select(vec![2u64, 6, 7, 10, 11, 12, 16, 17, 18, 19, 20, 21]),
        any::<u64>(),
    );
    let store_slot = store_slot.prop_map(|(slot, value)| {
        // 32-bit registers are kept sign-extended.
        let value = match cp0::in_slot(slot * 8) {
            Some(cp0::INDEX | cp0::PAGE_MASK) => cp0::sign(value),
            _ => value,
        };
        let values = vec![(6, SPECIAL_PAGE + slot * 8), (7, value)];
        (0x3f << 26 | 6 << 21 | 7 << 16, values)
    });
    let others = select(vec![
        0x0000_0000u32, // nop
        0x0000_000c,    // syscall
        0x0000_000d,    // break
        0x0000_000e,    // sdbbp
        0x4160_6000,    // di
        0x4169_6000,    // di $9
        0x4169_6020,    // ei $9
        0x4169_6020,    // ei $9
        0x4169_0004,    // evp
        0x4200_0011,    // reserved
        0x4200_001f,    // deret
        0x4200_0020,    // wait
        0x7cc0_0025,    // cache
        0x7800_0000,    // MSA
        0x4600_0000,    // add.s
        0x4600_0000,
        0x4800_0000, // COP2
    ]);
    let rdhwr = (select(vec![0u32, 1, 2, 3, 5, 29, 29, 4, 30]))
        .prop_map(move |number| plain(0x7c09_003b | number << 11));
    let eret = select(vec![0x4200_0018u32, 0x4200_0018, 0x4200_0058]);
    prop_oneof![
        8 => to,
        3 => from,
        5 => tlb(),
        8 => memory(),
        2 => linked,
        1 => load_slot,
        1 => store_slot,
        4 => others.prop_map(plain),
        1 => rdhwr,
        6 => eret.prop_map(plain),
        2 => monitor_call(),
    ]
}

pub fn monitor_call() -> impl Strategy<Value = Instruction> {
    let calls = vec![
        Call::TlbFlushAll,
        Call::TlbFlushPage,
        Call::TlbFlushPage,
        Call::TlbInsert,
        Call::TlbInsert,
        Call::TlbInsert,
        Call::Context,
        Call::Version,
        Call::Deliver,
        Call::ConsoleWrite,
        Call::Yield,
    ];
    let number = prop_oneof![
        10 => select(calls).prop_map(|call| call as u64),
        1 => Call::ALL.len() as u64..,
    ];
    (number, entry_hi(), entry_lo(), entry_lo(), page_mask()).prop_map(
        |(number, hi, second, third, mask)| {
            let values = [(2, number), (4, hi), (5, second), (6, third), (7, mask)];
            (HYPCALL, values.to_vec())
        },
    )
}
