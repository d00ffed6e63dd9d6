//! Lists and places that a sibling changes during the call: what comes is still from who sent it, and
//! whole messages. `a` sends, `b` receives; each has a sibling that stores other addresses, numbers and
//! headers all the time.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};
use disco_test_guests::abi::{BootInfo, Segment, NET_MESSAGE_MAX, NET_MESSAGE_MIN, PAGE_SIZE};
use disco_test_guests::place::{base, physical_address};
use disco_test_guests::subnet::{
    self, byte, find, number, set_byte, set_header, slot, List, HEADER,
};
use disco_test_guests::{option, siblings, text, time, FREE_MEMORY};

disco_test_guests::guest!(run);

const FRAME: u64 = FREE_MEMORY;
const BODY: u64 = FREE_MEMORY + (1 << 20);
const HEADS: u64 = FREE_MEMORY + (2 << 20);
const PAGES: u64 = FREE_MEMORY + (3 << 20);
const KIND: u16 = 0x88b5;
/// In the header, for: this is the last.
const END: u16 = 0x88b6;
/// All bytes that `a` has in memory it lends.
const MARK: u8 = 0x5a;

static STOP: AtomicU64 = AtomicU64::new(0);

fn run(boot: &'static BootInfo) {
    let own = subnet::info().mac;
    if text(&boot.name) == "a" {
        send(own, find("b"), option(boot, "rounds", 2000));
    } else {
        receive(own, find("a"));
    }
    STOP.store(1, Ordering::Release);
    siblings::join(2);
}

fn store(address: u64, word: u64) {
    // SAFETY: a word that the other virtual CPU hands to the monitor.
    unsafe { ((base() + address) as *mut u64).write_volatile(word) }
}

/// Stores good and bad fragments into the list at `list`, and another source into the header.
extern "C" fn spoil_list(list: u64) {
    let mut round = 0u64;
    while STOP.load(Ordering::Acquire) == 0 {
        round += 1;
        let bad = [u64::MAX, 1 << 40, 1 << 63, u64::MAX - 100][round as usize % 4];
        let address = BODY + round % 3 * PAGE_SIZE;
        for value in [bad, address] {
            store(list + 32, value);
        }
        for value in [bad, PAGE_SIZE, 100, 3 * PAGE_SIZE] {
            store(list + 40, value);
        }
        store(list, [1, 2, u64::MAX, 2][round as usize % 4]);
        set_byte(FRAME + 11, round as u8 & 3);
    }
}

fn send(own: u64, other: u64, rounds: u64) {
    for at in 0..16 * PAGE_SIZE {
        set_byte(BODY + at, MARK);
        set_byte(FRAME + at, MARK);
    }
    let mut list = List::new().add(&[
        Segment {
            address: FRAME,
            bytes: HEADER,
        },
        Segment {
            address: BODY,
            bytes: PAGE_SIZE,
        },
    ]);
    let place = physical_address(list.words().as_ptr());
    assert_eq!(siblings::start(1, spoil_list, place), Ok(0));
    let mut taken = 0;
    while taken < rounds {
        set_header(FRAME, other, own, KIND);
        let result = subnet::send(place, 48);
        assert!((-19..=1).contains(&result), "{result}");
        taken += u64::from(result == 1);
    }
    STOP.store(1, Ordering::Release);
    siblings::join(2);
    // Some are dropped while `b` is slow, or not there yet.
    for _ in 0..200 {
        set_header(FRAME, other, own, END);
        let end = Segment {
            address: FRAME,
            bytes: HEADER,
        };
        assert_eq!(List::new().add(&[end]).send(), 1);
        let start = time::count();
        while time::since(start) < 1_000_000 {}
    }
}

/// Stores good and bad places into the slot at `slot`.
extern "C" fn spoil_slot(slot: u64) {
    let mut round = 0u64;
    while STOP.load(Ordering::Acquire) == 0 {
        round += 1;
        let bad = [u64::MAX, 1 << 40, PAGES + 8, PAGES + PAGE_SIZE][round as usize % 4];
        for value in [bad, PAGES] {
            store(slot + 16, value);
        }
        for value in [u64::MAX, 1000, 5] {
            store(slot + 8, value);
        }
    }
}

fn receive(own: u64, other: u64) {
    let head = Segment {
        address: HEADS,
        bytes: 1000,
    };
    let mut place = slot(head, PAGES);
    let address = physical_address(&raw mut place);
    assert_eq!(siblings::start(1, spoil_slot, address), Ok(0));
    let mut end = false;
    while !end {
        // What the sibling stored is there at the beginning, or at another moment.
        store(address + 8, 1000);
        store(address + 16, PAGES);
        match subnet::receive(core::slice::from_mut(&mut place)) {
            1 => {}
            0 => {
                subnet::wait();
                continue;
            }
            result => {
                assert!((-3..=-2).contains(&result), "{result}");
                continue;
            }
        }
        let length = subnet::length(&place);
        assert!(
            (NET_MESSAGE_MIN..=NET_MESSAGE_MAX).contains(&length),
            "{length}"
        );
        // The head's room was 5 bytes, perhaps: then the rest is in the first page.
        if place.head_used >= HEADER {
            assert_eq!((number(HEADS, 6), number(HEADS + 6, 6)), (own, other));
            end = number(HEADS + 12, 2) == END.into();
            for at in HEADER..place.head_used {
                assert_eq!(byte(HEADS + at), MARK, "byte {at}");
            }
            for at in 0..place.page_used[0] {
                // The page that was good is the only one that is there for sure.
                assert_eq!(byte(PAGES + at), MARK, "byte {at} of the page");
            }
        }
    }
}
