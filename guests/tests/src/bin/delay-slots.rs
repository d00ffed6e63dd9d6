//! Trapping instructions in delay slots: of every branch, taken or not, also if they change
//! the register that it tested or read the one that it linked.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, Call, ABI_VERSION};
use disco_test_guests::cp0::{self, reg};
use disco_test_guests::execute::{code_address, kernel, Registers};
use disco_test_guests::instruction::*;
use disco_test_guests::registers::*;

disco_test_guests::guest!(run);

/// A branch of [`OFFSET`] that tests `$t0` (and `$t1`, or `$f2`), or jumps to `$a0`.
struct Branch {
    word: u32,
    /// Values of `$t0` and `$t1`, and whether they take it.
    cases: &'static [(u64, u64, bool)],
    links: Option<u32>,
}

/// The branch stands at word 4; its target is word 9.
const BRANCH: usize = 4;
const TARGET: usize = 9;
const OFFSET: i32 = (TARGET - BRANCH - 1) as i32;

const NEGATIVE: u64 = -5i64 as u64;
const ALWAYS: &[(u64, u64, bool)] = &[(0, 1, true), (1, 0, true)];
const SIGNED: [u64; 3] = [NEGATIVE, 0, 5];

fn branches() -> [Branch; 14] {
    let branch = |word, cases, links| Branch { word, cases, links };
    let target = code_address() + 4 * TARGET as u64;
    [
        branch(beq(T0, T1, OFFSET), &[(3, 3, true), (3, 4, false)], None),
        branch(bne(T0, T1, OFFSET), &[(3, 3, false), (3, 4, true)], None),
        branch(
            blez(T0, OFFSET),
            &[
                (SIGNED[0], 0, true),
                (SIGNED[1], 0, true),
                (SIGNED[2], 0, false),
            ],
            None,
        ),
        branch(
            bgtz(T0, OFFSET),
            &[
                (SIGNED[0], 0, false),
                (SIGNED[1], 0, false),
                (SIGNED[2], 0, true),
            ],
            None,
        ),
        branch(
            bltz(T0, OFFSET),
            &[
                (SIGNED[0], 0, true),
                (SIGNED[1], 0, false),
                (SIGNED[2], 0, false),
            ],
            None,
        ),
        branch(
            bgez(T0, OFFSET),
            &[
                (SIGNED[0], 0, false),
                (SIGNED[1], 0, true),
                (SIGNED[2], 0, true),
            ],
            None,
        ),
        branch(nal(OFFSET), &[(0, 1, false), (1, 0, false)], Some(RA)),
        branch(bal(OFFSET), ALWAYS, Some(RA)),
        branch(jr(T2), ALWAYS, None),
        branch(jalr(RA, T2), ALWAYS, Some(RA)),
        branch(jalr(T8, T2), ALWAYS, Some(T8)),
        branch(jump(2, target), ALWAYS, None),
        branch(jump(3, target), ALWAYS, Some(RA)),
        // Tested is bit 0 alone.
        branch(
            bc1eqz(2, OFFSET),
            &[(0, 0, true), (1, 0, false), (2, 0, true), (3, 0, false)],
            None,
        ),
    ]
}

fn run(_: &'static BootInfo) {
    cp0::set_status(cp0::STATUS_CU1);
    for branch in &branches() {
        for &case in branch.cases {
            check(branch, case);
        }
    }
    let nez = Branch {
        word: bc1nez(2, OFFSET),
        cases: &[(0, 0, false), (1, 0, true), (2, 0, false), (3, 0, true)],
        links: None,
    };
    for &case in nez.cases {
        check(&nez, case);
    }
}

/// Runs the branch with `slot` behind it; `$v1` tells which way it went.
fn run_with(branch: &Branch, (t0, t1, taken): (u64, u64, bool), slot: u32) -> Registers {
    let target = code_address() + 4 * TARGET as u64;
    let values = [
        (T0, t0),
        (T1, t1),
        (T2, target),
        (A0, 0x7a),
        (V0, Call::Version as u64),
    ];
    let mut registers = Registers::with(&values);
    let words = [
        dmtc1(T0, 2),
        addiu(RA, ZERO, 0),
        addiu(T8, ZERO, 0),
        addiu(V1, ZERO, 0),
        branch.word,
        slot,
        addiu(V1, V1, 1),
        jr(S0),
        NOP,
        addiu(V1, V1, 2),
    ];
    let exception = kernel(&words, &mut registers);
    assert!(exception.is_none(), "{:#x} with {slot:#x}", branch.word);
    let way = if taken { 2 } else { 1 };
    assert_eq!(
        registers.get(V1),
        way,
        "{:#x} on {t0:#x}, {t1:#x}; slot {slot:#x}",
        branch.word
    );
    if let Some(link) = branch.links {
        let behind = code_address() + 4 * (BRANCH as u64 + 2);
        assert_eq!(registers.get(link), behind, "link of {:#x}", branch.word);
    }
    registers
}

fn check(branch: &Branch, case: (u64, u64, bool)) {
    // A register that was tested, or jumped to, is overwritten.
    for (register, value) in [(T0, !case.0), (T0, case.1), (T1, case.0 ^ 1), (T2, 0x1000)] {
        reg::KSCRATCH1.write(value);
        let registers = run_with(branch, case, dmfc0(register, 31, 2));
        assert_eq!(registers.get(register), value, "{:#x}", branch.word);
    }
    run_with(branch, case, dmtc0(A0, 31, 7));
    assert_eq!(
        reg::KSCRATCH6.read(),
        0x7a,
        "dmtc0 behind {:#x}",
        branch.word
    );
    if let Some(link) = branch.links {
        let registers = run_with(branch, case, dmtc0(link, 31, 7));
        assert_eq!(
            reg::KSCRATCH6.read(),
            registers.get(link),
            "the slot sees the link"
        );
    }
    let registers = run_with(branch, case, HYPCALL);
    assert_eq!(
        registers.get(V0),
        ABI_VERSION,
        "monitor call behind {:#x}",
        branch.word
    );
    let registers = run_with(branch, case, rdhwr(V0, 0));
    assert_eq!(registers.get(V0), 0, "CPUNum behind {:#x}", branch.word);
    run_with(branch, case, TLBP);
}
