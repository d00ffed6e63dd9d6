//! The usual misses of a usual guest, without the many cases of `mapping.rs`: a page pair of a program, of 16 KiB each, that the
//! guest's tables or a monitor call name, where the virtual TLB has no say about programs' addresses.
//!
//! EntryLo is in the 32 bits that `mtc0` takes here. What is served has the same effects as there; what is not has none.

use super::defect::{seeded, Defect};
use super::exception::code;
use super::hardware::{Hardware, TlbPair};
use super::l2tlb::Granule;
use super::pmap::Pmap;
use super::trap::Trap;
use super::vcpu::{addressing, Vcpu, ADDRESSING};
use super::vtlb::{ASID_MASK, LO_D, LO_G, LO_V};
use crate::address::GuestPage;
use disco_arch::cp0::Status;
use disco_arch::point::pass;
use disco_magic::point;

/// EntryLo: global, valid, writable.
const G: u32 = LO_G as u32;
const V: u32 = LO_V as u32;
const D: u32 = LO_D as u32;
/// Bits of EntryLo that decide what is allowed: RI, XI, D, V, G.
const RIGHTS: u32 = 0xc000_0007;
/// What an entry that is not global keeps.
const KEPT: u32 = !(3 << 6) & !G;
/// Number of a page of 16 KiB, in EntryLo.
const PAGE: u32 = 0x3fff_ff00;

/// Addresses of programs.
const fn is_user(address: u64) -> bool {
    address >> 48 == 0
}

/// How it ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plain {
    /// It is none of these.
    No,
    /// The access can be tried again.
    Served,
    /// The guest gets this exception of the TLB, at the general vector.
    Raise(u8),
}

/// Both halves of a pair, in registers: `map` of an array would go through memory.
#[inline(always)]
fn both([even, odd]: [u32; 2], half: impl Fn(u32) -> u32) -> [u32; 2] {
    [half(even), half(odd)]
}

/// The half of a pair that maps `address`.
const fn half([even, odd]: [u32; 2], address: u64) -> u32 {
    if address & Granule::Page.bytes() == 0 {
        even
    } else {
        odd
    }
}

/// Whether what the guest's `lo` allows can be had by `real`: there is a machine page, and a store that the guest allows needs
/// none of its own first.
const fn is_usable(lo: u32, real: u32, store: bool) -> bool {
    let rights = if store { lo & (V | D) } else { lo & V };
    real & rights == rights
}

