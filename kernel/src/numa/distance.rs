//! How long a miss takes from one node to the memory of another.

use core::fmt;

use super::NodeSet;
use crate::machine::{NodeId, NODES_MAX};

/// A miss in the node's own memory, in nanoseconds: FLASH's (SOSP'97, section 5).
pub const LOCAL_NS: u32 = 300;
/// A miss in another node's memory, in nanoseconds: FLASH's.
pub const REMOTE_NS: u32 = 900;

/// The time of a miss from each node to each, and for each node the others from near to far.
#[derive(Clone, Copy, Debug)]
pub struct Distances {
    /// In nanoseconds, by the node of the CPU and the node of the memory.
    latency: [[u32; NODES_MAX]; NODES_MAX],
    /// For each node all nodes, nearest first.
    order: [[NodeId; NODES_MAX]; NODES_MAX],
    /// For each node those that reach its memory as soon as their own.
    near: [NodeSet; NODES_MAX],
}

/// A node would reach another one's memory sooner than its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WrongDistance {
    /// The node.
    pub from: NodeId,
    /// The other one.
    pub to: NodeId,
}

impl fmt::Display for WrongDistance {
    #[cold]
    #[inline(never)]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from.0, self.to.0);
        write!(
            f,
            "node {from} would reach the memory of node {to} sooner than its own: no distance is \
             less than the one from a node to itself"
        )
    }
}

impl Distances {
    /// Every node as far from every other: a crossbar.
    pub fn uniform(local_ns: u32, remote_ns: u32) -> Self {
        let remote_ns = remote_ns.max(local_ns);
        Self::sorted(|from, to| if from == to { local_ns } else { remote_ns })
    }

    /// Distances that `latency_ns` says, by the node of the CPU and the node of the memory.
    ///
    /// # Errors
    /// A node's own memory is not the nearest to it.
    pub fn new(latency_ns: impl Fn(NodeId, NodeId) -> u32) -> Result<Self, WrongDistance> {
        for from in ids() {
            let sooner = |&to: &NodeId| latency_ns(from, to) < latency_ns(from, from);
            if let Some(to) = ids().find(sooner) {
                return Err(WrongDistance { from, to });
            }
        }
        Ok(Self::sorted(latency_ns))
    }

    fn sorted(latency_ns: impl Fn(NodeId, NodeId) -> u32) -> Self {
        let mut distances = Self {
            latency: [[0; NODES_MAX]; NODES_MAX],
            order: [[NodeId(0); NODES_MAX]; NODES_MAX],
            near: [NodeSet::EMPTY; NODES_MAX],
        };
        let rows = distances.latency.iter_mut().zip(&mut distances.order);
        for (from, (row, order)) in ids().zip(rows) {
            // Of nodes that are as far, those whose numbers are next, then the lower one.
            let key = |to: NodeId| (latency_ns(from, to), from.0.abs_diff(to.0), to.0);
            for (to, place) in ids().zip(row) {
                *place = latency_ns(from, to);
                // By insertion: sixteen, once.
                let mut at = usize::from(to.0);
                while at > 0 && key(to) < key(order[at - 1]) {
                    order[at] = order[at - 1];
                    at -= 1;
                }
                order[at] = to;
            }
        }
        for (to, near) in ids().zip(&mut distances.near) {
            let is_near = |&from: &NodeId| latency_ns(from, to) <= latency_ns(from, from);
            *near = ids().filter(is_near).collect();
        }
        distances
    }

    /// A miss from a CPU of `from` to memory of `to`, in nanoseconds; 0 for a node that no machine
    /// has.
    pub fn latency_ns(&self, from: NodeId, to: NodeId) -> u32 {
        let row = self.latency.get(usize::from(from.0));
        row.and_then(|row| row.get(usize::from(to.0)))
            .copied()
            .unwrap_or(0)
    }

    /// What such a miss takes longer than one in the node's own memory, in nanoseconds.
    pub fn extra_ns(&self, from: NodeId, to: NodeId) -> u32 {
        let own = self.latency_ns(from, from);
        self.latency_ns(from, to).saturating_sub(own)
    }

    /// Nodes that reach the memory of `to` as soon as their own: itself, at least.
    pub fn near(&self, to: NodeId) -> NodeSet {
        let near = self.near.get(usize::from(to.0));
        near.copied().unwrap_or_default()
    }

    /// All nodes that a machine can have, nearest to `to` first, which is the first itself.
    pub fn nearest(&self, to: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let order = self.order.get(usize::from(to.0));
        order.into_iter().flatten().copied()
    }
}

impl Default for Distances {
    fn default() -> Self {
        Self::uniform(LOCAL_NS, REMOTE_NS)
    }
}

fn ids() -> impl Iterator<Item = NodeId> {
    (0..NODES_MAX as u8).map(NodeId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(distances: &Distances, to: u8) -> Vec<u8> {
        distances.nearest(NodeId(to)).map(|node| node.0).collect()
    }

    #[test]
    fn a_crossbar_goes_by_numbers() {
        let distances = Distances::default();
        assert_eq!(order(&distances, 0)[..4], [0, 1, 2, 3]);
        assert_eq!(order(&distances, 2)[..6], [2, 1, 3, 0, 4, 5]);
        assert_eq!(distances.latency_ns(NodeId(3), NodeId(3)), 300);
        assert_eq!(distances.latency_ns(NodeId(3), NodeId(4)), 900);
        assert_eq!(distances.extra_ns(NodeId(3), NodeId(4)), 600);
        assert_eq!(distances.extra_ns(NodeId(3), NodeId(16)), 0);
        assert!(order(&distances, 16).is_empty());
    }

    #[test]
    fn a_ring_knows_its_other_way_round() {
        let hops = |a: NodeId, b: NodeId| u32::from(a.0.abs_diff(b.0).min(16 - a.0.abs_diff(b.0)));
        let ring = Distances::new(|from, to| 200 + 100 * hops(from, to)).unwrap();
        assert_eq!(order(&ring, 0)[..5], [0, 1, 15, 2, 14]);
        assert_eq!(ring.extra_ns(NodeId(0), NodeId(15)), 100);
    }

    #[test]
    fn a_node_is_nearest_to_itself() {
        let wrong = Distances::new(|from, to| if from == to { 300 } else { 299 }).unwrap_err();
        assert_eq!((wrong.from, wrong.to), (NodeId(0), NodeId(1)));
        assert!(wrong.to_string().contains("node 0"));
        assert_eq!(
            Distances::uniform(300, 100).extra_ns(NodeId(0), NodeId(1)),
            0
        );
    }

    proptest! {
        #[test]
        fn every_node_comes_once_and_none_before_a_nearer_one(
            matrix in prop::array::uniform16(prop::array::uniform16(300u32..1000)),
        ) {
            let at = |from: NodeId, to: NodeId| match from == to {
                true => 300,
                false => matrix[usize::from(from.0)][usize::from(to.0)],
            };
            let distances = Distances::new(at).unwrap();
            for from in ids() {
                let order: Vec<NodeId> = distances.nearest(from).collect();
                prop_assert!(order.windows(2).all(|two| at(from, two[0]) <= at(from, two[1])));
                let mut numbers: Vec<u8> = order.iter().map(|node| node.0).collect();
                numbers.sort_unstable();
                prop_assert_eq!(numbers, (0..16).collect::<Vec<u8>>());
            }
        }
    }
}
