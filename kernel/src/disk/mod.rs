//! Virtual disks.

pub mod device;
pub mod pool;
pub mod tree;
