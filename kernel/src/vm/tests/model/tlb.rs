//! The TLB: III, "Virtual Memory"; II, TLBP and its neighbours.

use super::registers::*;
use super::{Access, Choices, Model, ENTRIES};
use disco_abi::{SHOOTDOWN_ALL, SHOOTDOWN_ASID};

/// EntryLo.
pub const G: u64 = 1 << 0;
pub const V: u64 = 1 << 1;
pub const D: u64 = 1 << 2;
pub const XI: u64 = 1 << 62;
pub const RI: u64 = 1 << 63;

/// An entry, in the form of the registers that write it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    pub hi: u64,
    pub lo: [u64; 2],
    pub mask: u64,
}

/// An entry that left the TLB and may go on to translate.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Hidden {
    pub entry: Entry,
    /// The indices, as bits, that it may have had. It is gone once `tlbwi` has overwritten them.
    origins: u16,
}

impl Entry {
    /// Maps nothing.
    pub const INVALID: Self = Self {
        hi: EHINV,
        lo: [0; 2],
        mask: 0,
    };

    /// What TLBWI and TLBWR make of the registers.
    pub fn from_registers(hi: u64, lo: [u64; 2], mask: u64) -> Self {
        if hi & EHINV != 0 {
            return Self::INVALID;
        }
        // Page numbers lose the bits that are the page's offset; G is one for both.
        let offset = mask >> 13 << 6;
        let global = lo[0] & lo[1] & G;
        Self {
            hi,
            lo: lo.map(|lo| lo & (RI | XI | 0x3fff_fffe) & !offset | global),
            mask,
        }
    }

    pub fn is_global(&self) -> bool {
        self.lo[0] & self.lo[1] & G != 0
    }

    /// Whether it translates `address` for `asid`: "TLB Address Translation".
    pub fn matches(&self, address: u64, asid: u64) -> bool {
        let compared = (R | VPN2) & !self.mask;
        self.hi & EHINV == 0
            && self.hi & compared == address & compared
            && (self.is_global() || self.hi & ASID == asid & ASID)
    }

    /// Bytes of one page.
    pub fn page(&self) -> u64 {
        (self.mask + 0x2000) / 2
    }

    /// EntryLo of the page with `address`: EvenOddBit.
    pub fn half(&self, address: u64) -> u64 {
        self.lo[usize::from(address & self.page() != 0)]
    }

    /// Whether some address and ASID match both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let address = |entry: &Self| entry.hi & (R | VPN2) & !entry.mask;
        let (mine, theirs) = (address(self), address(other));
        let asid = if self.is_global() { other.hi } else { self.hi };
        self.matches(theirs, asid) && other.matches(theirs, asid)
            || self.matches(mine, asid) && other.matches(mine, asid)
    }
}

impl Model {
    pub fn asid(&self) -> u64 {
        self.read(ENTRY_HI) & ASID
    }

    /// The entry that translates `address`, and its index if it has one. Of several it may be any;
    /// if there is none, a hidden one or none.
    pub fn lookup(
        &self,
        address: u64,
        asid: u64,
        choices: &mut Choices,
    ) -> Option<(Entry, Option<usize>)> {
        let mut found = Vec::new();
        for (index, entry) in self.tlb.iter().enumerate() {
            if entry.matches(address, asid) {
                found.push((*entry, Some(index)));
            }
        }
        let certain = !found.is_empty();
        for hidden in &self.hidden {
            if hidden.entry.matches(address, asid) {
                found.push((hidden.entry, None));
            }
        }
        let pick = choices.pick(found.len() + usize::from(!certain));
        found.get(pick).copied()
    }

    /// Whether `lo` allows the access; else the code of the exception: "TLB Address Translation".
    pub fn allows(lo: u64, access: Access) -> Result<(), u32> {
        match access {
            Access::Store if lo & V == 0 => Err(3),
            _ if lo & V == 0 => Err(2),
            Access::Load if lo & RI != 0 => Err(19),
            Access::Fetch if lo & XI != 0 => Err(20),
            Access::Store if lo & D == 0 => Err(1),
            _ => Ok(()),
        }
    }

    /// III, "Wired Register": entries below it are not replaced at random.
    pub fn random(&self, choices: &mut Choices) -> usize {
        let wired = self.read(WIRED) as usize;
        wired + choices.pick(ENTRIES - wired)
    }

    /// Hides what is at `index`, if it maps anything, and puts `entry` there.
    pub fn replace(&mut self, index: usize, entry: Entry) {
        let old = std::mem::replace(&mut self.tlb[index], entry);
        // Page: the entry that is still there counts.
        if old.hi & EHINV == 0 && !self.tlb.iter().any(|entry| entry.overlaps(&old)) {
            self.hide(old, 1 << index);
        }
    }

    /// `entry` may translate without an index; it had one of `origins`.
    pub fn hide(&mut self, entry: Entry, origins: u16) {
        let same = |hidden: &&mut Hidden| hidden.entry == entry;
        match self.hidden.iter_mut().find(same) {
            Some(hidden) => hidden.origins |= origins,
            None => self.hidden.push(Hidden { entry, origins }),
        }
    }

    /// Hides what is hidden in `other`, too.
    pub fn hide_all(&mut self, other: &Self) {
        for hidden in &other.hidden {
            self.hide(hidden.entry, hidden.origins);
        }
    }

    /// Indices that [`Model::random`] may choose, as bits.
    pub fn unwired(&self) -> u16 {
        u16::MAX << self.read(WIRED)
    }

