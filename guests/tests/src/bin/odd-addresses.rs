//! `eret` and jumps to odd addresses raise address errors: the real CPU never sees them.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, CSSEG_WINDOW, XSSEG_UNCACHED_WINDOW, XSSEG_WINDOW};
use disco_test_guests::access::load;
use disco_test_guests::exception::{code, Frame};
use disco_test_guests::execute::{kernel, map_user_code, user, user_at, Registers, USER_CODE};
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
        fetch_after_miss(offset);
    }
}

/// The fetch misses first, so that the monitor's refill sees the odd address: in a linear window
/// with a large page, and for user mode in the second-level TLB.
fn fetch_after_miss(offset: u64) {
    let address = XSSEG_WINDOW + FREE_MEMORY + offset;
    empty_real_tlb();
    let frame = kernel(&[jr(A0), NOP], &mut Registers::with(&[(A0, address)]));
    check(&frame.expect("an exception"), address);
    let used = user(&[BREAK], &mut Registers::new());
    assert_eq!(used.code(), code::BP);
    empty_real_tlb();
    let frame = user_at(USER_CODE + offset, &mut Registers::new());
    check(&frame, USER_CODE + offset);
}

/// Uses so many pairs of pages that nothing else stays in the real TLB, its hidden entries
/// included. Their slots of the second-level TLB are not that of the user code.
fn empty_real_tlb() {
    for pair in 0..200 {
        let address = XSSEG_UNCACHED_WINDOW + (8 << 20) + pair * (32 << 10);
        load(address).expect("memory");
    }
}

fn check(frame: &Frame, address: u64) {
    assert_eq!(frame.code(), code::ADEL, "at {address:#x}");
    assert_eq!((frame.epc, frame.bad_vaddr), (address, address));
    assert!(!frame.in_delay_slot());
}
