//! The pmap: guest-physical page to machine page, as a precomputed TLB entry, with backmaps.
//!
//! One per virtual machine, an entry per 16 KiB page. Every translation that enters a
//! second-level or a real TLB is recorded here first ([`Pmap::map`]), so that a page can be
//! taken out of all of them.

use super::view::View;
use super::vtlb::{LO_D, LO_V};
use crate::address::{GuestPage, GuestPhysical, MachineAddress, MachinePage};
use core::sync::atomic::{fence, AtomicU32, AtomicU64, Ordering};
use disco_abi::PAGE_SIZE;
use disco_arch::trap::{LinearEntry, LinearPair};

/// Backmaps kept per page; a page with more is found by emptying the TLBs that may hold it.
pub const BACKMAPS: usize = 2;
/// Pages of a page of the linear windows: 1 MiB. Larger ones are missed less often, but QEMU's
/// TLB drops a page it replaces 4 KiB by 4 KiB: with 16 MiB, 200 forks took four times as long.
pub const LINEAR_PAGES: u64 = 64;
/// Bytes of a piece of the linear table: a pair of pages.
pub const LINEAR_PIECE: u64 = 2 * LINEAR_PAGES * PAGE_SIZE;
/// Cache attribute of memory, in EntryLo: cached, coherent.
const CACHED: u32 = 3 << 3;
/// Pages of the linear windows are global, so that the guest's ASIDs do not matter.
const GLOBAL: u32 = 1;

/// One guest-physical page. A word of its own each, so that the virtual CPUs of a virtual machine
/// use the map at once: none waits for another.
#[repr(C)]
#[derive(Debug, Default)]
pub struct PmapEntry {
    /// Machine page number (4 KiB units), cache attribute, D and V: EntryLo of the whole page. 0
    /// if it has no machine page; without D if that has other users or replicas, without V while it
    /// moves. [`REPLICAS`] and [`OWN`], which no TLB sees, are 0 but for pages with replicas, or that move.
    pub(super) lo: AtomicU32,
    /// A bit for each virtual CPU that may have mapped it since its EntryLo changed, but for large pages of the
    /// windows; and [`MANY`], [`WINDOW`] and [`LARGE`].
    mapped: AtomicU32,
    /// Second-level tag, with the granule's size and [`MARK`], of each virtual mapping, whichever
    /// virtual CPU's; 0 where unused.
    backmaps: [AtomicU64; BACKMAPS],
}

/// Where a page is mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mappings {
    /// Under these tags, and perhaps in the linear windows.
    Tags([Option<u64>; BACKMAPS]),
    /// In more places than are recorded.
    Many,
}

/// The physical-to-machine map of a virtual machine, which all its virtual CPUs share. Backing of
/// a page is changed under the virtual machine's backing lock; all else needs none.
#[derive(Clone, Copy, Debug)]
pub struct Pmap<'a> {
    entries: &'a [PmapEntry],
    /// Of all nodes, if it has more than this one.
    pub(super) views: &'a [View<'a>],
    /// Of the node that it is looked at from.
    pub(super) here: View<'a>,
    /// The virtual CPU that looks at it, as its bit in [`PmapEntry::mapped`]; all if that is not known.
    looks: u32,
}

/// What is behind a guest page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backing {
    /// No machine page yet, or no more.
    Nothing,
    /// A machine page of its own.
    Own(MachinePage),
    /// A machine page of its own that has replicas on other nodes: read-only.
    Replicated(MachinePage),
    /// A machine page that others may use too: read-only. It may have replicas as well.
    Shared(MachinePage),
    /// A machine page that is being moved or copied: whoever holds the backing lock will say where it
    /// is. Nobody maps it meanwhile, and nobody writes to it.
    Moving(MachinePage),
}

impl Backing {
    /// The machine page, if there is one.
    pub const fn page(self) -> Option<MachinePage> {
        match self {
            Self::Nothing => None,
            Self::Own(page) | Self::Replicated(page) | Self::Shared(page) | Self::Moving(page) => {
                Some(page)
            }
        }
    }

    const fn of(lo: u32) -> Self {
        let page = page_of(lo);
        match lo {
            0 => Self::Nothing,
            _ if lo & LO_V as u32 == 0 => Self::Moving(page),
            _ if lo & LO_D as u32 != 0 => Self::Own(page),
            _ if lo & OWN != 0 => Self::Replicated(page),
            _ => Self::Shared(page),
        }
    }

