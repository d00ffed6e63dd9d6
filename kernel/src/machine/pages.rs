//! Runs of machine pages, and the tokens that carry them from the allocator to their owner.
//!
//! ```text
//! allocator --> DirtyPages --zero--> ZeroedPages --> a virtual machine, or the monitor's tables
//!     ^             |                                             |
//!     +--- free ----+-------------------- take_back --------------+
//! ```
//! A token is the only way to hold pages that have no owner. It is neither `Copy` nor `Clone`,
//! and only a [`ZeroedPages`] can be given to a virtual machine, so none ever sees what was in
//! a page before.

use super::{MachineMemory, PAGES_PER_CHUNK};
use crate::address::MachinePage;

/// Contiguous machine pages. A plain value that says nothing about who owns them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageRange {
    /// The first page.
    pub first: MachinePage,
    /// How many.
    pub count: u64,
}

impl PageRange {
    /// `count` pages from `first`.
    pub const fn new(first: MachinePage, count: u64) -> Self {
        Self { first, count }
    }

    /// The page behind the last one.
    pub const fn end(self) -> MachinePage {
        MachinePage(self.first.0.saturating_add(self.count))
    }

    /// Whether `page` is one of them.
    pub const fn contains(self, page: MachinePage) -> bool {
        page.0 >= self.first.0 && page.0 < self.end().0
    }

    /// Whether all of `other` is in this range.
    pub const fn contains_range(self, other: Self) -> bool {
        other.first.0 >= self.first.0 && other.end().0 <= self.end().0
    }

    /// The pages, in order.
    pub fn pages(self) -> impl Iterator<Item = MachinePage> {
        (self.first.0..self.end().0).map(MachinePage)
    }
}

/// How many pages to allocate: a power of two, 1 to 1024, which is also their alignment.
///
/// The even powers are the sizes of a TLB page: 16 KiB, 64 KiB, 256 KiB, 1, 4 and 16 MiB.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RunSize(u8);

impl RunSize {
    /// One page.
    pub const ONE: Self = Self(0);
    /// The largest: 1024 pages, 16 MiB.
    pub const LARGEST: Self = Self(PAGES_PER_CHUNK.trailing_zeros() as u8);

    /// The smallest size of at least `pages` pages; none above [`RunSize::LARGEST`].
    pub const fn at_least(pages: u64) -> Option<Self> {
        if pages > PAGES_PER_CHUNK {
            return None;
        }
        Some(Self(pages.next_power_of_two().trailing_zeros() as u8))
    }

    /// The largest TLB page that can begin at a page number aligned as `page` is and that
    /// holds no more than `count` pages (one page where `count` is 0).
    pub const fn largest_tlb_page(page: u64, count: u64) -> Self {
        let aligned = page.trailing_zeros();
        let fits = match count.checked_ilog2() {
            Some(log2) => log2,
            None => 0,
        };
        let mut log2 = if aligned < fits { aligned } else { fits };
        if log2 > Self::LARGEST.log2() {
            log2 = Self::LARGEST.log2();
        }
        Self((log2 & !1) as u8)
    }

    /// The next smaller TLB page; none below one page.
    pub const fn next_smaller_tlb_page(self) -> Option<Self> {
        match self.0 {
            0 => None,
            odd if odd & 1 == 1 => Some(Self(odd - 1)),
            even => Some(Self(even - 2)),
        }
    }

    /// Number of pages.
    pub const fn pages(self) -> u64 {
        1 << self.0
    }

    /// Its base-2 logarithm, 0 to 10.
    pub const fn log2(self) -> u32 {
        self.0 as u32
    }
}

/// Pages without an owner that hold whatever their last owner left there.
#[derive(Debug)]
#[must_use = "dropped pages are lost: free them, or zero and give them to an owner"]
pub struct DirtyPages(PageRange);

impl DirtyPages {
    pub(super) const fn new(range: PageRange) -> Self {
        Self(range)
    }

    /// Which pages.
    pub const fn range(&self) -> PageRange {
        self.0
    }

    /// The first of the pages, and the others if there are any.
    pub fn split_first(self) -> (Self, Option<Self>) {
        let PageRange { first, count } = self.0;
        let rest = PageRange::new(MachinePage(first.0 + 1), count.saturating_sub(1));
        let rest = (rest.count > 0).then_some(Self(rest));
        (Self(PageRange::new(first, 1)), rest)
    }

    /// Adds the pages of `other`, if they are directly behind.
    ///
    /// # Errors
    /// They are not; both are as before.
    pub(super) fn join(&mut self, other: Self) -> Result<(), Self> {
        if other.0.first != self.0.end() {
            return Err(other);
        }
        self.0.count += other.0.count;
        Ok(())
    }

    /// Clears them.
    pub fn zero(self, memory: &impl MachineMemory) -> ZeroedPages {
        memory.zero(self.0);
        ZeroedPages(self.0)
    }
}

/// Pages without an owner that hold only zeros.
#[derive(Debug)]
#[must_use = "dropped pages are lost: give them to an owner, or free them"]
pub struct ZeroedPages(PageRange);

impl ZeroedPages {
    /// Which pages.
    pub const fn range(&self) -> PageRange {
        self.0
    }

    /// Forgets that they are zero, to free them.
    pub fn into_dirty(self) -> DirtyPages {
        DirtyPages(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_round_up_to_powers_of_two() {
        assert_eq!(RunSize::at_least(0), Some(RunSize::ONE));
        assert_eq!(RunSize::at_least(5).map(RunSize::pages), Some(8));
        assert_eq!(RunSize::at_least(1024), Some(RunSize::LARGEST));
        assert_eq!(RunSize::at_least(1025), None);
    }

    #[test]
    fn tlb_pages_fit_alignment_and_count() {
        let pages = |page, count| RunSize::largest_tlb_page(page, count).pages();
        assert_eq!(pages(0, 8192), 1024);
        assert_eq!(pages(0, 1023), 256);
        assert_eq!(pages(4, 8192), 4);
        assert_eq!(pages(8, 8192), 4);
        assert_eq!(pages(1, 8192), 1);
        assert_eq!(pages(64, 3), 1);
        assert_eq!(pages(64, 0), 1);
    }

    #[test]
    fn tlb_pages_shrink_by_four() {
        let mut size = Some(RunSize::LARGEST);
        let mut seen = Vec::new();
        while let Some(now) = size {
            seen.push(now.pages());
            size = now.next_smaller_tlb_page();
        }
        assert_eq!(seen, [1024, 256, 64, 16, 4, 1]);
    }
}
