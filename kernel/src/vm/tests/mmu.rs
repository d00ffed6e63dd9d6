//! Random sequences of TLB instructions, calls and accesses, against a simple model of what the
//! guest may rely on.
//!
//! The model is a list of the entries that may still translate. What the guest reads back with
//! `tlbr` must be on it; an entry that `tlbwr` replaced may stay on it until the guest overwrites
//! its page, probes for it in vain, or flushes.

use super::guest::*;
use super::machine::Access;
use crate::vm::exception::code;
use crate::vm::shootdown::Request;
use crate::vm::vtlb::{TlbEntry, ASID_MASK, EHINV, LO_D, LO_G, LO_RI, LO_V, LO_XI, TLB_ENTRIES};
use disco_abi::{Call, SHOOTDOWN_ALL, SHOOTDOWN_ASID};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    WriteIndexed(u32, TlbEntry),
    WriteRandom(TlbEntry),
    Insert(TlbEntry),
    Probe(u64),
    Read(u32),
    Invalidate,
    InvalidateAll,
    FlushAll,
    FlushPage(u64),
    Shootdown(Request),
    Asid(u64),
    Wired(u64),
    Access(u64, Access),
}

/// Few pages, two of them in one slot of the second level, in user, csseg and xsseg addresses.
fn address() -> impl Strategy<Value = u64> {
    let region = prop::sample::select(vec![
        0u64,
        0x200_0000,
        0xffff_ffff_d000_0000,
        0x4000_8000_0000_0000,
    ]);
    (region, 0..0x4_0000u64).prop_map(|(region, offset)| region + (offset & !7))
}

fn asid() -> impl Strategy<Value = u64> {
    0..3u64
}

fn entry_lo() -> impl Strategy<Value = u64> {
    let flags = prop::sample::select(vec![DV, DV, DV, LO_V, LO_D, DV | LO_RI, DV | LO_XI]);
    // A few pages lie behind the guest's memory.
    (0..(PAGES + 4) * 4, flags).prop_map(|(page, flags)| page << 6 | flags)
}

fn entry() -> impl Strategy<Value = TlbEntry> {
    let mask = prop::sample::select(vec![0x6000u64, 0x6000, 0x6000, 0x6000, 0x1e000, 0]);
    let ehinv = prop::sample::select(vec![0, 0, 0, 0, 0, 0, 0, EHINV]);
    let global = prop::bool::weighted(0.3);
    (
        address(),
        asid(),
        entry_lo(),
        entry_lo(),
        mask,
        ehinv,
        global,
    )
        .prop_map(|(address, asid, lo0, lo1, page_mask, ehinv, global)| {
            let g = if global { LO_G } else { 0 };
            let page = page_mask >> 13 << 6;
            TlbEntry {
                hi: address & 0xc000_ffff_ffff_e000 & !page_mask | asid | ehinv,
                lo0: lo0 & !page | g,
                lo1: lo1 & !page | g,
                page_mask,
            }
        })
}

