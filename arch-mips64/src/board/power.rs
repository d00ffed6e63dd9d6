//! Ends the machine.

use super::registers::Registers;

/// Physical address of the board's soft reset register.
const SOFT_RESET: u64 = 0x1f00_0500;
/// What has to be written there.
const RESET: u32 = 0x42;

/// Powers the machine off: a reset, which QEMU started with `-no-reboot` answers by ending.
pub fn off() -> ! {
    // SAFETY: the board's soft reset register is a word of its own.
    let registers = unsafe { Registers::at(SOFT_RESET) };
    loop {
        registers.write32(0, RESET);
    }
}
