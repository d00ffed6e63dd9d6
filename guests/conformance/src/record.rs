//! What a program saw: lines `key=value`.

use core::fmt::{Display, LowerHex};
use disco_bare::{place, println};

/// A line with a number.
pub fn see(key: impl Display, value: impl LowerHex) {
    println!("{key}={value:#x}");
}

/// A line with an address that may be one of the place: then it is shown relative to that.
pub fn see_address(key: impl Display, value: u64) {
    match value.wrapping_sub(place::base()) {
        offset @ 0..0x1000_0000 => println!("{key}=place+{offset:#x}"),
        _ => see(key, value),
    }
}
