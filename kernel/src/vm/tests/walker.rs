//! The page-table walker, against tables built by hand.

use super::guest::*;
use super::machine::Access;
use crate::vm::exception::code;
use crate::vm::vtlb::{TlbEntry, TLB_ENTRIES};
use disco_abi::{Call, XSSEG_MAPPED, XSSEG_WINDOW};
use proptest::prelude::*;

const PW_BASE: (u32, u32) = (5, 5);
const PW_FIELD: (u32, u32) = (5, 6);
const PW_SIZE: (u32, u32) = (5, 7);
const PW_CTL: (u32, u32) = (6, 6);

/// Walk for user and supervisor addresses.
const ON: u64 = 1 << 31 | 1 << 27 | 1 << 26;
/// Bits below the EntryLo image in a table's entry: RI and XI are bits 4 and 5 of it.
const PTEI: u64 = 6;
/// Tables: top at 0x1_0000, middle at 0x1_4000, pages from 0x1_8000 on.
const TOP: u64 = 0x1_0000;
const MIDDLE: u64 = 0x1_4000;
const TABLE: u64 = 0x1_8000;

/// A table's entry for a page: the image of EntryLo shifted up, RI and XI below it.
fn pte(physical: u64, flags: u64, inhibit: u64) -> u64 {
    (physical >> 12 << 6 | flags) << PTEI | inhibit << (PTEI - 2)
}

/// A guest with three levels of tables for 16 KiB pages: 2048 entries each, as Linux has them.
fn guest() -> Guest {
    let mut guest = Guest::new();
    let window = |physical| XSSEG_WINDOW + physical;
    guest.write_cp0(PW_BASE.0, PW_BASE.1, window(TOP));
    guest.write_cp0(PW_FIELD.0, PW_FIELD.1, 36 << 24 | 25 << 12 | 14 << 6 | PTEI);
    guest.write_cp0(
        PW_SIZE.0,
        PW_SIZE.1,
        1 << 30 | 11 << 24 | 11 << 12 | 11 << 6,
    );
    guest.write_cp0(PW_CTL.0, PW_CTL.1, ON);
    guest.store(TOP, window(MIDDLE));
    guest.store(MIDDLE, window(TABLE));
    guest
}

fn set(guest: &mut Guest, address: u64, pte: u64) {
    guest.store(TABLE + (address >> 14 & 0x7ff) * 8, pte);
}

#[test]
fn a_page_in_the_tables_needs_no_handler() {
    let mut guest = guest();
    set(&mut guest, 0x4000, pte(0x2_0000, DV, 0));
    set(&mut guest, 0xc000, pte(0x2_4000, 2, 0));
    let machine = |guest: &Guest, physical| End::Machine(guest.machine_address(physical));
    let (first, second) = (machine(&guest, 0x2_0008), machine(&guest, 0x2_4008));
    assert_eq!(guest.access(0x4008, Access::Store), first);
    assert_eq!(guest.access(0xc008, Access::Load), second);
    assert_eq!(
        guest.access(0xc008, Access::Store),
        End::Exception(code::MOD, 0x180)
    );
    assert_eq!(guest.vcpu.counters.refills_reflected, 0);
    guest.audit();
}

#[test]
fn inhibit_bits_rotate_into_place() {
    let mut guest = guest();
    set(&mut guest, 0x4000, pte(0x2_0000, DV, 1));
    set(&mut guest, 0x8000, pte(0x2_4000, DV, 2));
    // The low bit of the two is XI, the high one RI.
    assert_eq!(
        guest.access(0x4000, Access::Fetch),
        End::Exception(code::TLBXI, 0x180)
    );
    assert_eq!(
        guest.access(0x8000, Access::Load),
        End::Exception(code::TLBRI, 0x180)
    );
}

#[test]
fn a_page_that_is_not_valid_is_no_refill() {
    let mut guest = guest();
    assert_eq!(
        guest.access(0x4000, Access::Load),
        End::Exception(code::TLBL, 0x180)
    );
    let hi = guest.read_cp0(10, 0);
    assert!(guest.tlbp(hi).is_some(), "the walker wrote the entry");
    // The handler fills the table and writes the entry that tlbp found.
    set(&mut guest, 0x4000, pte(0x2_0000, DV, 0));
    let expected = End::Machine(guest.machine_address(0x2_0000));
    assert_eq!(guest.access(0x4000, Access::Load), expected);
}

#[test]
fn a_missing_directory_is_the_handlers() {
    let mut guest = guest();
    for address in [1u64 << 25, 1 << 36, XSSEG_MAPPED + (1 << 36)] {
        assert_eq!(
            guest.access(address, Access::Load),
            End::Exception(code::TLBL, 0x080)
        );
    }
}

#[test]
fn a_directory_outside_memory_or_off_its_alignment_is_the_handlers() {
    let mut guest = guest();
    for pointer in [
        0,
        XSSEG_WINDOW + (PAGES << 14),
        XSSEG_WINDOW + TABLE + 4,
        0xffff_ffff_8000_0000,
        u64::MAX,
    ] {
        guest.store(MIDDLE, pointer);
        assert_eq!(
            guest.access(0x4000, Access::Load),
            End::Exception(code::TLBL, 0x080)
        );
    }
}

