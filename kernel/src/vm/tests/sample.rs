//! Refills that come to Rust to be counted.

use super::guest::*;
use super::processor::Processor;
use crate::address::{GuestPage, MachinePage};
use crate::vm::trap::Outcome;
use crate::vm::vtlb::TlbEntry;
use disco_abi::{CSSEG_WINDOW, PAGE_SIZE};

/// `ld $2, 0($1)` and `sd $2, 0($1)`.
const LOAD: u32 = 0xdc22_0000;
const STORE: u32 = 0xfc22_0000;
const USER: u64 = 0x3_1400_0000;
const ASID: u64 = 5;

/// Guest pages 8 and 9 at [`USER`].
fn pair() -> TlbEntry {
    TlbEntry {
        hi: USER | ASID,
        lo0: lo(8 * PAGE_SIZE, DV),
        lo1: lo(9 * PAGE_SIZE, DV),
        page_mask: 0x6000,
    }
}

fn processor() -> Processor {
    let mut guest = Guest::new();
    guest.tlbwi(3, &pair());
    let mut processor = Processor::new(guest);
    // The vectors know the next instruction's page from now on.
    access(&mut processor, LOAD, USER);
    processor
}

fn access(processor: &mut Processor, word: u32, address: u64) {
    processor.guest.set_gpr(1, address);
    processor.step(None, word);
}

#[test]
fn one_miss_is_counted_and_the_next_is_the_vectors_again() {
    let mut processor = processor();
    processor.sample_next(true);
    access(&mut processor, STORE, USER + PAGE_SIZE);
    assert_eq!(processor.samples, [(GuestPage(9), false)]);
    let hits = processor.guest.vcpu.context.counters.l2_hits;
    processor.guest.vcpu.flush_all_but(
        CSSEG_WINDOW,
        &processor.guest.pmap,
        &mut processor.guest.machine,
    );
    let traps = processor.guest.vcpu.counters.traps;
    access(&mut processor, STORE, USER);
    assert!(processor.guest.vcpu.context.counters.l2_hits > hits);
    assert_eq!(processor.guest.vcpu.counters.traps, traps);
    assert_eq!(processor.samples.len(), 1);
}

#[test]
fn the_next_instructions_page_is_kept_though_another_has_its_slot() {
    let mut processor = processor();
    let pc = processor.guest.vcpu.context.pc;
    let tag = processor.guest.vcpu.l2.tag(pc, ASID);
    assert!(processor.guest.vcpu.l2.holds_tag(tag));
    let takes_it = |pair: &u64| {
        processor.guest.tlbwi(
            3,
            &TlbEntry {
                hi: (USER + pair * 2 * PAGE_SIZE) | ASID,
                ..self::pair()
            },
        );
        !processor.guest.vcpu.l2.holds_tag(tag)
    };
    let pair = (0..2048).find(takes_it).unwrap();
    processor.sample_next(true);
    access(&mut processor, STORE, USER + pair * 2 * PAGE_SIZE);
    assert_eq!(processor.samples, [(GuestPage(8), false)]);
    processor.guest.audit();
}

#[test]
fn a_page_that_is_read_is_written_by_another_exception_and_then_by_none() {
    let mut processor = processor();
    processor.sample_next(true);
    access(&mut processor, LOAD, USER);
    assert_eq!(processor.samples, [(GuestPage(8), true)]);
    let traps = processor.guest.vcpu.counters.traps;
    access(&mut processor, STORE, USER);
    assert_eq!(processor.guest.vcpu.counters.traps, traps + 1);
    access(&mut processor, STORE, USER);
    assert_eq!(processor.guest.vcpu.counters.traps, traps + 1);
    processor.guest.audit();
}

#[test]
fn large_pages_of_the_windows_tell_which_of_their_pages_was_missed_on() {
    let guest = Guest::unbacked(256);
    for page in 0..256 {
        let machine = MachinePage((0x9000_0000 >> 14) + page);
        guest.pmap.back(GuestPage(page), machine);
    }
    guest.pmap.build_linear_table();
    let mut processor = Processor::new(guest);
    for page in [130, 140] {
        // The next instruction's page is in the first piece, and is kept.
        processor.sample_next(true);
        access(&mut processor, STORE, CSSEG_WINDOW + page * PAGE_SIZE);
    }
    assert_eq!(
        processor.samples,
        [(GuestPage(130), false), (GuestPage(140), false)]
    );
}

#[test]
fn who_uses_address_0_is_not_sampled_then() {
    let mut guest = Guest::new();
    let zero = TlbEntry { hi: 0, ..pair() };
    guest.tlbwi(3, &zero);
    let context = |guest: &Guest| guest.vcpu.context.l2_mask;
    let before = context(&guest);
    assert_eq!(guest.vcpu.hide(), None);
    assert_eq!(context(&guest), before);
    // With another page there it is.
    guest.tlbwi(3, &pair());
    let hidden = guest.vcpu.hide().unwrap();
    assert_eq!(context(&guest), 0);
    guest.vcpu.show(hidden);
    assert_eq!(context(&guest), before);
    assert_eq!(guest.execute(TLBWR), Outcome::Resume);
}
