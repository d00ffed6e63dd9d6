//! Both sources against what they promise.

use super::*;
use crate::numa::{Action, Decision, Thresholds, Why};
use disco_magic::{Geometry, Miss};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU32;

fn sample(page: u64) -> Sample {
    Sample {
        page: MachinePage(page),
        node: NodeId(1),
        reads: 1,
        writes: 0,
        follow: false,
        user: None,
    }
}

/// Adds up with a trigger in an interval; the pages that are told.
fn add_up(
    source: &mut impl Source,
    most: usize,
    (interval, trigger): (u16, u16),
    of: &dyn Fn(MachinePage) -> Option<&'static PageRecord>,
) -> Vec<u64> {
    let mut told = Vec::new();
    let records = Records {
        now: Interval(interval),
        trigger,
        of,
    };
    source.add_up(most, &records, &mut |hot| told.push(hot.page.0));
    told
}

fn records(count: usize) -> &'static [PageRecord] {
    (0..count)
        .map(|_| PageRecord::new())
        .collect::<Vec<_>>()
        .leak()
}

#[test]
fn a_full_buffer_says_so_and_counts_what_it_loses() {
    let mut samples = Samples::new();
    for page in 0..SAMPLES as u64 - 1 {
        assert!(!samples.note(sample(page)));
    }
    assert!(samples.note(sample(63)));
    assert!(samples.note(sample(64)));
    let records = records(SAMPLES);
    let of = |page: MachinePage| records.get(page.0 as usize);
    assert_eq!(add_up(&mut samples, 10, (0, 1), &of).len(), 10);
    add_up(&mut samples, usize::MAX, (0, 1), &of);
    let totals: Vec<u32> = records
        .iter()
        .map(|r| r.counts(Interval(0)).total())
        .collect();
    assert_eq!(totals, [1; SAMPLES]);
    assert_eq!(samples.lost(), 1);
    assert!(!samples.note(sample(0)));
}

/// Counters as hardware has them.
#[derive(Default)]
struct Table {
    misses: BTreeMap<(u64, usize), Misses>,
    hot: Vec<(u64, u8)>,
}

impl Table {
    fn set(&mut self, page: u64, node: usize, (reads, writes): (u32, u32)) {
        self.misses.insert((page, node), Misses { reads, writes });
    }
}

impl MissCounters for Table {
    fn next_hot(&mut self) -> Option<(MachinePage, NodeId)> {
        let (page, node) = self.hot.pop()?;
        Some((MachinePage(page), NodeId(node)))
    }
    fn nodes(&self) -> usize {
        2
    }
    fn misses(&self, page: MachinePage) -> [Misses; NODES_MAX] {
        let of = |node| self.misses.get(&(page.0, node)).copied();
        core::array::from_fn(|node| of(node).unwrap_or_default())
    }
    fn lost(&self) -> u64 {
        7
    }
}

#[test]
fn exact_counters_told_twice_are_counted_once() {
    let records = records(2);
    let of = |page: MachinePage| records.get(page.0 as usize);
    let mut exact = Exact::new(Table::default());
    exact.counters.set(1, 0, (300, 100));
    exact.counters.set(1, 1, (0, 40));
    exact.counters.hot = vec![(1, 0), (1, 0), (5, 0)];
    assert_eq!(add_up(&mut exact, usize::MAX, (3, 100), &of), [1, 1]);
    let counts = records[1].counts(Interval(3));
    assert_eq!((counts.of(NodeId(0)), counts.of(NodeId(1))), (400, 40));
    assert_eq!(counts.writes, 140);
    assert_eq!((counts.readers.bits(), counts.writers.bits()), (0b01, 0b11));
    assert_eq!(exact.lost(), 7);

    exact.counters.set(1, 0, (700, 100_000));
    exact.counters.hot = vec![(1, 0)];
    add_up(&mut exact, 1, (3, 100), &of);
    let counts = records[1].counts(Interval(3));
    assert_eq!((counts.of(NodeId(0)), counts.writes), (u16::MAX, u16::MAX));
    let counts = records[1].counts(Interval(4));
    assert_eq!(counts.of(NodeId(0)), u16::MAX / 2);
}

#[test]
fn what_the_exact_model_counts_arrives_in_the_directory() {
    let records = records(1);
    let of = |page: MachinePage| (page.0 == 0x2_0003).then(|| &records[0]);
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
    for interval in 1..4 {
        region.set_epoch(interval.into());
        for number in 0..130 {
            region.count(Miss {
                page: 0x2_0003,
                node: 2,
                remote: true,
                write: number % 2 == 0,
            });
        }
        // Also where the record still has as many from before.
        let told = add_up(&mut source, 100, (interval, 128), &of);
        assert_eq!(told, [0x2_0003]);
        let counts = records[0].counts(Interval(interval));
        assert_eq!((counts.of(NodeId(2)), counts.total()), (130, 130));
        assert_eq!(counts.writes, 65);
    }
}

#[test]
fn no_more_is_taken_than_asked_for() {
    let records = records(10);
    let of = |page: MachinePage| records.get(page.0 as usize);
    let mut exact = Exact::new(Table::default());
    exact.counters.hot = (0..10).map(|page| (page, 1)).collect();
    assert_eq!(add_up(&mut exact, 2, (0, 1), &of), [9, 8]);
    assert_eq!(exact.counters.hot.len(), 8);
    assert!(add_up(&mut exact, 0, (0, 1), &of).is_empty());
}

#[test]
fn a_page_that_many_write_is_told_once_and_one_that_a_single_node_uses_by_now_again() {
    let records = records(1);
    let of = |page: MachinePage| records.get(page.0 as usize);
    let mut exact = Exact::new(Table::default());
    let mut tell = |interval, node| {
        exact.counters.hot = vec![(0, node)];
        !add_up(&mut exact, 1, (interval, 1), &of).is_empty()
    };
    let stays = |why| {
        let action = Action::Leave;
        let _ = records[0].note(&Decision { action, why }, &Thresholds::DEFAULT);
    };
    assert!(tell(4, 1));
    stays(Why::WriteShared);
    for node in [2, 3, 1, 2, 1] {
        assert!(!tell(4, node));
    }
    // It has missed twice as often again, and nobody else has.
    assert!(tell(4, 1));
    assert!(tell(4, 1));
    stays(Why::WriteShared);
    assert!(!tell(4, 2));
    // Some time has passed.
    assert!(tell(5, 3));
    stays(Why::Budget);
    assert!(tell(5, 1));
}
