//! Trapping instructions in the forbidden slots of compact branches, which were not taken.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, Call, ABI_VERSION};
use disco_test_guests::cp0::reg;
use disco_test_guests::execute::{code_address, kernel, Registers};
use disco_test_guests::instruction::*;
use disco_test_guests::registers::*;

disco_test_guests::guest!(run);

const TARGET: u64 = 5;
const OFFSET: i32 = TARGET as i32 - 1;
const NEGATIVE: u64 = -7i64 as u64;
const BIG: u64 = 0x7fff_ffff;

/// A compact branch on `$a0` and `$a1`: its word, values that take it, values that do not.
type Branch = (u32, [u64; 2], [u64; 2]);

const fn on(opcode: u32, rs: u32, rt: u32) -> u32 {
    immediate(opcode, rs, rt, OFFSET)
}

const BRANCHES: [Branch; 20] = [
    (on(0x06, 0, A0), [0, 0], [1, 0]),                        // blezalc
    (on(0x06, A0, A0), [0, 0], [NEGATIVE, 0]),                // bgezalc
    (on(0x06, A0, A1), [NEGATIVE, 1], [1, 2]),                // bgeuc
    (on(0x07, 0, A0), [1, 0], [0, 0]),                        // bgtzalc
    (on(0x07, A0, A0), [NEGATIVE, 0], [0, 0]),                // bltzalc
    (on(0x07, A0, A1), [1, NEGATIVE], [2, 2]),                // bltuc
    (on(0x08, 0, A0), [0, 0], [1, 0]),                        // beqzalc
    (on(0x08, A0, A1), [8, 8], [8, 9]),                       // beqc
    (on(0x08, A1, A0), [BIG, 1], [BIG, 0]),                   // bovc
    (on(0x18, 0, A0), [1, 0], [0, 0]),                        // bnezalc
    (on(0x18, A0, A1), [8, 9], [8, 8]),                       // bnec
    (on(0x18, A1, A0), [BIG, 0], [BIG, 1]),                   // bnvc
    (on(0x16, 0, A0), [NEGATIVE, 0], [3, 0]),                 // blezc
    (on(0x16, A0, A0), [3, 0], [NEGATIVE, 0]),                // bgezc
    (on(0x16, A0, A1), [3, NEGATIVE], [NEGATIVE, 3]),         // bgec
    (on(0x17, 0, A0), [3, 0], [0, 0]),                        // bgtzc
    (on(0x17, A0, A0), [NEGATIVE, 0], [3, 0]),                // bltzc
    (on(0x17, A0, A1), [NEGATIVE, 3], [3, 3]),                // bltc
    (compare_zero_compact(0x36, A0, OFFSET), [0, 0], [1, 0]), // beqzc
    (compare_zero_compact(0x3e, A0, OFFSET), [1, 0], [0, 0]), // bnezc
];

fn run(_: &'static BootInfo) {
    for branch in BRANCHES {
        for slot in [
            dmfc0(V0, 31, 2),
            dmtc0(T0, 31, 7),
            HYPCALL,
            rdhwr(V0, 0),
            TLBP,
        ] {
            check(branch, slot);
        }
    }
}

fn run_with(word: u32, slot: u32, [a0, a1]: [u64; 2]) -> Registers {
    let values = [(A0, a0), (A1, a1), (V0, Call::Version as u64), (T0, 0x7a)];
    let mut registers = Registers::with(&values);
    let words = [word, slot, addiu(V1, V1, 1), jr(S0), NOP, addiu(V1, V1, 2)];
    let exception = kernel(&words, &mut registers);
    assert!(exception.is_none(), "{word:#x} with {slot:#x}");
    registers
}

fn check((word, taken, not_taken): Branch, slot: u32) {
    reg::KSCRATCH1.write(0x1234_5678);
    reg::KSCRATCH6.write(0);
    let registers = run_with(word, slot, taken);
    assert_eq!(registers.get(V1), 2, "{word:#x} is taken");
    assert_eq!(
        registers.get(V0),
        Call::Version as u64,
        "the slot of {word:#x} was skipped"
    );
    assert_eq!(
        reg::KSCRATCH6.read(),
        0,
        "the slot of {word:#x} was skipped"
    );
    let links = word >> 26 <= 0x18 && word >> 21 & 31 == word >> 16 & 31;
    let links_zero = matches!(word >> 26, 6 | 7 | 8 | 0x18) && word >> 21 & 31 == 0;
    if links && matches!(word >> 26, 6 | 7) || links_zero {
        assert_eq!(registers.get(RA), code_address() + 4, "link of {word:#x}");
    }

    let registers = run_with(word, slot, not_taken);
    assert_eq!(
        registers.get(V1),
        1,
        "{word:#x} is not taken, slot {slot:#x}"
    );
    match slot {
        HYPCALL => assert_eq!(registers.get(V0), ABI_VERSION, "{word:#x}"),
        _ if slot == dmfc0(V0, 31, 2) => assert_eq!(registers.get(V0), 0x1234_5678, "{word:#x}"),
        _ if slot == rdhwr(V0, 0) => assert_eq!(registers.get(V0), 0, "{word:#x}"),
        _ if slot == dmtc0(T0, 31, 7) => assert_eq!(reg::KSCRATCH6.read(), 0x7a, "{word:#x}"),
        _ => {}
    }
}
