//! The pmap: guest-physical page to machine page, as a precomputed TLB entry, with backmaps.
//!
//! One per virtual machine, an entry per 16 KiB page. Every translation that enters a
//! second-level or a real TLB is recorded here first ([`Pmap::record`]), so that a page can be
//! taken out of all of them.

use super::vtlb::{LO_D, LO_V};
use crate::address::{GuestPage, GuestPhysical, MachineAddress, MachinePage};
use disco_abi::PAGE_SIZE;
use disco_arch::trap::LinearEntry;

/// Backmaps kept per page; a page with more is found by emptying the TLBs that may hold it.
pub const BACKMAPS: usize = 2;
/// Pages of a page of the linear windows: 1 MiB. Larger ones are missed less often, but QEMU's
/// TLB drops a page it replaces 4 KiB by 4 KiB: with 16 MiB, 200 forks took four times as long.
const LINEAR_PAGES: u64 = 64;
/// Bytes of a piece of the linear table: a pair of pages.
pub const LINEAR_PIECE: u64 = 2 * LINEAR_PAGES * PAGE_SIZE;
/// Cache attribute of memory, in EntryLo: cached, coherent.
const CACHED: u32 = 3 << 3;
/// Pages of the linear windows are global, so that the guest's ASIDs do not matter.
const GLOBAL: u32 = 1;
const FLAG_BACKED: u32 = 1 << 0;
const FLAG_OVERFLOW: u32 = 1 << 1;

/// One guest-physical page.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PmapEntry {
    /// Machine page number (4 KiB units), cache attribute, D and V: EntryLo of the whole page.
    lo: u32,
    flags: u32,
    /// Second-level tag, with the granule's size, of each virtual mapping; 0 where unused.
    backmaps: [u64; BACKMAPS],
}

/// Where a page is mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mappings {
    /// Under these tags and the linear windows.
    Tags([u64; BACKMAPS]),
    /// In more places than are recorded.
    Many,
}

/// The physical-to-machine map of a virtual machine.
#[derive(Debug)]
pub struct Pmap<'a> {
    entries: &'a mut [PmapEntry],
    linear: &'a mut [LinearEntry],
}

/// EntryLo of a machine page: valid, writable, cached.
const fn entry_lo(page: MachinePage) -> u32 {
    ((page.address().0 >> 12) << 6) as u32 | CACHED | (LO_D | LO_V) as u32
}

impl<'a> Pmap<'a> {
    /// A map without backing. `linear` has an entry per [`LINEAR_PIECE`] of `entries`.
    pub fn new(entries: &'a mut [PmapEntry], linear: &'a mut [LinearEntry]) -> Self {
        entries.fill(PmapEntry::default());
        linear.fill(LinearEntry::default());
        Self { entries, linear }
    }

