//! What a CPU lets the others read, and where they ask it for things.

use super::super::check;
use crate::machine::NodeId;
use crate::numa::NumaCounters;
use core::sync::atomic::{AtomicU32, AtomicU64};

/// No virtual CPU, in [`CpuShared::running`].
pub const NOBODY: u32 = u32::MAX;

/// What a CPU lets the others read, and where they ask it for things.
#[derive(Debug)]
#[repr(align(64))]
pub struct CpuShared {
    /// Its node.
    pub node: NodeId,
    /// Machine address of the code it runs, from its program counter.
    pub code: AtomicU64,
    /// The virtual CPU it runs, or [`NOBODY`].
    pub running: AtomicU32,
    /// Ticks without anything to run, up to when that last ended.
    pub idle: AtomicU64,
    /// Since when there is nothing to run, in ticks; 0 while there is.
    pub idle_since: AtomicU64,
    /// Switches between virtual CPUs.
    pub switches: AtomicU64,
    /// Interrupts by line: the board's, other CPUs', the timer's.
    pub interrupts: [AtomicU64; 3],
    /// An audit that was asked for and not done, see `check.rs`.
    pub audit: check::AuditBox,
    /// What it has counted of misses and moves.
    pub numa: NumaCounters,
}

impl CpuShared {
    /// Of a CPU of `node` that has not started.
    pub const fn new(node: NodeId) -> Self {
        Self {
            node,
            code: AtomicU64::new(0),
            running: AtomicU32::new(NOBODY),
            idle: AtomicU64::new(0),
            idle_since: AtomicU64::new(0),
            switches: AtomicU64::new(0),
            interrupts: [const { AtomicU64::new(0) }; 3],
            audit: check::AuditBox::new(),
            numa: NumaCounters::new(),
        }
    }
}
