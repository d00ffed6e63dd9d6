//! Reboots at once, for ever: its virtual machine is torn down and built again all the time.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, ShutdownReason};
use disco_test_guests::calls;

disco_test_guests::guest!(run);

fn run(_: &'static BootInfo) {
    calls::shutdown(ShutdownReason::Reboot, "")
}
