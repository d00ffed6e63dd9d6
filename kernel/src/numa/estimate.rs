//! How many misses of the caches a page's samples stand for.
//!
//! Samples are refills of the TLB, and what a CPU refills for again and again it has used a moment ago: its
//! caches still have it, and no move of the page helps. If a page has the share *s* of a node's refills, one of them comes
//! 1 / *s* refills after the one before. If its lines are gone after some *k* refills on the average, without memory of what
//! was used how often, the line is still there with the probability 1 / (1 + 1 / (*s k*)), and a refill stands for
//! 1 / (1 + *s k*) misses.

use crate::machine::NODES_MAX;

/// Refills by which a line is gone on the average. FLASH's caches of 1 MiB hold 64 whole pages, and
/// more of those of which a part is used. `cargo xtask bench numa-counters` finds 70 of the 100 hottest pages
/// with 0 here, 77 with 64, 82 to 84 with 128 to 1000.
const GONE_AFTER: u64 = 256;
/// Parts of a miss.
const PARTS: u64 = 256;

/// What all samples of each node add up to; of an exact source nothing, whose counts are what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    totals: Option<[u64; NODES_MAX]>,
}

impl Estimate {
    /// Counts are misses.
    pub const EXACT: Self = Self { totals: None };

    /// Counts are samples, of which none was added yet.
    pub const SAMPLED: Self = Self {
        totals: Some([0; NODES_MAX]),
    };

    /// So much heat in whole misses, to the nearest, but no less than one of any heat.
    #[cold]
    pub const fn misses_of(heat: u64) -> u64 {
        match heat {
            0 => 0,
            1..PARTS => 1,
            _ => heat.saturating_add(PARTS / 2) / PARTS,
        }
    }

    /// Adds a page's samples.
    #[cold]
    pub fn add(&mut self, misses: &[u16; NODES_MAX]) {
        for (total, &more) in self.totals.iter_mut().flatten().zip(misses) {
            *total = total.saturating_add(more.into());
        }
    }

    /// What is expected of a page with these counts when all were added, in 256ths of a miss. Not 0 if one of
    /// them is not.
    #[cold]
    pub fn heat(&self, misses: &[u16; NODES_MAX]) -> u64 {
        let Some(totals) = &self.totals else {
            return misses.iter().map(|&misses| u64::from(misses) * PARTS).sum();
        };
        let of = |(&misses, &total): (&u16, &u64)| {
            let misses = u64::from(misses);
            // A total is of 2^32 pages at most, each of 2^16 misses: it is cut where that cannot change anything.
            let total = total.clamp(misses, u64::from(u32::MAX));
            (misses * PARTS * total)
                .checked_div(total + misses * GONE_AFTER)
                .map_or(0, |heat| heat.max(misses.min(1)))
        };
        misses.iter().zip(totals).map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of<const N: usize>(few: [u16; N]) -> [u16; NODES_MAX] {
        core::array::from_fn(|node| few.get(node).copied().unwrap_or(0))
    }

    #[test]
    fn exact_counts_are_what_they_are() {
        let mut exact = Estimate::EXACT;
        exact.add(&of([1000]));
        assert_eq!(exact.heat(&of([3, 4])), 7 * 256);
    }

    #[test]
    fn what_a_node_has_a_large_part_of_is_in_its_caches() {
        let mut sampled = Estimate::SAMPLED;
        sampled.add(&of([25_600 - 100, 25_600 - 100]));
        sampled.add(&of([100, 100]));
        // A refill in 256 for the page: half of them miss.
        assert_eq!(sampled.heat(&of([100])), 50 * 256);
        // As many of two nodes miss more.
        assert_eq!(sampled.heat(&of([50, 50])), 2 * 50 * 256 * 2 / 3);
        assert_eq!(Estimate::misses_of(50 * 256 + 128), 51);
        assert_eq!([0, 1, 255, 256].map(Estimate::misses_of), [0, 1, 1, 1]);
        // All that the node does: next to nothing.
        assert_eq!(sampled.heat(&of([25_600])), 25_600 * 256 / 257);
    }

    proptest! {
        #[test]
        fn heat_is_no_more_than_the_samples_and_grows_with_them(
            pages in prop::collection::vec(prop::array::uniform16(any::<u16>()), 1..20),
            node in 0usize..NODES_MAX,
        ) {
            let mut sampled = Estimate::SAMPLED;
            pages.iter().for_each(|page| sampled.add(page));
            for page in &pages {
                let heat = sampled.heat(page);
                prop_assert!(heat <= Estimate::EXACT.heat(page));
                prop_assert_eq!(heat == 0, page.iter().all(|&misses| misses == 0));
                let mut less = *page;
                less[node] /= 2;
                prop_assert!(sampled.heat(&less) <= heat);
            }
        }

        #[test]
        fn totals_that_no_page_was_added_to_do_no_harm(misses in any::<u16>()) {
            let heat = Estimate::SAMPLED.heat(&of([misses]));
            prop_assert_eq!(heat == 0, misses == 0);
        }
    }
}