    /// Hidden entries that overlap `entry` are gone.
    pub fn unhide(&mut self, entry: &Entry) {
        self.hidden.retain(|hidden| !hidden.entry.overlaps(entry));
    }

    /// TLBWI of `entry`.
    pub fn write_indexed(&mut self, index: usize, entry: Entry) {
        let old = self.tlb[index];
        let same_pages = old.hi == entry.hi && old.mask == entry.mask;
        let invalid = (entry.lo[0] | entry.lo[1]) & V == 0;
        if !same_pages || invalid {
            for hidden in &mut self.hidden {
                hidden.origins &= !(1 << index);
            }
            self.hidden.retain(|hidden| hidden.origins != 0);
        }
        self.unhide(&entry);
        self.tlb[index] = entry;
    }

    /// TLBWR of `entry`.
    pub fn write_random(&mut self, entry: Entry, choices: &mut Choices) {
        let index = self.random(choices);
        self.replace(index, entry);
        self.unhide(&entry);
    }

    fn staged(&self) -> Entry {
        let lo = [self.read(ENTRY_LO0), self.read(ENTRY_LO1)];
        Entry::from_registers(
            self.read(ENTRY_HI),
            lo,
            legal_page_mask(self.read(PAGE_MASK)),
        )
    }

    pub fn tlbwi(&mut self) {
        let index = self.read(INDEX) as usize % ENTRIES;
        self.write_indexed(index, self.staged());
    }

    pub fn tlbwr(&mut self, choices: &mut Choices) {
        self.write_random(self.staged(), choices);
    }

    pub fn tlbr(&mut self) {
        let entry = self.tlb[self.read(INDEX) as usize % ENTRIES];
        self.registers.set(ENTRY_HI, entry.hi);
        self.registers.set(ENTRY_LO0, entry.lo[0]);
        self.registers.set(ENTRY_LO1, entry.lo[1]);
        self.registers.set(PAGE_MASK, entry.mask);
    }

    /// II, TLBP: with nothing found P is set, and here the number stays. A hidden entry that is
    /// found gets an index, and changes as page, "TLB", says.
    pub fn tlbp(&mut self, choices: &mut Choices) {
        let hi = self.read(ENTRY_HI);
        let is_window = self.is_window(hi);
        let found = match self.lookup(hi, hi, choices) {
            Some((_, Some(index))) => Some(index),
            Some((entry, None)) if !is_window => {
                self.hidden.retain(|hidden| hidden.entry != entry);
                let hi = entry.hi & !entry.mask & !ASID | hi & ASID;
                let index = self.random(choices);
                self.replace(index, Entry { hi, ..entry });
                Some(index)
            }
            _ => None,
        };
        let number = self.read(INDEX);
        let index = found.map_or(1 << 31 | number, |index| index as u64);
        self.registers.set(INDEX, index);
    }

    /// Takes away the entries for which `gone` holds, hidden ones too.
    fn forget(&mut self, gone: impl Fn(&Entry) -> bool) {
        for entry in &mut self.tlb {
            if gone(entry) {
                *entry = Entry::INVALID;
            }
        }
        self.hidden.retain(|hidden| !gone(&hidden.entry));
    }

    /// II, TLBINV: entries of the ASID in use that are not global.
    pub fn tlbinv(&mut self) {
        self.forget_asid(self.asid());
    }

    fn forget_asid(&mut self, asid: u64) {
        let gone = |entry: &Entry| !entry.is_global() && entry.hi & ASID == asid;
        self.forget(gone);
    }

    /// Page, "Several virtual CPUs", Shootdown.
    pub fn shoot_down(&mut self, key: u64, bytes: u64) {
        match bytes {
            SHOOTDOWN_ALL => self.invalidate_from(self.read(WIRED) as usize),
            SHOOTDOWN_ASID => self.forget_asid(key & ASID),
            _ => self.forget(|entry| {
                let start = key & (R | VPN2);
                let first = entry.hi & (R | VPN2) & !entry.mask;
                entry.hi & EHINV == 0
                    && (entry.is_global() || entry.hi & ASID == key & ASID)
                    && first < start.saturating_add(bytes)
                    && start < first + 2 * entry.page()
            }),
        }
    }

    /// II, TLBINVF: every entry; and the call TlbFlushAll, from Wired up.
    pub fn invalidate_from(&mut self, first: usize) {
        self.tlb[first..].fill(Entry::INVALID);
        self.hidden.clear();
    }

    /// The call TlbFlushPage.
    pub fn flush_page(&mut self, hi: u64) {
        for index in 0..ENTRIES {
            if self.tlb[index].matches(hi, hi) {
                let gone = std::mem::replace(&mut self.tlb[index], Entry::INVALID);
                self.unhide(&gone);
            }
        }
        self.hidden.retain(|hidden| !hidden.entry.matches(hi, hi));
    }

    /// The call TlbInsert: over the entry of the page if there is one; else as if TLBWR had
    /// written it and another had replaced it since, or as TLBWR.
    pub fn insert(&mut self, hi: u64, lo: [u64; 2], mask: u64, choices: &mut Choices) {
        let hi = hi & (R | VPN2 | ASID);
        let entry = Entry::from_registers(hi, lo, legal_page_mask(mask));
        if let Some(index) = self.tlb.iter().position(|held| held.matches(hi, hi)) {
            return self.write_indexed(index, entry);
        }
        let alone = !self.tlb.iter().any(|held| held.overlaps(&entry));
        if alone && choices.pick(2) == 0 {
            self.unhide(&entry);
            self.hide(entry, self.unwired());
        } else {
            self.write_random(entry, choices);
        }
    }
}
