//! Broadcasts of whole pages that their sender overwrites at once, while virtual machines end and start
//! again: every page that comes is as it was when it was sent, and stays so.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, Call, NetSlot, Segment, PAGE_SIZE};
use disco_test_guests::calls::call;
use disco_test_guests::place::base;
use disco_test_guests::subnet::{
    self, length, number, set_byte, set_header, slot, List, BROADCAST, HEADER,
};
use disco_test_guests::{option, println, FREE_MEMORY};

disco_test_guests::guest!(run);

const KIND: u16 = 0x88b5;
const FRAME: u64 = FREE_MEMORY;
const BODY: u64 = FREE_MEMORY + (1 << 20);
const HEADS: u64 = FREE_MEMORY + (2 << 20);
const PAGES: u64 = FREE_MEMORY + (3 << 20);
/// Places, used in turn: what is in one stays until it is used again.
const PLACES: u64 = 16;
/// Bytes of a place's pages.
const PLACE: u64 = 8 * PAGE_SIZE;

fn run(boot: &'static BootInfo) {
    let own = subnet::info();
    let rounds = option(boot, "rounds", 400);
    // What each place holds: 0 is nothing.
    let mut seeds = [0; PLACES as usize];
    let mut received = 0;
    for round in 1..=rounds {
        let seed = own.address << 32 | round;
        send(own.mac, seed);
        while receive(&mut seeds, &mut received) {}
        let _ = call(Call::Yield, [0; 4]);
    }
    println!("{received} received");
    assert!(received > 0);
}

/// Fills a page with words of `seed`, sends it, and spoils it.
fn send(own: u64, seed: u64) {
    set_header(FRAME, BROADCAST, own, KIND);
    for (at, byte) in seed.to_be_bytes().into_iter().enumerate() {
        set_byte(FRAME + HEADER + at as u64, byte);
    }
    let fragment = |address, bytes| Segment { address, bytes };
    for part in 0..2 {
        fill(BODY + part * PAGE_SIZE, seed);
    }
    let list = List::new().add(&[fragment(FRAME, HEADER + 8), fragment(BODY, 2 * PAGE_SIZE)]);
    assert_eq!(list.send(), 1);
    for part in 0..2 {
        fill(BODY + part * PAGE_SIZE, !seed);
    }
}

fn word(address: u64) -> *mut u64 {
    (base() + address) as *mut u64
}

fn fill(page: u64, seed: u64) {
    for at in (0..PAGE_SIZE).step_by(8) {
        // SAFETY: memory that this test sets aside.
        unsafe { word(page + at).write_volatile(seed ^ at) };
    }
}

fn check(page: u64, seed: u64) {
    for at in (0..PAGE_SIZE).step_by(8) {
        // SAFETY: memory that this test sets aside.
        let is = unsafe { word(page + at).read_volatile() };
        assert_eq!(is, seed ^ at, "at {at:#x} of a page of {seed:#x}");
    }
}

/// Receives one message into the next place, whose last one is looked at once more before.
fn receive(seeds: &mut [u64; PLACES as usize], received: &mut u64) -> bool {
    let place = *received % PLACES;
    let pages = PAGES + place * PLACE;
    let seed = &mut seeds[place as usize];
    if *seed != 0 {
        check(pages, *seed);
        check(pages + PAGE_SIZE, *seed);
    }
    let head = Segment {
        address: HEADS + place * 64,
        bytes: 64,
    };
    let mut slot: NetSlot = slot(head, pages);
    if subnet::receive(core::slice::from_mut(&mut slot)) == 0 {
        return false;
    }
    assert_eq!(length(&slot), HEADER + 8 + 2 * PAGE_SIZE);
    assert_eq!(slot.head_used, HEADER + 8);
    *seed = number(head.address + HEADER, 8);
    check(pages, *seed);
    check(pages + PAGE_SIZE, *seed);
    *received += 1;
    true
}
