//! The interval timer (i8254) of the PIIX4 bridge: a clock whose speed is known.

use super::registers::Registers;
use super::PCI_IO;

/// Port of counter 0; the control port is three behind it.
const COUNTER_0: u64 = 0x40;
/// Control port, from [`COUNTER_0`].
const CONTROL: u64 = 3;
/// Control: counter 0, both bytes, counts down again and again.
const RUN: u8 = 0x34;
/// Control: keep the value of counter 0 until it is read.
const LATCH: u8 = 0x00;
/// Picoseconds of one step: 1,193,182 Hz.
pub const STEP_PS: u64 = 838_095;

fn ports() -> Registers {
    // SAFETY: the timer answers at these four ports. Its interrupt stays masked.
    unsafe { Registers::at(PCI_IO + COUNTER_0) }
}

/// Lets counter 0 fall from 65536 (read as 0) to 1, again and again.
pub fn start() {
    ports().write8(CONTROL, RUN);
    ports().write8(0, 0);
    ports().write8(0, 0);
}

/// Counter 0.
pub fn value() -> u16 {
    ports().write8(CONTROL, LATCH);
    let low = ports().read8(0);
    u16::from_le_bytes([low, ports().read8(0)])
}
