//! A real disk that does not answer any more: the command fails in the end, and so do all others.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, DiskError, DiskOperation, PAGE_SIZE, SECTOR};
use disco_test_guests::disk::{fill, take, Disk, BUFFER};
use disco_test_guests::println;

disco_test_guests::guest!(run);

const PAGE: u64 = PAGE_SIZE / SECTOR;
const FAILED: u64 = DiskError::Device as u64;

fn run(_: &'static BootInfo) {
    let disk = Disk(0);
    disk.open().expect("the disk");
    fill(BUFFER, 0, PAGE, 1);
    let write = |page| disk.transfer(DiskOperation::Write, page * PAGE, PAGE, BUFFER);
    // So much goes through.
    assert_eq!(write(0), 0);
    println!("it answers");
    assert_eq!(write(1), FAILED);
    println!("it does not answer");
    assert_eq!(write(2), FAILED);
    assert_eq!(disk.execute(DiskOperation::Flush, 0, &[]), FAILED);
    let unread = disk.transfer(DiskOperation::Read, 64 * PAGE, PAGE, BUFFER);
    assert_eq!(unread, FAILED);
    // What is in memory can be read.
    assert_eq!(disk.transfer(DiskOperation::Read, 0, PAGE, BUFFER), 0);
    assert_eq!(take(1), Ok(0));
}
