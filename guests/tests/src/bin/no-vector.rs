//! Jumps to nowhere while its exception vectors are nowhere, too: this virtual machine ends.
#![no_std]
#![no_main]

use disco_test_guests::abi::{BootInfo, CSSEG_WINDOW};
use disco_test_guests::cp0::reg;
use disco_test_guests::{option, println};

disco_test_guests::guest!(run);

/// `way=0`: vectors in a segment that there is not; 1: beyond the end of memory.
fn run(boot: &'static BootInfo) {
    const WRITE_GATE: u64 = 1 << 11;
    let nowhere = match option(boot, "way", 0) {
        0 => 0xffff_ffff_8000_0000,
        _ => CSSEG_WINDOW + boot.memory,
    };
    println!("jumping");
    reg::EBASE.write(nowhere | WRITE_GATE);
    // SAFETY: it is not: the jump raises an exception, whose vector does the same. The monitor
    // has to end this virtual machine.
    let jump: extern "C" fn() = unsafe { core::mem::transmute(0x8000_0000_dead_0000u64 as usize) };
    jump();
    panic!("came back from nowhere");
}
