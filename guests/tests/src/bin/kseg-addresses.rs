//! Segments that the virtual machine does not have raise address errors in its kernel mode.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, SPECIAL_PAGE};
use disco_test_guests::access::{load, store};
use disco_test_guests::exception::{code, VECTOR_GENERAL};
use disco_test_guests::execute::{kernel, Registers};
use disco_test_guests::instruction::*;
use disco_test_guests::registers::*;

disco_test_guests::guest!(run);

const NOWHERE: [u64; 17] = [
    0xffff_ffff_8000_0000, // kseg0
    0xffff_ffff_9fff_fff8,
    0xffff_ffff_a000_0000, // kseg1
    0xffff_ffff_bfc0_0000,
    0xffff_ffff_e000_0000, // kseg3
    0xffff_ffff_ffff_fff8,
    0x8000_0000_0000_0000, // xkphys, several cache attributes
    0x9000_0000_0000_0000,
    0x9800_0000_8000_0000,
    0xb800_0000_0000_0000,
    0xc000_0000_0000_0000, // xkseg
    0xc000_00ff_7fff_fff8,
    0x0001_0000_0000_0000, // beyond 48 bits
    0x3fff_ffff_ffff_fff8,
    0x4001_0000_0000_0000,
    0x7fff_ffff_ffff_fff8,
    SPECIAL_PAGE - 0x4000, // reserved
];

fn run(_: &'static BootInfo) {
    for address in NOWHERE {
        let frame = load(address).expect_err("a load that raises an exception");
        assert_eq!(frame.code(), code::ADEL, "load of {address:#x}");
        assert_eq!(frame.bad_vaddr, address, "BadVAddr");
        assert_eq!(frame.vector, VECTOR_GENERAL);
        let frame = store(address, 0).expect_err("a store that raises an exception");
        assert_eq!(frame.code(), code::ADES, "store to {address:#x}");
        assert_eq!(frame.bad_vaddr, address, "BadVAddr");
        let frame = kernel(&[jr(A0), NOP], &mut Registers::with(&[(A0, address)]));
        let frame = frame.expect("a jump that raises an exception");
        assert_eq!(frame.code(), code::ADEL, "jump to {address:#x}");
        assert_eq!((frame.bad_vaddr, frame.epc), (address, address));
    }
    // Not aligned: in release 6 only jumps mind.
    let frame = kernel(
        &[jr(A0), NOP],
        &mut Registers::with(&[(A0, 0xffff_ffff_c010_0002)]),
    );
    let frame = frame.expect("a jump that raises an exception");
    assert_eq!(
        (frame.code(), frame.bad_vaddr),
        (code::ADEL, 0xffff_ffff_c010_0002)
    );
}
