//! Where the counts of misses come from.
//!
//! - [`Samples`] is what one CPU notes of its own refills, until somebody has time for them: a buffer
//!   in the CPU's block, so that noting one touches no other node's memory.
//! - [`Exact`] are counters of the machine's memory system, behind [`MissCounters`]: FLASH's MAGIC,
//!   or the model that plays its part.

use super::directory::{Interval, PageRecord};
use crate::address::{GuestPage, MachinePage};
use crate::machine::{NodeId, VmId, NODES_MAX};
use disco_abi::PAGE_SIZE;
use disco_magic::{Misses, Region};

/// Misses of a node on a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// The page: of a replica the page that it is a copy of.
    pub page: MachinePage,
    /// The node of the CPUs that missed.
    pub node: NodeId,
    /// Misses of loads and fetches.
    pub reads: u16,
    /// Misses of stores.
    pub writes: u16,
    /// The stores missed on nothing: a load before them did, and was counted.
    pub follow: bool,
    /// The virtual machine that missed, and what it calls the page, if the source knows: pages with several
    /// users do not tell.
    pub user: Option<(VmId, GuestPage)>,
}

impl Sample {
    /// Misses of both kinds.
    pub(super) const fn misses(&self) -> u16 {
        if self.follow {
            return 0;
        }
        self.reads.saturating_add(self.writes)
    }
}

/// A page on which a node misses often.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hot {
    /// The page: of a replica, from counters, that itself.
    pub page: MachinePage,
    /// The node.
    pub node: NodeId,
    /// As [`Sample::user`].
    pub user: Option<(VmId, GuestPage)>,
}

/// Which records misses are added to, and when.
pub struct Records<'a> {
    /// The interval.
    pub now: Interval,
    /// Misses of one node that make a page hot.
    pub trigger: u16,
    /// The record of a page: of a replica that of the page that it is a copy of.
    pub of: &'a dyn Fn(MachinePage) -> Option<&'static PageRecord>,
}

/// Where misses come from.
pub trait Source {
    /// Adds misses that have not been added yet to their records, in at most `most` steps, and tells `hot` the
    /// pages that somebody should look at then; a page may be told more than once.
    fn add_up(&mut self, most: usize, records: &Records<'_>, hot: &mut dyn FnMut(&Hot));

    /// Misses, or pages that were hot, that were lost since the source began, for want of room.
    fn lost(&self) -> u64;
}

/// Samples that a CPU keeps; more are counted and lost.
pub const SAMPLES: usize = 64;

/// What one CPU has noted of its own misses.
#[derive(Clone, Copy, Debug)]
pub struct Samples {
    kept: [Option<Sample>; SAMPLES],
    count: usize,
    lost: u64,
}

impl Samples {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            kept: [None; SAMPLES],
            count: 0,
            lost: 0,
        }
    }

    /// Notes a sample. `true` if there is no room for another: they should be taken.
    pub fn note(&mut self, sample: Sample) -> bool {
        match self.kept.get_mut(self.count) {
            Some(place) => {
                *place = Some(sample);
                self.count += 1;
            }
            None => self.lost = self.lost.saturating_add(1),
        }
        self.count >= SAMPLES
    }
}

impl Default for Samples {
    fn default() -> Self {
        Self::new()
    }
}

impl Source for Samples {
    /// A step is a sample.
    fn add_up(&mut self, most: usize, records: &Records<'_>, hot: &mut dyn FnMut(&Hot)) {
        for _ in 0..most.min(self.count) {
            self.count -= 1;
            let Some(sample) = self.kept.get_mut(self.count).and_then(Option::take) else {
                continue;
            };
            let Some(record) = (records.of)(sample.page) else {
                continue;
            };
            if record.count(&sample, records.now, records.trigger) {
                let Sample {
                    page, node, user, ..
                } = sample;
                hot(&Hot { page, node, user });
            }
        }
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}

/// Counters in hardware, or in what plays its part.
pub trait MissCounters {
    /// The next page on which a node's misses have reached the trigger threshold, or twice as many as when it was
    /// told last, and that node.
    fn next_hot(&mut self) -> Option<(MachinePage, NodeId)>;

    /// Nodes whose misses are counted.
    fn nodes(&self) -> usize;

    /// Misses of each node on `page` since the interval began.
    fn misses(&self, page: MachinePage) -> [Misses; NODES_MAX];

    /// Crossings for which there was no room.
    fn lost(&self) -> u64;
}

/// Counts from [`MissCounters`].
#[derive(Debug)]
pub struct Exact<C> {
    counters: C,
}

impl<C: MissCounters> Exact<C> {
    /// Counts from `counters`.
    pub const fn new(counters: C) -> Self {
        Self { counters }
    }

    /// The counters.
    pub const fn counters(&self) -> &C {
        &self.counters
    }
}

impl MissCounters for Region<'_> {
    fn next_hot(&mut self) -> Option<(MachinePage, NodeId)> {
        let hot = self.take_hot()?;
        let node = u8::try_from(hot.node).ok()?;
        Some((MachinePage(hot.page.into()), NodeId(node)))
    }

    fn nodes(&self) -> usize {
        self.geometry().nodes as usize
    }

    fn misses(&self, page: MachinePage) -> [Misses; NODES_MAX] {
        let page = u32::try_from(page.0).ok();
        let misses = page.and_then(|page| self.misses_of_all(page));
        misses.unwrap_or_default()
    }

    fn lost(&self) -> u64 {
        Region::lost(self).into()
    }
}

impl<'a> Exact<Region<'a>> {
    /// Counts from the region that the exact model writes; nothing if its pages are not ours.
    ///
    /// Who begins an interval tells the region ([`Region::set_epoch`]), and the trigger threshold
    /// when it changes.
    pub fn magic(region: Region<'a>) -> Option<Self> {
        let page_bytes = u64::from(region.geometry().page_bytes);
        (page_bytes == PAGE_SIZE).then(|| Self::new(region))
    }
}

static_assertions::const_assert_eq!(NODES_MAX, disco_magic::NODES_MAX as usize);

/// Pages that are settled and passed over, for each that is taken.
const PASSED_OVER: usize = 8;

impl<C: MissCounters> Source for Exact<C> {
    /// A step is a page: its counts take the place of what its record had.
    fn add_up(&mut self, most: usize, records: &Records<'_>, hot: &mut dyn FnMut(&Hot)) {
        let mut left = most;
        for _ in 0..most.saturating_mul(PASSED_OVER) {
            let Some((page, node)) = self.counters.next_hot() else {
                return;
            };
            let Some(record) = (records.of)(page) else {
                continue;
            };
            if !record.is_to_look_at(records.now, node) {
                continue;
            }
            let misses = self.counters.misses(page);
            let counted = misses.get(..self.counters.nodes()).unwrap_or(&misses);
            record.counted(records.now, counted);
            let user = None;
            hot(&Hot { page, node, user });
            left -= 1;
            if left == 0 {
                return;
            }
        }
    }

    fn lost(&self) -> u64 {
        self.counters.lost()
    }
}

#[cfg(test)]
mod tests;
