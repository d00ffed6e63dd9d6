//! Where a virtual CPU's memory is, by its own misses: what the scheduler is to know of it.

use crate::machine::{NodeId, NODES_MAX};

/// Misses after which it is told.
const MISSES: u16 = 512;
/// So many of them have to be in one node's memory.
const MOST: u16 = MISSES / 4 * 3;

/// Misses of one virtual CPU since it was told last, by the node of the memory.
#[derive(Clone, Copy, Debug)]
pub struct Residence {
    misses: [u16; NODES_MAX],
    all: u16,
}

impl Residence {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            misses: [0; NODES_MAX],
            all: 0,
        }
    }

    /// A miss in memory of `node`. After many of them, the node that has most of its memory, if one does.
    pub fn miss(&mut self, node: NodeId) -> Option<NodeId> {
        let misses = self.misses.get_mut(usize::from(node.0))?;
        *misses += 1;
        self.all += 1;
        if self.all < MISSES {
            return None;
        }
        let most = (0..).map(NodeId).zip(self.misses).find(|(_, n)| *n >= MOST);
        *self = Self::new();
        most.map(|(node, _)| node)
    }
}

impl Default for Residence {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told when misses go round `nodes`.
    fn told(nodes: &[u8]) -> Vec<u8> {
        let mut residence = Residence::new();
        let round = nodes.iter().copied().cycle().take(5 * usize::from(MISSES));
        round
            .filter_map(|node| residence.miss(NodeId(node)))
            .map(|node| node.0)
            .collect()
    }

    #[test]
    fn most_of_the_misses_tell_where_memory_is() {
        assert_eq!(told(&[3]), [3; 5]);
        assert_eq!(told(&[2, 2, 1, 2]), [2; 5]);
        assert_eq!(told(&[2, 2, 1, 0]), [0; 0]);
        assert_eq!(told(&[15, 15, 15, 15, 15, 15, 15, 0]), [15; 5]);
        assert_eq!(told(&[16, 200]), [0; 0]);
    }

    #[test]
    fn what_it_was_before_does_not_count() {
        let mut residence = Residence::new();
        let mut last = None;
        for node in [0, 1] {
            for _ in 0..MISSES {
                last = residence.miss(NodeId(node)).or(last);
            }
            assert_eq!(last, Some(NodeId(node)));
        }
    }
}
