use super::assembly::slot_index;
use super::guest::{lo, Guest, DV};
use super::machine::Access;
use crate::vm::l2tlb::{compact_lo, expand_lo, Granule, L2Tlb};
use crate::vm::vtlb::{TlbEntry, LO_G, LO_RI, LO_XI};
use disco_abi::XSSEG_MAPPED;
use disco_arch::trap::{L2_EMPTY, L2_ENTRIES};
use proptest::prelude::*;

/// Addresses a guest can have a miss at: user, xsseg, csseg.
pub fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..1u64 << 48,
        (0..1u64 << 32).prop_map(|low| XSSEG_MAPPED | low),
        (0..1u64 << 28).prop_map(|low| 0xffff_ffff_d000_0000 | low),
    ]
}

fn granule() -> impl Strategy<Value = Granule> {
    prop_oneof![Just(Granule::Small), Just(Granule::Page)]
}

proptest! {
    #[test]
    fn slot_is_the_one_that_the_assembly_looks_at(
        address in address(), asid in 0..1024u64, granule in granule(),
    ) {
        let mut guest = Guest::new();
        guest.vcpu.l2.set_granule(granule);
        guest.vcpu.update_granule();
        let context = &guest.vcpu.context;
        let mask = if address >> 62 == 0 { context.l2_mask } else { context.l2_kernel_mask };
        let entry_hi = address & 0xc000_ffff_ffff_e000 | asid;
        let tag = guest.vcpu.l2.tag(address, asid);
        prop_assert_eq!(tag, entry_hi & mask);
        let slot = slot_index(tag, context.l2_shift);
        let _ = guest.vcpu.l2.insert(tag, [1, 2], [0; 2], 0);
        prop_assert_eq!(guest.vcpu.l2.slot(slot).tag, tag);
        prop_assert_eq!(guest.vcpu.l2.iter().count(), 1);
        prop_assert_ne!(tag, L2_EMPTY);
    }

    #[test]
    fn compact_form_keeps_every_bit(value in any::<u64>()) {
        let kept = value & (LO_RI | LO_XI | 0x3fff_ffff);
        prop_assert_eq!(expand_lo(compact_lo(value)), kept);
    }
}

fn entry(lo0: u64, lo1: u64) -> TlbEntry {
    TlbEntry {
        hi: 0,
        lo0,
        lo1,
        page_mask: 0x6000,
    }
}

#[test]
fn insert_lookup_remove() {
    let mut l2 = L2Tlb::new();
    let guest = entry(lo(0x4000, DV) | LO_XI, lo(0x8000, DV));
    let tag = l2.tag(0x12_3456_7890, 5);
    assert_eq!(
        l2.insert(tag, [10, 20], [guest.lo0, guest.lo1].map(compact_lo), 3),
        None
    );
    let slot = l2.lookup(0x12_3456_0000, 5).unwrap();
    assert_eq!((slot.tag, slot.lo0, slot.lo1), (tag, 10, 20));
    let found = l2.guest_entry(0x12_3456_7890, 5).unwrap();
    assert_eq!((found.lo0, found.lo1), (guest.lo0, guest.lo1));
    assert!(found.matches(0x12_3456_7890, 5));
    assert!(l2.lookup(0x12_3456_0000, 6).is_none());
    assert!(l2.lookup(0x12_3456_8000, 5).is_none());
    assert!(!l2.remove(0x12_3456_0000, 6));
    assert!(l2.remove(0x12_3456_0000, 5));
    assert!(l2.lookup(0x12_3456_0000, 5).is_none());
}

#[test]
fn a_displaced_pair_is_found_until_eight_others_are() {
    let mut l2 = L2Tlb::new();
    let guest = [lo(0x4000, DV), 0].map(compact_lo);
    let address = |n: u64| (n * (L2_ENTRIES as u64)) << 15;
    let insert = |l2: &mut L2Tlb, n: u64| {
        let tag = l2.tag(address(n), 0);
        l2.insert(tag, [0; 2], guest, 3)
    };
    assert_eq!(insert(&mut l2, 0), None);
    assert_eq!(insert(&mut l2, 0), None, "the same pair");
    for n in 1..9 {
        assert_eq!(insert(&mut l2, n), None);
        assert!(l2.lookup(address(n - 1), 0).is_none());
        assert!(l2.guest_entry(address(n - 1), 0).is_some(), "{n}");
    }
    assert_eq!(insert(&mut l2, 9), Some(l2.tag(address(0), 0)));
    assert!(l2.guest_entry(address(0), 0).is_none());
    assert!(l2.remove(address(5), 0) && l2.guest_entry(address(5), 0).is_none());
    let mut removed = 0;
    l2.remove_where(|_, origin| origin == 3, |_| removed += 1);
    assert_eq!(removed, 8);
}

#[test]
fn remove_where_sees_tag_and_origin() {
    let mut l2 = L2Tlb::new();
    for page in 0..8u64 {
        let tag = l2.tag(page << 15, 1);
        let _ = l2.insert(tag, [0; 2], [0; 2], page as u32);
    }
    let mut removed = Vec::new();
    l2.remove_where(|_, origin| origin % 2 == 1, |tag| removed.push(tag >> 15));
    removed.sort_unstable();
    assert_eq!(removed, [1, 3, 5, 7]);
    assert_eq!(l2.iter().count(), 4);
}

#[test]
fn the_first_small_page_changes_the_granule() {
    let mut guest = Guest::new();
    let large = TlbEntry {
        hi: 0x10_0000 | 1,
        lo0: lo(0x4000, DV),
        lo1: lo(0x8000, DV),
        page_mask: 0x6000,
    };
    guest.tlbwi(0, &large);
    assert_eq!(guest.vcpu.l2.granule(), Granule::Page);
    let small = TlbEntry {
        hi: 0x20_0000 | 1,
        lo0: lo(0x5000, DV),
        lo1: lo(0x3000, DV),
        page_mask: 0,
    };
    guest.tlbwi(1, &small);
    assert_eq!(guest.vcpu.l2.granule(), Granule::Small);
    assert_eq!(guest.vcpu.context.page_mask, 0);
    // Both sizes work on.
    for (address, physical) in [
        (0x10_0008, 0x4008),
        (0x10_3008, 0x7008),
        (0x10_6ff8, 0xaff8),
        (0x20_0010, 0x5010),
        (0x20_1010, 0x3010),
    ] {
        let expected = super::guest::End::Machine(guest.machine_address(physical));
        assert_eq!(
            guest.access(address, Access::Load),
            expected,
            "{address:#x}"
        );
        guest.audit();
    }
}

#[test]
fn global_kernel_entries_are_kept_for_every_address_space() {
    let mut guest = Guest::new();
    let entry = TlbEntry {
        hi: 0xc000_ffff_d000_0000 | 7,
        lo0: lo(0x4000, DV | LO_G),
        lo1: lo(0x8000, DV | LO_G),
        page_mask: 0x6000,
    };
    guest.tlbwi(0, &entry);
    guest.set_asid(9);
    guest.vcpu.tlb.write(0, TlbEntry::INVALID);
    let hits = guest.vcpu.context.counters.l2_hits;
    use crate::vm::hardware::Hardware;
    guest.machine.tlb_flush();
    let expected = super::guest::End::Machine(guest.machine_address(0x8000));
    assert_eq!(guest.access(0xffff_ffff_d000_4000, Access::Store), expected);
    assert_eq!(guest.vcpu.context.counters.l2_hits, hits + 1);
}