/// Lengths that take pairs one by one, and lengths that take the whole table.
fn shootdown_bytes() -> impl Strategy<Value = u64> {
    let pages = prop::sample::select(vec![1u64, 2, 3, 8, 40, 200]);
    prop_oneof![
        8 => pages.prop_map(|pages| pages << 12),
        1 => Just(SHOOTDOWN_ASID),
        1 => Just(SHOOTDOWN_ALL),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let hi = || (address(), asid()).prop_map(|(address, asid)| address & !0x1fff | asid);
    let access = prop::sample::select(vec![Access::Load, Access::Store, Access::Fetch]);
    prop_oneof![
        3 => (0..TLB_ENTRIES as u32, entry()).prop_map(|(i, e)| Step::WriteIndexed(i, e)),
        8 => entry().prop_map(Step::WriteRandom),
        2 => entry().prop_map(Step::Insert),
        3 => hi().prop_map(Step::Probe),
        1 => (0..TLB_ENTRIES as u32).prop_map(Step::Read),
        1 => prop::bool::weighted(0.7)
            .prop_map(|one| if one { Step::Invalidate } else { Step::InvalidateAll }),
        1 => prop::bool::weighted(0.7)
            .prop_flat_map(move |page| if page {
                (address(), asid()).prop_map(|(a, asid)| Step::FlushPage(a & !0x1fff | asid)).boxed()
            } else {
                Just(Step::FlushAll).boxed()
            }),
        2 => (hi(), shootdown_bytes())
            .prop_map(|(key, bytes)| Step::Shootdown(Request { key, bytes })),
        3 => asid().prop_map(Step::Asid),
        1 => (0..20u64).prop_map(Step::Wired),
        20 => (address(), access).prop_map(|(address, access)| Step::Access(address, access)),
    ]
}

/// The guest, and every entry that may translate for it.
struct Mmu {
    guest: Guest,
    alive: Vec<TlbEntry>,
}

impl Mmu {
    fn new() -> Self {
        Self {
            guest: Guest::new(),
            alive: Vec::new(),
        }
    }

    fn is_alive(&self, entry: &TlbEntry) -> bool {
        self.alive.iter().any(|alive| same(alive, entry))
    }

    /// Whether the guest's own TLB holds `entry`.
    fn holds(&self, entry: &TlbEntry) -> bool {
        self.guest
            .vcpu
            .tlb
            .iter()
            .any(|(_, held)| same(&held, entry))
    }

    /// `new` has been written, perhaps over `old` by its index.
    fn written(&mut self, new: TlbEntry, old: Option<TlbEntry>) {
        let mut alive = std::mem::take(&mut self.alive);
        alive.retain(|entry| {
            self.holds(entry) || !(entry.overlaps(&new) || old.is_some_and(|old| same(entry, &old)))
        });
        if new.hi & EHINV == 0 {
            alive.push(new);
        }
        self.alive = alive;
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::WriteIndexed(index, entry) => {
                let old = self.guest.vcpu.tlb.entry(index);
                self.guest.tlbwi(index, &entry);
                self.written(entry, Some(old));
                let expected = if entry.hi & EHINV == 0 {
                    entry
                } else {
                    TlbEntry::INVALID
                };
                assert_eq!(self.guest.vcpu.tlb.entry(index), expected);
            }
            Step::WriteRandom(entry) => {
                let before = self.guest.vcpu.tlb.clone();
                let wired = before.wired();
                self.guest.tlbwr(&entry);
                for index in 0..wired {
                    assert_eq!(self.guest.vcpu.tlb.entry(index), before.entry(index));
                }
                self.written(entry, None);
            }
            Step::Insert(entry) => {
                let entry = TlbEntry {
                    hi: entry.hi & !EHINV,
                    ..entry
                };
                let old = self
                    .guest
                    .vcpu
                    .tlb
                    .find(entry.hi, entry.hi)
                    .map(|(_, old)| old);
                let arguments = [entry.hi, entry.lo0, entry.lo1, entry.page_mask];
                self.guest.call(Call::TlbInsert, arguments);
                self.written(entry, old);
                let hidden = self.guest.vcpu.l2.guest_entry(entry.hi, entry.hi);
                let found = hidden.is_some_and(|hidden| same(&hidden, &entry));
                assert!(self.holds(&entry) || found, "{entry:x?}");
            }
            Step::Probe(hi) => match self.guest.tlbp(hi) {
                Some(index) => {
                    let entry = self.guest.vcpu.tlb.entry(index);
                    assert!(entry.matches(hi, hi), "{entry:x?} does not match {hi:#x}");
                    assert!(self.is_alive(&entry), "{entry:x?} was not there to find");
                }
                None => self.alive.retain(|entry| !entry.matches(hi, hi)),
            },
            Step::Read(index) => {
                let held = self.guest.vcpu.tlb.entry(index);
                assert_eq!(self.guest.tlbr(index), held);
            }
            Step::Invalidate => {
                self.guest.execute(TLBINV);
                let asid = self.guest.vcpu.asid();
                self.alive
                    .retain(|entry| entry.is_global() || entry.hi & 0x3ff != asid);
            }
            Step::InvalidateAll => {
                self.guest.execute(TLBINVF);
                self.alive.clear();
            }
            Step::FlushAll => {
                self.guest.call(Call::TlbFlushAll, [0; 4]);
                let mut alive = std::mem::take(&mut self.alive);
                alive.retain(|entry| self.holds(entry));
                self.alive = alive;
            }
            Step::FlushPage(hi) => {
                self.guest.call(Call::TlbFlushPage, [hi, 0, 0, 0]);
                self.alive.retain(|entry| !entry.matches(hi, hi));
            }
            Step::Shootdown(request) => self.shootdown(request),
            Step::Asid(asid) => self.guest.set_asid(asid),
            Step::Wired(wired) => self.guest.write_cp0(6, 0, wired),
            Step::Access(address, access) => self.access(address, access),
        }
        for (_, entry) in self.guest.vcpu.tlb.iter() {
            assert!(
                entry.hi & EHINV != 0 || self.is_alive(&entry),
                "{entry:x?} should be gone"
            );
        }
        self.guest.audit();
    }

    /// What the request names is gone. An entry is gone as a whole, unless it is wired and the
    /// request is for everything.
    fn shootdown(&mut self, request: Request) {
        let Request { key, bytes } = request;
        self.guest.vcpu.shoot_down(request, &mut self.guest.machine);
        let alive = std::mem::take(&mut self.alive);
        let asid = key & ASID_MASK;
        let same_asid = |entry: &TlbEntry| entry.hi & ASID_MASK == asid;
        let stays = |entry: &TlbEntry| match bytes {
            SHOOTDOWN_ALL => self.holds(entry),
            SHOOTDOWN_ASID => entry.is_global() || !same_asid(entry),
            bytes => {
                let start = key & !0x1fff & !ASID_MASK;
                let first = entry.hi & 0xc000_ffff_ffff_e000;
                let apart = first >= start + bytes || first + 2 * entry.page_bytes() <= start;
                apart || !(entry.is_global() || same_asid(entry))
            }
        };
        self.alive = alive.into_iter().filter(stays).collect();
    }

    fn access(&mut self, address: u64, access: Access) {
        let asid = self.guest.vcpu.asid();
        let end = self.guest.access(address, access);
        let matching = |entry: &&TlbEntry| entry.matches(address, asid);
        let held: Vec<TlbEntry> = self.guest.vcpu.tlb.iter().map(|(_, entry)| entry).collect();
        let held: Vec<&TlbEntry> = held.iter().filter(matching).collect();
        let alive: Vec<&TlbEntry> = self.alive.iter().filter(matching).collect();
        // The guest's own TLB decides where it can.
        let candidates = if held.is_empty() { &alive } else { &held };
        let allowed = candidates
            .iter()
            .any(|entry| self.expected(entry, address, access) == end)
            || held.is_empty() && end == refill(access)
            || held.len() > 1
                && alive
                    .iter()
                    .any(|entry| self.expected(entry, address, access) == end);
        assert!(
            allowed,
            "{access:?} at {address:#x} in {asid} ended with {end:x?}; entries {candidates:x?}"
        );
    }

    /// How an access ends that `entry` decides.
    fn expected(&self, entry: &TlbEntry, address: u64, access: Access) -> End {
        let exception = |code| End::Exception(code, 0x180);
        let lo = entry.lo(address);
        let bytes = entry.page_bytes();
        if lo & LO_V == 0 {
            return exception(miss_code(access));
        }
        let physical = (lo & 0x3fff_ffc0) << 6 | address & (bytes - 1);
        match access {
            Access::Fetch if lo & LO_XI != 0 => exception(code::TLBXI),
            Access::Load if lo & LO_RI != 0 => exception(code::TLBRI),
            Access::Store if lo & LO_D == 0 => exception(code::MOD),
            Access::Fetch if physical >= PAGES << 14 => exception(code::IBE),
            _ if physical >= PAGES << 14 => exception(code::DBE),
            _ => End::Machine(self.guest.machine_address(physical)),
        }
    }
}

