//! The TLB, by its instructions.

use crate::cp0::{self, reg};

/// EntryLo: global.
pub const LO_G: u64 = 1 << 0;
/// EntryLo: valid.
pub const LO_V: u64 = 1 << 1;
/// EntryLo: dirty, that is, writable.
pub const LO_D: u64 = 1 << 2;
/// EntryLo: execution inhibited.
pub const LO_XI: u64 = 1 << 62;
/// EntryLo: read inhibited.
pub const LO_RI: u64 = 1 << 63;
/// PageMask of 4 KiB pages.
pub const MASK_4K: u64 = 0;
/// PageMask of 16 KiB pages.
pub const MASK_16K: u64 = 0x6000;
/// PageMask of 64 KiB pages.
pub const MASK_64K: u64 = 0x1_e000;
/// PageMask of 1 MiB pages.
pub const MASK_1M: u64 = 0x1f_e000;
/// Entries of the TLB.
pub const ENTRIES: u64 = 16;

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// EntryHi.
    pub hi: u64,
    /// EntryLo0.
    pub lo0: u64,
    /// EntryLo1.
    pub lo1: u64,
    /// PageMask.
    pub page_mask: u64,
}

/// EntryLo for a physical address, cached.
pub const fn lo(physical: u64, flags: u64) -> u64 {
    physical >> 12 << 6 | 5 << 3 | flags
}

fn load(entry: &Entry) {
    reg::ENTRY_HI.write(entry.hi);
    reg::ENTRY_LO0.write(entry.lo0);
    reg::ENTRY_LO1.write(entry.lo1);
    reg::PAGE_MASK.write(entry.page_mask);
}

/// `tlbwi` at `index`; EntryHi keeps its ASID.
pub fn write_indexed(index: u64, entry: &Entry) {
    let before = reg::ENTRY_HI.read();
    load(entry);
    reg::INDEX.write(index);
    cp0::tlbwi();
    reg::ENTRY_HI.write(before);
}

/// `tlbwr`; EntryHi keeps its ASID.
pub fn write_random(entry: &Entry) {
    let before = reg::ENTRY_HI.read();
    load(entry);
    cp0::tlbwr();
    reg::ENTRY_HI.write(before);
}

/// `tlbp`: the index of the entry that maps the page and ASID of `hi`.
pub fn probe(hi: u64) -> Option<u64> {
    let before = reg::ENTRY_HI.read();
    reg::ENTRY_HI.write(hi);
    cp0::tlbp();
    reg::ENTRY_HI.write(before);
    let index = reg::INDEX.read();
    (index >> 31 & 1 == 0).then_some(index)
}

/// `tlbr` of entry `index`; EntryHi keeps its ASID.
pub fn read(index: u64) -> Entry {
    let before = reg::ENTRY_HI.read();
    reg::INDEX.write(index);
    cp0::tlbr();
    let entry = Entry {
        hi: reg::ENTRY_HI.read(),
        lo0: reg::ENTRY_LO0.read(),
        lo1: reg::ENTRY_LO1.read(),
        page_mask: reg::PAGE_MASK.read(),
    };
    reg::ENTRY_HI.write(before);
    entry
}

/// Makes `asid` the current one.
pub fn set_asid(asid: u64) {
    reg::ENTRY_HI.write(asid);
}

/// Sets the registers that `tlbr` and `tlbp` leave something in to what they hold in a fresh
/// virtual machine.
pub(crate) fn clear_registers() {
    reg::INDEX.write(0);
    reg::ENTRY_LO0.write(0);
    reg::ENTRY_LO1.write(0);
    reg::PAGE_MASK.write(0);
}
