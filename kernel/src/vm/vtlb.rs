//! The virtual TLB: the entries that the guest wrote, as it would read them.

use super::defect::{seeded, Defect};

/// Entries of the virtual TLB, as many as QEMU's I6400 has (Config1.MMUSize).
pub const TLB_ENTRIES: usize = 16;

/// EntryHi.EHINV: the entry maps nothing.
pub const EHINV: u64 = 1 << 10;
/// ASID bits of EntryHi.
pub const ASID_MASK: u64 = 0x3ff;
/// VPN2 and R of EntryHi with 48-bit addresses.
pub const VPN2_MASK: u64 = 0xc000_ffff_ffff_e000;
/// EntryLo: global.
pub const LO_G: u64 = 1 << 0;
/// EntryLo: valid.
pub const LO_V: u64 = 1 << 1;
/// EntryLo: dirty, that is, writable.
pub const LO_D: u64 = 1 << 2;
/// EntryLo: execute inhibit.
pub const LO_XI: u64 = 1 << 62;
/// EntryLo: read inhibit.
pub const LO_RI: u64 = 1 << 63;

/// One entry, in the form of the guest's registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TlbEntry {
    /// R, VPN2, ASID and EHINV.
    pub hi: u64,
    /// Even page; G is the AND of both.
    pub lo0: u64,
    /// Odd page.
    pub lo1: u64,
    /// Mask field of PageMask, bits 28..13.
    pub page_mask: u64,
}

impl TlbEntry {
    /// Maps nothing.
    pub const INVALID: Self = Self {
        hi: EHINV,
        lo0: 0,
        lo1: 0,
        page_mask: 0,
    };

    /// Whether every ASID uses it.
    pub const fn is_global(&self) -> bool {
        self.lo0 & self.lo1 & LO_G != 0
    }

    /// Address bits within the pair of pages.
    pub const fn pair_mask(&self) -> u64 {
        self.page_mask | 0x1fff
    }

    /// Bytes of one page.
    pub const fn page_bytes(&self) -> u64 {
        (self.pair_mask() >> 1) + 1
    }

    /// Whether it maps `address` for `asid`.
    pub const fn matches(&self, address: u64, asid: u64) -> bool {
        self.hi & EHINV == 0
            && (self.hi ^ address) & VPN2_MASK & !self.pair_mask() == 0
            && (self.is_global() || (self.hi ^ asid) & ASID_MASK == 0)
    }

    /// Whether both map some address for the same ASID.
    pub const fn overlaps(&self, other: &Self) -> bool {
        let mask = !(self.pair_mask() | other.pair_mask()) & VPN2_MASK;
        self.hi & EHINV == 0
            && other.hi & EHINV == 0
            && (self.hi ^ other.hi) & mask == 0
            && (self.is_global() || other.is_global() || (self.hi ^ other.hi) & ASID_MASK == 0)
    }

    /// Whether it allows more than `older`, an entry of the same pages, at most, and maps nothing
    /// elsewhere.
    pub const fn only_adds_to(&self, older: &Self) -> bool {
        const fn adds(lo: u64, older: u64) -> bool {
            let added = lo ^ older;
            added & LO_G == 0 && (older & LO_V == 0 || added & !(lo & LO_D) == 0)
        }
        adds(self.lo0, older.lo0) && adds(self.lo1, older.lo1)
    }

    /// EntryLo of the page that holds `address`.
    pub const fn lo(&self, address: u64) -> u64 {
        if address & self.page_bytes() == 0 {
            self.lo0
        } else {
            self.lo1
        }
    }
}

/// What an address has to be for an entry to map it, whatever the ASID.
#[derive(Clone, Copy, Debug)]
struct Key {
    mask: u64,
    page: u64,
}

impl Key {
    /// No address has bit 0 under a mask of page bits.
    const NONE: Self = Self { mask: 0, page: 1 };

