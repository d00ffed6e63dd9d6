//! Loads and stores that may raise an exception.

use crate::exception::{catch, Frame};
use crate::place;
use core::arch::asm;

/// Loads 8 bytes, or the exception that the load raises.
pub fn load(address: u64) -> Result<u64, Frame> {
    let mut value = 0;
    let exception = catch(|| {
        // SAFETY: an aligned load changes nothing; if it raises an exception, `catch` skips it.
        unsafe { asm!("ld {0}, 0({1})", inout(reg) value, in(reg) address, options(nostack)) }
    });
    exception.map_or(Ok(value), Err)
}

/// Stores 8 bytes, or the exception that the store raises.
pub fn store(address: u64, value: u64) -> Result<(), Frame> {
    let exception = catch(|| {
        // SAFETY: tests store to memory that they set aside; if it raises an exception, `catch`
        // skips it.
        unsafe { asm!("sd {0}, 0({1})", in(reg) value, in(reg) address, options(nostack)) }
    });
    exception.map_or(Ok(()), Err)
}

/// Loads 8 bytes of physical memory.
pub fn physical(address: u64) -> u64 {
    load(place::base() + address).expect("memory")
}

/// Stores 8 bytes of physical memory.
pub fn set_physical(address: u64, value: u64) {
    store(place::base() + address, value).expect("memory");
}
