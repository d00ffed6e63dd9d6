//! Privileged instructions in delay and forbidden slots, against a simple interpreter.

use super::guest::*;
use crate::vm::exception::code;
use crate::vm::trap::{Outcome, Trap};
use disco_arch::trap::Entry;
use proptest::prelude::*;

const BD: u32 = 1 << 31;

/// Every branch of release 6 that has a delay slot, and compact ones that were not taken.
#[derive(Clone, Copy, Debug)]
enum Branch {
    Beq,
    Bne,
    Blez,
    Bgtz,
    Bltz,
    Bgez,
    Nal,
    Bal,
    J,
    Jal,
    Jalr(u32),
    Bc1eqz,
    Bc1nez,
    Bovc,
    Beqzalc,
    Blezalc,
    Bgezc,
    Bgtzc,
    Beqzc,
    Bnezc,
}

const ALL: [Branch; 21] = [
    Branch::Beq,
    Branch::Bne,
    Branch::Blez,
    Branch::Bgtz,
    Branch::Bltz,
    Branch::Bgez,
    Branch::Nal,
    Branch::Bal,
    Branch::J,
    Branch::Jal,
    Branch::Jalr(0),
    Branch::Jalr(31),
    Branch::Bc1eqz,
    Branch::Bc1nez,
    Branch::Bovc,
    Branch::Beqzalc,
    Branch::Blezalc,
    Branch::Bgezc,
    Branch::Bgtzc,
    Branch::Beqzc,
    Branch::Bnezc,
];

/// The branch as the assembler would write it, with registers `s` and `t` and a 16-bit offset.
fn word(branch: Branch, s: u32, t: u32, offset: i16) -> u32 {
    let i = |opcode: u32, rs: u32, rt: u32| opcode << 26 | rs << 21 | rt << 16;
    let low = u32::from(offset as u16);
    let jump = (offset as i32 & 0x03ff_ffff) as u32;
    match branch {
        Branch::Beq => i(0x04, s, t) | low,
        Branch::Bne => i(0x05, s, t) | low,
        Branch::Blez => i(0x06, s, 0) | low,
        Branch::Bgtz => i(0x07, s, 0) | low,
        Branch::Bltz => i(0x01, s, 0x00) | low,
        Branch::Bgez => i(0x01, s, 0x01) | low,
        Branch::Nal => i(0x01, 0, 0x10) | low,
        Branch::Bal => i(0x01, 0, 0x11) | low,
        Branch::J => 0x02 << 26 | jump,
        Branch::Jal => 0x03 << 26 | jump,
        Branch::Jalr(link) => s << 21 | link << 11 | 9,
        Branch::Bc1eqz => i(0x11, 0x09, t) | low,
        Branch::Bc1nez => i(0x11, 0x0d, t) | low,
        Branch::Bovc => i(0x08, s.max(t), s.min(t)) | low,
        Branch::Beqzalc => i(0x08, 0, t) | low,
        Branch::Blezalc => i(0x06, 0, t) | low,
        Branch::Bgezc => i(0x16, t, t) | low,
        Branch::Bgtzc => i(0x17, 0, t) | low,
        Branch::Beqzc => i(0x36, s, 0) | low,
        Branch::Bnezc => i(0x3e, s, 0) | low,
    }
}

/// What the manual says: where execution goes on behind the slot, and which register is linked
/// before it. A compact branch whose slot executes was not taken.
fn interpret(
    branch: Branch,
    pc: u64,
    s: u64,
    t: u64,
    fpr_t: u64,
    offset: i16,
) -> (u64, Option<usize>) {
    let behind = pc + 8;
    let target = (pc + 4).wrapping_add_signed(i64::from(offset) * 4);
    let region = (pc + 4) & 0xffff_ffff_f000_0000 | ((i64::from(offset) as u64 & 0x03ff_ffff) * 4);
    let when = |taken: bool| (if taken { target } else { behind }, None);
    match branch {
        Branch::Beq => when(s == t),
        Branch::Bne => when(s != t),
        Branch::Blez => when(s as i64 <= 0),
        Branch::Bgtz => when(s as i64 > 0),
        Branch::Bltz => when((s as i64) < 0),
        Branch::Bgez => when(s as i64 >= 0),
        Branch::Nal => (behind, Some(31)),
        Branch::Bal => (target, Some(31)),
        Branch::J => (region, None),
        Branch::Jal => (region, Some(31)),
        Branch::Jalr(0) => (s, None),
        Branch::Jalr(link) => (s, Some(link as usize)),
        Branch::Bc1eqz => when(fpr_t & 1 == 0),
        Branch::Bc1nez => when(fpr_t & 1 == 1),
        _ => (behind, None),
    }
}

