//! Writes to each disk until there is no room for more: that is an error, and what was written before is
//! there, can be written again, and flushed.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, DiskError, DiskOperation, PAGE_SIZE, SECTOR};
use disco_test_guests::disk::{fill, is_filled, is_zero, take, Disk, BUFFER};
use disco_test_guests::println;

disco_test_guests::guest!(run);

const PAGE: u64 = PAGE_SIZE / SECTOR;
/// Pages of a command.
const PAGES: u64 = 8;
const OTHER: u64 = BUFFER + (1 << 20);

fn run(_: &'static BootInfo) {
    let mut number = 0;
    while let Ok((sectors, _)) = Disk(number).info() {
        until_full(Disk(number), sectors / PAGE);
        number += 1;
    }
    assert!(number > 0, "no disks");
    assert_eq!(take(1), Ok(0));
}

fn write(disk: Disk, page: u64, pages: u64, stamp: u64) -> u64 {
    let (first, count) = (page * PAGE, pages * PAGE);
    fill(BUFFER, first, count, stamp);
    disk.transfer(DiskOperation::Write, first, count, BUFFER)
}

fn holds(disk: Disk, page: u64, stamp: u64) {
    assert_eq!(
        disk.transfer(DiskOperation::Read, page * PAGE, PAGE, OTHER),
        0
    );
    assert!(is_filled(OTHER, page * PAGE, PAGE, stamp), "page {page}");
}

fn until_full(disk: Disk, pages: u64) {
    disk.open().expect("the disk");
    let full = DiskError::NoSpace as u64;
    let mut written = 0;
    let status = loop {
        assert!(written + PAGES < pages, "there is room for all");
        match write(disk, written, PAGES, 1) {
            0 => written += PAGES,
            status => break status,
        }
    };
    assert_eq!(status, full);
    println!("disk {} has {written} pages", disk.0);
    for _ in 0..2 {
        assert_eq!(write(disk, pages - 1, 1, 2), full);
        assert_eq!(
            disk.transfer(DiskOperation::Read, (pages - 1) * PAGE, PAGE, OTHER),
            0
        );
        assert!(is_zero(OTHER, PAGE), "it is there nevertheless");
        // What is there already may change, in whole and in part; again and again.
        for round in 3..40 {
            assert_eq!(write(disk, 0, PAGES, round), 0, "round {round}");
            holds(disk, PAGES - 1, round);
        }
        fill(BUFFER, 5, 2, 39);
        assert_eq!(disk.transfer(DiskOperation::Write, 5, 2, BUFFER), 0);
        assert_eq!(disk.execute(DiskOperation::Flush, 0, &[]), 0);
        holds(disk, 0, 39);
        holds(disk, written - 1, 1);
    }
}
