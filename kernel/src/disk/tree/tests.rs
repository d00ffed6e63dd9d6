//! The tree against a value for each sector.

use super::*;
use crate::disk::pool::simulation::SimulatedSupply;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Counts the uses of each value.
#[derive(Default)]
struct Counted(BTreeMap<u32, usize>);

impl Uses<u32> for Counted {
    fn again(&mut self, value: &u32) -> u32 {
        *self.0.get_mut(value).unwrap() += 1;
        *value
    }

    fn release(&mut self, value: u32) {
        let count = self.0.get_mut(&value).unwrap();
        *count -= 1;
        if *count == 0 {
            self.0.remove(&value);
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, u64),
    Remove(u64, u64),
    Take(u64),
}

/// Sectors of the tests' trees.
const SECTORS: u64 = 3000;

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![4 => 1..4u64, 1 => 1..40u64, 1 => 1..400u64];
    let range = (0..SECTORS, length);
    prop_oneof![
        6 => range.clone().prop_map(|(first, count)| Step::Insert(first, count)),
        2 => range.prop_map(|(first, count)| Step::Remove(first, count)),
        2 => (0..SECTORS).prop_map(Step::Take),
    ]
}

/// Nodes of the tree; every rule of its form holds.
fn checked(nodes: &Nodes<u32>, node: u32, level: usize, bounds: Range<u64>) -> usize {
    let slots = nodes.get(node).slots();
    assert!(!slots.is_empty());
    assert!(slots.is_sorted_by(|one, other| one.start < other.start));
    let mut count = 1;
    for (number, slot) in slots.iter().enumerate() {
        let next = slots.get(number + 1).map_or(bounds.end, |next| next.start);
        assert!(bounds.start <= slot.start);
        if level == 0 {
            assert!(slot.value.is_some() && slot.sectors > 0 && slot.end() <= next);
        } else {
            assert!(slot.value.is_none());
            assert_eq!(slot.start, nodes.get(slot.child).slots[0].start);
            count += checked(nodes, slot.child, level - 1, slot.start..next);
        }
    }
    count
}

fn check(tree: &Tree, nodes: &Nodes<u32>, model: &BTreeMap<u64, u32>, uses: &Counted) {
    let used = match tree.height {
        0 => 0,
        height => checked(nodes, tree.root, height - 1, 0..u64::MAX),
    };
    assert_eq!(used, nodes.used(), "nodes are lost or used twice");
    let mut found = BTreeMap::new();
    let mut counts = BTreeMap::new();
    let mut at = 0;
    for (range, value) in tree.walk(nodes, 0..2 * SECTORS) {
        assert_eq!(range.start, at);
        at = range.end;
        if let Some(&value) = value {
            *counts.entry(value).or_insert(0) += 1;
            found.extend(range.map(|sector| (sector, value)));
        }
    }
    assert_eq!(at, 2 * SECTORS);
    assert_eq!(&found, model);
    assert_eq!(counts, uses.0);
}

proptest! {
    #![proptest_config(crate::cases_of_length(8))]
    #[test]
    fn a_tree_is_a_value_for_each_sector(
        steps in prop::collection::vec(step(), 1..600),
        pages in 1..12usize,
    ) {
        let supply = SimulatedSupply::new(pages);
        let mut nodes = Nodes::new(pages);
        let mut tree = Tree::EMPTY;
        let mut uses = Counted::default();
        let mut model = BTreeMap::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert(first, count) => {
                    let (range, value) = (first..first + count, number as u32);
                    uses.0.insert(value, 1);
                    match tree.insert((&mut nodes, &supply), range.clone(), value, &mut uses) {
                        Ok(()) => model.extend(range.map(|sector| (sector, value))),
                        Err((NoNode, value)) => uses.release(value),
                    }
                }
                Step::Remove(first, count) => {
                    let range = first..first + count;
                    if tree.remove((&mut nodes, &supply), range.clone(), &mut uses).is_ok() {
                        model.retain(|sector, _| !range.contains(sector));
                    }
                }
                Step::Take(sector) => match tree.take(&mut nodes, sector) {
                    Some((range, value)) => {
                        uses.release(value);
                        prop_assert!(range.end > sector);
                        prop_assert!(!(sector..range.start).any(|gap| model.contains_key(&gap)));
                        for sector in range {
                            prop_assert_eq!(model.remove(&sector), Some(value));
                        }
                    }
                    None => prop_assert_eq!(model.range(sector..).next(), None),
                },
            }
        }
        check(&tree, &nodes, &model, &uses);
        while let Some((_, value)) = tree.take(&mut nodes, 0) {
            uses.release(value);
        }
        check(&tree, &nodes, &BTreeMap::new(), &Counted::default());
        prop_assert!(uses.0.is_empty());
    }
}

#[test]
fn without_a_node_nothing_changes() {
    let supply = SimulatedSupply::new(1);
    let mut nodes = Nodes::new(1);
    let mut tree = Tree::EMPTY;
    let mut uses = Counted::default();
    let mut model = BTreeMap::new();
    let mut refused = 0;
    for number in 0..1000 {
        uses.0.insert(number, 1);
        let sector = u64::from(number) * 7 % 1000 * 2;
        match tree.insert((&mut nodes, &supply), sector..sector + 1, number, &mut uses) {
            Ok(()) => {
                model.insert(sector, number);
            }
            Err((NoNode, value)) => {
                uses.release(value);
                refused += 1;
            }
        }
        check(&tree, &nodes, &model, &uses);
    }
    assert!(
        refused > 0 && model.len() > NODES * ORDER / 4,
        "{}",
        model.len()
    );
}

#[test]
fn the_height_suffices_for_the_largest_pool() {
    // A node but the root has at least one entry, two neighbours more than MERGED_MAX: on average
    // more than 6 to a node, so that this many levels have more nodes than a pool.
    let nodes = (super::super::pool::CHUNKS_MAX * NODES) as f64;
    assert!(nodes.log((MERGED_MAX / 2) as f64) < (HEIGHT_MAX - 2) as f64);
    assert!(size_of::<Node<u64>>() * NODES <= disco_abi::PAGE_SIZE as usize);
}
