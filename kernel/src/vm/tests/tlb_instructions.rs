//! The TLB instructions as a guest sees them, case by case. `mmu` drives them at random.

use super::guest::*;
use super::machine::{Access, SPECIAL_MACHINE};
use crate::address::MachineAddress;
use crate::vm::exception::code;
use crate::vm::trap::Outcome;
use crate::vm::vtlb::{TlbEntry, EHINV, LO_G, TLB_ENTRIES, VPN2_MASK};
use crate::vm::{l2tlb::Granule, vtlb::LO_RI, vtlb::LO_XI};
use disco_abi::{Call, SPECIAL_PAGE};
use disco_arch::trap::L2_ENTRIES;
use proptest::prelude::*;
use proptest::sample::select;

/// A pair of 16 KiB pages at guest-physical `physical` and the page behind.
fn pair(hi: u64, physical: u64) -> TlbEntry {
    TlbEntry {
        hi,
        lo0: lo(physical, DV),
        lo1: lo(physical + 0x4000, DV),
        page_mask: 0x6000,
    }
}

fn machine(guest: &Guest, physical: u64) -> End {
    End::Machine(guest.machine_address(physical))
}

const REFILL: End = End::Exception(code::TLBL, 0x080);

#[test]
fn tlbr_reads_what_tlbwi_wrote_as_the_hardware_keeps_it() {
    let mut guest = Guest::new();
    guest.stage(&TlbEntry {
        hi: !EHINV & !(3 << 62),
        lo0: u64::MAX,
        lo1: !LO_G,
        page_mask: 0x0001_e000,
    });
    guest.write_cp0(0, 0, 5);
    guest.execute(TLBWI);
    let entry = guest.tlbr(5);
    assert_eq!(entry.hi, 0x0000_ffff_ffff_e3ff);
    // 64 KiB pages: four bits of the page number are the offset's; one G for both halves.
    assert_eq!(entry.lo0, LO_RI | LO_XI | 0x3fff_fc3e);
    assert_eq!(entry.lo1, LO_RI | LO_XI | 0x3fff_fc3e);
    assert_eq!(entry.page_mask, 0x0001_e000);
    assert_eq!(guest.vcpu.asid(), 0x3ff, "tlbr loads the ASID too");
}

#[test]
fn an_entry_with_ehinv_reads_as_nothing_else() {
    let mut guest = Guest::new();
    guest.tlbwi(2, &pair(0x10_0000, 0x4000));
    guest.tlbwi(2, &pair(0x10_0000 | EHINV, 0x4000));
    assert_eq!(guest.tlbr(2), TlbEntry::INVALID);
    assert_eq!(guest.access(0x10_0000, Access::Load), REFILL);
}

#[test]
fn tlbp_finds_by_address_and_address_space() {
    let mut guest = Guest::new();
    guest.tlbwi(3, &pair(0x10_0000 | 1, 0x4000));
    assert_eq!(guest.tlbp(0x10_6000 | 1), Some(3));
    assert_eq!(guest.tlbp(0x10_0000 | 2), None);
    assert_eq!(guest.tlbp(0x10_8000 | 1), None);
    assert_eq!(
        guest.read_cp0(0, 0),
        0xffff_ffff_8000_0003,
        "P alone changes"
    );
}

#[test]
fn protection_bits_count() {
    let mut guest = Guest::new();
    guest.tlbwi(
        0,
        &TlbEntry {
            hi: 0x10_0000,
            lo0: lo(0x4000, 2) | LO_XI,
            lo1: lo(0x8000, 4),
            page_mask: 0x6000,
        },
    );
    assert_eq!(
        guest.access(0x10_0000, Access::Load),
        machine(&guest, 0x4000)
    );
    let cases = [
        (0x10_0000, Access::Store, code::MOD),
        (0x10_0000, Access::Fetch, code::TLBXI),
        (0x10_4000, Access::Load, code::TLBL),
        (0x10_4000, Access::Store, code::TLBS),
    ];
    for (address, access, code) in cases {
        assert_eq!(guest.access(address, access), End::Exception(code, 0x180));
    }
    guest.tlbwi(
        0,
        &TlbEntry {
            hi: 0x10_0000,
            lo0: lo(0x4000, DV) | LO_RI,
            lo1: 0,
            page_mask: 0x6000,
        },
    );
    assert_eq!(
        guest.access(0x10_0000, Access::Load),
        End::Exception(code::TLBRI, 0x180)
    );
    assert_eq!(
        guest.access(0x10_0000, Access::Store),
        machine(&guest, 0x4000)
    );
}