impl Vcpu<'_> {
    /// Whether pairs of 16 KiB are what the second level holds, and no entry of the virtual TLB maps a program's address.
    const fn is_plain(&self) -> bool {
        matches!(self.l2.granule(), Granule::Page) && !self.tlb.has_user() && !self.global_user
    }

    /// Serves a refill from the guest's tables. It is not served if they name no page that the access may use.
    pub fn plain_refill(
        &mut self,
        address: u64,
        store: bool,
        pmap: &Pmap,
        hardware: &mut impl Hardware,
    ) -> Plain {
        let Some(walked) = self.walk_for(address, pmap, hardware) else {
            return Plain::No;
        };
        let tag = self.l2.tag(address, self.asid());
        let real = both(walked, |lo| machine_lo(lo, tag, pmap));
        let asked = half(walked, address);
        if !is_usable(asked, half(real, address), store) {
            return Plain::No;
        }
        self.counters.walks += 1;
        pass::<{ point::WALK }>();
        let origin = self.tlb.next_random();
        self.hold(tag, real, walked, origin, hardware);
        if asked & V == 0 {
            return Plain::Raise(if store { code::TLBS } else { code::TLBL });
        }
        hardware.tlb_write(pair_of(tag, real));
        Plain::Served
    }

    /// Looks whether the guest's tables allow meanwhile what the entry in the TLB did not: exception `code`, one of the
    /// TLB's.
    pub fn plain_fault(
        &mut self,
        address: u64,
        code: u8,
        pmap: &Pmap,
        hardware: &mut impl Hardware,
    ) -> Plain {
        let Some(walked) = self.walk_for(address, pmap, hardware) else {
            return Plain::No;
        };
        let tag = self.l2.tag(address, self.asid());
        let asked = half(walked, address);
        let need = if code == code::MOD { V | D } else { V };
        if asked & need != need {
            // What the second level has of it, if anything, is for the usual way, but for an entry that is no better.
            let held = self.l2.guest_lo(tag);
            let held = held.map(|pair| half(pair, address));
            let is_same = held.is_none_or(|lo| (lo ^ asked) & (V | D) == 0);
            let is_sure = is_same && (asked & V != 0) == (code == code::MOD);
            return if is_sure && !self.l2.is_victim(tag) {
                Plain::Raise(code)
            } else {
                Plain::No
            };
        }
        let real = both(walked, |lo| machine_lo(lo, tag, pmap));
        if !is_usable(asked, half(real, address), code != code::TLBL) {
            return Plain::No;
        }
        pass::<{ point::WALK }>();
        let origin = self.tlb.next_random();
        self.hold(tag, real, walked, origin, hardware);
        hardware.tlb_replace(pair_of(tag, real));
        Plain::Served
    }

    /// Raises an exception of the TLB, `code`, in the guest's kernel, and brings the virtual CPU to the point of going on there.
    /// It is not done, and nothing is changed, unless user mode was at an instruction's data, in no delay slot.
    #[inline(always)]
    pub fn plain_raise(&mut self, code: u8, trap: &Trap) -> bool {
        let (special, context) = (self.special, &mut self.context);
        let address = trap.bad_vaddr;
        let status = u64::from(special.status());
        let is_usual = trap.user
            && context.syscall_vector != 0
            && context.base_status & ADDRESSING == addressing(status)
            && !trap.in_delay_slot()
            && !trap.is_fetch(address);
        if !is_usual {
            return false;
        }
        special.set_bad_instr(trap.bad_instr);
        special.set_epc(trap.epc);
        special.set_cause(context.cause_base as u32 | u32::from(code) << 2);
        special.set_status(status as u32 | Status::EXL.bits());
        context.pc = context.syscall_vector;
        let supervisor = u64::from(Status::KSU_SUPERVISOR.bits());
        context.status = context.base_status | supervisor | status & context.fpu_mask;
        self.set_bad_vaddr(address);
        self.set_fault_page(address);
        self.counters.exceptions_reflected += 1;
        pass::<{ point::REFLECT }>();
        true
    }

    /// What the guest's tables hold for the pair of a program's `address`, if it is not global.
    fn walk_for(&self, address: u64, pmap: &Pmap, hardware: &impl Hardware) -> Option<[u32; 2]> {
        if !is_user(address) || !self.is_plain() {
            return None;
        }
        let walked = self.registers.walk_plain(address, pmap, hardware);
        walked.filter(|[even, odd]| even & odd & G == 0)
    }

    /// Does what the monitor call `TlbInsert` asks for; whether it could be.
    pub fn plain_insert(&mut self, pmap: &Pmap, hardware: &mut impl Hardware) -> bool {
        let [_, _, _, _, hi, lo0, lo1, page_mask, ..] = self.context.gpr;
        let is_here = (hi ^ self.asid()) & ASID_MASK == 0;
        let is_page = page_mask == Granule::Page.page_mask() as u64;
        if !is_user(hi) || !is_here || !is_page || lo0 & lo1 & LO_G != 0 || !self.is_plain() {
            return false;
        }
        let tag = self.l2.tag(hi, hi);
        let guest = [compact(lo0), compact(lo1)];
        let real = both(guest, |lo| machine_lo(lo, tag, pmap));
        let origin = self.tlb.next_random();
        self.hold(tag, real, guest, origin, hardware);
        hardware.tlb_replace(pair_of(tag, real));
        true
    }

    /// Puts a pair into the second level.
    fn hold(
        &mut self,
        tag: u64,
        real: [u32; 2],
        guest: [u32; 2],
        origin: u32,
        hardware: &mut impl Hardware,
    ) {
        let guest = both(guest, |lo| lo & KEPT);
        if let Some(other) = self.l2.insert(tag, real, guest, origin) {
            hardware.tlb_remove(other);
        }
    }
}

/// EntryLo of 64 bits as `mtc0` takes it.
const fn compact(lo: u64) -> u32 {
    (lo & 0x3fff_ffff) as u32 | (lo >> 32) as u32 & 0xc000_0000
}

/// What maps the machine page behind a guest's page as the guest's `lo` allows it; 0 if that is not valid, or there is
/// none.
fn machine_lo(lo: u32, tag: u64, pmap: &Pmap) -> u32 {
    if lo & V == 0 {
        return 0;
    }
    let page = GuestPage(u64::from((lo & PAGE) >> 8));
    let Some(backing) = pmap.map(page, tag) else {
        return 0;
    };
    let lo = if seeded(Defect::ExecuteInhibit) {
        lo & !(1 << 30)
    } else {
        lo
    };
    let lo = if seeded(Defect::Dirty) { lo | D } else { lo };
    backing & !(D | V) | lo & RIGHTS & !G & (!D | backing)
}

fn pair_of(tag: u64, [lo0, lo1]: [u32; 2]) -> TlbPair {
    TlbPair {
        hi: tag,
        lo0,
        lo1,
        page_mask: Granule::Page.page_mask(),
    }
}
