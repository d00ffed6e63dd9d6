//! Builds the monitor and the guests: each only when something changed.

pub mod cache;
pub mod guests;
pub mod images;
pub mod linux;
pub mod mips_linux;
pub mod monitor;
pub mod sizes;
