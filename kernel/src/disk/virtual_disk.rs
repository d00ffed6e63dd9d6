//! A virtual disk, and a virtual machine that has it.

use super::log::Log;
use super::private::Private;
use super::BLOCK;
use disco_abi::{DiskError, DiskMode};

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
    /// What was refused or has failed since the virtual machine started, a bit for each [`Fault`]; and
    /// what of it people were told.
    faults: u8,
    /// See `faults`.
    told: u8,
    /// What it has written for itself.
    pub private: Private,
    /// Where that is kept, of a `cow-persistent` disk.
    pub log: Option<Log>,
}

/// Why a virtual machine was refused a disk, or a command of it failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Another one has the disk.
    InUse,
    /// A structure that is no command, or memory that is not there.
    Command,
    /// Sectors behind the disk's end.
    OutOfRange,
    /// A write to a disk that cannot be written to.
    ReadOnly,
    /// The private sectors have reached their quota.
    Quota,
    /// The machine has no memory for it.
    NoMemory,
    /// The real disk has failed, or the log.
    Device,
}

impl Fault {
    const ALL: [Self; 7] = [
        Self::InUse,
        Self::Command,
        Self::OutOfRange,
        Self::ReadOnly,
        Self::Quota,
        Self::NoMemory,
        Self::Device,
    ];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Mount {
    /// A command of the virtual machine has failed.
    pub fn failed(&mut self, error: DiskError) {
        self.note(match error {
            DiskError::OutOfRange => Fault::OutOfRange,
            DiskError::ReadOnly => Fault::ReadOnly,
            DiskError::NoSpace if self.faults & Fault::Quota.bit() != 0 => Fault::Quota,
            DiskError::NoSpace => Fault::NoMemory,
            DiskError::Device => Fault::Device,
        });
    }

    /// Keeps in mind what people are to be told.
    pub fn note(&mut self, fault: Fault) {
        self.faults |= fault.bit();
    }

    /// What is to be told now: each once.
    pub fn tell(&mut self) -> Option<Fault> {
        let new = self.faults & !self.told;
        let fault = Fault::ALL
            .into_iter()
            .find(|fault| new & fault.bit() != 0)?;
        self.told |= fault.bit();
        Some(fault)
    }

    /// The virtual machine starts anew.
    pub fn forget_faults(&mut self) {
        (self.faults, self.told) = (0, 0);
    }

    /// Not opened, nothing written.
    pub const fn new(vm: u16, disk: u16) -> Self {
        Self {
            vm,
            disk,
            fault: false,
            open: false,
            faults: 0,
            told: 0,
            private: Private::NONE,
            log: None,
        }
    }
}
