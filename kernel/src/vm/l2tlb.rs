//! The second-level software TLB of a virtual CPU.
//!
//! It holds pairs of pages in machine form, ready for the vector's assembly, and beside each the
//! guest's own EntryLo pair, so that `tlbp` can find what only this table holds. It is an
//! extension of the virtual TLB: an entry that `tlbwr` replaced may stay here, as the real TLB
//! may keep it (QEMU's does); `origin` remembers in which entry of the virtual TLB it was, so
//! that a guest which overwrites every entry by index, with other pages or with invalid ones, has
//! emptied this table too.
//!
//! All pairs have one size, the granule: 16 KiB pages until the guest uses smaller ones.

use super::mapping::{linear_offset, page_base};
use super::vtlb::{TlbEntry, ASID_MASK, LO_RI, LO_V, LO_XI, VPN2_MASK};
use crate::address::{GuestPage, GuestPhysical};
use disco_arch::trap::{L2Slot, L2_EMPTY, L2_ENTRIES};

/// The size of all pages in the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Granule {
    /// 4 KiB.
    Small,
    /// 16 KiB, the monitor's own page.
    Page,
}

impl Granule {
    /// Mask field of PageMask.
    pub const fn page_mask(self) -> u32 {
        match self {
            Self::Small => 0,
            Self::Page => 0x6000,
        }
    }
    /// Bits of an address within a pair of pages.
    pub const fn pair_mask(self) -> u64 {
        self.page_mask() as u64 | 0x1fff
    }
    /// Bytes of one page.
    pub const fn bytes(self) -> u64 {
        (self.pair_mask() >> 1) + 1
    }
    /// Bits of EntryHi that make a tag.
    pub const fn tag_mask(self) -> u64 {
        VPN2_MASK & !self.pair_mask() | ASID_MASK
    }
    /// Right shift of a tag to its lowest page bit.
    pub const fn shift(self) -> u64 {
        (self.pair_mask() + 1).trailing_zeros() as u64
    }
}

/// What the guest wrote for a slot's pair, at the granule's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct GuestPair {
    lo0: u32,
    lo1: u32,
}

/// Pairs that others displaced from their slot. The real TLB may keep them: an instruction and
/// what it reads may share a slot, and would never be there together otherwise.
const VICTIMS: usize = 8;

/// A displaced pair. All zero bytes are none, as no tag has bit 12.
#[derive(Clone, Copy, Debug, Default)]
struct Victim {
    /// The tag with [`VICTIM_MARK`], or 0.
    mark: u64,
    guest: GuestPair,
    origin: u8,
}

const VICTIM_MARK: u64 = 1 << 12;

/// The table. 50 KiB; it lives in the virtual CPU's memory. The slots are first, for the vectors.
#[repr(C)]
#[derive(Debug)]
pub struct L2Tlb {
    slots: [L2Slot; L2_ENTRIES],
    guest: [GuestPair; L2_ENTRIES],
    origin: [u8; L2_ENTRIES],
    granule: Granule,
    victims: [Victim; VICTIMS],
    /// A bit for each tag of a victim, and perhaps for others: see [`L2Tlb::victim_bit`].
    victim_bits: u64,
    /// Which victim goes next; 0 while there was none.
    oldest: u8,
}

const _: () = assert!(core::mem::offset_of!(L2Tlb, slots) == 0);

/// Kernel addresses are kept without an ASID, and only if they are global; user addresses are
/// kept with their ASID, and only if they are not.
pub const fn is_kernel_address(address: u64) -> bool {
    address >> 62 != 0
}

/// 64-bit EntryLo to the 32 bits that `mtc0` takes. Page numbers of guests fit: memory is at
/// most 2 GiB, and larger numbers were refused before.
pub const fn compact_lo(lo: u64) -> u32 {
    (lo & 0x3fff_ffff) as u32 | (((lo & (LO_RI | LO_XI)) >> 32) as u32)
}

/// The inverse of [`compact_lo`].
pub const fn expand_lo(lo: u32) -> u64 {
    (lo & 0x3fff_ffff) as u64 | ((lo & 0xc000_0000) as u64) << 32
}

impl L2Tlb {
    /// An empty table.
    pub const fn new() -> Self {
        Self {
            slots: [L2Slot {
                tag: L2_EMPTY,
                lo0: 0,
                lo1: 0,
            }; L2_ENTRIES],
            guest: [GuestPair { lo0: 0, lo1: 0 }; L2_ENTRIES],
            origin: [0; L2_ENTRIES],
            granule: Granule::Page,
            victims: [Victim {
                mark: 0,
                guest: GuestPair { lo0: 0, lo1: 0 },
                origin: 0,
            }; VICTIMS],
            victim_bits: 0,
            oldest: 0,
        }
    }

    /// Empties the table in place.
    pub fn clear(&mut self) {
        for slot in &mut self.slots {
            slot.tag = L2_EMPTY;
        }
        self.victims = [Victim::default(); VICTIMS];
        self.victim_bits = 0;
        self.oldest = 0;
    }

