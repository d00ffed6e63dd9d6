//! One refill that the vectors do not serve, so that the page it is for can be counted.
//!
//! The vectors look a miss up under the masks of the context, in pieces below its counts. With masks and
//! counts of 0 they find nothing, and the miss comes to Rust: neither they nor the miss of any other
//! moment pay for that. When it was counted, the context is as before, and the guest tries again.
//!
//! What is used so often that it never leaves the TLB is not missed. So at times all is flushed, but
//! for the page of the guest's next instruction, which would be the first to miss each time.
//!
//! A page that is read first and written then is missed once, for reading. So a sampled page that may be
//! written is mapped read-only: a write to it is one exception more, and is counted, too.

use super::hardware::{Hardware, TlbPair};
use super::mapping::{linear_offset, page_base};
use super::pmap::Pmap;
use super::trap::Trap;
use super::vcpu::Vcpu;
use super::vtlb::{LO_D, LO_V, VPN2_MASK};
use crate::address::{GuestPage, GuestPhysical};
use disco_arch::trap::L2Slot;

/// What the vectors do not know while they find nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "without it the vectors never find anything again"]
pub struct Hidden {
    masks: [u64; 2],
    counts: [u64; 2],
}

impl Vcpu<'_> {
    /// Lets the vectors find nothing, up to [`Vcpu::show`], which is called before anything else when
    /// the monitor is entered again. `None`, and nothing has changed, if one translation, which is in their
    /// way, is in use.
    pub fn hide(&mut self) -> Option<Hidden> {
        // Under a mask of 0 every address has the tag 0.
        if self.l2.holds_tag(0) {
            return None;
        }
        let context = &mut self.context;
        let hidden = Hidden {
            masks: [context.l2_mask, context.l2_kernel_mask],
            counts: [context.linear_count, context.csseg_count],
        };
        (context.l2_mask, context.l2_kernel_mask) = (0, 0);
        (context.linear_count, context.csseg_count) = (0, 0);
        Some(hidden)
    }

    /// Lets the vectors find everything again.
    pub fn show(&mut self, hidden: Hidden) {
        let context = &mut self.context;
        [context.l2_mask, context.l2_kernel_mask] = hidden.masks;
        [context.linear_count, context.csseg_count] = hidden.counts;
    }

    /// The guest page that an address translates to, by the guest's entries that are at hand or the linear
    /// windows; `None` too if it has no machine page.
    pub fn page_at(&self, address: u64, pmap: &Pmap) -> Option<GuestPage> {
        if self.supervisor.is_some() {
            // Rare, and it has other windows.
            return None;
        }
        let page = match linear_offset(address) {
            Some(offset) => GuestPhysical(offset).page(),
            None => {
                let asid = self.asid();
                let hidden = || Some(self.l2.guest_pair(address, asid)?.0);
                let entry = self.tlb.find(address, asid).map(|(_, entry)| entry);
                let entry = entry.or_else(hidden)?;
                let (lo, bytes) = (entry.lo(address), entry.page_bytes());
                let physical = page_base(lo, bytes) | address & (bytes - 1);
                (lo & LO_V != 0).then_some(GuestPhysical(physical).page())?
            }
        };
        pmap.machine_page(page).map(|_| page)
    }

    /// Serves the refill of `trap`, a read, with an entry that allows no write, so that the first write is an
    /// exception ([`Vcpu::tlb_fault`] then gives it its rights). `false`, and nothing has changed, if it
    /// cannot or need not be: a miss in the windows, whose pages are large, or one that comes to Rust anyway.
    pub fn serve_read_only(&mut self, trap: &Trap, hardware: &mut impl Hardware) -> bool {
        let address = trap.bad_vaddr;
        if trap.is_store() || linear_offset(address).is_some() {
            return false;
        }
        let Some(slot) = self.l2.lookup(address, self.asid()) else {
            return false;
        };
        let odd = address & self.l2.granule().bytes() != 0;
        let lo = u64::from(if odd { slot.lo1 } else { slot.lo0 });
        let is_writable = lo & LO_V != 0 && lo & LO_D != 0;
        if is_writable {
            self.write_slot(slot, !LO_D as u32, hardware);
        }
        is_writable
    }

    /// Empties the real TLB but for what maps `address`, if the vectors would find that, or it is in a linear window.
    pub fn flush_all_but(&mut self, address: u64, pmap: &Pmap, hardware: &mut impl Hardware) {
        hardware.tlb_flush();
        let offset = linear_offset(address).filter(|_| self.supervisor.is_none());
        let piece = offset.and_then(|offset| pmap.linear_piece(offset));
        if let Some(pair) = piece {
            hardware.tlb_write(TlbPair {
                hi: address & VPN2_MASK,
                lo0: pair.lo0,
                lo1: pair.lo1,
                page_mask: pair.page_mask,
            });
        } else if let Some(slot) = self.l2.lookup(address, self.asid()) {
            self.write_slot(slot, u32::MAX, hardware);
        } else if let Some(offset) = offset {
            // Another pair may have its slot all the time.
            self.map_window_pair(address, offset, pmap, hardware);
        }
    }

    /// Writes a slot into the real TLB, which maps nothing of it, with the bits of `mask` alone.
    fn write_slot(&self, slot: L2Slot, mask: u32, hardware: &mut impl Hardware) {
        hardware.tlb_write(TlbPair {
            hi: slot.tag,
            lo0: slot.lo0 & mask,
            lo1: slot.lo1 & mask,
            page_mask: self.l2.granule().page_mask(),
        });
    }
}
