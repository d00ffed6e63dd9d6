//! The architectural page-table walker (Config3.PW): the guest's tables, walked on a miss.
//!
//! Source: MIPS64 Architecture for Programmers, volume III, PWBase, PWField, PWSize and PWCtl.
//! Directory pointers must point into a linear window, as they would have to be unmapped
//! addresses on the real CPU.

use super::hardware::Hardware;
use super::mapping::linear_offset;
use super::pmap::Pmap;
use super::vcpu::Registers;
use super::vtlb::{TlbEntry, ASID_MASK, LO_G, LO_RI, LO_XI, VPN2_MASK};
use crate::address::{GuestPhysical, MachineAddress};

/// PWCtl.PWEn.
const ENABLED: u32 = 1 << 31;
/// PWCtl: walk for xkseg, xsseg, xuseg; they are bits 28, 27, 26.
const USER: u32 = 1 << 26;
const SUPERVISOR: u32 = 1 << 27;

/// A 6-bit field of PWField or PWSize.
const fn field(register: u64, lowest: u32) -> u32 {
    (register >> lowest & 0x3f) as u32
}

/// Lowest bits of the directory fields, top level first: base, global, upper, middle.
const DIRECTORIES: [u32; 4] = [32, 24, 18, 12];

impl Registers {
    /// The pair of pages that the guest's tables hold for `address`, if the guest has turned the
    /// walker on for such addresses and no directory is missing.
    pub fn walk(
        &self,
        address: u64,
        asid: u64,
        pmap: &Pmap,
        hardware: &impl Hardware,
    ) -> Option<TlbEntry> {
        let segment = match address >> 62 {
            0 => USER,
            1 => SUPERVISOR,
            _ => return None,
        };
        // PWSize.PS, 64-bit pointers: the only form that a 64-bit kernel uses.
        if self.pw_ctl & (ENABLED | segment) != ENABLED | segment || self.pw_size >> 30 & 1 == 0 {
            return None;
        }
        let slot = |pointer: u64, index: u64| {
            let slot = pointer.wrapping_add(index << 3);
            let offset = linear_offset(slot)?;
            (slot & 7 == 0).then_some(GuestPhysical(offset))
        };
        let load = |slot| pmap.read(slot, |address| hardware.load(address));
        let mut pointer = self.pw_base;
        for level in DIRECTORIES {
            let width = field(self.pw_size, level);
            if width != 0 {
                let index = address >> field(self.pw_field, level) & low_bits(width);
                pointer = load(slot(pointer, index)?)?;
            }
        }
        let page_shift = field(self.pw_field, 6);
        if !(12..=28).contains(&page_shift) || page_shift & 1 != 0 {
            return None;
        }
        let index = address >> page_shift & low_bits(field(self.pw_size, 6)) & !1;
        let rotate = field(self.pw_field, 0).checked_sub(2)?;
        let page_mask = ((2u64 << page_shift) - 1) & !0x1fff;
        // As a TLB entry is kept: no page number below the page's size, one G for both.
        let kept = LO_RI | LO_XI | 0x3fff_fffe & !(page_mask >> 13 << 6);
        let lo = |entry: u64| (entry >> rotate).rotate_right(2);
        let first = slot(pointer, index)?;
        let (even, odd) = if first.0 & 8 == 0 {
            // Behind one look at the page.
            let next = |address: MachineAddress| MachineAddress(address.0 | 8);
            pmap.read(first, |address| {
                (hardware.load(address), hardware.load(next(address)))
            })?
        } else {
            (load(first)?, load(slot(pointer, index | 1)?)?)
        };
        let (lo0, lo1) = (lo(even), lo(odd));
        let global = lo0 & lo1 & LO_G;
        Some(TlbEntry {
            hi: address & VPN2_MASK & !(page_mask | 0x1fff) | asid & ASID_MASK,
            lo0: lo0 & kept | global,
            lo1: lo1 & kept | global,
            page_mask,
        })
    }
}

const fn low_bits(width: u32) -> u64 {
    (1 << width) - 1
}