    const fn lo(self) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::Own(page) => entry_lo(page),
            Self::Replicated(page) => read_only(page) | OWN,
            Self::Shared(page) => read_only(page),
            Self::Moving(page) => read_only(page) & !(LO_V as u32),
        }
    }
}

/// The machine page of a pmap's word that is not 0.
const fn page_of(lo: u32) -> MachinePage {
    MachinePage(lo as u64 >> 8)
}

/// EntryLo of a machine page: valid, writable, cached.
const fn entry_lo(page: MachinePage) -> u32 {
    ((page.address().0 >> 12) << 6) as u32 | CACHED | (LO_D | LO_V) as u32
}

/// The same without D.
pub(super) const fn read_only(page: MachinePage) -> u32 {
    entry_lo(page) & !(LO_D as u32)
}

/// In a pmap's word: some view has a replica. G in a TLB entry.
pub(super) const REPLICAS: u32 = 1;
/// In a pmap's word without D: the page is the virtual machine's own. A machine page's number is that of
/// a 4 KiB page and aligned, so this bit of it is 0.
const OWN: u32 = 1 << 6;
/// In [`PmapEntry::mapped`]: it was mapped in more places than are recorded.
const MANY: u32 = 1 << 31;
/// The same, of the first page of a large page of the windows: one of its pages was mapped as a small one there. It stays
/// when they move.
const WINDOW: u32 = 1 << 30;
/// The same, of the first page of a piece of the linear tables: some view maps it by large pages. Whoever holds the
/// backing lock writes it.
const LARGE: u32 = 1 << 29;
/// The same: virtual CPUs.
const USERS: u32 = 0xffff;

/// Tags of the page at address 0 with ASID 0 are 0 themselves: bit 12 is never set in a tag.
const MARK: u64 = 1 << 12;

impl PmapEntry {
    /// Adds a backmap; whether it is there now.
    fn add_backmap(&self, mark: u64) -> bool {
        self.backmaps.iter().any(|backmap| {
            let found = match backmap.load(Ordering::Relaxed) {
                0 => backmap
                    .compare_exchange(0, mark, Ordering::AcqRel, Ordering::Acquire)
                    .unwrap_or_else(|other| other),
                other => other,
            };
            found == 0 || found == mark
        })
    }

    fn forget_backmaps(&self) {
        for backmap in &self.backmaps {
            backmap.store(0, Ordering::Relaxed);
        }
        self.mapped.fetch_and(LARGE | WINDOW, Ordering::Relaxed);
    }

    fn is_many(&self) -> bool {
        self.mapped.load(Ordering::Acquire) & MANY != 0
    }

    /// Sets bits of [`PmapEntry::mapped`]. What is set already need not be written: who takes the bits away asks
    /// those whose they were.
    fn note(&self, bits: u32) {
        if self.mapped.load(Ordering::Relaxed) & bits != bits {
            self.mapped.fetch_or(bits, Ordering::Relaxed);
        }
    }
}

impl<'a> Pmap<'a> {
    /// The map in `entries`. `linear` has an entry per [`LINEAR_PIECE`] of them. Entries of zeros
    /// are a map without backing.
    pub const fn new(entries: &'a [PmapEntry], linear: &'a [LinearEntry]) -> Self {
        let here = View::new(&[], linear);
        let views = &[];
        Self {
            entries,
            views,
            here,
            looks: USERS,
        }
    }