/// Values that conditions distinguish.
fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(1),
        Just(u64::MAX),
        Just(1 << 63),
        any::<u64>()
    ]
}

fn in_slot(guest: &mut Guest, pc: u64, slot: u32, branch: u32) -> Outcome {
    guest.vcpu.context.pc = pc;
    let trap = Trap {
        cause: u32::from(code::CPU) << 2 | BD,
        bad_instr: slot,
        bad_instr_p: branch,
        ..guest.trap(Entry::General, code::CPU)
    };
    guest.handle(&trap)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn every_branch_goes_where_the_manual_says(
        branch in prop::sample::select(ALL.to_vec()),
        s in 1..31u32, t in 1..31u32, values in prop::collection::vec(value(), 32),
        fprs in any::<[u64; 32]>(), loaded in any::<bool>(),
        offset in any::<i16>(), destination in 1..32u32,
    ) {
        let mut guest = Guest::new();
        guest.vcpu.context.gpr.copy_from_slice(&values);
        guest.vcpu.context.gpr[0] = 0;
        guest.vcpu.fpu.fpr = fprs;
        if loaded {
            guest.vcpu.acquire_fpu(&mut guest.machine);
            guest.vcpu.fpu.fpr = fprs.map(|value| !value);
        }
        guest.vcpu.special.set_epc(0x5555_5555);
        let before = guest.vcpu.context.gpr;
        let (vs, vt) = (before[s as usize], before[t as usize]);
        let pc = CODE + 0x40;
        let (next, link) = interpret(branch, pc, vs, vt, fprs[t as usize], offset);
        // The slot overwrites a register that the branch may have tested or linked.
        let slot = dmfc0(destination, 14, 0);
        prop_assert_eq!(in_slot(&mut guest, pc, slot, word(branch, s, t, offset)), Outcome::Resume);
        prop_assert_eq!(guest.vcpu.context.pc, next);
        let mut expected = before;
        if let Some(link) = link {
            expected[link] = pc + 8;
        }
        expected[destination as usize] = 0x5555_5555;
        prop_assert_eq!(guest.vcpu.context.gpr, expected);
    }
}

#[test]
fn the_slot_sees_the_link() {
    let mut guest = Guest::new();
    let jal = word(Branch::Jal, 0, 0, 4);
    assert_eq!(
        in_slot(&mut guest, CODE, dmtc0(31, 14, 0), jal),
        Outcome::Resume
    );
    assert_eq!(guest.vcpu.special.epc(), CODE + 8);
}

#[test]
fn rdhwr_in_a_slot() {
    let mut guest = Guest::new();
    guest.machine.count = 77;
    guest.vcpu.context.pc = CODE;
    let trap = Trap {
        cause: u32::from(code::RI) << 2 | BD,
        // rdhwr $9, $2
        bad_instr: 0x7c09_103b,
        bad_instr_p: word(Branch::Beq, 0, 0, 4),
        ..guest.trap(Entry::General, code::RI)
    };
    assert_eq!(guest.handle(&trap), Outcome::Resume);
    assert_eq!((guest.gpr(9), guest.vcpu.context.pc), (77, CODE + 4 + 16));
}

#[test]
fn an_exception_in_a_slot_returns_to_the_branch() {
    let mut guest = Guest::new();
    // A reserved operation of coprocessor 0 behind a taken branch.
    let branch = word(Branch::Beq, 0, 0, 4);
    in_slot(&mut guest, CODE, 0x4200_0011, branch);
    let special = guest.vcpu.special;
    assert_eq!(special.epc(), CODE);
    assert_eq!(special.cause() & BD, BD);
    assert_eq!(special.bad_instr_p(), branch);
}

#[test]
fn returns_and_wait_are_reserved_in_slots() {
    const BEQ: u32 = 0x1000_0004;
    for word in [0x4200_0018, 0x4200_0058, 0x4200_0020] {
        let mut guest = Guest::new();
        guest.vcpu.special.set_epc(0x1234);
        let trap = Trap {
            cause: guest.trap(Entry::General, code::CPU).cause | BD,
            bad_instr: word,
            bad_instr_p: BEQ,
            ..guest.trap(Entry::General, code::CPU)
        };
        assert_eq!(guest.handle(&trap), Outcome::Resume, "{word:#x}");
        let special = guest.vcpu.special;
        assert_eq!(special.cause() >> 2 & 31, u32::from(code::RI), "{word:#x}");
        assert_eq!((special.epc(), special.cause() & BD), (CODE, BD));
        assert_eq!(special.bad_instr(), word);
    }
}
