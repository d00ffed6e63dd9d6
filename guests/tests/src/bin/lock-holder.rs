//! A virtual CPU that is descheduled while it holds a lock does not keep the others from it for
//! longer than a time slice, whether they give way or only spin.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use disco_test_guests::abi::{BootInfo, Call};
use disco_test_guests::calls::call;
use disco_test_guests::siblings::{join, start};
use disco_test_guests::time::{count, since, ticks};
use disco_test_guests::{option, println};

disco_test_guests::guest!(run);

/// Held for so long, in microseconds, and not wanted for as long: most slices end in it.
const HELD: u64 = 300;
const FREE: u64 = 50;

static LOCK: AtomicBool = AtomicBool::new(false);
/// Count when the lock was taken last, and the longest time from one taking to the next, in ticks.
static LAST: AtomicU64 = AtomicU64::new(0);
static LONGEST: AtomicU64 = AtomicU64::new(0);
static HOLDERS: AtomicU64 = AtomicU64::new(0);
static STOP: AtomicBool = AtomicBool::new(false);

fn pass(ticks: u64) {
    let start = count();
    while since(start) < ticks {}
}

/// Takes and leaves the lock until it is told to stop.
extern "C" fn contend(argument: u64) {
    let (hold, free) = (argument & 0xfff_ffff, argument >> 28 & 0xfff_ffff);
    let gives_way = argument >> 63 == 1;
    while !STOP.load(Ordering::Relaxed) {
        let mut spins = 0u32;
        while LOCK.swap(true, Ordering::Acquire) {
            spins += 1;
            if gives_way && spins.is_multiple_of(100) {
                let _ = call(Call::Yield, [0; 4]);
            }
        }
        let now = count();
        let gap = u64::from(now.wrapping_sub(LAST.load(Ordering::Relaxed) as u32));
        LONGEST.fetch_max(gap, Ordering::Relaxed);
        HOLDERS.fetch_add(1, Ordering::Relaxed);
        LAST.store(now.into(), Ordering::Relaxed);
        pass(hold);
        LOCK.store(false, Ordering::Release);
        pass(free);
    }
}

fn run(boot: &'static BootInfo) {
    let limit = option(boot, "limit", 10_000);
    for gives_way in [0, 1] {
        let argument = ticks(boot, HELD) | ticks(boot, FREE) << 28 | gives_way << 63;
        LAST.store(count().into(), Ordering::Relaxed);
        LONGEST.store(0, Ordering::Relaxed);
        HOLDERS.store(0, Ordering::Relaxed);
        STOP.store(false, Ordering::Relaxed);
        for number in 1..boot.vcpus {
            assert_eq!(start(number, contend, argument), Ok(0));
        }
        let begin = count();
        while since(begin) < ticks(boot, option(boot, "time", 1_000_000)) {
            let _ = call(Call::Yield, [0; 4]);
        }
        STOP.store(true, Ordering::Relaxed);
        join(boot.vcpus);
        let longest = LONGEST.load(Ordering::Relaxed) * 1_000_000 / boot.count_hz;
        let holders = HOLDERS.load(Ordering::Relaxed);
        println!("{holders} holders, one for {longest} us; gives way: {gives_way}");
        assert!(longest <= limit + HELD, "a holder for {longest} us");
        assert!(holders > 500, "{holders} holders");
    }
}
