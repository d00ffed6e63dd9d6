//! Pages that others may use: write faults, and translations that are taken back.

use super::guest::*;
use super::machine::Access;
use crate::address::{GuestPage, MachinePage};
use crate::vm::exception::code;
use crate::vm::pmap::Backing;
use crate::vm::revoke::PageSet;
use crate::vm::trap::Outcome;
use crate::vm::vtlb::TlbEntry;
use disco_abi::{CSSEG_WINDOW, PAGE_SIZE, XSSEG_UNCACHED_WINDOW, XSSEG_WINDOW};
use proptest::prelude::*;
use std::collections::BTreeSet;

const WINDOWS: [u64; 3] = [CSSEG_WINDOW, XSSEG_WINDOW, XSSEG_UNCACHED_WINDOW];
const ADDRESS: u64 = 0x12_0000;
const PAGE: u64 = 5;

fn entry(flags: u64) -> TlbEntry {
    TlbEntry {
        hi: ADDRESS,
        lo0: lo(PAGE * PAGE_SIZE, flags),
        lo1: lo((PAGE + 1) * PAGE_SIZE, flags),
        page_mask: 0x6000,
    }
}

fn machine(guest: &Guest, page: u64) -> End {
    End::Machine(guest.machine_address(page * PAGE_SIZE))
}

#[test]
fn a_store_to_a_lent_page_is_a_fault_and_a_load_is_none() {
    for address in [ADDRESS, WINDOWS[0], WINDOWS[1], WINDOWS[2]] {
        for touched_before in [None, Some(Access::Load), Some(Access::Store)] {
            let mut guest = Guest::new();
            guest.tlbwi(3, &entry(DV));
            let address = if address == ADDRESS {
                address
            } else {
                address + PAGE * PAGE_SIZE
            };
            if let Some(access) = touched_before {
                assert_eq!(guest.access(address, access), machine(&guest, PAGE));
            }
            guest.change(PAGE, 1, Change::Lend);
            let fault = End::Outcome(Outcome::Unshare(GuestPage(PAGE)));
            assert_eq!(guest.access(address, Access::Store), fault);
            assert_eq!(guest.access(address, Access::Load), machine(&guest, PAGE));
            assert_eq!(guest.access(address, Access::Store), fault);
            guest.change(PAGE, 1, Change::Replace);
            assert_eq!(guest.access(address, Access::Store), machine(&guest, PAGE));
            guest.audit();
        }
    }
}

/// The real TLB may have either; the store ends as one of the two says.
#[test]
fn a_store_to_a_lent_page_ends_as_an_entry_says_also_where_two_overlap() {
    let mut guest = Guest::new();
    guest.change(PAGE, 1, Change::Lend);
    guest.tlbwi(0, &entry(4));
    guest.tlbwi(1, &entry(DV | 1));
    let end = guest.access(ADDRESS, Access::Store);
    let allowed = [
        End::Outcome(Outcome::Unshare(GuestPage(PAGE))),
        End::Exception(code::TLBS, 0x180),
    ];
    assert!(allowed.contains(&end), "{end:x?}");
}

#[test]
fn small_pages_are_taken_back_too() {
    let mut guest = Guest::new();
    let small = TlbEntry {
        page_mask: 0,
        ..entry(DV)
    };
    guest.tlbwi(3, &small);
    let offsets = [0, 0x1000, 0x2000, 0x3000].map(|offset| PAGE * PAGE_SIZE + offset);
    for window in WINDOWS {
        for change in [Change::Replace, Change::Lend] {
            for offset in offsets {
                let end = End::Machine(guest.machine_address(offset));
                assert_eq!(guest.access(window + offset, Access::Store), end);
            }
            guest.change(PAGE, 1, change);
            guest.audit();
            for offset in offsets {
                let end = End::Machine(guest.machine_address(offset));
                assert_eq!(guest.access(window + offset, Access::Load), end);
            }
        }
        guest.change(PAGE, 1, Change::Replace);
    }
}

