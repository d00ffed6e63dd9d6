//! Where the counts of misses come from.
//!
//! - [`Samples`] is what one CPU notes of its own refills, until somebody has time for them: a buffer
//!   in the CPU's block, so that noting one touches no other node's memory.
//! - [`Exact`] are counters of the machine's memory system, behind [`MissCounters`]: FLASH's MAGIC,
//!   or the model that plays its part.

use super::directory::{Interval, PageRecord};
use crate::address::{GuestPage, MachinePage};
use crate::machine::{NodeId, VmId};
use disco_abi::PAGE_SIZE;
use disco_magic::Region;

/// Since when a sample's misses were counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Since {
    /// Since the sample before.
    Last,
    /// Since the reset interval began. It is the first of its page's samples, one for each node, and what was counted of any
    /// node before is in them.
    Interval,
}

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
    /// Since when.
    pub since: Since,
    /// The virtual machine that missed, and what it calls the page, if the source knows: pages with several
    /// users do not tell.
    pub user: Option<(VmId, GuestPage)>,
}

impl Sample {
    /// Misses of both kinds.
    pub(super) const fn all(&self) -> u16 {
        self.reads.saturating_add(self.writes)
    }
}

/// Where misses come from.
pub trait Source {
    /// Gives samples that it has not given yet to `count`, but no more than `most`.
    fn take(&mut self, most: usize, count: &mut dyn FnMut(Sample));

    /// Samples that were lost since the source began, for want of room.
    fn lost(&self) -> u64;
}

/// Adds what `source` has to the records that `record` finds, at most `most` samples, and tells `hot`
/// the samples after which somebody should look at their pages; a page may be told more than once.
pub fn add_up(
    source: &mut impl Source,
    most: usize,
    (now, trigger): (Interval, u16),
    record: impl Fn(MachinePage) -> Option<&'static PageRecord>,
    mut hot: impl FnMut(&Sample),
) {
    source.take(most, &mut |sample| {
        let Some(record) = record(sample.page) else {
            return;
        };
        if record.count(&sample, now, trigger) {
            hot(&sample);
        }
    });
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
    fn take(&mut self, most: usize, count: &mut dyn FnMut(Sample)) {
        for _ in 0..most.min(self.count) {
            self.count -= 1;
            if let Some(sample) = self.kept.get_mut(self.count).and_then(Option::take) {
                count(sample);
            }
        }
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}

/// Counters in hardware, or in what plays its part.
pub trait MissCounters {
    /// The next page on which some node's misses have reached the trigger threshold: once for each node
    /// and interval.
    fn next_hot(&mut self) -> Option<MachinePage>;

    /// Misses of `node` on `page` since the interval began: for reads, and for writes.
    fn misses(&self, page: MachinePage, node: NodeId) -> (u32, u32);

    /// Crossings for which there was no room.
    fn lost(&self) -> u64;
}

/// Counts from [`MissCounters`] of a machine of `nodes` nodes.
#[derive(Debug)]
pub struct Exact<C> {
    counters: C,
    nodes: u8,
}

impl<C: MissCounters> Exact<C> {
    /// Counts from `counters`, of the nodes 0 to before `nodes`.
    pub const fn new(counters: C, nodes: u8) -> Self {
        Self { counters, nodes }
    }

    /// The counters.
    pub const fn counters(&self) -> &C {
        &self.counters
    }

    fn sample(&self, page: MachinePage, node: NodeId) -> Sample {
        let saturated = |misses: u32| u16::try_from(misses).unwrap_or(u16::MAX);
        let (reads, writes) = self.counters.misses(page, node);
        Sample {
            page,
            node,
            reads: saturated(reads),
            writes: saturated(writes),
            since: match node {
                NodeId(0) => Since::Interval,
                _ => Since::Last,
            },
            user: None,
        }
    }
}

impl MissCounters for Region<'_> {
    fn next_hot(&mut self) -> Option<MachinePage> {
        self.take_hot().map(|page| MachinePage(page.into()))
    }

    fn misses(&self, page: MachinePage, node: NodeId) -> (u32, u32) {
        let page = u32::try_from(page.0).ok();
        let misses = page.and_then(|page| Region::misses(self, page, node.0.into()));
        misses.map_or((0, 0), |misses| (misses.reads, misses.writes))
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
        let geometry = region.geometry();
        let nodes = u8::try_from(geometry.nodes).ok()?;
        (u64::from(geometry.page_bytes) == PAGE_SIZE).then(|| Self::new(region, nodes))
    }
}

impl<C: MissCounters> Source for Exact<C> {
    /// A page is a sample for each node.
    fn take(&mut self, most: usize, count: &mut dyn FnMut(Sample)) {
        let per_page = usize::from(self.nodes).max(1);
        for _ in 0..(most / per_page).max(1) {
            let Some(page) = self.counters.next_hot() else {
                return;
            };
            for node in (0..self.nodes).map(NodeId) {
                count(self.sample(page, node));
            }
        }
    }

