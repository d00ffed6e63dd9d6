//! `eret` goes to user mode and exceptions come back, with EXL, ERL and EPC as on the CPU.
#![no_std]
#![no_main]

use disco_test_guests::abi::BootInfo;
use disco_test_guests::cp0::{self, reg};
use disco_test_guests::exception::{code, VECTOR_GENERAL};
use disco_test_guests::execute::{code_address, kernel, map_user_code, user, Registers, USER_CODE};
use disco_test_guests::instruction::*;
use disco_test_guests::registers::*;

disco_test_guests::guest!(run);

fn run(_: &'static BootInfo) {
    map_user_code();
    let mut registers = Registers::with(&[(A0, 5)]);
    let frame = user(&[addiu(V0, A0, 1), addiu(V1, A0, 2)], &mut registers);
    assert_eq!(
        (registers.get(V0), registers.get(V1)),
        (6, 7),
        "user mode computed"
    );
    assert_eq!(frame.code(), code::SYS);
    assert_eq!(frame.epc, USER_CODE + 8);
    assert_eq!(frame.vector, VECTOR_GENERAL);
    let mode = frame.status & 0x1e;
    assert_eq!(
        mode,
        cp0::STATUS_KSU_USER | cp0::STATUS_EXL,
        "Status at the exception"
    );
    assert_eq!(reg::STATUS.read() & 0x1e, 0, "kernel mode afterwards");

    // A privileged instruction in user mode raises an exception; in kernel mode it did not.
    let privileged = user(&[mfc0(V0, 12, 0)], &mut registers);
    assert_eq!(
        (privileged.code(), privileged.coprocessor()),
        (code::CPU, 0)
    );

    // With EXL set the guest is in kernel mode whatever KSU says, and `eret` clears EXL alone.
    let status = reg::STATUS.read() & 0xffff_ffff;
    let with_user = status | cp0::STATUS_KSU_USER | cp0::STATUS_EXL;
    let mut registers =
        Registers::with(&[(A0, with_user), (A1, status), (A2, code_address() + 20)]);
    let words = [
        mtc0(A0, 12, 0),
        mfc0(V0, 12, 0),
        mtc0(A1, 12, 0),
        dmtc0(A2, 14, 0),
        // EXL is clear: `eret` goes to EPC all the same.
        ERET,
        addiu(V1, ZERO, 77),
    ];
    assert!(kernel(&words, &mut registers).is_none());
    assert_eq!(registers.get(V0) & 0x1e, with_user & 0x1e, "KSU and EXL");
    assert_eq!(registers.get(V1), 77, "behind eret");

    // With ERL `eret` goes to ErrorEPC, and leaves EPC alone.
    let with_erl = status | cp0::STATUS_ERL;
    let way = code_address() + 20;
    let mut registers = Registers::with(&[(A0, with_erl), (A1, 0x1000), (A2, way)]);
    let words = [
        dmtc0(A1, 14, 0),
        dmtc0(A2, 30, 0),
        mtc0(A0, 12, 0),
        ERET,
        BREAK,
        mfc0(V0, 12, 0),
        dmfc0(V1, 14, 0),
    ];
    assert!(kernel(&words, &mut registers).is_none(), "eret with ERL");
    assert_eq!(registers.get(V0) & 0x1e, 0, "ERL is clear");
    assert_eq!(registers.get(V1), 0x1000, "EPC");
}
