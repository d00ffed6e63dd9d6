//! What a CPU has done and what it has cost, by mode.

use crate::block::Mode;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::ops::{AddAssign, Index, Sub};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Instructions.
    Instructions,
    /// Loads and stores to the machine's RAM.
    Accesses,
    /// Nanoseconds spent waiting for memory.
    StallNs,
    /// Blocks' lines and accesses that the first level had not, or not to write.
    FirstLevelMisses,
    /// Those of them that the second level had.
    SecondLevelHits,
    /// Misses on memory of the own node, served there.
    Local,
    /// Misses on memory of another node.
    Remote,
    /// Misses on memory of the own node, for which a CPU of another had the only valid copy.
    Owned,
    /// Those of the three that had the line, but not to write.
    Upgrades,
}

/// How many there are.
const COUNTS: usize = 9;
/// Their names in the report.
const NAMES: [&str; COUNTS] = [
    "instructions",
    "accesses",
    "stall_ns",
    "l1_misses",
    "l2_hits",
    "local_misses",
    "remote_misses",
    "owned_misses",
    "upgrades",
];

/// The counts of one mode at some time, or of a span of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; COUNTS]);

impl Counts {
    /// All misses of the caches.
    pub fn misses(&self) -> u64 {
        self[Count::Local] + self[Count::Remote] + self[Count::Owned]
    }

    /// The share of misses that were local; 1 if there were none.
    pub fn local_share(&self) -> f64 {
        match self.misses() {
            0 => 1.0,
            misses => self[Count::Local] as f64 / misses as f64,
        }
    }
}

impl Index<Count> for Counts {
    type Output = u64;

    fn index(&self, count: Count) -> &u64 {
        &self.0[count as usize]
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        for (mine, its) in self.0.iter_mut().zip(other.0) {
            *mine += its;
        }
    }
}

impl Sub for Counts {
    type Output = Self;

    /// What came between `earlier` and this.
    fn sub(self, earlier: Self) -> Self {
        let mut difference = self;
        for (mine, its) in difference.0.iter_mut().zip(earlier.0) {
            *mine = mine.saturating_sub(its);
        }
        difference
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(COUNTS))?;
        for (name, value) in NAMES.iter().zip(&self.0) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Counts of all modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByMode(pub [Counts; Mode::COUNT]);

impl ByMode {
    /// The counts of one mode.
    pub fn of(&self, mode: Mode) -> &Counts {
        &self.0[mode as usize]
    }

    /// All modes together.
    pub fn together(&self) -> Counts {
        let mut sum = Counts::default();
        for counts in self.0 {
            sum += counts;
        }
        sum
    }
}

impl AddAssign for ByMode {
    fn add_assign(&mut self, other: Self) {
        for (mine, its) in self.0.iter_mut().zip(other.0) {
            *mine += its;
        }
    }
}

impl Sub for ByMode {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        let mut difference = self;
        for (mine, its) in difference.0.iter_mut().zip(earlier.0) {
            *mine = *mine - its;
        }
        difference
    }
}

impl Serialize for ByMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Mode::NAMES.iter().zip(&self.0))
    }
}

/// The counters of a running CPU: its own thread alone counts, anyone may read.
#[derive(Default)]
pub struct Tally([[AtomicU64; COUNTS]; Mode::COUNT]);

impl Tally {
    /// Counts `amount`.
    #[inline]
    pub fn add(&self, mode: Mode, count: Count, amount: u64) {
        // No read-modify-write is needed with one writer.
        let counter = &self.0[mode as usize][count as usize];
        counter.store(counter.load(Relaxed) + amount, Relaxed);
    }

    /// What has been counted so far.
    pub fn now(&self) -> ByMode {
        let mut now = ByMode::default();
        for (counts, counters) in now.0.iter_mut().zip(&self.0) {
            for (count, counter) in counts.0.iter_mut().zip(counters) {
                *count = counter.load(Relaxed);
            }
        }
        now
    }
}
