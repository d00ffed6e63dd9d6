//! The directory: who misses on each page of machine memory, a record per page.
//!
//! Records lie in the memory of the page's node, beside the memmap, and take no lock: each word is
//! loaded and stored by itself. Two CPUs that count on the same page at the same moment may lose a
//! count, and one that counts while another halves may keep what should have been halved: counts
//! are statistics, and a lost one costs a decision that comes a moment later. A record cannot be
//! damaged: every value that a word may hold is a count, a set, or a number that is looked up.
//!
//! Nobody walks over all records when a reset interval ends: a record knows the interval that it was
//! last touched in, and who touches it next halves it once for each that has passed.

use core::sync::atomic::{AtomicU16, Ordering::Relaxed};

use super::policy::{Action, Decision, Thresholds, Why};
use super::source::Sample;
use super::NodeSet;
use crate::address::MachinePage;
use crate::machine::{NodeId, PageRange, NODES_MAX};
use disco_magic::Misses;

/// The number of a reset interval. It wraps after 65,536 of them (1.8 hours of 0.1 s): a record that
/// was touched exactly so long ago passes for one of now, and its counts for one more decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Interval(pub u16);

impl Interval {
    /// How many have begun since `earlier`.
    pub const fn since(self, earlier: Self) -> u16 {
        self.0.wrapping_sub(earlier.0)
    }
}

/// Intervals for which a page that is to stay where it is, is not looked at again.
const STAY: u16 = 2;

/// What is known of a machine page. All zeros is a page that nobody has used. The page's home is
/// the node whose directory has the record.
#[repr(C)]
#[derive(Debug, Default)]
pub struct PageRecord {
    /// Misses of each node, halved at the end of each interval.
    misses: [AtomicU16; NODES_MAX],
    /// How many of all of them were writes, halved likewise.
    writes: AtomicU16,
    /// Nodes that have read since the interval began.
    readers: AtomicU16,
    /// Nodes that have written since then.
    writers: AtomicU16,
    /// The interval that all this is of.
    interval: AtomicU16,
    /// Intervals until its moves are forgiven: see [`Thresholds::forgive`].
    unrest: AtomicU16,
    /// How often it was migrated, replicated or collapsed since it has its owner.
    moves: AtomicU16,
    /// What was decided last: [`Decision::number`].
    decision: AtomicU16,
    /// The nodes that were decided for; or of a page that stays, the one that missed on it last.
    targets: AtomicU16,
}

static_assertions::const_assert_eq!(core::mem::size_of::<PageRecord>(), 48);

/// A record as it was at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Misses of each node.
    pub misses: [u16; NODES_MAX],
    /// How many of all of them were writes.
    pub writes: u16,
    /// Nodes that have read since the interval began.
    pub readers: NodeSet,
    /// Nodes that have written since then.
    pub writers: NodeSet,
    /// Intervals until its moves are forgiven.
    pub unrest: u16,
    /// Moves so far.
    pub moves: u16,
}

impl Counts {
    /// Of a page that nobody has used.
    pub const NONE: Self = Self {
        misses: [0; NODES_MAX],
        writes: 0,
        readers: NodeSet::EMPTY,
        writers: NodeSet::EMPTY,
        unrest: 0,
        moves: 0,
    };

    /// Misses of `node`.
    pub fn of(&self, node: NodeId) -> u16 {
        self.misses.get(usize::from(node.0)).copied().unwrap_or(0)
    }

    /// Misses of all nodes.
    pub fn total(&self) -> u32 {
        self.misses.iter().map(|&misses| u32::from(misses)).sum()
    }

    /// Nodes with their misses, by number.
    pub fn by_node(&self) -> impl Iterator<Item = (NodeId, u16)> + '_ {
        (0..).map(NodeId).zip(self.misses.iter().copied())
    }
}

impl PageRecord {
    /// A page that nobody has used.
    pub const fn new() -> Self {
        Self {
            misses: [const { AtomicU16::new(0) }; NODES_MAX],
            writes: AtomicU16::new(0),
            readers: AtomicU16::new(0),
            writers: AtomicU16::new(0),
            interval: AtomicU16::new(0),
            unrest: AtomicU16::new(0),
            moves: AtomicU16::new(0),
            decision: AtomicU16::new(0),
            targets: AtomicU16::new(0),
        }
    }

