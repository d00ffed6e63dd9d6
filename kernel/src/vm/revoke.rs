//! Guest pages whose machine page, or D, has changed leave the TLBs of a virtual CPU.
//!
//! The guest's own entries stay: they say the same as before, and are looked at again at the next
//! miss. A few pages are found by their backmaps and at their places in the linear windows; many, or
//! one that is mapped in many places, by going through the second level once.

use super::hardware::Hardware;
use super::pmap::{Mappings, Pmap};
use super::vcpu::Vcpu;
use super::vtlb::ASID_MASK;
use crate::address::GuestPage;
use disco_abi::{CSSEG_WINDOW, CSSEG_WINDOW_SIZE, XSSEG_UNCACHED_WINDOW, XSSEG_WINDOW};

/// Runs that are kept apart; with more, a bitmap of page numbers modulo its bits is.
const RUNS: usize = 16;
const WORDS: usize = 8;
/// Pages that are looked up one by one in the real TLB.
const FEW: u64 = 4;
/// Pages that are looked up one by one in the second level.
const SOME: u64 = 32;

/// A set of guest pages. It may hold more than was added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageSet {
    /// First page, and the one behind the last.
    runs: [(u64, u64); RUNS],
    /// How many; none once there is `bitmap`.
    count: usize,
    bitmap: Option<[u64; WORDS]>,
}

/// Word and bit of a page.
const fn place(page: u64) -> (usize, u64) {
    ((page / 64) as usize % WORDS, 1 << (page % 64))
}

impl PageSet {
    /// No page.
    pub const EMPTY: Self = Self {
        runs: [(0, 0); RUNS],
        count: 0,
        bitmap: None,
    };

    /// Whether there is no page.
    pub const fn is_empty(&self) -> bool {
        self.count == 0 && self.bitmap.is_none()
    }

    fn kept(&self) -> &[(u64, u64)] {
        self.runs.get(..self.count).unwrap_or(&[])
    }

    /// Adds the pages from `first` to before `end`.
    fn add_run(&mut self, first: u64, end: u64) {
        if let Some(bitmap) = &mut self.bitmap {
            let all = (WORDS * 64) as u64;
            for page in first..end.min(first.saturating_add(all)) {
                let (word, bit) = place(page);
                bitmap[word] |= bit;
            }
            return;
        }
        if let Some(last) = self.runs[..self.count].last_mut() {
            if first <= last.1 && last.0 <= end {
                *last = (last.0.min(first), last.1.max(end));
                return;
            }
        }
        if self.count < RUNS {
            self.runs[self.count] = (first, end);
            self.count += 1;
            return;
        }
        self.bitmap = Some([0; WORDS]);
        self.count = 0;
        for (first, end) in self.runs {
            self.add_run(first, end);
        }
        self.add_run(first, end);
    }

    /// Adds a page.
    pub fn add(&mut self, page: GuestPage) {
        self.add_run(page.0, page.0.saturating_add(1));
    }

    /// Adds all of `others`.
    pub fn add_all(&mut self, others: &Self) {
        for &(first, end) in others.kept() {
            self.add_run(first, end);
        }
        let Some(theirs) = others.bitmap else {
            return;
        };
        if self.bitmap.is_none() {
            let kept = *self;
            self.bitmap = Some([0; WORDS]);
            self.count = 0;
            self.add_all(&kept);
        }
        for (word, more) in self.bitmap.iter_mut().flatten().zip(theirs) {
            *word |= more;
        }
    }

    /// Whether `page` may be one of them.
    pub fn contains(&self, page: GuestPage) -> bool {
        let (word, bit) = place(page.0);
        match &self.bitmap {
            Some(bitmap) => bitmap[word] & bit != 0,
            None => self
                .kept()
                .iter()
                .any(|&(first, end)| (first..end).contains(&page.0)),
        }
    }

    /// The pages, some perhaps twice, if they are known one by one.
    pub fn known(&self) -> impl Iterator<Item = GuestPage> + '_ {
        let runs = self.kept().iter();
        runs.flat_map(|&(first, end)| (first..end).map(GuestPage))
    }

    /// Whether they are known one by one, and no more than `most`.
    fn are_at_most(&self, most: u64) -> bool {
        let counts = self.kept().iter().map(|&(first, end)| end - first);
        self.bitmap.is_none() && counts.fold(0, u64::saturating_add) <= most
    }
}

impl Vcpu<'_> {
    /// Takes `pages` out of every TLB of this virtual CPU, which is the real CPU's. Their EntryLo in
    /// the pmap has been changed before.
    pub fn revoke(&mut self, pages: &PageSet, pmap: &Pmap, hardware: &mut impl Hardware) {
        let is_found = |page| pmap.mappings(page) != Mappings::Many;
        if pages.are_at_most(FEW) && pages.known().all(is_found) {
            for page in pages.known() {
                self.each_mapping(page, pmap, |tag| hardware.tlb_remove(tag));
            }
        } else if pages.are_at_most(SOME) && pages.known().all(is_found) {
            for page in pages.known() {
                self.each_mapping(page, pmap, |_| ());
            }
            hardware.tlb_flush();
        } else if !pages.is_empty() {
            self.l2.remove_pages(|page| pages.contains(page));
            hardware.tlb_flush();
        }
    }

    /// Takes `page` out of the second-level TLB, and leaves the real one to [`Vcpu::revoke_rest`] before the
    /// guest goes on; whether its mappings are known.
    #[must_use = "a page that is mapped in many places is left to `revoke`"]
    pub fn revoke_soon(&mut self, page: GuestPage, pmap: &Pmap) -> bool {
        let is_known = pmap.mappings(page) != Mappings::Many;
        if is_known {
            self.each_mapping(page, pmap, |_| ());
        }
        is_known
    }

    /// As [`Vcpu::revoke`], if [`Vcpu::revoke_soon`] has found all of `pages`.
    pub fn revoke_rest(&mut self, pages: &PageSet, pmap: &Pmap, hardware: &mut impl Hardware) {
        if pages.are_at_most(FEW) {
            self.revoke(pages, pmap, hardware);
        } else {
            hardware.tlb_flush();
        }
    }

    /// Takes `page`, whose mappings are known, out of the second-level TLB, and tells each tag.
    fn each_mapping(&mut self, page: GuestPage, pmap: &Pmap, mut tell: impl FnMut(u64)) {
        if let Mappings::Tags(tags) = pmap.mappings(page) {
            for tag in tags {
                self.l2.remove(tag & !ASID_MASK, tag);
                tell(tag);
            }
        }
        let (offset, granule) = (page.address().0, self.l2.granule());
        let csseg = (offset < CSSEG_WINDOW_SIZE).then_some(CSSEG_WINDOW);
        let windows = [Some(XSSEG_WINDOW), Some(XSSEG_UNCACHED_WINDOW), csseg];
        let end = GuestPage(page.0.saturating_add(1)).address().0;
        for window in windows.into_iter().flatten() {
            let mut at = offset & !granule.pair_mask();
            while at < end {
                let tag = self.l2.tag(window + at, 0);
                self.l2.remove_linear(window + at);
                tell(tag);
                at += granule.pair_mask() + 1;
            }
        }
    }
}
