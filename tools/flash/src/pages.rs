//! Misses by page and node.

use serde::Serialize;

/// Misses of each page of the machine's RAM, by node and kind.
#[derive(Clone, Debug)]
pub struct Pages {
    nodes: usize,
    /// For each page and node: reads, writes.
    misses: Vec<[u32; 2]>,
}

/// A page with many misses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HotPage {
    /// Its machine address.
    pub address: u64,
    /// Its home node.
    pub home: usize,
    /// Misses that read, by node.
    pub reads: Vec<u32>,
    /// Misses that wrote, by node.
    pub writes: Vec<u32>,
}

impl Pages {
    /// No misses of `pages` pages.
    pub fn new(pages: usize, nodes: usize) -> Self {
        Self {
            nodes,
            misses: vec![[0; 2]; pages * nodes],
        }
    }

    /// How many pages there are.
    pub fn count_of_pages(&self) -> usize {
        self.misses.len() / self.nodes
    }

    /// Counts a miss.
    pub fn count(&mut self, page: usize, node: usize, write: bool) {
        let count = &mut self.misses[page * self.nodes + node][usize::from(write)];
        *count = count.saturating_add(1);
    }

    /// Adds what came between `earlier` and `later`.
    pub fn add_difference(&mut self, later: &Self, earlier: &Self) {
        let spans = later.misses.iter().zip(&earlier.misses);
        for (sum, (later, earlier)) in self.misses.iter_mut().zip(spans) {
            for kind in 0..2 {
                sum[kind] = sum[kind].saturating_add(later[kind].saturating_sub(earlier[kind]));
            }
        }
    }

    /// Numbers of the `most` pages with the most misses: of one node, or of all. Of two with as many the one
    /// with the lower address comes first.
    pub fn hottest(&self, node: Option<usize>, most: usize) -> Vec<usize> {
        let misses = |page: &[[u32; 2]]| -> u64 {
            let all = page.iter().enumerate();
            let of_node = all.filter(|(number, _)| node.is_none_or(|node| node == *number));
            of_node
                .flat_map(|(_, kinds)| kinds)
                .map(|&count| u64::from(count))
                .sum()
        };
        let pages = self.misses.chunks_exact(self.nodes).map(misses).enumerate();
        let mut hot: Vec<(usize, u64)> = pages.filter(|(_, misses)| *misses != 0).collect();
        hot.sort_by_key(|&(page, misses)| (std::cmp::Reverse(misses), page));
        hot.truncate(most);
        hot.into_iter().map(|(page, _)| page).collect()
    }

    /// How many pages had a miss.
    pub fn touched(&self) -> usize {
        let pages = self.misses.chunks_exact(self.nodes);
        pages
            .filter(|page| page.iter().any(|kinds| *kinds != [0; 2]))
            .count()
    }

    /// A page as the report shows it.
    pub fn shown(&self, page: usize, address: u64, home: usize) -> HotPage {
        let nodes = &self.misses[page * self.nodes..][..self.nodes];
        HotPage {
            address,
            home,
            reads: nodes.iter().map(|kinds| kinds[0]).collect(),
            writes: nodes.iter().map(|kinds| kinds[1]).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pages;

    fn counted() -> Pages {
        let mut pages = Pages::new(4, 2);
        for (page, node, write, times) in [
            (0, 0, false, 3),
            (1, 1, true, 5),
            (1, 0, false, 1),
            (3, 0, true, 3),
        ] {
            for _ in 0..times {
                pages.count(page, node, write);
            }
        }
        pages
    }

    #[test]
    fn the_hottest_come_first() {
        let pages = counted();
        assert_eq!(pages.hottest(None, 10), [1, 0, 3]);
        assert_eq!(pages.hottest(None, 2), [1, 0]);
        assert_eq!(pages.hottest(Some(0), 10), [0, 3, 1]);
        assert_eq!(pages.hottest(Some(1), 10), [1]);
        assert_eq!(pages.touched(), 3);
    }

    #[test]
    fn what_came_between() {
        let earlier = counted();
        let mut later = earlier.clone();
        later.count(2, 1, false);
        let mut between = Pages::new(4, 2);
        between.add_difference(&later, &earlier);
        assert_eq!(between.hottest(None, 10), [2]);
        let page = between.shown(2, 0x8000_8000, 1);
        assert_eq!((page.reads, page.writes), (vec![0, 1], vec![0, 0]));
    }
}