    /// Counts misses in interval `now`. `true` if somebody should look at the page: misses of their node
    /// have just reached `trigger`, or a multiple of it.
    pub fn count(&self, sample: &Sample, now: Interval, trigger: u16) -> bool {
        let Some(place) = self.misses.get(usize::from(sample.node.0)) else {
            return false;
        };
        self.age(now);
        let before = place.load(Relaxed);
        let after = before.saturating_add(sample.misses());
        place.store(after, Relaxed);
        let writes = self.writes.load(Relaxed);
        self.writes
            .store(writes.saturating_add(sample.writes), Relaxed);
        let user = NodeSet::of(sample.node).bits();
        if sample.reads > 0 {
            self.readers
                .store(self.readers.load(Relaxed) | user, Relaxed);
        }
        if sample.writes > 0 {
            self.writers
                .store(self.writers.load(Relaxed) | user, Relaxed);
        }
        let trigger = trigger.max(1);
        before / trigger != after / trigger
    }

    /// Misses of each node that there is, since interval `now` began, are these, whatever was counted before.
    pub fn counted(&self, now: Interval, misses: &[Misses]) {
        self.age(now);
        let saturated = |misses: u32| u16::try_from(misses).unwrap_or(u16::MAX);
        let (mut writes, mut readers, mut writers) = (0u32, 0, 0);
        for ((place, bit), misses) in self.misses.iter().zip(0..).zip(misses) {
            place.store(
                saturated(misses.reads.saturating_add(misses.writes)),
                Relaxed,
            );
            writes = writes.saturating_add(misses.writes);
            readers |= u16::from(misses.reads > 0) << bit;
            writers |= u16::from(misses.writes > 0) << bit;
        }
        self.writes.store(saturated(writes), Relaxed);
        self.readers.store(readers, Relaxed);
        self.writers.store(writers, Relaxed);
    }

    /// Halves the counts once for each interval since they were last touched.
    fn age(&self, now: Interval) {
        let before = self.interval.load(Relaxed);
        let passed = now.since(Interval(before));
        if passed == 0 {
            return;
        }
        let decision = self.decision.load(Relaxed) & !Decision::FOUND_WRITTEN;
        let is_old = before / STAY != now.0 / STAY;
        let old = if is_old { Decision::OLD } else { 0 };
        self.decision.store(decision | old, Relaxed);
        self.interval.store(now.0, Relaxed);
        let halved = |word: &AtomicU16| {
            let halves = u32::from(passed);
            word.store(word.load(Relaxed).checked_shr(halves).unwrap_or(0), Relaxed);
        };
        self.misses.iter().for_each(halved);
        halved(&self.writes);
        self.readers.store(0, Relaxed);
        self.writers.store(0, Relaxed);
        let unrest = self.unrest.load(Relaxed);
        self.unrest.store(unrest.saturating_sub(passed), Relaxed);
    }

    /// What it says in interval `now`.
    pub fn counts(&self, now: Interval) -> Counts {
        self.age(now);
        let set = |word: &AtomicU16| NodeSet::from_bits(word.load(Relaxed));
        Counts {
            misses: core::array::from_fn(|node| {
                self.misses
                    .get(node)
                    .map_or(0, |misses| misses.load(Relaxed))
            }),
            writes: self.writes.load(Relaxed),
            readers: set(&self.readers),
            writers: set(&self.writers),
            unrest: self.unrest.load(Relaxed),
            moves: self.moves.load(Relaxed),
        }
    }

    /// Misses of each node in interval `now`, without a store: for who looks at all pages.
    #[cold]
    pub fn misses_at(&self, now: Interval) -> [u16; NODES_MAX] {
        let halves = u32::from(now.since(Interval(self.interval.load(Relaxed))));
        if halves >= u16::BITS {
            return [0; NODES_MAX];
        }
        self.misses
            .each_ref()
            .map(|misses| misses.load(Relaxed) >> halves)
    }

    /// What it says in interval `now`, without a store: for who looks at all pages. Who has read and
    /// written is left out.
    #[cold]
    pub fn counts_at(&self, now: Interval) -> Counts {
        let halves = u32::from(now.since(Interval(self.interval.load(Relaxed))));
        let writes = self.writes.load(Relaxed);
        Counts {
            misses: self.misses_at(now),
            writes: writes.checked_shr(halves).unwrap_or(0),
            moves: self.moves.load(Relaxed),
            ..Counts::NONE
        }
    }

    /// Notes that the page was migrated or replicated, or lost its replicas to a write
    /// (`collapsed`), in interval `now`.
    pub fn moved(&self, now: Interval, thresholds: &Thresholds, collapsed: bool) {
        self.age(now);
        let unrest = thresholds.unrest_of(collapsed);
        let more = self.unrest.load(Relaxed).saturating_add(unrest);
        self.unrest.store(more, Relaxed);
        let moves = self.moves.load(Relaxed);
        self.moves.store(moves.saturating_add(1), Relaxed);
    }

