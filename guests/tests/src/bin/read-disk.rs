//! Reads all of its first disk, and then waits.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, DiskOperation, DISK_BYTES_MAX, SECTOR};
use disco_test_guests::cp0;
use disco_test_guests::disk::{Disk, BUFFER};

disco_test_guests::guest!(run);

fn run(_: &'static BootInfo) {
    let disk = Disk(0);
    disk.open().expect("the disk");
    let (sectors, _) = disk.info().expect("the disk");
    let most = DISK_BYTES_MAX / SECTOR;
    for first in (0..sectors).step_by(most as usize) {
        let count = most.min(sectors - first);
        let status = disk.transfer(DiskOperation::Read, first, count, BUFFER);
        assert_eq!(status, 0, "sector {first}");
    }
    disco_test_guests::done();
    loop {
        cp0::wait();
    }
}
