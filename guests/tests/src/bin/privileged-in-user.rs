//! Privileged instructions and the special page are out of reach of the guest's user mode.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, CSSEG_WINDOW, SPECIAL_PAGE, XSSEG_WINDOW};
use disco_test_guests::exception::code;
use disco_test_guests::execute::{map_user_code, user, Registers, USER_CODE};
use disco_test_guests::instruction::*;
use disco_test_guests::registers::*;
use disco_test_guests::{abi, special};

disco_test_guests::guest!(run);

const PRIVILEGED: [u32; 19] = [
    mfc0(V0, 12, 0),
    dmfc0(V0, 14, 0),
    mfhc0(V0, 2, 0),
    mtc0(V0, 12, 0),
    dmtc0(V0, 14, 0),
    TLBR,
    TLBWI,
    TLBWR,
    TLBP,
    TLBINV,
    TLBINVF,
    ERET,
    ERETNC,
    DERET,
    WAIT,
    HYPCALL,
    di(V0),
    ei(V0),
    cache(0, A0),
];

fn run(_: &'static BootInfo) {
    map_user_code();
    special::write(abi::SP_KSCRATCH, 0x5ec2e7);
    for word in PRIVILEGED {
        // $v0 is a call's number, should it be taken.
        let mut registers = Registers::with(&[(V0, 0x7654)]);
        let frame = user(&[NOP, word], &mut registers);
        assert_eq!(
            (frame.code(), frame.coprocessor()),
            (code::CPU, 0),
            "{word:#x}"
        );
        assert_eq!(frame.epc, USER_CODE + 4, "EPC of {word:#x}");
        assert_eq!(frame.bad_instr as u32, word);
        assert_eq!(registers.get(V0), 0x7654, "{word:#x} changed a register");
        // In a delay slot.
        let frame = user(&[beq(ZERO, ZERO, 1), word, NOP], &mut registers);
        assert_eq!(
            (frame.code(), frame.coprocessor()),
            (code::CPU, 0),
            "{word:#x} in a slot"
        );
        assert_eq!(
            (frame.epc, frame.in_delay_slot()),
            (USER_CODE, true),
            "{word:#x} in a slot"
        );
    }
    for page in [
        SPECIAL_PAGE,
        SPECIAL_PAGE - 0x4000,
        CSSEG_WINDOW,
        XSSEG_WINDOW,
    ] {
        let mut registers = Registers::with(&[(A0, page + abi::SP_KSCRATCH), (V0, 0x7654)]);
        for (word, exception) in [(ld(V0, 0, A0), code::ADEL), (sd(V0, 0, A0), code::ADES)] {
            let frame = user(&[word], &mut registers);
            assert_eq!(frame.code(), exception, "{page:#x}");
            assert_eq!(frame.bad_vaddr, page + abi::SP_KSCRATCH);
            assert_eq!(registers.get(V0), 0x7654);
        }
    }
    assert_eq!(
        special::read(abi::SP_KSCRATCH),
        0x5ec2e7,
        "user mode wrote the special page"
    );
}
