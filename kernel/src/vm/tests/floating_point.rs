use super::guest::*;
use crate::vm::exception::code;
use crate::vm::trap::{Outcome, Trap};
use disco_arch::trap::Entry;

const CU1: u64 = 1 << 29;

fn unusable(guest: &Guest) -> Trap {
    Trap {
        cause: u32::from(code::CPU) << 2 | 1 << 28,
        bad_instr: 0x4620_0000,
        user: true,
        ..guest.trap(Entry::General, code::CPU)
    }
}

#[test]
fn registers_are_loaded_at_the_first_use_alone() {
    let mut guest = Guest::new();
    guest.write_cp0(12, 0, CU1);
    guest.vcpu.fpu.fpr[7] = 77;
    let _ = guest.vcpu.prepare_resume();
    assert_eq!(guest.vcpu.context.status & CU1, 0);
    let trap = unusable(&guest);
    assert_eq!(guest.handle(&trap), Outcome::Resume);
    assert_eq!(
        guest.vcpu.context.pc, trap.epc,
        "the instruction is tried again"
    );
    assert_eq!(guest.machine.fpu.fpr[7], 77);
    let _ = guest.vcpu.prepare_resume();
    assert_eq!(guest.vcpu.context.status & CU1, CU1);
    guest.handle(&unusable(&guest));
    assert_eq!(guest.machine.fpu_loads, 1);
}

#[test]
fn registers_come_back_when_they_are_released() {
    let mut guest = Guest::new();
    guest.write_cp0(12, 0, CU1);
    guest.handle(&unusable(&guest));
    guest.machine.fpu.fpr[31] = 0x3ff0_0000_0000_0000;
    guest.machine.fpu.fcsr = 1;
    guest.vcpu.release_fpu(&mut guest.machine);
    guest.vcpu.release_fpu(&mut guest.machine);
    assert_eq!(guest.machine.fpu_saves, 1);
    assert_eq!(guest.vcpu.fpu, guest.machine.fpu);
    let _ = guest.vcpu.prepare_resume();
    assert_eq!(guest.vcpu.context.status & CU1, 0);
}

#[test]
fn a_guest_that_turned_it_off_gets_the_exception() {
    let mut guest = Guest::new();
    guest.write_cp0(12, 0, CU1);
    guest.handle(&unusable(&guest));
    guest.vcpu.special.set_status(0);
    let _ = guest.vcpu.prepare_resume();
    assert_eq!(
        guest.vcpu.context.status & CU1,
        0,
        "though the registers are still there"
    );
    guest.handle(&unusable(&guest));
    assert_eq!(guest.vcpu.special.cause() >> 28 & 3, 1);
    assert_eq!(guest.vcpu.special.cause() >> 2 & 31, u32::from(code::CPU));
}

#[test]
fn other_slots_do_not_cost_a_save() {
    let mut guest = Guest::new();
    guest.write_cp0(12, 0, CU1);
    guest.handle(&unusable(&guest));
    for (branch, saves) in [(0x1000_0004, 0), (0x4520_0004, 1)] {
        let trap = Trap {
            cause: u32::from(code::CPU) << 2 | 1 << 31,
            bad_instr: mfc0(8, 12, 0),
            bad_instr_p: branch,
            ..guest.trap(Entry::General, code::CPU)
        };
        guest.handle(&trap);
        assert_eq!(guest.machine.fpu_saves, saves, "{branch:#x}");
    }
}
