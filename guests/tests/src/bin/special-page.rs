//! The special page and `mfc0` show the same registers; read-only slots have no effect.
#![no_std]
#![no_main]

use disco_test_guests::abi::*;
use disco_test_guests::cp0::{self, reg};
use disco_test_guests::execute::{kernel, Registers};
use disco_test_guests::instruction::{rdhwr, SYSCALL};
use disco_test_guests::registers::V0;
use disco_test_guests::{access, exception, special};

disco_test_guests::guest!(run);

/// Reads one register with `mfc0` and its slot, after each of the two wrote it.
macro_rules! both_ways {
    ($register:expr, $slot:expr, $values:expr) => {
        for value in $values {
            special::write($slot, value);
            assert_eq!($register.read(), value, "slot {:#x} to register", $slot);
            $register.write(!value & 0xffff_ffff_ffff_e000);
            $register.write(value);
            assert_eq!(special::read($slot), value, "register to slot {:#x}", $slot);
        }
    };
}

fn run(_: &'static BootInfo) {
    let address = 0xffff_ffff_c012_3450;
    both_ways!(reg::EPC, SP_EPC, [0, address, u64::MAX]);
    both_ways!(reg::ERROR_EPC, SP_ERROREPC, [0, address]);
    both_ways!(
        reg::ENTRY_LO0,
        SP_ENTRYLO0,
        [0, 0x3fff_ffff, 3 << 62 | 0x47]
    );
    both_ways!(
        reg::ENTRY_LO1,
        SP_ENTRYLO1,
        [0, 0x3fff_ffff, 3 << 62 | 0x47]
    );
    both_ways!(reg::PAGE_MASK, SP_PAGEMASK, [0, 0x6000, 0x1fff_e000]);
    both_ways!(reg::INDEX, SP_INDEX, [0, 7, 15]);
    both_ways!(reg::KSCRATCH1, SP_KSCRATCH, [0, address, 1 << 63]);
    both_ways!(reg::KSCRATCH6, SP_KSCRATCH + 40, [0, address, 1 << 63]);

    reg::ENTRY_HI.write(0x1234_6000 | 0x2a);
    assert_eq!(special::read(SP_ENTRYHI), 0x1234_6000 | 0x2a);
    reg::ENTRY_HI.write(0);
    reg::CONTEXT.write(0xffff_ffff_8080_0000);
    assert_eq!(
        special::read(SP_CONTEXT) & !0x7f_ffff,
        0xffff_ffff_8080_0000
    );
    status();
    exceptions();
    read_only();
}

fn status() {
    let status = reg::STATUS.read();
    assert_eq!(special::read(SP_STATUS), status, "Status");
    special::write(SP_STATUS, status | cp0::line(0));
    assert_eq!(reg::STATUS.read(), status | cp0::line(0), "IM by a store");
    reg::STATUS.write(status);
    assert_eq!(special::read(SP_STATUS), status, "Status by mtc0");
}

/// The slots hold what an exception left, as its handler read it with `mfc0`.
fn exceptions() {
    let frame = access::load(0xffff_ffff_8000_1000).expect_err("an address error");
    assert_eq!(special::read(SP_BADVADDR), 0xffff_ffff_8000_1000);
    assert_eq!(special::read(SP_BADVADDR), frame.bad_vaddr);
    assert_eq!(special::read(SP_CAUSE) >> 2 & 31, exception::code::ADEL);
    assert_eq!(special::read(SP_BADINSTR), frame.bad_instr);
    let frame = kernel(&[SYSCALL], &mut Registers::new()).expect("a system call");
    assert_eq!(special::read(SP_CAUSE) & 0x7c, frame.cause & 0x7c);
    assert_eq!(special::read(SP_BADINSTR), u64::from(SYSCALL));
}

fn read_only() {
    reg::USER_LOCAL.write(0x7777);
    assert_eq!(special::read(SP_USERLOCAL), 0x7777);
    cp0::set_status(cp0::STATUS_IE | cp0::line(0) | cp0::line(1) | cp0::line(7));
    let slots = [
        SP_CAUSE,
        SP_BADVADDR,
        SP_PENDING,
        SP_ENTRYHI,
        SP_BADINSTR,
        SP_BADINSTRP,
    ];
    for slot in slots.into_iter().chain([SP_USERLOCAL]) {
        special::write(slot, u64::MAX);
    }
    // With interrupts on: waiting interrupts that a store invents would come now.
    let _ = reg::PRID.read();
    cp0::clear_status(cp0::STATUS_IE | 0xff00);
    assert_eq!(reg::CAUSE.read() & 0xff00, 0, "no interrupt waits");
    let mut registers = Registers::new();
    reg::HWRENA.write(1 << 29);
    assert!(kernel(&[rdhwr(V0, 29)], &mut registers).is_none());
    assert_eq!(registers.get(V0), 0x7777, "UserLocal");
    let frame = kernel(&[SYSCALL], &mut Registers::new()).expect("a system call");
    assert_eq!(frame.code(), exception::code::SYS);
    assert_eq!(frame.bad_instr, u64::from(SYSCALL));
    assert_eq!(frame.cause & 0xff00, 0);
}
