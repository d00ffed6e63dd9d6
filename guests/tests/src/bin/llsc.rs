//! LL/SC pairs get through traps of the monitor, and fail after the guest's own `eret`.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, CSSEG_WINDOW, XSSEG_WINDOW};
use disco_test_guests::access::{physical, set_physical};
use disco_test_guests::execute::{code_address, kernel, Registers};
use disco_test_guests::instruction::*;
use disco_test_guests::registers::*;
use disco_test_guests::FREE_MEMORY;

disco_test_guests::guest!(run);

const ROUNDS: u64 = 200;

/// Adds 1 to a word by `lld`, `between`, `scd`, many times: how often it was stored.
fn successes(between: &[u32]) -> u64 {
    let mut words = [NOP; 16];
    words[0] = lld(T0, A0);
    words[1] = addiu(T0, T0, 1);
    words[2..2 + between.len()].copy_from_slice(between);
    words[2 + between.len()] = scd(T0, A0);
    let words = &words[..3 + between.len()];
    set_physical(FREE_MEMORY, 0);
    let mut stored = 0;
    for round in 0..ROUNDS {
        let mut registers = Registers::with(&[
            (A0, CSSEG_WINDOW + FREE_MEMORY),
            // A page that was not touched before, so that the load misses the TLB.
            (A1, XSSEG_WINDOW + FREE_MEMORY + (round + 1) * 0x8000),
            (A2, code_address() + 20),
        ]);
        assert!(kernel(words, &mut registers).is_none(), "{between:x?}");
        stored += registers.get(T0);
    }
    assert_eq!(
        physical(FREE_MEMORY),
        stored,
        "the word counts what scd said it stored"
    );
    stored
}

fn run(_: &'static BootInfo) {
    // The host's interrupts may break some pairs.
    let most = ROUNDS * 9 / 10;
    let kept: [&[u32]; 6] = [
        &[NOP],
        &[mfc0(V0, 12, 0)],
        &[TLBP],
        &[ld(V0, 0, A1)],
        &[dmtc0(V0, 31, 2), dmfc0(V0, 31, 2)],
        &[dmtc0(A2, 14, 0), NOP, ERETNC],
    ];
    for between in kept {
        let stored = successes(between);
        assert!(
            stored >= most,
            "{stored} of {ROUNDS} stored with {between:x?} between"
        );
    }
    let stored = successes(&[dmtc0(A2, 14, 0), NOP, ERET]);
    assert_eq!(stored, 0, "eret breaks the pair");
}