#[test]
fn more_rights_need_no_revocation() {
    let mut guest = Guest::new();
    guest.tlbwi(3, &entry(DV));
    guest.change(PAGE, 1, Change::Lend);
    let Backing::Shared(page) = guest.pmap.backing(GuestPage(PAGE)) else {
        panic!("not lent");
    };
    for address in [ADDRESS, CSSEG_WINDOW + PAGE * PAGE_SIZE] {
        assert_eq!(guest.access(address, Access::Load), machine(&guest, PAGE));
    }
    guest.pmap.exchange(GuestPage(PAGE), Backing::Own(page));
    for address in [ADDRESS, CSSEG_WINDOW + PAGE * PAGE_SIZE] {
        assert_eq!(guest.access(address, Access::Store), machine(&guest, PAGE));
    }
}

#[test]
fn what_the_guest_forbids_comes_first() {
    let mut guest = Guest::new();
    guest.tlbwi(3, &entry(DV & !4));
    guest.change(PAGE, 1, Change::Lend);
    let modified = End::Exception(code::MOD, 0x180);
    assert_eq!(guest.access(ADDRESS, Access::Store), modified);
    guest.tlbwi(3, &entry(0));
    let invalid = End::Exception(code::TLBS, 0x180);
    assert_eq!(guest.access(ADDRESS, Access::Store), invalid);
}

#[test]
fn large_pages_are_split_and_form_again() {
    const FIRST: u64 = 0x9000_0000 >> 14;
    let mut guest = Guest::unbacked(256);
    for page in 0..256 {
        guest.pmap.back(GuestPage(page), MachinePage(FIRST + page));
    }
    guest.pmap.build_linear_table();
    let at = |page: u64| XSSEG_WINDOW + page * PAGE_SIZE;
    let traps = |guest: &Guest| guest.vcpu.counters.traps;
    for change in [Change::Lend, Change::Replace] {
        // The real TLB holds the large page.
        assert_eq!(guest.access(at(70), Access::Store), machine(&guest, 70));
        assert_eq!(traps(&guest), 0);
        guest.change(70, 1, change);
        assert_eq!(guest.access(at(70), Access::Load), machine(&guest, 70));
        assert_eq!(guest.access(at(71), Access::Store), machine(&guest, 71));
        // The other piece is whole.
        let before = traps(&guest);
        assert!(before > 0);
        assert_eq!(guest.access(at(200), Access::Store), machine(&guest, 200));
        assert_eq!(traps(&guest), before);
        let again = Backing::Own(MachinePage(FIRST + 70));
        guest.pmap.exchange(GuestPage(70), again);
        guest.pmap.build_linear_piece(GuestPage(70));
        guest.vcpu.clear();
        guest.machine = super::machine::SimulatedMachine::new();
        guest.vcpu.counters.traps = 0;
        guest.vcpu.context.linear_count = 2;
    }
    assert_eq!(guest.access(at(70), Access::Store), machine(&guest, 70));
    assert_eq!(traps(&guest), 0);
}

proptest! {
    #[test]
    fn a_set_of_pages_holds_what_was_added(
        runs in prop::collection::vec((0u64..2000, 1u64..9), 0..60), cut in 0usize..40,
    ) {
        let (mut set, mut other, mut model) = (PageSet::EMPTY, PageSet::EMPTY, BTreeSet::new());
        for (number, (first, count)) in runs.into_iter().enumerate() {
            for page in first..first + count {
                let set = if number < cut { &mut set } else { &mut other };
                set.add(GuestPage(page));
                model.insert(page);
            }
        }
        set.add_all(&other);
        prop_assert_eq!(set.is_empty(), model.is_empty());
        prop_assert!(model.iter().all(|&page| set.contains(GuestPage(page))));
        let mut known: Vec<u64> = set.known().map(|page| page.0).collect();
        known.sort();
        known.dedup();
        if !known.is_empty() {
            prop_assert_eq!(known, model.into_iter().collect::<Vec<_>>());
        }
        set.clear();
        prop_assert!(set.is_empty() && set.known().next().is_none());
        set.add(GuestPage(cut as u64));
        prop_assert!(set.known().eq([GuestPage(cut as u64)]));
    }
}
