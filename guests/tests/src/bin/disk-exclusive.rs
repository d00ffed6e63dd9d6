//! Wants its first disk, which another virtual machine may have; says what it is told, and keeps it.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, Call, CallError, DiskOperation, SECTOR};
use disco_test_guests::calls::call;
use disco_test_guests::disk::{segment, Disk, BUFFER};
use disco_test_guests::{cp0, println};

disco_test_guests::guest!(run);

fn run(_: &'static BootInfo) {
    let disk = Disk(0);
    let read = [segment(BUFFER, SECTOR)];
    let mut told = false;
    while let Err(error) = disk.open() {
        assert_eq!(error, CallError::InUse);
        let refused = disk.pass(DiskOperation::Read, 0, 1, &read);
        assert_eq!(refused, Err(CallError::WrongState));
        if !told {
            println!("it is in use");
        }
        told = true;
        let _ = call(Call::Yield, [0; 4]);
    }
    assert_eq!(disk.transfer(DiskOperation::Read, 0, 1, BUFFER), 0);
    println!("it is mine");
    disco_test_guests::done();
    loop {
        cp0::wait();
    }
}
