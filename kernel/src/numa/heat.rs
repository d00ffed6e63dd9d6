//! Where the pages of a virtual machine lie and who misses on them, by regions of its memory: for
//! people, who want to see memory move.

use crate::machine::{NodeId, NODES_MAX};

/// Regions that guest memory is divided into.
pub const REGIONS: usize = 64;

/// What one node has to do with each region.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeHeat {
    /// Guest pages whose machine page is of the node.
    pub pages: [u16; REGIONS],
    /// Guest pages of which the node has a replica.
    pub replicas: [u16; REGIONS],
    /// Misses of the node's CPUs, as the directory has them.
    pub misses: [u32; REGIONS],
}

impl NodeHeat {
    /// Nothing.
    pub const EMPTY: Self = Self {
        pages: [0; REGIONS],
        replicas: [0; REGIONS],
        misses: [0; REGIONS],
    };
}

/// What there is of a guest page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Copy {
    /// The page itself.
    Page,
    /// A replica, beside it.
    Replica,
}

/// The same for all nodes, of a virtual machine whose pages are added one by one.
#[derive(Debug)]
pub struct Heat {
    pages: u64,
    nodes: [NodeHeat; NODES_MAX],
}

impl Heat {
    /// Of no virtual machine yet.
    pub const fn new() -> Self {
        Self {
            pages: 0,
            nodes: [NodeHeat::EMPTY; NODES_MAX],
        }
    }

    /// Begins anew, with a virtual machine of `pages` guest pages.
    #[cold]
    pub fn begin(&mut self, pages: u64) {
        self.pages = pages;
        self.nodes.fill(NodeHeat::EMPTY);
    }

    /// Guest pages of a region; the last one may have fewer.
    pub const fn region_pages(&self) -> u64 {
        self.pages.div_ceil(REGIONS as u64)
    }

    /// Adds what is behind guest page `page`, on `node`, with the misses of each node on it.
    #[cold]
    pub fn add(&mut self, page: u64, node: NodeId, copy: Copy, misses: &[u16; NODES_MAX]) {
        let Some(region) = self.region(page) else {
            return;
        };
        if let Some(heat) = self.nodes.get_mut(usize::from(node.0)) {
            let counts = match copy {
                Copy::Page => &mut heat.pages,
                Copy::Replica => &mut heat.replicas,
            };
            if let Some(count) = counts.get_mut(region) {
                *count = count.saturating_add(1);
            }
        }
        for (node, misses) in self.nodes.iter_mut().zip(misses) {
            if let Some(sum) = node.misses.get_mut(region) {
                *sum = sum.saturating_add((*misses).into());
            }
        }
    }

    /// The figures of `node`; nothing if all are 0.
    #[cold]
    pub fn of(&self, node: NodeId) -> Option<&NodeHeat> {
        let heat = self.nodes.get(usize::from(node.0))?;
        (*heat != NodeHeat::EMPTY).then_some(heat)
    }

    /// How many nodes have figures.
    #[cold]
    pub fn nodes(&self) -> u64 {
        let some = self.nodes.iter().filter(|heat| **heat != NodeHeat::EMPTY);
        some.count() as u64
    }

    fn region(&self, page: u64) -> Option<usize> {
        let region = page.checked_div(self.region_pages())?;
        usize::try_from(region).ok()
    }
}

impl Default for Heat {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NONE: [u16; NODES_MAX] = [0; NODES_MAX];

    #[test]
    fn what_is_of_no_region_or_node_is_left_out() {
        let mut heat = Heat::new();
        heat.add(0, NodeId(0), Copy::Page, &[9; NODES_MAX]);
        heat.begin(128);
        heat.add(128, NodeId(0), Copy::Page, &[9; NODES_MAX]);
        heat.add(1 << 40, NodeId(0), Copy::Replica, &NONE);
        heat.add(0, NodeId(16), Copy::Page, &NONE);
        assert!((0..=16).all(|node| heat.of(NodeId(node)).is_none()));
    }

    #[test]
    fn a_region_has_its_pages_replicas_and_misses() {
        let mut heat = Heat::new();
        heat.begin(64 * 16);
        let mut misses = NONE;
        misses[2] = 40_000;
        for page in 16..32 {
            heat.add(page, NodeId(1), Copy::Page, &misses);
            heat.add(page, NodeId(2), Copy::Replica, &NONE);
        }
        let (home, user) = (heat.of(NodeId(1)).unwrap(), heat.of(NodeId(2)).unwrap());
        assert_eq!((home.pages[0], home.pages[1], home.pages[2]), (0, 16, 0));
        assert_eq!((user.pages[1], user.replicas[1]), (0, 16));
        assert_eq!((user.misses[1], home.misses[1]), (640_000, 0));
        assert!(heat.of(NodeId(0)).is_none());
        assert_eq!(heat.nodes(), 2);
        heat.begin(128);
        assert!(heat.of(NodeId(1)).is_none());
    }

    proptest! {
        #[test]
        fn no_page_is_lost(
            pages in 1u64..5000,
            homes in prop::collection::vec((any::<prop::sample::Index>(), 0u8..16), 0..200),
        ) {
            let mut heat = Heat::new();
            heat.begin(pages);
            for (page, home) in &homes {
                heat.add(page.index(pages as usize) as u64, NodeId(*home), Copy::Page, &NONE);
            }
            let all = (0..16).filter_map(|node| heat.of(NodeId(node)));
            let sum: usize = all.flat_map(|node| node.pages).map(usize::from).sum();
            prop_assert_eq!(sum, homes.len());
            prop_assert!(heat.region_pages() * REGIONS as u64 >= pages);
        }
    }
}
