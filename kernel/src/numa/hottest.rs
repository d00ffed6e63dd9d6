//! The hottest pages, for people.

use super::directory::Counts;
use crate::address::MachinePage;

/// Pages that are kept.
pub const KEPT: usize = 20;

/// The [`KEPT`] pages with the most misses of those that were offered, hottest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hottest {
    pages: [Option<(MachinePage, Counts)>; KEPT],
}

impl Hottest {
    /// Keeps `page` if it has misses, and more of them than another one of those that are kept.
    pub fn offer(&mut self, page: MachinePage, counts: Counts) {
        let mut carried = Some((page, counts));
        let heat = |entry: &Option<(MachinePage, Counts)>| entry.map_or(0, |(_, c)| c.total());
        let mut is_in = false;
        for place in &mut self.pages {
            is_in |= heat(&carried) > heat(place);
            if is_in {
                core::mem::swap(place, &mut carried);
            }
        }
    }

    /// Them.
    pub fn iter(&self) -> impl Iterator<Item = (MachinePage, &Counts)> {
        let pages = self.pages.iter().flatten();
        pages.map(|(page, counts)| (*page, counts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn they_are_the_first_of_all_in_order(heats in prop::collection::vec(0u16..50, 0..100)) {
            let mut hottest = Hottest::default();
            for (page, &heat) in (0..).map(MachinePage).zip(&heats) {
                let mut counts = Counts::default();
                counts.misses[usize::from(heat) % 16] = heat;
                hottest.offer(page, counts);
            }
            let mut expected: Vec<(u16, u64)> = heats.iter().copied().zip(0..).collect();
            expected.retain(|(heat, _)| *heat > 0);
            // Of as many misses the one that was offered first.
            expected.sort_by_key(|&(heat, page)| (u16::MAX - heat, page));
            expected.truncate(KEPT);
            let found: Vec<(u16, u64)> =
                hottest.iter().map(|(page, counts)| (counts.total() as u16, page.0)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
