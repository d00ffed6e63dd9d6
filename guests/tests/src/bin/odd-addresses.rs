//! `eret` and jumps to odd addresses raise address errors: the real CPU never sees them.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, CSSEG_WINDOW};
use disco_test_guests::exception::{code, Frame};
use disco_test_guests::execute::{kernel, map_user_code, user_at, Registers, USER_CODE};
use disco_test_guests::instruction::*;
use disco_test_guests::registers::*;
use disco_test_guests::FREE_MEMORY;

disco_test_guests::guest!(run);

fn run(_: &'static BootInfo) {
    map_user_code();
    for offset in 1..4 {
        let address = CSSEG_WINDOW + FREE_MEMORY + offset;
        let ways: [&[u32]; 7] = [
            &[jr(A0), NOP],
            &[jr(A0), dmfc0(V0, 31, 2)],
            &[jr(A0), HYPCALL],
            &[dmtc0(A0, 14, 0), ERET],
            &[dmtc0(A0, 14, 0), ERETNC],
            &[
                dmtc0(A0, 30, 0),
                mfc0(V0, 12, 0),
                ori(V0, V0, 4),
                mtc0(V0, 12, 0),
                ERET,
            ],
            &[dmtc0(A0, 14, 0), di(V0), ERET],
        ];
        for words in ways {
            let frame = kernel(words, &mut Registers::with(&[(A0, address)]));
            check(&frame.expect("an exception"), address);
        }
        check(
            &user_at(USER_CODE + offset, &mut Registers::new()),
            USER_CODE + offset,
        );
    }
}

fn check(frame: &Frame, address: u64) {
    assert_eq!(frame.code(), code::ADEL, "at {address:#x}");
    assert_eq!((frame.epc, frame.bad_vaddr), (address, address));
    assert!(!frame.in_delay_slot());
}
