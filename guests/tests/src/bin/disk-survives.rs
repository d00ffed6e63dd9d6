//! What is flushed to disks that keep it is there when the machine starts again: the first run writes, a
//! later one finds it, changes some of it and so on. A disk that cannot be had is said to be so.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, CallError, DiskOperation, PAGE_SIZE, SECTOR};
use disco_test_guests::access;
use disco_test_guests::disk::{fill, is_filled, is_zero, take, Disk, BUFFER};
use disco_test_guests::println;

disco_test_guests::guest!(run);

const PAGE: u64 = PAGE_SIZE / SECTOR;
/// Whole pages, and parts: what each run writes.
const PLACES: [(u64, u64); 4] = [
    (0, 4 * PAGE),
    (9 * PAGE + 5, 3),
    (11 * PAGE - 2, 4),
    (40 * PAGE, 3 * PAGE + 7),
];

fn run(_: &'static BootInfo) {
    for number in 0..2 {
        let disk = Disk(number);
        match disk.open() {
            Ok(()) => next_run(disk),
            Err(error) => {
                assert_eq!(error, CallError::NoDevice);
                println!("disk {number} cannot be had");
            }
        }
    }
    assert_eq!(take(1), Ok(0));
}

fn next_run(disk: Disk) {
    let number = disk.0;
    assert_eq!(disk.transfer(DiskOperation::Read, 0, 1, BUFFER), 0);
    let before = access::physical(BUFFER);
    for (first, count) in PLACES {
        assert_eq!(disk.transfer(DiskOperation::Read, first, count, BUFFER), 0);
        assert!(
            is_filled(BUFFER, first, count, before) || (before == 0 && is_zero(BUFFER, count)),
            "sector {first} of disk {number} is not as run {before} has left it"
        );
    }
    // Between them nobody has written.
    for (first, count) in [(4 * PAGE, PAGE), (9 * PAGE, 5), (9 * PAGE + 8, 20)] {
        assert_eq!(disk.transfer(DiskOperation::Read, first, count, BUFFER), 0);
        assert!(is_zero(BUFFER, count), "sector {first} of disk {number}");
    }
    println!("disk {number} is as run {before} has left it");
    for (first, count) in PLACES {
        fill(BUFFER, first, count, before + 1);
        assert_eq!(disk.transfer(DiskOperation::Write, first, count, BUFFER), 0);
        assert_eq!(disk.execute(DiskOperation::Flush, 0, &[]), 0);
    }
}
