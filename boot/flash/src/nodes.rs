//! How a machine is divided into nodes: the firmware, and what models the machine, agree on it.

use crate::CPUS_MAX;
use core::ops::Range;
use zerocopy::byteorder::big_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Nodes begin at multiples of this, if each has enough memory.
const COARSE: u64 = 16 << 20;
/// Else at multiples of this.
const FINE: u64 = 2 << 20;
/// What "enough" is: at most an eighth of a node is lost or won by rounding.
const COARSE_FROM: u64 = 8 * COARSE;

/// Offsets in RAM of the memory of one of `nodes` nodes, of `memory` bytes together.
pub fn node_memory(memory: u64, nodes: usize, node: usize) -> Range<u64> {
    let memory = memory & !(FINE - 1);
    let count = nodes.max(1) as u64;
    let unit = if memory / count >= COARSE_FROM {
        COARSE
    } else {
        FINE
    };
    let boundary = |index: u64| {
        if index >= count {
            memory
        } else {
            (memory * index / count) & !(unit - 1)
        }
    };
    boundary(node as u64)..boundary(node as u64 + 1)
}

/// Latencies of the machine that is modelled.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct Numa {
    /// Nanoseconds of a miss on memory of the CPU's own node.
    pub local_ns: U32,
    /// The same for a node at distance 1.
    pub remote_ns: U32,
    /// Distance of each node (row) to each (column): 0 to itself.
    pub distances: [[u8; CPUS_MAX]; CPUS_MAX],
    /// Milliseconds between events that tell of memory; 0 if there are to be none.
    pub events_ms: U32,
    /// Not 0: counts of misses come from the exact model's region, not from samples.
    pub magic_counters: U32,
    /// Not 0: virtual CPUs are slowed down by their remote misses.
    pub latency: U32,
    /// Not 0: pages are moved to where they are used.
    pub policy: U32,
    /// When pages are moved.
    pub thresholds: Thresholds,
}

/// When pages are moved: what the description says, and [`crate::NONE`] where it says nothing. The monitor's
/// `numa::policy::Thresholds` says what they mean.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Thresholds {
    pub interval_ms: U32,
    pub trigger: U32,
    pub sharing: U32,
    pub write: U32,
    pub moves: U32,
    pub forgive: U32,
    pub burst: U32,
    pub rate: U32,
}

impl Thresholds {
    /// Nothing is said.
    pub const NONE: Self = {
        let none = U32::new(crate::NONE);
        Self {
            interval_ms: none,
            trigger: none,
            sharing: none,
            write: none,
            moves: none,
            forgive: none,
            burst: none,
            rate: none,
        }
    };
}

impl Numa {
    /// Nanoseconds of a miss of a CPU of node `from` on memory of node `to`: each unit of distance
    /// takes what the first does.
    pub fn latency_ns(&self, from: usize, to: usize) -> u64 {
        let distance = self.distances.get(from).and_then(|row| row.get(to));
        let (local, remote) = (
            u64::from(self.local_ns.get()),
            u64::from(self.remote_ns.get()),
        );
        local + u64::from(distance.copied().unwrap_or(1)) * remote.saturating_sub(local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_all_of_the_memory_in_order() {
        for memory in [64 << 20, 510 << 20, 2048 << 20] {
            for nodes in 1..=CPUS_MAX {
                let mut end = 0;
                for node in 0..nodes {
                    let range = node_memory(memory, nodes, node);
                    assert_eq!(range.start, end);
                    assert!(range.end > range.start);
                    end = range.end;
                }
                assert_eq!(end, memory);
            }
        }
    }

    #[test]
    fn latency_grows_with_the_distance() {
        let mut distances = [[1; CPUS_MAX]; CPUS_MAX];
        distances[0][0] = 0;
        distances[0][3] = 2;
        let numa = Numa {
            local_ns: 300.into(),
            remote_ns: 900.into(),
            distances,
            events_ms: 0.into(),
            magic_counters: 0.into(),
            latency: 0.into(),
            policy: 1.into(),
            thresholds: Thresholds::NONE,
        };
        assert_eq!([0, 1, 3].map(|to| numa.latency_ns(0, to)), [300, 900, 1500]);
    }
}
