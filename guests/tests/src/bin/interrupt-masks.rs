//! IE, IM, EXL and ERL each hold an interrupt back; what opens them lets it in at once.
#![no_std]
#![no_main]

use disco_test_guests::abi::BootInfo;
use disco_test_guests::cp0::{self, line, reg, STATUS_ERL, STATUS_EXL, STATUS_IE};
use disco_test_guests::exception::{self, code, Frame};
use disco_test_guests::execute::{code_address, kernel, map_user_code, user, Registers, USER_CODE};
use disco_test_guests::instruction::*;
use disco_test_guests::registers::*;
use disco_test_guests::Variable;

disco_test_guests::guest!(run);

static TAKEN: Variable<u64> = Variable::new(0);
static PLACE: Variable<u64> = Variable::new(0);

/// Takes the interrupt and closes its mask, so that it is taken once.
fn take(frame: &mut Frame) -> bool {
    if frame.code() != code::INT {
        return false;
    }
    TAKEN.set(TAKEN.get() + 1);
    PLACE.set(frame.epc);
    frame.status &= !line(0);
    true
}

fn taken() -> u64 {
    let count = TAKEN.get();
    TAKEN.set(0);
    count
}

/// Runs `words` with `$a0` while software interrupt 0 waits.
fn execute(words: &[u32], a0: u64) -> Registers {
    let mut registers = Registers::with(&[(A0, a0), (A1, code_address() + 16)]);
    assert!(kernel(words, &mut registers).is_none(), "{words:x?}");
    registers
}

fn run(_: &'static BootInfo) {
    exception::handle(take);
    map_user_code();
    let closed = reg::STATUS.read() & !(STATUS_IE | 0xff00);
    reg::CAUSE.write(line(0));
    for open in [STATUS_IE, line(0), STATUS_IE | line(1)] {
        reg::STATUS.write(closed | open);
        assert_eq!(taken(), 0, "Status {open:#x} holds it back");
    }
    reg::STATUS.write(closed);
    let all = closed | STATUS_IE | line(0);
    execute(&[mtc0(A0, 12, 0), NOP], all);
    assert_eq!(taken(), 1, "mtc0 opens IE and IM");
    assert_eq!(PLACE.get(), code_address() + 4, "taken behind the mtc0");

    reg::STATUS.write(closed | line(0));
    let registers = execute(&[ei(V0), NOP, NOP], 0);
    assert_eq!(taken(), 1, "ei");
    assert_eq!(PLACE.get(), code_address() + 4, "taken behind the ei");
    assert_eq!(
        registers.get(V0) & STATUS_IE,
        0,
        "ei gives the Status before"
    );
    let registers = execute(&[di(V0)], 0);
    assert_eq!(
        registers.get(V0) & STATUS_IE,
        STATUS_IE,
        "di gives the Status before"
    );
    assert_eq!(reg::STATUS.read() & STATUS_IE, 0, "di");

    // With EXL or ERL set it waits for `eret`, and is taken where that goes.
    for (level, register) in [(STATUS_EXL, 14), (STATUS_ERL, 30)] {
        reg::STATUS.write(closed);
        execute(
            &[mtc0(A0, 12, 0), dmtc0(A1, register, 0), NOP, ERET, NOP],
            all | level,
        );
        assert_eq!(taken(), 1, "eret clears {level:#x}");
        assert_eq!(PLACE.get(), code_address() + 16, "taken where eret goes");
    }

    // In user mode IE and IM count as well.
    reg::STATUS.write(closed);
    let frame = user(&[NOP, NOP], &mut Registers::new());
    assert_eq!(
        (frame.code(), taken()),
        (code::SYS, 0),
        "user mode with interrupts off"
    );
    cp0::set_status(STATUS_EXL);
    reg::STATUS.write(all | STATUS_EXL);
    let frame = user(&[NOP, NOP], &mut Registers::new());
    assert_eq!(
        (frame.code(), taken()),
        (code::SYS, 1),
        "user mode with interrupts on"
    );
    assert_eq!(PLACE.get(), USER_CODE, "before the first instruction");
    reg::STATUS.write(closed);
}
