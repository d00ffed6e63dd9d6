//! A virtual disk, and a virtual machine that has it.

use super::log::Log;
use super::private::Private;
use super::BLOCK;
use disco_abi::DiskMode;

/// A disk of the machine description.
pub struct VirtualDisk {
    /// Its name.
    pub name: &'static str,
    /// What becomes of writes.
    pub mode: DiskMode,
    /// Its first block on the real disk.
    pub first: u64,
    /// Length in sectors.
    pub sectors: u64,
    /// Most blocks with private sectors of one virtual machine.
    pub private_max: u64,
    /// Who has an exclusive disk.
    pub owner: Option<u16>,
    /// Its partition is missing or unfit: nobody can have it.
    pub fault: bool,
    /// Blocks that reads have taken from the cache.
    pub reads: u64,
    /// Of those, blocks that had to be read from the real disk for it.
    pub misses: u64,
}

impl VirtualDisk {
    /// Whether a block of the real disk is one of this disk's.
    pub const fn contains(&self, block: u64) -> bool {
        block >= self.first && block - self.first < self.sectors.div_ceil(BLOCK)
    }
}

/// The monitor itself has a disk, for guests' files.
pub const MONITOR: u16 = u16::MAX;

/// A virtual machine has a disk.
pub struct Mount {
    /// Which virtual machine, or [`MONITOR`].
    pub vm: u16,
    /// Which disk.
    pub disk: u16,
    /// Its log is damaged: it cannot have the disk.
    pub fault: bool,
    /// It has opened it.
    pub open: bool,
    /// A write was refused since the private sectors have reached their quota.
    pub full: bool,
    /// That was told; that the disk was refused was told.
    pub full_told: bool,
    /// See `full_told`.
    pub refused_told: bool,
    /// What it has written for itself.
    pub private: Private,
    /// Where that is kept, of a `cow-persistent` disk.
    pub log: Option<Log>,
}

impl Mount {
    /// Not opened, nothing written.
    pub const fn new(vm: u16, disk: u16) -> Self {
        Self {
            vm,
            disk,
            fault: false,
            open: false,
            full: false,
            full_told: false,
            refused_told: false,
            private: Private::NONE,
            log: None,
        }
    }
}
