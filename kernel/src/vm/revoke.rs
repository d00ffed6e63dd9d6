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

/// Runs that are kept apart; with more, as many words of bits are.
const WORDS: usize = 16;
/// Pages that are looked up one by one in the real TLB.
const FEW: u64 = 4;
/// Pages that are looked up one by one in the second level.
const SOME: u64 = 32;

/// A set of guest pages, of guests that have less than 2³² each. It may hold more than was added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageSet {
    /// Runs: the first page in bits 63..32, the one behind the last in bits 31..0. Or, once there are more: a bit for each
    /// page number, modulo their count.
    words: [u64; WORDS],
    /// Runs.
    count: u32,
    has_bits: bool,
    /// See [`PageSet::add_windows`].
    in_windows: bool,
}

/// Word and bit of a page.
const fn place(page: u64) -> (usize, u64) {
    ((page / 64) as usize % WORDS, 1 << (page % 64))
}

const fn run(first: u64, end: u64) -> u64 {
    first << 32 | end
}

/// First page of a run, and the one behind the last.
const fn ends(run: u64) -> (u64, u64) {
    (run >> 32, run & 0xffff_ffff)
}

impl PageSet {
    /// No page.
    pub const EMPTY: Self = Self {
        words: [0; WORDS],
        count: 0,
        has_bits: false,
        in_windows: false,
    };

    /// Whether there is no page.
    pub const fn is_empty(&self) -> bool {
        self.count == 0 && !self.has_bits
    }

    /// Takes all pages out.
    pub const fn clear(&mut self) {
        self.count = 0;
        self.has_bits = false;
        self.in_windows = false;
    }

    fn runs(&self) -> &[u64] {
        self.words.get(..self.count as usize).unwrap_or(&[])
    }

    /// Adds the pages from `first` to before `end`.
    fn add_run(&mut self, first: u64, end: u64) {
        if self.has_bits {
            return self.set_bits(first, end);
        }
        let end = end.min(u32::MAX.into());
        let first = first.min(end);
        if let Some(last) = self.words[..self.count as usize].last_mut() {
            let (last_first, last_end) = ends(*last);
            if first <= last_end && last_first <= end {
                *last = run(last_first.min(first), last_end.max(end));
                return;
            }
        }
        if let Some(place) = self.words.get_mut(self.count as usize) {
            *place = run(first, end);
            self.count += 1;
            return;
        }
        self.use_bits();
        self.set_bits(first, end);
    }

    fn set_bits(&mut self, first: u64, end: u64) {
        let all = (WORDS * 64) as u64;
        for page in first..end.min(first.saturating_add(all)) {
            let (word, bit) = place(page);
            self.words[word] |= bit;
        }
    }

    /// Bits in the place of runs.
    #[cold]
    fn use_bits(&mut self) {
        let Self { words, count, .. } = *self;
        self.words = [0; WORDS];
        (self.count, self.has_bits) = (0, true);
        for &run in words.iter().take(count as usize) {
            let (first, end) = ends(run);
            self.set_bits(first, end);
        }
    }

    /// Adds a page.
    pub fn add(&mut self, page: GuestPage) {
        self.add_run(page.0, page.0.saturating_add(1));
    }

    /// A linear window may map one of the pages.
    pub const fn add_windows(&mut self) {
        self.in_windows = true;
    }

    /// Adds all of `others`.
    pub fn add_all(&mut self, others: &Self) {
        self.in_windows |= others.in_windows;
        for &run in others.runs() {
            let (first, end) = ends(run);
            self.add_run(first, end);
        }
        if others.has_bits {
            if !self.has_bits {
                self.use_bits();
            }
            for (word, more) in self.words.iter_mut().zip(others.words) {
                *word |= more;
            }
        }
    }

    /// Whether `page` may be one of them.
    pub fn contains(&self, page: GuestPage) -> bool {
        if self.has_bits {
            let (word, bit) = place(page.0);
            return self.words[word] & bit != 0;
        }
        self.runs().iter().any(|&run| {
            let (first, end) = ends(run);
            (first..end).contains(&page.0)
        })
    }