    /// The size of all pages in the table.
    pub const fn granule(&self) -> Granule {
        self.granule
    }

    /// Empties the table and changes the size of its pages.
    pub fn set_granule(&mut self, granule: Granule) {
        self.granule = granule;
        self.clear();
    }

    /// The tag under which `address` is kept for `asid`.
    pub const fn tag(&self, address: u64, asid: u64) -> u64 {
        let page = address & self.granule.tag_mask() & !ASID_MASK;
        if is_kernel_address(address) {
            page
        } else {
            page | asid & ASID_MASK
        }
    }

    /// The slot of a tag; the vector's assembly computes the same. Programs use pages in a row, and those that take
    /// turns have ASIDs in a row: 32 pairs apart they leave each other's alone.
    const fn index(&self, tag: u64) -> usize {
        (tag >> self.granule.shift()).wrapping_add(tag << 5) as usize % L2_ENTRIES
    }

    /// Puts a pair into its slot: `real` in machine form, and the guest's own of the granule's size; `origin`
    /// the virtual TLB's index it came from. The pair that was there becomes a victim; returns the
    /// tag of the victim that had to go for it.
    #[must_use = "the real TLB may still hold the pair that made room"]
    pub fn insert(
        &mut self,
        tag: u64,
        [lo0, lo1]: [u32; 2],
        guest: [u32; 2],
        origin: u32,
    ) -> Option<u64> {
        let index = self.index(tag);
        let slot = &mut self.slots[index];
        let old = core::mem::replace(slot, L2Slot { tag, lo0, lo1 }).tag;
        let gone = if old == tag {
            None
        } else {
            self.displace(old, tag, index)
        };
        let [lo0, lo1] = guest;
        self.guest[index] = GuestPair { lo0, lo1 };
        self.origin[index] = origin as u8;
        gone
    }

    /// `tag` takes the slot `index` of `old`.
    fn displace(&mut self, old: u64, tag: u64, index: usize) -> Option<u64> {
        // One that has its slot is no victim.
        self.remove_victim(tag);
        if old == L2_EMPTY || linear_offset(old).is_some() {
            None
        } else if !is_kernel_address(old) && (old ^ tag) & ASID_MASK != 0 {
            // Another address space's, perhaps of a process long gone.
            Some(old)
        } else {
            self.add_victim(Victim {
                mark: old | VICTIM_MARK,
                guest: self.guest[index],
                origin: self.origin[index],
            })
        }
    }

    fn add_victim(&mut self, victim: Victim) -> Option<u64> {
        let place = usize::from(self.oldest) % VICTIMS;
        // Counts from 1 once there was a victim.
        self.oldest = self.oldest % VICTIMS as u8 + 1;
        let gone = core::mem::replace(&mut self.victims[place], victim).mark;
        let bits = self
            .victims
            .iter()
            .map(|victim| self.victim_bit(victim.mark));
        self.victim_bits = bits.fold(0, |bits, bit| bits | bit);
        (gone != 0).then_some(gone & !VICTIM_MARK)
    }

    /// The bit of [`L2Tlb::victim_bits`] for a tag, marked or not.
    const fn victim_bit(&self, tag: u64) -> u64 {
        1 << (tag >> self.granule.shift() & 63)
    }

    fn remove_victim(&mut self, tag: u64) -> bool {
        if self.victim_bits & self.victim_bit(tag) == 0 {
            return false;
        }
        let mut found = false;
        for victim in self
            .victims
            .iter_mut()
            .filter(|v| v.mark == tag | VICTIM_MARK)
        {
            victim.mark = 0;
            found = true;
        }
        found
    }

    /// The pair for `address` and `asid` in machine form.
    pub fn lookup(&self, address: u64, asid: u64) -> Option<L2Slot> {
        let tag = self.tag(address, asid);
        let slot = self.slots[self.index(tag)];
        (slot.tag == tag).then_some(slot)
    }

    /// Whether the slot of `tag` holds it.
    pub fn holds_tag(&self, tag: u64) -> bool {
        self.slots[self.index(tag)].tag == tag
    }

    /// What the guest wrote for the pair in the slot of `tag`, as `mtc0` takes it, if that is this pair.
    pub fn guest_lo(&self, tag: u64) -> Option<[u32; 2]> {
        let index = self.index(tag);
        let GuestPair { lo0, lo1 } = self.guest[index];
        (self.slots[index].tag == tag).then_some([lo0, lo1])
    }

    /// Whether the pair of `tag` is one that was displaced from its slot.
    pub fn is_victim(&self, tag: u64) -> bool {
        let is_it = |victim: &Victim| victim.mark == tag | VICTIM_MARK;
        self.victim_bits & self.victim_bit(tag) != 0 && self.victims.iter().any(is_it)
    }

    /// What the guest wrote for `address` and `asid`, if the table holds it.
    pub fn guest_entry(&self, address: u64, asid: u64) -> Option<TlbEntry> {
        Some(self.guest_pair(address, asid)?.0)
    }

