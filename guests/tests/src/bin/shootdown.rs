//! Shootdown: when the call returns, no virtual CPU uses an old translation any more.
//!
//! Siblings read a page that the walker maps, over and over. The first virtual CPU maps the other
//! of two pages there, shoots the old translation down, and only then spoils the page that was
//! there before: nobody may see that.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};
use disco_test_guests::abi::{
    BootInfo, Call, CallError, ShootdownKeys, CSSEG_WINDOW, SHOOTDOWN_ALL, SHOOTDOWN_ASID,
    VCPUS_PER_VM,
};
use disco_test_guests::access::set_physical;
use disco_test_guests::calls::call;
use disco_test_guests::cp0::reg;
use disco_test_guests::siblings::{join, shootdown, start};
use disco_test_guests::tlb::{set_asid, LO_D, LO_V};
use disco_test_guests::walker::{self, place, pte, set_directory, ENABLED, PAGE, USER};
use disco_test_guests::{option, FREE_MEMORY};

disco_test_guests::guest!(run);

const TOP: u64 = FREE_MEMORY;
const TABLE: u64 = FREE_MEMORY + 0x4000;
/// Two pages for each address.
const DATA: u64 = FREE_MEMORY + 0x1_0000;
/// Pages that are read: more than the real TLB holds.
const PAGES: u64 = 40;
const BASE: u64 = 0x3_1400_0000;
const GOOD: u64 = 0x600d;
const SPOILED: u64 = 0xbad;

static STOP: AtomicU64 = AtomicU64::new(0);
static READS: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];
static FAILURES: AtomicU64 = AtomicU64::new(0);

fn page(number: u64, which: u64) -> u64 {
    DATA + (2 * number + which) * 0x4000
}

/// Maps page `number` to one of its two places.
fn map(number: u64, which: u64) {
    let place = place(TABLE, BASE + (number << PAGE));
    set_physical(place, pte(page(number, which), LO_V | LO_D));
}

/// Reads all pages, for ever, in an address space of its own number.
extern "C" fn read(number: u64) {
    walker::describe(CSSEG_WINDOW + TOP);
    reg::PW_CTL.write(ENABLED | USER);
    set_asid(number);
    while STOP.load(Ordering::Acquire) == 0 {
        for page in 0..PAGES {
            let address = (BASE + (page << PAGE)) as usize as *const u64;
            // SAFETY: the tables map it.
            if unsafe { address.read_volatile() } != GOOD {
                FAILURES.fetch_add(1, Ordering::Relaxed);
            }
        }
        READS[number as usize].fetch_add(1, Ordering::Relaxed);
    }
}

fn run(boot: &'static BootInfo) {
    let count = option(boot, "cpus", 4);
    let rounds = option(boot, "rounds", 400);
    errors(count);
    set_directory(TOP, BASE, CSSEG_WINDOW + TABLE);
    let mut current = [0; PAGES as usize];
    for number in 0..PAGES {
        set_physical(page(number, 0), GOOD);
        map(number, 0);
    }
    for number in 1..count {
        assert_eq!(start(number, read, number), Ok(0));
    }
    for round in 0..rounds {
        move_pages(count, round, &mut current);
    }
    for reads in &READS[1..count as usize] {
        let before = reads.load(Ordering::Relaxed);
        while reads.load(Ordering::Relaxed) == before {
            let _ = call(Call::Yield, [0; 4]);
        }
    }
    STOP.store(1, Ordering::Release);
    join(count);
    assert_eq!(FAILURES.load(Ordering::Relaxed), 0, "old translations used");
}

/// Moves some pages to their other places and shoots them down, in each of the ways there are.
fn move_pages(count: u64, round: u64, current: &mut [u64; PAGES as usize]) {
    let (first, pages, bytes) = match round % 8 {
        0..4 => (round % PAGES, 1, 0x4000),
        4 => (round % (PAGES - 3), 3, 3 * 0x4000),
        5 => (0, PAGES, PAGES * 0x4000),
        6 => (0, PAGES, SHOOTDOWN_ASID),
        _ => (0, PAGES, SHOOTDOWN_ALL),
    };
    let moved = first..first + pages;
    for number in moved.clone() {
        let new = 1 - current[number as usize];
        set_physical(page(number, new), GOOD);
        map(number, new);
    }
    shoot(count, BASE + (first << PAGE), bytes);
    for number in moved {
        let old = current[number as usize];
        set_physical(page(number, old), SPOILED);
        current[number as usize] = 1 - old;
    }
}

/// Each sibling has its own number for an ASID.
fn shoot(count: u64, address: u64, bytes: u64) {
    let keys = core::array::from_fn(|number| address | number as u64);
    let done = shootdown((1 << count) - 2, ShootdownKeys(keys), bytes);
    assert_eq!(done, Ok(0));
}

fn errors(count: u64) {
    let keys = ShootdownKeys([0x1_0000; VCPUS_PER_VM]);
    assert_eq!(shootdown(1 << count, keys, 0), Err(CallError::BadArgument));
    for address in [u64::MAX, u64::MAX - 100, 1 << 40] {
        let done = call(Call::Shootdown, [1, address, 0, 0]);
        assert_eq!(done, Err(CallError::BadAddress), "keys at {address:#x}");
    }
    for bytes in [0, 1, 0x4000, 1 << 40, u64::MAX - 1, u64::MAX] {
        assert_eq!(shootdown(1, keys, bytes), Ok(0), "{bytes:#x} bytes");
        assert_eq!(shootdown(0, keys, bytes), Ok(0), "of nobody");
    }
}
