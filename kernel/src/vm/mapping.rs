//! Misses that the vectors' assembly does not serve, and changes of the virtual TLB.
//!
//! [`Vcpu::install`] is the one place where a translation enters the second-level and the real
//! TLB, and it records the backmap first.

use super::defect::{seeded, Defect};
use super::exception::{code, Exception};
use super::hardware::{Hardware, TlbPair};
use super::l2tlb::{compact_lo, is_kernel_address, Granule};
use super::pmap::{Backing, Pmap};
use super::trap::Trap;
use super::vcpu::Vcpu;
use super::vtlb::{TlbEntry, ASID_MASK, LO_D, LO_G, LO_RI, LO_V, LO_XI, VPN2_MASK};
use crate::address::{GuestPage, GuestPhysical};
use disco_abi::{CSSEG_WINDOW, CSSEG_WINDOW_SIZE, SPECIAL_PAGE, XSSEG_MAPPED, XSSEG_WINDOW};
use disco_arch::point::pass;
use disco_magic::point;

/// Page number bits of EntryLo.
const LO_PFN: u64 = 0x3fff_ffc0;

/// How a fault ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The access can be tried again.
    Served,
    /// The guest gets an exception.
    Raise(Exception),
    /// Memory that the virtual machine has, but that has no machine page yet.
    Unbacked(GuestPage),
    /// A store that the guest allows, to a page that others may use too.
    Unshare(GuestPage),
}

/// Offset into guest-physical memory of an address in a linear window. EntryHi will do for an
/// address: it leaves bits 61 to 48 of csseg out.
pub const fn linear_offset(address: u64) -> Option<u64> {
    if let Some(offset) = xsseg_offset(address) {
        Some(offset)
    } else if address >> 62 == 3
        && (address | 0x3fff << 48) >> CSSEG_SHIFT == CSSEG_WINDOW >> CSSEG_SHIFT
    {
        Some(address & (CSSEG_WINDOW_SIZE - 1))
    } else {
        None
    }
}

/// The same for the windows in xsseg alone.
#[inline(always)]
pub(super) const fn xsseg_offset(address: u64) -> Option<u64> {
    if address >> XSSEG_SHIFT == XSSEG_WINDOW >> XSSEG_SHIFT {
        // The cached and the uncached window differ in bit 46.
        Some(address & ((1 << 46) - 1))
    } else {
        None
    }
}

/// The windows are aligned: their addresses have the bits from here on in common.
const XSSEG_SHIFT: u32 = 47;
const CSSEG_SHIFT: u32 = 28;
const _: () = assert!(XSSEG_MAPPED - XSSEG_WINDOW == 1 << XSSEG_SHIFT);
const _: () = assert!(XSSEG_WINDOW.is_multiple_of(1 << XSSEG_SHIFT));
const _: () = assert!(CSSEG_WINDOW_SIZE == 1 << CSSEG_SHIFT);
const _: () = assert!(CSSEG_WINDOW.is_multiple_of(CSSEG_WINDOW_SIZE));

/// Whether the guest's own entries decide about `address`: it is in no linear window, nor beside
/// or on the special page.
const fn is_mapped_by_guest(address: u64) -> bool {
    const PAIR: u64 = VPN2_MASK & !0x7fff;
    linear_offset(address).is_none() && (address ^ SPECIAL_PAGE) & PAIR != 0
}

/// Guest-physical address of the page that `lo` names, for pages of `bytes`.
pub(super) const fn page_base(lo: u64, bytes: u64) -> u64 {
    ((lo & LO_PFN) << 6) & !(bytes - 1)
}

