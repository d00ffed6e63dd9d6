//! The hottest pages, for people.

use super::directory::Counts;
use crate::address::MachinePage;

/// Most pages that are kept.
pub const KEPT_MAX: usize = 150;

/// The pages with the most misses of those that were offered, hottest first.
#[derive(Clone, Copy, Debug)]
pub struct Hottest {
    pages: [(MachinePage, Counts); KEPT_MAX],
    /// How many of them there are, and how many there may be.
    count: usize,
    most: usize,
}

impl Hottest {
    /// None, and none will be kept: see [`Hottest::begin`].
    pub const fn new() -> Self {
        Self {
            pages: [(MachinePage(0), Counts::NONE); KEPT_MAX],
            count: 0,
            most: 0,
        }
    }

    /// Begins anew, and keeps so many: no more than [`KEPT_MAX`].
    #[cold]
    pub fn begin(&mut self, most: usize) {
        self.count = 0;
        self.most = most.min(KEPT_MAX);
    }

    /// Whether a page with so many misses would be kept.
    #[cold]
    pub fn takes(&self, misses: u32) -> bool {
        let coldest = match self.count.checked_sub(1) {
            Some(last) if self.count == self.most => self.misses_at(last),
            _ => 0,
        };
        misses > coldest && self.most > 0
    }

    /// Keeps `page` if it has misses, and more of them than another one of those that are kept. Of as
    /// many the one that was offered first stays.
    #[cold]
    pub fn offer(&mut self, page: MachinePage, counts: Counts) {
        let misses = counts.total();
        if !self.takes(misses) {
            return;
        }
        let kept = self.pages.get(..self.count).unwrap_or_default();
        let at = kept.partition_point(|(_, counts)| counts.total() >= misses);
        self.count = (self.count + 1).min(self.most);
        if let Some(behind) = self.pages.get_mut(at..self.count) {
            // The coldest goes, if there was no room.
            behind.rotate_right(1);
            if let Some(first) = behind.first_mut() {
                *first = (page, counts);
            }
        }
    }

    /// The page at this place, from 0 on, and its counts when it was offered.
    #[cold]
    pub fn get(&self, place: usize) -> Option<(MachinePage, &Counts)> {
        let kept = self.pages.get(..self.count)?;
        kept.get(place).map(|(page, counts)| (*page, counts))
    }

    fn misses_at(&self, place: usize) -> u32 {
        self.get(place).map_or(0, |(_, counts)| counts.total())
    }
}

impl Default for Hottest {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn they_are_the_first_of_all_in_order(
            heats in prop::collection::vec(0u16..50, 0..300),
            most in 0usize..200,
        ) {
            let mut hottest = Hottest::new();
            // What was kept before does not count.
            hottest.begin(7);
            (0..9).for_each(|page| {
                let misses = [1000; 16];
                hottest.offer(MachinePage(page), Counts { misses, ..Counts::NONE });
            });
            hottest.begin(most);
            for (page, &heat) in (0..).map(MachinePage).zip(&heats) {
                let mut counts = Counts::default();
                counts.misses[usize::from(heat) % 16] = heat;
                hottest.offer(page, counts);
            }
            let mut expected: Vec<(u16, u64)> = heats.iter().copied().zip(0..).collect();
            expected.retain(|(heat, _)| *heat > 0);
            // Of as many misses the one that was offered first.
            expected.sort_by_key(|&(heat, page)| (u16::MAX - heat, page));
            expected.truncate(most.min(KEPT_MAX));
            let found: Vec<(u16, u64)> = (0..)
                .map_while(|place| hottest.get(place))
                .map(|(page, counts)| (counts.total() as u16, page.0))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
