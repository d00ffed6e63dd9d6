//! Records of pages against what they promise.

use super::*;
use crate::numa::{Action, Decision};
use proptest::prelude::*;

const TRIGGER: u16 = 100;

fn sample(node: u8, reads: u16, writes: u16) -> Sample {
    Sample {
        page: MachinePage(0),
        node: NodeId(node),
        reads,
        writes,
        follow: false,
        user: None,
    }
}

#[test]
fn counts_are_halved_once_for_each_interval() {
    let record = PageRecord::new();
    assert!(!record.count(&sample(3, 64, 16), Interval(5), TRIGGER));
    let counts = record.counts(Interval(5));
    assert_eq!((counts.of(NodeId(3)), counts.writes), (80, 16));
    assert_eq!(counts.readers, counts.writers);
    let later = record.counts(Interval(8));
    assert_eq!((later.of(NodeId(3)), later.writes), (10, 2));
    assert!(later.readers.is_empty() && later.writers.is_empty());
    assert_eq!(record.counts(Interval(8)), later);
    assert_eq!(record.counts(Interval(40)).total(), 0);
}

#[test]
fn the_number_of_intervals_may_wrap() {
    let record = PageRecord::new();
    record.count(&sample(0, 80, 0), Interval(u16::MAX), TRIGGER);
    assert_eq!(record.counts(Interval(0)).of(NodeId(0)), 40);
}

#[test]
fn a_page_is_told_at_each_multiple_of_the_trigger() {
    let record = PageRecord::new();
    let told = (0..300).filter(|_| record.count(&sample(1, 1, 0), Interval(0), TRIGGER));
    assert_eq!(told.count(), 3);
    assert!(record.count(&sample(2, 500, 0), Interval(0), TRIGGER));
    assert!(!record.count(&sample(16, 500, 0), Interval(0), TRIGGER));
    // A trigger of none is one.
    assert!(record.count(&sample(3, 1, 0), Interval(0), 0));
}

#[test]
fn what_is_known_of_a_page_goes_with_it() {
    let thresholds = Thresholds::DEFAULT;
    let (old, new) = (PageRecord::new(), PageRecord::new());
    old.count(&sample(1, 7, 2), Interval(9), TRIGGER);
    old.moved(Interval(9), &thresholds, false);
    let decision = Decision {
        action: Action::Migrate(NodeId(1)),
        why: Why::OneNode,
    };
    assert!(!old.note(&decision, &thresholds));
    let before = old.counts(Interval(9));
    new.take_over(&old);
    assert_eq!(new.counts(Interval(9)), before);
    assert_eq!((before.moves, before.unrest), (1, thresholds.forgive));
    assert_eq!(new.decided(), Some(decision));
    assert_eq!(old.counts(Interval(9)), Counts::default());
    assert_eq!(old.decided(), None);
    new.clear();
    assert_eq!(new.counts(Interval(9)), Counts::default());
}

#[test]
fn unrest_is_forgiven_in_time() {
    let thresholds = Thresholds::DEFAULT;
    let record = PageRecord::new();
    record.moved(Interval(0), &thresholds, false);
    record.moved(Interval(1), &thresholds, true);
    let of = |now| record.counts(Interval(now)).unrest;
    let all = (1 + thresholds.moves) * thresholds.forgive;
    assert_eq!(of(1), all - 1);
    assert_eq!(of(10), all - 10);
    assert_eq!(of(1000), 0);
    assert_eq!(record.counts(Interval(1000)).moves, 2);
}

#[test]
fn every_decision_is_kept_and_none_is_made_up() {
    let record = PageRecord::new();
    assert_eq!(record.decided(), None);
    let actions = [
        Action::Leave,
        Action::Migrate(NodeId(15)),
        Action::Replicate(NodeSet::from_bits(0x8003)),
        Action::Collapse,
    ];
    let mut words = std::collections::BTreeSet::new();
    for why in Why::ALL {
        for action in actions {
            let decision = Decision { action, why };
            let _ = record.note(&decision, &Thresholds::DEFAULT);
            assert_eq!(record.decided(), Some(decision));
            words.insert((decision.word(), why.word()));
        }
    }
    assert_eq!(words.len(), Why::COUNT * actions.len());
    let known = (0..Decision::FOUND_WRITTEN)
        .filter(|&number| Decision::from_number(number, NodeSet::ALL).is_some());
    assert_eq!(known.count(), words.len());
}

#[test]
fn who_looks_without_a_store_sees_the_same() {
    let record = PageRecord::new();
    record.count(&sample(1, 700, 300), Interval(3), TRIGGER);
    for passed in [0, 1, 4, 15, 16, 40_000] {
        let seen = record.counts_at(Interval(3 + passed));
        assert_eq!(record.counts_at(Interval(3)).total(), 1000);
        let copy = PageRecord::new();
        copy.count(&sample(1, 700, 300), Interval(3), TRIGGER);
        let aged = copy.counts(Interval(3 + passed));
        assert_eq!((seen.misses, seen.writes), (aged.misses, aged.writes));
    }
}

