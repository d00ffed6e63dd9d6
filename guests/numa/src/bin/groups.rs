//! All virtual CPUs add up rows in one hash table: every page of it is written by all.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};
use disco_numa_guests::arena::Arena;
use disco_numa_guests::marker;
use disco_numa_guests::team::{stay, Team};
use disco_numa_work::groups::{self, Group};
use disco_test_guests::abi::BootInfo;
use disco_test_guests::{option, println, Variable};

disco_test_guests::guest!(run);

static TABLE: Variable<&[Group]> = Variable::new(&[]);
static BATCHES: AtomicU64 = AtomicU64::new(0);
static ROWS: AtomicU64 = AtomicU64::new(0);
static KEYS: AtomicU64 = AtomicU64::new(0);

fn add_up(member: u64) {
    let batches = BATCHES.load(Ordering::Relaxed);
    let rows = ROWS.load(Ordering::Relaxed);
    let keys = KEYS.load(Ordering::Relaxed) as u32;
    for done in 1..=batches {
        groups::add_up(TABLE.get(), member << 32 | done, rows, keys);
        if member == 0 {
            marker::progress(done, batches);
        }
    }
}

fn run(boot: &'static BootInfo) {
    let team = Team::of(boot);
    // SAFETY: once.
    let mut arena = unsafe { Arena::new(boot) };
    let places = option(boot, "places", 4096);
    let table: &[Group] = arena.take(places as usize);
    TABLE.set(table);
    BATCHES.store(option(boot, "batches", 10), Ordering::Relaxed);
    ROWS.store(option(boot, "rows", 100), Ordering::Relaxed);
    KEYS.store(places / 2, Ordering::Relaxed);
    team.work(add_up);
    let sum = groups::checksum(table);
    println!("a table of {places} places: {sum:#x}");
    assert_eq!(sum, option(boot, "sum", sum), "the checksum");
    stay(boot);
}