    /// The same with the virtual TLB's index it came from.
    pub fn guest_pair(&self, address: u64, asid: u64) -> Option<(TlbEntry, u32)> {
        let tag = self.tag(address, asid);
        let index = self.index(tag);
        let (pair, origin) = if self.slots[index].tag == tag {
            (self.guest[index], self.origin[index])
        } else {
            if self.victim_bits & self.victim_bit(tag) == 0 {
                return None;
            }
            let is_it = |victim: &&Victim| victim.mark == tag | VICTIM_MARK;
            let victim = self.victims.iter().find(is_it)?;
            (victim.guest, victim.origin)
        };
        let entry = TlbEntry {
            hi: tag & !ASID_MASK | asid & ASID_MASK,
            lo0: expand_lo(pair.lo0),
            lo1: expand_lo(pair.lo1),
            page_mask: u64::from(self.granule.page_mask()),
        };
        Some((entry, origin.into()))
    }

    /// Forgets a pair of a linear window: such are never victims.
    pub fn remove_linear(&mut self, address: u64) {
        let tag = self.tag(address, 0);
        let slot = &mut self.slots[self.index(tag)];
        if slot.tag == tag {
            slot.tag = L2_EMPTY;
        }
    }

    /// Forgets one pair; whether it was there.
    pub fn remove(&mut self, address: u64, asid: u64) -> bool {
        let tag = self.tag(address, asid);
        let slot = &mut self.slots[self.index(tag)];
        let found = slot.tag == tag;
        if found {
            slot.tag = L2_EMPTY;
        }
        self.remove_victim(tag) || found
    }

    /// Forgets every pair for which `doomed` holds, given its tag and its origin; calls `removed`
    /// with each tag.
    pub fn remove_where(
        &mut self,
        doomed: impl Fn(u64, u32) -> bool,
        mut removed: impl FnMut(u64),
    ) {
        for (slot, &origin) in self.slots.iter_mut().zip(&self.origin) {
            if slot.tag != L2_EMPTY && doomed(slot.tag, u32::from(origin)) {
                removed(slot.tag);
                slot.tag = L2_EMPTY;
            }
        }
        for victim in self.victims.iter_mut().filter(|victim| victim.mark != 0) {
            let tag = victim.mark & !VICTIM_MARK;
            if doomed(tag, u32::from(victim.origin)) {
                removed(tag);
                victim.mark = 0;
            }
        }
    }

    /// Forgets every pair that maps one of the guest pages for which `doomed` holds; the linear
    /// windows too.
    pub fn remove_pages(&mut self, doomed: impl Fn(GuestPage) -> bool) {
        let granule = self.granule;
        let is_doomed = |tag: u64, pair: &GuestPair| {
            let pages = guest_pages(tag, pair, granule);
            pages.into_iter().flatten().any(&doomed)
        };
        for (slot, pair) in self.slots.iter_mut().zip(&self.guest) {
            if slot.tag != L2_EMPTY && is_doomed(slot.tag, pair) {
                slot.tag = L2_EMPTY;
            }
        }
        for victim in self.victims.iter_mut().filter(|victim| victim.mark != 0) {
            if is_doomed(victim.mark & !VICTIM_MARK, &victim.guest) {
                victim.mark = 0;
            }
        }
    }

    /// The slot at `index`, as the vectors' assembly reads it.
    #[cfg(test)]
    pub(super) fn slot(&self, index: usize) -> L2Slot {
        self.slots[index]
    }

    /// Every valid half of a pair in use: tag, EntryLo in machine form, and the guest page it maps.
    pub fn halves(&self) -> impl Iterator<Item = (u64, u32, Option<GuestPage>)> + '_ {
        let used = self.slots.iter().zip(&self.guest);
        used.filter(|(slot, _)| slot.tag != L2_EMPTY)
            .flat_map(|(slot, pair)| {
                let pages = guest_pages(slot.tag, pair, self.granule);
                let halves = [slot.lo0, slot.lo1].into_iter().zip(pages);
                halves.map(|(lo, page)| (slot.tag, lo, page))
            })
            .filter(|(_, lo, _)| u64::from(*lo) & LO_V != 0)
    }

    /// Every pair in use: tag, EntryLo0 and EntryLo1 in machine form.
    pub fn iter(&self) -> impl Iterator<Item = &L2Slot> {
        self.slots.iter().filter(|slot| slot.tag != L2_EMPTY)
    }
}

/// The guest pages that the two halves of a pair map.
fn guest_pages(tag: u64, pair: &GuestPair, granule: Granule) -> [Option<GuestPage>; 2] {
    match linear_offset(tag & !ASID_MASK) {
        Some(offset) => [0, granule.bytes()].map(|half| Some(GuestPhysical(offset + half).page())),
        None => [pair.lo0, pair.lo1].map(|lo| {
            let lo = expand_lo(lo);
            let base = page_base(lo, granule.bytes());
            (lo & LO_V != 0).then(|| GuestPhysical(base).page())
        }),
    }
}

impl Default for L2Tlb {
    fn default() -> Self {
        Self::new()
    }
}
