//! The linear windows.

use super::guest::*;
use super::machine::Access;
use crate::address::{GuestPage, MachinePage};
use crate::vm::exception::code;
use crate::vm::mapping::linear_offset;
use crate::vm::trap::Outcome;
use disco_abi::{
    CSSEG_WINDOW, CSSEG_WINDOW_SIZE, PAGE_SIZE, XSSEG_MAPPED, XSSEG_UNCACHED_WINDOW, XSSEG_WINDOW,
};

const WINDOWS: [u64; 3] = [CSSEG_WINDOW, XSSEG_WINDOW, XSSEG_UNCACHED_WINDOW];

#[test]
fn offsets_of_every_border() {
    assert_eq!(linear_offset(CSSEG_WINDOW), Some(0));
    let last = CSSEG_WINDOW_SIZE - 1;
    assert_eq!(linear_offset(CSSEG_WINDOW + last), Some(last));
    assert_eq!(linear_offset(CSSEG_WINDOW + last + 1), None);
    assert_eq!(linear_offset(CSSEG_WINDOW - 1), None);
    assert_eq!(linear_offset(XSSEG_WINDOW), Some(0));
    assert_eq!(linear_offset(XSSEG_WINDOW - 1), None);
    assert_eq!(linear_offset(XSSEG_UNCACHED_WINDOW + 5), Some(5));
    assert_eq!(linear_offset(XSSEG_MAPPED), None);
    // As EntryHi has it, without bits 61 to 48.
    assert_eq!(linear_offset(0xc000_ffff_c000_4000), Some(0x4000));
    assert_eq!(linear_offset(0), None);
}

#[test]
fn windows_show_guest_physical_memory() {
    let mut guest = Guest::new();
    for window in WINDOWS {
        for offset in [0, 0x4008, PAGES * PAGE_SIZE - 8] {
            let expected = End::Machine(guest.machine_address(offset));
            for access in [Access::Load, Access::Store, Access::Fetch] {
                assert_eq!(guest.access(window + offset, access), expected);
            }
        }
    }
    guest.audit();
}

#[test]
fn beyond_memory_is_a_bus_error() {
    let mut guest = Guest::new();
    for window in WINDOWS {
        let address = window + PAGES * PAGE_SIZE;
        assert_eq!(
            guest.access(address, Access::Store),
            End::Exception(code::DBE, 0x180)
        );
        assert_eq!(
            guest.access(address, Access::Fetch),
            End::Exception(code::IBE, 0x180)
        );
    }
}

#[test]
fn the_last_page_alone_in_its_pair() {
    let mut guest = Guest::with_pages(3);
    let expected = End::Machine(guest.machine_address(0x8000));
    assert_eq!(guest.access(CSSEG_WINDOW + 0x8000, Access::Load), expected);
    assert_eq!(
        guest.access(CSSEG_WINDOW + 0xc000, Access::Load),
        End::Exception(code::DBE, 0x180)
    );
}

#[test]
fn large_pages_are_served_by_the_assembly() {
    let mut guest = Guest::unbacked(256 + 3);
    for page in 0..256 + 3 {
        guest
            .pmap
            .back(GuestPage(page), MachinePage((0x9000_0000 >> 14) + page));
    }
    guest.pmap.build_linear_table();
    for window in [CSSEG_WINDOW, XSSEG_WINDOW] {
        let traps = guest.vcpu.counters.traps;
        let hits = guest.vcpu.context.counters.linear_hits;
        for offset in [0u64, 0x12_3458, 0x3f_fff8] {
            let expected = End::Machine(guest.machine_address(offset));
            assert_eq!(guest.access(window + offset, Access::Load), expected);
        }
        assert_eq!(guest.vcpu.counters.traps, traps);
        assert_eq!(
            guest.vcpu.context.counters.linear_hits,
            hits + 2,
            "two pieces"
        );
        // The three pages behind them are no large page.
        let offset = 0x40_8000;
        let expected = End::Machine(guest.machine_address(offset));
        assert_eq!(guest.access(window + offset, Access::Load), expected);
        assert_eq!(guest.vcpu.counters.traps, traps + 1);
    }
    guest.audit();
}

#[test]
fn memory_without_a_machine_page_is_asked_for() {
    let mut guest = Guest::unbacked(8);
    for window in WINDOWS {
        assert_eq!(
            guest.access(window + 0x4000, Access::Store),
            End::Outcome(Outcome::Populate(GuestPage(1)))
        );
    }
    // Its neighbour comes first: the half that is missing stays invalid until it is there.
    guest.pmap.back(GuestPage(0), MachinePage(0x2_4000));
    let even = End::Machine(guest.machine_address(0));
    assert_eq!(guest.access(CSSEG_WINDOW, Access::Load), even);
    assert_eq!(
        guest.access(CSSEG_WINDOW + 0x4000, Access::Load),
        End::Outcome(Outcome::Populate(GuestPage(1)))
    );
    guest.pmap.back(GuestPage(1), MachinePage(0x2_5000));
    let odd = End::Machine(guest.machine_address(0x4000));
    assert_eq!(guest.access(CSSEG_WINDOW + 0x4000, Access::Load), odd);
}
