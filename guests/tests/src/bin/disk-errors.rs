//! A real disk that reports errors: the command fails, and no other. The test's `disk_errors` say where.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, DiskError, DiskOperation, PAGE_SIZE, SECTOR};
use disco_test_guests::disk::{fill, is_filled, is_zero, take, Disk, BUFFER};

disco_test_guests::guest!(run);

const PAGE: u64 = PAGE_SIZE / SECTOR;
/// Sectors that cannot be read, or written. Flushes always fail.
const UNREADABLE: u64 = 3 * PAGE + 7;
const UNWRITABLE: u64 = 20 * PAGE + 1;
const FAILED: u64 = DiskError::Device as u64;
const OTHER: u64 = BUFFER + (1 << 20);

fn run(_: &'static BootInfo) {
    let disk = Disk(0);
    disk.open().expect("the disk");
    let read = |first, count| disk.transfer(DiskOperation::Read, first, count, OTHER);
    let write = |first, count| {
        fill(BUFFER, first, count, 1);
        disk.transfer(DiskOperation::Write, first, count, BUFFER)
    };
    for _ in 0..3 {
        assert_eq!(read(UNREADABLE, 1), FAILED);
        // A command that has it among others.
        assert_eq!(read(0, 10 * PAGE), FAILED);
        for (first, count) in [(0, 3 * PAGE), (4 * PAGE, 6 * PAGE)] {
            assert_eq!(read(first, count), 0, "sector {first}");
            assert!(is_zero(OTHER, count));
        }
    }
    // A part of a block whose rest cannot be read, and then all of it.
    assert_eq!(write(UNREADABLE + 1, 1), FAILED);
    assert_eq!(write(3 * PAGE, PAGE), 0);
    assert_eq!(read(3 * PAGE, PAGE), 0);
    assert!(is_filled(OTHER, 3 * PAGE, PAGE, 1));
    // What was not written is not read either: the disk has what it had before.
    assert_eq!(write(18 * PAGE, 4 * PAGE), FAILED);
    assert_eq!(read(20 * PAGE, PAGE), 0);
    assert!(is_zero(OTHER, PAGE));
    assert_eq!(write(18 * PAGE, 2 * PAGE), 0);
    assert_eq!(read(18 * PAGE, 2 * PAGE), 0);
    assert!(is_filled(OTHER, 18 * PAGE, 2 * PAGE, 1));
    assert_eq!(write(UNWRITABLE, 1), FAILED);
    // Nobody is promised anything.
    assert_eq!(disk.execute(DiskOperation::Flush, 0, &[]), FAILED);
    fill(BUFFER, 0, 1, 1);
    assert_eq!(
        disk.transfer(DiskOperation::WriteDurable, 0, 1, BUFFER),
        FAILED
    );
    assert_eq!(read(4 * PAGE, PAGE), 0);
    assert_eq!(take(1), Ok(0));
}
