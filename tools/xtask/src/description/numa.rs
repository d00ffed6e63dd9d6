//! What the models of the memory system have to know of the machine.

use disco_flash::{Thresholds, CPUS_MAX};

/// Latencies between nodes.
#[derive(Clone, Debug)]
pub struct Numa {
    /// Nanoseconds of a miss on memory of the CPU's own node.
    pub local_ns: u32,
    /// The same for a node at distance 1.
    pub remote_ns: u32,
    /// Distances of each node (row) to each (column), 0 to itself; all others are 1 without them.
    pub distances: Option<Vec<Vec<u8>>>,
    /// Milliseconds between events that tell of memory; 0 if there are to be none.
    pub events_ms: u32,
    /// Counts of misses come from the exact model's region, not from samples.
    pub magic_counters: bool,
    /// Virtual CPUs are slowed down by their remote misses.
    pub latency: bool,
    /// Pages are moved to where they are used.
    pub policy: bool,
    /// When.
    pub thresholds: Thresholds,
}

impl Default for Numa {
    /// FLASH, as the paper has it, but at the board's own speed.
    fn default() -> Self {
        Self {
            local_ns: 300,
            remote_ns: 900,
            distances: None,
            events_ms: 0,
            magic_counters: false,
            latency: false,
            policy: true,
            thresholds: Thresholds::NONE,
        }
    }
}

impl Numa {
    /// As it travels in the flash.
    pub fn encode(&self) -> disco_flash::Numa {
        let mut distances = [[1; CPUS_MAX]; CPUS_MAX];
        for (node, row) in distances.iter_mut().enumerate() {
            row[node] = 0;
        }
        for (row, given) in distances.iter_mut().zip(self.distances.iter().flatten()) {
            for (distance, given) in row.iter_mut().zip(given) {
                *distance = *given;
            }
        }
        disco_flash::Numa {
            local_ns: self.local_ns.into(),
            remote_ns: self.remote_ns.into(),
            distances,
            events_ms: self.events_ms.into(),
            magic_counters: u32::from(self.magic_counters).into(),
            latency: u32::from(self.latency).into(),
            policy: u32::from(self.policy).into(),
            thresholds: self.thresholds,
        }
    }
}
