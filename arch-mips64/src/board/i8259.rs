//! The two i8259 interrupt controllers of the PIIX4 bridge.
//!
//! Every line in use is level-triggered, so a request lasts exactly as long as its device asks:
//! there is no acknowledge cycle and no end-of-interrupt.

use super::registers::Registers;
use super::PCI_IO;

/// Command port of the first controller; its mask is the port behind it.
const MASTER: u64 = 0x20;
/// Command port of the second controller.
const SLAVE: u64 = 0xa0;
/// Edge or level, one bit a line: the first controller's port, then the second's.
const LEVEL: u64 = 0x4d0;
/// Line of the first controller that carries the second.
const CASCADE: u32 = 2;
/// Lines that can be level-triggered (the others belong to timer, keyboard, cascade, clock, FPU).
const LEVEL_CAPABLE: u16 = 0xdef8;
/// Initialise: four command words follow, cascaded, edge-triggered.
const INITIALISE: u8 = 0x11;
/// 8086 mode.
const MODE_8086: u8 = 0x01;

/// Line of COM1.
pub const COM1: u32 = 4;
/// Line of every PCI device. One of the first controller: what comes through the second raises the
/// cascade's line, which is edge-triggered and would want to be acknowledged.
pub const PCI: u32 = 5;

fn ports() -> Registers {
    // SAFETY: PCI I/O ports answer from here on; this module uses only the controllers'.
    unsafe { Registers::at(PCI_IO) }
}

/// Brings both controllers up with every line masked.
pub fn init() {
    let ports = ports();
    for (port, vector, cascade) in [(MASTER, 0x20, 1 << CASCADE), (SLAVE, 0x28, CASCADE as u8)] {
        ports.write8(port, INITIALISE);
        ports.write8(port + 1, vector);
        ports.write8(port + 1, cascade);
        ports.write8(port + 1, MODE_8086);
        ports.write8(port + 1, 0xff);
    }
    ports.write8(LEVEL, LEVEL_CAPABLE as u8);
    ports.write8(LEVEL + 1, (LEVEL_CAPABLE >> 8) as u8);
}

/// Lines of the first controller that ask for service now, one bit each.
pub fn requested() -> u8 {
    // After `init` the command port reads as the request register.
    ports().read8(MASTER)
}

/// Lets line `line` of the first controller through no more.
pub fn mask(line: u32) {
    let ports = ports();
    let masked = ports.read8(MASTER + 1);
    ports.write8(MASTER + 1, masked | 1 << line);
}

/// Lets line `line`, 3 to 15, through. It has to be one that can be level-triggered.
pub fn unmask(line: u32) {
    let ports = ports();
    let clear = |port: u64, bit: u32| {
        let mask = ports.read8(port + 1);
        ports.write8(port + 1, mask & !(1 << bit));
    };
    if line < 8 {
        clear(MASTER, line);
    } else {
        clear(SLAVE, line - 8);
        clear(MASTER, CASCADE);
    }
}
