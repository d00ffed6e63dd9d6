//! All memory is 0 at entry but for the guest's own image, whatever was there before.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, BOOT_INFO_GUEST_PHYSICAL, XSSEG_WINDOW};
use disco_test_guests::cp0;
use disco_test_guests::{println, FREE_MEMORY};

disco_test_guests::guest!(run);

/// Behind the vectors, and behind the image (which ends far below [`FREE_MEMORY`]).
const IMAGE: u64 = 1 << 20;
const IMAGE_END: u64 = 2 << 20;

fn words(from: u64, to: u64) -> &'static mut [u64] {
    // SAFETY: the caller's ranges lie in guest memory and hold nothing of this program.
    unsafe {
        core::slice::from_raw_parts_mut(
            (XSSEG_WINDOW + from) as *mut u64,
            ((to - from) / 8) as usize,
        )
    }
}

fn run(boot: &'static BootInfo) {
    let after_boot_info = BOOT_INFO_GUEST_PHYSICAL + size_of::<BootInfo>() as u64;
    let ranges = [
        (0x4000, BOOT_INFO_GUEST_PHYSICAL),
        (after_boot_info.next_multiple_of(8), IMAGE),
        (IMAGE_END, FREE_MEMORY),
        (FREE_MEMORY, boot.memory),
    ];
    for (from, to) in ranges {
        for (index, word) in words(from, to).iter_mut().enumerate() {
            assert_eq!(*word, 0, "at {:#x}", from + 8 * index as u64);
            *word = 0xdead_beef_0000_0000 | index as u64;
        }
    }
    disco_test_guests::done();
    println!("memory was zero and is dirty now");
    loop {
        cp0::wait();
    }
}
