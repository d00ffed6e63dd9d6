//! Monitor calls.

use crate::place::physical_address;
use core::arch::asm;
use disco_abi::{Call, CallError, ShutdownReason, Verdict, MESSAGE_MAX};

/// Any number with any arguments: `$v0`.
pub fn raw(number: u64, arguments: [u64; 4]) -> i64 {
    let result: u64;
    // SAFETY: `hypcall` changes no register but `$2`. Calls that write memory write where the
    // caller says; tests say their own buffers.
    unsafe {
        asm!(
            ".word {hypcall}",
            hypcall = const disco_abi::HYPCALL,
            inout("$2") number => result,
            in("$4") arguments[0], in("$5") arguments[1],
            in("$6") arguments[2], in("$7") arguments[3],
            options(nostack)
        )
    };
    result as i64
}

/// A call, or its error.
pub fn call(call: Call, arguments: [u64; 4]) -> Result<u64, CallError> {
    match raw(call as u64, arguments) {
        -1 => Err(CallError::NoSuchCall),
        -2 => Err(CallError::BadArgument),
        -3 => Err(CallError::BadAddress),
        -4 => Err(CallError::WrongState),
        -5 => Err(CallError::NoDevice),
        -6 => Err(CallError::InUse),
        -7 => Err(CallError::Busy),
        value => {
            assert!(value >= 0, "{call:?} gave the unknown error {value}");
            Ok(value as u64)
        }
    }
}

fn message(text: &str) -> [u64; 2] {
    let mut end = text.len().min(MESSAGE_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    // Nothing need not be anywhere.
    let address = if end == 0 {
        0
    } else {
        physical_address(text.as_ptr())
    };
    [address, end as u64]
}

/// Gives the test's verdict.
pub fn verdict(verdict: Verdict, text: &str) {
    let [address, length] = message(text);
    let given = call(Call::TestVerdict, [verdict as u64, address, length, 0]);
    given.expect("the verdict is taken");
}

/// Ends the virtual machine.
pub fn shutdown(reason: ShutdownReason, text: &str) -> ! {
    let [address, length] = message(text);
    loop {
        let _ = call(Call::Shutdown, [reason as u64, address, length, 0]);
    }
}

/// Nanoseconds since 1970, from the board's clock chip.
pub fn wall_clock() -> u64 {
    call(Call::WallClock, [0; 4]).expect("the time")
}
