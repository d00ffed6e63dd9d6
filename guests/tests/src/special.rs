//! The special page.

use disco_abi::SPECIAL_PAGE;

fn slot(offset: u64) -> *mut u64 {
    (SPECIAL_PAGE + offset) as *mut u64
}

/// Reads a slot.
pub fn read(offset: u64) -> u64 {
    // SAFETY: the page is always there.
    unsafe { slot(offset).read_volatile() }
}

/// Writes a slot.
pub fn write(offset: u64, value: u64) {
    // SAFETY: the page is always there; what a slot does is in CP0, not in memory.
    unsafe { slot(offset).write_volatile(value) }
}
