//! What every test guest needs: the bare runtime, the special page, and a verdict.
//!
//! A guest is a function that returns if all held and panics if something did not (so every
//! `assert!` is a check), handed to [`guest!`]. Exceptions that it does not expect are panics.
//! It has one virtual CPU.
#![no_std]
#![feature(asm_experimental_arch)]

pub mod console;
pub mod disk;
pub mod random;
pub mod siblings;
pub mod special;
pub mod subnet;
pub mod time;
mod verdict;
pub mod walker;

pub use disco_abi as abi;
pub use disco_bare::place::{self, boot_info, text};
pub use disco_bare::{
    access, calls, cp0, exception, execute, instruction, print, println, registers, tlb, Variable,
    FREE_MEMORY,
};
pub use verdict::{done, pass};

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

        /// Called by the runtime's entry.
        #[no_mangle]
        pub extern "C" fn bare_main() {
            $run($crate::boot_info());
            $crate::pass()
        }
    };
}

/// The number behind `key=` on the command line, or `default`.
pub fn option(_: &abi::BootInfo, key: &str, default: u64) -> u64 {
    disco_bare::place::option(key, default)
}