    /// The pages, some perhaps twice, if they are known one by one.
    pub fn known(&self) -> impl Iterator<Item = GuestPage> + '_ {
        let runs = self.runs().iter().map(|&run| ends(run));
        runs.flat_map(|(first, end)| (first..end).map(GuestPage))
    }

    /// Whether they are known one by one, and no more than `most`.
    fn are_at_most(&self, most: u64) -> bool {
        let counts = self.runs().iter().map(|&run| ends(run));
        let count = counts.fold(0u64, |sum, (first, end)| sum.saturating_add(end - first));
        !self.has_bits && count <= most
    }
}

/// Where a page may be mapped.
#[derive(Clone, Copy)]
enum Place {
    /// The guest's TLB maps it: the second level's tag.
    Tag(u64),
    /// A linear window does.
    Window(u64),
}

impl Vcpu<'_> {
    /// Takes `pages` out of every TLB of this virtual CPU, which is the real CPU's. Their EntryLo in
    /// the pmap has been changed before.
    pub fn revoke(&mut self, pages: &PageSet, pmap: &Pmap, hardware: &mut impl Hardware) {
        let is_found = |page| pmap.mappings(page) != Mappings::Many;
        if !pages.are_at_most(SOME) || !pages.known().all(is_found) {
            if !pages.is_empty() {
                self.l2.remove_pages(|page| pages.contains(page));
                hardware.tlb_flush();
            }
            return;
        }
        for page in pages.known() {
            self.remove_page(page, pages.in_windows, pmap);
        }
        self.revoke_rest(pages, pmap, hardware);
    }

    /// Takes `page` out of the second-level TLB, and leaves the real one to [`Vcpu::revoke_rest`] before the
    /// guest goes on; whether its mappings are known.
    #[must_use = "a page that is mapped in many places is left to `revoke`"]
    pub fn revoke_soon(&mut self, page: GuestPage, in_windows: bool, pmap: &Pmap) -> bool {
        let is_known = pmap.mappings(page) != Mappings::Many;
        if is_known {
            self.remove_page(page, in_windows, pmap);
        }
        is_known
    }

    /// As [`Vcpu::revoke`], if [`Vcpu::revoke_soon`] has found all of `pages`.
    #[inline(never)]
    pub fn revoke_rest(&mut self, pages: &PageSet, pmap: &Pmap, hardware: &mut impl Hardware) {
        if !pages.are_at_most(FEW) {
            return hardware.tlb_flush();
        }
        for page in pages.known() {
            self.each_place(page, pages.in_windows, pmap, |this, place| match place {
                Place::Tag(tag) => hardware.tlb_remove(tag),
                Place::Window(address) => hardware.tlb_remove(this.l2.tag(address, 0)),
            });
        }
    }

    /// Takes a page, whose mappings are known, out of the second-level TLB.
    #[inline(never)]
    fn remove_page(&mut self, page: GuestPage, in_windows: bool, pmap: &Pmap) {
        self.each_place(page, in_windows, pmap, |this, place| match place {
            Place::Tag(tag) => {
                this.l2.remove(tag & !ASID_MASK, tag);
            }
            Place::Window(address) => this.l2.remove_linear(address),
        });
    }

    /// Tells where `page`, whose mappings are known, may be mapped.
    fn each_place(
        &mut self,
        page: GuestPage,
        in_windows: bool,
        pmap: &Pmap,
        mut tell: impl FnMut(&mut Self, Place),
    ) {
        if let Mappings::Tags(tags) = pmap.mappings(page) {
            for tag in tags.into_iter().flatten() {
                tell(self, Place::Tag(tag));
            }
        }
        if !in_windows {
            return;
        }
        let (offset, granule) = (page.address().0, self.l2.granule());
        let csseg = (offset < CSSEG_WINDOW_SIZE).then_some(CSSEG_WINDOW);
        let windows = [Some(XSSEG_WINDOW), Some(XSSEG_UNCACHED_WINDOW), csseg];
        let end = GuestPage(page.0.saturating_add(1)).address().0;
        for window in windows.into_iter().flatten() {
            let mut at = offset & !granule.pair_mask();
            while at < end {
                tell(self, Place::Window(window + at));
                at += granule.pair_mask() + 1;
            }
        }
    }
}
