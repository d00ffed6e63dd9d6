//! What the lockstep with the model does not see of instructions in delay slots: the CPU there has
//! linked before the slot traps.

use super::guest::*;
use crate::vm::exception::code;
use crate::vm::trap::{Outcome, Trap};
use disco_arch::trap::Entry;

const BD: u32 = 1 << 31;
/// `jal` to the fourth instruction of the region.
const JAL: u32 = 0x0c00_0004;

#[test]
fn the_slot_sees_the_link() {
    let mut guest = Guest::new();
    let trap = Trap {
        cause: u32::from(code::CPU) << 2 | BD,
        bad_instr: dmtc0(31, 14, 0),
        bad_instr_p: JAL,
        ..guest.trap(Entry::General, code::CPU)
    };
    assert_eq!(guest.handle(&trap), Outcome::Resume);
    assert_eq!(guest.vcpu.special.epc(), CODE + 8);
    assert_eq!(guest.gpr(31), CODE + 8);
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
