//! Virtual disks.

pub mod device;
