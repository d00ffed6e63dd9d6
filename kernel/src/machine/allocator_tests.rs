use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const BASE: u64 = 0x20000;

fn all_free(first: u64, count: u64) -> FreePages {
    let range = PageRange::new(MachinePage(first), count);
    let words = vec![0; bitmap_words(range)].leak();
    let mut pages = FreePages::new(range, words);
    assert!(pages.give(range));
    pages
}

fn size(pages: u64) -> RunSize {
    RunSize::at_least(pages).unwrap()
}

/// The blocks of free pages as (first, pages), page by page: what the bit tricks must agree with.
fn blocks(free: &BTreeSet<u64>) -> Vec<(u64, u64)> {
    let (Some(&low), Some(&high)) = (free.first(), free.last()) else {
        return Vec::new();
    };
    // How many free pages there are before each.
    let mut before = vec![0];
    for page in low..=high {
        before.push(before.last().unwrap() + u64::from(free.contains(&page)));
    }
    let whole = |first: u64, count: u64| {
        let at = (first - low) as usize;
        let end = before.get(at + count as usize);
        end.is_some_and(|end| end - before[at] == count)
    };
    let mut found = Vec::new();
    let mut page = low;
    while page <= high {
        let sizes = (0..=10).map(|log2| 1 << log2);
        let block = sizes
            .rev()
            .find(|&size| page % size == 0 && whole(page, size));
        found.extend(block.map(|size| (page, size)));
        page += block.unwrap_or(1);
    }
    found
}

#[test]
fn small_runs_leave_large_blocks_whole() {
    let mut pages = all_free(BASE, 4096);
    for _ in 0..700 {
        pages.allocate(RunSize::ONE).unwrap();
    }
    for _ in 0..3 {
        assert_eq!(pages.allocate(RunSize::LARGEST).unwrap().count, 1024);
    }
    assert_eq!(pages.free(), 324);
    assert_eq!(pages.allocate(RunSize::LARGEST), None);
}

#[test]
fn a_run_comes_from_the_smallest_block_that_holds_it() {
    let mut pages = all_free(BASE, 2048);
    let run = |first, count| PageRange::new(MachinePage(BASE + first), count);
    // Leave free: a block of 256, one of 4, one of 16, one of 64.
    pages.set(run(0, 2048), false);
    for (first, count) in [(256, 256), (1024, 4), (1040, 16), (1088, 64)] {
        assert!(pages.give(run(first, count)));
    }
    assert_eq!(pages.largest(), 256);
    assert_eq!(pages.allocate(size(1)), Some(run(1024, 1)));
    assert_eq!(pages.allocate(size(4)), Some(run(1040, 4)));
    assert_eq!(pages.allocate(size(32)), Some(run(1088, 32)));
    assert_eq!(pages.allocate(size(256)), Some(run(256, 256)));
    assert_eq!(pages.largest(), 32);
}

#[test]
fn a_node_need_not_begin_at_a_chunk() {
    let mut pages = all_free(BASE + 1000, 1100);
    assert_eq!(
        pages.allocate(RunSize::LARGEST),
        Some(PageRange::new(MachinePage(BASE + 1024), 1024))
    );
    let mut left = BTreeSet::new();
    while let Some(run) = pages.allocate(RunSize::ONE) {
        left.insert(run.first.0 - BASE);
    }
    assert_eq!(left, (1000..1024).chain(2048..2100).collect());
    assert_eq!((pages.free(), pages.largest()), (0, 0));
}

#[test]
fn freeing_twice_or_elsewhere_changes_nothing() {
    let mut pages = all_free(BASE, 1024);
    let run = pages.allocate(size(16)).unwrap();
    assert!(pages.give(run));
    assert!(!pages.give(run));
    assert!(!pages.give(PageRange::new(MachinePage(BASE - 1), 1)));
    assert!(!pages.give(PageRange::new(MachinePage(BASE + 1024), 1)));
    assert_eq!(pages.free(), 1024);
    assert!(pages.counts_agree());
}

proptest! {
    #![proptest_config(crate::cases_of_length(4))]
    #[test]
    fn agrees_with_a_set_of_pages(
        offset in 0u64..1500,
        steps in prop::collection::vec((0u32..=10, any::<prop::sample::Index>(), any::<bool>()), 1..120),
    ) {
        let first = BASE + offset;
        let mut pages = all_free(first, 3000);
        let mut free: BTreeSet<u64> = (first..first + 3000).collect();
        let mut held: Vec<PageRange> = Vec::new();
        for (log2, pick, give) in steps {
            if give && !held.is_empty() {
                let run = held.swap_remove(pick.index(held.len()));
                prop_assert!(pages.give(run));
                free.extend(run.pages().map(|page| page.0));
            } else {
                let before = blocks(&free);
                let tightest = before.iter().map(|block| block.1).filter(|&b| b >= 1 << log2).min();
                let run = pages.allocate(size(1 << log2));
                prop_assert_eq!(run.is_some(), tightest.is_some());
                let Some(run) = run else { continue };
                prop_assert_eq!(run.first.0 % run.count, 0);
                let cut = before.iter().rev().find(|block| block.0 <= run.first.0);
                prop_assert_eq!(cut.map(|block| block.1), tightest);
                for page in run.pages() {
                    prop_assert!(free.remove(&page.0));
                }
                held.push(run);
            }
            prop_assert_eq!(pages.free(), free.len() as u64);
            let largest = blocks(&free).iter().map(|block| block.1).max();
            prop_assert_eq!(pages.largest(), largest.unwrap_or(0));
            prop_assert!(pages.counts_agree());
        }
    }
}