#[test]
fn memory_that_does_not_exist_is_a_bus_error() {
    let mut guest = Guest::new();
    guest.tlbwi(0, &pair(0x10_0000, PAGES << 14));
    assert_eq!(
        guest.access(0x10_0000, Access::Load),
        End::Exception(code::DBE, 0x180)
    );
    assert_eq!(
        guest.access(0x10_0000, Access::Fetch),
        End::Exception(code::IBE, 0x180)
    );
}

#[test]
fn memory_without_a_machine_page_is_asked_for() {
    let mut guest = Guest::unbacked(8);
    guest.tlbwi(0, &pair(0x10_0000, 0x8000));
    let page = crate::address::GuestPage(3);
    assert_eq!(
        guest.access(0x10_4000, Access::Load),
        End::Outcome(Outcome::Populate(page))
    );
    guest.pmap.back(page, crate::address::MachinePage(0x2_4000));
    assert_eq!(
        guest.access(0x10_4000, Access::Load),
        machine(&guest, 0xc000)
    );
    guest.audit();
}

#[test]
fn an_entry_that_tlbwr_replaced_is_found_by_tlbp_or_gone() {
    // Pairs that share a slot of the second level, more than the virtual TLB holds.
    let mut guest = Guest::new();
    let hi = |i: u64| (i * ((L2_ENTRIES as u64) << 15)) | 1;
    for i in 0..40 {
        guest.tlbwr(&pair(hi(i), 0x4000));
        guest.access(hi(i) & !1, Access::Load);
        guest.audit();
    }
    for i in 0..40 {
        let found = guest.tlbp(hi(i)).is_some();
        let works = guest.access(hi(i) & !1, Access::Load) == machine(&guest, 0x4000);
        assert_eq!(found, works, "pair {i}");
    }
}

#[test]
fn tlbp_brings_a_replaced_entry_back_so_that_tlbwi_removes_it() {
    let mut guest = Guest::new();
    for i in 0..40 {
        guest.tlbwr(&pair(i << 15 | 1, 0x4000));
    }
    let index = guest.tlbp(1).expect("in the second level");
    assert_eq!(guest.tlbr(index), pair(1, 0x4000));
    guest.tlbwi(index, &pair(0x7f00_0000 | 1, 0x4000));
    assert_eq!(guest.tlbp(1), None);
    assert_eq!(guest.access(0, Access::Load), REFILL);
}

#[test]
fn overwriting_every_entry_by_index_empties_all() {
    let mut guest = Guest::new();
    for i in 0..60 {
        guest.tlbwr(&pair(i << 15 | 1, 0x4000));
    }
    for round in 0..2 {
        for index in 0..TLB_ENTRIES as u64 {
            let unique = TlbEntry {
                hi: 0x7000_0000 | index << 15,
                lo0: 0,
                lo1: 0,
                page_mask: 0x6000,
            };
            guest.tlbwi(index as u32, &unique);
        }
        guest.set_asid(1);
        for i in 0..60 {
            assert_eq!(guest.access(i << 15, Access::Load), REFILL, "{round}: {i}");
        }
    }
}

#[test]
fn a_global_page_made_private_is_gone_for_others() {
    let mut guest = Guest::new();
    let mut global = pair(0x10_0000 | 1, 0x4000);
    global.lo0 |= LO_G;
    global.lo1 |= LO_G;
    guest.tlbwi(0, &global);
    guest.set_asid(2);
    assert_eq!(
        guest.access(0x10_0000, Access::Load),
        machine(&guest, 0x4000)
    );
    guest.tlbwi(0, &pair(0x10_0000 | 1, 0x8000));
    assert_eq!(
        guest.access(0x10_0000, Access::Load),
        machine(&guest, 0x8000)
    );
    guest.set_asid(2);
    assert_eq!(guest.access(0x10_0000, Access::Load), REFILL);
}