/// Whether two entries are one. A global entry comes back from the second level with the ASID of
/// whoever looked.
fn same(a: &TlbEntry, b: &TlbEntry) -> bool {
    let hi = |entry: &TlbEntry| {
        if entry.is_global() {
            entry.hi & !ASID_MASK
        } else {
            entry.hi
        }
    };
    (hi(a), a.lo0, a.lo1, a.page_mask) == (hi(b), b.lo0, b.lo1, b.page_mask)
}

fn miss_code(access: Access) -> u8 {
    match access {
        Access::Store => code::TLBS,
        _ => code::TLBL,
    }
}

fn refill(access: Access) -> End {
    End::Exception(miss_code(access), 0x080)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]
    #[test]
    fn random_sequences_keep_to_the_model(steps in prop::collection::vec(step(), 1..160)) {
        let mut mmu = Mmu::new();
        for step in &steps {
            mmu.run(step);
        }
    }

    #[test]
    fn overwriting_every_index_leaves_nothing_older(
        steps in prop::collection::vec(step(), 1..80),
        accesses in prop::collection::vec((address(), 0..3u64), 20),
    ) {
        let mut mmu = Mmu::new();
        for step in &steps {
            mmu.run(step);
        }
        for index in 0..TLB_ENTRIES as u64 {
            let unique = TlbEntry {
                hi: 0x5000_0000 + (index << 15),
                lo0: 0,
                lo1: 0,
                page_mask: 0x6000,
            };
            mmu.guest.tlbwi(index as u32, &unique);
        }
        for (address, asid) in accesses {
            mmu.guest.set_asid(asid);
            prop_assert_eq!(mmu.guest.access(address, Access::Load), refill(Access::Load));
        }
    }
}