    /// The map in `entries`, with a view for each node, looked at from node 0.
    pub fn with_views(entries: &'a [PmapEntry], views: &'a [View<'a>]) -> Self {
        let here = views.first().copied().unwrap_or(View::new(&[], &[]));
        Self {
            entries,
            views,
            here,
            looks: USERS,
        }
    }

    /// The same map as virtual CPU `number` uses it, which changes find by that, see [`Pmap::take_users`].
    #[must_use]
    pub const fn looked_at_by(mut self, number: u32) -> Self {
        self.looks = 1 << (number % 16);
        self
    }

    /// Pages of guest-physical memory.
    pub const fn pages(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The linear table, for the assembly: address and entries.
    pub fn linear_table(&self) -> (u64, u64) {
        (
            self.here.linear.as_ptr() as u64,
            self.here.linear.len() as u64,
        )
    }

    pub(super) fn entry(&self, guest: GuestPage) -> Option<&PmapEntry> {
        self.entries.get(usize::try_from(guest.0).ok()?)
    }

    /// Backs a guest page that was not with a machine page of its own. A page outside the map is
    /// ignored.
    pub fn back(&self, guest: GuestPage, machine: MachinePage) {
        self.exchange(guest, Backing::Own(machine));
    }

    /// Puts something else behind a guest page; what was there. Its piece of the linear table is
    /// computed anew with [`Pmap::build_linear_piece`], then TLBs forget what they hold, and only then
    /// what was there may be given away. Its replicas have been given up before: what is left of them is
    /// forgotten.
    pub fn exchange(&self, guest: GuestPage, backing: Backing) -> Backing {
        let lo = backing.lo();
        self.entry(guest).map_or(Backing::Nothing, |entry| {
            let old = entry.lo.swap(lo, Ordering::AcqRel);
            if old & REPLICAS != 0 {
                self.forget_replicas(guest);
            }
            Backing::of(old)
        })
    }

    fn word(&self, guest: GuestPage) -> u32 {
        self.entry(guest)
            .map_or(0, |entry| entry.lo.load(Ordering::Acquire))
    }

    /// What is behind a guest page.
    pub fn backing(&self, guest: GuestPage) -> Backing {
        Backing::of(self.word(guest))
    }

    /// Forgets where `guest` was mapped: no TLB of any virtual CPU maps it any more.
    pub fn forget_mappings(&self, guest: GuestPage) {
        if let Some(entry) = self.entry(guest) {
            entry.forget_backmaps();
        }
    }

    /// The machine page behind a guest page.
    pub fn machine_page(&self, guest: GuestPage) -> Option<MachinePage> {
        self.backing(guest).page()
    }

    /// The machine address behind a guest-physical one.
    pub fn machine_address(&self, guest: GuestPhysical) -> Option<MachineAddress> {
        self.machine_page(guest.page())?
            .address()
            .checked_add(guest.offset_in_page())
    }

    /// What `read` finds at the machine address behind a guest-physical one, within the page. A sibling may
    /// take the page away meanwhile: what was read then does not count.
    pub fn read<T>(&self, from: GuestPhysical, read: impl Fn(MachineAddress) -> T) -> Option<T> {
        const TRIES: usize = 4;
        (0..TRIES).find_map(|_| self.read_once(from, &read))
    }

    /// The same with one try, for who has another way.
    #[inline(always)]
    pub fn read_once<T>(
        &self,
        from: GuestPhysical,
        read: impl Fn(MachineAddress) -> T,
    ) -> Option<T> {
        let lo = &self.entry(from.page())?.lo;
        let before = lo.load(Ordering::Acquire);
        if before == 0 {
            return None;
        }
        let page = page_of(before).address();
        let found = read(MachineAddress(page.0 | from.offset_in_page()));
        fence(Ordering::Acquire);
        (lo.load(Ordering::Relaxed) == before).then_some(found)
    }

    /// What is behind `guest` begins to move: from now on nobody maps it, whoever misses on it waits for the backing
    /// lock, and it can get replicas, also one of the virtual machine's own. What was there before. It ends with
    /// [`Pmap::end_move`], or with [`Pmap::exchange`] when it has another machine page.
    pub fn begin_move(&self, guest: GuestPage) -> Backing {
        let before = self.word(guest);
        let own = if before & LO_D as u32 != 0 { OWN } else { 0 };
        if let Some(entry) = self.entry(guest) {
            let moving = before & !(LO_D | LO_V) as u32 | own;
            // Only the backing lock's holder writes it.
            entry.lo.store(moving, Ordering::SeqCst);
        }
        Backing::of(before)
    }

    /// A page that was to move is where it was, and read-only if it was not: with the replicas it has got. One of the
    /// virtual machine's own that has none is put behind it again with [`Pmap::exchange`].
    pub fn end_move(&self, guest: GuestPage) {
        if let Some(entry) = self.entry(guest) {
            entry.lo.fetch_or(LO_V as u32, Ordering::AcqRel);
        }
    }

    /// The virtual CPUs, a bit each, that may have mapped `guest` as it was before its EntryLo changed, and have to be
    /// asked to forget it. `was_large`: [`Pmap::is_large`] before the change.
    pub fn take_users(&self, guest: GuestPage, was_large: bool) -> u16 {
        fence(Ordering::SeqCst);
        let users = self.entry(guest).map_or(0, |entry| {
            entry.mapped.fetch_and(!USERS, Ordering::SeqCst) & USERS
        });
        if was_large {
            u16::MAX
        } else {
            users as u16
        }
    }

    /// Whether a virtual CPU has mapped `guest` since its EntryLo changed, but for large pages of the windows.
    pub fn is_used(&self, guest: GuestPage) -> bool {
        self.entry(guest)
            .is_some_and(|entry| entry.mapped.load(Ordering::Relaxed) & USERS != 0)
    }

    /// Whether a page of the large page of the windows around `guest` was mapped as a small one there.
    pub fn has_window_misses(&self, guest: GuestPage) -> bool {
        self.entry(large_page_of(guest))
            .is_some_and(|first| first.mapped.load(Ordering::Relaxed) & WINDOW != 0)
    }

    /// Whether a large page of the windows covers `guest`, for any node: who maps that is not recorded.
    pub fn is_large(&self, guest: GuestPage) -> bool {
        self.entry(first_of(piece_of(guest)))
            .is_some_and(|first| first.mapped.load(Ordering::Relaxed) & LARGE != 0)
    }

    /// Like [`Pmap::entry_lo`], for a small page of a linear window that is about to be mapped.
    pub fn map_window(&self, guest: GuestPage) -> Option<u32> {
        let entry = self.entry(guest)?;
        entry.note(self.looks);
        if let Some(first) = self.entry(large_page_of(guest)) {
            first.note(WINDOW);
        }
        fence(Ordering::SeqCst);
        self.seen(guest, entry.lo.load(Ordering::Acquire))
    }

    /// EntryLo of a guest page as it is seen from here: page number, cache attribute, D and V.
    pub fn entry_lo(&self, guest: GuestPage) -> Option<u32> {
        let lo = self.entry(guest)?.lo.load(Ordering::Acquire);
        self.seen(guest, lo)
    }

    /// EntryLo of a guest page whose word is `lo`.
    fn seen(&self, guest: GuestPage, lo: u32) -> Option<u32> {
        if lo & LO_V as u32 == 0 {
            return None;
        }
        if lo & (REPLICAS | OWN) != 0 {
            return Some(self.replica_lo(guest, lo & !(REPLICAS | OWN)));
        }
        Some(lo)
    }

    /// Records that `guest` is about to be mapped under the second-level tag `tag`, and gives its
    /// EntryLo. In this order: whoever changes the EntryLo and then looks at the backmaps finds
    /// every mapping of the old one.
    pub fn map(&self, guest: GuestPage, tag: u64) -> Option<u32> {
        let entry = self.entry(guest)?;
        let fits =
            entry.mapped.load(Ordering::Relaxed) & MANY != 0 || entry.add_backmap(tag | MARK);
        entry.note(if fits { self.looks } else { self.looks | MANY });
        fence(Ordering::SeqCst);
        let lo = entry.lo.load(Ordering::Acquire);
        self.seen(guest, lo)
    }

    /// Where `guest` may be mapped.
    pub fn mappings(&self, guest: GuestPage) -> Mappings {
        match self.entry(guest) {
            Some(entry) if entry.is_many() => Mappings::Many,
            Some(entry) => Mappings::Tags([0, 1].map(|number| {
                let mark = entry.backmaps[number].load(Ordering::Acquire);
                (mark != 0).then_some(mark & !MARK)
            })),
            None => Mappings::Tags([None; BACKMAPS]),
        }
    }

    /// Whether a mapping of `guest` under `tag` would be found.
    pub fn is_recorded(&self, guest: GuestPage, tag: u64) -> bool {
        let is_mark = |backmap: &AtomicU64| backmap.load(Ordering::Acquire) == tag | MARK;
        self.entry(guest)
            .is_some_and(|entry| entry.is_many() || entry.backmaps.iter().any(is_mark))
    }

    /// Forgets all backmaps: no TLB holds anything of this virtual machine any more.
    pub fn forget_backmaps(&self) {
        for entry in self.entries {
            entry.forget_backmaps();
        }
    }

    /// Computes the linear table: for each piece a page pair, if each of the two is contiguous and
    /// naturally aligned in machine memory, and the guest's own.
    pub fn build_linear_table(&self) {
        for piece in 0..self.here.linear.len() {
            self.build_piece(piece);
        }
    }

    /// Computes the linear table's entry for the piece that holds `guest`, after its backing
    /// changed.
    pub fn build_linear_piece(&self, guest: GuestPage) {
        if self.is_large(guest) || self.may_be_in_large_page(guest) {
            self.build_piece(piece_of(guest));
        }
    }

    /// Whether `guest` lies in machine memory where a large page of the windows would have it; pages with replicas
    /// may.
    fn may_be_in_large_page(&self, guest: GuestPage) -> bool {
        let word = self.word(guest);
        match Backing::of(word) {
            _ if word & REPLICAS != 0 => true,
            Backing::Own(page) => (page.0 ^ guest.0).is_multiple_of(LINEAR_PAGES),
            _ => false,
        }
    }

    fn build_piece(&self, piece: usize) {
        let first = first_of(piece);
        let second = GuestPage(first.0 + LINEAR_PAGES);
        let even = self.own_page(first);
        let odd = even.and_then(|_| self.own_page(second));
        let mut is_large = false;
        for view in self.all_views() {
            let Some(entry) = view.linear.get(piece) else {
                continue;
            };
            let pair = || {
                let lo0 = even.or_else(|| view.large_replica(first))?;
                let own = || self.own_page(second).filter(|_| even.is_none());
                let lo1 = odd.or_else(|| view.large_replica(second)).or_else(own)?;
                Some(LinearPair {
                    page_mask: (LINEAR_PIECE as u32 - 1) & !0x1fff,
                    lo0: lo0 | GLOBAL,
                    lo1: lo1 | GLOBAL,
                })
            };
            let pair = pair();
            is_large |= pair.is_some();
            entry.set(pair.unwrap_or_default());
        }
        if let Some(entry) = self.entry(first) {
            if is_large {
                entry.mapped.fetch_or(LARGE, Ordering::Relaxed);
            } else {
                entry.mapped.fetch_and(!LARGE, Ordering::Relaxed);
            }
        }
    }

    /// EntryLo of the large page of the windows at `first`, if all of its guest pages are the virtual
    /// machine's own.
    fn own_page(&self, first: GuestPage) -> Option<u32> {
        let page = contiguous(first, |guest| match self.backing(guest) {
            Backing::Own(page) => Some(page),
            _ => None,
        });
        page.map(entry_lo)
    }

    /// The pair of large pages that maps the linear windows at `offset` on this node, if one does.
    pub(super) fn linear_piece(&self, offset: u64) -> Option<LinearPair> {
        let piece = usize::try_from(offset / LINEAR_PIECE).ok()?;
        let pair = self.here.linear.get(piece)?.get();
        (pair.page_mask != 0).then_some(pair)
    }

    /// The node that all guest pages of the large page of the windows around `guest` are on, if they are the virtual
    /// machine's own and still no large page, since they are scattered there. `node_of` tells a machine page's node.
    pub fn scattered_on<N: PartialEq>(
        &self,
        guest: GuestPage,
        node_of: impl Fn(MachinePage) -> Option<N>,
    ) -> Option<N> {
        let first = large_page_of(guest);
        let node = |offset| match self.backing(GuestPage(first.0 + offset)) {
            Backing::Own(page) => node_of(page),
            _ => None,
        };
        let home = node(0)?;
        let together = (1..LINEAR_PAGES).all(|offset| node(offset).as_ref() == Some(&home));
        (together && self.own_page(first).is_none()).then_some(home)
    }

    /// An entry of the linear table, as the vectors' assembly reads it.
    #[cfg(test)]
    pub(super) fn linear_entry(&self, index: usize) -> LinearPair {
        self.here.linear[index].get()
    }

    /// Every backed page: guest page, and what is behind it.
    pub fn iter(&self) -> impl Iterator<Item = (GuestPage, Backing)> + '_ {
        let entries = (0..).map(GuestPage).zip(self.entries);
        entries
            .map(|(guest, entry)| (guest, Backing::of(entry.lo.load(Ordering::Acquire))))
            .filter(|(_, backing)| *backing != Backing::Nothing)
    }
}

/// The first guest page of a piece of the linear table.
const fn first_of(piece: usize) -> GuestPage {
    GuestPage(2 * LINEAR_PAGES * piece as u64)
}

/// The first guest page of the large page of the windows that `guest` is in.
const fn large_page_of(guest: GuestPage) -> GuestPage {
    GuestPage(guest.0 & !(LINEAR_PAGES - 1))
}

/// The piece of the linear table that `guest` is in.
const fn piece_of(guest: GuestPage) -> usize {
    (guest.0 / (2 * LINEAR_PAGES)) as usize
}

/// The first machine page of a large page of the windows, if all pages that `page` has for its guest pages
/// are contiguous and naturally aligned.
pub(super) fn contiguous(
    first: GuestPage,
    page: impl Fn(GuestPage) -> Option<MachinePage>,
) -> Option<MachinePage> {
    let base = page(first)?;
    let next = |i| page(GuestPage(first.0 + i)) == Some(MachinePage(base.0 + i));
    let whole = base.0 % LINEAR_PAGES == 0 && (1..LINEAR_PAGES).all(next);
    whole.then_some(base)
}