#[test]
fn an_index_beyond_the_tlb_wraps_and_is_forgotten_with_its_entry() {
    let mut guest = Guest::new();
    guest.stage(&pair(0x10_0000 | 1, 0x4000));
    guest.vcpu.special.set_index(0x15);
    guest.execute(TLBWI);
    // Replaced at random, it goes on in the second level.
    for i in 0..TLB_ENTRIES as u64 {
        guest.tlbwr(&pair(i << 15 | 1, 0x4000));
    }
    guest.tlbwi(5, &pair(0x20_0000 | 1, 0x8000));
    assert_eq!(guest.access(0x10_0000, Access::Load), REFILL);
}

#[test]
fn a_large_page_is_forgotten_whole() {
    let mut guest = Guest::with_pages(256);
    let large = TlbEntry {
        hi: 0x4000_0000 | 1,
        lo0: lo(0, DV),
        lo1: lo(0x10_0000, DV),
        page_mask: 0x1f_e000,
    };
    guest.tlbwi(0, &large);
    for offset in [0x8, 0xf_fff8, 0x10_0000, 0x1f_c000] {
        let expected = machine(&guest, offset);
        assert_eq!(guest.access(0x4000_0000 + offset, Access::Load), expected);
    }
    guest.audit();
    guest.call(Call::TlbFlushPage, [0x4000_8000 | 1, 0, 0, 0]);
    for offset in [0x8, 0xf_fff8, 0x10_0000, 0x1f_c000] {
        assert_eq!(guest.access(0x4000_0000 + offset, Access::Load), REFILL);
    }
}

#[test]
fn a_large_page_that_tlbwr_replaced_leaves_nothing() {
    let mut guest = Guest::with_pages(256);
    let large = TlbEntry {
        hi: 0x4000_0000 | 1,
        lo0: lo(0, DV),
        lo1: lo(0x10_0000, DV),
        page_mask: 0x1f_e000,
    };
    guest.tlbwr(&large);
    assert_eq!(guest.access(0x4000_0000, Access::Load), machine(&guest, 0));
    for i in 0..TLB_ENTRIES as u64 {
        guest.tlbwr(&pair(i << 15 | 1, 0x4000));
    }
    assert_eq!(guest.access(0x4000_0000, Access::Load), REFILL);
    assert_eq!(guest.access(0x4001_0000, Access::Load), REFILL);
}

#[test]
fn tlbinv_spares_global_entries_and_other_address_spaces() {
    let mut guest = Guest::new();
    guest.tlbwi(0, &pair(0x10_0000 | 1, 0x4000));
    guest.tlbwi(1, &pair(0x20_0000 | 2, 0x8000));
    let mut global = pair(0x30_0000 | 1, 0xc000);
    global.lo0 |= LO_G;
    global.lo1 |= LO_G;
    guest.tlbwi(2, &global);
    guest.set_asid(1);
    guest.execute(TLBINV);
    assert_eq!(guest.access(0x10_0000, Access::Load), REFILL);
    assert_eq!(
        guest.access(0x30_0000, Access::Load),
        machine(&guest, 0xc000)
    );
    guest.set_asid(2);
    assert_eq!(
        guest.access(0x20_0000, Access::Load),
        machine(&guest, 0x8000)
    );
    guest.execute(TLBINVF);
    assert_eq!(guest.access(0x20_0000, Access::Load), REFILL);
    assert_eq!(guest.access(0x30_0000, Access::Load), REFILL);
}

#[test]
fn flush_all_spares_wired_entries() {
    let mut guest = Guest::new();
    guest.write_cp0(6, 0, 2);
    for index in 0..4u64 {
        guest.tlbwi(index as u32, &pair(index << 15 | 1, 0x4000));
    }
    guest.call(Call::TlbFlushAll, [0; 4]);
    let kept: Vec<bool> = (0..4u64)
        .map(|index| guest.access(index << 15, Access::Load) == machine(&guest, 0x4000))
        .collect();
    assert_eq!(kept, [true, true, false, false]);
}

