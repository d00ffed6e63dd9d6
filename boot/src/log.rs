//! Lines on the console during bring-up.

use core::fmt::{self, Write};
use disco_arch::board::power;
use disco_arch::board::uart::Uart;
use disco_arch::lock::Mutex;

/// Guards COM1: one line at a time.
static COM1: Mutex<Uart> = Mutex::new(Uart::com1());

/// Prints a line.
#[macro_export]
macro_rules! log {
    ($($argument:tt)*) => { $crate::log::line(format_args!($($argument)*)) };
}

/// Prints a message that begins with "Disco: " and powers the machine off.
#[macro_export]
macro_rules! fatal {
    ($($argument:tt)*) => { $crate::log::fatal(format_args!($($argument)*)) };
}

/// Prints a line.
pub fn line(arguments: fmt::Arguments) {
    // A serial port takes everything: writing cannot fail.
    let _ = writeln!(COM1.lock(), "{arguments}");
}

/// Prints a message that begins with "Disco: " and powers the machine off.
pub fn fatal(arguments: fmt::Arguments) -> ! {
    line(format_args!("Disco: {arguments}"));
    Uart::com1().drain();
    power::off()
}
