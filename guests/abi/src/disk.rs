//! Virtual disks: what their monitor calls take and give.
//!
//! A disk is named by its place in the virtual machine's list, from 0. One call passes a whole
//! command with its scatter list; it ends at once or later, told by [`LINE_DISK`] and taken with
//! `DiskTake`.

use crate::NAME_MAX;

/// Interrupt line (Cause.IP bit) of the disks: raised while commands that ended wait for `DiskTake`.
pub const LINE_DISK: u32 = 4;
/// Bytes of a sector, the unit of every disk.
pub const SECTOR: u64 = 512;
/// Most segments of a command.
pub const DISK_SEGMENTS_MAX: usize = 128;
/// Most bytes that one command moves.
pub const DISK_BYTES_MAX: u64 = 1 << 20;
/// Most commands of a virtual machine, on all its disks, that have not been taken yet.
pub const DISK_COMMANDS_MAX: usize = 64;

/// Answer of `DiskInfo`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DiskInfo {
    /// Length in sectors.
    pub sectors: u64,
    /// A [`DiskMode`].
    pub mode: u64,
    /// The disk's name, closed with 0.
    pub name: [u8; NAME_MAX + 1],
}

/// What becomes of writes to a disk.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskMode {
    /// Private to the virtual machine, gone when it starts again.
    Cow = 0,
    /// Private to the virtual machine, kept for ever.
    CowPersistent = 1,
    /// Kept for ever; one virtual machine at a time has the disk.
    Exclusive = 2,
    /// Kept for ever, and seen by every virtual machine that has the disk.
    Shared = 3,
    /// Refused.
    ReadOnly = 4,
}

impl DiskMode {
    /// The mode with this number, if there is one.
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Cow),
            1 => Some(Self::CowPersistent),
            2 => Some(Self::Exclusive),
            3 => Some(Self::Shared),
            4 => Some(Self::ReadOnly),
            _ => None,
        }
    }
}

/// Head of a command in guest memory; its segments follow.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct DiskRequest {
    /// A [`DiskOperation`].
    pub operation: u64,
    /// The first sector.
    pub sector: u64,
    /// The guest's own name for the command, given back when it ends.
    pub tag: u64,
    /// Number of [`Segment`]s behind this structure; 0 for a flush.
    pub segments: u64,
}

/// What a command does.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskOperation {
    /// Sectors into memory.
    Read = 0,
    /// Memory into sectors. A later read sees it; it is durable after a flush.
    Write = 1,
    /// Ends when every write that had ended before it was passed is durable.
    Flush = 2,
    /// A write that is durable when it ends.
    WriteDurable = 3,
}

impl DiskOperation {
    /// The operation with this number, if there is one.
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Read),
            1 => Some(Self::Write),
            2 => Some(Self::Flush),
            3 => Some(Self::WriteDurable),
            _ => None,
        }
    }
}

/// A piece of guest-physical memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Guest-physical address. For disks any; for frames, too.
    pub address: u64,
    /// Bytes. For disks a multiple of [`SECTOR`], and not 0.
    pub bytes: u64,
}

/// A command that has ended, as `DiskTake` tells.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskDone {
    /// The guest's name for it.
    pub tag: u64,
    /// 0, or a [`DiskError`].
    pub status: u64,
}

/// Why a command has failed.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// Sectors behind the disk's end.
    OutOfRange = 1,
    /// The disk is read-only.
    ReadOnly = 2,
    /// The virtual machine's private sectors have reached their quota, or its log is full.
    NoSpace = 3,
    /// The real disk reported an error.
    Device = 4,
}
