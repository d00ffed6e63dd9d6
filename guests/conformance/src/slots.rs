//! Instructions in the delay slot or the forbidden slot of every kind of branch, taken and not.

use crate::record::see;
use crate::run::{mapped, see_exceptions, Mode};
use crate::suite::Suite;
use disco_bare::cp0::{reg, STATUS_CU1};
use disco_bare::execute::Registers;
use disco_bare::instruction::*;
use disco_bare::registers::*;

/// A branch at word 1 to word 4, and `($a0, $a1)` with which it is taken and is not.
struct Branch {
    name: &'static str,
    word: u32,
    taken: Option<(u64, u64)>,
    not: Option<(u64, u64)>,
}

const fn branch(
    name: &'static str,
    word: u32,
    taken: Option<(u64, u64)>,
    not: Option<(u64, u64)>,
) -> Branch {
    Branch {
        name,
        word,
        taken,
        not,
    }
}

const fn always(name: &'static str, word: u32) -> Branch {
    branch(name, word, Some((0, 0)), None)
}

const fn when(name: &'static str, word: u32, taken: (u64, u64), not: (u64, u64)) -> Branch {
    branch(name, word, Some(taken), Some(not))
}

/// Distance from the slot to the target.
const TO: i32 = 2;
const MINUS: u64 = u64::MAX;
const BIG: u64 = 0x7fff_ffff;

/// Kinds of branches of release 6. `$a2` holds the target's address.
const BRANCHES: &[Branch] = &[
    when("beq", beq(A0, A1, TO), (5, 5), (5, 6)),
    when("bne", bne(A0, A1, TO), (5, 6), (5, 5)),
    when("blez", blez(A0, TO), (0, 0), (1, 0)),
    when("bgtz", bgtz(A0, TO), (1, 0), (0, 0)),
    when("bltz", bltz(A0, TO), (MINUS, 0), (0, 0)),
    when("bgez", bgez(A0, TO), (0, 0), (MINUS, 0)),
    branch("nal", nal(TO), None, Some((0, 0))),
    always("bal", bal(TO)),
    always("jr", jr(A2)),
    always("jr.hb", jr(A2) | 1 << 10),
    always("jalr", jalr(RA, A2)),
    always("jalr-t0", jalr(T0, A2)),
    always("jalr.hb", jalr(RA, A2) | 1 << 10),
    when("bc1eqz", bc1eqz(1, TO), (0, 0), (1, 0)),
    when("bc1nez", bc1nez(1, TO), (1, 0), (0, 0)),
    always("bc", 0x32 << 26 | TO as u32),
    always("balc", 0x3a << 26 | TO as u32),
    when("beqzc", compare_zero_compact(0x36, A0, TO), (0, 0), (1, 0)),
    when("bnezc", compare_zero_compact(0x3e, A0, TO), (1, 0), (0, 0)),
    always("jic", immediate(0x36, 0, A2, 0)),
    always("jialc", immediate(0x3e, 0, A2, 0)),
    when("blezc", immediate(0x16, 0, A1, TO), (0, 0), (0, 1)),
    when("bgezc", immediate(0x16, A1, A1, TO), (0, 0), (0, MINUS)),
    when("bgec", immediate(0x16, A0, A1, TO), (5, 5), (4, 5)),
    when("bgtzc", immediate(0x17, 0, A1, TO), (0, 1), (0, 0)),
    when("bltzc", immediate(0x17, A1, A1, TO), (0, MINUS), (0, 0)),
    when("bltc", immediate(0x17, A0, A1, TO), (4, 5), (5, 5)),
    when("blezalc", immediate(0x06, 0, A1, TO), (0, 0), (0, 1)),
    when("bgezalc", immediate(0x06, A1, A1, TO), (0, 0), (0, MINUS)),
    when("bgeuc", immediate(0x06, A0, A1, TO), (MINUS, 5), (4, 5)),
    when("bgtzalc", immediate(0x07, 0, A1, TO), (0, 1), (0, 0)),
    when("bltzalc", immediate(0x07, A1, A1, TO), (0, MINUS), (0, 0)),
    when("bltuc", immediate(0x07, A0, A1, TO), (4, 5), (MINUS, 5)),
    when("beqzalc", immediate(0x08, 0, A1, TO), (0, 0), (0, 1)),
    when("beqc", immediate(0x08, A0, A1, TO), (5, 5), (5, 6)),
    when("bovc", immediate(0x08, A1, A0, TO), (BIG, 1), (1, 1)),
    when("bnezalc", immediate(0x18, 0, A1, TO), (0, 1), (0, 0)),
    when("bnec", immediate(0x18, A0, A1, TO), (5, 6), (5, 5)),
    when("bnvc", immediate(0x18, A1, A0, TO), (1, 1), (BIG, 1)),
];

/// What stands in the slot, and in which mode. `$a3` holds an address that nothing maps.
const SLOTS: &[(&str, Mode, u32)] = &[
    ("mfc0", Mode::Kernel, mfc0(V0, 15, 0)),
    ("tlbp", Mode::Kernel, TLBP),
    ("mtc0", Mode::Kernel, dmtc0(A2, 4, 2)),
    ("miss", Mode::Kernel, lw(V0, 0, A3)),
    ("link", Mode::Kernel, ori(V0, RA, 0)),
    ("eret", Mode::Kernel, ERET),
    ("eretnc", Mode::Kernel, ERETNC),
    ("wait", Mode::Kernel, WAIT),
    ("deret", Mode::Kernel, DERET),
    ("ei", Mode::Kernel, ei(V0)),
    ("eret-in-user", Mode::User, ERET),
    ("rdhwr", Mode::User, rdhwr(V0, 0)),
    ("syscall", Mode::User, SYSCALL),
    ("branch", Mode::User, beq(ZERO, ZERO, 1)),
];

/// Programs of every branch with everything in its slot.
pub fn programs(suite: &mut Suite) {
    for branch in BRANCHES {
        for &(slot, mode, word) in SLOTS {
            for (how, operands) in [("taken", branch.taken), ("not-taken", branch.not)] {
                let Some(operands) = operands else { continue };
                suite.program(format_args!("slot.{}.{how}.{slot}", branch.name), || {
                    run(branch.word, word, mode, operands);
                });
            }
        }
    }
}

fn run(branch: u32, slot: u32, mode: Mode, (a0, a1): (u64, u64)) {
    let words = [dmtc1(A0, 1), branch, slot, ori(V1, V1, 1), ori(V1, V1, 2)];
    let mut registers = Registers::with(&[
        (A0, a0),
        (A1, a1),
        (A2, mode.code() + 16),
        (A3, 0x1234_5678),
        (RA, 0x55),
    ]);
    reg::HWRENA.write(1);
    // So that `wait` ends, and `ei` is interrupted behind the slot.
    reg::CAUSE.write(1 << 8);
    let masked = 1 << 8;
    mapped(&words, mode, &mut registers, STATUS_CU1 | masked);
    see("v0", registers.get(V0));
    see("v1", registers.get(V1));
    see("t0", registers.get(T0));
    see("ra", registers.get(RA));
    see("userlocal", reg::USER_LOCAL.read());
    see("index", reg::INDEX.read());
    see_exceptions();
}
