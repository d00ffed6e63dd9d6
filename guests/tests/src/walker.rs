//! Tables for the architectural page-table walker: two levels of 16 KiB each, bits 35..25 and 24..14
//! of an address.

use crate::access::set_physical;
use crate::cp0::reg;
use crate::tlb::lo;

/// Lowest bit of the directory's index.
pub const MIDDLE: u64 = 25;
/// Lowest bit of the table's index: pages of 16 KiB.
pub const PAGE: u64 = 14;
/// Bits of either index.
pub const WIDTH: u64 = 11;
/// PWCtl: on.
pub const ENABLED: u64 = 1 << 31;
/// PWCtl: walk for user addresses.
pub const USER: u64 = 1 << 26;
/// PWCtl: walk for xsseg.
pub const SUPERVISOR: u64 = 1 << 27;
/// Software bits below what becomes EntryLo; RI and XI are the highest of them.
const PTE_SHIFT: u64 = 8;

/// An entry of a table; `flags` as in EntryLo.
pub fn pte(physical: u64, flags: u64) -> u64 {
    lo(physical, flags & 7) << PTE_SHIFT | flags >> 62 << (PTE_SHIFT - 2)
}

fn slot(table: u64, address: u64, lowest: u64) -> u64 {
    table + (address >> lowest & ((1 << WIDTH) - 1)) * 8
}

/// Physical address of the entry for `address` in the table at physical address `table`.
pub fn place(table: u64, address: u64) -> u64 {
    slot(table, address, PAGE)
}

/// Makes `pointer`, an address in a window, the table for `address` in the directory at physical
/// address `top`.
pub fn set_directory(top: u64, address: u64, pointer: u64) {
    set_physical(slot(top, address, MIDDLE), pointer);
}

/// Tells the walker of the directory at `top`, an address in a window; turns nothing on.
pub fn describe(top: u64) {
    reg::PW_BASE.write(top);
    reg::PW_FIELD.write(MIDDLE << 12 | PAGE << 6 | PTE_SHIFT);
    reg::PW_SIZE.write(1 << 30 | WIDTH << 12 | WIDTH << 6);
}