    /// Notes a write of `node` that was no sampled miss: it counts as so many, and as no more misses.
    pub fn written(&self, now: Interval, node: NodeId, weight: u16) {
        self.age(now);
        let writes = self.writes.load(Relaxed);
        self.writes.store(writes.saturating_add(weight), Relaxed);
        let writers = self.writers.load(Relaxed) | NodeSet::of(node).bits();
        self.writers.store(writers, Relaxed);
    }

    /// Takes over what is known of the page at `from`, whose contents came here, and leaves nothing
    /// there.
    pub fn take_over(&self, from: &Self) {
        for (to, from) in self.words().zip(from.words()) {
            to.store(from.load(Relaxed), Relaxed);
            from.store(0, Relaxed);
        }
    }

    /// Forgets everything: the page has a new owner.
    pub fn clear(&self) {
        self.words().for_each(|word| word.store(0, Relaxed));
    }

    /// Notes what was decided, for [`PageRecord::decided`]. `true`: with [`Thresholds::again`], the page was found to be written
    /// and shared for the first time in this interval, its counts begin anew, and those of its source are to.
    #[must_use = "counts that begin anew here do not in hardware"]
    pub fn note(&self, decision: &Decision, thresholds: &Thresholds) -> bool {
        let found = self.decision.load(Relaxed) & Decision::FOUND_WRITTEN;
        let is_written = *decision == Decision::leave(Why::WriteShared);
        let begins = is_written && found == 0 && thresholds.again;
        let more = if begins {
            self.misses.iter().for_each(|word| word.store(0, Relaxed));
            self.writes.store(0, Relaxed);
            Decision::FOUND_WRITTEN | Decision::OLD
        } else {
            found
        };
        self.decision.store(decision.number() | more, Relaxed);
        if decision.action != Action::Leave {
            self.targets.store(decision.targets().bits(), Relaxed);
        }
        begins
    }

    /// What was decided when somebody looked at the page last; nothing if nobody has.
    #[cold]
    pub fn decided(&self) -> Option<Decision> {
        let targets = NodeSet::from_bits(self.targets.load(Relaxed));
        Decision::from_number(self.decision.load(Relaxed), targets)
    }

    /// Whether it was decided last that the page stays where it is though it is used from afar.
    pub fn stays(&self) -> bool {
        Decision::is_to_stay(self.decision.load(Relaxed))
    }

    /// Whether more than one node has written to it since the interval began: whatever else is found out about it, it will stay.
    pub fn is_written_by_several(&self) -> bool {
        self.writers.load(Relaxed).count_ones() > 1
    }

    /// Whether somebody should look at the page, since `node` has missed on it often, or again twice as often. It is settled as
    /// long as others miss as often in between.
    pub fn is_to_look_at(&self, now: Interval, node: NodeId) -> bool {
        let decision = self.decision.load(Relaxed);
        let node = NodeSet::of(node).bits();
        let is_alone = self.targets.load(Relaxed) == node;
        if !is_alone && Decision::is_to_leave(decision) {
            self.targets.store(node, Relaxed);
        }
        if !self.is_settled(now) {
            return true;
        }
        if is_alone {
            self.decision.store(decision | Decision::OLD, Relaxed);
        }
        is_alone
    }

    /// Whether it was decided in interval `now` that the page stays, for a reason that goes on as long as that.
    pub fn is_settled(&self, now: Interval) -> bool {
        let touched = Interval(self.interval.load(Relaxed));
        touched == now && Decision::is_settled(self.decision.load(Relaxed))
    }

    fn words(&self) -> impl Iterator<Item = &AtomicU16> {
        let others = [
            &self.writes,
            &self.readers,
            &self.writers,
            &self.interval,
            &self.unrest,
            &self.moves,
            &self.decision,
            &self.targets,
        ];
        self.misses.iter().chain(others)
    }
}

/// The records of one node's pages; of none on a machine of one node, where nothing can move.
#[derive(Clone, Copy, Debug, Default)]
pub struct Directory {
    first: u64,
    records: &'static [PageRecord],
}

impl Directory {
    /// Records for as many pages of `range` as there are.
    pub fn new(range: PageRange, records: &'static [PageRecord]) -> Self {
        Self {
            first: range.first.0,
            records,
        }
    }

    /// The record of `page`, if it is one of this node.
    pub fn record(&self, page: MachinePage) -> Option<&'static PageRecord> {
        let index = page.0.checked_sub(self.first)?;
        self.records.get(usize::try_from(index).ok()?)
    }

    /// Pages with their records, from the one at place `index` on: for people, not for hot paths.
    pub fn iter_from(
        &self,
        index: usize,
    ) -> impl Iterator<Item = (MachinePage, &'static PageRecord)> {
        let pages = (self.first.saturating_add(index as u64)..).map(MachinePage);
        pages.zip(self.records.get(index..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