#[test]
fn a_directory_knows_its_own_pages() {
    let records: &'static [PageRecord] = Box::leak(Box::new([const { PageRecord::new() }; 4]));
    let directory = Directory::new(PageRange::new(MachinePage(100), 4), records);
    assert!(directory.record(MachinePage(99)).is_none());
    assert!(directory.record(MachinePage(104)).is_none());
    let same = |page: u64| {
        directory
            .record(MachinePage(page))
            .is_some_and(|record| core::ptr::eq(record, &records[(page - 100) as usize]))
    };
    assert!((100..104).all(same));
    assert_eq!(directory.iter_from(1).last().unwrap().0, MachinePage(103));
    assert_eq!(Directory::default().iter_from(0).count(), 0);
}

/// What races may do: lose counts, never invent any.
#[test]
fn cpus_that_count_at_once_invent_nothing() {
    let record = PageRecord::new();
    std::thread::scope(|scope| {
        for node in 0..4u8 {
            let record = &record;
            scope.spawn(move || {
                for n in 0..20_000u32 {
                    record.count(&sample(node % 2, 1, u16::from(n % 4 == 0)), Interval(1), 9);
                }
            });
        }
    });
    let counts = record.counts(Interval(1));
    for node in 0..2 {
        // Two threads for each node, and none less than what one of them alone had counted last.
        assert!((1..=50_000).contains(&counts.of(NodeId(node))));
    }
    assert!(counts.misses[2..].iter().all(|&misses| misses == 0));
    assert_eq!(counts.readers.bits(), 0b11);
    assert_eq!(counts.writers.bits(), 0b11);
}

proptest! {
    #[test]
    fn alone_it_is_what_plain_sums_say(
        steps in prop::collection::vec((0u16..4, 0u8..16, 0u16..2000, 0u16..2000), 1..60),
    ) {
        let record = PageRecord::new();
        let (mut now, mut misses, mut writes) = (Interval(0), [0u16; 16], 0u16);
        for (pass, node, reads, stores) in steps {
            now = Interval(now.0 + pass);
            misses = misses.map(|m| m >> pass);
            writes >>= pass;
            record.count(&sample(node, reads, stores), now, TRIGGER);
            let place = &mut misses[usize::from(node)];
            *place = place.saturating_add(reads + stores);
            writes = writes.saturating_add(stores);
            let counts = record.counts(now);
            prop_assert_eq!(counts.misses, misses);
            prop_assert_eq!(counts.writes, writes);
        }
    }
}

#[test]
fn a_write_that_was_no_miss_is_a_write_all_the_same() {
    let record = PageRecord::new();
    record.count(&sample(3, 64, 0), Interval(5), TRIGGER);
    record.written(Interval(5), NodeId(1), 16);
    let counts = record.counts(Interval(5));
    assert_eq!((counts.total(), counts.writes), (64, 16));
    assert_eq!(counts.writers, NodeSet::of(NodeId(1)));
    assert_eq!(record.counts(Interval(6)).writes, 8);
}

#[test]
fn a_page_that_is_found_written_and_shared_begins_anew_once_in_an_interval() {
    let (record, exact) = (PageRecord::new(), Thresholds::EXACT);
    let written = Decision::leave(Why::WriteShared);
    record.count(&sample(0, 0, 200), Interval(4), TRIGGER);
    assert!(!record.note(&written, &Thresholds::DEFAULT));
    assert!(record.stays() && record.is_settled(Interval(4)));
    assert!(record.note(&written, &exact));
    assert!(!record.stays() && !record.is_settled(Interval(4)));
    assert_eq!(record.decided(), Some(written));
    let counts = record.counts(Interval(4));
    assert_eq!((counts.total(), counts.writes), (0, 0));
    record.count(&sample(1, 50, 1), Interval(4), TRIGGER);
    assert!(!record.note(&Decision::leave(Why::Cold), &exact));
    assert!(!record.note(&written, &exact), "found so before");
    assert!(record.stays() && record.is_settled(Interval(4)));
    assert_eq!(record.counts(Interval(4)).total(), 51);
    record.counts(Interval(5));
    assert!(record.note(&written, &exact));
}

#[test]
fn a_store_after_a_load_that_was_counted_is_a_write_and_no_miss() {
    let record = PageRecord::new();
    record.count(&sample(2, 50, 0), Interval(0), TRIGGER);
    let store = Sample {
        follow: true,
        ..sample(2, 0, 50)
    };
    assert!(!record.count(&store, Interval(0), TRIGGER));
    let counts = record.counts(Interval(0));
    assert_eq!((counts.total(), counts.writes), (50, 50));
    assert!(!counts.writers.is_empty() && !record.is_written_by_several());
    record.count(&sample(3, 0, 1), Interval(0), TRIGGER);
    assert!(record.is_written_by_several());
    record.counts(Interval(1));
    assert!(!record.is_written_by_several());
}
