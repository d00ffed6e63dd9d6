//! What a program saw: lines `key=value`.

use core::fmt::{self, Display, LowerHex};
use disco_bare::{place, println};

/// A line with a number.
pub fn see(key: impl Display, value: impl LowerHex) {
    println!("{key}={value:#x}");
}

/// A line with text.
pub fn see_text(key: impl Display, value: impl Display) {
    println!("{key}={value}");
}

/// An address, which in the program's own part of the place is shown relative to that.
pub struct Address(pub u64);

impl Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.wrapping_sub(place::base()) {
            offset @ 0x1000..0x1000_0000 => write!(out, "place+{offset:#x}"),
            _ => write!(out, "{:#x}", self.0),
        }
    }
}
