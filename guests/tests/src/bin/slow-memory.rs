//! Loads, nearly all of which miss the TLB, and how long they take by the guest's own clock: a line for each round,
//! for ever. The memory is the first 256 KiB that is free, seen at 32 places.
#![no_std]
#![no_main]

use core::ptr;
use disco_test_guests::abi::{BootInfo, CSSEG_WINDOW};
use disco_test_guests::access::set_physical;
use disco_test_guests::cp0::reg;
use disco_test_guests::time::{count, since};
use disco_test_guests::tlb::{set_asid, LO_D, LO_V};
use disco_test_guests::walker::{self, place, pte, set_directory, ENABLED, PAGE, USER};
use disco_test_guests::{println, FREE_MEMORY};

disco_test_guests::guest!(run);

const DATA: u64 = FREE_MEMORY;
const TOP: u64 = FREE_MEMORY + 0x20_0000;
const TABLE: u64 = TOP + 0x4000;
/// Pages of memory, and pages that they are seen as: more pairs than the TLB has, fewer than the second level.
const PAGES: u64 = 16;
const SEEN_AS: u64 = 512;
const BASE: u64 = 0x3_1400_0000;
const BYTES: u64 = 1 << PAGE;
/// Loads in a round.
const LOADS: u64 = 100_000;
/// Pages from one load to the next: odd, so that all are met.
const STRIDE: u64 = 37;

fn run(boot: &'static BootInfo) {
    set_directory(TOP, BASE, CSSEG_WINDOW + TABLE);
    for page in 0..SEEN_AS {
        let entry = pte(DATA + page % PAGES * BYTES, LO_V | LO_D);
        set_physical(place(TABLE, BASE + page * BYTES), entry);
    }
    // Where the next load goes, as the page that it is seen as.
    for page in 0..PAGES {
        set_physical(DATA + page * BYTES, STRIDE);
    }
    walker::describe(CSSEG_WINDOW + TOP);
    reg::PW_CTL.write(ENABLED | USER);
    set_asid(1);
    for round in 0u64.. {
        let start = count();
        let mut page = 0;
        for _ in 0..LOADS {
            let address = (BASE + page * BYTES) as usize as *const u64;
            // SAFETY: the tables map it, and nobody writes to it any more.
            let step = unsafe { ptr::read_volatile(address) };
            page = (page + step) % SEEN_AS;
        }
        let nanoseconds = since(start) * 1_000_000_000 / boot.count_hz;
        println!("round {round}: {} us", nanoseconds / 1000);
    }
}
