//! What every test guest needs: entry, exceptions, monitor calls, and a verdict.
//!
//! A guest is a function that returns if all held and panics if something did not (so every
//! `assert!` is a check), handed to [`guest!`]. Exceptions that it does not expect are panics.
//! It has one virtual CPU.
#![no_std]
#![feature(asm_experimental_arch)]

pub mod access;
pub mod calls;
pub mod console;
pub mod cp0;
mod entry;
pub mod exception;
pub mod execute;
pub mod instruction;
pub mod random;
pub mod registers;
pub mod special;
pub mod time;
pub mod tlb;
mod verdict;

pub use disco_abi as abi;
pub use verdict::{done, pass};

use core::cell::Cell;

/// Makes `$run`, a `fn(&'static BootInfo)`, the guest. Its return is the verdict "pass".
///
/// With `without verdict` its return powers off, and a panic starts it again: for a guest that may
/// damage itself, and whose word counts for nothing.
#[macro_export]
macro_rules! guest {
    ($run:path) => {
        $crate::guest!(@ $run, true);
    };
    ($run:path, without verdict) => {
        $crate::guest!(@ $run, false);
    };
    (@ $run:path, $verdict:literal) => {
        /// Read by the library.
        #[no_mangle]
        pub static GUEST_GIVES_VERDICT: bool = $verdict;

        /// Called by the library's entry.
        #[no_mangle]
        pub extern "C" fn guest_main(boot: &'static $crate::abi::BootInfo) {
            $run(boot)
        }
    };
}

/// A variable of the guest's only virtual CPU, shared with its exception handler.
pub struct Variable<T>(Cell<T>);

// SAFETY: a guest has one virtual CPU. Values are copied in and out whole, so an exception handler
// that comes between sees the value before or after, and nobody holds a reference.
unsafe impl<T: Copy> Sync for Variable<T> {}

impl<T: Copy> Variable<T> {
    /// With this value at first.
    pub const fn new(value: T) -> Self {
        Self(Cell::new(value))
    }

    /// Its value.
    pub fn get(&self) -> T {
        // SAFETY: the pointer is that of a live Cell. The access is volatile so that a loop that
        // waits for the exception handler sees its store.
        unsafe { self.0.as_ptr().read_volatile() }
    }

    /// Changes it.
    pub fn set(&self, value: T) {
        // SAFETY: as in `get`.
        unsafe { self.0.as_ptr().write_volatile(value) }
    }
}

/// Guest-physical memory from here on is a test's own, up to the end of memory.
pub const FREE_MEMORY: u64 = 4 << 20;

/// Text that a 0 closes, as the boot information has it.
pub fn text(bytes: &[u8]) -> &str {
    let length = bytes
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(bytes.len());
    core::str::from_utf8(&bytes[..length]).expect("UTF-8")
}

/// The number behind `key=` on the command line, or `default`.
pub fn option(boot: &abi::BootInfo, key: &str, default: u64) -> u64 {
    let value = text(&boot.command_line)
        .split_ascii_whitespace()
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    value.map_or(default, |value| {
        value.parse().expect("a number on the command line")
    })
}