    fn lost(&self) -> u64 {
        self.counters.lost()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn sample(page: u64) -> Sample {
        Sample {
            page: MachinePage(page),
            node: NodeId(1),
            reads: 1,
            writes: 0,
            since: Since::Last,
            user: None,
        }
    }

    #[test]
    fn a_full_buffer_says_so_and_counts_what_it_loses() {
        let mut samples = Samples::new();
        for page in 0..SAMPLES as u64 - 1 {
            assert!(!samples.note(sample(page)));
        }
        assert!(samples.note(sample(63)));
        assert!(samples.note(sample(64)));
        let mut pages = Vec::new();
        samples.take(10, &mut |sample| pages.push(sample.page.0));
        assert_eq!(pages.len(), 10);
        samples.take(usize::MAX, &mut |sample| pages.push(sample.page.0));
        pages.sort_unstable();
        assert_eq!(pages, (0..64).collect::<Vec<u64>>());
        assert_eq!(samples.lost(), 1);
        assert!(!samples.note(sample(0)));
    }

    /// Counters as hardware has them.
    #[derive(Default)]
    struct Table {
        misses: BTreeMap<(u64, u8), (u32, u32)>,
        hot: Vec<u64>,
    }

    impl MissCounters for Table {
        fn next_hot(&mut self) -> Option<MachinePage> {
            self.hot.pop().map(MachinePage)
        }
        fn misses(&self, page: MachinePage, node: NodeId) -> (u32, u32) {
            let found = self.misses.get(&(page.0, node.0));
            found.copied().unwrap_or_default()
        }
        fn lost(&self) -> u64 {
            7
        }
    }

    #[test]
    fn exact_counters_told_twice_are_counted_once() {
        static RECORDS: [PageRecord; 2] = [const { PageRecord::new() }; 2];
        let now = (Interval(3), 100);
        let record = |page: MachinePage| RECORDS.get(page.0 as usize);
        let mut exact = Exact::new(Table::default(), 2);
        let counters = &mut exact.counters;
        counters.misses.insert((1, 0), (300, 100));
        counters.misses.insert((1, 1), (0, 40));
        counters.hot = vec![1, 1, 5];
        let mut hot = Vec::new();
        add_up(&mut exact, usize::MAX, now, record, |sample| {
            hot.push(sample.page.0)
        });
        let counts = RECORDS[1].counts(Interval(3));
        assert_eq!((counts.of(NodeId(0)), counts.of(NodeId(1))), (400, 40));
        assert_eq!(counts.writes, 140);
        assert_eq!((counts.readers.bits(), counts.writers.bits()), (0b01, 0b11));
        assert_eq!(hot, [1, 1]);
        assert_eq!(exact.lost(), 7);

        exact.counters.misses.insert((1, 0), (700, 100));
        exact.counters.hot = vec![1];
        add_up(&mut exact, 1, now, record, |_| ());
        let counts = RECORDS[1].counts(Interval(3));
        assert_eq!((counts.of(NodeId(0)), counts.writes), (800, 140));
        let counts = RECORDS[1].counts(Interval(4));
        assert_eq!((counts.of(NodeId(0)), counts.writes), (400, 70));
    }

    #[test]
    fn what_the_exact_model_counts_arrives_in_the_directory() {
        use disco_magic::{Geometry, Miss};
        use std::sync::atomic::AtomicU32;
        let records: &'static [PageRecord] = Box::leak(Box::new([PageRecord::new()]));
        let geometry = Geometry {
            nodes: 4,
            page_bytes: PAGE_SIZE as u32,
            first_page: 0x2_0000,
            pages: 8,
        };
        let words: Vec<AtomicU32> = (0..geometry.words()).map(|_| AtomicU32::new(0)).collect();
        let region = Region::create(&words, geometry).unwrap();
        region.set_threshold(128);
        let mut source = Exact::magic(Region::open(&words).unwrap()).unwrap();
        let mut told = Vec::new();
        for interval in 1..4 {
            region.set_epoch(interval);
            for number in 0..130 {
                region.count(Miss {
                    page: 0x2_0003,
                    node: 2,
                    remote: true,
                    write: number % 2 == 0,
                });
            }
            let now = Interval(interval as u16);
            let record = |page: MachinePage| (page.0 == 0x2_0003).then(|| &records[0]);
            // Also where the record still has as many from before.
            add_up(&mut source, 100, (now, 128), record, |sample| {
                told.push((interval, sample.page.0));
            });
            let counts = records[0].counts(now);
            assert_eq!((counts.of(NodeId(2)), counts.total()), (130, 130));
            assert_eq!(counts.writes, 65);
        }
        assert_eq!(told, [(1, 0x2_0003), (2, 0x2_0003), (3, 0x2_0003)]);
    }

    #[test]
    fn no_more_is_taken_than_asked_for_but_a_page_at_least() {
        let mut exact = Exact::new(Table::default(), 4);
        exact.counters.hot = (0..10).collect();
        let mut told = 0;
        exact.take(9, &mut |_| told += 1);
        assert_eq!(told, 8);
        exact.take(1, &mut |_| told += 1);
        assert_eq!((told, exact.counters.hot.len()), (12, 7));
    }
}
