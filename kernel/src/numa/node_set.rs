//! Sets of nodes.

use crate::machine::{NodeId, NODES_MAX};

/// A set of nodes, a bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NodeSet(u16);

static_assertions::const_assert!(NODES_MAX <= u16::BITS as usize);

impl NodeSet {
    /// No node.
    pub const EMPTY: Self = Self(0);
    /// All nodes that a machine can have.
    pub const ALL: Self = Self::first(NODES_MAX);

    /// `node` alone; nothing if no machine has a node of that number.
    pub const fn of(node: NodeId) -> Self {
        if node.0 as usize >= NODES_MAX {
            return Self::EMPTY;
        }
        Self(1 << node.0)
    }

    /// The first `count` nodes.
    pub const fn first(count: usize) -> Self {
        if count >= u16::BITS as usize {
            return Self(u16::MAX);
        }
        Self((1 << count) - 1)
    }

    /// The set of these bits, that of node 0 lowest.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// A bit for each node, that of node 0 lowest.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Those in one of the two sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Those that are not in `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether `node` is in it.
    pub const fn contains(self, node: NodeId) -> bool {
        self.0 & Self::of(node).0 != 0
    }

    /// Whether no node is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many are in it.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Its members, by number.
    pub fn iter(self) -> impl Iterator<Item = NodeId> {
        let mut left = self.0;
        core::iter::from_fn(move || {
            let first = left.trailing_zeros() as u8;
            left &= left.checked_sub(1)?;
            Some(NodeId(first))
        })
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Self {
        let add = |set: Self, node| set.union(Self::of(node));
        nodes.into_iter().fold(Self::EMPTY, add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_set_is_its_members(one: u16, other: u16) {
            let members = |bits| NodeSet::from_bits(bits).iter().map(|n| n.0).collect();
            let (a, b): (BTreeSet<u8>, BTreeSet<u8>) = (members(one), members(other));
            let same = |set: NodeSet, expected: BTreeSet<u8>| {
                set == expected.into_iter().map(NodeId).collect::<NodeSet>()
            };
            let (one, other) = (NodeSet::from_bits(one), NodeSet::from_bits(other));
            prop_assert_eq!(one.len() as usize, a.len());
            prop_assert_eq!(one.is_empty(), a.is_empty());
            prop_assert!(same(one.union(other), a.union(&b).copied().collect()));
            prop_assert!(same(one.intersection(other), a.intersection(&b).copied().collect()));
            prop_assert!(same(one.minus(other), a.difference(&b).copied().collect()));
        }
    }

    #[test]
    fn nodes_that_no_machine_has_are_in_no_set() {
        assert_eq!(NodeSet::of(NodeId(16)), NodeSet::EMPTY);
        assert!(!NodeSet::first(16).contains(NodeId(16)));
        assert_eq!(NodeSet::first(3).bits(), 0b111);
        assert_eq!(NodeSet::first(100).len(), 16);
    }
}
