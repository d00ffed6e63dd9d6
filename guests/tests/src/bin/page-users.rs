//! A page with three users, one that is its own, and one that was freed: for people to look at.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, Call, PAGE_SIZE};
use disco_test_guests::access::{physical, set_physical};
use disco_test_guests::calls::call;
use disco_test_guests::cp0;

disco_test_guests::guest!(run);

const SHARED: u64 = 0x80_0000;
const COPIES: u64 = 0x90_0000;
const OWN: u64 = 0xa0_0000;
const FREED: u64 = 0xc0_0000;

fn run(_: &'static BootInfo) {
    for page in [SHARED, OWN, FREED] {
        set_physical(page, page);
    }
    for number in 0..2 {
        let arguments = [COPIES + number * PAGE_SIZE, SHARED, PAGE_SIZE, 0];
        assert_eq!(call(Call::Remap, arguments), Ok(0));
        assert_eq!(physical(COPIES + number * PAGE_SIZE), SHARED);
    }
    assert_eq!(call(Call::PageFree, [FREED, PAGE_SIZE, 0, 0]), Ok(0));
    disco_test_guests::done();
    loop {
        cp0::wait();
    }
}