    const fn of(entry: &TlbEntry) -> Self {
        if entry.hi & EHINV != 0 {
            return Self::NONE;
        }
        let mask = VPN2_MASK & !entry.pair_mask();
        Self {
            mask,
            page: entry.hi & mask,
        }
    }
}

/// The entries and the registers that choose one.
#[derive(Clone, Debug)]
pub struct VirtualTlb {
    entries: [TlbEntry; TLB_ENTRIES],
    /// For each entry, which address bits it compares and with what: the search is on the way of
    /// every miss.
    keys: [Key; TLB_ENTRIES],
    /// Which entries map something, a bit each: few, where the second level holds what the guest
    /// inserts.
    live: u16,
    /// Those of them that map programs' addresses.
    user: u16,
    random: u8,
    /// Wired: entries below are not replaced at random.
    wired: u8,
}

impl VirtualTlb {
    /// Maps nothing; no entry is wired.
    pub const fn new() -> Self {
        Self {
            entries: [TlbEntry::INVALID; TLB_ENTRIES],
            keys: [Key::NONE; TLB_ENTRIES],
            live: 0,
            user: 0,
            random: 0,
            wired: 0,
        }
    }

    /// The entry at `index`, which wraps at the TLB's size as QEMU's does.
    pub fn entry(&self, index: u32) -> TlbEntry {
        self.entries[index as usize % TLB_ENTRIES]
    }

    /// Writes `entry` at `index` and returns what was there.
    pub fn write(&mut self, index: u32, entry: TlbEntry) -> TlbEntry {
        let index = index as usize % TLB_ENTRIES;
        let old = core::mem::replace(&mut self.entries[index], entry);
        self.keys[index] = Key::of(&entry);
        let is_live = u16::from(entry.hi & EHINV == 0);
        self.live = self.live & !(1 << index) | is_live << index;
        let is_user = is_live & u16::from(entry.hi >> 62 == 0);
        self.user = self.user & !(1 << index) | is_user << index;
        old
    }

    /// The entry that maps `address` for `asid`, and its index.
    pub fn find(&self, address: u64, asid: u64) -> Option<(u32, TlbEntry)> {
        let any = seeded(Defect::AsidMatch);
        self.live().find_map(|index| {
            let (key, entry) = (self.keys[index], &self.entries[index]);
            let found = address & key.mask == key.page
                && entry.matches(address, if any { entry.hi } else { asid });
            found.then_some((index as u32, *entry))
        })
    }

    /// Whether some entry and `other` both map an address for the same ASID.
    pub fn overlaps(&self, other: &TlbEntry) -> bool {
        self.live().any(|index| self.entries[index].overlaps(other))
    }

    /// The indices of entries that map something, in order.
    fn live(&self) -> impl Iterator<Item = usize> {
        let mut rest = u32::from(self.live);
        core::iter::from_fn(move || {
            (rest != 0).then(|| {
                let index = rest.trailing_zeros() as usize % TLB_ENTRIES;
                rest &= rest - 1;
                index
            })
        })
    }

    /// Whether any maps programs' addresses.
    pub const fn has_user(&self) -> bool {
        self.user != 0
    }

    /// The number of wired entries.
    pub const fn wired(&self) -> u32 {
        self.wired as u32
    }

    /// Sets Wired; a value beyond the last entry is ignored, as release 6 has it.
    pub fn set_wired(&mut self, value: u32) {
        if value < TLB_ENTRIES as u32 {
            self.wired = value as u8;
        }
    }

    /// The next entry for `tlbwr`: never a wired one.
    pub fn next_random(&mut self) -> u32 {
        self.random = if self.random as usize + 1 >= TLB_ENTRIES || self.random < self.wired {
            self.wired
        } else {
            self.random + 1
        };
        u32::from(self.random)
    }

    /// All entries, with their indices.
    pub fn iter(&self) -> impl Iterator<Item = (u32, TlbEntry)> + '_ {
        self.entries
            .iter()
            .enumerate()
            .map(|(index, &entry)| (index as u32, entry))
    }
}

impl Default for VirtualTlb {
    fn default() -> Self {
        Self::new()
    }
}
