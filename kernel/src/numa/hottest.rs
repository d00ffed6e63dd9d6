//! The hottest pages, for people.

use super::directory::Counts;
use crate::address::MachinePage;

/// Most pages that are kept.
pub const KEPT_MAX: usize = 150;

/// A page that is kept.
#[derive(Clone, Copy, Debug)]
pub struct HotPage {
    /// The page.
    pub page: MachinePage,
    /// What it was offered with.
    pub heat: u64,
    /// Its counts then.
    pub counts: Counts,
}

impl HotPage {
    const NONE: Self = Self {
        page: MachinePage(0),
        heat: 0,
        counts: Counts::NONE,
    };
}

/// The hottest pages of those that were offered, hottest first.
#[derive(Clone, Copy, Debug)]
pub struct Hottest {
    pages: [HotPage; KEPT_MAX],
    /// How many of them there are, and how many there may be.
    count: usize,
    most: usize,
}

impl Hottest {
    /// None, and none will be kept: see [`Hottest::begin`].
    pub const fn new() -> Self {
        Self {
            pages: [HotPage::NONE; KEPT_MAX],
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

    /// Whether a page of this heat would be kept.
    #[cold]
    pub fn takes(&self, heat: u64) -> bool {
        let coldest = match self.count.checked_sub(1) {
            Some(last) if self.count == self.most => self.heat_at(last),
            _ => 0,
        };
        heat > coldest && self.most > 0
    }

    /// Keeps `page` if it has heat, and more than another one of those that are kept. Of as
    /// much the one that was offered first stays.
    #[cold]
    pub fn offer(&mut self, page: HotPage) {
        if !self.takes(page.heat) {
            return;
        }
        let kept = self.pages.get(..self.count).unwrap_or_default();
        let at = kept.partition_point(|kept| kept.heat >= page.heat);
        self.count = (self.count + 1).min(self.most);
        if let Some(behind) = self.pages.get_mut(at..self.count) {
            // The coldest goes, if there was no room.
            behind.rotate_right(1);
            if let Some(first) = behind.first_mut() {
                *first = page;
            }
        }
    }

    /// The page at this place, from 0 on.
    #[cold]
    pub fn get(&self, place: usize) -> Option<&HotPage> {
        let kept = self.pages.get(..self.count)?;
        kept.get(place)
    }

    fn heat_at(&self, place: usize) -> u64 {
        self.get(place).map_or(0, |page| page.heat)
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
            heats in prop::collection::vec(0u64..50, 0..300),
            most in 0usize..200,
        ) {
            let mut hottest = Hottest::new();
            // What was kept before does not count.
            hottest.begin(7);
            let offered = |page, heat| HotPage { page: MachinePage(page), heat, counts: Counts::NONE };
            (0..9).for_each(|page| hottest.offer(offered(page, 1000)));
            hottest.begin(most);
            for (page, &heat) in (0..).zip(&heats) {
                hottest.offer(offered(page, heat));
            }
            let mut expected: Vec<(u64, u64)> = heats.iter().copied().zip(0..).collect();
            expected.retain(|(heat, _)| *heat > 0);
            // Of as much heat the one that was offered first.
            expected.sort_by_key(|&(heat, page)| (u64::MAX - heat, page));
            expected.truncate(most.min(KEPT_MAX));
            let found: Vec<(u64, u64)> = (0..)
                .map_while(|place| hottest.get(place))
                .map(|page| (page.heat, page.page.0))
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
