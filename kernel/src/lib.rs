//! The monitor.
#![cfg_attr(not(test), no_std)]

pub mod address;
pub mod console;
pub mod events;
pub mod machine;
pub mod schedule;
pub mod vm;
