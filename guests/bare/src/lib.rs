//! Runtime of programs in kernel mode that are built once and run in two places: natively on the
//! board (QEMU's `-kernel`), and as the guest of a virtual machine.
//!
//! A program is a static library with [`program!`]; xtask links it once for each place
//! (`place.ld`). It uses real instructions, not the special page. The test guests use this runtime,
//! too. There is one CPU.
#![no_std]
#![feature(asm_experimental_arch)]

pub mod access;
pub mod calls;
pub mod cp0;
mod entry;
pub mod exception;
pub mod execute;
pub mod instruction;
pub mod place;
pub mod registers;
pub mod tlb;

use core::cell::Cell;

/// Makes `$run`, a `fn()`, the program. Its return ends the run, and so does a panic.
#[macro_export]
macro_rules! program {
    ($run:path) => {
        /// Called by the library's entry.
        #[no_mangle]
        pub extern "C" fn bare_main() {
            $run()
        }

        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::place::failed(info)
        }
    };
}

/// A variable of the only CPU, shared with its exception handler.
pub struct Variable<T>(Cell<T>);

// SAFETY: there is one CPU. Values are copied in and out whole, so an exception handler that comes
// between sees the value before or after, and nobody holds a reference.
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

/// Physical memory from here on is the program's own, up to the end of memory.
pub const FREE_MEMORY: u64 = 4 << 20;
