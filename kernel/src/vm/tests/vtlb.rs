use crate::vm::vtlb::{TlbEntry, VirtualTlb, EHINV, LO_G, TLB_ENTRIES};
use proptest::prelude::*;

fn entry(hi: u64, page_mask: u64, global: bool) -> TlbEntry {
    let lo = if global { LO_G } else { 0 };
    TlbEntry {
        hi,
        lo0: lo,
        lo1: lo,
        page_mask,
    }
}

/// Entries in a small space, so that they meet.
fn any_entry() -> impl Strategy<Value = TlbEntry> {
    let mask = prop::sample::select(vec![0u64, 0x6000, 0x1e000, 0x7e000]);
    (0..256u64, 0..3u64, mask, any::<bool>(), 0..8u32).prop_map(
        |(page, asid, mask, global, invalid)| {
            let invalid = if invalid == 0 { EHINV } else { 0 };
            entry(page << 13 | asid | invalid, mask, global)
        },
    )
}

proptest! {
    #[test]
    fn entries_overlap_if_some_address_matches_both(a in any_entry(), b in any_entry()) {
        let meet = (0..3).any(|asid| {
            (0..512u64).any(|page| {
                a.matches(page << 12, asid) && b.matches(page << 12, asid)
            })
        });
        prop_assert_eq!(a.overlaps(&b), meet);
        prop_assert_eq!(b.overlaps(&a), meet);
    }

    #[test]
    fn find_is_the_first_that_matches(
        entries in prop::collection::vec(any_entry(), TLB_ENTRIES),
        page in 0..512u64, asid in 0..3u64,
    ) {
        let mut tlb = VirtualTlb::new();
        for (index, entry) in entries.iter().enumerate() {
            tlb.write(index as u32, *entry);
        }
        let first = entries.iter().position(|entry| entry.matches(page << 12 | 0x123, asid));
        prop_assert_eq!(
            tlb.find(page << 12 | 0x123, asid).map(|(index, _)| index as usize),
            first
        );
        let probe = entries[0];
        tlb.write(0, TlbEntry::INVALID);
        let others = entries[1..].iter().any(|entry| entry.overlaps(&probe));
        prop_assert_eq!(tlb.overlaps(&probe), others);
    }

    #[test]
    fn random_is_never_wired_and_reaches_all_others(wired in 0..TLB_ENTRIES as u32) {
        let mut tlb = VirtualTlb::new();
        tlb.next_random();
        tlb.set_wired(wired);
        let mut seen = [false; TLB_ENTRIES];
        for _ in 0..2 * TLB_ENTRIES {
            let index = tlb.next_random();
            prop_assert!(index >= wired);
            seen[index as usize] = true;
        }
        prop_assert!(seen[wired as usize..].iter().all(|&seen| seen));
    }
}

#[test]
fn wired_beyond_the_last_entry_is_ignored() {
    let mut tlb = VirtualTlb::new();
    tlb.set_wired(3);
    tlb.set_wired(TLB_ENTRIES as u32);
    tlb.set_wired(u32::MAX);
    assert_eq!(tlb.wired(), 3);
}

#[test]
fn page_sizes_choose_the_half() {
    let entry = TlbEntry {
        hi: 0x100_0000,
        lo0: 0x40,
        lo1: 0x80,
        page_mask: 0x1f_e000,
    };
    assert_eq!(entry.page_bytes(), 1 << 20);
    assert_eq!(entry.lo(0x100_0000), 0x40);
    assert_eq!(entry.lo(0x10f_ffff), 0x40);
    assert_eq!(entry.lo(0x110_0000), 0x80);
    assert!(entry.matches(0x11f_ffff, 0));
    assert!(!entry.matches(0x120_0000, 0));
    assert!(!TlbEntry::INVALID.matches(0, 0));
}

#[test]
fn an_index_wraps() {
    let mut tlb = VirtualTlb::new();
    tlb.write(0x7fff_ffff, entry(0x2000, 0, false));
    assert_eq!(tlb.entry(15).hi, 0x2000);
}
