//! Pages that virtual CPUs on different nodes use, each kind in its own way: the first 256 KiB of the
//! memory that is free one sibling's alone, the next 256 KiB read by all, the next written by all.
//! Whatever the monitor moves meanwhile, nobody sees anything but what was written last.
//!
//! `cpus=2`: virtual CPUs; `time=3000`: milliseconds until it says that it has settled, and once more that long
//! before it ends. `bounce=1`: the sibling's pages are used by another virtual CPU in turns.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use disco_test_guests::abi::{BootInfo, CSSEG_WINDOW};
use disco_test_guests::access::set_physical;
use disco_test_guests::cp0::reg;
use disco_test_guests::siblings::{join, start};
use disco_test_guests::time::until;
use disco_test_guests::tlb::{set_asid, LO_D, LO_V};
use disco_test_guests::walker::{self, place, pte, set_directory, ENABLED, PAGE, USER};
use disco_test_guests::{option, println, FREE_MEMORY};

disco_test_guests::guest!(run);

const DATA: u64 = FREE_MEMORY;
const TOP: u64 = FREE_MEMORY + 0x20_0000;
const TABLE: u64 = TOP + 0x4000;
/// Pages of each kind.
const PAGES: u64 = 16;
const BASE: u64 = 0x3_1400_0000;
const BYTES: u64 = 1 << PAGE;
/// What is in the pages that are read.
const CONSTANT: u64 = 0x1234_5678_9abc_def0;
/// Times that the other pages are used while the ones that all write are once, which takes longer.
const TIMES: u64 = 8;
/// Words of a page that are used, and bytes from one to the next.
const STEP: u64 = 256;

static STOP: AtomicU64 = AtomicU64::new(0);
/// Whose turn it is to use the private pages.
static TURN: AtomicU64 = AtomicU64::new(1);
/// Somebody uses them.
static HELD: AtomicBool = AtomicBool::new(false);
static FAILURES: AtomicU64 = AtomicU64::new(0);
static ADDED: AtomicU64 = AtomicU64::new(0);

/// Kinds of pages, in this order in memory.
#[derive(Clone, Copy)]
enum Kind {
    Private,
    Read,
    Written,
}

fn words(kind: Kind) -> impl Iterator<Item = &'static AtomicU64> {
    let first = BASE + kind as u64 * PAGES * BYTES;
    (0..PAGES * BYTES / STEP).map(move |word| {
        let address = (first + word * STEP) as usize as *const AtomicU64;
        // SAFETY: the tables map it, and it is only used so.
        unsafe { &*address }
    })
}

fn use_private(word: &AtomicU64) {
    let after = word.load(Ordering::Relaxed).wrapping_add(1);
    word.store(after, Ordering::Relaxed);
    check(word.load(Ordering::Relaxed) == after);
}

fn check(holds: bool) {
    if !holds {
        FAILURES.fetch_add(1, Ordering::Relaxed);
    }
}

/// Uses the pages in its ways until it is told to stop.
extern "C" fn use_pages(number: u64) {
    walker::describe(CSSEG_WINDOW + TOP);
    reg::PW_CTL.write(ENABLED | USER);
    set_asid(1);
    while STOP.load(Ordering::Acquire) == 0 {
        for _ in 0..TIMES {
            let is_mine = TURN.load(Ordering::Acquire) == number;
            // Whose turn it was may not have come to its end.
            if is_mine && !HELD.swap(true, Ordering::Acquire) {
                words(Kind::Private).for_each(use_private);
                HELD.store(false, Ordering::Release);
            }
            words(Kind::Read).for_each(|word| check(word.load(Ordering::Relaxed) == CONSTANT));
        }
        for word in words(Kind::Written) {
            word.fetch_add(1, Ordering::Relaxed);
        }
        ADDED.fetch_add(1, Ordering::Relaxed);
    }
}

fn run(boot: &'static BootInfo) {
    let (count, time) = (option(boot, "cpus", 2), option(boot, "time", 3000));
    let bounces = option(boot, "bounce", 0) != 0;
    set_directory(TOP, BASE, CSSEG_WINDOW + TABLE);
    for page in 0..3 * PAGES {
        let address = BASE + page * BYTES;
        set_physical(place(TABLE, address), pte(DATA + page * BYTES, LO_V | LO_D));
    }
    for word in 0..PAGES * BYTES / STEP {
        set_physical(DATA + PAGES * BYTES + word * STEP, CONSTANT);
    }
    for number in 1..count {
        assert_eq!(start(number, use_pages, number), Ok(0));
    }
    for state in ["settled", "done"] {
        for round in 0..time / 50 {
            if bounces {
                TURN.store(1 + round % (count - 1), Ordering::Release);
            }
            until(boot, 50_000, || false);
        }
        println!("{state} after {} rounds", ADDED.load(Ordering::Relaxed));
    }
    STOP.store(1, Ordering::Release);
    join(count);
    assert_eq!(FAILURES.load(Ordering::Relaxed), 0, "wrong contents");
    walker::describe(CSSEG_WINDOW + TOP);
    reg::PW_CTL.write(ENABLED | USER);
    set_asid(1);
    let added = ADDED.load(Ordering::Relaxed);
    assert!(words(Kind::Written).all(|word| word.load(Ordering::Relaxed) == added));
}
