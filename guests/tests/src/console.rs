//! The console, for `print!` and `println!` of a guest.

use crate::calls::{call, physical_address};
use core::fmt;
use disco_abi::Call;

/// Writes to the console.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write(text.as_bytes());
        Ok(())
    }
}

/// Writes all of `bytes`, however long the monitor takes.
pub fn write(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let arguments = [physical_address(bytes.as_ptr()), bytes.len() as u64, 0, 0];
        let taken = call(Call::ConsoleWrite, arguments).expect("the console");
        if taken == 0 {
            call(Call::Yield, [0; 4]).expect("a yield");
        }
        bytes = &bytes[taken as usize..];
    }
}

/// Takes waiting input: how many bytes.
pub fn read(buffer: &mut [u8]) -> usize {
    let arguments = [
        physical_address(buffer.as_mut_ptr()),
        buffer.len() as u64,
        0,
        0,
    ];
    call(Call::ConsoleRead, arguments).expect("the console") as usize
}

/// Prints on the guest's console.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => {{
        use core::fmt::Write;
        let _ = write!($crate::console::Console, $($argument)*);
    }};
}

/// Prints a line on the guest's console.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => {{
        $crate::print!($($argument)*);
        $crate::print!("\n");
    }};
}