impl Vcpu<'_> {
    /// The real CPU's refill exception for `address`.
    pub fn refill(
        &mut self,
        address: u64,
        trap: &Trap,
        pmap: &Pmap,
        hardware: &mut impl Hardware,
    ) -> Fault {
        if self.supervisor.is_some() && !is_mapped_by_guest(address) {
            return Fault::Raise(Exception::at(trap.address_error_code(), address));
        }
        if let Some(offset) = linear_offset(address) {
            return self.fill_linear(address, offset, trap, pmap, hardware);
        }
        let asid = self.asid();
        let Some((index, entry)) = self.tlb.find(address, asid) else {
            let Some(entry) = self.registers.walk(address, asid, pmap, hardware) else {
                self.counters.refills_reflected += 1;
                pass::<{ point::REFLECT_REFILL }>();
                let exception = Exception::at(trap.miss_code(), address);
                return Fault::Raise(Exception {
                    refill: true,
                    ..exception
                });
            };
            self.counters.walks += 1;
            pass::<{ point::WALK }>();
            let origin = self.take_in(&entry, hardware);
            return self.serve(address, &entry, origin, false, trap, pmap, hardware);
        };
        let store = trap.miss_code() == code::TLBS;
        // What an entry must have to be better than this one.
        let need = if store && entry.lo(address) & LO_V != 0 {
            LO_V | LO_D
        } else {
            LO_V
        };
        let has = |entry: &TlbEntry| entry.lo(address) & need == need;
        if !has(&entry) {
            let walked = self.registers.walk(address, asid, pmap, hardware);
            if let Some(entry) = walked.filter(has) {
                self.counters.walks += 1;
                pass::<{ point::WALK }>();
                let origin = self.replace_stale(address, asid, &entry, hardware);
                return self.serve(address, &entry, origin, false, trap, pmap, hardware);
            }
        } else {
            self.counters.vtlb_hits += 1;
            pass::<{ point::VIRTUAL_TLB }>();
        }
        self.serve(address, &entry, index, false, trap, pmap, hardware)
    }

    /// The real CPU's TLB invalid or modified exception for `address`: an entry is there but does
    /// not allow the access. The guest may have changed its mind since.
    pub fn tlb_fault(
        &mut self,
        address: u64,
        trap: &Trap,
        pmap: &Pmap,
        hardware: &mut impl Hardware,
    ) -> Fault {
        if address & !0x7fff == SPECIAL_PAGE & !0x7fff {
            return Fault::Raise(Exception::at(trap.address_error_code(), address));
        }
        if let Some(offset) = linear_offset(address) {
            return self.fill_linear(address, offset, trap, pmap, hardware);
        }
        pass::<{ point::TLB_FAULT }>();
        let asid = self.asid();
        let need = match trap.code() {
            code::MOD => LO_V | LO_D,
            _ => LO_V,
        };
        let mut valid = false;
        let mut allows = |entry: &TlbEntry| {
            valid |= entry.lo(address) & LO_V != 0;
            entry.lo(address) & need == need
        };
        let written = self.tlb.find(address, asid);
        let mut decides = written
            .filter(|(_, entry)| allows(entry))
            .map(|(index, entry)| (entry, Some(index)));
        if decides.is_none() {
            let walked = self.registers.walk(address, asid, pmap, hardware);
            decides = walked.filter(&mut allows).map(|entry| (entry, None));
        }
        // A shadow, or of entries that overlap the one that the real TLB has.
        let held = || self.l2.guest_pair(address, asid);
        if let Some((entry, origin)) = decides.is_none().then(held).flatten() {
            decides = allows(&entry).then_some((entry, Some(origin)));
        }
        let Some((entry, index)) = decides else {
            let code = if valid { trap.code() } else { trap.miss_code() };
            return Fault::Raise(Exception::at(code, address));
        };
        let origin = match index {
            Some(index) => index,
            None => {
                pass::<{ point::WALK }>();
                self.replace_stale(address, asid, &entry, hardware)
            }
        };
        self.serve(address, &entry, origin, true, trap, pmap, hardware)
    }

    /// Puts a freshly walked entry in the place of an older one of the same page in the virtual
    /// TLB, if there is one; the index it counts under.
    fn replace_stale(
        &mut self,
        address: u64,
        asid: u64,
        entry: &TlbEntry,
        hardware: &mut impl Hardware,
    ) -> u32 {
        match self.tlb.find(address, asid) {
            Some((index, old)) if old.page_mask == entry.page_mask => {
                self.tlb.write(index, *entry);
                // Parts of it that the second level holds may be other pages now.
                if !entry.only_adds_to(&old) {
                    self.forget(&old, hardware);
                }
                index
            }
            _ => self.take_in(entry, hardware),
        }
    }

    /// The index that a freshly walked entry counts under; it is in the virtual TLB from now on, unless the second level
    /// will hold it.
    fn take_in(&mut self, entry: &TlbEntry, hardware: &mut impl Hardware) -> u32 {
        let index = self.tlb.next_random();
        if !self.may_hide(entry) {
            // An invalid one that overlaps it came first, and would again.
            if let Some((index, _)) = self.tlb.iter().find(|(_, held)| held == entry) {
                return index;
            }
            let old = self.tlb.write(index, *entry);
            self.make_room(&old, hardware);
        }
        index
    }

    /// Whether the second level can hold all of `entry` in one slot where `tlbp` finds it, so that
    /// the virtual TLB need not.
    fn may_hide(&self, entry: &TlbEntry) -> bool {
        entry.pair_mask() == self.l2.granule().pair_mask()
            && is_kernel_address(entry.hi) == entry.is_global()
    }

    /// `old` has left the virtual TLB for another's sake. It goes on in the second level if that
    /// holds it; else nothing would find it, and it is forgotten.
    fn make_room(&mut self, old: &TlbEntry, hardware: &mut impl Hardware) {
        // An entry that is still there decides for the pages they have in common.
        let hidden = self.may_hide(old) && self.l2.guest_entry(old.hi, old.hi).is_some();
        if !hidden || self.tlb.overlaps(old) {
            self.forget(old, hardware);
        }
    }

    /// Serves an access that the guest's `entry` decides. `present`: the real TLB holds an entry
    /// for it already.
    #[allow(clippy::too_many_arguments)]
    fn serve(
        &mut self,
        address: u64,
        entry: &TlbEntry,
        origin: u32,
        present: bool,
        trap: &Trap,
        pmap: &Pmap,
        hardware: &mut impl Hardware,
    ) -> Fault {
        let lo = entry.lo(address);
        if lo & LO_V != 0 {
            let bytes = entry.page_bytes();
            let physical = GuestPhysical(page_base(lo, bytes) | address & (bytes - 1));
            match pmap.backing(physical.page()) {
                Backing::Nothing | Backing::Moving(_) => {
                    return self.unbacked(physical, lo, address, trap, pmap);
                }
                Backing::Shared(_) | Backing::Replicated(_)
                    if trap.is_store() && lo & LO_D != 0 =>
                {
                    return Fault::Unshare(physical.page());
                }
                _ => {}
            }
        }
        self.install(address, entry, origin, present, pmap, hardware);
        if lo & LO_V == 0 {
            let code = if trap.code() == code::MOD {
                code::TLBS
            } else {
                trap.miss_code()
            };
            return Fault::Raise(Exception::at(code, address));
        }
        Fault::Served
    }

    /// An access to guest-physical memory that has no machine page. What the guest's entry `lo`
    /// forbids comes before the bus error of memory that does not exist.
    fn unbacked(
        &self,
        physical: GuestPhysical,
        lo: u64,
        address: u64,
        trap: &Trap,
        pmap: &Pmap,
    ) -> Fault {
        if physical.page().0 < pmap.pages() {
            return Fault::Unbacked(physical.page());
        }
        let store = trap.miss_code() == code::TLBS;
        let (forbidden, code, bus_error) = if store {
            (lo & LO_D == 0, code::MOD, code::DBE)
        } else if trap.is_fetch(address) {
            (lo & LO_XI != 0, code::TLBXI, code::IBE)
        } else {
            (lo & LO_RI != 0, code::TLBRI, code::DBE)
        };
        Fault::Raise(if forbidden {
            Exception::at(code, address)
        } else {
            Exception::plain(bus_error)
        })
    }

    /// A miss in a linear window where no large page covers it.
    fn fill_linear(
        &mut self,
        address: u64,
        offset: u64,
        trap: &Trap,
        pmap: &Pmap,
        hardware: &mut impl Hardware,
    ) -> Fault {
        let physical = GuestPhysical(offset);
        match pmap.backing(physical.page()) {
            Backing::Nothing | Backing::Moving(_) => {
                return self.unbacked(physical, LO_D, address, trap, pmap);
            }
            Backing::Shared(_) | Backing::Replicated(_) if trap.is_store() => {
                return Fault::Unshare(physical.page());
            }
            _ => {}
        }
        self.counters.linear_pages += 1;
        pass::<{ point::WINDOW_PAGE }>();
        self.map_window_pair(address, offset, pmap, hardware);
        Fault::Served
    }

    /// Maps the pair of pages around `offset` of a linear window, at `address`, as it is backed now.
    pub(super) fn map_window_pair(
        &mut self,
        address: u64,
        offset: u64,
        pmap: &Pmap,
        hardware: &mut impl Hardware,
    ) {
        let granule = self.l2.granule();
        let first = offset & !granule.pair_mask();
        let machine = |offset| {
            let page = GuestPhysical(offset).page();
            let lo = pmap.map_window(page).unwrap_or(0);
            lo | small_page(offset, granule) | LO_G as u32
        };
        let (lo0, lo1) = (machine(first), machine(first + granule.bytes()));
        let tag = self.l2.tag(address, 0);
        // The windows are implied for every page: no backmap, and nothing that `tlbp` may find.
        if let Some(other) = self.l2.insert(tag, [lo0, lo1], [0; 2], 0) {
            hardware.tlb_remove(other);
        }
        hardware.tlb_remove(tag);
        hardware.tlb_write(TlbPair {
            hi: tag,
            lo0,
            lo1,
            page_mask: granule.page_mask(),
        });
    }

    /// Maps the pair of `address` as the guest's `entry` says, at the granule's size, in the
    /// second level and in the real TLB. A half that is invalid, or has no machine page, stays
    /// invalid.
    pub fn install(
        &mut self,
        address: u64,
        entry: &TlbEntry,
        origin: u32,
        present: bool,
        pmap: &Pmap,
        hardware: &mut impl Hardware,
    ) {
        if entry.page_bytes() < self.l2.granule().bytes() {
            self.l2.set_granule(Granule::Small);
            self.update_granule();
            hardware.tlb_flush();
        }
        let granule = self.l2.granule();
        let guest = granule_entry(address, entry, granule);
        let asid = self.asid();
        let kept = is_kernel_address(address) == guest.is_global();
        let tag = self.l2.tag(address, asid);
        let hi = tag | if kept { 0 } else { asid };
        let machine = |lo: u64| {
            if lo & LO_V == 0 {
                return compact_lo(lo & LO_G);
            }
            let base = page_base(lo, granule.bytes());
            let Some(backing) = pmap.map(GuestPhysical(base).page(), hi) else {
                return compact_lo(lo & LO_G);
            };
            let lo = if seeded(Defect::ExecuteInhibit) {
                lo & !LO_XI
            } else {
                lo
            };
            let lo = if seeded(Defect::Dirty) { lo | LO_D } else { lo };
            let flags = compact_lo(lo & !LO_PFN & !(7 << 3));
            backing & !(LO_D | LO_V) as u32
                | small_page(base, granule)
                | flags & (!(LO_D as u32) | backing)
        };
        let (lo0, lo1) = (machine(guest.lo0), machine(guest.lo1));
        if !kept {
            self.global_user |= !is_kernel_address(address);
            self.l2.remove(address, asid);
        } else {
            let own = [guest.lo0, guest.lo1].map(compact_lo);
            if let Some(other) = self.l2.insert(tag, [lo0, lo1], own, origin) {
                hardware.tlb_remove(other);
            }
        }
        let pair = TlbPair {
            hi,
            lo0,
            lo1,
            page_mask: granule.page_mask(),
        };
        if !present {
            hardware.tlb_write(pair);
        } else if kept && !is_kernel_address(address) && !self.global_user {
            hardware.tlb_replace(pair);
        } else {
            // Whatever answers to the address now, with or without the ASID.
            hardware.tlb_remove(tag | asid);
            hardware.tlb_write(pair);
        }
    }

    /// Inserts `entry` as if `tlbwr` had written it at `index` and another had replaced it there
    /// since, if the second level can hold it; else it is written.
    pub fn insert_hidden(
        &mut self,
        index: u32,
        entry: TlbEntry,
        pmap: &Pmap,
        hardware: &mut impl Hardware,
    ) {
        let current = entry.is_global() || (entry.hi ^ self.asid()) & ASID_MASK == 0;
        let free = is_mapped_by_guest(entry.hi) && !self.tlb.overlaps(&entry);
        if !self.may_hide(&entry) || !current || !free {
            return self.write_tlb(index, entry, true, pmap, hardware);
        }
        self.install(entry.hi & VPN2_MASK, &entry, index, true, pmap, hardware);
    }

    /// `tlbwi`, or `tlbwr` where `random`: writes `entry` at `index`.
    pub fn write_tlb(
        &mut self,
        index: u32,
        entry: TlbEntry,
        random: bool,
        pmap: &Pmap,
        hardware: &mut impl Hardware,
    ) {
        let old = self.tlb.write(index, entry);
        let same_pages = old.hi == entry.hi && old.page_mask == entry.page_mask;
        let maps = (entry.lo0 | entry.lo1) & LO_V != 0;
        if random {
            self.make_room(&old, hardware);
        } else if !(same_pages && maps) {
            self.forget(&old, hardware);
            self.l2
                .remove_where(|_, origin| origin == index, |tag| hardware.tlb_remove(tag));
        }
        self.forget(&entry, hardware);
        // What the guest writes it mostly uses at once.
        let pair_in_use = entry.hi & super::vtlb::EHINV == 0
            && entry.page_bytes() <= Granule::Page.bytes()
            && (entry.is_global() || (entry.hi ^ self.asid()) & ASID_MASK == 0)
            && is_mapped_by_guest(entry.hi);
        if pair_in_use {
            self.install(entry.hi & VPN2_MASK, &entry, index, false, pmap, hardware);
        }
    }

    /// Takes all translations of `entry` out of the second level and the real TLB.
    pub fn forget(&mut self, entry: &TlbEntry, hardware: &mut impl Hardware) {
        if entry.hi & super::vtlb::EHINV != 0 {
            return;
        }
        let address = entry.hi & VPN2_MASK;
        let one_pair = entry.pair_mask() == self.l2.granule().pair_mask();
        let one_tag = is_kernel_address(address) || !entry.is_global();
        if one_pair && one_tag {
            self.l2.remove(address, entry.hi);
            hardware.tlb_remove(address & !entry.pair_mask() | entry.hi & ASID_MASK);
            return;
        }
        let mask = VPN2_MASK & !(entry.pair_mask() | self.l2.granule().pair_mask());
        let any_asid = one_tag && is_kernel_address(address) || entry.is_global();
        self.l2.remove_where(
            |tag, _| (tag ^ address) & mask == 0 && (any_asid || (tag ^ entry.hi) & ASID_MASK == 0),
            |_| (),
        );
        hardware.tlb_flush();
    }

    /// `tlbp` for EntryHi: the index of the entry, which may have to come back from the second
    /// level.
    pub fn probe(&mut self, entry_hi: u64, hardware: &mut impl Hardware) -> Option<u32> {
        let address = entry_hi & VPN2_MASK;
        if let Some((index, _)) = self.tlb.find(address, entry_hi) {
            return Some(index);
        }
        if linear_offset(address).is_some() {
            return None;
        }
        let entry = self.l2.guest_entry(address, entry_hi)?;
        let index = self.tlb.next_random();
        let old = self.tlb.write(index, entry);
        self.make_room(&old, hardware);
        Some(index)
    }

    /// Forgets what maps a page: the monitor call `TlbFlushPage`.
    pub fn flush_page(&mut self, entry_hi: u64, hardware: &mut impl Hardware) {
        let address = entry_hi & VPN2_MASK;
        while let Some((index, entry)) = self.tlb.find(address, entry_hi) {
            self.tlb.write(index, TlbEntry::INVALID);
            self.forget(&entry, hardware);
        }
        if linear_offset(address).is_none() {
            let mask = self.l2.granule().pair_mask();
            self.l2.remove(address, entry_hi);
            hardware.tlb_remove(address & !mask | entry_hi & ASID_MASK);
        }
    }

    /// Forgets every entry but the wired ones. The linear windows stay in the second level.
    pub fn flush_all(&mut self, hardware: &mut impl Hardware) {
        for index in self.tlb.wired()..super::vtlb::TLB_ENTRIES as u32 {
            self.tlb.write(index, TlbEntry::INVALID);
        }
        self.l2
            .remove_where(|tag, _| linear_offset(tag).is_none(), |_| ());
        hardware.tlb_flush();
        self.global_user = false;
    }
}

/// Page number bits of a 4 KiB page within the monitor's page.
const fn small_page(physical: u64, granule: Granule) -> u32 {
    match granule {
        Granule::Small => ((physical >> 12 & 3) << 6) as u32,
        Granule::Page => 0,
    }
}

/// The part of a guest's entry that covers the granule's pair at `address`.
fn granule_entry(address: u64, entry: &TlbEntry, granule: Granule) -> TlbEntry {
    let bytes = entry.page_bytes();
    if bytes == granule.bytes() {
        return *entry;
    }
    let lo = entry.lo(address);
    let first = address & (bytes - 1) & !granule.pair_mask();
    let part = |offset: u64| lo & !LO_PFN | (page_base(lo, bytes) + offset) >> 6 & LO_PFN;
    let global = |lo: u64| {
        if entry.is_global() {
            lo | LO_G
        } else {
            lo & !LO_G
        }
    };
    TlbEntry {
        hi: address & VPN2_MASK & !granule.pair_mask() | entry.hi & ASID_MASK,
        lo0: global(part(first)),
        lo1: global(part(first + granule.bytes())),
        page_mask: u64::from(granule.page_mask()),
    }
}
