use super::guest::*;
use crate::vm::exception::code;
use crate::vm::trap::{Outcome, Trap};
use disco_abi::{Call, CallError, ABI_VERSION, HYPCALL};
use disco_arch::trap::Entry;
use proptest::prelude::*;

#[test]
fn a_number_that_does_not_exist_is_an_error() {
    let mut guest = Guest::new();
    for number in [Call::ALL.len() as u64, u64::MAX, 1 << 32, 1 << 63] {
        guest.set_gpr(2, number);
        assert_eq!(guest.execute(HYPCALL), Outcome::Resume);
        assert_eq!(guest.gpr(2) as i64, CallError::NoSuchCall as i64);
    }
}

#[test]
fn the_version_is_the_interfaces() {
    let mut guest = Guest::new();
    assert_eq!(guest.call(Call::Version, [7; 4]), ABI_VERSION);
}

#[test]
fn context_sets_three_registers() {
    let mut guest = Guest::new();
    assert_eq!(
        guest.call(
            Call::Context,
            [0x1234_5678 | 9, 0x4000_0000_0001_0000, 55, 0]
        ),
        0
    );
    assert_eq!(guest.vcpu.asid(), 0x1234_5679 & 0x3ff);
    assert_eq!(guest.read_cp0(5, 5), 0x4000_0000_0001_0000);
    assert_eq!(guest.read_cp0(4, 2), 55);
    assert_eq!(guest.machine.user_local, 55);
}

#[test]
fn others_are_handed_on_with_their_arguments() {
    for &call in Call::ALL {
        let mut guest = Guest::new();
        let arguments = [1, 2, 3, 4];
        guest.set_gpr(2, call as u64);
        guest.vcpu.context.gpr[4..8].copy_from_slice(&arguments);
        match guest.execute(HYPCALL) {
            Outcome::Resume => assert!(guest.gpr(2) < 2, "{call:?}"),
            outcome => assert_eq!(outcome, Outcome::Call { call, arguments }),
        }
        assert_eq!(guest.vcpu.context.pc, CODE + 4);
    }
}

#[test]
fn user_mode_may_not_call() {
    let mut guest = Guest::new();
    let trap = Trap {
        bad_instr: HYPCALL,
        user: true,
        ..guest.trap(Entry::General, code::CPU)
    };
    guest.handle(&trap);
    assert_eq!(guest.vcpu.special.cause() >> 2 & 31, u32::from(code::CPU));
    assert_eq!(guest.vcpu.counters.calls, 0);
}

proptest! {
    #[test]
    fn no_argument_is_too_strange(number in 0..20u64, arguments in any::<[u64; 4]>()) {
        let mut guest = Guest::new();
        guest.set_gpr(2, number);
        guest.vcpu.context.gpr[4..8].copy_from_slice(&arguments);
        let before = guest.vcpu.context.gpr;
        guest.execute(HYPCALL);
        guest.audit();
        prop_assert_eq!(&guest.vcpu.context.gpr[3..], &before[3..], "only $v0 changes");
    }
}
