//! Commands that a sibling changes during the call: each is what it was at one moment, whole and good, or
//! is refused; nothing outside the buffers changes, and the disk holds nothing but what lay in them.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU64, Ordering};
use disco_test_guests::abi::{
    BootInfo, CallError, DiskError, DiskOperation, DISK_BYTES_MAX, PAGE_SIZE, SECTOR,
};
use disco_test_guests::disk::{next_done, segment, take, Disk, BUFFER, REQUEST};
use disco_test_guests::place::base;
use disco_test_guests::{access, option, siblings};

disco_test_guests::guest!(run);

const DISK: Disk = Disk(0);
/// Segments may name these pages; those behind them are nobody's.
const PAGES: u64 = 4;
const BEHIND: u64 = BUFFER + PAGES * PAGE_SIZE;
/// All words that are in the pages, and so on the disk.
const MARK: u64 = 0x5a5a_5a5a_5a5a_5a5a;
const GUARD: u64 = 0x6b6b_6b6b_6b6b_6b6b;

static STOP: AtomicU64 = AtomicU64::new(0);

fn store(address: u64, word: u64) {
    // SAFETY: a word that the other virtual CPU hands to the monitor.
    unsafe { ((base() + address) as *mut u64).write_volatile(word) }
}

/// Stores good and bad words into the command, for ever.
extern "C" fn spoil(memory: u64) {
    let mut round = 0u64;
    while STOP.load(Ordering::Acquire) == 0 {
        round += 1;
        let at = round as usize;
        store(REQUEST, [0, 1, 3, 99][at % 4]);
        store(REQUEST + 8, [0, 64, u64::MAX, 8191][at % 4]);
        store(REQUEST + 24, [1, 2, 128, u64::MAX][at % 4]);
        for segment in 0..2 {
            let place = REQUEST + 32 + 16 * segment;
            let good = BUFFER + (round + segment) % PAGES * PAGE_SIZE;
            store(place, [memory - 8, u64::MAX, 1 << 63, good][at % 4]);
            store(place, good);
            let sizes = [
                2 * PAGE_SIZE,
                u64::MAX - 511,
                DISK_BYTES_MAX,
                0,
                100,
                SECTOR,
            ];
            store(place + 8, sizes[at % sizes.len()]);
            store(place + 8, [PAGE_SIZE, SECTOR][at % 2]);
        }
    }
}

fn run(boot: &'static BootInfo) {
    DISK.open().expect("a disk");
    for at in (0..PAGES * PAGE_SIZE).step_by(8) {
        access::set_physical(BUFFER + at, MARK);
    }
    // The longest of the sizes reaches further: that is the guest's own memory, and wiped on purpose.
    let free = BEHIND + DISK_BYTES_MAX;
    for at in (0..4 * PAGE_SIZE).step_by(8) {
        access::set_physical(free + at, GUARD);
    }
    for at in (BEHIND..free).step_by(8) {
        access::set_physical(at, MARK);
    }
    // All of the disk has the mark.
    let (sectors, _) = DISK.info().expect("the disk");
    let most = DISK_BYTES_MAX / SECTOR;
    for first in (0..sectors).step_by(most as usize) {
        let count = most.min(sectors - first);
        let status = DISK.transfer(DiskOperation::Write, first, count, BUFFER);
        assert_eq!(status, 0);
    }
    assert_eq!(siblings::start(1, spoil, boot.memory), Ok(0));
    let (mut taken, mut refused) = (0, 0);
    for round in 0..option(boot, "rounds", 3000) {
        let list = [segment(BUFFER, PAGE_SIZE), segment(BUFFER, SECTOR)];
        match DISK.pass(DiskOperation::Read, 0, round, &list) {
            Ok(true) => taken += 1,
            Ok(false) => {
                let done = next_done();
                let range = DiskError::OutOfRange as u64;
                assert!(done.status == 0 || done.status == range, "{}", done.status);
                taken += 1;
            }
            Err(CallError::BadArgument | CallError::BadAddress) => refused += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    STOP.store(1, Ordering::Release);
    siblings::join(2);
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused");
    assert_eq!(take(1), Ok(0));
    for at in (0..4 * PAGE_SIZE).step_by(8) {
        assert_eq!(access::physical(free + at), GUARD, "byte {at} behind");
    }
    for first in (0..sectors).step_by(most as usize) {
        let count = most.min(sectors - first);
        assert_eq!(DISK.transfer(DiskOperation::Read, first, count, BUFFER), 0);
        for at in (0..count * SECTOR).step_by(8) {
            assert_eq!(access::physical(BUFFER + at), MARK, "byte {at} of {first}");
        }
    }
}