proptest! {
    #[test]
    fn an_inserted_entry_translates_at_once(
        region in select(vec![0x10_0000u64, 0x4000_8000_0010_0000, 0xffff_ffff_d010_0000]),
        mask in select(vec![0u64, 0x6000, 0x1e000, 0x7e000]), global in any::<bool>(),
        earlier in 0..40u64, asid in 0..3u64,
    ) {
        let mut guest = Guest::new();
        for page in 0..earlier {
            guest.tlbwr(&pair(page << 15 | asid, 0x4000));
        }
        guest.set_asid(asid);
        let flags = DV | u64::from(global);
        let bytes = (mask + 0x2000) / 2;
        let (first, second) = (lo(2 * bytes, flags), lo(3 * bytes, flags));
        let hi = region & VPN2_MASK & !mask | asid;
        guest.call(Call::TlbInsert, [hi, first, second, mask]);
        let address = region & !(bytes - 1) | 0x10;
        let offset = if address & bytes == 0 { 2 * bytes } else { 3 * bytes };
        let expected = machine(&guest, offset + 0x10);
        prop_assert_eq!(guest.access(address, Access::Load), expected);
        prop_assert!(guest.tlbp(hi).is_some());
    }
}

#[test]
fn insert_call_replaces_the_entry_of_the_page() {
    let mut guest = Guest::new();
    guest.tlbwi(4, &pair(0x10_0000 | 1, 0x4000));
    let new = pair(0x10_0000 | 1, 0x8000);
    let before = [2, 3, 5, 10].map(|number| guest.read_cp0(number, 0));
    let arguments = [new.hi, new.lo0, new.lo1, new.page_mask];
    assert_eq!(guest.call(Call::TlbInsert, arguments), 0);
    let after = [2, 3, 5, 10].map(|number| guest.read_cp0(number, 0));
    assert_eq!(before, after, "no CP0 register changes");
    assert_eq!(guest.tlbr(4), new);
    assert_eq!(
        guest.access(0x10_0000, Access::Load),
        machine(&guest, 0x8000)
    );
}

#[test]
fn entries_over_windows_and_special_page_have_no_effect_there() {
    let mut guest = Guest::new();
    let special = SPECIAL_PAGE & 0xc000_ffff_ffff_8000;
    let windows = [0xc000_ffff_c000_8000, 0x4000_0000_0000_8000, special];
    for (index, hi) in windows.into_iter().enumerate() {
        let mut entry = pair(hi, 0x2_0000);
        entry.lo0 |= LO_G;
        entry.lo1 |= LO_G;
        guest.tlbwi(index as u32, &entry);
    }
    for window in [0xffff_ffff_c000_8000, 0x4000_0000_0000_8000] {
        assert_eq!(guest.access(window, Access::Store), machine(&guest, 0x8000));
    }
    assert_eq!(
        guest.access(SPECIAL_PAGE, Access::Store),
        End::Machine(MachineAddress(SPECIAL_MACHINE))
    );
    assert!(
        guest
            .machine
            .pairs()
            .all(|pair| pair.hi & !0x7fff != special),
        "nothing beside the wired entry maps the special page"
    );
    assert_eq!(
        guest.access(SPECIAL_PAGE - 8, Access::Store),
        End::Exception(code::ADES, 0x180)
    );
}

#[test]
fn tlbp_does_not_find_the_windows() {
    let mut guest = Guest::new();
    for window in [0xffff_ffff_c000_8000, 0x4000_0000_0000_8000] {
        guest.access(window, Access::Load);
        assert_eq!(guest.tlbp(window), None, "{window:#x}");
    }
}

#[test]
fn small_pages_within_one_machine_page() {
    let mut guest = Guest::new();
    for i in 0..8u64 {
        let entry = TlbEntry {
            hi: i << 13 | 1,
            lo0: lo(0x1_0000 + i * 0x1000, DV),
            lo1: lo(0x2_0000 - i * 0x1000, DV),
            page_mask: 0,
        };
        guest.tlbwi(i as u32, &entry);
    }
    assert_eq!(guest.vcpu.l2.granule(), Granule::Small);
    for i in 0..8u64 {
        let even = machine(&guest, 0x1_0000 + i * 0x1000 + 0x10);
        let odd = machine(&guest, 0x2_0000 - i * 0x1000 + 0x10);
        assert_eq!(guest.access(i << 13 | 0x10, Access::Load), even);
        assert_eq!(guest.access(i << 13 | 0x1010, Access::Load), odd);
    }
    guest.audit();
}
