//! Writes to all memory, and checks that it is all there. At each byte of input it frees most of its
//! memory, or fills it again.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, Call, PAGES_CALL_MAX, PAGE_SIZE, XSSEG_WINDOW};
use disco_test_guests::calls::call;
use disco_test_guests::{console, cp0, println, FREE_MEMORY};

disco_test_guests::guest!(run);

fn run(boot: &'static BootInfo) {
    fill(boot.memory);
    println!("memory is full");
    disco_test_guests::done();
    let mut full = true;
    loop {
        let mut byte = [0];
        if console::read(&mut byte) == 0 {
            cp0::wait();
            continue;
        }
        full = !full;
        if full {
            fill(boot.memory);
            println!("memory is full again");
        } else {
            free(boot.memory);
            println!("memory is free");
        }
    }
}

fn fill(memory: u64) {
    let pages = || (FREE_MEMORY..memory).step_by(PAGE_SIZE as usize);
    let word = |page: u64| (XSSEG_WINDOW + page + page / PAGE_SIZE % 0x800 * 8) as *mut u64;
    for page in pages() {
        // SAFETY: memory that holds nothing of this program.
        unsafe { word(page).write_volatile(page) };
    }
    for page in pages() {
        // SAFETY: as above.
        assert_eq!(unsafe { word(page).read_volatile() }, page, "{page:#x}");
    }
}

fn free(memory: u64) {
    for piece in (FREE_MEMORY..memory).step_by(PAGES_CALL_MAX as usize) {
        let bytes = PAGES_CALL_MAX.min(memory - piece);
        assert_eq!(call(Call::PageFree, [piece, bytes, 0, 0]), Ok(0));
    }
}
