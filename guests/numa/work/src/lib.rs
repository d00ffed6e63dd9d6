//! What the programs of `cargo xtask bench numa` compute. The host computes it too, and tells them which
//! checksum must come out.
//!
//! All arithmetic is on integers, so that results are the same everywhere. Memory is the caller's: in a
//! virtual machine it is what is measured.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod groups;
pub mod netlist;
pub mod picture;
mod random;
pub mod scene;
pub mod store;
pub mod tree;
pub mod vector;

pub use random::Random;

/// Adds a value to a checksum in which the order of values counts.
pub fn mix(sum: u64, value: u64) -> u64 {
    (sum ^ value)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
}