#[test]
fn off_for_a_segment_is_off() {
    let mut guest = guest();
    set(&mut guest, 0x4000, pte(0x2_0000, DV, 0));
    for control in [ON & !(1 << 31), ON & !(1 << 26)] {
        guest.write_cp0(PW_CTL.0, PW_CTL.1, control);
        assert_eq!(
            guest.access(0x4000, Access::Load),
            End::Exception(code::TLBL, 0x080)
        );
    }
    guest.write_cp0(PW_CTL.0, PW_CTL.1, ON & !(1 << 27));
    let expected = End::Machine(guest.machine_address(0x2_0000));
    assert_eq!(guest.access(0x4000, Access::Load), expected);
}

#[test]
fn a_changed_table_counts_after_a_flush() {
    let mut guest = guest();
    for flush in [Call::TlbFlushPage, Call::TlbFlushAll] {
        for physical in [0x2_0000, 0x2_8000] {
            set(&mut guest, 0x4000, pte(physical, DV, 0));
            guest.call(flush, [0, 0, 0, 0]);
            let expected = End::Machine(guest.machine_address(physical));
            assert_eq!(guest.access(0x4000, Access::Load), expected);
        }
    }
}

#[test]
fn what_tlbp_does_not_find_is_not_translated() {
    let mut guest = guest();
    // More walks than the TLB has entries, private and global ones, one slot for many of them.
    for i in 0..64u64 {
        set(&mut guest, i << 14, pte(0x2_0000, DV | (i >> 1 & 1), 0));
        guest.access(i << 14, Access::Load);
        guest.audit();
    }
    guest.write_cp0(PW_CTL.0, PW_CTL.1, 0);
    for i in 0..64u64 {
        let found = guest.tlbp(i << 14).is_some();
        let end = guest.access(i << 14, Access::Load);
        assert_eq!(found, matches!(end, End::Machine(_)), "page {i}: {end:x?}");
    }
}

#[test]
fn wired_entries_survive_the_walker() {
    let mut guest = guest();
    guest.write_cp0(6, 0, TLB_ENTRIES as u64 - 1);
    let wired = TlbEntry {
        hi: 0x700_0000,
        lo0: lo(0x4000, DV | 1),
        lo1: lo(0x8000, DV | 1),
        page_mask: 0x6000,
    };
    guest.tlbwi(0, &wired);
    for i in 0..64u64 {
        set(&mut guest, i << 14, pte(0x2_0000, DV | 1, 0));
        guest.access(i << 14, Access::Load);
    }
    assert_eq!(guest.tlbr(0), wired);
}

/// What the tables say comes in place of an entry in the TLB; in parts, as the TLB's page size is
/// smaller.
#[test]
fn a_page_in_place_of_another_leaves_no_part_of_it() {
    let mut guest = guest();
    let small = TlbEntry {
        hi: 0x700_0000,
        lo0: lo(0, DV),
        lo1: lo(0, DV),
        page_mask: 0,
    };
    let older = TlbEntry {
        hi: 0,
        lo0: lo(0x2_0000, DV),
        lo1: lo(0x2_4000, 4),
        page_mask: 0x6000,
    };
    guest.tlbwi(0, &small);
    guest.tlbwi(1, &older);
    for offset in [0, 0x2000] {
        let end = End::Machine(guest.machine_address(0x2_0000 + offset));
        assert_eq!(guest.access(offset, Access::Load), end);
    }
    set(&mut guest, 0, pte(0x2_8000, DV, 0));
    set(&mut guest, 0x4000, pte(0x2_c000, DV, 0));
    let end = End::Machine(guest.machine_address(0x2_c000));
    assert_eq!(guest.access(0x4000, Access::Load), end);
    assert_eq!(guest.tlbr(1).lo0, lo(0x2_8000, DV));
    for offset in [0, 0x2000] {
        let end = End::Machine(guest.machine_address(0x2_8000 + offset));
        assert_eq!(guest.access(offset, Access::Load), end);
    }
    guest.audit();
}

#[test]
fn a_read_only_page_beside_an_invalid_larger_one_is_modified() {
    let mut guest = guest();
    let invalid = TlbEntry {
        hi: 0,
        lo0: lo(0, 4),
        lo1: lo(0, 4),
        page_mask: 0x1f_e000,
    };
    guest.tlbwi(0, &invalid);
    set(&mut guest, 0x4000, pte(0x2_0000, 2, 0));
    let modified = End::Exception(code::MOD, 0x180);
    assert_eq!(guest.access(0x4000, Access::Store), modified);
}

proptest! {
    #[test]
    fn any_setting_is_harmless(
        base in any::<u64>(), field in any::<u64>(), size in any::<u64>(),
        control in any::<u64>(), address in super::l2tlb::address(), words in any::<[u64; 4]>(),
    ) {
        let mut guest = Guest::new();
        for (register, value) in [(PW_FIELD, field), (PW_SIZE, size), (PW_CTL, control | ON)] {
            guest.write_cp0(register.0, register.1, value);
        }
        guest.write_cp0(PW_BASE.0, PW_BASE.1, XSSEG_WINDOW + (base & 0xf_fff8));
        for (i, word) in words.into_iter().enumerate() {
            guest.store((base & 0xf_ffe0) + i as u64 * 8, XSSEG_WINDOW + (word & 0xf_fff8));
        }
        guest.access(address, Access::Load);
        guest.audit();
    }
}
