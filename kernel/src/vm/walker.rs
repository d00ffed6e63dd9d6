//! The architectural page-table walker (Config3.PW): the guest's tables, walked on a miss.
//!
//! Source: MIPS64 Architecture for Programmers, volume III, PWBase, PWField, PWSize and PWCtl.
//! Directory pointers must point into a linear window, as they would have to be unmapped
//! addresses on the real CPU.

use super::hardware::Hardware;
use super::l2tlb::Granule;
use super::mapping::{linear_offset, xsseg_offset};
use super::pmap::Pmap;
use super::vcpu::Registers;
use super::vtlb::{TlbEntry, ASID_MASK, LO_G, LO_RI, LO_XI, VPN2_MASK};
use crate::address::{GuestPhysical, MachineAddress};

/// PWCtl.PWEn.
const ENABLED: u32 = 1 << 31;
/// PWCtl: walk for xkseg, xsseg, xuseg; they are bits 28, 27, 26.
const USER: u32 = 1 << 26;
const SUPERVISOR: u32 = 1 << 27;

/// PWSize.PS, 64-bit pointers: the only form that a 64-bit kernel uses.
const WIDE: u64 = 1 << 30;

/// A 6-bit field of PWField or PWSize.
const fn field(register: u64, lowest: u32) -> u32 {
    (register >> lowest & 0x3f) as u32
}

/// Lowest bits of the directory fields, top level first: base, global, upper, middle.
const DIRECTORIES: [u32; 4] = [32, 24, 18, 12];

/// Which bits of an address choose a slot of a table.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    shift: u32,
    mask: u64,
}

impl Level {
    const fn slot(self, address: u64) -> u64 {
        address >> self.shift & self.mask
    }
}

/// How to walk, worked out when the registers that say it are written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// For which of the four quarters of the address space, a bit each.
    segments: u8,
    /// Directories, top level first.
    directories: [Level; 4],
    /// How many there are.
    count: usize,
    /// The table with the entries.
    table: Level,
    /// By what an entry is rotated to become EntryLo.
    rotate: u32,
    page_mask: u64,
    /// Pages are of 16 KiB.
    is_plain: bool,
    /// Bits of EntryLo that a TLB entry keeps.
    kept: u64,
}

impl Plan {
    /// That of registers with these values.
    fn of(pw_ctl: u32, pw_field: u64, pw_size: u64) -> Option<Self> {
        let page_shift = field(pw_field, 6);
        let is_page = (12..=28).contains(&page_shift) && page_shift & 1 == 0;
        if pw_ctl & ENABLED == 0 || pw_size & WIDE == 0 || !is_page {
            return None;
        }
        let mut directories = [Level::default(); 4];
        let mut count = 0;
        let used = DIRECTORIES
            .iter()
            .filter(|&&level| field(pw_size, level) != 0);
        for (&level, place) in used.zip(&mut directories) {
            *place = Level {
                shift: field(pw_field, level),
                mask: low_bits(field(pw_size, level)),
            };
            count += 1;
        }
        let page_mask = ((2u64 << page_shift) - 1) & !0x1fff;
        let user = u8::from(pw_ctl & USER != 0);
        let supervisor = u8::from(pw_ctl & SUPERVISOR != 0);
        Some(Self {
            segments: user | supervisor << 1,
            directories,
            count,
            table: Level {
                shift: page_shift,
                mask: low_bits(field(pw_size, 6)) & !1,
            },
            rotate: field(pw_field, 0).checked_sub(2)?,
            page_mask,
            is_plain: page_mask == u64::from(Granule::Page.page_mask()),
            // As a TLB entry is kept: no page number below the page's size, one G for both.
            kept: LO_RI | LO_XI | 0x3fff_fffe & !(page_mask >> 13 << 6),
        })
    }
}

impl Registers {
    /// Works out how to walk from now on.
    #[link_section = ".text.once"]
    #[inline(never)]
    pub fn plan_walks(&mut self) {
        self.plan = Plan::of(self.pw_ctl, self.pw_field, self.pw_size).unwrap_or_default();
    }

    /// The same as [`Registers::walk`] for tables of pages of 16 KiB with 8-byte entries in pairs: EntryLo of both pages
    /// in the 32 bits that `mtc0` takes. The tables lie in the windows in xsseg.
    pub fn walk_plain(
        &self,
        address: u64,
        pmap: &Pmap,
        hardware: &impl Hardware,
    ) -> Option<[u32; 2]> {
        let plan = &self.plan;
        if !plan.is_plain || plan.segments & 1 == 0 {
            return None;
        }
        let slot = |pointer: u64, index: u64| {
            let slot = pointer.wrapping_add(index << 3);
            let offset = xsseg_offset(slot)?;
            (slot & 7 == 0).then_some(GuestPhysical(offset))
        };
        let mut pointer = self.pw_base;
        for level in plan.directories.iter().take(plan.count) {
            let slot = slot(pointer, level.slot(address))?;
            pointer = pmap.read_once(slot, |address| hardware.load(address))?;
        }
        let first = slot(pointer, plan.table.slot(address))?;
        if first.0 & 8 != 0 {
            return None;
        }
        // Not with `map`, which would go through memory.
        let (even, odd) = pmap.read_once(first, |address| {
            let next = MachineAddress(address.0 | 8);
            (hardware.load(address), hardware.load(next))
        })?;
        let lo = |entry: u64| {
            let entry = entry >> plan.rotate;
            (entry >> 2) as u32 & 0x3fff_ffff | (entry as u32) << 30
        };
        Some([lo(even), lo(odd)])
    }

    /// The pair of pages that the guest's tables hold for `address`, if the guest has turned the
    /// walker on for such addresses and no directory is missing.
    pub fn walk(
        &self,
        address: u64,
        asid: u64,
        pmap: &Pmap,
        hardware: &impl Hardware,
    ) -> Option<TlbEntry> {
        let plan = &self.plan;
        if plan.segments >> (address >> 62) & 1 == 0 {
            return None;
        }
        let slot = |pointer: u64, index: u64| {
            let slot = pointer.wrapping_add(index << 3);
            let offset = linear_offset(slot)?;
            (slot & 7 == 0).then_some(GuestPhysical(offset))
        };
        let load = |slot| pmap.read(slot, |address| hardware.load(address));
        let mut pointer = self.pw_base;
        for level in plan.directories.iter().take(plan.count) {
            pointer = load(slot(pointer, level.slot(address))?)?;
        }
        let index = plan.table.slot(address);
        let lo = |entry: u64| (entry >> plan.rotate).rotate_right(2);
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
            hi: address & VPN2_MASK & !(plan.page_mask | 0x1fff) | asid & ASID_MASK,
            lo0: lo0 & plan.kept | global,
            lo1: lo1 & plan.kept | global,
            page_mask: plan.page_mask,
        })
    }
}

const fn low_bits(width: u32) -> u64 {
    (1 << width) - 1
}
