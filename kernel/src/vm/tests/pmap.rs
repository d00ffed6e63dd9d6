use crate::address::{GuestPage, GuestPhysical, MachineAddress, MachinePage};
use crate::vm::pmap::{Mappings, Pmap, BACKMAPS, LINEAR_PIECE};

/// 16 KiB pages in 2 MiB.
const PIECE: u64 = 128;

/// So many entries, as fresh memory has them.
pub fn zeroed<T: Default>(count: u64) -> &'static [T] {
    let entries: Vec<T> = (0..count).map(|_| T::default()).collect();
    entries.leak()
}

fn pmap(pages: u64) -> Pmap<'static> {
    let pieces = pages.div_ceil(PIECE);
    Pmap::new(zeroed(pages), zeroed(pieces))
}

fn back(pmap: &Pmap, guest: std::ops::Range<u64>, machine: u64) {
    for page in guest.clone() {
        pmap.back(GuestPage(page), MachinePage(machine + page - guest.start));
    }
}

#[test]
fn a_backed_page_is_found_and_no_other() {
    let pmap = pmap(8);
    pmap.back(GuestPage(3), MachinePage(0x2_0007));
    assert_eq!(pmap.machine_page(GuestPage(3)), Some(MachinePage(0x2_0007)));
    assert_eq!(
        pmap.machine_address(GuestPhysical(3 << 14 | 0x123)),
        Some(MachineAddress(0x2_0007 << 14 | 0x123))
    );
    for page in [0, 2, 4, 8, u64::MAX, u64::MAX >> 14] {
        assert_eq!(pmap.machine_page(GuestPage(page)), None, "page {page:#x}");
    }
    assert_eq!(pmap.machine_address(GuestPhysical(u64::MAX)), None);
    assert_eq!(pmap.iter().count(), 1);
}

#[test]
fn the_entry_is_what_the_tlb_takes() {
    let pmap = pmap(1);
    // The last page of the board's memory.
    pmap.back(GuestPage(0), MachinePage(0xffff_c000 >> 14));
    let lo = pmap.entry_lo(GuestPage(0)).unwrap();
    assert_eq!(lo & 0x3f, 3 << 3 | 1 << 2 | 1 << 1, "coherent, D, V");
    assert_eq!(u64::from(lo >> 6) << 12, 0xffff_c000);
}

#[test]
fn backing_outside_the_map_is_ignored() {
    let pmap = pmap(2);
    pmap.back(GuestPage(2), MachinePage(1));
    pmap.back(GuestPage(u64::MAX), MachinePage(1));
    pmap.map(GuestPage(u64::MAX), 0);
    assert_eq!(pmap.iter().count(), 0);
    assert!(!pmap.is_recorded(GuestPage(2), 0));
}

#[test]
fn backmaps_are_kept_until_there_are_too_many() {
    let pmap = pmap(1);
    let page = GuestPage(0);
    pmap.back(page, MachinePage(5));
    // A tag of 0 is a tag: address 0 in address space 0.
    let tags: [u64; BACKMAPS] = std::array::from_fn(|i| i as u64 * 0x8000);
    for tag in tags {
        assert!(!pmap.is_recorded(page, tag));
        pmap.map(page, tag);
        pmap.map(page, tag);
        assert!(pmap.is_recorded(page, tag));
    }
    assert_eq!(pmap.mappings(page), Mappings::Tags(tags.map(Some)));
    pmap.map(page, 0x7fff_8001);
    assert_eq!(pmap.mappings(page), Mappings::Many);
    assert!(pmap.is_recorded(page, 0x1234_8000), "might be anywhere");
}

/// The linear table's pairs, read as a guest would use them: a byte of the window to its machine
/// address.
fn through_table(pmap: &Pmap, offset: u64) -> Option<MachineAddress> {
    let entry = pmap.linear_entry((offset / LINEAR_PIECE) as usize);
    if entry.page_mask == 0 {
        return None;
    }
    let bytes = (u64::from(entry.page_mask) + 0x2000) / 2;
    let lo = if offset & bytes == 0 {
        entry.lo0
    } else {
        entry.lo1
    };
    assert_eq!(lo & 0x3f, 0x1f, "coherent, D, V, G");
    let base = u64::from(lo >> 6) << 12;
    assert_eq!(base & (bytes - 1), 0, "machine page is aligned");
    Some(MachineAddress(base | offset & (bytes - 1)))
}

#[test]
fn linear_table_covers_contiguous_aligned_memory() {
    let pmap = pmap(2048 + PIECE);
    back(&pmap, 0..2048 + PIECE, 0x9000_0000 >> 14);
    pmap.build_linear_table();
    assert!((0..17).all(|piece| pmap.linear_entry(piece).page_mask == 0x001f_e000));
    for offset in (0..(2048 + PIECE) << 14).step_by(0x3_1230) {
        assert_eq!(
            through_table(&pmap, offset),
            Some(MachineAddress(0x9000_0000 + offset))
        );
    }
}

#[test]
fn linear_table_of_mixed_contiguity_never_lies() {
    let pmap = pmap(4 * PIECE + 7);
    // Piece 0: two 1 MiB pages that are apart; 1: not aligned; 2: a hole; 3: contiguous.
    back(&pmap, 0..64, 0x2_4040);
    back(&pmap, 64..128, 0x2_8000);
    back(&pmap, 128..256, 0x2_9001);
    back(&pmap, 256..300, 0x2_a000);
    back(&pmap, 301..384, 0x2_a02d);
    back(&pmap, 384..512, 0x2_b000);
    back(&pmap, 512..519, 0x2_c000);
    pmap.build_linear_table();
    let large: Vec<bool> = (0..5)
        .map(|piece| pmap.linear_entry(piece).page_mask != 0)
        .collect();
    assert_eq!(large, [true, false, false, true, false]);
    for page in 0..4 * PIECE + 7 {
        let physical = GuestPhysical(page << 14 | 0x2468);
        if let Some(machine) = through_table(&pmap, physical.0) {
            assert_eq!(Some(machine), pmap.machine_address(physical));
        }
    }
}

#[test]
fn linear_piece_follows_a_change_of_backing() {
    let pmap = pmap(PIECE);
    back(&pmap, 0..PIECE, 0x2_4000);
    pmap.build_linear_table();
    assert_ne!(pmap.linear_entry(0).page_mask, 0);
    pmap.back(GuestPage(100), MachinePage(0x3_0000));
    pmap.build_linear_piece(GuestPage(100));
    assert_eq!(pmap.linear_entry(0).page_mask, 0);
    pmap.build_linear_piece(GuestPage(PIECE));
    pmap.build_linear_piece(GuestPage(u64::MAX));
}
