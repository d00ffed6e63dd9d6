//! The monitor.
#![cfg_attr(not(test), no_std)]

pub mod address;
pub mod checksum;
pub mod clock;
pub mod console;
pub mod disk;
pub mod events;
pub mod machine;
#[cfg(target_os = "none")]
pub mod monitor;
pub mod net;
pub mod schedule;
pub mod vm;
