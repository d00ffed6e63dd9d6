//! Beyond the end of memory there are bus errors: in the windows and through the guest's TLB.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, CSSEG_WINDOW, XSSEG_UNCACHED_WINDOW, XSSEG_WINDOW};
use disco_test_guests::access::{load, store};
use disco_test_guests::exception::code;
use disco_test_guests::execute::{kernel, user_entry, Registers};
use disco_test_guests::instruction::*;
use disco_test_guests::registers::*;
use disco_test_guests::tlb;

disco_test_guests::guest!(run);

fn run(boot: &'static BootInfo) {
    for window in [CSSEG_WINDOW, XSSEG_WINDOW, XSSEG_UNCACHED_WINDOW] {
        let last = window + boot.memory - 8;
        store(last, window).expect("the last word of memory");
        assert_eq!(load(last).ok(), Some(window));
        check(window + boot.memory);
        check(window + boot.memory + 0x0123_4560);
    }
    check(CSSEG_WINDOW + (256 << 20) - 8);
    check(XSSEG_WINDOW + (1 << 31));
    check(XSSEG_WINDOW + (1 << 45));
    // Through an entry of the guest's own; its first page is the last of memory.
    tlb::write_indexed(0, &user_entry(0x10_0000, boot.memory - 0x4000));
    assert_eq!(load(0x10_0000 + 0x3ff8).ok(), Some(XSSEG_UNCACHED_WINDOW));
    check(0x10_4000);
    for physical in [boot.memory, 0x8000_0000, 0xf_ffff_8000] {
        tlb::write_indexed(0, &user_entry(0x10_0000, physical));
        check(0x10_0008);
    }
}

fn check(address: u64) {
    let frame = load(address).expect_err("a load that raises an exception");
    assert_eq!(frame.code(), code::DBE, "load of {address:#x}");
    let frame = store(address, 0).expect_err("a store that raises an exception");
    assert_eq!(frame.code(), code::DBE, "store to {address:#x}");
    let frame = kernel(&[jr(A0), NOP], &mut Registers::with(&[(A0, address)]));
    let frame = frame.expect("a jump that raises an exception");
    assert_eq!(
        (frame.code(), frame.epc),
        (code::IBE, address),
        "jump to {address:#x}"
    );
}