    /// Pages of guest-physical memory.
    pub fn pages(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The linear table, for the assembly: address and entries.
    pub fn linear_table(&self) -> (u64, u64) {
        (self.linear.as_ptr() as u64, self.linear.len() as u64)
    }

    /// Backs a guest page with a machine page. A page outside the map is ignored.
    pub fn back(&mut self, guest: GuestPage, machine: MachinePage) {
        if let Some(entry) = self.entries.get_mut(guest.0 as usize) {
            *entry = PmapEntry {
                lo: entry_lo(machine),
                flags: FLAG_BACKED,
                ..Default::default()
            };
        }
    }

    /// The machine page behind a guest page.
    pub fn machine_page(&self, guest: GuestPage) -> Option<MachinePage> {
        let entry = self.entries.get(usize::try_from(guest.0).ok()?)?;
        (entry.flags & FLAG_BACKED != 0).then(|| MachinePage(u64::from(entry.lo >> 8)))
    }

    /// The machine address behind a guest-physical one.
    pub fn machine_address(&self, guest: GuestPhysical) -> Option<MachineAddress> {
        self.machine_page(guest.page())?
            .address()
            .checked_add(guest.offset_in_page())
    }

    /// EntryLo of a guest page: page number, cache attribute, D and V.
    pub fn entry_lo(&self, guest: GuestPage) -> Option<u32> {
        let entry = self.entries.get(usize::try_from(guest.0).ok()?)?;
        (entry.flags & FLAG_BACKED != 0).then_some(entry.lo)
    }

    /// Records that `guest` is about to be mapped under the second-level tag `tag`.
    pub fn record(&mut self, guest: GuestPage, tag: u64) {
        let Some(entry) = self.entries.get_mut(guest.0 as usize) else {
            return;
        };
        // Tags of the page at address 0 with ASID 0 are 0 themselves: keep bit 12, never set in a tag.
        let mark = tag | 1 << 12;
        if entry.backmaps.contains(&mark) || entry.flags & FLAG_OVERFLOW != 0 {
            return;
        }
        match entry.backmaps.iter_mut().find(|backmap| **backmap == 0) {
            Some(free) => *free = mark,
            None => entry.flags |= FLAG_OVERFLOW,
        }
    }

    /// Where `guest` may be mapped.
    pub fn mappings(&self, guest: GuestPage) -> Mappings {
        match self.entries.get(guest.0 as usize) {
            Some(entry) if entry.flags & FLAG_OVERFLOW != 0 => Mappings::Many,
            Some(entry) => Mappings::Tags(entry.backmaps.map(|mark| mark & !(1 << 12))),
            None => Mappings::Tags([0; BACKMAPS]),
        }
    }

    /// Whether a mapping of `guest` under `tag` would be found.
    pub fn is_recorded(&self, guest: GuestPage, tag: u64) -> bool {
        self.entries.get(guest.0 as usize).is_some_and(|entry| {
            entry.flags & FLAG_OVERFLOW != 0 || entry.backmaps.contains(&(tag | 1 << 12))
        })
    }

    /// Forgets all backmaps: no TLB holds anything of this virtual machine any more.
    pub fn forget_backmaps(&mut self) {
        for entry in self.entries.iter_mut() {
            entry.backmaps = [0; BACKMAPS];
            entry.flags &= !FLAG_OVERFLOW;
        }
    }

    /// Computes the linear table: for each piece a page pair, if each of the two is contiguous and
    /// naturally aligned in machine memory.
    pub fn build_linear_table(&mut self) {
        for piece in 0..self.linear.len() {
            self.build_piece(piece);
        }
    }

    /// Computes the linear table's entry for the piece that holds `guest`, after its backing
    /// changed.
    pub fn build_linear_piece(&mut self, guest: GuestPage) {
        let piece = guest.address().0 / LINEAR_PIECE;
        if (piece as usize) < self.linear.len() {
            self.build_piece(piece as usize);
        }
    }

    fn build_piece(&mut self, piece: usize) {
        self.linear[piece] = self.linear_pair(piece as u64).unwrap_or_default();
    }

    /// The entry that maps `piece` with a pair of large pages.
    fn linear_pair(&self, piece: u64) -> Option<LinearEntry> {
        let first = 2 * LINEAR_PAGES * piece;
        let even = self.contiguous(first, LINEAR_PAGES)?;
        let odd = self.contiguous(first + LINEAR_PAGES, LINEAR_PAGES)?;
        Some(LinearEntry {
            page_mask: (LINEAR_PIECE as u32 - 1) & !0x1fff,
            lo0: entry_lo(even) | GLOBAL,
            lo1: entry_lo(odd) | GLOBAL,
            reserved: 0,
        })
    }

    /// The first machine page of `pages` guest pages, if contiguous and naturally aligned.
    fn contiguous(&self, first: u64, pages: u64) -> Option<MachinePage> {
        let base = self.machine_page(GuestPage(first))?;
        let whole = base.0 % pages == 0
            && (1..pages)
                .all(|i| self.machine_page(GuestPage(first + i)) == Some(MachinePage(base.0 + i)));
        whole.then_some(base)
    }

    /// An entry of the linear table, as the vectors' assembly reads it.
    #[cfg(test)]
    pub(super) fn linear_entry(&self, index: usize) -> LinearEntry {
        self.linear[index]
    }

    /// Every backed page: guest and machine page.
    pub fn iter(&self) -> impl Iterator<Item = (GuestPage, MachinePage)> + '_ {
        self.entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.flags & FLAG_BACKED != 0)
            .map(|(index, entry)| {
                (
                    GuestPage(index as u64),
                    MachinePage(u64::from(entry.lo >> 8)),
                )
            })
    }
}
