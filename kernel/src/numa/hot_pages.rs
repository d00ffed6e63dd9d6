//! Pages of a virtual machine that a node has found hot, until one of its CPUs has time for them.

use crate::address::GuestPage;

/// Pages that are kept; others are told again when they have been missed on as often again.
pub const KEPT: usize = 128;

/// Hot pages, the oldest first.
#[derive(Debug)]
pub struct HotPages {
    /// A ring; guests have less than 2³² pages.
    pages: [u32; KEPT],
    first: usize,
    count: usize,
}

impl HotPages {
    /// None.
    pub const fn new() -> Self {
        Self {
            pages: [0; KEPT],
            first: 0,
            count: 0,
        }
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Adds `page`, unless it is there already; `false` if there is no room.
    pub fn add(&mut self, page: GuestPage) -> bool {
        let Ok(page) = u32::try_from(page.0) else {
            return true;
        };
        let is_it = |place| self.pages.get(place) == Some(&page);
        if self.places().any(is_it) {
            return true;
        }
        if self.count == KEPT {
            return false;
        }
        if let Some(place) = self.pages.get_mut((self.first + self.count) % KEPT) {
            *place = page;
            self.count += 1;
        }
        true
    }

    /// Takes the oldest.
    pub fn take(&mut self) -> Option<GuestPage> {
        self.count = self.count.checked_sub(1)?;
        let page = self.pages.get(self.first).copied()?;
        self.first = (self.first + 1) % KEPT;
        Some(GuestPage(page.into()))
    }

    /// Takes the oldest ones, as many as there are places.
    pub fn take_all<'a>(&mut self, places: &'a mut [GuestPage]) -> &'a [GuestPage] {
        let taken = places.len().min(self.count);
        let places = places.get_mut(..taken).unwrap_or_default();
        for place in &mut *places {
            *place = self.take().unwrap_or(*place);
        }
        places
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        let first = self.first;
        (0..self.count).map(move |offset| (first + offset) % KEPT)
    }
}

impl Default for HotPages {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn it_is_a_queue_without_doubles(steps in proptest::collection::vec(proptest::option::of(0u64..200), 0..600)) {
            let (mut pages, mut model) = (HotPages::new(), VecDeque::new());
            for step in steps {
                match step {
                    Some(page) => {
                        let has_room = model.len() < KEPT || model.contains(&page);
                        prop_assert_eq!(pages.add(GuestPage(page)), has_room);
                        if has_room && !model.contains(&page) {
                            model.push_back(page);
                        }
                    }
                    None => prop_assert_eq!(pages.take().map(|page| page.0), model.pop_front()),
                }
                prop_assert_eq!(pages.is_empty(), model.is_empty());
            }
        }
    }

    #[test]
    fn a_page_that_no_guest_has_is_left_out() {
        let mut pages = HotPages::new();
        assert!(pages.add(GuestPage(1 << 32)));
        assert!(pages.is_empty());
    }
}
