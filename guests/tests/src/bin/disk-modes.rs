//! Disks of every mode: what is written is read again, in parts and in whole pages, and a page that was
//! read or written is the guest's own to change.
#![no_std]
#![no_main]

use disco_test_guests::abi::{
    BootInfo, CallError, DiskError, DiskMode, DiskOperation, PAGE_SIZE, SECTOR,
};
use disco_test_guests::access;
use disco_test_guests::disk::{fill, is_filled, is_zero, segment, take, Disk, BUFFER};

disco_test_guests::guest!(run);

/// Another place in memory, and one that is not aligned.
const OTHER: u64 = BUFFER + (2 << 20);
const ODD: u64 = BUFFER + (4 << 20) + 24;
/// Sectors of a page.
const PAGE: u64 = PAGE_SIZE / SECTOR;

fn run(_: &'static BootInfo) {
    let mut count = 0;
    while let Ok((sectors, mode)) = Disk(count).info() {
        let disk = Disk(count);
        assert_eq!(disk.transfer_refused(), Err(CallError::WrongState));
        disk.open().expect("a disk that nobody else has");
        disk.open().expect("to have it already is no error");
        let mode = DiskMode::from_number(mode).expect("a mode");
        if mode == DiskMode::ReadOnly {
            read_only(disk);
        } else {
            whole_pages(disk);
            parts(disk, sectors);
            many(disk);
        }
        count += 1;
    }
    assert!(count > 0, "no disks");
    assert_eq!(Disk(count).open(), Err(CallError::NoDevice));
    assert_eq!(take(1), Ok(0));
}

trait Refused {
    fn transfer_refused(self) -> Result<bool, CallError>;
}

impl Refused for Disk {
    fn transfer_refused(self) -> Result<bool, CallError> {
        self.pass(DiskOperation::Read, 0, 1, &[segment(BUFFER, SECTOR)])
    }
}

fn read_only(disk: Disk) {
    assert_eq!(disk.transfer(DiskOperation::Read, 0, PAGE, BUFFER), 0);
    assert!(is_zero(BUFFER, PAGE));
    let refused = disk.transfer(DiskOperation::Write, 0, 1, BUFFER);
    assert_eq!(refused, DiskError::ReadOnly as u64);
    assert_eq!(disk.execute(DiskOperation::Flush, 0, &[]), 0);
}

fn whole_pages(disk: Disk) {
    fill(BUFFER, 0, 2 * PAGE, 1);
    assert_eq!(disk.transfer(DiskOperation::Write, 0, 2 * PAGE, BUFFER), 0);
    // The disk keeps what was written when the guest goes on with its page.
    access::set_physical(BUFFER, 99);
    assert_eq!(disk.transfer(DiskOperation::Read, 0, 2 * PAGE, OTHER), 0);
    assert!(is_filled(OTHER, 0, 2 * PAGE, 1));
    assert_eq!(access::physical(BUFFER), 99);
    // And when it changes a page that it has read.
    access::set_physical(OTHER + PAGE_SIZE, 98);
    assert_eq!(disk.transfer(DiskOperation::Read, 0, 2 * PAGE, BUFFER), 0);
    assert!(is_filled(BUFFER, 0, 2 * PAGE, 1));
    assert_eq!(disk.execute(DiskOperation::Flush, 0, &[]), 0);
}

fn parts(disk: Disk, sectors: u64) {
    let odd = ODD;
    fill(odd, PAGE - 3, 6, 2);
    assert_eq!(
        disk.transfer(DiskOperation::WriteDurable, PAGE - 3, 6, odd),
        0
    );
    assert_eq!(disk.transfer(DiskOperation::Read, 0, 2 * PAGE, OTHER), 0);
    assert!(is_filled(OTHER, 0, PAGE - 3, 1));
    assert!(is_filled(OTHER + (PAGE - 3) * SECTOR, PAGE - 3, 6, 2));
    assert!(is_filled(
        OTHER + (PAGE + 3) * SECTOR,
        PAGE + 3,
        PAGE - 3,
        1
    ));
    // A scatter list, backwards.
    let list = [
        segment(OTHER + 5 * SECTOR, 2 * SECTOR),
        segment(OTHER + 8, SECTOR),
        segment(ODD, 3 * SECTOR),
    ];
    assert_eq!(disk.execute(DiskOperation::Read, PAGE - 3, &list), 0);
    assert!(is_filled(OTHER + 5 * SECTOR, PAGE - 3, 2, 2));
    assert!(is_filled(OTHER + 8, PAGE - 1, 1, 2));
    assert!(is_filled(ODD, PAGE, 3, 2));
    // The last sector, and those behind it.
    fill(BUFFER, sectors - 1, 1, 3);
    assert_eq!(
        disk.transfer(DiskOperation::Write, sectors - 1, 1, BUFFER),
        0
    );
    assert_eq!(disk.transfer(DiskOperation::Read, sectors - 1, 1, ODD), 0);
    assert!(is_filled(ODD, sectors - 1, 1, 3));
    for (sector, count) in [
        (sectors, 1),
        (sectors - 1, 2),
        (u64::MAX, 1),
        (u64::MAX - 1, 2),
    ] {
        for operation in [DiskOperation::Read, DiskOperation::Write] {
            let status = disk.transfer(operation, sector, count, BUFFER);
            assert_eq!(status, DiskError::OutOfRange as u64, "{sector:#x}");
        }
    }
}

/// A megabyte in one command.
fn many(disk: Disk) {
    let count = (1 << 20) / SECTOR;
    fill(BUFFER, 64, count, 4);
    assert_eq!(disk.transfer(DiskOperation::Write, 64, count, BUFFER), 0);
    assert_eq!(disk.transfer(DiskOperation::Read, 64, count, OTHER), 0);
    assert!(is_filled(OTHER, 64, count, 4));
    assert_eq!(disk.execute(DiskOperation::Flush, 0, &[]), 0);
}
